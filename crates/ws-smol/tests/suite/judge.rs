//! Opening handshakes that an HTTP library reads and answers.

use std::time::Duration;

use smol::future::zip;
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Config, Connector, ControlledNetwork, Decision, Error,
    Gate, HandshakeError, Message, NotAdmitted, OriginPolicy, PeerAddr, Request, Response, Uri,
    Version, duplex,
};

use crate::support::run;

type Field = (&'static str, &'static [u8]);

const CONNECT: [Field; 6] = [
    (":method", b"CONNECT"),
    (":protocol", b"websocket"),
    (":scheme", b"https"),
    (":path", b"/chat"),
    (":authority", b"example.com"),
    ("sec-websocket-version", b"13"),
];

fn request(more: &[Field]) -> Request<'static> {
    let fields = CONNECT.iter().chain(more).copied();
    Request::from_fields(Version::HTTP_2, fields).unwrap()
}

fn acceptor() -> Acceptor {
    Acceptor::new(OriginPolicy::SameHost)
}

/// Why a request is refused, and with what status.
fn refused(acceptor: &Acceptor, request: &Request<'_>, decision: Decision) -> (u16, Error) {
    let rejection = acceptor
        .judge(request, PeerAddr::Unknown, decision)
        .unwrap_err();
    (rejection.response.status(), rejection.error)
}

#[test]
fn what_is_judged_is_opened_on_the_stream_that_is_given() {
    run(async {
        let request = request(&[("sec-websocket-protocol", b"chat")]);
        let acceptor = acceptor().subprotocols(["chat"]);
        let (acceptance, opening) = acceptor
            .judge(&request, PeerAddr::Unknown, Decision::accept())
            .unwrap();
        assert_eq!(acceptance.status(), 200);
        assert_eq!(opening.subprotocol(), Some("chat"));
        let (near, far) = duplex(1000);
        // The first frame came with the head of the request: a masked "Hi".
        let mut server = opening.open(near, b"\x81\x82\0\0\0\0Hi".to_vec());
        assert_eq!(server.subprotocol(), Some("chat"));
        assert_eq!(server.receive().await.unwrap(), Some(Message::from("Hi")));

        let uri = Uri::parse("wss://example.com/chat").unwrap();
        let mut handshake = ClientRequest::new(uri)
            .subprotocol("chat")
            .unwrap()
            .extended_connect();
        let reply = acceptance.to_fields();
        let progress = handshake.receive(reply.iter()).unwrap();
        let ws_handshake::ConnectProgress::Agreed(agreed) = progress else {
            panic!("{progress:?}")
        };
        let mut client = Connector::new()
            .after_handshake(far, PeerAddr::Unknown, agreed, Vec::new())
            .unwrap();
        assert_eq!(client.subprotocol(), Some("chat"));
        assert!(client.response_headers().is_some());
        let closing = client.close(CloseCode::NORMAL, "");
        let (closed, end) = zip(closing, server.receive()).await;
        closed.unwrap();
        assert_eq!(end.unwrap(), None);
    });
}

#[test]
fn a_flag_is_decided_by_the_address_that_is_given() {
    //= MSWS-3.2.3-2
    let request = request(&[]);
    let list = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
    let acceptor = acceptor().accept_unmasked_frame(list);
    for (peer, flag) in [("10.1.2.3:4", true), ("192.0.2.1:4", false)] {
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        let judged = acceptor.judge(&request, peer, Decision::accept());
        let socket = judged.unwrap().1.open(duplex(1).0, Vec::new());
        let ws_smol::Masking::Server(masking) = socket.masking() else {
            panic!("a server")
        };
        assert_eq!(masking.accept_unmasked_frame(), flag);
    }
}

#[test]
fn refusals_say_what_to_answer() {
    let acceptor = acceptor();
    let foreign = request(&[("origin", b"https://evil.example")]);
    let (status, error) = refused(&acceptor, &foreign, Decision::accept());
    assert_eq!(status, 403);
    assert!(matches!(
        error,
        Error::Handshake(HandshakeError::OriginRefused { .. })
    ));
    let decision = Decision::respond(Response::new(404));
    let (status, error) = refused(&acceptor, &request(&[]), decision);
    assert_eq!(status, 404);
    assert!(matches!(error, Error::Answered { status: 404 }));
    let decision = Decision::accept().subprotocol("other");
    let (status, error) = refused(&acceptor, &request(&[]), decision);
    assert_eq!(status, 500);
    assert!(matches!(error, Error::Subprotocol(_)));
    let mut config = Config::default();
    config.max_backpressure = 0;
    let wrong = acceptor.config(config);
    let (status, error) = refused(&wrong, &request(&[]), Decision::accept());
    assert_eq!(status, 500);
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn a_gate_that_is_drained_lets_nobody_in() {
    let gate = Gate::new(10, 10);
    let acceptor = acceptor().gate(&gate);
    let request = request(&[]);
    let judged = acceptor.judge(&request, PeerAddr::Unknown, Decision::accept());
    assert!(judged.is_ok());
    gate.drain(Duration::ZERO, Duration::ZERO);
    let (status, error) = refused(&acceptor, &request, Decision::accept());
    assert_eq!(status, 503);
    assert!(matches!(error, Error::NotAdmitted(NotAdmitted::Draining)));
}
