//! Whose pages are let in.

use ws_handshake::{HandshakeError, OriginPolicy, ServerConfig};

use super::{REQUEST, answer, refusal, with};

#[test]
fn an_origin_that_is_not_listed_gets_403() {
    //= RFC6455-4.2.2-5
    //= RFC6455-4.2.2-6
    //= RFC6455-10.2-1
    //= RFC6455-10.2-2
    let config = ServerConfig::new(OriginPolicy::list(["https://App.example"]).expect("an origin"));
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
    let list = OriginPolicy::list(["https://app.example"]).expect("an origin");
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
fn an_origin_with_the_scheme_of_the_websocket_is_of_the_page_that_it_stands_for() {
    // Mobile libraries send the URL of the WebSocket.
    let list = OriginPolicy::list(["https://app.example"]).expect("an origin");
    let list = ServerConfig::new(list);
    let same = ServerConfig::new(OriginPolicy::SameHost);
    let is_in = |config: &ServerConfig, origin: &str| {
        answer(config, with(&format!("Origin: {origin}"))).is_ok()
    };
    assert!(is_in(&list, "wss://app.example") && is_in(&list, "WSS://app.example:443"));
    assert!(!is_in(&list, "ws://app.example") && !is_in(&list, "wss://app.example:80"));
    assert!(is_in(&same, "ws://server.example.com") && is_in(&same, "wss://server.example.com"));
    assert!(!is_in(&same, "wss://evil.example"));
}

#[test]
fn listed_origins_are_understood_in_every_form_that_says_the_same() {
    for (listed, origin) in [
        ("https://a.example/", "https://a.example"),
        ("HTTPS://A.Example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example", "http://a.example:80"),
        ("https://a.example:8443/", "https://a.example:8443"),
        ("http://[0:0::0:1]:9000", "http://[::1]:9000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("https://*.a.example", "https://b.a.example"),
        ("https://*.a.example/", "https://C.B.a.EXAMPLE"),
        ("https://*.a.example:8443", "https://b.a.example:8443"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
        ("file://", "file://"),
    ] {
        let policy = OriginPolicy::list([listed]).expect(listed);
        let config = ServerConfig::new(policy);
        let head = with(&format!("Origin: {origin}"));
        assert!(answer(&config, head).is_ok(), "{listed} {origin}");
    }
}

#[test]
fn a_wildcard_is_the_hosts_below_and_nothing_else() {
    let policy = OriginPolicy::list(["https://*.a.example"]).expect("a wildcard");
    let config = ServerConfig::new(policy);
    for origin in [
        "https://a.example",
        "https://.a.example",
        "https://evil-a.example",
        "https://b.a.example.evil",
        "https://b.a.example:8443",
        "http://b.a.example",
        "https://evil/.a.example",
        "https://evil?.a.example",
        "https://evil#.a.example",
        "https://evil@b.a.example",
        "https://evil\\.a.example",
        "https://b.a.example/",
        "https://*.a.example, https://evil",
        "null",
        "",
    ] {
        let (kind, _) = refusal(&config, with(&format!("Origin: {origin}")));
        assert_eq!(kind, "origin_refused", "{origin}");
    }
}

#[test]
fn what_no_browser_sends_cannot_be_listed() {
    for (listed, kind) in [
        ("", "bad_scheme"),
        ("a.example", "bad_scheme"),
        ("//a.example", "bad_scheme"),
        ("wss://a.example", "bad_scheme"),
        ("ws://a.example", "bad_scheme"),
        (" https://a.example", "bad_scheme"),
        ("https://a.example/chat", "has_path"),
        ("https://a.example//", "has_path"),
        ("https://a.example?x", "has_path"),
        ("https://a.example#x", "has_path"),
        ("https://", "bad_host"),
        ("https://:443", "bad_host"),
        ("https://user@a.example", "bad_host"),
        ("https://a.example ", "bad_host"),
        ("https://caf\u{e9}.example", "bad_host"),
        ("https://127.1", "bad_host"),
        ("https://0x7f.0.0.1", "bad_host"),
        ("https://[::1", "bad_host"),
        ("https://[:::1]", "bad_host"),
        ("https://a.example:0", "bad_port"),
        ("https://a.example:65536", "bad_port"),
        ("*", "bad_wildcard"),
        ("https://*", "bad_wildcard"),
        ("*.a.example", "bad_wildcard"),
        ("https://a.*.example", "bad_wildcard"),
        ("https://*a.example", "bad_wildcard"),
        ("https://*.*.example", "bad_wildcard"),
        ("https://*.127.0.0.1", "bad_wildcard"),
        ("https://a.example:*", "bad_wildcard"),
    ] {
        let error = OriginPolicy::list(["https://fine.example", listed]).expect_err(listed);
        assert_eq!(error.kind(), kind, "{listed}");
        let start = &listed[..listed.len().min(5)];
        assert!(
            error.to_string().contains(start.trim_end_matches('\u{e9}')),
            "{error}"
        );
    }
}
