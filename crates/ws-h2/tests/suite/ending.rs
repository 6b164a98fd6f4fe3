//! How streams and connections end.

use std::io::ErrorKind;

use smol::{future::zip, io::AsyncWriteExt as _};
use ws_h2::{Config, Error, h2};
use ws_smol::{CloseCode, Message, PeerAddr};

use crate::{
    raw::{self, CONNECT, DATA, GOAWAY},
    support::{acceptor, connect, connection, echo, open, run, serve, served},
};

#[test]
fn a_closing_handshake_ends_the_stream_in_order_and_the_connection_goes_on() {
    //= RFC8441-5-9
    run(async {
        let (client, sockets, tasks) = served(&Config::default()).await;
        for _ in 0..3 {
            let (mut near, mut far) = open(&client, &sockets).await;
            let closing = async {
                near.send("last").await.unwrap();
                near.close(CloseCode::NORMAL, "done").await.unwrap();
                assert!(near.stream().is_none());
            };
            let receiving = async {
                assert_eq!(far.receive().await.unwrap(), Some(Message::from("last")));
                assert_eq!(far.receive().await.unwrap(), None);
            };
            zip(closing, receiving).await;
            let status = far.close_status().unwrap();
            assert_eq!((status.code, status.reason.as_str()), (1000, "done"));
        }
        drop(client);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_server_that_closes_first_has_its_last_words_heard() {
    run(async {
        let (client, sockets, _tasks) = served(&Config::default()).await;
        let (mut near, mut far) = open(&client, &sockets).await;
        let closing = async {
            far.queue(vec![7; 200_000]).unwrap();
            far.close(CloseCode::GOING_AWAY, "bye").await.unwrap();
            drop(far);
        };
        let receiving = async {
            let message = near.receive().await.unwrap().unwrap();
            assert_eq!(message.len(), 200_000);
            assert_eq!(near.receive().await.unwrap(), None);
            assert_eq!(near.close_status().unwrap().reason, "bye");
        };
        zip(closing, receiving).await;
    });
}

#[test]
fn a_stream_that_is_dropped_is_reset_and_that_is_an_error() {
    //= RFC8441-5-9
    run(async {
        let (client, sockets, _tasks) = served(&Config::default()).await;
        let (mut near, far) = open(&client, &sockets).await;
        drop(far);
        let Err(ws_smol::Error::Io(error)) = near.receive().await else {
            panic!("a reset is no end")
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let inner = error.into_inner().unwrap().downcast::<h2::Error>();
        let reason = inner.unwrap().reason();
        assert_eq!(reason, Some(h2::Reason::CANCEL));
        // Neither the connection nor its other streams are touched.
        let (near, mut far) = open(&client, &sockets).await;
        drop(near);
        assert!(matches!(
            far.receive().await,
            Err(ws_smol::Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset
        ));
    });
}

#[test]
fn every_websocket_of_a_lost_connection_gets_one_clear_end() {
    run(async {
        let (client, sockets, tasks) = served(&Config::default()).await;
        let mut open_ones = Vec::new();
        for _ in 0..20 {
            open_ones.push(open(&client, &sockets).await);
        }
        for task in tasks {
            task.cancel().await;
        }
        for (near, far) in &mut open_ones {
            for socket in [near, far] {
                assert!(socket.receive().await.is_err());
                assert_eq!(socket.receive().await.unwrap(), None);
                assert!(socket.send("x").await.is_err());
            }
        }
    });
}

#[test]
fn a_server_that_drains_takes_no_more_and_ends_with_its_last_stream() {
    run(async {
        let (client, _driver, mut server) = connection(&Config::default()).await;
        let connecting = smol::spawn({
            let client = client.clone();
            async move { connect(&client).await }
        });
        let incoming = server.accept().await.unwrap().unwrap();
        let far = incoming.accept(&acceptor(), PeerAddr::Unknown).unwrap();
        smol::spawn(echo(far)).detach();
        server.drain();
        let (sockets, task) = serve(server, acceptor());
        let mut near = connecting.await.unwrap();
        near.send("still here").await.unwrap();
        assert_eq!(
            near.receive().await.unwrap(),
            Some(Message::from("still here"))
        );
        let error = connect(&client).await.unwrap_err();
        assert!(matches!(error, Error::Http2(_)), "{error}");
        near.close(CloseCode::NORMAL, "").await.unwrap();
        drop(near);
        task.await.unwrap();
        assert!(sockets.is_empty());
    });
}

#[test]
fn a_client_that_gives_up_resets_its_stream() {
    run(async {
        let (client, _driver, mut server) = connection(&Config::default()).await;
        let mut connecting = Box::pin(connect(&client));
        let incoming = loop {
            // The client's future and the server have turns until the request is there.
            let _ = smol::future::poll_once(&mut connecting).await;
            if let Some(incoming) = smol::future::poll_once(server.accept()).await {
                break incoming.unwrap().unwrap();
            }
            smol::future::yield_now().await;
        };
        drop(connecting);
        drop(client);
        assert!(server.accept().await.unwrap().is_none());
        let error = match incoming.accept(&acceptor(), PeerAddr::Unknown) {
            Err(Error::Http2(error)) => error,
            other => panic!("{other:?}"),
        };
        assert!(!error.is_io(), "{error}");
    });
}

#[test]
fn goaway_in_the_middle_ends_every_websocket_once() {
    run(async {
        let (mut near, mut server) = raw::client(&Config::default()).await;
        let mut sockets = Vec::new();
        for stream in [1, 3, 5] {
            let head = raw::headers(stream, &CONNECT);
            near.write_all(&head).await.unwrap();
            let incoming = server.accept().await.unwrap().unwrap();
            sockets.push(incoming.accept(&acceptor(), PeerAddr::Unknown).unwrap());
        }
        // A frame of a message that never ends, and a goodbye with PROTOCOL_ERROR.
        let begun = raw::frame(DATA, 0, 3, b"\x01\x85\0\0\0\0Hello");
        let goaway = raw::frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]);
        near.write_all(&[begun, goaway].concat()).await.unwrap();
        drop(near);
        while let Ok(Some(_)) = server.accept().await {}
        for mut socket in sockets {
            assert!(socket.receive().await.is_err());
            assert_eq!(socket.receive().await.unwrap(), None);
            assert!(socket.send("Hi").await.is_err());
        }
    });
}
