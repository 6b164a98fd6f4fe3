//! The same over loopback TCP.

use std::{io, time::Duration};

use smol::{
    future::zip,
    net::{TcpListener, TcpStream},
};
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Connector, ControlledNetwork, Error, Message, OriginPolicy,
    Timeout, Uri, WebSocket, accept, connect,
};

use crate::support::run;

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

async fn echo(mut websocket: WebSocket<TcpStream>) -> WebSocket<TcpStream> {
    while let Some(message) = websocket.receive().await.unwrap() {
        websocket.send(&message).await.unwrap();
    }
    websocket
}

#[test]
fn echo_over_tcp_and_a_clean_end_on_both_sides() {
    //= MSWS-2.1-1, RFC6455-4.1-8, RFC6455-6.1-7, RFC6455-7.1.1-3
    for zero_mask in [false, true] {
        run(async {
            let (listener, url) = listen().await;
            let server = async {
                let (stream, peer) = listener.accept().await.unwrap();
                let acceptor = Acceptor::new(OriginPolicy::SameHost)
                    .accept_unmasked_frame(ControlledNetwork::new().loopback());
                let mut websocket = echo(acceptor.accept(stream, peer).await.unwrap()).await;
                assert_eq!(websocket.close_status().unwrap().code, 1000);
                let zero_keys = websocket.take_frame_counts().zero_key;
                assert_eq!(zero_keys > 0, zero_mask);
                assert!(websocket.stream().is_none());
            };
            let client = async {
                let connector = Connector::new().set_mask_to_zero(zero_mask);
                let request = ClientRequest::new(Uri::parse(&url).unwrap());
                let mut websocket = connector.connect(request).await.unwrap();
                for len in [0, 1, 1000, 100_000, 5_000_000] {
                    let message = Message::Binary((0..len).map(|i| (i % 255) as u8).collect());
                    websocket.send(&message).await.unwrap();
                    assert_eq!(websocket.receive().await.unwrap(), Some(message));
                }
                websocket.close(CloseCode::NORMAL, "").await.unwrap();
                assert_eq!(websocket.receive().await.unwrap(), None);
            };
            zip(server, client).await;
        });
    }
}

#[test]
fn many_clients_of_one_executor() {
    run(async {
        let (listener, url) = listen().await;
        let server = smol::spawn(async move {
            let mut tasks = Vec::new();
            for _ in 0..50 {
                let (stream, _) = listener.accept().await.unwrap();
                let task = async { drop(echo(accept(stream).await.unwrap()).await) };
                tasks.push(smol::spawn(task));
            }
            for task in tasks {
                task.await;
            }
        });
        let clients: Vec<_> = (0..50)
            .map(|i| {
                let url = url.clone();
                smol::spawn(async move {
                    let mut websocket = connect(&url).await.unwrap();
                    for turn in 0..20 {
                        let text = format!("{i} {turn}");
                        websocket.send(&text[..]).await.unwrap();
                        let echoed = websocket.receive_ref().await.unwrap();
                        assert_eq!(echoed.unwrap().as_bytes(), text.as_bytes());
                    }
                    websocket.close(CloseCode::NORMAL, "").await.unwrap();
                })
            })
            .collect();
        for client in clients {
            client.await;
        }
        server.await;
    });
}

#[test]
fn both_write_ten_megabytes_before_either_reads() {
    run(async {
        let (listener, url) = listen().await;
        let payload = vec![9; 10 << 20];
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut websocket = accept(stream).await.unwrap();
            websocket.send(&payload[..]).await.unwrap();
            assert_eq!(websocket.receive().await.unwrap().unwrap().len(), 10 << 20);
            assert_eq!(websocket.receive().await.unwrap(), None);
        };
        let client = async {
            let mut websocket = connect(&url).await.unwrap();
            websocket.send(&payload[..]).await.unwrap();
            assert_eq!(websocket.receive().await.unwrap().unwrap().len(), 10 << 20);
            websocket.close(CloseCode::NORMAL, "").await.unwrap();
        };
        zip(server, client).await;
    });
}

#[test]
fn peer_that_breaks_a_limit_gets_its_close_although_it_still_sends() {
    run(async {
        let (listener, url) = listen().await;
        let server = async {
            let (stream, peer) = listener.accept().await.unwrap();
            let mut limits = ws_smol::Limits::default();
            limits.max_message = 1000;
            let acceptor = Acceptor::new(OriginPolicy::SameHost).limits(limits);
            let mut websocket = acceptor.accept(stream, peer).await.unwrap();
            assert!(matches!(websocket.receive().await, Err(Error::Protocol(_))));
        };
        let client = async {
            let mut websocket = connect(&url).await.unwrap();
            websocket.send(&vec![1; 3 << 20][..]).await.unwrap();
            let error = websocket.receive().await.unwrap_err();
            assert!(matches!(error, Error::ClosedByPeer(status) if status.code == 1009));
        };
        zip(server, client).await;
    });
}

#[test]
fn closed_port_is_an_io_error_and_the_next_address_is_tried() {
    //= RFC6455-4.1-10
    run(async {
        let (listener, url) = listen().await;
        let port = listener.local_addr().unwrap().port();
        // Where `localhost` has an IPv6 address, nothing listens there.
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            drop(accept(stream).await.unwrap());
        };
        let localhost = format!("ws://localhost:{port}/");
        let (websocket, ()) = zip(connect(&localhost), server).await;
        websocket.unwrap();
        drop(listener);
        let Err(Error::Io(error)) = connect(&url).await else {
            panic!("connected");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn server_that_never_answers_meets_the_deadline() {
    run(async {
        let (_listener, url) = listen().await;
        let connector = Connector::new().handshake_timeout(Duration::from_millis(10));
        let request = ClientRequest::new(Uri::parse(&url).unwrap());
        let outcome = connector.connect(request).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
    });
}
