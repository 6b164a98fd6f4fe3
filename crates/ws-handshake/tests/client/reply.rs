//! What a reply must be.

use ws_handshake::{ClientProgress, ClientRequest, DeflateOffer, DeflateParams, HandshakeError};

use super::{REPLY, agreed, plain, start};

fn with(lines: &str) -> String {
    format!("{}\r\n{lines}\r\n\r\n", REPLY.trim_end())
}

fn changed(from: &str, to: &str) -> String {
    assert!(REPLY.contains(from), "{from}");
    REPLY.replacen(from, to, 1)
}

#[track_caller]
fn assert_fails(request: ClientRequest, reply: impl AsRef<[u8]>, kind: &str) {
    let mut handshake = start(request);
    let error = handshake
        .receive(reply.as_ref())
        .expect_err("the reply breaks a rule");
    assert_eq!(error.kind(), kind);
    assert_eq!(
        handshake.receive(REPLY.as_bytes()),
        Err(error),
        "a failed handshake stays failed"
    );
    assert_eq!(handshake.eof(), Err(error));
}

#[test]
fn a_correct_reply_opens_the_connection() {
    //= RFC6455-4.1-43
    //= RFC6455-5.8-1
    let request = plain()
        .subprotocol("chat")
        .expect("a token")
        .offer(DeflateOffer::default());
    let lines =
        "Sec-WebSocket-Protocol: chat\r\nServer: x\r\nSec-WebSocket-Extensions: permessage-deflate";
    let found = agreed(request.clone(), with(lines)).expect("a correct reply");
    assert_eq!(found.subprotocol.as_deref(), Some("chat"));
    assert_eq!(found.deflate, Some(DeflateParams::default()));
    assert_eq!(found.headers.get("SERVER"), Some(&b"x"[..]));
    assert_eq!(found.headers.len(), 6);
    let found = agreed(request, REPLY).expect("a correct reply");
    assert_eq!((found.subprotocol, found.deflate), (None, None));
}

#[test]
fn names_of_the_reply_are_matched_without_regard_to_case() {
    //= RFC6455-4.1-42
    //= RFC6455-2.1-2
    let reply = changed("Upgrade: websocket", "UPGRADE: WebSocket").replacen(
        "Sec-WebSocket",
        "sec-WEBSOCKET",
        1,
    );
    assert!(agreed(plain(), reply).is_ok());
}

#[test]
fn upgrade_must_be_websocket_and_nothing_else() {
    //= RFC6455-4.1-36
    //= RFC6455-7.2.1-1
    assert_fails(
        plain(),
        changed("Upgrade: websocket\r\n", ""),
        "missing_upgrade",
    );
    for value in [
        "h2c",
        "websocket, h2c",
        "websocket\r\nUpgrade: h2c",
        "websocket\r\nUpgrade:",
        "",
        "web socket",
        "webSoc\u{212a}et",
    ] {
        assert_fails(plain(), changed("websocket", value), "bad_upgrade");
    }
}

#[test]
fn a_header_that_comes_twice_with_one_value_is_one() {
    //= RFC6455-4.1-36
    //= RFC6455-4.1-38
    let request = plain()
        .subprotocol("chat")
        .expect("a token")
        .offer(DeflateOffer::default());
    let twice = "Upgrade: WebSocket\r\n\
        Connection: upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\
        Sec-WebSocket-Protocol: Chat, chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15";
    let found = agreed(request, with(twice)).expect("every value is said twice");
    assert_eq!(found.subprotocol.as_deref(), Some("chat"));
    assert_eq!(found.deflate, Some(DeflateParams::default()));
}

#[test]
fn connection_must_name_upgrade() {
    //= RFC6455-4.1-37
    //= RFC9110-7.6.1-1
    //= RFC9110-5.3-1
    assert_fails(
        plain(),
        changed("Connection: Upgrade\r\n", ""),
        "missing_connection",
    );
    assert_fails(
        plain(),
        changed("Connection: Upgrade", "Connection: close"),
        "bad_connection",
    );
    assert!(
        agreed(
            plain(),
            changed("Connection: Upgrade", "Connection: keep-alive, UPGRADE")
        )
        .is_ok()
    );
    assert!(
        agreed(
            plain(),
            changed(
                "Connection: Upgrade",
                "Connection: close\r\nConnection: ,upgrade"
            )
        )
        .is_ok()
    );
}

#[test]
fn accept_must_fit_the_key_and_be_there_once() {
    //= RFC6455-4.1-38
    //= RFC6455-11.3.3-1
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_fails(
        plain(),
        changed("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""),
        "missing_accept",
    );
    assert_fails(
        plain(),
        with("Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "duplicate_accept",
    );
    for value in [
        "",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
        "S3PPLMBITXAQ9KYGZZHZRBK+XOO=",
        "x s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ] {
        assert_fails(plain(), changed(ACCEPT, value), "bad_accept");
    }
    assert!(
        agreed(
            plain(),
            changed(ACCEPT, "  s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\t ")
        )
        .is_ok()
    );
}

#[test]
fn a_subprotocol_must_be_one_token_that_was_requested() {
    //= RFC6455-4.1-40
    //= RFC6455-4.3-4
    //= RFC6455-4.2.2-12
    //= RFC6455-11.3.4-2
    let request = || {
        plain()
            .subprotocol("a")
            .expect("a token")
            .subprotocol("b")
            .expect("a token")
    };
    assert_fails(
        plain(),
        with("Sec-WebSocket-Protocol: a"),
        "unexpected_subprotocol",
    );
    assert_fails(
        request(),
        with("Sec-WebSocket-Protocol: c"),
        "unexpected_subprotocol",
    );
    assert_fails(
        request(),
        with("Sec-WebSocket-Protocol: a b"),
        "bad_subprotocol_header",
    );
    for both in ["a, b", "a\r\nSec-WebSocket-Protocol: b"] {
        assert_fails(
            request(),
            with(&format!("Sec-WebSocket-Protocol: {both}")),
            "duplicate_subprotocol",
        );
    }
    for (value, expected) in [("b", Some("b")), ("B", Some("b")), ("", None), (",", None)] {
        let reply = with(&format!("Sec-WebSocket-Protocol: {value}"));
        let found = agreed(request(), reply).expect("fine");
        assert_eq!(found.subprotocol.as_deref(), expected, "{value}");
    }
}

#[test]
fn the_subprotocol_is_told_as_it_was_requested() {
    //= RFC6455-4.1-40
    let request = || {
        let request = plain().subprotocol("MQTT").expect("a token");
        request.subprotocol("mqtt").expect("a token")
    };
    for (value, expected) in [("mqtt", "mqtt"), ("MQTT", "MQTT"), ("Mqtt", "MQTT")] {
        let reply = with(&format!("Sec-WebSocket-Protocol: {value}"));
        let found = agreed(request(), reply).expect("fine");
        assert_eq!(found.subprotocol.as_deref(), Some(expected));
    }
}

#[test]
fn an_extension_must_have_been_offered() {
    //= RFC6455-4.1-39
    //= RFC6455-9.1-1
    //= RFC6455-9.1-5
    let offer = || plain().offer(DeflateOffer::default());
    assert_fails(
        plain(),
        with("Sec-WebSocket-Extensions: permessage-deflate"),
        "unexpected_extension",
    );
    assert_fails(
        offer(),
        with("Sec-WebSocket-Extensions: permessage-deflate, x"),
        "unexpected_extension",
    );
    assert_fails(
        offer(),
        with("Sec-WebSocket-Extensions: permessage-deflate; ="),
        "bad_extensions_header",
    );
    let twice = with(
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
    );
    //= RFC7692-6-2
    assert_fails(offer(), twice, "duplicate_extension");
    for params in [
        "unknown",
        "server_max_window_bits",
        "server_max_window_bits=16",
        "server_no_context_takeover=1",
    ] {
        assert_fails(
            offer(),
            with(&format!(
                "Sec-WebSocket-Extensions: permessage-deflate; {params}"
            )),
            "bad_extension_params",
        );
    }
}

#[test]
fn what_names_no_extension_is_none() {
    //= RFC6455-9.1-1
    for value in ["", ";", " , ;"] {
        let reply = with(&format!("Sec-WebSocket-Extensions: {value}"));
        for request in [plain(), plain().offer(DeflateOffer::default())] {
            let found = agreed(request, &reply).expect("a correct reply");
            assert_eq!(found.deflate, None, "{value}");
        }
    }
}

#[test]
fn an_extension_is_known_in_any_case_and_before_a_last_semicolon() {
    //= RFC6455-9.1-1
    let value = "Permessage-Deflate; Server_No_Context_Takeover;";
    let reply = with(&format!("Sec-WebSocket-Extensions: {value}"));
    let found = agreed(plain().offer(DeflateOffer::default()), reply).expect("a correct reply");
    assert!(found.deflate.expect("accepted").server_no_context_takeover);
}

#[test]
fn extensions_may_come_in_several_headers() {
    //= RFC6455-11.3.2-2
    //= RFC6455-4.2.2-19
    //= RFC6455-9.1-2
    let offer = plain().offer(DeflateOffer::default());
    let reply = with(
        "Sec-WebSocket-Extensions: ,\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9",
    );
    let deflate = agreed(offer, reply)
        .expect("fine")
        .deflate
        .expect("accepted");
    assert_eq!(deflate.client_max_window_bits, 9);
}

#[test]
fn other_departures_fail_too() {
    //= RFC6455-4.1-41
    //= RFC9112-4-1
    for line in [
        "HTTP/1.1 1O1 x",
        "HTTP/1.1 10 x",
        "HTTP/1.1  101 x",
        "ICY 101 x",
        "HTTP/1.1 101x",
        "HTTP/1.1 101 \u{1}",
        "",
    ] {
        assert_fails(
            plain(),
            changed("HTTP/1.1 101 Switching Protocols", line),
            "bad_status_line",
        );
    }
    for line in ["HTTP/1.0 101 x", "HTTP/2.0 101 x", "HTTP/0.9 200 x"] {
        assert_fails(
            plain(),
            changed("HTTP/1.1 101 Switching Protocols", line),
            "bad_http_version",
        );
    }
    for line in [
        "HTTP/1.1 101",
        "HTTP/1.1 101 ",
        "HTTP/1.1 101 \u{e9}  odd\t!",
        "HTTP/1.2 101 x",
    ] {
        assert!(
            agreed(plain(), changed("HTTP/1.1 101 Switching Protocols", line)).is_ok(),
            "{line}"
        );
    }
}

#[test]
fn interim_replies_are_passed_over() {
    //= RFC9110-15.2-1
    //= RFC9112-6.3-1
    let input =
        format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n{REPLY}\u{1}");
    for at in 0..=input.len() {
        let mut handshake = start(plain());
        let first = handshake.receive(&input.as_bytes()[..at]).expect("sound");
        if let ClientProgress::Agreed { consumed, .. } = first {
            assert_eq!(consumed, input.len() - 1);
            continue;
        }
        let second = handshake.receive(&input.as_bytes()[at..]).expect("sound");
        let ClientProgress::Agreed { consumed, .. } = second else {
            panic!("{second:?}")
        };
        assert_eq!(at + consumed, input.len() - 1);
    }
}

#[test]
fn a_reply_with_many_cookies_is_taken_by_default() {
    //= RFC9110-5.4-1
    let cookies: Vec<_> = (0..117)
        .map(|n| format!("Set-Cookie: c{n}={}", "x".repeat(60)))
        .collect();
    let reply = with(&cookies.join("\r\n"));
    assert!(reply.len() > 9 * 1024);
    assert_eq!(
        agreed(plain(), reply).expect("120 lines").headers.len(),
        120
    );
}

#[test]
fn interim_replies_have_an_end() {
    //= RFC9110-15.2-1
    let after = |interim: &str, count: usize| {
        let input = interim.repeat(count) + REPLY;
        let whole = start(plain()).receive(input.as_bytes()).map(drop);
        let mut bytewise = start(plain());
        let mut pieces = input
            .as_bytes()
            .chunks(1)
            .map(|byte| bytewise.receive(byte));
        assert_eq!(pieces.find_map(Result::err), whole.err());
        whole.map_err(|error| error.kind())
    };
    let short = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(after(short, 16), Ok(()));
    assert_eq!(after(short, 17), Err("too_many_interim"));
    let long = format!("HTTP/1.1 103 x\r\nLink: {}\r\n\r\n", "x".repeat(5000));
    assert_eq!(after(&long, 1), Ok(()));
    assert_eq!(after(&long, 15), Err("head_too_large"));
}

#[test]
fn a_reply_in_tls_is_known_by_its_first_byte() {
    for alert in [&b"\x15\x03\x01\0\x02\x02\x46"[..], b"\x15"] {
        let error = start(plain()).receive(alert).expect_err("no HTTP");
        assert_eq!(error.kind(), "tls_reply");
        assert!(error.to_string().contains("wss://"), "{error}");
    }
}

#[test]
fn a_peer_that_does_not_speak_http_is_known_by_its_first_byte() {
    for (greeting, shown) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "SSH-2.0-OpenSSH_9.6"),
        (b"220 mail.example ESMTP\r\n", "220 mail.example ESMTP"),
        (b"J\0\0\0\n8.0.36\0", "J\\x00\\x00\\x00"),
        (b"<html>not found</html>\n", "<html>not found</html>"),
        (b"\n", ""),
        (b"+", "+"),
    ] {
        let error = start(plain()).receive(greeting).expect_err("no HTTP");
        assert_eq!(error.kind(), "bad_status_line");
        let text = format!("malformed status line: \"{shown}\"");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn an_interim_reply_of_another_http_is_not_passed_over() {
    for version in ["0.9", "2.0"] {
        let input = format!("HTTP/{version} 103 Early Hints\r\n\r\n{REPLY}");
        let error = start(plain()).receive(input.as_bytes());
        assert!(
            matches!(error, Err(HandshakeError::BadHttpVersion { offered }) if offered.to_string().ends_with(version)),
            "{error:?}"
        );
    }
}
