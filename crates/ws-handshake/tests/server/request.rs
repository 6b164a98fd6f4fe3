//! What a request must be.

use ws_handshake::{HeadLimits, OriginPolicy, Request, ServerConfig, Version};

use super::{REPLY, answer, any, assert_refused, changed, refusal, with};

#[test]
fn a_request_that_departs_from_the_grammar_gets_an_error_and_no_101() {
    //= RFC6455-4.2.1-1
    //= RFC6455-10.7-4
    //= RFC9112-3-1
    for line in [
        "GET  /chat HTTP/1.1",
        "GET /chat",
        "GET /chat HTTP/1.1 x",
        "G@T /chat HTTP/1.1",
        "GET /chat http/1.1",
    ] {
        assert_refused(changed("GET /chat HTTP/1.1", line), "bad_request_line", 400);
    }
}

#[test]
fn method_version_and_target_are_checked() {
    //= RFC6455-4.2.1-2
    //= RFC9110-15.5.6-1
    //= RFC9110-15.6.6-1
    //= RFC9110-7.8-3
    assert_refused(changed("GET", "POST"), "bad_method", 405);
    let (_, reply) = refusal(&any(), changed("GET", "POST"));
    assert!(reply.contains("\r\nAllow: GET\r\n"), "{reply}");
    assert_refused(changed("HTTP/1.1", "HTTP/1.0"), "bad_http_version", 505);
    assert_refused(changed("HTTP/1.1", "HTTP/2.0"), "bad_http_version", 505);
    for target in [
        "*",
        "chat",
        "ftp://h/",
        "/a#b",
        "/a\tb",
        "/a\u{1}",
        "/a\u{7f}",
        "/caf\u{e9}",
        "http:///chat",
        "http://u@h/",
        "http://h:0/",
        "http://h:65536/",
        "http://h\\x",
    ] {
        assert_refused(changed("/chat", target), "bad_target", 400);
    }
}

#[test]
fn a_target_is_taken_as_browsers_write_it_and_handed_on_as_it_came() {
    //= RFC6455-4.2.1-2
    for target in [
        "/?ids[]=1",
        "/room/[42]",
        "/a|b",
        "/?q={%22a%22:1}",
        "/?re=^x$",
        "/`",
        "/?d=50%",
        "/a%zz",
        "/?x=\"<>\"",
        "/?p=C:\\x",
        "/a\\b",
        "/~!$&'()*+,;=:@/?-._",
        "/{id}?a=b?c",
    ] {
        for absolute in ["", "http://h"] {
            let head = changed("/chat", &format!("{absolute}{target}"));
            let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
            assert_eq!(request.target(), target);
            assert!(any().negotiate(&request).is_ok(), "{target}");
        }
    }
}

#[test]
fn every_byte_in_a_target_is_taken_or_refused() {
    for byte in 0..=255_u8 {
        let head = changed("/chat", "/a?b");
        let head = head.into_bytes().into_iter();
        let head: Vec<_> = head
            .map(|old| if old == b'?' { byte } else { old })
            .collect();
        let is_taken = byte.is_ascii_graphic() && byte != b'#';
        assert_eq!(answer(&any(), head).is_ok(), is_taken, "{byte}");
    }
}

#[test]
fn a_path_and_a_query_are_decoded_in_their_parts() {
    let head = changed(
        "/chat",
        "/rooms/a%2Fb/[42]?ids[]=1&name=J.+Doe&d=50%&ids[]=2",
    );
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    let segments: Vec<_> = request.path_segments().collect();
    assert_eq!(segments, ["rooms", "a/b", "[42]"]);
    let ids = request
        .query_pairs()
        .filter(|(name, _)| name == "ids[]")
        .map(|(_, value)| value);
    assert_eq!(ids.collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(request.query_value("name").as_deref(), Some("J. Doe"));
    assert_eq!(request.query_value("d").as_deref(), Some("50%"));
    assert_eq!(request.query_value("D"), None);
    let head = changed("GET /chat", "OPTIONS *");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.path_segments().count(), 0);
    assert_eq!(request.query_pairs().count(), 0);
}

#[test]
fn a_higher_minor_version_is_spoken_to_as_1_1() {
    //= RFC9110-6.2-1
    assert_eq!(
        answer(&any(), changed("HTTP/1.1", "HTTP/1.2")).as_deref(),
        Ok(REPLY)
    );
}

#[test]
fn an_upgrade_in_http_1_0_is_not_seen() {
    //= RFC9110-7.8-3
    let head = changed("HTTP/1.1", "HTTP/1.0");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(!request.is_upgrade());
    assert_eq!(request.version(), Version::HTTP_10);
}

#[test]
fn an_absolute_target_names_resource_and_authority() {
    //= RFC9112-3.2.2-1
    //= RFC6455-4.2.1-2
    let cases = [
        (
            "http://other.example:81/chat?x=1",
            "/chat?x=1",
            "/chat",
            Some("x=1"),
            "other.example:81",
        ),
        ("HTTPS://[::1]/", "/", "/", None, "[::1]"),
        ("https://h?x", "/?x", "/", Some("x"), "h"),
        ("https://h", "/", "/", None, "h"),
        ("/plain", "/plain", "/plain", None, "server.example.com"),
    ];
    for (target, resource, path, query, authority) in cases {
        let head = changed("/chat", target);
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        assert_eq!(request.target(), resource);
        assert_eq!((request.path(), request.query()), (path, query));
        assert_eq!(request.authority(), Some(authority));
        assert!(any().negotiate(&request).is_ok());
    }
}

#[test]
fn exactly_one_well_formed_host_is_needed() {
    //= RFC6455-4.2.1-3
    //= RFC9112-3.2-1
    assert_refused(
        changed("Host: server.example.com\r\n", ""),
        "missing_host",
        400,
    );
    assert_refused(with("Host: server.example.com"), "duplicate_host", 400);
    for host in ["", "a b", "u@h", "h:x", "[::1", "[]", "caf\u{e9}", "h/p"] {
        assert_refused(changed("server.example.com", host), "bad_host", 400);
    }
    for host in [
        "h:99999",
        "h:65536",
        "h:0",
        "h:00",
        "[::1]:70000",
        "h:99999999999999999999",
    ] {
        assert_refused(changed("server.example.com", host), "bad_host", 400);
    }
    assert!(answer(&any(), changed("server.example.com", "[2001:db8::1]:8080")).is_ok());
}

#[test]
fn a_request_with_a_body_is_refused() {
    //= RFC9112-6.3-2
    assert_refused(with("Content-Length: 5"), "unexpected_body", 400);
    assert_refused(with("Transfer-Encoding: chunked"), "unexpected_body", 400);
    assert!(answer(&any(), with("Content-Length: 0")).is_ok());
}

#[test]
fn upgrade_must_name_websocket() {
    //= RFC6455-4.2.1-4
    //= RFC9110-7.8-1
    //= RFC9110-15.5.22-1
    assert_refused(changed("Upgrade: websocket\r\n", ""), "not_upgrade", 426);
    assert_refused(changed("websocket", "h2c"), "not_upgrade", 426);
    let (_, reply) = refusal(&any(), changed("websocket", "h2c"));
    assert!(
        reply.contains("\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"),
        "{reply}"
    );
    assert_eq!(
        answer(&any(), changed("websocket", "h2c, WebSocket")).as_deref(),
        Ok(REPLY)
    );
}

#[test]
fn connection_must_name_upgrade() {
    //= RFC6455-4.2.1-5
    //= RFC9110-7.6.1-1
    assert_refused(
        changed("Connection: Upgrade\r\n", ""),
        "not_connection_upgrade",
        426,
    );
    assert_refused(
        changed("Connection: Upgrade", "Connection: upgraded"),
        "not_connection_upgrade",
        426,
    );
    assert_eq!(
        answer(
            &any(),
            changed("Connection: Upgrade", "Connection: keep-alive\t,, UPGRADE")
        )
        .as_deref(),
        Ok(REPLY)
    );
}

#[test]
fn repeated_list_headers_count_as_one() {
    //= RFC9110-5.3-1
    let head = changed(
        "Connection: Upgrade",
        "Connection: keep-alive\r\nConnection: Upgrade",
    );
    assert_eq!(answer(&any(), head).as_deref(), Ok(REPLY));
}

#[test]
fn the_key_must_be_sixteen_bytes_in_base64_and_there_once() {
    //= RFC6455-4.2.1-6
    //= RFC6455-11.3.1-1
    //= RFC4648-4-1
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_refused(
        changed("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        "missing_key",
        400,
    );
    assert_refused(
        with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        "duplicate_key",
        400,
    );
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZS0=",
        "dGhlIHNhbXBsZSBub2-_ZQ==",
        "dGhlIHNhbXBsZSBub25jZVk=",
    ] {
        assert_refused(changed(KEY, key), "bad_key", 400);
    }
}

#[test]
fn a_key_with_spare_bits_set_is_hashed_as_it_stands() {
    //= RFC4648-3.5-1
    //= RFC6455-4.2.2-7
    let reply = answer(&any(), changed("ZQ==", "ZR==")).expect("accepted");
    assert!(!reply.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let expected = ws_handshake::accept_key(b"dGhlIHNhbXBsZSBub25jZR==");
    assert!(reply.contains(str::from_utf8(&expected).expect("ASCII")));
}

#[test]
fn the_version_must_be_13_and_there_once() {
    //= RFC6455-4.2.1-7
    //= RFC6455-4.3-3
    //= RFC6455-11.3.5-2
    assert_refused(
        changed("Sec-WebSocket-Version: 13\r\n", ""),
        "missing_version",
        400,
    );
    assert_refused(with("Sec-WebSocket-Version: 13"), "duplicate_version", 400);
    for version in ["", "013", "256", "13, 8", "1e1", "+13", "-1", "99999999999"] {
        assert_refused(
            changed("Version: 13", &format!("Version: {version}")),
            "bad_version",
            400,
        );
    }
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    //= RFC6455-4.2.2-8
    //= RFC6455-4.4-2
    for version in ["0", "8", "14", "25", "255"] {
        let (kind, reply) = refusal(
            &any(),
            changed("Version: 13", &format!("Version: {version}")),
        );
        assert_eq!(kind, "unsupported_version");
        assert!(
            reply.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
            "{reply}"
        );
        assert!(
            reply.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            "{reply}"
        );
    }
}

#[test]
fn a_header_with_a_name_as_long_as_one_that_matters_does_not_matter() {
    //= RFC6455-4.2.1-11
    let config = ServerConfig::new(OriginPolicy::list(["https://app.example"]).expect("an origin"));
    for name in [
        "Xost",
        "Xrigin",
        "Xpgrade",
        "Xonnection",
        "Xontent-Length",
        "Xransfer-Encoding",
        "Xec-WebSocket-Key",
        "Xec-WebSocket-Version",
        "Xec-WebSocket-Protocol",
        "Xec-WebSocket-Extensions",
    ] {
        // No host, origin, length, key, version, protocol or extension.
        let reply = answer(&config, with(&format!("{name}: 1 2")));
        assert_eq!(reply.as_deref(), Ok(REPLY), "{name}");
    }
    assert_refused(changed("Upgrade: ", "Xpgrade: "), "not_upgrade", 426);
    assert_refused(
        changed("Connection: ", "Xonnection: "),
        "not_connection_upgrade",
        426,
    );
}

#[test]
fn the_request_line_and_host_of_an_ordinary_request_are_checked() {
    //= RFC9112-3.2-1
    for (from, to, kind) in [
        ("HTTP/1.1", "HTTP/2.0", "bad_http_version"),
        ("/chat", "chat", "bad_target"),
        ("Host: server.example.com\r\n", "", "missing_host"),
        (
            "Host: server.example.com",
            "Host: h\r\nHost: h",
            "duplicate_host",
        ),
        ("server.example.com", "a b", "bad_host"),
    ] {
        let head = changed(from, to);
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        assert_eq!(
            request.check_http().expect_err(kind).kind(),
            kind,
            "{from} as {to}"
        );
    }
    // What it does not say is that an upgrade is possible.
    let head = changed("HTTP/1.1", "HTTP/1.0");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.check_http(), Ok(()));
}
