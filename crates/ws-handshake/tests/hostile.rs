//! Heads that are meant to hurt. `crates/ws-conformance/HOSTILE.md` says which attack each is.

use std::time::{Duration, Instant};

use ws_handshake::{
    ClientRequest, DeflateOffer, DeflatePolicy, HandshakeError, HeadLimits, HeadReader, Nonce,
    OriginPolicy, Request, ServerConfig, Uri,
};

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Every header of the handshake that has a grammar of its own.
const HEADERS: [&str; 9] = [
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Origin",
    "Content-Length",
];

/// The request with another value of a header, or with one more.
fn with(header: &str, value: &[u8]) -> Vec<u8> {
    let name = format!("{header}: ");
    let mut head = Vec::new();
    for line in REQUEST.trim_end().split("\r\n") {
        if !line.starts_with(&name) {
            head.extend(line.as_bytes());
            head.extend(b"\r\n");
        }
    }
    head.extend(name.as_bytes());
    head.extend(value);
    head.extend(b"\r\n\r\n");
    head
}

fn server(max_head: usize) -> ServerConfig {
    let limits = HeadLimits {
        max_head,
        ..HeadLimits::default()
    };
    ServerConfig::new(OriginPolicy::SameHost)
        .limits(limits)
        .subprotocols(["chat"])
        .deflate(DeflatePolicy::new())
}

/// Judges a head as a server does, and returns the reply or the refusal.
fn judge(config: &ServerConfig, head: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut out = Vec::new();
    let request = Request::parse(head, &config.head_limits())?;
    config.negotiate(&request)?.write_to(&mut out);
    Ok(out)
}

/// Long enough for a busy machine, and nothing to what is quadratic: that takes
/// hours.
const MOMENT: Duration = Duration::from_secs(15 * 60);

#[test]
fn value_of_a_mebibyte_in_any_list_is_judged_in_a_moment() {
    const LEN: usize = 1 << 20;
    let start = Instant::now();
    let config = server(2 * LEN);
    let distinct: String = (0..100_000).map(|n| format!("p{n},")).collect();
    for header in HEADERS {
        for piece in [
            " ",
            ",",
            " ,",
            "\t ",
            "\"",
            "\\",
            ";",
            "a",
            "a,",
            "a;",
            "a; b=\"",
            "a; b=\"\\",
            "websocket,",
            "upgrade,",
            "permessage-deflate,",
            "13,",
            "permessage-deflate; a=1,",
        ] {
            let value = piece.repeat(LEN / piece.len());
            // The outcome is another test's; that there is one is this one's.
            let _ = judge(&config, &with(header, value.as_bytes()));
            let _ = judge(&config, &with(header, format!("a {value}a").as_bytes()));
        }
        let _ = judge(&config, &with(header, distinct.as_bytes()));
    }
    assert!(start.elapsed() < MOMENT);
}

#[test]
fn head_of_a_mebibyte_byte_by_byte_is_read_in_a_moment() {
    const LEN: usize = 1 << 20;
    let start = Instant::now();
    let limits = HeadLimits {
        max_head: LEN,
        ..HeadLimits::default()
    };
    for line in ["X: y\r\n", "X: ", " ", "\r\n"] {
        let mut reader = HeadReader::request(limits);
        let _ = reader.receive(b"GET / HTTP/1.1\r\n");
        let mut endless = line.bytes().cycle();
        let error = loop {
            match reader.receive(&[endless.next().unwrap()]) {
                Ok(None) => {}
                Ok(Some(_)) => break None,
                Err(error) => break Some(error),
            }
        };
        if line != "\r\n" {
            assert!(matches!(error, Some(HandshakeError::HeadTooLarge { .. })));
        }
    }
    assert!(start.elapsed() < MOMENT);
}

#[test]
fn every_byte_anywhere_in_every_value_ends_in_a_reply_or_a_refusal() {
    let config = server(HeadLimits::default().max_head);
    for header in HEADERS {
        let usual = match header {
            "Upgrade" => "websocket",
            "Connection" => "Upgrade",
            "Sec-WebSocket-Key" => "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version" => "13",
            "Sec-WebSocket-Extensions" => "permessage-deflate; client_max_window_bits=\"10\"",
            "Sec-WebSocket-Protocol" => "chat, superchat",
            "Origin" => "http://server.example.com",
            "Content-Length" => "0",
            _ => "server.example.com",
        };
        for at in 0..=usual.len() {
            for byte in 0..=u8::MAX {
                let mut value = usual.as_bytes().to_vec();
                value.insert(at, byte);
                let head = with(header, &value);
                let mut reader = HeadReader::request(HeadLimits::default());
                let whole = match reader.receive(&head) {
                    Ok(Some(head)) => head.request().and_then(|request| {
                        let mut out = Vec::new();
                        config.negotiate(&request)?.write_to(&mut out);
                        Ok(out)
                    }),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                };
                match whole {
                    // Nothing of the peer's choice gets out with another meaning.
                    Ok(reply) => {
                        assert!(reply.is_ascii() && reply.ends_with(b"\r\n\r\n"));
                        let text = String::from_utf8(reply).unwrap();
                        assert!(text.lines().count() <= 7, "{text}");
                        assert!(!text.trim_end().contains("\r\n\r\n"), "{text}");
                    }
                    Err(error) => {
                        let mut out = Vec::new();
                        error.rejection().write_to(&mut out);
                        assert!(out.is_ascii() && out.starts_with(b"HTTP/1.1 4"), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn odd_names_in_lists_are_names_like_any_other() {
    let config = server(100_000);
    let long = "x".repeat(8192);
    for odd in [
        "constructor",
        "__proto__",
        "toString",
        "hasOwnProperty",
        "prototype",
        "null",
        "undefined",
        "NaN",
        "0",
        "-1",
        "*",
        "%00",
        "..",
        "~",
        &long,
    ] {
        let replied = judge(&config, &with("Sec-WebSocket-Protocol", odd.as_bytes())).unwrap();
        let plain = judge(&config, REQUEST.as_bytes()).unwrap();
        assert_eq!(replied, plain, "{odd}");
        for value in [odd.to_owned(), format!("{odd}; {odd}={odd}, {odd}")] {
            let replied = judge(&config, &with("Sec-WebSocket-Extensions", value.as_bytes()));
            assert_eq!(replied.unwrap(), plain, "{odd}");
        }
        // A parameter that does not exist declines the offer.
        let value = format!("permessage-deflate; {odd}");
        let replied = judge(&config, &with("Sec-WebSocket-Extensions", value.as_bytes()));
        assert_eq!(replied.unwrap(), plain, "{odd}");
        assert!(judge(&config, &with("Upgrade", odd.as_bytes())).is_err());
        assert!(judge(&config, &with("Connection", odd.as_bytes())).is_err());
    }
}

#[test]
fn header_beyond_the_limit_is_refused_and_nothing_is_assumed_of_the_others() {
    let limits = HeadLimits {
        max_headers: 5,
        ..HeadLimits::default()
    };
    let config = ServerConfig::new(OriginPolicy::Any).limits(limits);
    assert!(judge(&config, REQUEST.as_bytes()).is_ok());
    for place in 1..=6 {
        // The one that is too many, before or behind those that matter.
        let mut lines: Vec<_> = REQUEST.trim_end().split("\r\n").collect();
        lines.insert(place, "X: y");
        let head = lines.join("\r\n") + "\r\n\r\n";
        let error = judge(&config, head.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), "too_many_headers", "{error}");
    }
    // And each that is missing has an error of its own.
    for header in [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
    ] {
        let lines = REQUEST.split("\r\n");
        let rest: Vec<_> = lines.filter(|line| !line.starts_with(header)).collect();
        assert!(
            judge(&config, rest.join("\r\n").as_bytes()).is_err(),
            "{header}"
        );
    }
}

#[test]
fn every_bad_parameter_of_a_reply_fails_the_client_and_none_panics() {
    let values = [
        "",
        "=",
        "=0",
        "=7",
        "=16",
        "=08",
        "=-8",
        "=8.5",
        "=99999999999999999999",
        "=\"8",
    ];
    for name in [
        "server_max_window_bits",
        "client_max_window_bits",
        "server_no_context_takeover",
        "client_no_context_takeover",
        "unknown",
    ] {
        for value in values {
            if name.ends_with("takeover") && value.is_empty() {
                continue;
            }
            for more in [
                "",
                "; server_no_context_takeover; server_no_context_takeover",
            ] {
                let extension = format!("permessage-deflate; {name}{value}{more}");
                let uri = Uri::parse("ws://server.example.com/").unwrap();
                let request = ClientRequest::new(uri).offer(DeflateOffer::new());
                let mut handshake = request.start(Nonce::from_bytes(*b"the sample nonce"));
                let reply = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                    Sec-WebSocket-Extensions: {extension}\r\n\r\n"
                );
                let received = handshake.receive(reply.as_bytes());
                assert!(received.is_err(), "{extension}: {received:?}");
            }
        }
    }
}
