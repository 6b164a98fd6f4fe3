//! What a client sends.

use ws_handshake::{ClientProgress, ClientRequest, DeflateOffer};

use super::{REPLY, plain, request, start};

fn sent(request: ClientRequest) -> String {
    String::from_utf8(start(request).request_bytes().to_vec()).expect("requests are ASCII")
}

#[test]
fn the_request_is_one_get_with_what_the_rfc_wants() {
    //= RFC6455-4.1-1
    //= RFC6455-4.1-15
    //= RFC6455-4.1-16
    //= RFC6455-4.1-17
    //= RFC6455-4.1-18
    //= RFC6455-4.1-19
    //= RFC6455-4.1-20
    //= RFC6455-4.1-21
    //= RFC6455-4.1-22
    //= RFC6455-4.1-23
    //= RFC6455-4.1-27
    //= RFC6455-4.4-1
    //= RFC6455-11.3.1-1
    //= RFC6455-11.3.5-2
    //= RFC9110-7.8-2
    assert_eq!(
        sent(request("ws://server.example.com/chat?x")),
        format!(
            "GET /chat?x HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\
        User-Agent: ws-handshake/{}\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn user_agent_is_there_once_changed_or_left_out() {
    let count = |request| sent(request).matches("User-Agent: ").count();
    assert_eq!(count(plain()), 1);
    assert_eq!(count(plain().without_user_agent()), 0);
    let own = plain().header("User-Agent", "a/1").expect("fine");
    let own = own.header("user-agent", "b/2").expect("fine");
    let text = sent(own).to_ascii_lowercase();
    assert_eq!(text.matches("user-agent: ").count(), 1);
    assert!(text.contains("\r\nuser-agent: b/2\r\n"), "{text}");
}

#[test]
fn a_header_of_the_users_is_sent_instead_of_the_uris_credentials() {
    let request = || request("ws://Aladdin:open%20sesame@h/");
    let credentials = "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    let text = sent(request());
    assert!(
        text.contains(credentials) && text.contains("\r\nHost: h\r\n"),
        "{text}"
    );
    let own = request().header("authorization", "Bearer x").expect("fine");
    let text = sent(own);
    assert!(text.contains("\r\nauthorization: Bearer x\r\n"), "{text}");
    assert!(!text.contains("Basic"), "{text}");
}

#[test]
fn nothing_about_masking_is_in_the_request() {
    // The whole request is told by the builder, and the builder has no word for masking.
    //= MSWS-1.7-1
    let text = sent(plain().offer(DeflateOffer::new())).to_ascii_lowercase();
    assert!(!text.contains("mask"));
    assert!(text.contains("\r\nsec-websocket-extensions: permessage-deflate\r\n"));
}

#[test]
fn nothing_follows_the_request_until_the_server_has_replied() {
    // The request bytes end with the head, and only `Agreed` hands over to the frame layer.
    //= RFC6455-4.1-33
    //= RFC6455-9.1-5
    let mut handshake = start(plain().offer(DeflateOffer::default()));
    assert!(handshake.request_bytes().ends_with(b"\r\n\r\n"));
    for byte in &REPLY.as_bytes()[..REPLY.len() - 1] {
        assert_eq!(
            handshake.receive(core::slice::from_ref(byte)),
            Ok(ClientProgress::Incomplete)
        );
    }
    let progress = handshake.receive(b"\n\x81").expect("a correct reply");
    let ClientProgress::Agreed {
        agreed,
        consumed: 1,
    } = progress
    else {
        panic!("{progress:?}")
    };
    assert_eq!(agreed.deflate, None);
}

#[test]
fn host_names_the_port_unless_it_is_the_schemes_own() {
    //= RFC6455-4.1-20
    //= RFC9110-7.2-1
    for (uri, host) in [
        ("ws://h:80/", "h"),
        ("ws://h:8080/", "h:8080"),
        ("wss://h:443/", "h"),
        ("wss://h:80/", "h:80"),
        ("ws://[::1]:9/", "[::1]:9"),
        ("ws://Example.COM", "example.com"),
    ] {
        assert!(
            sent(request(uri)).contains(&format!("\r\nHost: {host}\r\n")),
            "{uri}"
        );
    }
}

#[cfg(feature = "std")]
#[test]
fn every_handshake_has_a_key_of_its_own() {
    //= RFC6455-4.1-24
    let one = plain().start_random().unwrap();
    let other = plain().start_random().unwrap();
    assert_ne!(one.request_bytes(), other.request_bytes());
}

#[test]
fn subprotocols_are_distinct_tokens_in_order() {
    //= RFC6455-4.1-28
    //= RFC6455-4.1-29
    //= RFC6455-4.1-30
    //= RFC6455-8.1-2
    let both = plain()
        .subprotocol("chat")
        .expect("a token")
        .subprotocol("superchat")
        .expect("a token");
    assert!(sent(both.clone()).contains("\r\nSec-WebSocket-Protocol: chat, superchat\r\n"));
    for name in [
        "",
        "a b",
        "a,b",
        "a\u{e9}",
        "chat",
        "a\r\nEvil: 1",
        "a/b",
        "a\0",
    ] {
        assert_eq!(
            both.clone().subprotocol(name).expect_err(name).kind(),
            "bad_subprotocol"
        );
    }
}

#[test]
fn offers_are_sent_in_order() {
    //= RFC6455-4.1-31
    //= RFC6455-9-1
    //= RFC6455-9.1-3
    let offers = [
        DeflateOffer::new().server_max_window_bits(10),
        DeflateOffer::default(),
    ];
    let request = plain().offers(offers);
    assert!(sent(request).contains(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10, \
        permessage-deflate; client_max_window_bits\r\n"
    ));
}

#[test]
fn origin_and_other_headers_can_be_added() {
    //= RFC6455-4.1-25
    //= RFC6455-4.1-26
    //= RFC6455-4.1-32
    let request = plain().origin("https://a.example").expect("fine");
    let request = request
        .origin("https://b.example")
        .expect("replaces the first");
    let text = sent(
        request
            .header("Cookie", "a=b")
            .expect("fine")
            .header("cookie", "c=d")
            .expect("fine"),
    );
    assert!(text.contains("\r\nOrigin: https://b.example\r\n"), "{text}");
    assert!(
        text.ends_with("\r\nCookie: a=b\r\ncookie: c=d\r\n\r\n"),
        "{text}"
    );
}

#[test]
fn headers_of_the_request_cannot_be_injected_or_overridden() {
    //= RFC6455-4.1-16
    //= RFC9110-5.5-1
    for (name, value) in [
        ("X", "b\r\nEvil: 1"),
        ("X", "b\nEvil: 1"),
        ("X", "\0"),
        ("X", "\u{7f}"),
        ("X\r\nEvil", "1"),
        ("X Y", "1"),
        ("", "1"),
        ("caf\u{e9}", "1"),
        ("Host", "evil"),
        ("upgrade", "h2c"),
        ("Connection", "close"),
        ("Sec-WebSocket-Key", "x"),
        ("sec-websocket-extensions", "x"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(
            plain().header(name, value).expect_err(name).kind(),
            "bad_header"
        );
    }
    assert_eq!(
        plain()
            .origin("x\r\nEvil: 1")
            .expect_err("injection")
            .kind(),
        "bad_header"
    );
}
