//! Opening handshakes over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220), as statements about lists of
//! fields.

use ws_handshake::{
    ClientRequest, ConnectProgress, HandshakeError, HeadLimits, Headers, OriginPolicy, Request,
    Response, ServerConfig, Uri, Version,
};

type Field<'a> = (&'a str, &'a [u8]);

const CONNECT: [Field<'static>; 6] = [
    (":method", b"CONNECT"),
    (":protocol", b"websocket"),
    (":scheme", b"https"),
    (":path", b"/chat?x=1"),
    (":authority", b"server.example.com"),
    ("sec-websocket-version", b"13"),
];

fn read<'a>(more: &[Field<'a>]) -> Result<Request<'a>, HandshakeError> {
    Request::from_fields(Version::HTTP_2, CONNECT.iter().chain(more).copied())
}

fn any() -> ServerConfig {
    ServerConfig::new(OriginPolicy::Any)
}

fn listed(fields: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn an_extended_connect_is_read_as_a_request_for_its_path_at_its_authority() {
    //= RFC8441-4-1
    //= RFC8441-5-4
    let request = read(&[("cookie", b"a=1"), ("cookie", b"b=2")]).expect("sound");
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(
        (request.method(), request.protocol()),
        ("CONNECT", Some("websocket"))
    );
    assert_eq!((request.path(), request.query()), ("/chat", Some("x=1")));
    assert_eq!(request.authority(), Some("server.example.com"));
    assert_eq!(request.cookie("b"), Some("2"));
    assert!(request.is_upgrade());
    assert_eq!(request.check_http(), Ok(()));
    assert!(request.headers().all(|(name, _)| !name.starts_with(':')));
}

#[test]
fn the_reply_that_accepts_is_a_200_without_key_and_upgrade() {
    //= RFC8441-5-5
    //= RFC8441-5-7
    let request = read(&[("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")]).expect("sound");
    let config = any();
    let acceptance = config
        .negotiate(&request)
        .expect("correct")
        .header("Set-Cookie", "a=b")
        .expect("fine");
    assert_eq!((acceptance.status(), acceptance.accept_key()), (200, None));
    assert_eq!(
        listed(&acceptance.to_fields()),
        pairs(&[(":status", "200"), ("set-cookie", "a=b")])
    );
    let mut out = Vec::new();
    acceptance.write_to(&mut out);
    assert_eq!(out, b"", "there is no head of HTTP/1.1");
}

#[test]
fn an_upgrade_of_http_1_has_its_reply_as_a_list_too() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let request = Request::parse(head, &HeadLimits::default()).expect("sound");
    assert_eq!(request.protocol(), None);
    let config = any();
    let acceptance = config.negotiate(&request).expect("correct");
    assert_eq!(
        listed(&acceptance.to_fields()),
        pairs(&[
            (":status", "101"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ])
    );
}

#[test]
fn other_requests_are_there_to_be_answered() {
    let list = [
        (":method", &b"GET"[..]),
        (":scheme", b"https"),
        (":path", b"/healthz"),
        (":authority", b"h"),
    ];
    let request = Request::from_fields(Version::HTTP_3, list).expect("sound");
    assert!(!request.is_upgrade());
    assert_eq!(
        (request.path(), request.authority()),
        ("/healthz", Some("h"))
    );
    let error = any().negotiate(&request).map(drop).expect_err("a GET");
    assert_eq!(
        error.to_string(),
        "an extended CONNECT is needed over HTTP/2 and HTTP/3, method \"GET\" was offered"
    );
    assert!(!error.is_malformed());
    let reply = error.rejection().for_request(&request);
    assert_eq!(
        listed(&reply.to_fields()),
        pairs(&[
            (":status", "405"),
            ("content-type", "text/plain; charset=utf-8"),
            ("allow", "CONNECT"),
            ("content-length", "21"),
        ])
    );
    assert_eq!(reply.content(), b"not_extended_connect\n");
}

#[test]
fn what_has_no_list_of_fields_is_of_another_version() {
    let error = Request::from_fields(Version::HTTP_11, CONNECT).expect_err("HTTP/1.1");
    assert_eq!(error.kind(), "bad_http_version");
    // The version alone makes no list of fields of a head.
    let head = b"GET / HTTP/2.0\r\nHost: h\r\n\r\n";
    let request = Request::parse(head, &HeadLimits::default()).expect("sound");
    assert_eq!(
        any().negotiate(&request).map(drop).map_err(|e| e.status()),
        Err(505)
    );
}

#[test]
fn a_refusal_over_http_2_says_nothing_of_the_connection() {
    //= RFC9113-8.2.2-1
    let request = read(&[]).expect("sound");
    let reply = Response::new(426).for_request(&request);
    assert_eq!(
        reply.status(),
        400,
        "a 426 would have to name a protocol in Upgrade"
    );
    assert_eq!(
        listed(&reply.to_fields()),
        pairs(&[(":status", "400"), ("content-length", "0")])
    );
    assert_eq!(
        listed(&Response::new(204).body("x").to_fields()),
        pairs(&[(":status", "204")])
    );
    assert_eq!(
        listed(&Response::new(405).to_fields())[1],
        ("allow".to_owned(), "GET".to_owned())
    );
}

#[test]
fn what_makes_a_message_malformed_resets_its_stream() {
    //= RFC9113-8.1.1-1
    let malformed: [&[Field<'_>]; 5] = [
        &[("connection", b"Upgrade")],
        &[(":protocol", b"websocket")],
        &[("host", b"other.example.com")],
        &[("Origin", b"x")],
        &[("origin", b"a\0b")],
    ];
    for more in malformed {
        let error = read(more).expect_err("malformed");
        assert!(error.is_malformed(), "{error}");
        assert_eq!(error.status(), 400);
    }
    let error = Request::from_fields(Version::HTTP_2, CONNECT[1..].iter().copied());
    assert!(error.expect_err("no method").is_malformed());
    let request = read(&[("sec-websocket-version", b"13")]).expect("sound");
    let error = any().negotiate(&request).map(drop).expect_err("repeated");
    assert!(!error.is_malformed(), "{error}: to be answered");
}

#[test]
fn a_server_that_announces_nothing_does_not_know_the_pseudo_header() {
    //= RFC8441-3-2
    let request = read(&[]).expect("sound");
    let config = any().without_extended_connect();
    let error = config.negotiate(&request).map(drop).expect_err("unknown");
    assert!(error.is_malformed());
    assert_eq!(
        error.to_string(),
        "pseudo-header out of place, repeated or malformed: \":protocol\""
    );
}

#[test]
fn a_secret_in_a_value_is_not_shown() {
    let error = read(&[("authorization", b"Bearer secret\n")]).expect_err("a line feed");
    assert_eq!(
        error.to_string(),
        "malformed header field: \"authorization\""
    );
}

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("wss://user:pass@h:8443/chat").expect("a URI"))
}

#[test]
fn a_client_sends_no_key_and_its_credentials_and_name_as_over_http_1() {
    //= RFC8441-5-2
    //= RFC8441-5-3
    //= RFC8441-5-5
    let handshake = request().header("X-Trace", "1").expect("fine");
    let handshake = handshake.extended_connect();
    let fields = listed(handshake.fields());
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            ":method",
            ":protocol",
            ":scheme",
            ":path",
            ":authority",
            "sec-websocket-version",
            "user-agent",
            "authorization",
            "x-trace",
        ]
    );
    assert_eq!(fields[4].1, "h:8443");
    assert_eq!(fields[7].1, "Basic dXNlcjpwYXNz");
}

#[test]
fn what_a_client_sends_is_what_a_server_takes() {
    let mut handshake = request()
        .subprotocol("chat")
        .expect("a token")
        .extended_connect();
    let sent = handshake.fields().clone();
    let request = Request::from_fields(Version::HTTP_2, sent.iter()).expect("sound");
    let config = any().subprotocols(["chat"]);
    let reply = config.negotiate(&request).expect("correct").to_fields();
    let Ok(ConnectProgress::Agreed(agreed)) = handshake.receive(reply.iter()) else {
        panic!("accepted")
    };
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
}

#[test]
fn a_reply_that_refuses_is_handed_out_with_what_it_says() {
    let mut handshake = request().extended_connect();
    let reply: [Field<'_>; 2] = [(":status", b"503"), ("retry-after", b"7")];
    let Ok(ConnectProgress::Refused(response)) = handshake.receive(reply) else {
        panic!("refused")
    };
    assert_eq!(response.status, 503);
    assert_eq!(
        response.retry_after(0),
        Some(std::time::Duration::from_secs(7))
    );
}

#[test]
fn replies_and_hints_before_them_are_bounded() {
    let limits = HeadLimits {
        max_head: 40,
        ..HeadLimits::default()
    };
    let mut handshake = request().limits(limits).extended_connect();
    let hint: [Field<'_>; 2] = [(":status", b"103"), ("link", b"0123456789")];
    assert_eq!(handshake.receive(hint), Ok(ConnectProgress::Interim));
    assert_eq!(handshake.receive(hint), Ok(ConnectProgress::Interim));
    assert_eq!(
        handshake.receive(hint),
        Err(HandshakeError::HeadTooLarge { limit: 40 })
    );
    let mut handshake = request().limits(limits).extended_connect();
    let long: [Field<'_>; 2] = [(":status", b"200"), ("x", &[b'a'; 36])];
    assert_eq!(
        handshake.receive(long),
        Err(HandshakeError::HeadTooLarge { limit: 40 })
    );
}
