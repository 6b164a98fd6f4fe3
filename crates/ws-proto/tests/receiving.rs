//! What an endpoint accepts, refuses and answers (RFC 6455 sections 5 and 6.2).
//!
//! Every wire is fed whole, in two pieces at every split point, and byte by
//! byte.

#![cfg(feature = "std")]

mod common;

use common::{
    Got, Outcome, accepting, binary, client, masked, ping, pong, receive, seeded_client, strict,
    text, unmasked,
};
use ws_proto::{
    CompressedChunk, ConnectionState, Event, FrameCounts, Inbound, Limits, Message, MessageKind,
    ProtocolError, Receiver, ServerMasking,
};

/// A Close from a server that says 1002 and the rule.
fn close_1002(rule: &str) -> Vec<u8> {
    unmasked(0x88, &[b"\x03\xea", rule.as_bytes()].concat())
}

fn assert_received(outcome: &Outcome, got: &[Got]) {
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.got, got);
    assert_eq!(outcome.state, ConnectionState::Open);
}

fn assert_failed(outcome: &Outcome, got: &[Got], error: ProtocolError) {
    assert_eq!(outcome.error, Some(error));
    assert_eq!(outcome.got, got);
    assert_eq!(outcome.state, ConnectionState::Failed);
}

#[test]
fn examples_of_section_5_7_decode_as_shown() {
    //= RFC6455-5.7-1, RFC6455-6.2-1, RFC6455-5.2-1, RFC6455-6.2-6, RFC6455-5.4-10
    let outcome = receive(client, b"\x81\x05Hello");
    assert_received(&outcome, &[text("Hello")]);
    let wire = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_received(&receive(strict, wire), &[text("Hello")]);
    let outcome = receive(client, b"\x01\x03Hel\x80\x02lo");
    assert_received(&outcome, &[text("Hello")]);
    let outcome = receive(client, b"\x89\x05Hello");
    assert_received(&outcome, &[ping(b"Hello")]);
    let outcome = receive(strict, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_received(&outcome, &[pong(b"Hello")]);
    let bytes: Vec<u8> = (0..=255).collect();
    let outcome = receive(client, &[b"\x82\x7e\x01\x00", &bytes[..]].concat());
    assert_received(&outcome, &[binary(&bytes)]);
    let bytes = bytes.repeat(256);
    let wire = [b"\x82\x7f\0\0\0\0\0\x01\0\0", &bytes[..]].concat();
    assert_received(&receive(client, &wire), &[binary(&bytes)]);
}

#[test]
fn unmasked_frame_from_client_is_refused_with_1002() {
    //= RFC6455-5.1-3, RFC6455-5.1-4, MSWS-3.2.1-1, MSWS-3.2.5-2
    let outcome = receive(strict, b"\x81\x05Hello");
    assert_failed(&outcome, &[], ProtocolError::UnmaskedFrame);
    assert_eq!(outcome.replies, close_1002("unmasked_frame"));
    for wire in [
        &b"\x81\x00"[..],
        b"\x02\x01a",
        b"\x89\x00",
        b"\x8a\x00",
        b"\x88\x02\x03\xe8",
    ] {
        assert_failed(&receive(strict, wire), &[], ProtocolError::UnmaskedFrame);
    }
}

#[test]
fn messages_completed_before_an_unmasked_frame_are_delivered() {
    //= RFC6455-5.1-3, MSWS-3.2.1-1, MSWS-3.2.3-1, MSWS-3.2.3-2
    let wire = [
        &b"\x81\x82\x01\x02\x03\x04\x69\x6b"[..], // "hi"
        b"\x89\x81\x01\x02\x03\x04\x40",          // Ping "A"
        b"\x01\x81\x01\x02\x03\x04\x40",          // "A", unfinished
        b"\x80\x01B",
    ]
    .concat();
    let outcome = receive(strict, &wire);
    let before = [text("hi"), ping(b"A")];
    assert_failed(&outcome, &before, ProtocolError::UnmaskedFrame);
    let replies = [b"\x8a\x01A", &close_1002("unmasked_frame")[..]].concat();
    assert_eq!(outcome.replies, replies);
}

#[test]
fn masked_frame_from_server_is_refused_with_1002() {
    //= RFC6455-5.1-5, RFC6455-5.1-6, MSWS-3.1.5-1
    for wire in [
        &b"\x81\x85\0\0\0\0Hello"[..],
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\x82\x80\0\0\0\0",
        b"\x89\x80\x01\x02\x03\x04",
        b"\x88\x80\0\0\0\0",
    ] {
        let outcome = receive(client, wire);
        assert_failed(&outcome, &[], ProtocolError::MaskedFrame);
        assert_eq!(outcome.replies, b"\x88\x8e\0\0\0\0\x03\xeamasked_frame");
        // Whatever the client's own flag.
        let outcome = receive(seeded_client, wire);
        assert_failed(&outcome, &[], ProtocolError::MaskedFrame);
    }
}

#[test]
fn masked_and_unmasked_frames_are_accepted_frame_by_frame() {
    //= MSWS-3.2.1-2, MSWS-3.2.3-1, MSWS-3.2.3-2, MSWS-3.2.5-1, MSWS-3.2.5-3, MSWS-3.2.5-4
    //= MSWS-3.2.5-6, MSWS-2.2-1, MSWS-4-3
    let wire = [
        &b"\x82\x03\x01\x02\x03"[..],
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", // "Hello"
        b"\x81\x00",
        b"\x81\x01A",
        b"\x81\x85\0\0\0\0Hello",
        b"\x89\x01p",
        b"\x89\x81\x01\x02\x03\x04\x71", // Ping "p"
        b"\x8a\x00",
    ]
    .concat();
    let outcome = receive(accepting, &wire);
    let got = [
        binary(&[1, 2, 3]),
        text("Hello"),
        text(""),
        text("A"),
        text("Hello"),
        ping(b"p"),
        ping(b"p"),
        pong(b""),
    ];
    assert_received(&outcome, &got);
    assert_eq!(outcome.replies, b"\x8a\x01p\x8a\x01p");
}

#[test]
fn fragments_of_one_message_may_differ_in_masking() {
    //= MSWS-3.2.1-2, MSWS-3.2.5-3, MSWS-3.2.5-4
    let wire = [
        &b"\x01\x02He"[..],
        b"\x00\x81\x01\x02\x03\x04\x6d", // "l"
        b"\x89\x00",
        b"\x00\x80\x01\x02\x03\x04",
        b"\x00\x81\0\0\0\0l",
        b"\x80\x01o",
    ]
    .concat();
    let outcome = receive(accepting, &wire);
    assert_received(&outcome, &[ping(b""), text("Hello")]);
}

#[test]
fn hundredth_unmasked_frame_is_treated_as_the_first() {
    //= MSWS-3.2.3-2
    let wire = b"\x81\x01A".repeat(100);
    assert_received(&receive(accepting, &wire), &vec![text("A"); 100]);
    let wire = [b"\x81\x81\x01\x02\x03\x04\x40".repeat(99), wire].concat();
    let outcome = receive(strict, &wire);
    assert_failed(&outcome, &vec![text("A"); 99], ProtocolError::UnmaskedFrame);
}

#[test]
fn two_connections_of_one_server_may_differ_in_the_flag() {
    //= MSWS-3.2.3-1, MSWS-4-1
    for (flag, expected) in [(false, Some(ProtocolError::UnmaskedFrame)), (true, None)] {
        let masking = ServerMasking::with_accept_unmasked_frame(flag);
        let server = || ws_proto::Connection::new(masking, Limits::default());
        assert_eq!(receive(server, b"\x81\x05Hello").error, expected);
    }
}

#[test]
fn every_other_rule_holds_for_unmasked_frames_too() {
    //= MSWS-3.2.5-5, MSWS-2.2-1, RFC6455-5.2-3, RFC6455-5.2-4, RFC6455-10.7-1
    let wires: &[(&[u8], ProtocolError)] = &[
        (b"\xc1\x00", ProtocolError::ReservedBits { bits: 4 }),
        (b"\xa2\x00", ProtocolError::ReservedBits { bits: 2 }),
        (b"\x99\x00", ProtocolError::ReservedBits { bits: 1 }),
        (b"\xf0\x00", ProtocolError::ReservedBits { bits: 7 }),
        (b"\x83\x00", ProtocolError::ReservedOpcode { opcode: 3 }),
        (b"\x8b\x00", ProtocolError::ReservedOpcode { opcode: 11 }),
        (b"\xff\x00", ProtocolError::ReservedOpcode { opcode: 15 }),
        (b"\x09\x00", ProtocolError::ControlFragmented),
        (b"\x89\x7e\x00\x7e", ProtocolError::ControlTooLong),
        (b"\x88\x01\x03", ProtocolError::ClosePayloadShort),
        (b"\x80\x00", ProtocolError::UnexpectedContinuation),
        (b"\x01\x00\x81\x00", ProtocolError::ExpectedContinuation),
        (b"\x81\x01\xff", ProtocolError::TextNotUtf8),
        (
            b"\x81\x7e\x00\x7d",
            ProtocolError::LengthNotMinimal { len: 125 },
        ),
        (
            b"\x81\x7f\0\0\0\0\0\0\xff\xff",
            ProtocolError::LengthNotMinimal { len: 0xffff },
        ),
        (
            b"\x81\x7f\x80\0\0\0\0\x01\0\0",
            ProtocolError::LengthTopBitSet,
        ),
        (
            b"\x88\x02\x03\xed",
            ProtocolError::CloseCodeInvalid { code: 1005 },
        ),
        (
            b"\x88\x04\x03\xe8\xc3\x28",
            ProtocolError::CloseReasonNotUtf8,
        ),
    ];
    for (wire, error) in wires {
        assert_failed(&receive(accepting, wire), &[], *error);
        assert_failed(&receive(client, wire), &[], *error);
        // The same frames with a zero key.
        let wire = with_zero_keys(wire);
        assert_failed(&receive(accepting, &wire), &[], *error);
        assert_failed(&receive(strict, &wire), &[], *error);
    }
}

/// Sets the MASK bit of the first frame, and of the second if the first is
/// empty.
fn with_zero_keys(wire: &[u8]) -> Vec<u8> {
    if let [first @ 0x00..=0x7f, 0, rest @ ..] = wire
        && !rest.is_empty()
    {
        return [&[*first, 0x80, 0, 0, 0, 0], &with_zero_keys(rest)[..]].concat();
    }
    let mut wire = wire.to_vec();
    let head = match wire[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    wire[1] |= 0x80;
    wire.splice(head..head, [0; 4]);
    wire
}

#[test]
fn zero_key_is_a_key_like_any_other() {
    //= MSWS-4-3, MSWS-2.2-1
    let outcome = receive(strict, b"\x81\x85\0\0\0\0Hello\x82\x82\0\0\0\0\x00\xff");
    assert_received(&outcome, &[text("Hello"), binary(b"\x00\xff")]);
}

#[test]
fn frames_are_counted_by_form() {
    let mut wire = [
        &b"\x81\x01a"[..],
        b"\x01\x81\0\0\0\0b",
        b"\x89\x80\x01\x02\x03\x04",
        b"\x80\x80\0\0\0\0",
        b"\x83\x00", // refused: not counted
    ]
    .concat();
    let mut connection = accepting();
    let (rx, ..) = connection.parts();
    let mut input = &mut wire[..];
    while let Ok(Some(_)) = rx.receive(&mut input) {}
    let counts = rx.take_counts();
    assert_eq!(counts.by_opcode, [1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!((counts.unmasked, counts.zero_key), (1, 2));
    assert_eq!(rx.take_counts(), Default::default());
}

#[test]
fn reserved_bits_are_refused_in_every_frame() {
    //= RFC6455-5.2-3, RFC6455-5.2-10, RFC6455-5.2-11
    for opcode in [1, 2, 8, 9, 10] {
        for bits in 1..8 {
            let wire = [0x80 | bits << 4 | opcode, 0x80, 1, 2, 3, 4];
            let outcome = receive(strict, &wire);
            assert_failed(&outcome, &[], ProtocolError::ReservedBits { bits });
            assert_eq!(outcome.replies, close_1002("reserved_bits"));
        }
    }
    let outcome = receive(client, b"\x01\x00\xc0\x00");
    assert_failed(&outcome, &[], ProtocolError::ReservedBits { bits: 4 });
}

#[test]
fn message_begins_with_its_type_and_goes_on_with_continuations() {
    //= RFC6455-5.4-2, RFC6455-5.4-3, RFC6455-5.4-6, RFC6455-5.4-7, RFC6455-5.4-14
    //= RFC6455-6.2-3, RFC6455-6.2-4
    let outcome = receive(client, b"\x80\x00");
    assert_failed(&outcome, &[], ProtocolError::UnexpectedContinuation);
    let outcome = receive(client, b"\x81\x01a\x00\x00");
    assert_failed(
        &outcome,
        &[text("a")],
        ProtocolError::UnexpectedContinuation,
    );
    for second in [b"\x01\x00", b"\x81\x00", b"\x02\x00", b"\x82\x00"] {
        let outcome = receive(client, &[b"\x01\x01a", &second[..]].concat());
        assert_failed(&outcome, &[], ProtocolError::ExpectedContinuation);
    }
    let outcome = receive(
        client,
        b"\x02\x01\xff\x80\x01\xfe\x01\x01a\x80\x01b\x81\x01c",
    );
    let got = [binary(b"\xff\xfe"), text("ab"), text("c")];
    assert_received(&outcome, &got);
}

#[test]
fn borders_of_frames_make_no_difference() {
    //= RFC6455-5.4-1, RFC6455-5.4-3, RFC6455-5.4-6, RFC6455-5.4-10
    let message = "Grüße, 世界 𝄞!".as_bytes();
    for first in 0..=message.len() {
        for second in first..=message.len() {
            let wire = [
                masked(0x01, &message[..first]),
                masked(0x00, &message[first..second]),
                masked(0x80, &message[second..]),
            ]
            .concat();
            let expected = text("Grüße, 世界 𝄞!");
            assert_received(&receive(strict, &wire), &[expected]);
        }
    }
    let fragments = [
        &b"\x01\x00"[..],
        b"\x00\x03Gr\xc3",
        b"\x00\x00",
        b"\x00\x02\xbc\xc3",
        b"\x00\x02\x9fe",
        b"\x80\x00",
    ]
    .concat();
    assert_received(&receive(client, &fragments), &[text("Grüße")]);
}

#[test]
fn empty_messages_and_empty_fragments_are_messages() {
    //= RFC6455-5.4-9, RFC6455-5.6-3
    let wire = [
        &b"\x81\x00"[..],
        b"\x82\x00",
        b"\x01\x00\x80\x00",
        b"\x02\x00\x00\x00\x00\x00\x80\x00",
        b"\x01\x00\x00\x01a\x00\x00\x80\x00",
        b"\x02\x00\x00\x00\x80\x01\xff",
    ]
    .concat();
    let got = [
        text(""),
        binary(b""),
        text(""),
        binary(b""),
        text("a"),
        binary(b"\xff"),
    ];
    assert_received(&receive(client, &wire), &got);
    let masked_empty = b"\x81\x80\x01\x02\x03\x04\x82\x80\0\0\0\0";
    assert_received(&receive(strict, masked_empty), &[text(""), binary(b"")]);
}

#[test]
fn every_message_has_one_first_and_one_last_chunk() {
    //= RFC6455-5.4-1
    let wire = [
        &b"\x01\x00\x00\x01a\x00\x00\x89\x00\x00\x01b\x80\x00"[..],
        b"\x82\x03abc",
        b"\x01\x01\xe2\x00\x01\x82\x80\x01\xac",
        b"\x02\x00\x80\x00",
    ]
    .concat();
    for size in 1..=wire.len() {
        let mut wire = wire.clone();
        let mut connection = client();
        let (rx, ..) = connection.parts();
        let (mut open, mut ended) = (false, 0);
        for piece in wire.chunks_mut(size) {
            let mut input = piece;
            while let Some(event) = rx.receive(&mut input).unwrap() {
                if let Event::Data(chunk) = event {
                    assert_eq!(chunk.first, !open);
                    open = !chunk.last;
                    ended += usize::from(chunk.last);
                    assert!(chunk.last || !chunk.data.is_empty());
                }
                assert_eq!(rx.is_message_open(), open);
            }
        }
        assert_eq!((open, ended), (false, 4));
        assert!(rx.is_idle());
    }
}

#[test]
fn control_frames_come_between_fragments_and_are_answered_at_once() {
    //= RFC6455-5.4-4, RFC6455-5.4-8, RFC6455-5.5.2-2, RFC6455-5.5.2-3, RFC6455-5.5.3-1
    //= RFC6455-5.5.3-3, RFC6455-6.2-2
    let wire = b"\x01\x01\xc3\x89\x02hi\x8a\x00\x00\x00\x89\x00\x80\x01\xa9";
    let outcome = receive(accepting, wire);
    let got = [ping(b"hi"), pong(b""), ping(b""), text("é")];
    assert_received(&outcome, &got);
    assert_eq!(outcome.replies, b"\x8a\x02hi\x8a\x00");
    // The Pongs do not wait for the end of the message.
    let outcome = receive(accepting, b"\x01\x01a\x89\x02hi");
    assert_received(&outcome, &[ping(b"hi")]);
    assert_eq!(outcome.replies, b"\x8a\x02hi");
}

#[test]
fn control_payload_of_125_bytes_is_the_longest() {
    //= RFC6455-5.5-1, RFC6455-5.5.3-1
    let payload: Vec<u8> = (0..125).collect();
    let wire = masked(0x89, &payload);
    let outcome = receive(strict, &wire);
    assert_received(&outcome, &[ping(&payload)]);
    assert_eq!(outcome.replies, unmasked(0x8a, &payload));
    for length in [
        &b"\xfe\x00\x7d"[..],
        b"\xfe\x00\x7e",
        b"\xff\0\0\0\0\0\x01\0\0",
    ] {
        for first in [0x88, 0x89, 0x8a] {
            let outcome = receive(strict, &[&[first], length, &[0; 4]].concat());
            assert_failed(&outcome, &[], ProtocolError::ControlTooLong);
        }
    }
}

#[test]
fn text_must_be_utf8_over_all_its_fragments() {
    //= RFC6455-5.6-1, RFC6455-5.6-2, RFC6455-8.1-1, RFC3629-3-1, RFC6455-10.7-1
    let bad: &[&[u8]] = &[
        b"\x81\x01\xff",
        b"\x81\x02\xc3\x28",
        b"\x81\x03\xed\xa0\x80",
        b"\x81\x04\xf4\x90\x80\x80",
        b"\x81\x02\xc0\x80",
        b"\x81\x02\xe2\x82",             // ends inside a character
        b"\x01\x02\xe2\x82\x80\x00",     // the same, with an empty last fragment
        b"\x01\x02\xe2\x82\x80\x01\x28", // the next fragment does not go on
        b"\x01\x01\xe2\x00\x01\x28",     // known before the message ends
        b"\x01\x01\xf0\x00\x00\x00\x01\x8f",
        b"\x01\x01\xe2\x89\x00\x80\x01\x82",
    ];
    for wire in bad {
        let outcome = receive(client, wire);
        assert_eq!(outcome.error, Some(ProtocolError::TextNotUtf8), "{wire:x?}");
        let close = b"\x88\x8f\0\0\0\0\x03\xeftext_not_utf8";
        assert!(outcome.replies.ends_with(close));
        let outcome = receive(accepting, wire);
        assert_eq!(outcome.error, Some(ProtocolError::TextNotUtf8), "{wire:x?}");
        let close = unmasked(0x88, b"\x03\xeftext_not_utf8");
        assert!(outcome.replies.ends_with(&close));
    }
}

#[test]
fn bad_text_fails_at_the_byte_that_makes_it_bad() {
    //= RFC6455-8.1-1
    // 2^32 bytes are promised; the fourth of them is enough.
    let wire = b"\x81\x7f\0\0\0\x01\0\0\0\0abc\xff";
    let server = || {
        let masking = ServerMasking::with_accept_unmasked_frame(true);
        ws_proto::Connection::new(masking, Limits::UNLIMITED)
    };
    assert_eq!(receive(server, &wire[..13]).error, None);
    assert_failed(&receive(server, wire), &[], ProtocolError::TextNotUtf8);
}

#[test]
fn noncharacters_and_a_byte_order_mark_are_kept() {
    //= RFC3629-3-2, RFC6455-5.6-2
    let outcome = receive(client, b"\x81\x06\xef\xbb\xbf\xef\xbf\xbe\x81\x01\0");
    assert_received(&outcome, &[text("\u{feff}\u{fffe}"), text("\0")]);
}

#[test]
fn text_is_the_same_however_fragments_cut_its_characters() {
    //= RFC6455-5.6-1, RFC6455-5.4-1
    for character in ["a", "é", "€", "𝄞"] {
        let bytes = character.as_bytes();
        // Every way to cut the bytes of one character, with an empty fragment at each cut.
        for cuts in 0..1 << (bytes.len() - 1) {
            let mut wire = b"\x01\x01<".to_vec();
            for (i, byte) in bytes.iter().enumerate() {
                if i > 0 && cuts >> (i - 1) & 1 == 1 {
                    wire.extend(b"\x00\x00");
                }
                wire.extend([0x00, 1, *byte]);
            }
            wire.extend(b"\x80\x01>");
            let expected = format!("<{character}>");
            assert_received(&receive(client, &wire), &[text(&expected)]);
        }
    }
}

#[test]
fn binary_may_hold_anything() {
    //= RFC6455-5.6-3
    let bytes: Vec<u8> = (0..=255).rev().collect();
    assert_received(&receive(strict, &masked(0x82, &bytes)), &[binary(&bytes)]);
}

#[test]
fn nothing_is_received_after_an_error() {
    //= RFC6455-7.1.7-7
    let wire = b"\x81\x01a\x83\x00\x81\x01b\x88\x00\x89\x00";
    let outcome = receive(client, wire);
    let error = ProtocolError::ReservedOpcode { opcode: 3 };
    assert_failed(&outcome, &[text("a")], error);
    // The same after a bad Close, of which the payload is to blame.
    let outcome = receive(client, b"\x88\x02\x03\xed\x88\x00\x81\x01b");
    let error = ProtocolError::CloseCodeInvalid { code: 1005 };
    assert_failed(&outcome, &[], error);
}

#[test]
fn receiver_stops_between_events_and_goes_on_with_what_is_left() {
    let mut wire = *b"\x81\x01a\x81\x01b";
    let mut connection = client();
    let (rx, ..) = connection.parts();
    let mut input = &mut wire[..];
    assert!(rx.receive(&mut input).unwrap().is_some());
    assert_eq!(*input, *b"\x81\x01b");
    assert!(rx.receive(&mut input).unwrap().is_some());
    assert!(input.is_empty());
    assert_eq!(rx.receive(&mut input), Ok(None));
}

#[test]
fn rest_of_a_frame_is_told() {
    let mut connection = client();
    let (rx, ..) = connection.parts();
    let mut feed = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        while rx.receive(&mut input).unwrap().is_some() {}
        rx.frame_remaining()
    };
    assert_eq!(feed(b"\x82\x05a"), 4);
    assert_eq!(feed(b"bcd"), 1);
    assert_eq!(feed(b"e"), 0);
    assert_eq!(feed(b"\x89\x05a"), 0);
    assert_eq!(feed(b"bcde\x82\x7e"), 0);
    assert_eq!(feed(b"\x10\x00"), 4096);
}

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

#[test]
fn receiver_tells_where_it_is() {
    let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
    let feed = |rx: &mut Receiver, wire: &[u8]| {
        let mut wire = wire.to_vec();
        let mut input = &mut wire[..];
        while let Ok(Some(_)) = rx.receive(&mut input) {}
    };
    let told = |rx: &Receiver| {
        let state = (rx.is_closed(), rx.is_failed());
        (
            rx.is_idle(),
            rx.is_message_open(),
            rx.frame_remaining(),
            state,
        )
    };
    let open = (false, false);
    assert_eq!(told(&rx), (true, false, 0, open));
    feed(&mut rx, b"\x02\x05ab");
    assert_eq!(told(&rx), (false, true, 3, open));
    feed(&mut rx, b"cde");
    assert_eq!(told(&rx), (false, true, 0, open));
    feed(&mut rx, b"\x89\x02p"); // what is left of a Ping does not count
    assert_eq!(told(&rx), (false, true, 0, open));
    feed(&mut rx, b"p\x80\x00");
    assert_eq!(told(&rx), (true, false, 0, open));
    feed(&mut rx, b"\x81");
    assert_eq!(told(&rx), (false, false, 0, open));
    feed(&mut rx, b"\x00\x88\x00");
    assert_eq!(told(&rx).3, (true, false));
    let mut refused = Receiver::new(Inbound::RequireUnmasked, Limits::default());
    refused.refuse();
    assert_eq!(told(&refused).3, (false, true));
    assert_eq!(refused.end(), Ok(()));
}

#[test]
fn what_is_left_of_a_compressed_frame_is_told() {
    //= RFC7692-6.1-5
    let limits = Limits::default();
    let mut rx = Receiver::new(Inbound::RequireUnmasked, limits).accept_compressed(true);
    let mut wire = *b"\xc2\x05ab";
    let mut input = &mut wire[..];
    let piece = CompressedChunk {
        kind: MessageKind::Binary,
        data: b"ab",
        first: true,
        last: false,
    };
    let event = rx.receive(&mut input);
    assert_eq!(event, Ok(Some(Event::Compressed(piece))));
    assert_eq!(rx.receive(&mut input), Ok(None));
    assert_eq!(rx.frame_remaining(), 3);
    // A frame without payload in the middle says nothing, and what follows it
    // is received all the same.
    let mut wire = *b"cde\x89\x00";
    let mut input = &mut wire[..];
    assert!(matches!(
        rx.receive(&mut input),
        Ok(Some(Event::Compressed(piece))) if piece.last && !piece.first
    ));
    assert_eq!(rx.receive(&mut input), Ok(Some(Event::Ping(b""))));
    let mut wire = *b"\x42\x00\x89\x00\x80\x01a";
    let mut input = &mut wire[..];
    assert_eq!(rx.receive(&mut input), Ok(Some(Event::Ping(b""))));
    assert!(matches!(
        rx.receive(&mut input),
        Ok(Some(Event::Compressed(piece))) if piece.first && piece.last && piece.data == b"a"
    ));
}
