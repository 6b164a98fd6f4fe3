//! Requests that another parser has read.

use ws_handshake::{Request, Version};

use super::{REPLY, any};

#[test]
fn a_request_from_another_parser_is_judged_alike() {
    let headers = [
        ("host", &b"h"[..]),
        ("upgrade", b"websocket"),
        ("connection", b" Upgrade "),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", b"13"),
    ];
    let request = Request::from_parts("GET", "/chat", Version::HTTP_11, headers).expect("sound");
    let mut out = Vec::new();
    any()
        .negotiate(&request)
        .expect("correct")
        .write_to(&mut out);
    assert_eq!(out, REPLY.as_bytes());
    let bad = |name, value| {
        Request::from_parts("GET", "/", Version::HTTP_11, [(name, value)])
            .err()
            .map(|error| error.kind())
    };
    assert_eq!(bad("a b", &b"x"[..]), Some("bad_header"));
    assert_eq!(bad("a", &b"x\r\ny"[..]), Some("bad_header"));
    let line = Request::from_parts("GET", "/ x", Version::HTTP_11, [])
        .err()
        .map(|error| error.kind());
    assert_eq!(line, Some("bad_request_line"));
}

#[test]
fn method_and_target_from_another_parser_are_judged_one_by_one() {
    for (method, target) in [
        ("G T", "/"),
        ("", "/"),
        ("GET", ""),
        ("GET", "/ "),
        ("GET", "/\r"),
        ("GET", "/\n"),
    ] {
        let error = Request::from_parts(method, target, Version::HTTP_11, []).err();
        assert_eq!(
            error.map(|error| error.kind()),
            Some("bad_request_line"),
            "{method:?} {target:?}"
        );
    }
}
