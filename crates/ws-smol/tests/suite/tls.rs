//! TLS over loopback TCP: conversations, refusals, and the end.

use std::{future::Future, sync::Arc, time::Duration};

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use ws_smol::{
    Acceptor, ClientRequest, ClientTls, CloseCode, Config, Connector, ControlledNetwork, Error,
    Gate, Masking, MaybeTls, MemoryBudget, Message, NotAdmitted, OriginPolicy, PeerAddr, ServerTls,
    Timeout, TlsAcceptor, TlsConnection, TlsError, Uri, WebSocket, rustls,
};
use ws_testkit::{
    certificates::{Ca, Identity},
    tls::{FIRST_BYTES, Side, client_of, records, server_of, speaking},
};

use crate::support::{Chaotic, Pipe, once, pipe, run};

fn acceptor() -> Acceptor {
    Acceptor::new(OriginPolicy::SameHost)
}

fn connector(ca: &Ca) -> Connector {
    Connector::new().tls(client_of(ca))
}

async fn listen() -> (TcpListener, ClientRequest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let uri = Uri::parse(&format!("wss://localhost:{port}/")).unwrap();
    (listener, ClientRequest::new(uri))
}

type Secured = WebSocket<MaybeTls<TcpStream>>;

/// Lets a client meet a server; returns what came of it on both sides.
async fn meet(
    acceptor: &TlsAcceptor,
    connector: &Connector,
) -> (Result<Secured, Error>, Result<Secured, Error>) {
    let (listener, request) = listen().await;
    let server = async {
        let (stream, peer) = listener.accept().await.unwrap();
        acceptor.accept(stream, peer).await
    };
    zip(connector.connect(request), server).await
}

async fn echo<S>(mut websocket: WebSocket<S>) -> WebSocket<S>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    while let Some(message) = websocket.receive().await.unwrap() {
        websocket.send(&message).await.unwrap();
    }
    websocket
}

async fn talk_and_close<S>(mut websocket: WebSocket<S>)
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    for len in [0, 1, 1000, 16 * 1024, 100_000, 3_000_000] {
        let message = Message::Binary((0..len).map(|i| (i % 251) as u8).collect());
        websocket.send(&message).await.unwrap();
        assert_eq!(websocket.receive().await.unwrap(), Some(message));
    }
    websocket.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(websocket.close_status().unwrap().code, 1000);
}

#[test]
fn echo_and_a_clean_end_with_both_versions_and_both_flags() {
    //= MSWS-1.6-3, MSWS-3.1.3-1, MSWS-3.2.3-1
    let ca = Ca::new("ours");
    let identity = ca.issue("localhost");
    let network = ControlledNetwork::new().loopback().require_tls();
    let acceptor = acceptor()
        .accept_unmasked_frame(network.clone())
        .tls(server_of(&identity));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        let pem = ca.pem();
        let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
        roots.add(certificate.unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let connector = Connector::new()
            .tls(ClientTls::from_rustls(Arc::new(config)))
            .set_mask_to_zero(network.clone());
        run(async {
            let (client, server) = meet(&acceptor, &connector).await;
            let (client, server) = (client.unwrap(), server.unwrap());
            let Masking::Client(masking) = client.masking() else {
                panic!("not a client");
            };
            assert!(masking.set_mask_to_zero());
            let Masking::Server(masking) = server.masking() else {
                panic!("not a server");
            };
            assert!(masking.accept_unmasked_frame());
            let stream = client.stream().unwrap();
            assert!(stream.is_tls());
            let tls = stream.tls().unwrap();
            assert_eq!(tls.state().protocol_version(), Some(version.version));
            let server = async {
                let mut server = echo(server).await;
                assert!(server.take_frame_counts().zero_key > 0);
                assert_eq!(server.close_status().unwrap().code, 1000);
            };
            zip(talk_and_close(client), server).await;
        });
    }
}

#[test]
fn tls_goes_over_a_stream_of_ones_own_in_both_roles() {
    //= MSWS-1.6-3
    let ca = Ca::new("ours");
    let network = ControlledNetwork::new().loopback().require_tls();
    let acceptor = acceptor()
        .accept_unmasked_frame(network.clone())
        .tls(server_of(&ca.issue("a.example")));
    let connector = connector(&ca).set_mask_to_zero(network);
    let request = || ClientRequest::new(Uri::parse("wss://a.example/").unwrap());
    run(async {
        let (near, far) = pipe(10_000);
        let (near, far) = (Chaotic::new(near, 1, 3_000), Chaotic::new(far, 2, 3_000));
        let client = connector.connect_over(near, PeerAddr::Local, request());
        let (client, server) = zip(client, acceptor.accept(far, PeerAddr::Local)).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        assert!(client.stream().unwrap().is_tls() && server.stream().unwrap().is_tls());
        let (Masking::Client(masking), Masking::Server(accepting)) =
            (client.masking(), server.masking())
        else {
            panic!("other roles");
        };
        assert!(masking.set_mask_to_zero() && accepting.accept_unmasked_frame());
        zip(talk_and_close(client), echo(server)).await;

        // The defaults trust whom the platform trusts, and not this one.
        let (near, far) = pipe(10_000);
        let client = ws_smol::client_on(near, request());
        let (client, server) = zip(client, acceptor.accept(far, PeerAddr::Local)).await;
        assert!(
            matches!(client, Err(Error::Tls(_) | Error::TlsConfig(_))),
            "{client:?}"
        );
        assert!(server.is_err());
    });
}

#[test]
fn streams_of_ones_own_may_lie_above_tls_in_both_roles() {
    let ca = Ca::new("ours");
    let acceptor = acceptor();
    let secure = acceptor.clone().tls(server_of(&ca.issue("localhost")));
    let connector = connector(&ca);
    run(async {
        let (listener, request) = listen().await;
        let client = async {
            let (tcp, peer) = connector.connect_tcp(request.uri()).await.unwrap();
            assert_eq!(peer, listener.local_addr().unwrap().into());
            let tls = connector.encrypt(tcp, request.uri()).await.unwrap();
            assert!(tls.is_tls());
            let above = Chaotic::new(tls, 1, 3_000);
            let connector = connector.clone().under_tls();
            connector.handshake(above, peer, request.clone()).await
        };
        let server = async {
            let (stream, peer) = listener.accept().await.unwrap();
            let tls = secure.encrypt(stream).await.unwrap();
            let above = Chaotic::new(tls, 2, 3_000);
            acceptor.clone().under_tls().accept(above, peer).await
        };
        let (client, server) = zip(client, server).await;
        zip(talk_and_close(client.unwrap()), echo(server.unwrap())).await;
    });
}

#[test]
fn url_without_tls_leaves_a_stream_as_it_is() {
    let uri = Uri::parse("ws://localhost/").unwrap();
    run(async {
        let (near, _far) = pipe(10_000);
        let stream = Connector::new().encrypt(near, &uri).await.unwrap();
        assert!(!stream.is_tls());
    });
}

#[test]
fn flag_that_demands_tls_stays_off_without() {
    //= MSWS-1.6-3
    let network = ControlledNetwork::new().loopback().require_tls();
    for is_under_tls in [false, true] {
        let (near, far) = pipe(10_000);
        let mut connector = Connector::new().set_mask_to_zero(network.clone());
        let mut acceptor = acceptor().accept_unmasked_frame(network.clone());
        if is_under_tls {
            (connector, acceptor) = (connector.under_tls(), acceptor.under_tls());
        }
        let request = ClientRequest::new(Uri::parse("ws://a/").unwrap());
        let client = connector.handshake(near, PeerAddr::Local, request);
        let (client, server) = run(zip(client, acceptor.accept(far, PeerAddr::Local)));
        let (client, server) = (client.unwrap(), server.unwrap());
        let (Masking::Client(client), Masking::Server(server)) =
            (client.masking(), server.masking())
        else {
            panic!("other roles");
        };
        assert_eq!(client.set_mask_to_zero(), is_under_tls);
        assert_eq!(server.accept_unmasked_frame(), is_under_tls);
    }
}

#[test]
fn certificates_that_are_wrong_are_refused_by_cause() {
    let ca = Ca::new("ours");
    for (identity, is_cause) in ca.wrong_for("localhost") {
        run(async {
            let acceptor = acceptor().tls(server_of(&identity));
            let (client, server) = meet(&acceptor, &connector(&ca)).await;
            let Err(Error::Tls(cause)) = client else {
                panic!("{client:?}");
            };
            assert!(is_cause(&cause), "{cause:?}");
            assert!(!Error::Tls(cause).is_temporary());
            assert!(
                matches!(
                    server,
                    Err(Error::Tls(TlsError::Alert { .. }) | Error::Io(_))
                ),
                "{server:?}"
            );
        });
    }
}

#[test]
fn mutual_tls_lets_in_who_has_a_certificate() {
    let ca = Ca::new("ours");
    let (server, client) = (ca.issue("localhost"), ca.issue("client"));
    let stranger = Ca::new("theirs").issue("client");
    let tls = ServerTls::builder()
        .identity(server.cert.as_bytes(), server.key.as_bytes())
        .client_ca(ca.pem().as_bytes())
        .build()
        .unwrap();
    let acceptor = acceptor().tls(tls);
    let with = |identity: &Identity| {
        let pem = ca.pem();
        let builder = ClientTls::builder()
            .ca(pem.as_bytes())
            .identity(identity.cert.as_bytes(), identity.key.as_bytes());
        Connector::new().tls(builder.build().unwrap())
    };
    run(async {
        let (client, server) = meet(&acceptor, &with(&client)).await;
        let server = server.unwrap();
        let certificates = server
            .stream()
            .unwrap()
            .tls()
            .unwrap()
            .state()
            .peer_certificates();
        assert_eq!(certificates.unwrap().len(), 1);
        drop(client.unwrap());

        let (client, server) = meet(&acceptor, &connector(&ca)).await;
        for outcome in [client, server] {
            assert!(
                matches!(outcome, Err(Error::Tls(TlsError::NoClientCertificate(_)))),
                "{outcome:?}"
            );
        }
        let (client, server) = meet(&acceptor, &with(&stranger)).await;
        assert!(
            matches!(server, Err(Error::Tls(TlsError::UnknownIssuer(_)))),
            "{server:?}"
        );
        assert!(
            matches!(client, Err(Error::Tls(TlsError::Alert { .. }))),
            "{client:?}"
        );
    });
}

#[test]
fn first_bytes_on_a_port_for_tls_are_answered() {
    let acceptor = acceptor().tls(server_of(&Ca::new("ours").issue("localhost")));
    for (bytes, answer) in FIRST_BYTES {
        let (mut near, far) = pipe(100_000);
        let client = async {
            near.write_all(bytes).await.unwrap();
            near.close().await.unwrap();
            let mut answered = Vec::new();
            near.read_to_end(&mut answered).await.unwrap();
            assert!(answered.starts_with(answer), "{bytes:?}: {answered:?}");
            assert_eq!(answer.is_empty(), answered.is_empty());
        };
        let (outcome, ()) = run(zip(acceptor.accept(far, PeerAddr::Local), client));
        assert!(matches!(outcome, Err(Error::Tls(_))), "{outcome:?}");
    }
}

#[test]
fn tls_with_a_server_of_plain_http_is_named() {
    let ca = Ca::new("ours");
    run(async {
        let (listener, request) = listen().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // As a server answers that takes the first line for a bad request.
            let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        };
        let connector = connector(&ca);
        let (client, ()) = zip(connector.connect(request), server).await;
        assert!(
            matches!(client, Err(Error::Tls(TlsError::NotTls(_)))),
            "{client:?}"
        );
    });
}

#[test]
fn drain_breaks_off_a_tls_handshake() {
    run(async {
        let gate = Gate::new(10, 10);
        let tls = server_of(&Ca::new("ours").issue("localhost"));
        let acceptor = acceptor().gate(&gate).tls(tls);
        let (near, far) = pipe(10_000);
        let mut accepting = Box::pin(acceptor.accept(far, PeerAddr::Unknown));
        assert!(once(&mut accepting).await.is_none());
        gate.drain(Duration::from_secs(1000), Duration::from_secs(1000));
        let error = accepting.await.unwrap_err();
        assert!(
            matches!(error, Error::NotAdmitted(NotAdmitted::Draining)),
            "{error}"
        );
        assert!(near.is_dropped());
    });
}

#[test]
fn handshake_deadline_covers_tls() {
    let ca = Ca::new("ours");
    let timeout = Duration::from_millis(20);
    run(async {
        let acceptor = acceptor()
            .handshake_timeout(timeout)
            .tls(server_of(&ca.issue("localhost")));
        let (_near, far) = pipe(1000);
        let outcome = acceptor.accept(far, PeerAddr::Local).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));

        let (_listener, request) = listen().await;
        let connector = connector(&ca).handshake_timeout(timeout);
        let outcome = connector.connect(request).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
    });
}

/// Makes a connection whose bytes go through `forward`: from the server's end
/// of a pipe to the client's end of another.
async fn through<T>(
    talk: impl AsyncFnOnce(Secured, WebSocket<MaybeTls<Pipe>>) -> T,
    forward: impl AsyncFnOnce(TcpStream, Pipe),
) -> T {
    let ca = Ca::new("ours");
    let acceptor = acceptor().tls(server_of(&ca.issue("localhost")));
    let (listener, request) = listen().await;
    let (near, far) = pipe(100_000);
    let forward = async {
        let (stream, _) = listener.accept().await.unwrap();
        forward(stream, near).await;
    };
    let connector = connector(&ca);
    let talk = async {
        let client = connector.connect(request);
        let (client, server) = zip(client, acceptor.accept(far, PeerAddr::Local)).await;
        talk(client.unwrap(), server.unwrap()).await
    };
    zip(forward, talk).await.1
}

/// Copies up to the end of the one, or until the other is gone.
async fn copy(
    mut from: impl smol::io::AsyncRead + Unpin,
    mut to: impl smol::io::AsyncWrite + Unpin,
) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        all.extend_from_slice(&buffer[..len]);
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    let _ = to.close().await;
    all
}

#[test]
fn close_and_then_close_notify_and_then_the_end_on_both_sides() {
    run(through(
        async |mut client, mut server| {
            let client = async {
                client.close(CloseCode::NORMAL, "").await.unwrap();
                assert!(client.stream().is_none());
            };
            let server = async {
                assert_eq!(server.receive().await.unwrap(), None);
            };
            zip(client, server).await;
        },
        async |stream, near| {
            let (from_server, to_server) = smol::io::split(near);
            let to_client = stream.clone();
            let (sent, answered) = zip(copy(stream, to_server), copy(from_server, to_client)).await;
            // The Close and close_notify are the last two records of each, and
            // encrypted ones; an alert has one byte for its inner type, two for
            // itself and 16 for the tag.
            for bytes in [sent, answered] {
                let records = records(&bytes);
                let [.., close, notify] = &records[..] else {
                    panic!("{records:?}");
                };
                assert_eq!((close.0, *notify), (23, (23, 19)), "{records:?}");
            }
        },
    ));
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Carries bytes between a side that is driven by hand and the stream below it.
async fn carry(side: &mut Side, stream: &mut Pipe, until: impl Fn(&Side) -> bool) {
    let mut buffer = [0; 4096];
    loop {
        stream.write_all(&side.sent()).await.unwrap();
        if until(side) {
            return;
        }
        let len = stream.read(&mut buffer).await.unwrap();
        side.receive(&buffer[..len]).unwrap();
    }
}

#[test]
fn stream_that_ends_without_a_close_is_lost() {
    let (client, server) = speaking(&rustls::version::TLS13);
    let acceptor = acceptor().tls(server);
    for says_close_notify in [false, true] {
        let (mut near, far) = pipe(100_000);
        let client = async {
            let mut side = Side::begun(&client);
            carry(&mut side, &mut near, |side| !side.tls.is_handshaking()).await;
            side.send(REQUEST);
            carry(&mut side, &mut near, |side| {
                side.plain.ends_with(b"\r\n\r\n")
            })
            .await;
            if says_close_notify {
                side.close();
                carry(&mut side, &mut near, |_| true).await;
            }
            near.close().await.unwrap();
        };
        let server = async {
            let mut server = acceptor.accept(far, PeerAddr::Local).await.unwrap();
            let error = server.receive().await.unwrap_err();
            assert!(matches!(error, Error::ConnectionLost), "{error:?}");
            assert!(error.is_temporary());
            assert_eq!(server.close_status().unwrap().code, 1006);
        };
        run(zip(client, server));
    }
}

#[test]
fn end_without_close_notify_after_both_closes_is_an_end() {
    let ca = Ca::new("ours");
    let identity = ca.issue("localhost");
    run(async {
        let acceptor = acceptor().tls(server_of(&identity));
        let (client, server) = meet(&acceptor, &connector(&ca)).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        let raw = server.stream().unwrap().get_ref().clone();
        let server = async {
            // The reply to the Close is sent, and the transport cut off.
            let message = once(server.receive()).await;
            assert!(message.is_none() || matches!(message, Some(Ok(None))));
            let _ = server.receive().await;
            let _ = raw.shutdown(std::net::Shutdown::Both);
        };
        let (outcome, ()) = zip(client.close(CloseCode::NORMAL, ""), server).await;
        outcome.unwrap();
    });
}

#[test]
fn transport_that_gives_and_takes_little_carries_tls() {
    let ca = Ca::new("ours");
    let acceptor = acceptor().tls(server_of(&ca.issue("localhost")));
    for seed in 1..4 {
        run(async {
            let (listener, request) = listen().await;
            let server = async {
                let (stream, peer) = listener.accept().await.unwrap();
                let stream = Chaotic::new(stream, seed, 1 << (4 * seed + 3));
                echo(acceptor.accept(stream, peer).await.unwrap()).await
            };
            let client = async {
                let client = connector(&ca).connect(request).await.unwrap();
                talk_and_close(client).await;
            };
            zip(server, client).await;
        });
    }
}

#[test]
fn storm_of_handshakes_comes_through() {
    let ca = Ca::new("ours");
    let mut config = Config::default();
    config.tls_handshakes_per_turn = 2;
    let acceptor = acceptor()
        .config(config)
        .tls(server_of(&ca.issue("localhost")));
    run(async {
        let meetings: Vec<_> = (0..50)
            .map(|_| {
                let (acceptor, connector) = (acceptor.clone(), connector(&ca));
                smol::spawn(async move {
                    let (client, server) = meet(&acceptor, &connector).await;
                    let (mut client, mut server) = (client.unwrap(), server.unwrap());
                    client.send("there").await.unwrap();
                    assert!(server.receive().await.unwrap().is_some());
                })
            })
            .collect();
        for meeting in meetings {
            meeting.await;
        }
    });
}

#[test]
fn plain_urls_have_the_same_type() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = async {
            let (stream, peer) = listener.accept().await.unwrap();
            acceptor().accept(MaybeTls::from(stream), peer).await
        };
        let (client, server) = zip(ws_smol::connect(&url), server).await;
        let (client, server): (Secured, Secured) = (client.unwrap(), server.unwrap());
        assert!(!client.stream().unwrap().is_tls());
        assert!(server.stream().unwrap().tls().is_none());
    });
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn is_send(_: impl Future + Send) {}
    let ca = Ca::new("ours");
    let acceptor = acceptor().tls(server_of(&ca.issue("localhost")));
    is_send(acceptor.accept(smol::io::Cursor::new(Vec::new()), PeerAddr::Local));
    is_send(connector(&ca).connect(ClientRequest::new(Uri::parse("wss://a/").unwrap())));
}

#[test]
fn idle_connection_owns_what_rustls_keeps_and_no_buffer() {
    let ca = Ca::new("ours");
    let acceptor = acceptor().tls(server_of(&ca.issue("localhost")));
    let connector = connector(&ca);
    // What the thread and the process keep is there after the first round.
    for round in 0..2 {
        let mut idle = Vec::new();
        let memory = allocation_counter::measure(|| {
            run(async {
                for len in [10, 300_000] {
                    let (client, server) = meet(&acceptor, &connector).await;
                    let (mut client, mut server) = (client.unwrap(), server.unwrap());
                    let message = Message::Binary(vec![1; len]);
                    for _ in 0..3 {
                        let (sent, received) = zip(client.send(&message), server.receive()).await;
                        sent.unwrap();
                        assert_eq!(received.unwrap().as_ref(), Some(&message));
                        let (sent, received) = zip(server.send(&message), client.receive()).await;
                        sent.unwrap();
                        assert_eq!(received.unwrap().as_ref(), Some(&message));
                    }
                    assert!(once(server.receive()).await.is_none());
                    assert!(once(client.receive()).await.is_none());
                    idle.push((client, server));
                }
            });
        });
        let ends = 2 * idle.len() as i64;
        let each = memory.bytes_current / ends;
        assert!(round == 0 || each < 8 * 1024, "{each} bytes each");
    }
}

#[test]
fn state_of_a_tls_connection_counts_as_memory() {
    let ca = Ca::new("ours");
    let mut config = Config::default();
    config.memory = MemoryBudget::new(1 << 20);
    let budget = config.memory.clone();
    let server = acceptor()
        .config(config)
        .tls(server_of(&ca.issue("localhost")));
    let held = run(async {
        let (listener, request) = listen().await;
        let client = connector(&ca);
        let connect = client.connect(request);
        let accept = async {
            let (stream, peer) = listener.accept().await.unwrap();
            server.accept(stream, peer).await
        };
        let (client, server) = zip(connect, accept).await;
        let (_client, _server) = (client.unwrap(), server.unwrap());
        budget.held()
    });
    let footprint = TlsConnection::FOOTPRINT;
    assert!((footprint..2 * footprint).contains(&held), "{held}");
    assert_eq!(budget.held(), 0);
}
