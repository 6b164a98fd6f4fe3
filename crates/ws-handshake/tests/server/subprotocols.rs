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
fn subprotocols_must_be_distinct_tokens() {
    //= RFC6455-4.3-1
    //= RFC6455-8.1-2
    //= RFC9110-5.6.2-1
    for value in [
        "",
        ",",
        "a b",
        "a/b",
        "a;b",
        "caf\u{e9}",
        "a, b, a",
        "\"a\"",
        "b, \u{7f}x",
    ] {
        let (kind, _) = refusal(&any(), with(&format!("Sec-WebSocket-Protocol: {value}")));
        assert!(
            kind == "bad_subprotocol_header" || (value.contains('\u{7f}') && kind == "bad_header"),
            "{value}: {kind}"
        );
    }
    let many: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
    let config = any().limits(HeadLimits {
        max_head: 64 * 1024,
        ..HeadLimits::default()
    });
    assert!(
        answer(
            &config,
            with(&format!("Sec-WebSocket-Protocol: {}", many.join(",")))
        )
        .is_ok()
    );
    let (kind, _) = refusal(
        &config,
        with(&format!("Sec-WebSocket-Protocol: {},1234", many.join(","))),
    );
    assert_eq!(kind, "bad_subprotocol_header");
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
