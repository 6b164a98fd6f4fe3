//! Message heads in any pieces, of any bytes, of any size.

use ws_handshake::{
    ClientProgress, ClientRequest, HandshakeError, HeadLimits, HeadReader, Nonce, OriginPolicy,
    Request, ServerConfig, Uri,
};

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const REPLY: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A head, and what is left of the piece that completed it.
#[derive(Debug, PartialEq)]
struct Found {
    head: Vec<u8>,
    rest: Vec<u8>,
}

fn read(limits: HeadLimits, pieces: &[&[u8]]) -> Result<Option<Found>, HandshakeError> {
    let mut reader = HeadReader::request(limits);
    for piece in pieces {
        if let Some(head) = reader.receive(piece)? {
            let rest = piece[head.consumed()..].to_vec();
            return Ok(Some(Found {
                head: head.as_bytes().to_vec(),
                rest,
            }));
        }
    }
    Ok(None)
}

fn splits(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=input.len()).map(|at| vec![&input[..at], &input[at..]]);
    halves.chain([input.chunks(1).collect(), input.chunks(3).collect()])
}

fn handshake() -> ws_handshake::ClientHandshake {
    let uri = Uri::parse("ws://h/").expect("a URI");
    ClientRequest::new(uri).start(Nonce::from_bytes(*b"the sample nonce"))
}

#[test]
fn a_head_is_the_same_at_every_split_point() {
    let mut input = b"\r\n\r\n".to_vec();
    input.extend_from_slice(REQUEST);
    for pieces in splits(&input) {
        let Found { head, rest } = read(HeadLimits::default(), &pieces)
            .expect("sound")
            .expect("complete");
        assert_eq!(head, REQUEST);
        assert_eq!(rest, b"");
    }
}

#[test]
fn an_error_is_the_same_at_every_split_point() {
    //= RFC9112-2.2-2
    let limits = HeadLimits {
        max_head: 40,
        ..HeadLimits::default()
    };
    for (input, kind) in [
        (&b"GET / HTTP/1.1\nHost: h\r\n\r\n"[..], "bad_line_ending"),
        (b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", "bad_line_ending"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", "bad_line_ending"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rx", "bad_line_ending"),
        (b"\nGET / HTTP/1.1\r\n\r\n", "bad_line_ending"),
        (b"\rGET / HTTP/1.1\r\n\r\n", "bad_line_ending"),
        (
            b"GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhh\r\n\r\n",
            "head_too_large",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhh\n\n",
            "head_too_large",
        ),
    ] {
        for pieces in splits(input) {
            assert_eq!(
                read(limits, &pieces).expect_err("broken").kind(),
                kind,
                "{pieces:?}"
            );
        }
    }
}

#[test]
fn a_few_empty_lines_before_a_request_are_skipped_and_count() {
    //= RFC9112-2.2-1
    let limits = HeadLimits {
        max_head: REQUEST.len() + 8,
        max_headers: 5,
    };
    let input = [&b"\r\n".repeat(4)[..], REQUEST].concat();
    assert!(read(limits, &[&input]).expect("sound").is_some());
    assert!(Request::parse(&input, &limits).is_ok());
    let limits = HeadLimits {
        max_head: REQUEST.len() + 7,
        ..limits
    };
    let error = HandshakeError::HeadTooLarge {
        limit: limits.max_head,
    };
    for pieces in splits(&input) {
        assert_eq!(read(limits, &pieces), Err(error));
    }
}

#[test]
fn empty_lines_without_end_are_refused_at_the_fifth() {
    let error = HandshakeError::TooManyEmptyLines { limit: 4 };
    let input = b"\r\n".repeat(5);
    for pieces in splits(&input) {
        assert_eq!(read(HeadLimits::default(), &pieces), Err(error));
    }
    assert_eq!(read(HeadLimits::default(), &[&input[..9]]), Ok(None));
    assert_eq!(
        error.to_string(),
        "more than 4 empty lines before the request"
    );
    assert_eq!(error.status(), 400);
}

#[test]
fn tls_on_a_plaintext_port_is_known_by_its_first_two_bytes() {
    const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let error = HandshakeError::TlsClientHello;
    for pieces in splits(&CLIENT_HELLO[..2]) {
        assert_eq!(read(HeadLimits::default(), &pieces), Err(error));
    }
    let parsed = Request::parse(CLIENT_HELLO, &HeadLimits::default());
    assert_eq!(parsed.err(), Some(error));
    assert_eq!(error.to_string(), "TLS spoken to a plaintext port");
    for other in [&b"\x16"[..], b"\x16\x02", b"\r\n\x16\x03", b"G\x16\x03"] {
        assert_eq!(read(HeadLimits::default(), &[other]), Ok(None));
    }
}

#[test]
fn a_head_of_a_corporate_network_fits_by_default() {
    let mut head = format!("GET /?{} HTTP/1.1\r\n", "q".repeat(8000));
    head += "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    head += &format!("Authorization: Negotiate {}\r\n", "x".repeat(12_000));
    head += &format!("Cookie: session={}\r\n", "y".repeat(4000));
    for number in 0..120 {
        head += &format!("X-Proxy-{number}: v\r\n");
    }
    head += "\r\n";
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("it fits");
    assert!(
        ServerConfig::new(OriginPolicy::Any)
            .negotiate(&request)
            .is_ok()
    );
}

#[test]
fn the_limits_are_exact() {
    //= RFC9110-5.4-1
    //= RFC6585-5-1
    //= RFC9112-3-2
    let limits = |max_head, max_headers| HeadLimits {
        max_head,
        max_headers,
    };
    let config = |limits| ServerConfig::new(OriginPolicy::Any).limits(limits);
    let size = REQUEST.len();
    assert!(Request::parse(REQUEST, &limits(size, 5)).is_ok());
    let error = Request::parse(REQUEST, &limits(size - 1, 5)).expect_err("one byte too large");
    assert_eq!(error, HandshakeError::HeadTooLarge { limit: size - 1 });
    assert_eq!(error.rejection().status(), 431);
    let error = Request::parse(REQUEST, &limits(size, 4)).expect_err("one header too many");
    assert_eq!(error, HandshakeError::TooManyHeaders { limit: 4 });
    assert_eq!(error.rejection().status(), 431);
    let mut reply = Vec::new();
    error.rejection().write_to(&mut reply);
    assert!(reply.ends_with(b"\r\n\r\ntoo_many_headers: max_headers is 4 lines\n"));
    assert_eq!(config(limits(size, 5)).head_limits(), limits(size, 5));
    let long_target = [b"GET /", &b"a".repeat(40_000)[..], b" HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(
        Request::parse(&long_target, &HeadLimits::default())
            .expect_err("too large")
            .status(),
        431
    );
    assert!(Request::parse(b"", &limits(0, 0)).is_err());
}

#[test]
fn a_head_without_end_is_refused_at_the_limit_and_keeps_no_memory() {
    let mut reader = HeadReader::request(HeadLimits::default());
    let mut most = 0;
    let error = loop {
        match reader.receive(b"a") {
            Ok(head) => assert!(head.is_none()),
            Err(error) => break error,
        }
        most = most.max(reader.heap_bytes());
    };
    assert_eq!(error, HandshakeError::HeadTooLarge { limit: 32_768 });
    assert!(most <= 32_768, "{most}");
    assert_eq!(reader.heap_bytes(), 0);
    assert_eq!(reader.receive(b"more").err(), Some(error));
}

#[test]
fn a_head_that_comes_whole_is_lent_and_not_copied() {
    let mut reader = HeadReader::request(HeadLimits::default());
    assert!(reader.is_idle());
    let head = reader.receive(REQUEST).expect("sound").expect("complete");
    assert!(core::ptr::eq(head.as_bytes(), REQUEST));
    assert_eq!(reader.heap_bytes(), 0);
    assert!(reader.receive(&REQUEST[..10]).expect("sound").is_none());
    assert!(!reader.is_idle() && reader.heap_bytes() >= 10);
    assert!(reader.receive(&REQUEST[10..]).expect("sound").is_some());
    assert!(reader.receive(b"").expect("sound").is_none());
    assert!(reader.is_idle() && reader.heap_bytes() == 0);
}

#[test]
fn every_byte_in_a_name_is_a_token_byte_or_refused() {
    //= RFC9110-5.1-1
    //= RFC9112-5.1-1
    //= RFC9110-5.6.2-1
    for byte in 0..=255_u8 {
        let head = [&b"GET / HTTP/1.1\r\nX"[..], &[byte], b"Y: z\r\n\r\n"].concat();
        let result = Request::parse(&head, &HeadLimits::default());
        let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match result {
            Ok(_) => assert!(is_token || byte == b':', "{byte}"),
            Err(error) if byte == b'\r' || byte == b'\n' => {
                assert_eq!(error.kind(), "bad_line_ending")
            }
            Err(error) => {
                assert!(!is_token);
                assert_eq!(error.kind(), "bad_header", "{byte}");
            }
        }
    }
}

#[test]
fn every_byte_in_a_value_is_taken_or_refused() {
    //= RFC9110-5.5-1
    //= RFC9112-2.2-4
    let names = [
        "X",
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
    ];
    let names = names.iter().chain(&[
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Origin",
        "Content-Length",
    ]);
    for name in names {
        for byte in 0..=255_u8 {
            let line = [name.as_bytes(), b": a", &[byte], b"b"].concat();
            let head = [&REQUEST[..REQUEST.len() - 2], &line, b"\r\n\r\n"].concat();
            let policy = OriginPolicy::list(["https://app.example"]).expect("an origin");
            let config = ServerConfig::new(policy).subprotocols(["a"]);
            let parsed = Request::parse(&head, &HeadLimits::default());
            let is_control = byte != b'\t' && (byte < 32 || byte == 127);
            assert_eq!(parsed.is_err(), is_control, "{byte}");
            if let Ok(request) = parsed {
                let _ = (
                    request.subprotocols().count(),
                    request.extensions().count(),
                    request.origin(),
                );
                let outcome = config.negotiate(&request);
                assert!(*name != "X" || outcome.is_ok());
            }
            let reply = [&REPLY[..REPLY.len() - 2], &line, b"\r\n\r\n"].concat();
            let outcome = handshake().receive(&reply);
            assert!(*name != "X" || outcome.is_err() == is_control, "{byte}");
        }
    }
}

#[test]
fn every_byte_in_place_of_every_byte_ends_in_a_result() {
    //= RFC9112-2.2-4
    let config = ServerConfig::new(OriginPolicy::SameHost);
    for at in 0..REQUEST.len() {
        let mut head = REQUEST.to_vec();
        for byte in 0..=255 {
            head[at] = byte;
            if let Ok(request) = Request::parse(&head, &HeadLimits::default()) {
                let _ = config.negotiate(&request).map(drop);
            }
        }
    }
}

#[test]
fn a_header_line_without_colon_is_malformed() {
    //= RFC9112-5-1
    //= RFC9112-5.1-1
    for line in [
        "Foo",
        "Host : h",
        ": x",
        " Host: h",
        "Bad Name: x",
        "B@d: x",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
        assert_eq!(
            Request::parse(head.as_bytes(), &HeadLimits::default())
                .expect_err(line)
                .kind(),
            "bad_header"
        );
        let reply = format!("HTTP/1.1 101 x\r\n{line}\r\n\r\n");
        assert_eq!(
            handshake()
                .receive(reply.as_bytes())
                .expect_err(line)
                .kind(),
            "bad_header"
        );
    }
}

#[test]
fn whitespace_between_start_line_and_headers_is_malformed() {
    //= RFC9112-2.2-3
    let head = b"GET / HTTP/1.1\r\n Host: h\r\n\r\n";
    assert_eq!(
        Request::parse(head, &HeadLimits::default())
            .expect_err("folded")
            .kind(),
        "bad_header"
    );
    assert_eq!(
        handshake()
            .receive(b"HTTP/1.1 101 x\r\n A: b\r\n\r\n")
            .expect_err("folded")
            .kind(),
        "bad_header"
    );
}

#[test]
fn folded_lines_are_refused_in_a_request_and_unfolded_in_a_reply() {
    //= RFC9112-5.2-1
    //= RFC9112-5.2-2
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n";
    assert_eq!(
        Request::parse(head, &HeadLimits::default())
            .expect_err("folded")
            .kind(),
        "bad_header"
    );
    let reply = [
        &REPLY[..REPLY.len() - 2],
        b"X: a\r\n \t b \r\n\tc\0d\r\n\r\n",
    ]
    .concat();
    for at in 0..reply.len() {
        let mut handshake = handshake();
        assert_eq!(
            handshake.receive(&reply[..at]),
            Ok(ClientProgress::Incomplete)
        );
        let Ok(ClientProgress::Agreed { agreed, .. }) = handshake.receive(&reply[at..]) else {
            panic!("{at}")
        };
        assert_eq!(agreed.headers.get("x"), Some(&b"a b c d"[..]));
    }
}

#[test]
fn no_space_begins_or_ends_a_value_that_was_folded() {
    //= RFC9112-5.2-2
    for (folded, value) in [
        ("X:\r\n a", "a"),
        ("X: \r\n\t\0\r\n a", "a"),
        ("X: a\r\n ", "a"),
        ("X: a\r\n \r\n b\r\n\t \0", "a b"),
        ("X:\r\n ", ""),
    ] {
        let reply = [&REPLY[..REPLY.len() - 2], folded.as_bytes(), b"\r\n\r\n"].concat();
        let Ok(ClientProgress::Agreed { agreed, .. }) = handshake().receive(&reply) else {
            panic!("{folded:?}")
        };
        assert_eq!(
            agreed.headers.get("x"),
            Some(value.as_bytes()),
            "{folded:?}"
        );
    }
}

#[test]
fn odd_heads_end_in_a_result() {
    for head in [
        &b"\r\n\r\n"[..],
        b"\r\n",
        b"",
        b" \r\n\r\n",
        b"  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n: \r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101\r\n\r\n",
        b"HTTP/1.1 000 x\r\n\r\n",
        b"\xff\xfe \xff HTTP/1.1\r\n\r\n",
    ] {
        let _ = Request::parse(head, &HeadLimits::default()).map(|request| request.target().len());
        let _ = handshake().receive(head);
    }
    assert_eq!(
        Request::parse(b"GET /", &HeadLimits::default()).err(),
        Some(HandshakeError::IncompleteHead)
    );
}

#[test]
fn what_a_reader_keeps_stays_within_any_limit() {
    let limits = HeadLimits {
        max_head: 5000,
        ..HeadLimits::default()
    };
    for size in [1, 3, 700] {
        let mut reader = HeadReader::request(limits);
        let piece = b"a".repeat(size);
        while reader.receive(&piece).is_ok() {
            assert!(reader.heap_bytes() <= 5000, "{}", reader.heap_bytes());
            let before = reader.heap_bytes();
            assert_eq!(reader.receive(b"").map(|head| head.is_some()), Ok(false));
            assert_eq!(reader.heap_bytes(), before, "nothing came");
        }
    }
}
