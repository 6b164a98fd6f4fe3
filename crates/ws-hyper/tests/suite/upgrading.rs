//! Requests of hyper that become WebSockets, or do not.

use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};
use ws_hyper::{Cause, Decision, Peer, Stream, WebSocket};
use ws_smol::{
    CloseCode, ControlledNetwork, Error, KeepaliveConfig, Masking, Message, Response, Timeout,
};

use crate::support::{Service, acceptor, over_http1, over_http2, request, run};

/// A conversation, and its end.
async fn talk<S>(mut near: WebSocket<S>, mut far: WebSocket<Stream>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = tokio::spawn(async move {
        for len in [0, 125, 70_000, 1_000_000] {
            let message = Message::Binary(vec![7; len]);
            near.send(&message).await.unwrap();
            assert_eq!(near.receive().await.unwrap(), Some(message));
        }
        near.close(CloseCode::NORMAL, "done").await.unwrap();
    });
    while let Some(message) = far.receive().await.unwrap() {
        far.send(&message).await.unwrap();
    }
    assert_eq!(far.close_status().unwrap().reason, "done");
    client.await.unwrap();
}

#[test]
fn the_same_call_opens_websockets_over_both_versions_of_http() {
    //= RFC8441-5-7
    run(async {
        let (service, mut opened) = Service::new(acceptor().subprotocols(["chat"]));
        let request = || request().subprotocol("chat").unwrap();
        let near = over_http1(service.clone().http1(), request())
            .await
            .unwrap();
        assert_eq!(near.subprotocol(), Some("chat"));
        let far = opened.recv().await.unwrap().unwrap();
        assert_eq!(far.subprotocol(), Some("chat"));
        talk(near, far).await;

        let client = service.http2().await;
        for _ in 0..3 {
            let near = over_http2(&client, request()).await.unwrap();
            assert_eq!(near.subprotocol(), Some("chat"));
            let far = opened.recv().await.unwrap().unwrap();
            assert_eq!(far.subprotocol(), Some("chat"));
            talk(near, far).await;
        }
    });
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_kept_by_tokio() {
    let hour = Duration::from_secs(3600);
    let mut keepalive = KeepaliveConfig::OFF;
    keepalive.ping_interval = Some(hour);
    keepalive.pong_timeout = Some(hour);
    let (service, mut opened) = Service::new(acceptor().keepalive(keepalive));
    let near = over_http1(service.http1(), request()).await.unwrap();
    let mut far = opened.recv().await.unwrap().unwrap();
    let started = Instant::now();
    let outcome = far.receive().await;
    assert!(matches!(outcome, Err(Error::Timeout(Timeout::Pong))));
    assert!(started.elapsed() >= 2 * hour);
    drop(near);
}

#[test]
fn bytes_that_hyper_has_read_behind_the_request_are_not_lost() {
    run(async {
        let (service, mut opened) = Service::new(acceptor());
        let mut near = service.http1();
        let request = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\r\n";
        // A request and a frame in one write: a masked "Hi".
        let bytes = [&request[..], b"\x81\x82\0\0\0\0Hi"].concat();
        near.write_all(&bytes).await.unwrap();
        let mut far = opened.recv().await.unwrap().unwrap();
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("Hi")));
        let mut head = [0; 12];
        near.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 101");
    });
}

#[test]
fn what_was_decided_is_what_the_client_gets() {
    run(async {
        let (mut service, mut opened) = Service::new(acceptor());
        service.decision = Decision::accept().header("x-room", "7");
        let near = over_http1(service.clone().http1(), request())
            .await
            .unwrap();
        assert_eq!(
            near.response_headers().unwrap().get("x-room"),
            Some(&b"7"[..])
        );
        opened.recv().await.unwrap().unwrap();

        service.decision = Decision::respond(Response::new(404).body("no such room"));
        let refused = over_http1(service.clone().http1(), request()).await;
        let Err(Error::Refused(response)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            (response.status, &response.body[..]),
            (404, &b"no such room"[..])
        );
        let refused = over_http2(&service.http2().await, request()).await;
        let Err(ws_h2::Error::WebSocket(Error::Refused(response))) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            (response.status, &response.body[..]),
            (404, &b"no such room"[..])
        );
    });
}

#[test]
fn pages_of_other_hosts_are_refused_over_both_versions() {
    run(async {
        let (service, _opened) = Service::new(acceptor());
        let request = || request().origin("https://evil.example").unwrap();
        let refused = over_http1(service.clone().http1(), request()).await;
        assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
        let refused = over_http2(&service.http2().await, request()).await;
        assert!(matches!(
            refused,
            Err(ws_h2::Error::WebSocket(Error::Refused(response))) if response.status == 403
        ));
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_agreed_on_over_both_versions() {
    run(async {
        let acceptor = acceptor().deflate(ws_smol::DeflatePolicy::new());
        let (service, mut opened) = Service::new(acceptor);
        let request = || request().offer(ws_smol::DeflateOffer::new());
        let near = over_http1(service.clone().http1(), request())
            .await
            .unwrap();
        let far = opened.recv().await.unwrap().unwrap();
        assert!(near.deflate().is_some() && near.deflate() == far.deflate());
        talk(near, far).await;
        let near = over_http2(&service.http2().await, request()).await.unwrap();
        let far = opened.recv().await.unwrap().unwrap();
        assert!(near.deflate().is_some() && near.deflate() == far.deflate());
        talk(near, far).await;
    });
}

#[test]
fn the_flag_is_decided_by_the_connection_and_never_by_a_header() {
    //= MSWS-3.2.3-2
    run(async {
        let network = "10.0.0.0/8".parse().unwrap();
        let list = ControlledNetwork::new().network(network);
        let (mut service, mut opened) = Service::new(acceptor().accept_unmasked_frame(list));
        let address = |text: &str| Peer::from(text.parse::<std::net::SocketAddr>().unwrap());
        for (peer, flag) in [
            (Some(address("10.1.2.3:4")), true),
            (Some(address("192.0.2.1:4")), false),
            (None, false),
        ] {
            service.peer = peer;
            let request = request()
                .header("X-Forwarded-For", "10.1.2.3")
                .unwrap()
                .header("Forwarded", "for=10.1.2.3")
                .unwrap();
            over_http1(service.clone().http1(), request).await.unwrap();
            let far = opened.recv().await.unwrap().unwrap();
            let Masking::Server(masking) = far.masking() else {
                panic!("a server")
            };
            assert_eq!(masking.accept_unmasked_frame(), flag, "{peer:?}");
        }
    });
}

#[test]
fn a_page_is_told_what_is_spoken_here() {
    run(async {
        let (service, _opened) = Service::new(acceptor());
        let mut near = service.http1();
        let request = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        near.write_all(request).await.unwrap();
        let mut reply = String::new();
        near.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 426 "), "{reply}");
        assert!(reply.contains("upgrade: websocket\r\n"), "{reply}");
    });
}

#[test]
fn a_request_that_hyper_does_not_hand_over_is_an_error_of_the_server() {
    let mut request = http::Request::get("/chat")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let rejection = ws_hyper::upgrade(&mut request, &acceptor()).unwrap_err();
    assert!(matches!(rejection.cause(), Cause::NotUpgradable));
    assert_eq!(rejection.status(), 500);
    assert!(rejection.to_string().contains("OnUpgrade"));
}

#[test]
fn a_connection_without_upgrades_is_an_error_that_says_so() {
    run(async {
        let (mut service, mut opened) = Service::new(acceptor());
        service.is_without_upgrades = true;
        let _near = over_http1(service.http1(), request()).await;
        let error = opened.recv().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
        assert!(error.to_string().contains("upgrade"), "{error}");
    });
}
