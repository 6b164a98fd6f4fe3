//! Masked and unmasked frames, and who accepts which.

use ws_proto::{CloseCode, Limits, ProtocolError, ServerMasking};

use super::{assert_failed, assert_received, close_1002};
use crate::common::{accepting, binary, client, ping, pong, receive, seeded_client, strict, text};

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
            ProtocolError::CloseReasonNotUtf8 {
                code: CloseCode::NORMAL,
            },
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
