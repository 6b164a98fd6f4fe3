//! Clients and servers over tokio's streams.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use ws_tokio::{
    Acceptor, ClientRequest, CloseCode, ControlledNetwork, Error, Message, OriginPolicy, PeerAddr,
    Stream, Tokio, Uri, accept, client_on, connect,
};

/// No test takes longer than this.
async fn limited<T>(test: impl Future<Output = T>) -> T {
    let test = timeout(Duration::from_secs(30), test).await;
    test.expect("the test is over in time")
}

/// Listens, and echoes on one connection.
async fn echo() -> (String, tokio::task::JoinHandle<Result<(), Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut websocket = accept(stream).await?;
        while let Some(message) = websocket.receive().await? {
            websocket.send(&message).await?;
        }
        Ok(())
    });
    (url, server)
}

#[tokio::test]
async fn client_gets_its_messages_back_whatever_their_length() {
    limited(async {
        let (url, server) = echo().await;
        let mut websocket = connect(&url).await.unwrap();
        for len in [0, 1, 125, 70_000, 3_000_000] {
            let message = Message::Binary(vec![7; len]);
            websocket.send(&message).await.unwrap();
            assert!(websocket.receive().await.unwrap() == Some(message));
        }
        websocket.close(CloseCode::NORMAL, "").await.unwrap();
        server.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn websocket_is_a_stream_and_a_sink() {
    limited(async {
        let (url, server) = echo().await;
        let (mut sink, mut stream) = StreamExt::split(connect(&url).await.unwrap());
        for number in 0..10 {
            sink.send(Message::from(format!("{number}"))).await.unwrap();
        }
        for number in 0..10 {
            let expected = Message::from(format!("{number}"));
            assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        }
        SinkExt::<Message>::close(&mut sink).await.unwrap();
        assert!(stream.next().await.is_none());
        server.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn any_stream_of_tokio_will_do() {
    limited(async {
        let (ours, theirs) = tokio::io::duplex(100);
        let server = tokio::spawn(async move {
            // A duplex stream of this process is as near as a Unix-domain socket.
            let acceptor = Acceptor::new(OriginPolicy::SameHost)
                .timer(Tokio)
                .accept_unmasked_frame(ControlledNetwork::new().loopback());
            let mut websocket = acceptor
                .accept(Stream::new(theirs), PeerAddr::Local)
                .await?;
            let ws_tokio::Masking::Server(masking) = websocket.masking() else {
                panic!("a server is no client");
            };
            assert!(masking.accept_unmasked_frame());
            websocket.send("Hello").await?;
            websocket.receive().await.map(drop)
        });
        let request = ClientRequest::new(Uri::parse("ws://localhost/").unwrap());
        let mut websocket = client_on(ours, request).await.unwrap();
        let hello = websocket.receive().await.unwrap();
        assert_eq!(hello, Some(Message::from("Hello")));
        websocket.close(CloseCode::NORMAL, "").await.unwrap();
        server.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn end_of_our_direction_is_that_of_tokios_stream() {
    limited(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut raw = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let refused = tokio::spawn(accept(stream));
        raw.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        // To the end: the server has closed its direction behind the refusal.
        let mut answer = String::new();
        raw.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        drop(raw);
        let outcome = refused.await.unwrap();
        assert!(matches!(outcome, Err(Error::Handshake(_))), "{outcome:?}");
    })
    .await;
}
