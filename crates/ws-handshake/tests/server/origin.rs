//! Whose pages are let in.

use ws_handshake::{HandshakeError, OriginPolicy, ServerConfig};

use super::{REQUEST, answer, refusal, with};

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
