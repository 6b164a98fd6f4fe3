//! Limits are exact, and an error names them (RFC 6455 section 10.4).

#![cfg(feature = "std")]

mod common;

use std::time::Duration;

use common::{Got, binary, masked, receive, text, unmasked};
use ws_proto::{Connection, KeepaliveConfig, Limits, ProtocolError, ServerMasking, TimeLimits};

fn server(limits: Limits) -> Connection<ServerMasking> {
    Connection::new(ServerMasking::with_accept_unmasked_frame(true), limits)
}

fn limits(max_frame: u64, max_message: u64, max_fragments: u32) -> Limits {
    let mut limits = Limits::UNLIMITED;
    limits.max_frame = max_frame;
    limits.max_message = max_message;
    limits.max_fragments = max_fragments;
    limits
}

#[test]
fn frame_is_refused_above_its_limit_and_not_at_it() {
    //= RFC6455-10.4-1, RFC6455-10.4-2
    for limit in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
        let server = || server(limits(limit, u64::MAX, u32::MAX));
        for len in [limit.saturating_sub(1), limit, limit + 1] {
            let payload = vec![b'x'; len as usize];
            let expected = (len > limit).then_some(ProtocolError::FrameTooBig { len, limit });
            for wire in [masked(0x82, &payload), unmasked(0x82, &payload)] {
                let outcome = receive(server, &wire);
                assert_eq!(outcome.error, expected);
                if len > limit {
                    assert_eq!(outcome.replies, b"\x88\x0f\x03\xf1frame_too_big");
                } else {
                    assert_eq!(outcome.got, [binary(&payload)]);
                }
            }
            // It holds for a continuation too, and for no control frame.
            let wire = [unmasked(0x01, b""), unmasked(0x80, &payload)].concat();
            assert_eq!(receive(server, &wire).error, expected);
        }
        let ping = unmasked(0x89, &[1; 125]);
        assert_eq!(receive(server, &ping).got, [Got::Ping(vec![1; 125])]);
    }
}

#[test]
fn message_is_refused_above_its_limit_over_all_its_frames() {
    //= RFC6455-10.4-1, RFC6455-10.4-2
    for limit in [0, 1, 2, 10, 126, 300] {
        let server = || server(limits(u64::MAX, limit, u32::MAX));
        for len in [limit.saturating_sub(1), limit, limit + 1] {
            let message = "x".repeat(len as usize);
            for cut in [0, 1, len / 2, len] {
                let (a, b) = message.as_bytes().split_at(cut.min(len) as usize);
                let wire = [
                    unmasked(0x01, a),
                    masked(0x89, &[0; 125]), // does not count
                    masked(0x00, b""),
                    masked(0x80, b),
                ]
                .concat();
                let outcome = receive(server, &wire);
                let expected = (len > limit).then_some(ProtocolError::MessageTooBig { len, limit });
                assert_eq!(outcome.error, expected);
                if len <= limit {
                    let ping = Got::Ping(vec![0; 125]);
                    assert_eq!(outcome.got, [ping, text(&message)]);
                }
            }
            // Each message has the whole limit.
            if len <= limit {
                let wire = unmasked(0x81, message.as_bytes()).repeat(3);
                assert_eq!(receive(server, &wire).got, vec![text(&message); 3]);
            }
        }
    }
}

#[test]
fn message_is_refused_in_more_than_max_fragments_frames() {
    //= RFC6455-10.4-1
    for limit in [1u32, 2, 5] {
        let server = || server(limits(u64::MAX, u64::MAX, limit));
        for frames in [limit, limit + 1] {
            let mut wire = Vec::new();
            for i in 1..=frames {
                let first = if i == 1 { 0x02 } else { 0x00 };
                let fin = if i == frames { 0x80 } else { 0x00 };
                wire.extend(unmasked(first | fin, b"a"));
                wire.extend(b"\x8a\x00"); // does not count
            }
            let outcome = receive(server, &wire);
            let expected = (frames > limit).then_some(ProtocolError::TooManyFragments { limit });
            assert_eq!(outcome.error, expected);
            if frames > limit {
                assert_eq!(outcome.replies, b"\x88\x14\x03\xf0too_many_fragments");
            }
        }
        // Every message counts anew.
        let wire = b"\x82\x01a".repeat(10);
        assert_eq!(receive(server, &wire).got.len(), 10);
    }
    let none = || server(limits(u64::MAX, u64::MAX, 0));
    let error = ProtocolError::TooManyFragments { limit: 0 };
    assert_eq!(receive(none, b"\x81\x00").error, Some(error));
}

#[test]
fn length_above_a_limit_fails_from_its_header() {
    //= RFC6455-10.4-1
    let wires: &[(&[u8], u64)] = &[
        (b"\x82\x7f\0\0\0\0\x80\0\0\0", 1 << 31),
        (b"\x82\x7f\0\0\0\x01\0\0\0\0", 1 << 32),
        (b"\x82\x7f\x40\0\0\0\0\0\0\0", 1 << 62),
        (b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", (1 << 63) - 1),
    ];
    for (wire, len) in wires {
        let len = *len;
        let limit = Limits::default().max_message;
        let by_default = receive(|| server(Limits::default()), wire);
        let error = ProtocolError::MessageTooBig { len, limit };
        assert_eq!(by_default.error, Some(error));
        let limit = 1000;
        let by_frame = receive(|| server(limits(limit, u64::MAX, 1)), wire);
        let error = ProtocolError::FrameTooBig { len, limit };
        assert_eq!(by_frame.error, Some(error));
        // One byte less than what is declared is a limit like any other.
        let limit = len - 1;
        let outcome = receive(|| server(limits(u64::MAX, limit, 1)), wire);
        let error = ProtocolError::MessageTooBig { len, limit };
        assert_eq!(outcome.error, Some(error));
        let outcome = receive(|| server(limits(len, len, 1)), wire);
        assert_eq!(outcome.error, None);
    }
}

#[test]
fn declared_lengths_do_not_overflow_their_sum() {
    //= RFC6455-10.4-1, RFC6455-5.2-7
    // A message that is over 2^63 bytes long by its second header.
    let wire = b"\x02\x00\x00\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    let limit = (1 << 63) - 1;
    let exact = || server(limits(u64::MAX, limit, u32::MAX));
    assert_eq!(receive(exact, wire).error, None);
    let wire = b"\x02\x01a\x00\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    let len = 1 << 63;
    let error = ProtocolError::MessageTooBig { len, limit };
    assert_eq!(receive(exact, wire).error, Some(error));
    // With nothing limited, it is a frame that never ends.
    let outcome = receive(|| server(Limits::UNLIMITED), wire);
    assert_eq!(outcome.error, None);
}

#[test]
fn limits_are_finite_by_default() {
    //= RFC6455-10.4-2
    let limits = Limits::default();
    assert_eq!(limits.max_message, 16 * 1024 * 1024);
    assert_eq!(limits.max_fragments, 131_072);
    // A frame is part of a message, so `max_message` bounds it.
    assert_eq!(limits.max_frame, u64::MAX);
    // So are those of time.
    let limits = TimeLimits::default();
    assert_eq!(limits.write_progress, Some(Duration::from_secs(30)));
    assert_eq!(limits.message, Some(Duration::from_secs(300)));
    assert_eq!(limits.min_message_rate, 1024);
    assert_eq!(limits.max_control_rate, 1000);
    assert_eq!(limits.lifetime, Some(Duration::from_secs(7 * 86_400)));
    let keepalive = KeepaliveConfig::default();
    assert_eq!(keepalive.ping_interval, Some(Duration::from_secs(30)));
    assert_eq!(keepalive.pong_timeout, Some(Duration::from_secs(20)));
    assert_eq!(keepalive.measure_interval, Some(Duration::from_secs(60)));
    // A client that only listens is no idle one.
    assert_eq!(keepalive.idle_timeout, None);
}

#[test]
fn error_names_the_limit_and_what_was_offered() {
    let server = || server(limits(u64::MAX, 1000, 7));
    let error = receive(server, b"\x82\x7e\x03\xe9").error.unwrap();
    let told = error.to_string();
    assert!(told.contains("max_message = 1000") && told.contains("1001"));
    let error = ProtocolError::FrameTooBig { len: 9, limit: 8 };
    assert!(error.to_string().contains("max_frame = 8"));
    let error = ProtocolError::TooManyFragments { limit: 7 };
    assert!(error.to_string().contains("max_fragments = 7"));
}
