//! Answers that open no connection, and their bodies.

use ws_handshake::{ClientProgress, HandshakeError, HttpResponse, Uri};

use super::{REPLY, plain, start};

fn answered(reply: impl AsRef<[u8]>) -> HttpResponse {
    match start(plain()).receive(reply.as_ref()) {
        Ok(ClientProgress::Refused { response, .. }) => response,
        other => panic!("{other:?}"),
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
fn a_refusal_is_told_with_the_first_line_of_its_page() {
    for (reply, told) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 26\r\n\r\nNo User-Agent, no service\n",
            "403 Forbidden; its page begins \"No User-Agent, no service\"",
        ),
        (
            "HTTP/1.1 401\r\nWWW-Authenticate: Bearer realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
            "401; it asks for Bearer realm=\"x\"",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            "302 Found; it leads to /login",
        ),
        (
            "HTTP/1.1 403 x\u{9b}\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
            "403 x\\u{9b}",
        ),
    ] {
        assert_eq!(answered(reply).to_string(), told);
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    //= RFC9110-10.2.3-1
    let after = |value: &str| {
        let reply = format!("HTTP/1.1 429 x\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        answered(reply)
            .retry_after(784_111_700)
            .map(|wait| wait.as_secs())
    };
    assert_eq!(after("120"), Some(120));
    assert_eq!(after("259200"), Some(259_200));
    assert_eq!(after("0"), Some(0));
    assert_eq!(after("99999999999999999999"), Some(u64::MAX));
    assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(77));
    assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    for none in ["", "-1", "1.5", "soon", "+1"] {
        assert_eq!(after(none), None, "{none}");
    }
    assert_eq!(
        answered("HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n").retry_after(0),
        None
    );
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
