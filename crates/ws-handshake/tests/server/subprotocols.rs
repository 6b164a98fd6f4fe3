//! Which subprotocol is chosen.

use ws_handshake::{HeadLimits, Request};

use super::{REPLY, REQUEST, answer, any, refusal, with};

#[test]
fn the_clients_favourite_among_our_subprotocols_is_chosen() {
    //= RFC6455-4.2.2-10
    //= RFC6455-4.2.1-9
    //= RFC6455-11.3.4-1
    //= RFC6455-4.3-4
    //= RFC9110-5.6.1-1
    let config = any().subprotocols(["a", "b"]);
    for lines in [
        "Sec-WebSocket-Protocol: x, b, a",
        "Sec-WebSocket-Protocol: x,,b\r\nX: y\r\nSec-WebSocket-Protocol: , a,",
        "Sec-WebSocket-Protocol: ,\r\nsec-websocket-protocol:\t b \t",
    ] {
        let reply = answer(&config, with(lines)).expect("accepted");
        assert_eq!(
            reply.matches("\r\nSec-WebSocket-Protocol: b\r\n").count(),
            1,
            "{reply}"
        );
    }
}

#[test]
fn without_a_common_subprotocol_none_is_named() {
    //= RFC6455-4.2.2-11
    //= RFC6455-4.2.2-12
    //= RFC6455-11.3.4-2
    for config in [any(), any().subprotocols(["", "B"])] {
        assert_eq!(
            answer(&config, with("Sec-WebSocket-Protocol: a, b")).as_deref(),
            Ok(REPLY)
        );
    }
    assert_eq!(
        answer(&any().subprotocols(["a"]), REQUEST).as_deref(),
        Ok(REPLY)
    );
}

#[test]
fn what_is_no_token_is_passed_over_and_never_echoed() {
    //= RFC6455-4.3-1
    //= RFC6455-8.1-2
    //= RFC9110-5.6.2-1
    let config = any().subprotocols(["chat", "a=b", "a b", "caf\u{e9}", ""]);
    for value in [
        "",
        ",",
        " , ,",
        "a b",
        "a=b",
        "a/b",
        "user@host:1",
        "a;b",
        "caf\u{e9}",
        "\"chat\"",
    ] {
        let head = with(&format!("Sec-WebSocket-Protocol: {value}"));
        assert_eq!(answer(&config, head).as_deref(), Ok(REPLY), "{value}");
        let head = with(&format!("Sec-WebSocket-Protocol: {value}, chat"));
        let reply = answer(&config, head).expect("the rest of the list");
        assert!(reply.contains("\r\nSec-WebSocket-Protocol: chat\r\n"));
    }
    let (kind, _) = refusal(&any(), with("Sec-WebSocket-Protocol: b, \u{7f}x"));
    assert_eq!(kind, "bad_header");
}

#[test]
fn an_application_sees_the_elements_that_are_no_tokens() {
    let head = with("Sec-WebSocket-Protocol: chat, ab/c+d==, chat");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    let sent: Vec<_> = request.subprotocols_as_sent().collect();
    assert_eq!(sent, [&b"chat"[..], b"ab/c+d==", b"chat"]);
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "chat"]);
    let acceptance = any().negotiate(&request).expect("correct");
    assert!(acceptance.subprotocol("ab/c+d==").is_err());
}

#[test]
fn a_subprotocol_that_is_listed_twice_is_agreed_on_once() {
    let config = any().subprotocols(["chat"]);
    for lines in [
        "Sec-WebSocket-Protocol: chat, chat",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat",
    ] {
        let reply = answer(&config, with(lines)).expect("accepted");
        assert_eq!(reply.matches("Sec-WebSocket-Protocol: chat\r\n").count(), 1);
    }
}

#[test]
fn an_application_chooses_only_what_the_client_listed() {
    //= RFC6455-4.2.2-10
    //= RFC6455-4.2.2-12
    let head = with("Sec-WebSocket-Protocol: a, b");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["a", "b"]);
    let acceptance = || any().negotiate(&request).expect("correct");
    assert_eq!(
        acceptance()
            .subprotocol("b")
            .expect("listed")
            .agreed_subprotocol(),
        Some("b")
    );
    for name in ["c", "", "a, b", "A", "b\r\nX: y"] {
        assert!(acceptance().subprotocol(name).is_err(), "{name}");
    }
}
