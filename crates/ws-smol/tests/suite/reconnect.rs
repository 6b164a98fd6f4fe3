//! Coming back, over loopback TCP.

use std::time::Duration;

use smol::{
    future::zip,
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use ws_smol::{
    Acceptor, Backoff, ClientRequest, Connector, Error, OriginPolicy, Reconnect, Response, Uri,
};

use crate::support::run;

const SHORT: Duration = Duration::from_millis(1);

async fn listen() -> (TcpListener, Reconnect) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let request = ClientRequest::new(Uri::parse(&url).unwrap());
    let reconnect = Reconnect::new(Connector::new(), request).backoff(Backoff::new(SHORT, SHORT));
    (listener, reconnect)
}

async fn accept_one(listener: &TcpListener) -> ws_smol::WebSocket<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    ws_smol::accept(stream).await.unwrap()
}

async fn refuse_one(listener: &TcpListener, status: u16) {
    let (stream, peer) = listener.accept().await.unwrap();
    let outcome = Acceptor::new(OriginPolicy::Any)
        .accept_with(stream, peer, async |_, _| {
            ws_smol::Decision::respond(Response::new(status))
        })
        .await;
    assert!(matches!(outcome, Err(Error::Answered { .. })));
}

#[test]
fn lost_connection_is_followed_by_a_fresh_one() {
    run(async {
        let (listener, mut reconnect) = listen().await;
        let server = async {
            for text in ["one", "two", "three"] {
                let mut websocket = accept_one(&listener).await;
                websocket.send(text).await.unwrap();
                // No Close: the network fails.
            }
        };
        let client = async {
            for text in ["one", "two", "three"] {
                let mut websocket = reconnect.connect().await.unwrap();
                let message = websocket.receive().await.unwrap().unwrap();
                assert_eq!(message.as_bytes(), text.as_bytes());
                assert!(websocket.receive().await.is_err());
            }
        };
        zip(server, client).await;
    });
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_told() {
    run(async {
        let (listener, mut reconnect) = listen().await;
        let server = async {
            // Gone in the handshake, overloaded, garbage of a kind, and well.
            drop(listener.accept().await.unwrap());
            refuse_one(&listener, 503).await;
            refuse_one(&listener, 429).await;
            drop(accept_one(&listener).await);
            refuse_one(&listener, 404).await;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"SSH-2.0-x\r\n\r\n").await.unwrap();
        };
        let client = async {
            drop(reconnect.connect().await.unwrap());
            let Err(Error::Refused(response)) = reconnect.connect().await else {
                panic!("not refused");
            };
            assert_eq!(response.status, 404);
            let outcome = reconnect.connect().await;
            assert!(matches!(outcome, Err(Error::Handshake(_))), "{outcome:?}");
        };
        zip(server, client).await;
    });
}

#[test]
fn attempts_in_a_row_can_be_counted() {
    run(async {
        let (listener, reconnect) = listen().await;
        drop(listener);
        let mut reconnect = reconnect.max_attempts(3);
        for _ in 0..2 {
            assert!(matches!(reconnect.connect().await, Err(Error::Io(_))));
        }
        let mut reconnect = reconnect.retry_if(|_| false).max_attempts(u32::MAX);
        assert!(reconnect.connect().await.is_err());
    });
}

#[test]
fn connection_is_made_anew_by_a_function_of_the_users() {
    run(async {
        let (listener, _) = listen().await;
        let address = listener.local_addr().unwrap();
        let connector = Connector::new();
        let connect = async move |request: ClientRequest| {
            let stream = TcpStream::connect(address).await?;
            connector.handshake(stream, address, request).await
        };
        let request = ClientRequest::new(Uri::parse("ws://elsewhere.example/").unwrap());
        let mut reconnect = Reconnect::new(connect, request).backoff(Backoff::new(SHORT, SHORT));
        let server = async {
            drop(listener.accept().await.unwrap());
            drop(accept_one(&listener).await);
            drop(accept_one(&listener).await);
        };
        let client = async {
            drop(reconnect.connect().await.unwrap());
            drop(reconnect.connect().await.unwrap());
        };
        zip(server, client).await;
    });
}

#[test]
fn port_that_speaks_tls_is_not_tried_again() {
    run(async {
        let (listener, mut reconnect) = listen().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"\x15\x03\x01\0\x02\x02\x46")
                .await
                .unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let page = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n\
                <html><title>400 The plain HTTP request was sent to HTTPS port</title>";
            stream.write_all(page.as_bytes()).await.unwrap();
        };
        let client = async {
            let error = reconnect.connect().await.unwrap_err();
            assert!(error.to_string().contains("wss://"), "{error}");
            let error = reconnect.connect().await.unwrap_err();
            assert!(error.to_string().contains("sent to HTTPS port"), "{error}");
        };
        zip(server, client).await;
    });
}
