//! Messages in fragments, and control frames between them.

use ws_proto::{Event, ProtocolError};

use super::{assert_failed, assert_received};
use crate::common::{
    accepting, binary, client, masked, ping, pong, receive, strict, text, unmasked,
};

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
