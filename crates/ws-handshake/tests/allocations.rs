//! What the handshake costs the allocator.

use allocation_counter::measure;
use ws_handshake::{DeflatePolicy, HeadLimits, HeadReader, OriginPolicy, ServerConfig};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Origin: https://example.com\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: superchat, chat\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

#[test]
fn accepting_a_request_allocates_nothing_beyond_the_buffer_for_the_reply() {
    let config = ServerConfig::new(OriginPolicy::list(["https://example.com"]).expect("an origin"))
        .subprotocols(["chat"])
        .deflate(DeflatePolicy::new().server_no_context_takeover(true));
    let mut out = Vec::with_capacity(512);
    let cost = measure(|| {
        let mut reader = config.head_reader();
        let head = reader.receive(REQUEST).expect("sound").expect("complete");
        let request = head.request().expect("sound");
        config
            .negotiate(&request)
            .expect("correct")
            .write_to(&mut out);
    });
    assert!(out.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(cost.count_total, 0);
}

#[test]
fn refusing_a_request_allocates_nothing_before_the_reply_is_made() {
    let config =
        ServerConfig::new(OriginPolicy::list(["https://other.example"]).expect("an origin"));
    let cost = measure(|| {
        let mut reader = config.head_reader();
        let head = reader.receive(REQUEST).expect("sound").expect("complete");
        let request = head.request().expect("sound");
        assert!(config.negotiate(&request).is_err());
    });
    assert_eq!(cost.count_total, 0);
}

#[test]
fn a_head_that_never_ends_holds_no_more_than_its_limit() {
    let limits = HeadLimits {
        max_head: 4096,
        max_headers: 100,
    };
    let cost = measure(|| {
        let mut reader = HeadReader::request(limits);
        let refused = (0..10_000).any(|_| reader.receive(b"a").is_err());
        assert!(refused);
    });
    // While it grows, the old buffer and the new one may both be there.
    assert!(cost.bytes_max <= 2 * 4096, "{}", cost.bytes_max);
    assert_eq!(cost.bytes_current, 0);
}
