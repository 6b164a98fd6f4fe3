//! Both opening handshakes, over in-memory transports.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use smol::{
    future::zip,
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
};
use ws_smol::{
    Acceptor, ClientRequest, Config, Connector, ControlledNetwork, Decision, Error, Gate,
    HandshakeError, HeadLimits, Masking, Message, OriginPolicy, PeerAddr, Response, Timeout, Uri,
    accept, client_on,
};

use crate::support::{Chaotic, config, masked, once, pipe, put, read_all, run};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

fn request(url: &str) -> ClientRequest {
    ClientRequest::new(Uri::parse(url).unwrap())
}

#[cfg(not(feature = "deflate"))]
#[test]
fn build_without_compression_declines_it_and_is_asked_for_none() {
    use ws_handshake::{DeflateOffer, DeflatePolicy};

    let field_of = |error| match error {
        Error::Config(error) => error.field,
        error => panic!("{error}"),
    };
    let (near, far) = pipe(1000);
    let offering = request("ws://example.com/").offer(DeflateOffer::default());
    let error = run(client_on(near, offering)).unwrap_err();
    assert_eq!(field_of(error), "request.offers");
    assert_eq!(run(read_all(far)), "", "nothing was sent");

    let agreeing = Acceptor::new(OriginPolicy::Any).deflate(DeflatePolicy::new());
    let (_, far) = pipe(1000);
    let error = run(agreeing.accept(far, PeerAddr::Local)).unwrap_err();
    assert_eq!(field_of(error), "deflate");

    let (mut near, far) = pipe(1000);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let asked = [REQUEST, offer].concat();
    let (accepted, ()) = run(zip(accept(far), put(&mut near, asked.as_bytes())));
    drop(accepted.unwrap());
    let reply = run(read_all(near));
    assert!(reply.starts_with("HTTP/1.1 101") && !reply.contains("Extensions"));
}

#[test]
fn client_and_server_agree_over_any_transport() {
    for seed in 0..20 {
        let (near, far) = pipe(100);
        let acceptor = Acceptor::new(OriginPolicy::SameHost).subprotocols(["b", "c"]);
        let asked = request("ws://example.com/chat?x=1")
            .subprotocol("a")
            .unwrap()
            .subprotocol("b")
            .unwrap()
            .header("X-Token", "1234")
            .unwrap();
        let client = async {
            let stream = Chaotic::new(near, seed, 50);
            let mut websocket = client_on(stream, asked).await.unwrap();
            assert_eq!(websocket.subprotocol(), Some("b"));
            let headers = websocket.response_headers().unwrap();
            assert_eq!(headers.get("Set-Cookie"), Some(&b"k=v"[..]));
            websocket.send("Hello").await.unwrap();
            websocket
        };
        let server = async {
            let stream = Chaotic::new(far, seed + 1, 50);
            let mut websocket = acceptor
                .accept_with(stream, PeerAddr::Unknown, async |request, _| {
                    assert_eq!(request.path(), "/chat");
                    assert_eq!(request.query(), Some("x=1"));
                    assert_eq!(request.header("x-token"), Some(&b"1234"[..]));
                    Decision::accept().header("Set-Cookie", "k=v")
                })
                .await
                .unwrap();
            assert_eq!(websocket.subprotocol(), Some("b"));
            let hello = websocket.receive().await.unwrap();
            assert_eq!(hello, Some(Message::from("Hello")));
            websocket
        };
        run(zip(client, server));
    }
}

#[test]
fn bytes_after_the_head_are_the_first_frames() {
    run(async {
        let (mut near, far) = pipe(10_000);
        let mut wire = format!("{REQUEST}\r\n").into_bytes();
        wire.extend(masked(0x81, b"early"));
        put(&mut near, &wire).await;
        let mut websocket = accept(far).await.unwrap();
        let early = Message::from("early");
        assert_eq!(websocket.receive().await.unwrap(), Some(early));
    });
}

#[test]
fn bad_request_is_refused_with_a_status_and_an_error() {
    run(async {
        for (request, status, kind) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n", "426 ", "not_upgrade"),
            ("POST / HTTP/1.1\r\nHost: a\r\n", "405 ", "bad_method"),
            ("GET / HTTP/1.1\r\nHost: a\r\n:\r\n", "400 ", "bad_header"),
            ("GET / HTTP/1.1\nHost: a\r\n", "400 ", "bad_line_ending"),
        ] {
            let (mut near, far) = pipe(10_000);
            put(&mut near, format!("{request}\r\n").as_bytes()).await;
            let (outcome, answer) = zip(accept(far), read_all(near)).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            let Err(Error::Handshake(error)) = outcome else {
                panic!("accepted");
            };
            assert_eq!(error.kind(), kind);
        }
    });
}

#[test]
fn foreign_origin_is_refused_by_default() {
    run(async {
        for (origin, is_accepted) in [("http://example.com", true), ("http://evil.example", false)]
        {
            let (mut near, far) = pipe(10_000);
            put(
                &mut near,
                format!("{REQUEST}Origin: {origin}\r\n\r\n").as_bytes(),
            )
            .await;
            let (outcome, answer) =
                zip(async { accept(far).await.map(drop) }, read_all(near)).await;
            assert_eq!(outcome.is_ok(), is_accepted);
            assert_eq!(answer.starts_with("HTTP/1.1 403 "), !is_accepted);
        }
    });
}

#[test]
fn hook_answers_a_browser_with_a_page() {
    run(async {
        let (mut near, far) = pipe(10_000);
        put(&mut near, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let acceptor = Acceptor::new(OriginPolicy::Any);
        let hook = async |request: &ws_smol::Request<'_>, _: &PeerAddr| {
            assert!(!request.is_upgrade());
            Decision::respond(Response::new(200).body("<h1>hello</h1>"))
        };
        let (outcome, answer) = zip(
            acceptor.accept_with(far, PeerAddr::Local, hook),
            read_all(near),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(answer.ends_with("\r\n\r\n<h1>hello</h1>"));
        assert!(matches!(outcome, Err(Error::Answered { status: 200 })));
    });
}

#[test]
fn health_checks_of_any_age_reach_the_hook_and_head_gets_no_body() {
    run(async {
        for (line, has_body) in [
            ("OPTIONS / HTTP/1.0", true),
            ("GET /healthz HTTP/1.0", true),
            ("HEAD /healthz HTTP/1.0", false),
            ("HEAD /healthz HTTP/1.1\r\nHost: h", false),
        ] {
            let (mut near, far) = pipe(10_000);
            put(&mut near, format!("{line}\r\n\r\n").as_bytes()).await;
            let acceptor = Acceptor::new(OriginPolicy::Any);
            let hook = async |_: &ws_smol::Request<'_>, _: &PeerAddr| {
                Decision::respond(Response::new(200).body("healthy"))
            };
            let (outcome, answer) = zip(
                acceptor.accept_with(far, PeerAddr::Local, hook),
                read_all(near),
            )
            .await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"));
            assert_eq!(answer.ends_with("\r\n\r\nhealthy"), has_body, "{answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), !has_body, "{answer}");
            assert!(matches!(outcome, Err(Error::Answered { status: 200 })));
        }
        // What the library refuses itself has no body either.
        let (mut near, far) = pipe(10_000);
        put(&mut near, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (_, answer) = zip(accept(far), read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    });
}

#[test]
fn empty_lines_instead_of_a_request_are_refused() {
    run(async {
        let (mut near, far) = pipe(100_000);
        put(&mut near, &b"\r\n".repeat(20_000)).await;
        let (outcome, answer) = zip(accept(far), read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.ends_with("too_many_empty_lines\n"), "{answer}");
        assert!(matches!(
            outcome,
            Err(Error::Handshake(HandshakeError::TooManyEmptyLines { .. }))
        ));
    });
}

#[test]
fn tls_on_a_plaintext_port_is_answered_at_its_first_bytes() {
    run(async {
        let (mut near, far) = pipe(1000);
        put(&mut near, b"\x16\x03\x01\x02\0").await;
        // The client says nothing more, and does not close.
        let outcome = accept(far).await;
        assert!(matches!(
            outcome,
            Err(Error::Handshake(HandshakeError::TlsClientHello))
        ));
        // By which it knows that nobody here speaks TLS.
        assert!(read_all(near).await.starts_with("HTTP/1.1 400 "));
    });
}

#[test]
fn what_a_hook_cannot_add_is_a_500() {
    run(async {
        for (decision, is_header) in [
            (Decision::accept().header("Upgrade", "x"), true),
            (Decision::accept().subprotocol("unlisted"), false),
        ] {
            let (mut near, far) = pipe(10_000);
            put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
            let acceptor = Acceptor::new(OriginPolicy::Any);
            let (outcome, answer) = zip(
                acceptor.accept_with(far, PeerAddr::Local, async |_, _| decision),
                read_all(near),
            )
            .await;
            assert!(answer.starts_with("HTTP/1.1 500 "));
            match outcome {
                Err(Error::Header(_)) => assert!(is_header),
                Err(Error::Subprotocol(_)) => assert!(!is_header),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn decision_may_wait_with_the_request_at_hand() {
    run(async {
        let (mut near, far) = pipe(10_000);
        // What comes behind the request is not lost meanwhile.
        let wire = [format!("{REQUEST}\r\n").as_bytes(), &masked(0x81, b"Hi")].concat();
        put(&mut near, &wire).await;
        let acceptor = Acceptor::new(OriginPolicy::Any);
        let (answer, decision) = smol::channel::bounded::<bool>(1);
        let hook = async |request: &ws_smol::Request<'_>, _: &PeerAddr| {
            let is_known = decision.recv().await.unwrap();
            assert_eq!(request.path(), "/chat");
            assert!(is_known);
            Decision::accept()
        };
        let mut accepting = Box::pin(acceptor.accept_with(far, PeerAddr::Local, hook));
        assert!(once(&mut accepting).await.is_none());
        assert!(near.take_available().is_empty());
        answer.send(true).await.unwrap();
        let mut websocket = accepting.await.unwrap();
        let message = websocket.receive().await.unwrap();
        assert_eq!(message, Some(Message::from("Hi")));
    });
}

#[test]
fn accepting_with_a_decision_that_waits_can_be_spawned() {
    fn spawn(_: impl Future + Send + 'static) {}
    async fn is_known(path: &str) -> bool {
        path.len() > 1
    }
    spawn(async {
        let (_, far) = pipe(10);
        let acceptor = Acceptor::new(OriginPolicy::Any);
        let accepting = acceptor.accept_with(far, PeerAddr::Local, async |request, _| {
            match is_known(request.path()).await {
                true => Decision::accept(),
                false => Decision::respond(Response::new(404)),
            }
        });
        accepting.await.is_ok()
    });
}

#[test]
fn decision_that_does_not_come_is_answered_with_503() {
    run(async {
        let (mut near, far) = pipe(10_000);
        put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
        let acceptor = Acceptor::new(OriginPolicy::Any).handshake_timeout(Duration::from_millis(5));
        let never = async |_: &ws_smol::Request<'_>, _: &PeerAddr| std::future::pending().await;
        let accepting = acceptor.accept_with(far, PeerAddr::Local, never);
        let (outcome, answer) = zip(accepting, read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Decision))));
    });
}

#[test]
fn decision_that_is_open_when_the_server_ends_is_answered_with_503() {
    run(async {
        let (mut near, far) = pipe(10_000);
        put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
        let gate = Gate::new(10, 10);
        let acceptor = Acceptor::new(OriginPolicy::Any).gate(&gate);
        let never = async |_: &ws_smol::Request<'_>, _: &PeerAddr| std::future::pending().await;
        let mut accepting = Box::pin(acceptor.accept_with(far, PeerAddr::Local, never));
        assert!(once(&mut accepting).await.is_none());
        gate.drain(Duration::ZERO, Duration::from_secs(60));
        let (outcome, answer) = zip(accepting, read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(matches!(outcome, Err(Error::NotAdmitted(_))));
    });
}

#[test]
fn limits_are_decided_for_each_connection() {
    run(async {
        let mut config = config();
        config.limits.max_message = 10;
        let acceptor = Acceptor::new(OriginPolicy::Any).config(config.clone());
        config.limits.max_message = 1_000_000;
        let uploads = std::sync::Arc::new(config);
        for (path, len, is_allowed) in [
            ("/chat", 10, true),
            ("/chat", 11, false),
            ("/short", 6, false),
            ("/upload", 1000, true),
        ] {
            let (mut near, far) = pipe(10_000);
            let request = format!("{REQUEST}\r\n").replacen("/chat", path, 1);
            put(&mut near, request.as_bytes()).await;
            let hook = async |request: &ws_smol::Request<'_>, _: &PeerAddr| {
                let mut short = ws_smol::Limits::default();
                short.max_message = 5;
                match request.path() {
                    "/upload" => Decision::accept().config(uploads.clone()),
                    "/short" => Decision::accept().limits(short),
                    _ => Decision::accept(),
                }
            };
            let accepted = acceptor.accept_with(far, PeerAddr::Local, hook).await;
            let mut websocket = accepted.unwrap();
            put(&mut near, &masked(0x82, &vec![7; len])).await;
            drop(near);
            let received = websocket.receive().await;
            assert_eq!(received.is_ok(), is_allowed, "{path} {len}");
        }
    });
}

#[test]
fn configuration_that_cannot_work_is_refused_before_a_byte_is_read_or_written() {
    let check = |field: &str, change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        let error = config.check().unwrap_err();
        assert_eq!(error.field, field);
        assert!(
            error.to_string().starts_with(&format!("{field} = 0")),
            "{error}"
        );
        run(async {
            let acceptor = Acceptor::new(OriginPolicy::Any).config(config.clone());
            assert_eq!(acceptor.check(), Err(error.clone()));
            let (mut near, far) = pipe(10_000);
            put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
            let refused = acceptor.accept(far, PeerAddr::Local).await.unwrap_err();
            assert!(matches!(refused, Error::Config(cause) if cause == error));
            assert!(near.take_available().is_empty());
            let connector = Connector::new().config(config.clone());
            assert_eq!(connector.check(), Err(error.clone()));
            let (near, far) = pipe(10_000);
            let request = ClientRequest::new(Uri::parse("ws://a/").unwrap());
            let refused = connector.handshake(far, PeerAddr::Local, request).await;
            assert!(matches!(refused, Err(Error::Config(cause)) if cause == error));
            assert!(near.take_available().is_empty());
            let (_, far) = pipe(10);
            let masking = ws_smol::ServerMasking::new();
            let refused = ws_smol::WebSocket::after_handshake(far, masking, Vec::new(), &config);
            assert_eq!(refused.err(), Some(error));
        });
    };
    check("limits.max_frame", |config| config.limits.max_frame = 0);
    check("limits.max_message", |config| config.limits.max_message = 0);
    check("limits.max_fragments", |config| {
        config.limits.max_fragments = 0
    });
    check("time_limits.write_progress", |config| {
        config.time_limits.write_progress = Some(Duration::ZERO);
    });
    check("time_limits.message", |config| {
        config.time_limits.message = Some(Duration::ZERO);
    });
    check("time_limits.lifetime", |config| {
        config.time_limits.lifetime = Some(Duration::ZERO);
    });
    check("time_limits.max_control_rate", |config| {
        config.time_limits.max_control_rate = 0;
    });
    check("keepalive.ping_interval", |config| {
        config.keepalive.ping_interval = Some(Duration::ZERO);
    });
    check("keepalive.pong_timeout", |config| {
        config.keepalive.pong_timeout = Some(Duration::ZERO);
    });
    check("keepalive.idle_timeout", |config| {
        config.keepalive.idle_timeout = Some(Duration::ZERO);
    });
    check("max_backpressure", |config| config.max_backpressure = 0);
    check("max_frame_sent", |config| config.max_frame_sent = 0);
    check("max_read_ahead", |config| config.max_read_ahead = 0);
    check("close_timeout", |config| {
        config.close_timeout = Duration::ZERO
    });
    check("handshake_timeout", |config| {
        config.handshake_timeout = Duration::ZERO;
    });
    check("memory", |config| {
        config.memory = ws_smol::MemoryBudget::new(0)
    });
    #[cfg(feature = "deflate")]
    {
        check("deflate.max_live", |config| config.deflate.max_live = 0);
        check("inflate.max_ratio", |config| config.inflate.max_ratio = 0);
        check("inflate.budget", |config| {
            config.inflate.budget = ws_smol::Budget::new(0);
        });
    }
}

#[test]
fn acceptor_and_connector_name_what_is_wrong_with_them() {
    let acceptor = || Acceptor::new(OriginPolicy::Any);
    for name in ["", "chat v2", "a,b", "caf\u{e9}"] {
        let error = acceptor().subprotocols(["chat", name]).check().unwrap_err();
        assert_eq!((error.field, &error.value[..]), ("subprotocols", name));
        assert_eq!(error.allowed, "a token");
    }
    assert_eq!(acceptor().subprotocols(["chat", "v2.chat"]).check(), Ok(()));
    let limits = HeadLimits {
        max_head: 0,
        ..HeadLimits::default()
    };
    let error = acceptor().head_limits(limits).check().unwrap_err();
    assert_eq!(error.field, "head_limits.max_head");
    let error = Connector::new().connect_timeout(Duration::ZERO).check();
    assert_eq!(error.unwrap_err().field, "connect_timeout");
    #[cfg(feature = "deflate")]
    {
        let mut config = Config::default();
        config.deflate.level = 10;
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "deflate.level = 10; allowed is 0 to 9");
    }
}

#[test]
fn limits_of_a_decision_that_cannot_work_are_a_500() {
    run(async {
        let (mut near, far) = pipe(10_000);
        put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
        let acceptor = Acceptor::new(OriginPolicy::Any);
        let mut limits = ws_smol::Limits::default();
        limits.max_message = 0;
        let hook = async |_: &ws_smol::Request<'_>, _: &PeerAddr| Decision::accept().limits(limits);
        let accepting = acceptor.accept_with(far, PeerAddr::Local, hook);
        let (outcome, answer) = zip(accepting, read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(matches!(outcome, Err(Error::Config(_))));
    });
}

#[test]
fn flag_is_decided_for_each_connection() {
    //= MSWS-3.2.3-1, MSWS-3.2.3-2, MSWS-1.6-3
    let inside = PeerAddr::from(SocketAddr::from(([10, 0, 0, 1], 5)));
    let outside = PeerAddr::from(SocketAddr::from(([192, 0, 2, 1], 5)));
    let network = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
    let acceptor = Acceptor::new(OriginPolicy::SameHost).accept_unmasked_frame(network);
    run(async {
        for (peer, asked, flag) in [
            (inside, None, true),
            (inside, Some(false), false),
            (outside, None, false),
            (outside, Some(true), false),
            (PeerAddr::Unknown, Some(true), false),
        ] {
            let (mut near, far) = pipe(10_000);
            put(&mut near, format!("{REQUEST}\r\n").as_bytes()).await;
            let hook = async |request: &ws_smol::Request<'_>, _: &PeerAddr| {
                assert_eq!(request.origin(), None);
                match asked {
                    Some(flag) => Decision::accept().accept_unmasked_frame(flag),
                    None => Decision::accept(),
                }
            };
            let websocket = acceptor.accept_with(far, peer, hook).await.unwrap();
            let Masking::Server(masking) = websocket.masking() else {
                panic!("not a server");
            };
            assert_eq!(masking.accept_unmasked_frame(), flag, "{peer:?} {asked:?}");
        }
    });
}

#[test]
fn wss_is_never_asked_for_on_a_stream_without_tls() {
    let (near, far) = pipe(10_000);
    let connector = Connector::new();
    let outcome = run(connector.handshake(near, PeerAddr::Local, request("wss://a/")));
    assert!(matches!(outcome, Err(Error::NoTls)), "{outcome:?}");
    assert_eq!(far.take_available(), b"");

    // Who says that it is there is believed.
    let connector = connector.under_tls();
    let (near, far) = pipe(10_000);
    let asking = connector.handshake(near, PeerAddr::Local, request("wss://a/"));
    assert!(run(once(asking)).is_none());
    assert!(far.take_available().starts_with(b"GET / HTTP/1.1\r\n"));
    let (near, far) = pipe(10_000);
    let asking = connector.connect_over(near, PeerAddr::Local, request("wss://a/"));
    assert!(run(once(asking)).is_none());
    assert!(far.take_available().starts_with(b"GET / HTTP/1.1\r\n"));
}

#[cfg(not(feature = "tls"))]
#[test]
fn build_without_tls_refuses_wss_on_a_stream_of_ones_own() {
    let (near, far) = pipe(10_000);
    let outcome = run(client_on(near, request("wss://a/")));
    assert!(matches!(outcome, Err(Error::TlsUnavailable)), "{outcome:?}");
    assert_eq!(far.take_available(), b"");
}

#[test]
fn client_flag_stays_in_its_network() {
    //= MSWS-3.1.3-1, MSWS-3.1.3-2
    let network = ControlledNetwork::new().loopback();
    let plain = Connector::new();
    let always = Connector::new().set_mask_to_zero(true);
    let within = Connector::new().set_mask_to_zero(network);
    for (connector, peer, flag) in [
        (&plain, PeerAddr::Local, false),
        (&always, PeerAddr::Unknown, true),
        (&within, PeerAddr::Local, true),
        (&within, PeerAddr::Unknown, false),
    ] {
        let (near, far) = pipe(10_000);
        let client = connector.handshake(near, peer, request("ws://a/"));
        let (websocket, server) = run(zip(client, accept(far)));
        server.unwrap();
        let websocket = websocket.unwrap();
        let Masking::Client(masking) = websocket.masking() else {
            panic!("not a client");
        };
        assert_eq!(masking.set_mask_to_zero(), flag);
    }
}

#[test]
fn client_sees_a_refusal_with_its_body() {
    run(async {
        for is_ended in [false, true] {
            let (near, mut far) = pipe(10_000);
            let server = async {
                let mut head = [0; 1];
                far.read_exact(&mut head).await.unwrap();
                let length = if is_ended {
                    ""
                } else {
                    "Content-Length: 9\r\n"
                };
                let answer = format!("HTTP/1.1 401 No\r\n{length}X-Why: token\r\n\r\nnot today");
                far.write_all(answer.as_bytes()).await.unwrap();
                if is_ended { None } else { Some(far) }
            };
            let (outcome, _far) = zip(client_on(near, request("ws://a/")), server).await;
            let Err(Error::Refused(response)) = outcome else {
                panic!("accepted");
            };
            assert_eq!(response.status, 401);
            assert_eq!(response.headers.get("x-why"), Some(&b"token"[..]));
            assert_eq!(response.body, b"not today");
        }
    });
}

/// Answers, and takes nothing: what was written to it was reset.
struct Reset(&'static [u8]);

impl AsyncRead for Reset {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(io::Read::read(&mut self.0, buffer))
    }
}

impl AsyncWrite for Reset {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn refusal_is_heard_though_the_request_was_not_taken() {
    run(async {
        let refusal = b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n";
        let outcome = client_on(Reset(refusal), request("ws://a/")).await;
        assert!(matches!(outcome, Err(Error::Refused(response)) if response.status == 503));
        for silence in [&b""[..], b"HTTP/1.1 5"] {
            let outcome = client_on(Reset(silence), request("ws://a/")).await;
            let Err(Error::Io(error)) = outcome else {
                panic!("it is the reset that is known");
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn refusal_whose_body_never_ends_is_a_refusal_all_the_same() {
    run(async {
        let (near, mut far) = pipe(10_000);
        put(&mut far, b"HTTP/1.1 503 No\r\n\r\nstill writing").await;
        let connector = Connector::new().handshake_timeout(Duration::from_millis(5));
        let outcome = connector
            .handshake(near, PeerAddr::Local, request("ws://a/"))
            .await;
        let Err(Error::Refused(response)) = outcome else {
            panic!("accepted");
        };
        assert!(response.truncated);
        assert_eq!(
            (response.status, &response.body[..]),
            (503, &b"still writing"[..])
        );
    });
}

#[test]
fn answer_that_breaks_a_rule_fails_the_client() {
    run(async {
        let (near, mut far) = pipe(10_000);
        let server = async {
            let answer = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            far.write_all(answer.as_bytes()).await.unwrap();
        };
        let (outcome, ()) = zip(client_on(near, request("ws://a/")), server).await;
        assert!(matches!(
            outcome,
            Err(Error::Handshake(HandshakeError::BadAccept { .. }))
        ));
    });
}

#[test]
fn transport_that_ends_early_fails_both() {
    run(async {
        let (near, far) = pipe(10_000);
        drop(far);
        assert!(client_on(near, request("ws://a/")).await.is_err());
        for end in [0, 10, REQUEST.len()] {
            let (mut near, far) = pipe(10_000);
            put(&mut near, &REQUEST.as_bytes()[..end]).await;
            drop(near);
            assert!(matches!(
                accept(far).await,
                Err(Error::Handshake(HandshakeError::IncompleteHead))
            ));
        }
    });
}

#[test]
fn handshake_has_a_deadline() {
    run(async {
        let timeout = Duration::from_millis(5);
        let (near, _far) = pipe(10_000);
        let connector = Connector::new().handshake_timeout(timeout);
        let outcome = connector
            .handshake(near, PeerAddr::Local, request("ws://a/"))
            .await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));

        let (near, far) = pipe(10_000);
        let acceptor = Acceptor::new(OriginPolicy::Any).handshake_timeout(timeout);
        let (outcome, answer) = zip(acceptor.accept(far, PeerAddr::Local), read_all(near)).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    });
}

#[test]
fn head_that_is_too_large_is_refused() {
    run(async {
        let (mut near, far) = pipe(100_000);
        put(&mut near, b"GET / HTTP/1.1\r\nX: ").await;
        put(&mut near, &[b'x'; 50_000]).await;
        let (outcome, answer) = zip(accept(far), read_all(near)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(outcome.is_err());
    });
}

#[cfg(not(feature = "tls"))]
#[test]
fn wss_names_the_feature_that_is_missing() {
    run(async {
        let error = ws_smol::connect("wss://example.com/").await.unwrap_err();
        assert!(matches!(error, Error::TlsUnavailable));
        assert!(error.to_string().contains("feature `tls`"));
    });
}

#[test]
fn url_of_another_scheme_is_refused() {
    run(async {
        let error = ws_smol::connect("ftp://example.com/").await.unwrap_err();
        assert!(matches!(error, Error::Uri(_)));
    });
}

#[test]
fn client_that_stays_after_a_refusal_does_not_hide_it() {
    run(async {
        let (mut near, far) = pipe(10_000);
        put(&mut near, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut config = config();
        config.close_timeout = Duration::from_millis(5);
        let acceptor = Acceptor::new(OriginPolicy::Any).config(config);
        let outcome = acceptor.accept(far, PeerAddr::Local).await;
        assert!(matches!(
            outcome,
            Err(Error::Handshake(HandshakeError::NotUpgrade))
        ));
        assert!(near.take_available().starts_with(b"HTTP/1.1 426 "));
    });
}

#[test]
fn futures_can_be_spawned() {
    fn spawnable<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let (near, far) = pipe(10_000);
        let server = spawnable(async { spawnable(accept(far).await.unwrap()) });
        let client = spawnable(async {
            let websocket = client_on(near, request("ws://a/")).await.unwrap();
            let (mut read, mut write) = spawnable(websocket.split());
            spawnable(write.send("x")).await.unwrap();
            drop(spawnable(read.receive()));
            drop(spawnable(read.receive_ref()));
            drop(spawnable(read.receive_chunk()));
            read.reunite(write).unwrap()
        });
        let (mut server, mut client) = zip(server, client).await;
        drop(spawnable(client.close(ws_smol::CloseCode::NORMAL, "")));
        let x = spawnable(server.receive()).await.unwrap();
        assert_eq!(x, Some(Message::from("x")));
    });
}
