//! The client's side of the opening handshake, as statements about bytes.

use ws_handshake::{
    Agreed, ClientHandshake, ClientProgress, ClientRequest, DeflateOffer, DeflateParams,
    HandshakeError, HttpResponse, Nonce, Uri,
};

const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn with(lines: &str) -> String {
    format!("{}\r\n{lines}\r\n\r\n", REPLY.trim_end())
}

fn changed(from: &str, to: &str) -> String {
    assert!(REPLY.contains(from), "{from}");
    REPLY.replacen(from, to, 1)
}

fn request(uri: &str) -> ClientRequest {
    ClientRequest::new(Uri::parse(uri).expect("a URI"))
}

/// Starts with the key of the RFC's sample, `dGhlIHNhbXBsZSBub25jZQ==`.
fn start(request: ClientRequest) -> ClientHandshake {
    request.start(Nonce::from_bytes(*b"the sample nonce"))
}

fn sent(request: ClientRequest) -> String {
    String::from_utf8(start(request).request_bytes().to_vec()).expect("requests are ASCII")
}

fn plain() -> ClientRequest {
    request("ws://h/")
}

fn agreed(request: ClientRequest, reply: impl AsRef<[u8]>) -> Result<Agreed, HandshakeError> {
    match start(request).receive(reply.as_ref())? {
        ClientProgress::Agreed { agreed, consumed } => {
            assert_eq!(consumed, reply.as_ref().len());
            Ok(agreed)
        }
        other => panic!("{other:?}"),
    }
}

fn answered(reply: impl AsRef<[u8]>) -> HttpResponse {
    match start(plain()).receive(reply.as_ref()) {
        Ok(ClientProgress::Refused { response, .. }) => response,
        other => panic!("{other:?}"),
    }
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
        "GET /chat?x HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n"
    );
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
    let one = plain().start_random();
    let other = plain().start_random();
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
    assert!(
        text.ends_with("\r\nOrigin: https://b.example\r\nCookie: a=b\r\ncookie: c=d\r\n\r\n"),
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
        "",
        "web socket",
        "webSoc\u{212a}et",
    ] {
        assert_fails(plain(), changed("websocket", value), "bad_upgrade");
    }
    assert_fails(plain(), with("Upgrade: websocket"), "bad_upgrade");
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
        with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
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
        with("Sec-WebSocket-Protocol: A"),
        "unexpected_subprotocol",
    );
    assert_fails(
        request(),
        with("Sec-WebSocket-Protocol: a, b"),
        "bad_subprotocol_header",
    );
    assert_fails(
        request(),
        with("Sec-WebSocket-Protocol:"),
        "bad_subprotocol_header",
    );
    assert_fails(
        request(),
        with("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a"),
        "duplicate_subprotocol",
    );
    assert_eq!(
        agreed(request(), with("Sec-WebSocket-Protocol: b"))
            .expect("fine")
            .subprotocol
            .as_deref(),
        Some("b")
    );
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
        with("Sec-WebSocket-Extensions: permessage-deflate;"),
        "bad_extensions_header",
    );
    assert_fails(
        offer(),
        with("Sec-WebSocket-Extensions:"),
        "bad_extensions_header",
    );
    let twice = with(
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate",
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

#[test]
fn another_status_is_an_http_answer_and_no_connection() {
    //= RFC6455-4.1-34
    //= RFC6455-4.1-35
    let response =
        answered("HTTP/1.1 302 Found\r\nLocation: /elsewhere?x#y\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!((response.status, response.reason.as_str()), (302, "Found"));
    assert_eq!(response.body, b"body");
    assert!(!response.truncated);
    let base = Uri::parse("wss://h:8443/a").expect("a URI");
    let target = base
        .join(response.location().expect("a redirect"))
        .expect("a URI");
    assert_eq!(target.to_string(), "wss://h:8443/elsewhere?x");

    let response =
        answered("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        response.headers.get("www-authenticate"),
        Some(&b"Basic"[..])
    );
    assert_eq!(response.location(), None);
}

#[test]
fn a_426_shows_the_versions_that_the_server_speaks() {
    //= RFC6455-4.4-3
    //= RFC6455-11.3.5-1
    //= RFC6455-4.3-3
    let response = answered(
        "HTTP/1.1 426 x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8, 7,,013, 256, x\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(response.versions().collect::<Vec<_>>(), [13, 8, 7]);
}

#[test]
fn a_body_is_collected_whatever_its_framing_at_every_split_point() {
    let chunked = "HTTP/1.1 403 x\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
        2;a=b\r\nbo\r\n002 \r\ndy\r\n0\r\nTrailer: x\r\n\r\nrest";
    let length = "HTTP/1.1 403 x\r\nContent-Length: 4\r\n\r\nbodyrest";
    for input in [chunked, length] {
        for at in 0..=input.len() {
            let mut handshake = start(plain());
            let mut progress = handshake.receive(&input.as_bytes()[..at]).expect("sound");
            let mut before = 0;
            if progress == ClientProgress::Incomplete {
                assert_eq!(
                    handshake.response().is_some(),
                    at >= input.find("\r\n\r\n").expect("a head") + 4
                );
                before = at;
                progress = handshake.receive(&input.as_bytes()[at..]).expect("sound");
            }
            let ClientProgress::Refused { response, consumed } = progress else {
                panic!("{progress:?}")
            };
            assert_eq!(response.body, b"body");
            assert!(!response.truncated);
            assert_eq!(before + consumed, input.len() - 4);
        }
    }
}

#[test]
fn the_end_of_the_transport_ends_a_body_without_length() {
    let mut handshake = start(plain());
    assert_eq!(
        handshake.receive(b"HTTP/1.1 200 OK\r\n\r\nsome "),
        Ok(ClientProgress::Incomplete)
    );
    assert_eq!(
        handshake.response().map(|response| response.status),
        Some(200)
    );
    assert_eq!(handshake.receive(b"page"), Ok(ClientProgress::Incomplete));
    let response = handshake.eof().expect("a whole answer");
    assert_eq!(
        (response.body.as_slice(), response.truncated),
        (&b"some page"[..], false)
    );
    assert_eq!(handshake.eof(), Err(HandshakeError::ConnectionLost));
}

#[test]
fn the_end_of_the_transport_before_the_end_of_the_reply_is_a_loss() {
    assert_eq!(start(plain()).eof(), Err(HandshakeError::ConnectionLost));
    let mut handshake = start(plain());
    assert_eq!(
        handshake.receive(&REPLY.as_bytes()[..40]),
        Ok(ClientProgress::Incomplete)
    );
    assert_eq!(handshake.eof(), Err(HandshakeError::ConnectionLost));
    let mut handshake = start(plain());
    assert_eq!(
        handshake.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"),
        Ok(ClientProgress::Incomplete)
    );
    assert!(handshake.eof().expect("the answer is known").truncated);
}

#[test]
fn a_body_is_kept_up_to_its_limit_and_no_further() {
    let head = |framing: &str| format!("HTTP/1.1 500 x\r\n{framing}\r\n\r\n");
    for (framing, body) in [
        ("Content-Length: 99999999999", "abcdefgh"),
        ("X: until the end", "abcdefgh"),
        ("Transfer-Encoding: chunked", "2\r\nab\r\n3\r\ncdefgh"),
    ] {
        let input = head(framing) + body;
        let mut handshake = start(plain().max_body(4));
        let Ok(ClientProgress::Refused { response, .. }) = handshake.receive(input.as_bytes())
        else {
            panic!("{input}")
        };
        assert_eq!(
            (response.body.as_slice(), response.truncated),
            (&b"abcd"[..], true)
        );
        let mut handshake = start(plain().max_body(0));
        let Ok(ClientProgress::Refused { response, .. }) =
            handshake.receive(head(framing).as_bytes())
        else {
            panic!("{framing}")
        };
        assert!(response.body.is_empty() && response.truncated);
    }
    let exact = head("Content-Length: 4") + "abcd";
    let Ok(ClientProgress::Refused { response, .. }) =
        start(plain().max_body(4)).receive(exact.as_bytes())
    else {
        panic!("{exact}")
    };
    assert!(!response.truncated);
}

#[test]
fn a_body_that_makes_no_sense_still_shows_its_status() {
    for reply in [
        "HTTP/1.1 400 x\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 400 x\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 400 x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n1;\nabc",
    ] {
        let response = answered(reply);
        assert_eq!(
            (response.status, response.truncated),
            (400, true),
            "{reply}"
        );
    }
    for reply in [
        "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 x\r\n\r\n",
    ] {
        assert!(!answered(reply).truncated);
    }
}

#[test]
fn endless_chunk_framing_is_given_up() {
    let mut handshake = start(plain().max_body(16));
    let head = b"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n1;";
    assert_eq!(handshake.receive(head), Ok(ClientProgress::Incomplete));
    let gave_up = (0..100_000).any(|_| handshake.receive(b"x") != Ok(ClientProgress::Incomplete));
    assert!(gave_up);
}

#[test]
fn framing_of_a_chunked_body_may_take_as_much_as_the_body_and_8_kib() {
    let head = "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (trailer, is_truncated) in [(8000, false), (9000, true)] {
        let input = format!("{head}0\r\nX: {}\r\n\r\n", "y".repeat(trailer));
        let progress = start(plain().max_body(16)).receive(input.as_bytes());
        let Ok(ClientProgress::Refused { response, .. }) = progress else {
            panic!("{progress:?}")
        };
        assert_eq!(response.truncated, is_truncated, "{trailer}");
    }
}

#[test]
fn a_body_is_kept_up_to_64_kib_unless_told_otherwise() {
    for (size, is_truncated) in [(64 * 1024, false), (64 * 1024 + 1, true)] {
        let head = format!("HTTP/1.1 500 x\r\nContent-Length: {size}\r\n\r\n");
        let response = answered(head + &"a".repeat(size));
        assert_eq!(
            (response.body.len(), response.truncated),
            (64 * 1024, is_truncated)
        );
    }
}

#[test]
fn a_body_whose_last_coding_is_not_chunked_lasts_until_the_end() {
    let mut handshake = start(plain());
    let input = b"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(handshake.receive(input), Ok(ClientProgress::Incomplete));
    let response = handshake.eof().expect("the end of the body");
    assert_eq!(
        (response.body.as_slice(), response.truncated),
        (&b"1\r\na\r\n0\r\n\r\n"[..], false)
    );
}

#[test]
fn lengths_that_differ_leave_the_end_of_the_body_unknown() {
    for (one, other, is_truncated) in [
        (0, 0, false),
        (0, 5, true),
        (5, 0, true),
        (4, 4, false),
        (4, 3, true),
    ] {
        let reply = format!(
            "HTTP/1.1 400 x\r\nContent-Length: {one}\r\nContent-Length: {other}\r\n\r\nbody"
        );
        let response = answered(reply);
        assert_eq!(response.truncated, is_truncated, "{one} and {other}");
    }
}

#[test]
fn a_chunk_without_size_and_a_bare_line_feed_in_a_trailer_end_the_body() {
    for body in ["\r\n\r\n", ";a\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n\n\r\n"] {
        let head = "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = answered(format!("{head}{body}"));
        assert!(response.truncated, "{}", body.escape_debug());
    }
}

#[test]
fn a_reply_may_have_no_header_at_all() {
    let mut handshake = start(plain());
    let input = b"HTTP/1.1 200 x\r\n\r\n";
    assert_eq!(handshake.receive(input), Ok(ClientProgress::Incomplete));
    let response = handshake.eof().expect("an answer");
    assert!(response.headers.is_empty() && response.headers.get("X").is_none());
    assert!(
        !answered("HTTP/1.1 204 x\r\nA: b\r\n\r\n")
            .headers
            .is_empty()
    );
}

#[test]
fn what_is_logged_of_a_handshake_is_how_far_it_got() {
    let mut handshake = start(plain());
    assert!(format!("{handshake:?}").contains(r#"stage: "head""#));
    let progress = handshake.receive(b"HTTP/1.1 200 x\r\n\r\n");
    assert_eq!(progress, Ok(ClientProgress::Incomplete));
    assert!(format!("{handshake:?}").contains(r#"stage: "body""#));
    assert!(handshake.eof().is_ok());
    assert!(format!("{handshake:?}").contains(r#"stage: "over""#));
    let nonce = Nonce::from_bytes(*b"the sample nonce");
    assert_eq!(format!("{nonce:?}"), "Nonce(dGhlIHNhbXBsZSBub25jZQ==)");
}
