//! What an endpoint accepts, refuses and answers (RFC 6455 sections 5 and 6.2).
//!
//! Every wire is fed whole, in two pieces at every split point, and byte by
//! byte.

#![cfg(feature = "std")]

#[path = "../common/mod.rs"]
mod common;
mod fragments;
mod masking;
mod text;
mod whole;

use common::{Got, Outcome, binary, client, ping, pong, receive, strict, text, unmasked};
use ws_proto::{
    CompressedChunk, ConnectionState, Event, Inbound, Limits, MessageKind, ProtocolError, Receiver,
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
