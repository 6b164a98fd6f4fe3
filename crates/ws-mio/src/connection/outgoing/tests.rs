//! Writes that stop anywhere, and transports that do as they like.

use std::collections::VecDeque;

use mio::event::Source;
use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, Inbound, Limits, MAX_HEADER_LEN, Message, Receiver,
    ServerMasking,
};

use super::*;
use crate::PeerAddr;

/// A transport that does as it is told, write by write, and then takes
/// everything.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    wire: Vec<u8>,
    writes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Takes so many bytes at most.
    Take(usize),
    /// Takes everything and claims more.
    Overstate(usize),
    Zero,
    Fail(io::ErrorKind),
}

use Step::{Fail, Overstate, Take, Zero};
use io::ErrorKind::{BrokenPipe, Interrupted, WouldBlock};

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl Transport for Script {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes += 1;
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        let (mut take, claim) = match self.steps.pop_front() {
            None => (len, len),
            Some(Take(n)) => (len.min(n), len.min(n)),
            Some(Overstate(n)) => (len, len + n),
            Some(Zero) => (0, 0),
            Some(Fail(kind)) => return Err(kind.into()),
        };
        for slice in slices {
            let part = &slice[..take.min(slice.len())];
            self.wire.extend_from_slice(part);
            take -= part.len();
        }
        Ok(claim)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn short_is_all(&self) -> bool {
        true
    }
}

fn server(max_backpressure: usize) -> Outgoing {
    let policy = SlowConsumer::DropNewest;
    Outgoing::new(
        ServerMasking::new().into(),
        usize::MAX,
        max_backpressure,
        policy,
    )
}

/// One that splits frames that are longer than `max_frame`.
fn splitting(max_frame: usize) -> Outgoing {
    let policy = SlowConsumer::DropNewest;
    Outgoing::new(ServerMasking::new().into(), max_frame, 1 << 20, policy)
}

/// What an application sends, in two turns.
const PAYLOADS: [&[u8]; 7] = [
    b"a",
    b"",
    &[1; 200],
    &[2; COPY_MAX + 1],
    b"b",
    &[3; COPY_MAX],
    &[4; 2 * COPY_MAX],
];

/// Sends everything in turns of `turn` messages, and lets the transport
/// take it; returns what should have left.
fn converse(outgoing: &mut Outgoing, transport: &mut Script, turn: usize) -> Vec<u8> {
    let mut expected = Vec::new();
    let mut cork = Vec::new();
    for payloads in PAYLOADS.chunks(turn) {
        for payload in payloads {
            let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
            let frames = outgoing.sender.split(frame.clone(), outgoing.max_frame);
            for frame in frames.unwrap().iter() {
                assert!(frame.len() <= outgoing.max_frame);
                frame.append_to(&mut expected, 0);
            }
            let sent = outgoing.send(frame, &mut cork, transport);
            assert!(!matches!(sent, Backpressure::Refused(_)), "{sent:?}");
            // INVARIANT: what waits is in one place only.
            assert!(cork.is_empty() || outgoing.outbox.is_empty());
        }
        outgoing.flush_cork(&mut cork, transport);
        assert!(cork.is_empty());
        let left = [&transport.wire, outgoing.outbox.as_slice()].concat();
        assert!(left == expected, "bytes were lost, doubled or moved");
        outgoing.flush_outbox(transport);
    }
    while !outgoing.outbox.is_empty() {
        outgoing.flush_outbox(transport);
    }
    expected
}

#[test]
fn frames_leave_whole_and_in_order_when_a_write_stops_anywhere() {
    //= RFC6455-6.1-7
    let whole = converse(&mut server(1 << 20), &mut Script::default(), 7);
    let around = |at: usize| at.saturating_sub(20)..at + 20;
    let stops = (1..600)
        .chain(around(COPY_MAX))
        .chain(around(whole.len() - 30));
    for stop in stops {
        for turn in [1, 3, 7] {
            let mut outgoing = server(1 << 20);
            let mut transport = Script::new([Take(stop), Fail(WouldBlock), Take(stop)]);
            let expected = converse(&mut outgoing, &mut transport, turn);
            assert!(transport.wire == expected, "stopped at {stop}");
            assert!(outgoing.is_idle());
        }
    }
}

#[test]
fn fragments_of_long_frames_leave_whole_and_in_order_when_a_write_stops_anywhere() {
    //= RFC6455-6.1-3, RFC6455-6.1-7
    for max_frame in [150, 4096, COPY_MAX, COPY_MAX + 10] {
        let whole = converse(&mut splitting(max_frame), &mut Script::default(), 7);
        let around = |at: usize| at.saturating_sub(5)..at + 20;
        let stops = (1..300).chain(around(COPY_MAX)).chain(around(max_frame));
        for stop in stops.chain(around(whole.len() - 30)) {
            let mut outgoing = splitting(max_frame);
            let mut transport = Script::new([Take(stop), Fail(WouldBlock), Take(stop)]);
            let expected = converse(&mut outgoing, &mut transport, 3);
            assert!(transport.wire == expected, "stopped at {stop}");
            assert!(outgoing.is_idle());
            let counts = outgoing.take_counts();
            assert_eq!(counts.bytes, expected.len() as u64);
            assert_eq!(counts.frames[2], PAYLOADS.len() as u64);
        }
    }
}

#[test]
fn message_that_is_split_is_refused_whole() {
    let policy = SlowConsumer::DropNewest;
    let mut outgoing = Outgoing::new(ServerMasking::new().into(), 150, 1000, policy);
    let (mut transport, mut cork) = (Script::new([Fail(WouldBlock)]), Vec::new());
    for payload in [&[1; 400][..], &[2; 1000]] {
        let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
        outgoing.flush_cork(&mut cork, &mut transport);
    }
    let pending = outgoing.outbox.len();
    assert!(pending > 1400);
    let frame = outgoing.sender.message(Message::Binary(&[3; 400])).unwrap();
    let Backpressure::Refused(Refused::Full(full)) =
        outgoing.send(frame, &mut cork, &mut transport)
    else {
        panic!("it was not refused")
    };
    assert_eq!((full.pending, full.len), (pending, 400 + 4 + 4 + 2));
    assert_eq!(outgoing.outbox.len(), pending);
}

#[test]
fn frames_leave_whole_and_in_order_however_little_a_write_takes() {
    //= RFC6455-6.1-7
    for step in [1, 2, 3, 7, 100, 4096, COPY_MAX, COPY_MAX + 1] {
        let mut transport = Script::new((0..200_000).map(|i| match i % 5 {
            0 => Fail(Interrupted),
            1 => Fail(WouldBlock),
            _ => Take(step),
        }));
        let mut outgoing = server(1 << 20);
        let expected = converse(&mut outgoing, &mut transport, 2);
        assert!(transport.wire == expected, "{step} bytes at a time");
        assert!(outgoing.is_idle());
    }
}

#[test]
fn count_beyond_what_was_offered_is_not_believed() {
    for turn in [1, 2, 7] {
        let mut transport = Script::new([Overstate(1), Take(5), Overstate(usize::MAX / 2)]);
        let mut outgoing = server(1 << 20);
        let expected = converse(&mut outgoing, &mut transport, turn);
        assert!(transport.wire == expected);
    }
}

#[test]
fn nothing_is_kept_or_written_after_a_failure() {
    for failure in [Zero, Fail(BrokenPipe)] {
        for before in 0..4 {
            let mut transport = Script::new(std::iter::repeat_n(Take(3), before));
            transport.steps.push_back(failure);
            let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
            for payload in PAYLOADS {
                let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
                outgoing.send(frame, &mut cork, &mut transport);
                outgoing.flush_cork(&mut cork, &mut transport);
                outgoing.flush_outbox(&mut transport);
            }
            assert!(outgoing.broken.is_some() && outgoing.is_over());
            assert!(outgoing.outbox.is_empty() && cork.is_empty());
            let writes = transport.writes;
            let frame = outgoing.sender.message(Message::Text("late")).unwrap();
            assert_eq!(
                outgoing.send(frame, &mut cork, &mut transport),
                Backpressure::Refused(Refused::Over)
            );
            outgoing.flush_cork(&mut cork, &mut transport);
            outgoing.flush_outbox(&mut transport);
            assert_eq!(transport.writes, writes);
        }
    }
}

#[test]
fn nothing_that_waits_is_written_after_an_abort() {
    let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
    let mut transport = Script::new([Take(1), Fail(WouldBlock)]);
    let frame = outgoing.sender.message(Message::Text("waits")).unwrap();
    outgoing.send(frame, &mut cork, &mut transport);
    outgoing.flush_cork(&mut cork, &mut transport);
    outgoing.aborted = true;
    outgoing.flush_outbox(&mut transport);
    assert_eq!(transport.wire, b"\x81");
    assert!(outgoing.outbox.is_empty());
}

#[test]
fn message_over_max_backpressure_is_refused_and_the_close_is_not() {
    //= RFC6455-7.1.2-1
    let (mut outgoing, mut cork) = (server(10), Vec::new());
    let mut transport = Script::new(std::iter::repeat_n(Fail(WouldBlock), 100));
    // A single message may be longer, and there is room for some Pings.
    let long = [7; 1000];
    let frame = outgoing.sender.message(Message::Binary(&long)).unwrap();
    outgoing.send(frame, &mut cork, &mut transport);
    outgoing.flush_cork(&mut cork, &mut transport);
    assert_eq!(outgoing.outbox.len(), 1004);
    let frame = outgoing.sender.message(Message::Text("")).unwrap();
    let Backpressure::Refused(Refused::Full(full)) =
        outgoing.send(frame, &mut cork, &mut transport)
    else {
        panic!("it was not refused")
    };
    assert_eq!((full.pending, full.len, full.limit), (1004, 2, 10));
    let ping = outgoing.sender.ping(&[0; 125]).unwrap();
    while outgoing.send(ping.clone(), &mut cork, &mut transport)
        != Backpressure::Refused(Refused::Full(OutboxFull {
            len: 127,
            pending: outgoing.outbox.len(),
            limit: 10,
        }))
    {}
    let pending = outgoing.outbox.len();
    let close = Some(CloseFrame {
        code: CloseCode::NORMAL,
        reason: "",
    });
    let close = outgoing.sender.close(close).unwrap();
    assert_eq!(
        outgoing.send(close, &mut cork, &mut transport),
        Backpressure::Queued(pending + 4)
    );
}

#[test]
fn zero_key_frame_is_written_from_where_it_lies_and_a_masked_one_is_not() {
    //= MSWS-3.1.4-6
    for (flag, writes) in [(true, 1), (false, 0)] {
        let masking = ClientMasking::with_set_mask_to_zero(flag);
        let policy = SlowConsumer::DropNewest;
        let mut outgoing = Outgoing::new(masking.into(), usize::MAX, 1 << 20, policy);
        let (mut transport, mut cork) = (Script::default(), Vec::new());
        let payload = [9; COPY_MAX + 1];
        let frame = outgoing.sender.message(Message::Binary(&payload)).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
        assert_eq!(transport.writes, writes);
        outgoing.flush_cork(&mut cork, &mut transport);
        assert_eq!(transport.wire.len(), 8 + payload.len());
        assert_eq!(transport.wire[4..8] == [0; 4], flag);
        assert_eq!(transport.wire[8..] == payload, flag);
    }
}

/// Echoes messages that lie in a read buffer, with other frames before,
/// between and after; returns what should have left.
fn echo(outgoing: &mut Outgoing, transport: &mut Script) -> Vec<u8> {
    // As a client's frames lie there: a head with a key, and the payload.
    let lens = [Echoes::MIN, 70_000, 10, Echoes::MIN + 1];
    let mut buffer = Vec::new();
    let mut ranges = Vec::new();
    for (len, byte) in lens.into_iter().zip(b'w'..) {
        buffer.extend_from_slice(&[0xee; MAX_HEADER_LEN][..if len > 0xffff { 14 } else { 8 }]);
        ranges.push(buffer.len()..buffer.len() + len);
        buffer.resize(buffer.len() + len, byte);
    }
    let (mut cork, mut expected) = (Vec::new(), Vec::new());
    let mut send = |outgoing: &mut Outgoing, payload: &[u8]| {
        let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
        frame.append_to(&mut expected, 0);
        outgoing.send(frame, &mut cork, transport);
    };
    for range in ranges {
        let message = &buffer[range.clone()];
        send(outgoing, b"before");
        let room = if message.len() > 0xffff { 14 } else { 8 };
        outgoing.echoes.lend(message, range.start, room);
        send(outgoing, message);
        // Again, a part of it, and something long: none of them in place.
        send(outgoing, message);
        send(outgoing, &message[1..]);
        send(outgoing, &[b'!'; COPY_MAX + 1]);
    }
    outgoing.flush_echoes(&mut cork, &mut buffer, transport);
    outgoing.flush_cork(&mut cork, transport);
    outgoing.flush_outbox(transport);
    expected
}

#[test]
fn messages_that_go_back_from_where_they_lie_leave_whole_and_in_order() {
    let mut whole = Script::default();
    let expected = echo(&mut server(usize::MAX), &mut whole);
    assert!(whole.wire == expected);
    assert_eq!(whole.writes, 2, "one for the frames in place, and the rest");
    for cut in (0..expected.len()).step_by(997).chain(0..40) {
        let mut transport = Script::new([Take(cut.max(1)), Fail(WouldBlock), Take(13)]);
        let mut outgoing = server(usize::MAX);
        let expected = echo(&mut outgoing, &mut transport);
        outgoing.flush_outbox(&mut transport);
        outgoing.flush_outbox(&mut transport);
        assert!(transport.wire == expected, "cut at {cut}");
        assert!(outgoing.outbox.is_empty());
    }
}

#[test]
fn message_in_place_is_dropped_with_a_transport_that_failed() {
    let mut transport = Script::new([Take(100), Fail(BrokenPipe)]);
    let mut outgoing = server(usize::MAX);
    echo(&mut outgoing, &mut transport);
    assert!(outgoing.is_over() && outgoing.outbox.is_empty());
    assert!(outgoing.echoes.is_empty());
}

#[test]
fn long_masked_frame_leaves_in_blocks_and_whole() {
    //= RFC6455-5.1-1
    let payload: Vec<u8> = (0..3 * BLOCK as u32 + 77)
        .map(|i| ((i * 31) >> 3) as u8)
        .collect();
    for cut in [
        1,
        13,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        2 * BLOCK + 5,
        usize::MAX,
    ] {
        let mut transport = Script::new([Take(cut), Fail(WouldBlock), Take(BLOCK)]);
        let masking = ClientMasking::new().into();
        let mut outgoing = Outgoing::new(masking, usize::MAX, usize::MAX, SlowConsumer::default());
        let mut cork = Vec::new();
        for message in [Message::Text("before"), Message::Binary(&payload)] {
            let frame = outgoing.sender.message(message).unwrap();
            outgoing.send(frame, &mut cork, &mut transport);
        }
        outgoing.flush_cork(&mut cork, &mut transport);
        while !outgoing.outbox.is_empty() {
            outgoing.flush_outbox(&mut transport);
        }
        let mut receiver = Receiver::new(Inbound::RequireMasked, Limits::default());
        let mut wire = &mut transport.wire[..];
        assert_eq!(
            receiver.receive_whole(&mut wire),
            Ok(Some(Message::Text("before")))
        );
        let received = receiver.receive_whole(&mut wire);
        assert!(
            received == Ok(Some(Message::Binary(&payload))),
            "cut at {cut}"
        );
        assert!(wire.is_empty());
        assert!(cork.capacity() <= 2 * BLOCK);
    }
}

#[test]
fn last_bytes_leave_whole_however_little_a_write_takes() {
    for steps in [
        vec![],
        vec![Take(3), Fail(WouldBlock), Take(1)],
        vec![Fail(Interrupted), Overstate(9)],
    ] {
        let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
        let mut transport = Script::new(steps);
        let frame = outgoing.sender.close(None).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
        outgoing.flush_last(&mut cork, &mut transport);
        assert!(cork.is_empty());
        while !outgoing.outbox.is_empty() {
            outgoing.flush_outbox(&mut transport);
        }
        assert_eq!(transport.wire, b"\x88\x00");
    }
}

#[test]
fn messages_in_a_row_go_back_in_place_whatever_is_sent_between_them() {
    let lens = [Echoes::MIN, 3000, 2 * COPY_MAX, 5000, 125, 70_000, 4000];
    // After which of them something short is sent.
    for between in 0..1 << lens.len() {
        let mut outgoing = server(1 << 20);
        let (mut cork, mut transport) = (Vec::new(), Script::default());
        let mut buffer = Vec::new();
        let payloads = lens.iter().zip(0..).map(|(&len, n)| {
            // As long a head as a client's frame has.
            buffer.extend_from_slice(&[0xee; 14]);
            buffer.extend(std::iter::repeat_n(n, len));
            buffer.len() - len..buffer.len()
        });
        let payloads: Vec<_> = payloads.collect();
        let mut expected = Vec::new();
        for (n, payload) in payloads.into_iter().enumerate() {
            let message = &buffer[payload.clone()];
            if message.len() >= Echoes::MIN {
                outgoing.echoes.lend(message, payload.start, 14);
            }
            let frame = outgoing.sender.message(Message::Binary(message)).unwrap();
            frame.append_to(&mut expected, 0);
            outgoing.send(frame, &mut cork, &mut transport);
            if between & 1 << n != 0 {
                let frame = outgoing.sender.message(Message::Text("between")).unwrap();
                frame.append_to(&mut expected, 0);
                outgoing.send(frame, &mut cork, &mut transport);
            }
        }
        outgoing.flush_echoes(&mut cork, &mut buffer, &mut transport);
        outgoing.flush_cork(&mut cork, &mut transport);
        assert!(transport.wire == expected, "{between:b}");
    }
}

/// A message that goes back in place, and one that is corked behind it, over a
/// transport that takes 100 bytes at first; both flushed as far as it goes, and
/// what they are on the wire.
fn cut_in_place(is_aborted: bool) -> (Outgoing, Vec<u8>, Script, Vec<u8>) {
    let mut buffer = vec![b'1'; 14 + Echoes::MIN];
    let (mut cork, mut transport) = (Vec::new(), Script::new([Take(100)]));
    let mut outgoing = server(1 << 20);
    let mut expected = Vec::new();
    outgoing.echoes.lend(&buffer[14..], 14, 14);
    for message in [&buffer[14..], b"corked behind it"] {
        let frame = outgoing.sender.message(Message::Binary(message)).unwrap();
        frame.append_to(&mut expected, 0);
        outgoing.send(frame, &mut cork, &mut transport);
    }
    outgoing.aborted = is_aborted;
    outgoing.flush_echoes(&mut cork, &mut buffer, &mut transport);
    (outgoing, cork, transport, expected)
}

#[test]
fn what_follows_a_message_in_place_that_has_to_wait_is_not_overtaken() {
    let (mut outgoing, mut cork, mut transport, mut expected) = cut_in_place(false);
    // Of the next read, in the same turn.
    let frame = outgoing.sender.message(Message::Text("later")).unwrap();
    frame.append_to(&mut expected, 0);
    outgoing.send(frame, &mut cork, &mut transport);
    outgoing.flush_cork(&mut cork, &mut transport);
    outgoing.flush_outbox(&mut transport);
    assert!(transport.wire == expected);
}

#[test]
fn what_follows_a_message_in_place_is_not_written_without_it_if_the_connection_is_aborted() {
    let (mut outgoing, mut cork, mut transport, expected) = cut_in_place(true);
    outgoing.flush_cork(&mut cork, &mut transport);
    outgoing.flush_outbox(&mut transport);
    assert!(transport.wire == expected[..100]);
    assert!(cork.is_empty() && outgoing.outbox.is_empty());
}

#[test]
fn message_goes_back_by_a_copy_where_its_new_head_is_longer() {
    //= MSWS-3.1.4-4
    // A client's frame has a key where the server's that it echoes had
    // none, and in front of that lies another message.
    const LEN: usize = 0x1000;
    let (first, second) = (vec![b'1'; LEN], vec![b'2'; LEN]);
    let mut buffer = [
        &b"\x82\x7e\x10\x00"[..],
        &first,
        b"\x82\x7e\x10\x00",
        &second,
    ]
    .concat();
    let masking = ClientMasking::with_set_mask_to_zero(true).into();
    let mut outgoing = Outgoing::new(masking, usize::MAX, usize::MAX, SlowConsumer::default());
    let (mut cork, mut transport) = (Vec::new(), Script::default());
    for start in [4, 8 + LEN] {
        let message = &buffer[start..start + LEN];
        outgoing.echoes.lend(message, start, 4);
        let frame = outgoing.sender.message(Message::Binary(message)).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
    }
    outgoing.flush_echoes(&mut cork, &mut buffer, &mut transport);
    outgoing.flush_cork(&mut cork, &mut transport);
    let head = b"\x82\xfe\x10\x00\x00\x00\x00\x00";
    let expected = [&head[..], &first, head, &second].concat();
    assert!(transport.wire == expected);
}
