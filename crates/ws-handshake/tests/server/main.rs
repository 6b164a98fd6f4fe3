//! The server's side of the opening handshake, as statements about bytes.

mod extensions;
mod origin;
mod other_parsers;
mod replies;
mod request;
mod subprotocols;

use ws_handshake::{
    DeflatePolicy, HandshakeError, HeadLimits, HeadReader, OriginPolicy, Request, ServerConfig,
};

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The request with more lines at its end.
fn with(lines: &str) -> String {
    format!("{}\r\n{lines}\r\n\r\n", REQUEST.trim_end())
}

/// The request with one piece replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(REQUEST.contains(from), "{from}");
    REQUEST.replacen(from, to, 1)
}

fn any() -> ServerConfig {
    ServerConfig::new(OriginPolicy::Any)
}

fn answer(config: &ServerConfig, head: impl AsRef<[u8]>) -> Result<String, HandshakeError> {
    let request = Request::parse(head.as_ref(), &config.head_limits())?;
    let mut out = Vec::new();
    config.negotiate(&request)?.write_to(&mut out);
    Ok(String::from_utf8(out).expect("replies are ASCII"))
}

fn refusal(config: &ServerConfig, head: impl AsRef<[u8]>) -> (&'static str, String) {
    let error = answer(config, head).expect_err("the request breaks a rule");
    let mut out = Vec::new();
    error.rejection().write_to(&mut out);
    (
        error.kind(),
        String::from_utf8(out).expect("replies are ASCII"),
    )
}

#[track_caller]
fn assert_refused(head: impl AsRef<[u8]>, kind: &str, status: u16) {
    let (found, reply) = refusal(&any(), head);
    assert_eq!(found, kind);
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    assert!(reply.contains("\r\nConnection: "), "{reply}");
}

#[test]
fn the_sample_of_the_rfc_is_accepted_byte_by_byte() {
    //= RFC6455-4.2.2-1
    //= RFC6455-4.2.2-15
    //= RFC6455-4.2.2-16
    //= RFC6455-4.2.2-17
    //= RFC6455-4.2.2-18
    //= RFC6455-4.2.2-11
    //= RFC6455-11.3.3-1
    //= RFC9110-7.8-2
    assert_eq!(answer(&any(), REQUEST).as_deref(), Ok(REPLY));
}

#[test]
fn a_101_announces_no_body() {
    //= RFC9110-8.6-1
    //= RFC9112-6.1-1
    let config = any().subprotocols(["chat"]).deflate(DeflatePolicy::new());
    let head = with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate");
    let reply = answer(&config, head)
        .expect("a correct request")
        .to_ascii_lowercase();
    assert!(
        !reply.contains("content-length") && !reply.contains("transfer-encoding"),
        "{reply}"
    );
    let request = Request::parse(REQUEST.as_bytes(), &HeadLimits::default()).expect("sound");
    for name in ["Content-Length", "Transfer-Encoding"] {
        assert!(
            config
                .negotiate(&request)
                .expect("correct")
                .header(name, "0")
                .is_err(),
            "{name}"
        );
    }
}

#[test]
fn nothing_about_masking_is_in_the_reply() {
    // There is no parameter here that a masking policy could set, and no header but these.
    //= MSWS-1.7-1
    let reply = answer(&any(), REQUEST).expect("a correct request");
    let names: Vec<_> = reply
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["Upgrade", "Connection", "Sec-WebSocket-Accept"]);
}

#[test]
fn names_and_upgrade_tokens_are_matched_without_regard_to_case() {
    //= RFC6455-4.1-42
    //= RFC6455-2.1-2
    //= RFC9110-5.1-1
    let head = REQUEST
        .to_ascii_lowercase()
        .replacen("get /chat http/1.1", "GET /chat HTTP/1.1", 1);
    let head = head.replacen("dghlihnhbxbszsbub25jzq==", "dGhlIHNhbXBsZSBub25jZQ==", 1);
    assert_eq!(answer(&any(), head).as_deref(), Ok(REPLY));
    let head = changed("Upgrade: websocket", "UPGRADE: WEBSOCKET");
    assert_eq!(answer(&any(), head).as_deref(), Ok(REPLY));
    // U+212A, the Kelvin sign, is no k.
    assert_refused(changed("websocket", "webSoc\u{212a}et"), "not_upgrade", 426);
}

#[test]
fn header_order_and_unknown_headers_do_not_matter() {
    //= RFC6455-4.2.1-11
    let mut lines: Vec<_> = REQUEST.trim_end().lines().collect();
    lines[1..].reverse();
    lines.insert(3, "X-Unknown: \u{e9} anything");
    lines.push("__proto__: constructor");
    assert_eq!(
        answer(&any(), lines.join("\r\n") + "\r\n\r\n").as_deref(),
        Ok(REPLY)
    );
}

#[test]
fn bytes_after_the_head_are_left_for_the_frame_layer() {
    //= RFC9112-6.3-1
    let mut reader = HeadReader::request(HeadLimits::default());
    let mut input = REQUEST.as_bytes().to_vec();
    input.extend_from_slice(b"\x81\x85\0\0\0\0Hello");
    let head = reader.receive(&input).expect("sound").expect("complete");
    assert_eq!(head.consumed(), REQUEST.len());
    assert_eq!(head.as_bytes(), REQUEST.as_bytes());
}

#[test]
fn what_was_agreed_is_told_as_it_is_written() {
    //= RFC6455-4.2.2-13
    let config = any().deflate(DeflatePolicy::new().server_no_context_takeover(true));
    let head = with("Sec-WebSocket-Extensions: permessage-deflate");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    let acceptance = config.negotiate(&request).expect("correct");
    let agreed = acceptance.deflate().expect("accepted");
    assert!(agreed.server_no_context_takeover && !agreed.client_no_context_takeover);
    assert_eq!(
        (agreed.server_max_window_bits, agreed.client_max_window_bits),
        (15, 15)
    );
    assert_eq!(acceptance.without_deflate().deflate(), None);
}

#[test]
fn a_request_tells_what_its_headers_say() {
    let head = with("Origin: https://a.example");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(request.is_upgrade());
    assert_eq!(request.key(), Some(&b"dGhlIHNhbXBsZSBub25jZQ=="[..]));
    assert_eq!(request.origin(), Some("https://a.example"));
    let head = with("Origin: a\r\nOrigin: b\r\nSec-WebSocket-Key: second");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!((request.key(), request.origin()), (None, None));
    let head = changed("HTTP/1.1", "HTTP/2.0");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(request.is_upgrade(), "asked for, if not correctly");
}

#[test]
fn an_error_shows_the_version_and_the_name_that_it_is_about() {
    let error = answer(&any(), changed("HTTP/1.1", "HTTP/2.0")).expect_err("another version");
    assert_eq!(
        error.to_string(),
        "HTTP/1.1 is needed, HTTP/2.0 was offered"
    );
    let error = answer(&any(), with("Bad Name: secret")).expect_err("no token");
    assert_eq!(
        error.to_string(),
        "malformed header field: \"Bad Name\"",
        "and nothing of the value"
    );
}

#[test]
fn what_is_logged_shows_the_request_with_every_control_byte_escaped() {
    let head = with("X: \u{e9}");
    let mut reader = any().head_reader();
    assert!(reader.receive(b"GET").expect("sound").is_none());
    let shown = format!("{reader:?}");
    assert!(shown.starts_with("HeadReader") && shown.contains("received: 3"));
    let mut reader = any().head_reader();
    let head = reader
        .receive(head.as_bytes())
        .expect("sound")
        .expect("complete");
    let shown = format!("{head:?}");
    assert!(shown.starts_with("Head ") && shown.contains(r"GET /chat HTTP/1.1\r\n"));
    assert!(shown.contains(r"X: \xc3\xa9\r\n"), "{shown}");
    let request = head.request().expect("sound");
    let shown = format!("{request:?}");
    assert!(shown.starts_with("Request ") && shown.contains("/chat"));
    assert!(shown.contains(r#""X": "\xc3\xa9""#), "{shown}");
    let acceptance = any()
        .negotiate(&request)
        .expect("correct")
        .header("Set-Cookie", "a=b")
        .expect("fine");
    let shown = format!("{acceptance:?}");
    assert!(shown.contains(r#"{"Set-Cookie": "a=b"}"#), "{shown}");
}
