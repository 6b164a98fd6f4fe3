//! How WebSockets are opened and refused.

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_h2::{Client, Config, Error};
use ws_smol::{CloseCode, Connector, Decision, Message, PeerAddr, Response, duplex};

use crate::{
    raw::{self, CONNECT, HEADERS, PREFACE, RST_STREAM, SETTINGS, read_until},
    support::{acceptor, connect, connection, echo, open, request, run, served},
};

#[test]
fn many_websockets_live_in_one_connection() {
    //= RFC8441-5-8
    run(async {
        let (client, sockets, _tasks) = served(&Config::default()).await;
        let mut clients = Vec::new();
        for i in 0..100_u8 {
            let (mut near, far) = open(&client, &sockets).await;
            smol::spawn(echo(far)).detach();
            near.queue(vec![i; 1000 + usize::from(i)]).unwrap();
            clients.push(near);
        }
        for near in &mut clients {
            near.flush().await.unwrap();
        }
        for (i, near) in clients.iter_mut().enumerate() {
            let message = near.receive().await.unwrap().unwrap();
            assert_eq!(message, Message::from(vec![i as u8; 1000 + i]));
        }
        let ids: Vec<u32> = clients
            .iter()
            .map(|near| near.stream().unwrap().id())
            .collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| id % 2 == 1));
    });
}

#[test]
fn what_a_request_asks_for_is_agreed_on_as_over_http_1() {
    run(async {
        let (client, _driver, mut server) = connection(&Config::default()).await;
        let accepting = async {
            let incoming = server.accept().await.unwrap().unwrap();
            let seen = incoming.handshake().unwrap();
            assert_eq!((seen.path(), seen.cookie("a")), ("/chat", Some("b")));
            assert_eq!(seen.authority(), Some("localhost"));
            assert_eq!(seen.protocol(), Some("websocket"));
            let decision = Decision::accept()
                .subprotocol("chat")
                .header("x-served-by", "1");
            let far = incoming
                .decide(&acceptor(), PeerAddr::Unknown, decision)
                .unwrap();
            assert_eq!(far.subprotocol(), Some("chat"));
            // Keeps the connection going.
            assert!(server.accept().await.unwrap().is_none());
        };
        let connecting = async {
            let request = request().subprotocol("chat").unwrap();
            let request = request.header("Cookie", "a=b").unwrap();
            let connector = Connector::new();
            let near = client
                .connect(&connector, PeerAddr::Unknown, request)
                .await
                .unwrap();
            assert_eq!(near.subprotocol(), Some("chat"));
            let headers = near.response_headers().unwrap();
            assert_eq!(headers.get("X-Served-By"), Some(&b"1"[..]));
            drop((near, client));
        };
        zip(accepting, connecting).await;
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_negotiated_as_over_http_1() {
    run(async {
        let (client, _driver, server) = connection(&Config::default()).await;
        let acceptor = acceptor().deflate(ws_smol::DeflatePolicy::new());
        let (sockets, _task) = crate::support::serve(server, acceptor);
        let request = request().offer(ws_smol::DeflateOffer::new());
        let connector = Connector::new();
        let mut near = client
            .connect(&connector, PeerAddr::Unknown, request)
            .await
            .unwrap();
        let far = sockets.recv().await.unwrap();
        assert!(near.deflate().is_some() && near.deflate() == far.deflate());
        smol::spawn(echo(far)).detach();
        let text = "again and again ".repeat(1000);
        near.send(&text).await.unwrap();
        assert_eq!(near.receive().await.unwrap(), Some(Message::from(text)));
    });
}

#[test]
fn a_refusal_comes_with_its_body_and_the_connection_goes_on() {
    run(async {
        let (client, _driver, mut server) = connection(&Config::default()).await;
        let serving = async {
            let refused = server.accept().await.unwrap().unwrap();
            let response = Response::new(404).body("no such room");
            let decision = Decision::respond(response);
            let error = refused
                .decide(&acceptor(), PeerAddr::Unknown, decision)
                .unwrap_err();
            let Error::WebSocket(ws_smol::Error::Answered { status: 404 }) = error else {
                panic!("{error}")
            };
            let accepted = server.accept().await.unwrap().unwrap();
            let far = accepted.accept(&acceptor(), PeerAddr::Unknown).unwrap();
            let serving = async { while server.accept().await.unwrap().is_some() {} };
            let (echoed, ()) = zip(echo(far), serving).await;
            echoed.unwrap();
        };
        let connecting = async {
            let error = connect(&client).await.unwrap_err();
            let Error::WebSocket(ws_smol::Error::Refused(response)) = error else {
                panic!("{error}")
            };
            assert_eq!(response.status, 404);
            assert_eq!(response.body, b"no such room");
            assert!(!response.truncated);
            let mut near = connect(&client).await.unwrap();
            near.close(CloseCode::NORMAL, "").await.unwrap();
            drop((near, client));
        };
        zip(serving, connecting).await;
    });
}

#[test]
fn a_body_beyond_what_is_kept_is_cut() {
    run(async {
        let (client, _driver, mut server) = connection(&Config::default()).await;
        let serving = async {
            let incoming = server.accept().await.unwrap().unwrap();
            incoming
                .respond(&Response::new(500).body(vec![b'x'; 1000]))
                .unwrap();
            while server.accept().await.unwrap().is_some() {}
        };
        let connecting = async {
            let connector = Connector::new();
            let request = request().max_body(10);
            let error = client
                .connect(&connector, PeerAddr::Unknown, request)
                .await
                .unwrap_err();
            let Error::WebSocket(ws_smol::Error::Refused(response)) = error else {
                panic!("{error}")
            };
            assert_eq!((response.body.len(), response.truncated), (10, true));
            drop(client);
        };
        zip(serving, connecting).await;
    });
}

#[test]
fn an_origin_that_is_not_let_in_gets_403() {
    run(async {
        let (client, sockets, _tasks) = served(&Config::default()).await;
        let request = request().origin("https://evil.example").unwrap();
        let connector = Connector::new();
        let error = client
            .connect(&connector, PeerAddr::Unknown, request)
            .await
            .unwrap_err();
        let Error::WebSocket(ws_smol::Error::Refused(response)) = error else {
            panic!("{error}")
        };
        assert_eq!(response.status, 403);
        assert!(sockets.is_empty());
    });
}

#[test]
fn a_server_that_does_not_announce_it_is_asked_for_nothing() {
    //= RFC8441-3-2
    run(async {
        let (near, mut far) = duplex(64 * 1024);
        let (client, connection) = Client::handshake(near, &Config::default()).await.unwrap();
        let driver = smol::spawn(connection);
        let server = async {
            let mut preface = [0; 24];
            far.read_exact(&mut preface).await.unwrap();
            assert_eq!(preface, PREFACE);
            let settings = read_until(&mut far, SETTINGS).await;
            assert_eq!(settings.flags, 0);
            // One at a time, so that the client waits in between.
            for byte in raw::frame(SETTINGS, 0, 0, &[]) {
                far.write_all(&[byte]).await.unwrap();
                smol::future::yield_now().await;
            }
            let ack = read_until(&mut far, SETTINGS).await;
            assert_eq!(ack.flags, raw::ACK);
            while let Some(frame) = raw::read_frame(&mut far).await {
                assert_ne!(frame.kind, HEADERS, "nothing is asked for");
            }
        };
        let connecting = async {
            let error = connect(&client).await.unwrap_err();
            assert!(
                matches!(error, Error::ExtendedConnectNotSupported),
                "{error}"
            );
            drop(client);
            driver.await.unwrap();
        };
        zip(server, connecting).await;
    });
}

#[test]
fn a_connection_that_ends_before_its_settings_is_an_error() {
    run(async {
        let (near, far) = duplex(64 * 1024);
        let (client, connection) = Client::handshake(near, &Config::default()).await.unwrap();
        let driver = smol::spawn(connection);
        drop(far);
        let error = connect(&client).await.unwrap_err();
        assert!(
            matches!(error, Error::Http2(_) | Error::ExtendedConnectNotSupported),
            "{error}"
        );
        drop((client, driver.await));
    });
}

#[test]
fn a_secure_url_is_not_sent_without_tls() {
    run(async {
        let (client, _sockets, _tasks) = served(&Config::default()).await;
        let request = || {
            let uri = ws_smol::Uri::parse("wss://localhost/").unwrap();
            ws_smol::ClientRequest::new(uri)
        };
        let connector = Connector::new();
        let connecting = client.connect(&connector, PeerAddr::Unknown, request());
        let error = connecting.await.unwrap_err();
        assert!(matches!(error, Error::WebSocket(ws_smol::Error::NoTls)));
        let connector = connector.under_tls();
        let connecting = client.connect(&connector, PeerAddr::Unknown, request());
        connecting.await.unwrap();
    });
}

#[test]
fn what_is_no_websocket_is_told_by_its_status_and_what_is_malformed_by_a_reset() {
    //= RFC9220-3-2
    //= RFC9113-8.1.1-1
    let changed = |name: &'static str, value: &'static str| {
        CONNECT.map(|field| match field.0 == name {
            true => (name, value),
            false => field,
        })
    };
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "localhost"),
    ];
    let mut host = CONNECT.to_vec();
    host.push(("host", "other"));
    let cases: [(&[_], _, u8); 4] = [
        (&get, "not_extended_connect", HEADERS),
        (
            &changed(":protocol", "connect-udp"),
            "unsupported_protocol",
            HEADERS,
        ),
        (
            &changed("sec-websocket-version", "8"),
            "unsupported_version",
            HEADERS,
        ),
        (&host, "host_mismatch", RST_STREAM),
    ];
    for (fields, kind, answer) in cases {
        run(async {
            let (mut near, mut server) = raw::client(&Config::default()).await;
            near.write_all(&raw::headers(1, fields)).await.unwrap();
            let incoming = server.accept().await.unwrap().unwrap();
            let error = incoming.accept(&acceptor(), PeerAddr::Unknown).unwrap_err();
            let Error::WebSocket(ws_smol::Error::Handshake(error)) = error else {
                panic!("{error}")
            };
            assert_eq!(error.kind(), kind);
            let reading = async {
                let frame = read_until(&mut near, answer).await;
                assert_eq!(frame.stream, 1);
                if answer == RST_STREAM {
                    assert_eq!(frame.code(), 1, "PROTOCOL_ERROR");
                }
                drop(near);
            };
            let (_, ()) = zip(server.accept(), reading).await;
        });
    }
}
