//! Coming back, over loopback TCP.

use std::time::{Duration, Instant};

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
fn server_is_left_alone_as_long_as_it_asks_for() {
    run(async {
        let (listener, reconnect) = listen().await;
        let longest = Duration::from_millis(100);
        let mut reconnect = reconnect.backoff(Backoff::new(SHORT, longest));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 503 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            drop(accept_one(&listener).await);
        };
        let client = async {
            let started = Instant::now();
            drop(reconnect.connect().await.unwrap());
            // An hour is more than the longest wait.
            assert!(started.elapsed() >= longest);
        };
        zip(server, client).await;
    });
}
