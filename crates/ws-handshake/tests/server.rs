//! The server's side of the opening handshake, as statements about bytes.

use ws_handshake::{
    DeflatePolicy, HandshakeError, HeadLimits, HeadReader, OriginPolicy, Request, Response,
    ServerConfig, Version,
};

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The request with more lines at its end.
fn with(lines: &str) -> String {
    format!("{}\r\n{lines}\r\n\r\n", REQUEST.trim_end())
}

/// The request with one piece replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(REQUEST.contains(from), "{from}");
    REQUEST.replacen(from, to, 1)
}

fn any() -> ServerConfig {
    ServerConfig::new(OriginPolicy::Any)
}

fn answer(config: &ServerConfig, head: impl AsRef<[u8]>) -> Result<String, HandshakeError> {
    let request = Request::parse(head.as_ref(), &config.head_limits())?;
    let mut out = Vec::new();
    config.negotiate(&request)?.write_to(&mut out);
    Ok(String::from_utf8(out).expect("replies are ASCII"))
}

fn refusal(config: &ServerConfig, head: impl AsRef<[u8]>) -> (&'static str, String) {
    let error = answer(config, head).expect_err("the request breaks a rule");
    let mut out = Vec::new();
    error.rejection().write_to(&mut out);
    (
        error.kind(),
        String::from_utf8(out).expect("replies are ASCII"),
    )
}

#[track_caller]
fn assert_refused(head: impl AsRef<[u8]>, kind: &str, status: u16) {
    let (found, reply) = refusal(&any(), head);
    assert_eq!(found, kind);
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    assert!(reply.contains("\r\nConnection: "), "{reply}");
}

#[test]
fn the_sample_of_the_rfc_is_accepted_byte_by_byte() {
    //= RFC6455-4.2.2-1
    //= RFC6455-4.2.2-15
    //= RFC6455-4.2.2-16
    //= RFC6455-4.2.2-17
    //= RFC6455-4.2.2-18
    //= RFC6455-4.2.2-11
    //= RFC6455-11.3.3-1
    //= RFC9110-7.8-2
    assert_eq!(answer(&any(), REQUEST).as_deref(), Ok(REPLY));
}

#[test]
fn a_101_announces_no_body() {
    //= RFC9110-8.6-1
    //= RFC9112-6.1-1
    let config = any().subprotocols(["chat"]).deflate(DeflatePolicy::new());
    let head = with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate");
    let reply = answer(&config, head)
        .expect("a correct request")
        .to_ascii_lowercase();
    assert!(
        !reply.contains("content-length") && !reply.contains("transfer-encoding"),
        "{reply}"
    );
    let request = Request::parse(REQUEST.as_bytes(), &HeadLimits::default()).expect("sound");
    for name in ["Content-Length", "Transfer-Encoding"] {
        assert!(
            config
                .negotiate(&request)
                .expect("correct")
                .header(name, "0")
                .is_err(),
            "{name}"
        );
    }
}

#[test]
fn nothing_about_masking_is_in_the_reply() {
    // There is no parameter here that a masking policy could set, and no header but these.
    //= MSWS-1.7-1
    let reply = answer(&any(), REQUEST).expect("a correct request");
    let names: Vec<_> = reply
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["Upgrade", "Connection", "Sec-WebSocket-Accept"]);
}

#[test]
fn names_and_upgrade_tokens_are_matched_without_regard_to_case() {
    //= RFC6455-4.1-42
    //= RFC6455-2.1-2
    //= RFC9110-5.1-1
    let head = REQUEST
        .to_ascii_lowercase()
        .replacen("get /chat http/1.1", "GET /chat HTTP/1.1", 1);
    let head = head.replacen("dghlihnhbxbszsbub25jzq==", "dGhlIHNhbXBsZSBub25jZQ==", 1);
    assert_eq!(answer(&any(), head).as_deref(), Ok(REPLY));
    let head = changed("Upgrade: websocket", "UPGRADE: WEBSOCKET");
    assert_eq!(answer(&any(), head).as_deref(), Ok(REPLY));
    // U+212A, the Kelvin sign, is no k.
    assert_refused(changed("websocket", "webSoc\u{212a}et"), "not_upgrade", 426);
}

#[test]
fn header_order_and_unknown_headers_do_not_matter() {
    //= RFC6455-4.2.1-11
    let mut lines: Vec<_> = REQUEST.trim_end().lines().collect();
    lines[1..].reverse();
    lines.insert(3, "X-Unknown: \u{e9} anything");
    lines.push("__proto__: constructor");
    assert_eq!(
        answer(&any(), lines.join("\r\n") + "\r\n\r\n").as_deref(),
        Ok(REPLY)
    );
}

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
        "/a%zz",
        "/a#b",
        "/caf\u{e9}",
        "http:///chat",
        "http://u@h/",
    ] {
        assert_refused(changed("/chat", target), "bad_target", 400);
    }
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

#[test]
fn extensions_are_accepted_only_from_the_clients_list() {
    //= RFC6455-4.2.2-13
    //= RFC6455-4.2.2-14
    //= RFC6455-4.2.1-10
    //= RFC6455-9-2
    //= RFC6455-9-3
    //= RFC6455-9.1-8
    //= RFC6455-5.8-1
    let config = any().deflate(DeflatePolicy::new());
    assert_eq!(answer(&config, REQUEST).as_deref(), Ok(REPLY));
    assert_eq!(
        answer(
            &config,
            with("Sec-WebSocket-Extensions: foo; permessage-deflate")
        )
        .as_deref(),
        Ok(REPLY)
    );
    assert_eq!(
        answer(&any(), with("Sec-WebSocket-Extensions: permessage-deflate")).as_deref(),
        Ok(REPLY)
    );
    let reply = answer(
        &config,
        with("Sec-WebSocket-Extensions: foo, permessage-deflate"),
    )
    .expect("accepted");
    assert!(
        reply.contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
        "{reply}"
    );
}

#[test]
fn the_first_acceptable_offer_wins_over_several_headers() {
    //= RFC6455-9.1-6
    //= RFC6455-9.1-2
    //= RFC6455-9.1-4
    //= RFC6455-9-4
    //= RFC6455-11.3.2-1
    let config = any().deflate(DeflatePolicy::new());
    let lines = "Sec-WebSocket-Extensions: permessage-deflate; unknown, permessage-deflate; server_max_window_bits=7\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9, permessage-deflate";
    let reply = answer(&config, with(lines)).expect("accepted");
    assert!(
        reply.contains(
            "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"
        ),
        "{reply}"
    );
}

#[test]
fn extensions_outside_the_grammar_are_refused_even_if_none_is_wanted() {
    //= RFC6455-9.1-1
    //= RFC6455-4.3-1
    for value in [
        "",
        ",",
        "foo;",
        "foo; =1",
        "foo bar",
        "a; b=\"c",
        "a; b=\"1 0\"",
        "caf\u{e9}",
    ] {
        assert_refused(
            with(&format!("Sec-WebSocket-Extensions: {value}")),
            "bad_extensions_header",
            400,
        );
    }
}

#[test]
fn an_origin_that_is_not_listed_gets_403() {
    //= RFC6455-4.2.2-5
    //= RFC6455-4.2.2-6
    //= RFC6455-10.2-1
    //= RFC6455-10.2-2
    let config = ServerConfig::new(OriginPolicy::list(["https://App.example"]));
    assert!(answer(&config, with("Origin: HTTPS://APP.EXAMPLE")).is_ok());
    for lines in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin:",
        "Origin: https://app.example.evil",
        "Origin: http://app.example",
        "Origin: https://app.example\r\nOrigin: https://evil.example",
        "Origin: \u{e9}",
    ] {
        let (kind, reply) = refusal(&config, with(lines));
        assert_eq!(kind, "origin_refused");
        assert!(reply.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{reply}");
    }
}

#[test]
fn a_request_without_origin_is_not_taken_for_a_browsers() {
    //= RFC6455-4.2.1-8
    let list = OriginPolicy::list(["https://app.example"]);
    assert!(answer(&ServerConfig::new(list.clone()), REQUEST).is_ok());
    assert!(answer(&ServerConfig::new(OriginPolicy::SameHost), REQUEST).is_ok());
    for policy in [list.require(), OriginPolicy::SameHost.require()] {
        let config = ServerConfig::new(policy);
        assert_eq!(answer(&config, REQUEST), Err(HandshakeError::OriginMissing));
    }
}

#[test]
fn pages_of_the_same_host_are_let_in() {
    let config = ServerConfig::new(OriginPolicy::SameHost);
    let try_it = |host: &str, origin: &str| {
        let head = with(&format!("Origin: {origin}")).replacen("server.example.com", host, 1);
        answer(&config, head).is_ok()
    };
    assert!(try_it("h.example", "https://h.example"));
    assert!(try_it("H.example:443", "https://h.Example"));
    assert!(try_it("h.example:80", "http://h.example"));
    assert!(try_it("h.example", "http://h.example:80"));
    assert!(try_it("[::1]:9000", "http://[::1]:9000"));
    for (host, origin) in [
        ("h.example:8443", "https://h.example"),
        ("h.example:80", "https://h.example"),
        ("h.example", "https://h.example:8443"),
        ("h.example", "https://sub.h.example"),
        ("h.example", "h.example"),
        ("h.example", "null"),
        ("h.example", "file://h.example"),
        ("h.example", "https://"),
    ] {
        assert!(!try_it(host, origin), "{host} {origin}");
    }
}

#[test]
fn a_resource_that_does_not_exist_gets_404_and_no_101() {
    //= RFC6455-4.2.2-9
    //= RFC6455-4.2.2-4
    //= RFC6455-7.2.2-1
    let mut out = Vec::new();
    Response::new(404).write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut out = Vec::new();
    Response::new(302)
        .header("Location", "wss://other.example/")
        .expect("fine")
        .write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_401_comes_with_its_challenge() {
    //= RFC9110-11.6.1-1
    //= RFC6455-4.2.2-3
    let mut out = Vec::new();
    Response::unauthorized("Basic realm=\"chat\"")
        .expect("fine")
        .body("no")
        .write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"chat\"\r\nContent-Length: 2\r\n\
        Connection: close\r\n\r\nno"
    );
}

#[test]
fn a_server_sees_what_authenticates_a_client() {
    //= RFC6455-10.5-1
    let head = with("Cookie: a=b\r\nAuthorization: Bearer t");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.header("authorization"), Some(&b"Bearer t"[..]));
    assert_eq!(request.header("COOKIE"), Some(&b"a=b"[..]));
    assert_eq!(request.header("X"), None);
}

#[test]
fn a_plain_request_can_be_answered_with_a_page() {
    let head = "GET /index.html?v=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(!request.is_upgrade());
    assert_eq!(
        (request.method(), request.path(), request.query()),
        ("GET", "/index.html", Some("v=1"))
    );
    assert_eq!(request.check_http(), Ok(()));
    assert_eq!(
        any().negotiate(&request).err(),
        Some(HandshakeError::NotUpgrade)
    );
    let mut out = Vec::new();
    let page = Response::new(200)
        .header("Content-Type", "text/html")
        .expect("fine")
        .body("<p>hi</p>");
    page.write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<p>hi</p>"
    );
}

#[test]
fn headers_of_a_reply_cannot_be_injected_or_overridden() {
    let request = Request::parse(REQUEST.as_bytes(), &HeadLimits::default()).expect("sound");
    let acceptance = || any().negotiate(&request).expect("correct");
    for (name, value) in [
        ("X", "a\r\nEvil: 1"),
        ("X", "a\nEvil: 1"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X\r\nEvil", "1"),
        ("X: 1\r\nEvil", "1"),
        ("", "1"),
        ("X ", "1"),
        ("Upgrade", "h2c"),
        ("connection", "close"),
        ("sec-websocket-accept", "x"),
        ("Sec-WebSocket-Anything", "x"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(
            acceptance().header(name, value).expect_err(name).kind(),
            "bad_header"
        );
        assert_eq!(
            Response::new(200)
                .header(name, value)
                .expect_err(name)
                .kind(),
            "bad_header"
        );
    }
    let mut out = Vec::new();
    acceptance()
        .header("Set-Cookie", "a=b")
        .expect("fine")
        .header("Set-Cookie", "c=d")
        .expect("fine")
        .write_to(&mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        format!(
            "{}\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
            REPLY.trim_end()
        )
    );
}

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
fn bytes_after_the_head_are_left_for_the_frame_layer() {
    //= RFC9112-6.3-1
    let mut reader = HeadReader::request(HeadLimits::default());
    let mut input = REQUEST.as_bytes().to_vec();
    input.extend_from_slice(b"\x81\x85\0\0\0\0Hello");
    let head = reader.receive(&input).expect("sound").expect("complete");
    assert_eq!(head.consumed(), REQUEST.len());
    assert_eq!(head.as_bytes(), REQUEST.as_bytes());
}

#[test]
fn what_was_agreed_is_told_as_it_is_written() {
    //= RFC6455-4.2.2-13
    let config = any().deflate(DeflatePolicy::new().server_no_context_takeover(true));
    let head = with("Sec-WebSocket-Extensions: permessage-deflate");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    let acceptance = config.negotiate(&request).expect("correct");
    let agreed = acceptance.deflate().expect("accepted");
    assert!(agreed.server_no_context_takeover && !agreed.client_no_context_takeover);
    assert_eq!(
        (agreed.server_max_window_bits, agreed.client_max_window_bits),
        (15, 15)
    );
    assert_eq!(acceptance.without_deflate().deflate(), None);
}

#[test]
fn a_request_tells_what_its_headers_say() {
    let head = with("Origin: https://a.example");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(request.is_upgrade());
    assert_eq!(request.key(), Some(&b"dGhlIHNhbXBsZSBub25jZQ=="[..]));
    assert_eq!(request.origin(), Some("https://a.example"));
    let head = with("Origin: a\r\nOrigin: b\r\nSec-WebSocket-Key: second");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!((request.key(), request.origin()), (None, None));
    let head = changed("HTTP/1.1", "HTTP/2.0");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(request.is_upgrade(), "asked for, if not correctly");
}

#[test]
fn a_header_with_a_name_as_long_as_one_that_matters_does_not_matter() {
    //= RFC6455-4.2.1-11
    let config = ServerConfig::new(OriginPolicy::list(["https://app.example"]));
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

#[test]
fn an_error_shows_the_version_and_the_name_that_it_is_about() {
    let error = answer(&any(), changed("HTTP/1.1", "HTTP/2.0")).expect_err("another version");
    assert_eq!(
        error.to_string(),
        "HTTP/1.1 is needed, HTTP/2.0 was offered"
    );
    let error = answer(&any(), with("Bad Name: secret")).expect_err("no token");
    assert_eq!(
        error.to_string(),
        "malformed header field: \"Bad Name\"",
        "and nothing of the value"
    );
}

#[test]
fn what_is_logged_shows_the_request_with_every_control_byte_escaped() {
    let head = with("X: \u{e9}");
    let mut reader = any().head_reader();
    assert!(reader.receive(b"GET").expect("sound").is_none());
    let shown = format!("{reader:?}");
    assert!(shown.starts_with("HeadReader") && shown.contains("received: 3"));
    let mut reader = any().head_reader();
    let head = reader
        .receive(head.as_bytes())
        .expect("sound")
        .expect("complete");
    let shown = format!("{head:?}");
    assert!(shown.starts_with("Head ") && shown.contains(r"GET /chat HTTP/1.1\r\n"));
    assert!(shown.contains(r"X: \xc3\xa9\r\n"), "{shown}");
    let request = head.request().expect("sound");
    let shown = format!("{request:?}");
    assert!(shown.starts_with("Request ") && shown.contains("/chat"));
    assert!(shown.contains(r#""X": "\xc3\xa9""#), "{shown}");
    let acceptance = any()
        .negotiate(&request)
        .expect("correct")
        .header("Set-Cookie", "a=b")
        .expect("fine");
    let shown = format!("{acceptance:?}");
    assert!(shown.contains(r#"{"Set-Cookie": "a=b"}"#), "{shown}");
}
