//! Messages that lie whole in the input.

use ws_proto::{FrameCounts, Inbound, Limits, Message, ProtocolError, Receiver};

use crate::common::{Got, binary, masked, text, unmasked};

/// Receives by `receive_whole`; what it refuses is as it was, input and all.
fn whole(rx: &mut Receiver, wire: &[u8]) -> Option<Got> {
    let mut buffer = wire.to_vec();
    let mut input = &mut buffer[..];
    let got = match rx.receive_whole(&mut input).expect("sound") {
        Some(Message::Text(text)) => Got::Text(text.into()),
        Some(Message::Binary(bytes)) => Got::Binary(bytes.into()),
        None => {
            assert_eq!(input, wire);
            return None;
        }
    };
    assert!(input.is_empty());
    assert!(rx.is_idle());
    Some(got)
}

#[test]
fn message_that_lies_whole_in_the_input_is_received_at_once() {
    //= RFC6455-6.2-1, RFC6455-5.3-5
    let long = [b'x'; 300];
    for inbound in [
        Inbound::RequireMasked,
        Inbound::AcceptUnmasked,
        Inbound::RequireUnmasked,
    ] {
        let mut rx = Receiver::new(inbound, Limits::default());
        for payload in [&b""[..], b"Hello", &long] {
            for (first, got) in [
                (0x81, text(str::from_utf8(payload).unwrap())),
                (0x82, binary(payload)),
            ] {
                let masked = whole(&mut rx, &masked(first, payload));
                let accepts = inbound != Inbound::RequireUnmasked;
                assert_eq!(masked, accepts.then(|| got.clone()));
                let unmasked = whole(&mut rx, &unmasked(first, payload));
                let accepts = inbound != Inbound::RequireMasked;
                assert_eq!(unmasked, accepts.then_some(got));
            }
        }
        let frames: u32 = rx.take_counts().by_opcode.iter().sum();
        let expected = if inbound == Inbound::AcceptUnmasked {
            12
        } else {
            6
        };
        assert_eq!(frames, expected);
    }
}

#[test]
fn what_is_not_a_whole_message_is_left_as_it_is() {
    let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
    for wire in [
        &b""[..],
        b"\x81",
        b"\x82\x02a", // a byte is missing
        b"\x02\x01a", // a fragment
        b"\x80\x00",  // no message is open
        b"\xc2\x01a", // a reserved bit
        b"\x89\x00",  // a Ping
        b"\x88\x00",  // a Close
        b"\x83\x00",  // no opcode
        b"\x82\x7f\x80\0\0\0\0\0\0\0",
    ] {
        assert_eq!(whole(&mut rx, wire), None, "{wire:x?}");
        assert!(rx.is_idle());
    }
    assert_eq!(rx.take_counts(), FrameCounts::default());
    // In the middle of a header, of a frame or of a message nothing is whole.
    for begun in [&b"\x81"[..], b"\x82\x05a", b"\x01\x00"] {
        let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
        let mut wire = begun.to_vec();
        let mut input = &mut wire[..];
        while rx.receive(&mut input).expect("sound").is_some() {}
        assert!(!rx.is_idle());
        assert_eq!(whole(&mut rx, b"\x82\x01a"), None, "{begun:x?}");
    }
}

#[test]
fn limits_of_a_whole_message_are_exact() {
    //= RFC6455-10.4-1
    let limits = |max_frame, max_message, max_fragments| {
        let mut limits = Limits::UNLIMITED;
        limits.max_frame = max_frame;
        limits.max_message = max_message;
        limits.max_fragments = max_fragments;
        limits
    };
    for (limits, is_within) in [
        (limits(3, 3, 1), true),
        (limits(3, u64::MAX, 1), true),
        (limits(u64::MAX, 3, 1), true),
        (limits(2, u64::MAX, 1), false),
        (limits(u64::MAX, 2, 1), false),
        (limits(3, 3, 0), false),
    ] {
        let mut rx = Receiver::new(Inbound::RequireUnmasked, limits);
        let got = whole(&mut rx, b"\x82\x03abc");
        assert_eq!(got, is_within.then(|| binary(b"abc")), "{limits:?}");
    }
}

#[test]
fn whole_text_that_is_not_utf8_fails() {
    //= RFC6455-8.1-1
    let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
    let mut wire = *b"\x81\x02\xc3\x28\x81\x01a";
    let mut input = &mut wire[..];
    assert_eq!(
        rx.receive_whole(&mut input),
        Err(ProtocolError::TextNotUtf8)
    );
    assert!(rx.is_failed() && input.is_empty());
}
