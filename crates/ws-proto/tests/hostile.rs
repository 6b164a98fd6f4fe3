//! What a peer can make an endpoint pay: allocations are counted, and so are
//! calls. No clock is looked at.

// Miri would take days for the millions, and nothing but their number is new to it.
#![cfg(all(feature = "std", not(miri)))]

use allocation_counter::{AllocationInfo, measure};
use ws_proto::{
    ClientMasking, Connection, Event, Limits, MaskingPolicy, Message, Outbox, ProtocolError,
    Sender, ServerMasking,
};

/// What a connection may ever take for a peer that sends little.
const LITTLE: u64 = 1024 * 1024;

fn accepting(limits: Limits) -> Connection<ServerMasking> {
    Connection::new(ServerMasking::with_accept_unmasked_frame(true), limits)
}

/// Receives what is in `input` and echoes it; counts events.
fn echo<P: MaskingPolicy>(
    connection: &mut Connection<P>,
    mut input: &mut [u8],
    output: &mut Vec<u8>,
) -> Result<u64, ProtocolError> {
    let mut events = 0;
    let (rx, messages, tx) = connection.parts();
    while let Some(event) = rx.receive(&mut input)? {
        events += 1;
        if let Some(reply) = tx.respond(&event) {
            reply.append_to(output, 0);
        }
        if let Event::Data(chunk) = event
            && let Some(message) = messages.push(chunk)
            && let Ok(frame) = tx.message(message)
        {
            frame.append_to(output, 0);
        }
    }
    Ok(events)
}

/// Receives `wire` in pieces of `size` bytes, over and over, and drops what
/// would be sent.
fn receive_pieces(
    connection: &mut Connection<ServerMasking>,
    wire: &[u8],
    size: usize,
) -> Result<u64, ProtocolError> {
    let (mut buffer, mut output) = ([0; 4096], Vec::with_capacity(8192));
    let mut events = 0;
    for piece in wire.chunks(size) {
        let input = &mut buffer[..piece.len()];
        input.copy_from_slice(piece);
        output.clear();
        events += echo(connection, input, &mut output)?;
    }
    Ok(events)
}

#[test]
fn message_that_comes_whole_is_echoed_without_an_allocation() {
    let mut output = Vec::with_capacity(64 * 1024);
    let payload = vec![b'x'; 20_000];
    let mut wire = Vec::new();
    let mut tx = Sender::new(ClientMasking::new());
    for message in [
        Message::Text("Hello"),
        Message::Binary(&payload),
        Message::Text(""),
    ] {
        tx.message(message).unwrap().append_to(&mut wire, 0);
    }
    tx.ping(b"and a Ping").unwrap().append_to(&mut wire, 0);
    let mut connection = Connection::new(ServerMasking::new(), Limits::default());
    let mut input = wire.clone();
    // From the first round on.
    for _ in 0..100 {
        input.copy_from_slice(&wire);
        output.clear();
        let info = measure(|| {
            assert_eq!(echo(&mut connection, &mut input, &mut output), Ok(4));
        });
        assert_eq!(info.count_total, 0);
    }
}

#[test]
fn client_sends_and_receives_without_an_allocation_once_warm() {
    for zero in [false, true] {
        let masking = ClientMasking::with_set_mask_to_zero(zero);
        let mut connection = Connection::new(masking, Limits::default());
        let mut output = Vec::with_capacity(1024);
        let mut round = || {
            let mut wire = *b"\x81\x05Hello\x89\x02hi\x8a\x00\x82\x00";
            output.clear();
            assert_eq!(echo(&mut connection, &mut wire, &mut output), Ok(4));
        };
        round(); // the thread's generator is made
        let info = measure(|| (0..100).for_each(|_| round()));
        assert_eq!(info.count_total, 0);
    }
}

#[test]
fn joined_messages_use_one_buffer_again_and_again() {
    let mut connection = accepting(Limits::default());
    let mut output = Vec::with_capacity(1024);
    let mut round = || {
        let mut wire = *b"\x01\x03Gr\xc3\x00\x01\xbc\x80\x03\xc3\x9fe\x02\x01a\x80\x01b";
        output.clear();
        echo(&mut connection, &mut wire, &mut output).unwrap();
        assert_eq!(output, b"\x81\x07Gr\xc3\xbc\xc3\x9fe\x82\x02ab");
    };
    round();
    let info = measure(|| (0..100).for_each(|_| round()));
    assert_eq!(info.count_total, 0);
    let (_, messages, _) = connection.parts();
    assert!(messages.take_buffer().capacity() < 100);
}

#[test]
fn declared_length_reserves_nothing() {
    //= RFC6455-10.4-1
    for declared in [1u64 << 31, 1 << 62, (1 << 63) - 1] {
        for first in [0x01, 0x02, 0x81, 0x82] {
            let mut wire = vec![first, 0x7f];
            wire.extend(declared.to_be_bytes());
            wire.extend(b"abc");
            let mut connection = accepting(Limits::UNLIMITED);
            let info = measure(|| {
                let events = receive_pieces(&mut connection, &wire, 4096);
                assert_eq!(events, Ok(1));
            });
            assert!(info.bytes_max < 10_000, "{info:?}");
            let (_, messages, _) = connection.parts();
            assert_eq!(messages.buffered(), 3);
        }
    }
}

/// A message in fragments of `len` bytes that never ends.
fn endless_fragments(len: u8, limits: Limits, size: usize) -> (AllocationInfo, ProtocolError) {
    let mut connection = accepting(limits);
    let mut fragment = vec![0x00, len];
    fragment.extend(vec![b'x'; usize::from(len)]);
    let wire = fragment.repeat(1024);
    let mut error = None;
    let info = measure(|| {
        let mut start = *b"\x01\x00";
        echo(&mut connection, &mut start, &mut Vec::new()).unwrap();
        for _ in 0..1_000_000 / 1024 + 1 {
            if let Err(wrong) = receive_pieces(&mut connection, &wire, size) {
                error = Some(wrong);
                break;
            }
        }
    });
    (info, error.expect("a limit is in the way"))
}

#[test]
fn million_tiny_fragments_are_stopped_by_count_and_held_in_little_memory() {
    //= RFC6455-10.4-1
    for len in [0, 1] {
        for size in [1, 3, 4096] {
            let (info, error) = endless_fragments(len, Limits::default(), size);
            assert_eq!(error, ProtocolError::TooManyFragments { limit: 131_072 });
            assert!(info.bytes_max < LITTLE, "{info:?}");
        }
    }
}

#[test]
fn million_tiny_fragments_are_held_in_little_memory_even_without_a_limit() {
    let mut limits = Limits::UNLIMITED;
    limits.max_fragments = 1_000_000;
    for len in [0, 1] {
        let (info, error) = endless_fragments(len, limits, 4096);
        assert_eq!(error, ProtocolError::TooManyFragments { limit: 1_000_000 });
        // A buffer that doubles, and for a moment its two halves.
        let bytes = u64::from(len) * 1_000_000;
        assert!(info.bytes_max < 3 * bytes + 64 * 1024, "{info:?}");
    }
}

#[test]
fn endless_message_is_stopped_at_its_limit() {
    //= RFC6455-10.4-1
    let mut limits = Limits::UNLIMITED;
    limits.max_message = 100_000;
    for len in [1, 100] {
        let (info, error) = endless_fragments(len, limits, 4096);
        let ProtocolError::MessageTooBig { limit: 100_000, .. } = error else {
            panic!("{error}")
        };
        assert!(info.bytes_max < 400_000, "{info:?}");
    }
}

#[test]
fn million_control_frames_leave_nothing_behind() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.3-3
    for frame in [
        &b"\x89\x04ping"[..],
        b"\x8a\x04pong",
        b"\x89\x00",
        b"\x8a\x00",
    ] {
        for size in [1, 5, 4096] {
            let mut connection = accepting(Limits::default());
            let wire = frame.repeat(1000);
            let info = measure(|| {
                for _ in 0..1000 {
                    let events = receive_pieces(&mut connection, &wire, size);
                    assert_eq!(events, Ok(1000));
                }
            });
            assert!(info.bytes_max < 10_000, "{info:?}");
            let (rx, messages, tx) = connection.parts();
            assert!(rx.is_idle() && messages.is_idle() && tx.is_idle());
        }
    }
}

#[test]
fn million_pings_to_a_peer_that_reads_nothing_stay_within_the_outbox() {
    let mut tx = Sender::new(ServerMasking::new());
    let mut outbox = Outbox::with_limit(1000);
    let info = measure(|| {
        for _ in 0..1_000_000 {
            let pong = tx.respond(&Event::Ping(&[1; 125])).unwrap();
            let _ = outbox.push(&pong, 0).is_ok();
        }
    });
    assert!(outbox.len() <= 1000 + 8 * (14 + 125));
    assert!(info.bytes_max < 10_000, "{info:?}");
    let info = measure(|| outbox.advance(usize::MAX));
    assert!(info.bytes_current < 0, "an empty outbox owns no memory");
}

#[test]
fn outbox_that_drains_slowly_does_not_grow() {
    let mut tx = Sender::new(ServerMasking::new());
    let mut outbox = Outbox::with_limit(4096);
    let info = measure(|| {
        for _ in 0..100_000 {
            let frame = tx.message(Message::Binary(&[0; 100])).unwrap();
            while outbox.push(&frame, 0).is_err() {
                outbox.advance(61);
            }
        }
    });
    // What waits, what was written before it, and a buffer that doubles.
    assert!(info.bytes_max < 6 * 4096, "{info:?}");
}

#[test]
fn connection_that_waits_owns_no_memory() {
    // Between frames, in a header, and between a Ping's header and its payload.
    for waits_for in [&b""[..], b"\x81\x85\x01\x02", b"\x89\x02"] {
        let wire = [b"\x81\x05Hello\x89\x02hi", waits_for].concat();
        let mut connection = accepting(Limits::default());
        let info = measure(|| {
            assert_eq!(receive_pieces(&mut connection, &wire, 4096), Ok(2));
        });
        assert_eq!(info.bytes_current, 0, "{waits_for:x?}");
    }
}

#[test]
fn every_event_costs_at_least_a_byte() {
    // An endless stream of the cheapest events of each kind.
    for frame in [
        &b"\x81\x00"[..],
        b"\x82\x00",
        b"\x89\x00",
        b"\x8a\x00",
        b"\x02\x00\x80\x00",
    ] {
        let mut wire = frame.repeat(10_000);
        let mut input = &mut wire[..];
        let mut connection = accepting(Limits::default());
        let (rx, ..) = connection.parts();
        let mut left = input.len();
        while rx.receive(&mut input).unwrap().is_some() {
            assert!(input.len() < left);
            left = input.len();
        }
        assert_eq!(left, 0);
    }
}
