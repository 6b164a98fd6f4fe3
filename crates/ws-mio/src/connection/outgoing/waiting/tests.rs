//! Peers that read slowly, and what is left of what was sent to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
};

use mio::event::Source;
use ws_proto::{ClientMasking, CloseCode, CloseFrame, Message, ServerMasking};

use super::{super::backlog::Backlog, *};
use crate::{Backpressure, PeerAddr, Refused, Transport};

/// A transport that takes as much as the test lets through.
#[derive(Debug, Default)]
struct Valve {
    open: usize,
    wire: Vec<u8>,
}

impl Transport for Valve {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = self.wire.len();
        for slice in slices {
            let take = self.open.min(slice.len());
            self.wire.extend_from_slice(&slice[..take]);
            self.open -= take;
        }
        match self.wire.len() - before {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
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

const LIMIT: usize = 10_000;

struct Side {
    outgoing: Outgoing,
    transport: Valve,
    cork: Vec<u8>,
}

impl Side {
    /// A connection whose transport takes nothing of the first message.
    fn stalled(policy: SlowConsumer) -> Self {
        Self::splitting(policy, usize::MAX)
    }

    /// One that sends no frame that is longer than `max_frame`.
    fn splitting(policy: SlowConsumer, max_frame: usize) -> Self {
        let mut side = Self {
            outgoing: Outgoing::new(ServerMasking::new().into(), max_frame, LIMIT, policy),
            transport: Valve::default(),
            cork: Vec::new(),
        };
        side.send(None, b"first");
        side
    }

    fn send(&mut self, key: Option<u64>, payload: &[u8]) -> Backpressure {
        let frame = self
            .outgoing
            .sender
            .message(Message::Binary(payload))
            .unwrap();
        self.finish(|outgoing, cork, transport| match key {
            Some(_) => outgoing.send_keyed(key, frame, cork, transport),
            None => outgoing.send(frame, cork, transport),
        })
    }

    fn send_fragment(&mut self, payload: &[u8], last: bool) -> Backpressure {
        let before = self.outgoing.sender.clone();
        let frame = self
            .outgoing
            .sender
            .fragment(Message::Binary(payload), last)
            .unwrap();
        let sent = self.finish(|outgoing, cork, transport| outgoing.send(frame, cork, transport));
        if let Backpressure::Refused(_) = sent {
            self.outgoing.sender = before;
        }
        sent
    }

    fn ping(&mut self) -> Backpressure {
        let frame = self.outgoing.sender.ping(b"ping").unwrap();
        self.finish(|outgoing, cork, transport| outgoing.send(frame, cork, transport))
    }

    fn close(&mut self) -> Backpressure {
        let code = CloseCode::NORMAL;
        let frame = Some(CloseFrame { code, reason: "" });
        let frame = self.outgoing.sender.close(frame).unwrap();
        self.finish(|outgoing, cork, transport| outgoing.send(frame, cork, transport))
    }

    fn finish(
        &mut self,
        send: impl FnOnce(&mut Outgoing, &mut Vec<u8>, &mut Valve) -> Backpressure,
    ) -> Backpressure {
        let sent = send(&mut self.outgoing, &mut self.cork, &mut self.transport);
        self.outgoing
            .flush_cork(&mut self.cork, &mut self.transport);
        // INVARIANT: nothing waits behind an empty outbox.
        assert!(!self.outgoing.outbox.is_empty() || self.outgoing.backlog.len() == 0);
        sent
    }

    fn let_through(&mut self, bytes: usize) {
        self.transport.open = bytes;
        self.outgoing.flush_outbox(&mut self.transport);
        assert!(!self.outgoing.outbox.is_empty() || self.outgoing.backlog.len() == 0);
    }

    /// Returns the frames that have left, by first byte and payload.
    fn frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        self.let_through(usize::MAX);
        assert!(self.outgoing.sender.is_close_sent() || self.outgoing.is_idle());
        let mut wire = &self.transport.wire[..];
        let mut frames = Vec::new();
        while let [first, len, rest @ ..] = wire {
            let (len, rest) = match len {
                126 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
                len => (usize::from(*len), rest),
            };
            let (payload, rest) = rest.split_at(len);
            frames.push((*first, payload.to_vec()));
            wire = rest;
        }
        assert!(wire.is_empty(), "half a frame");
        frames
    }

    fn messages(&mut self) -> Vec<String> {
        let payloads = self.frames().into_iter();
        payloads
            .map(|(_, payload)| String::from_utf8(payload).unwrap())
            .collect()
    }
}

#[test]
fn message_that_many_get_waits_without_a_copy_unless_it_is_masked() {
    let news = Prepared::new(Message::Binary(b"news"));
    let mut side = Side::stalled(SlowConsumer::DropOldest);
    side.finish(|outgoing, cork, transport| outgoing.send_prepared(&news, cork, transport));
    let waiting = &side.outgoing.backlog.messages[0].frame;
    assert_eq!(waiting.as_ptr(), news.frame().as_ptr());
    assert_eq!(side.frames()[1].1, b"news");

    side = Side::stalled(SlowConsumer::DropOldest);
    side.outgoing = Outgoing::new(
        ClientMasking::new().into(),
        usize::MAX,
        LIMIT,
        SlowConsumer::DropOldest,
    );
    side.send(None, b"first");
    side.finish(|outgoing, cork, transport| outgoing.send_prepared(&news, cork, transport));
    let waiting = &side.outgoing.backlog.messages[0].frame;
    assert_eq!(waiting.len(), news.frame().len() + 4);
    assert_eq!(waiting[1], 0x80 | 4);
}

#[test]
fn messages_that_many_get_are_counted_and_dropped_as_others_are() {
    let sizes = [3_000, 4_000, 5_000, 12_000, 2_000, 700];
    let news: Vec<Prepared> = sizes
        .iter()
        .map(|len| Prepared::new(Message::Binary(&vec![0; *len])))
        .collect();
    let one_by_one = |side: &mut Side| {
        for each in &news {
            side.finish(|outgoing, cork, transport| outgoing.send_prepared(each, cork, transport));
        }
    };
    let together = |side: &mut Side| side.outgoing.share_waiting(&news);
    for send in [&one_by_one as &dyn Fn(&mut Side), &together] {
        let mut side = Side::stalled(SlowConsumer::DropOldest);
        side.outgoing.take_counts();
        send(&mut side);
        assert_eq!(side.outgoing.pending(), 7 + 2_004 + 704);
        // Unasked for, but for the first.
        assert!(side.outgoing.goes_on(8) && !side.outgoing.goes_on(7));
        let left: Vec<_> = side.messages().iter().map(String::len).collect();
        assert_eq!(left, [5, 2_000, 700]);
        let counts = side.outgoing.take_counts();
        assert_eq!(counts.bytes, 26_700 + 6 * 4);
        assert_eq!((counts.frames[2], counts.queued, counts.dropped), (6, 6, 4));
    }
}

#[test]
fn message_that_is_split_waits_and_is_dropped_as_one() {
    //= RFC6455-5.4-7
    for policy in [SlowConsumer::DropOldest, SlowConsumer::Conflate] {
        let mut side = Side::splitting(policy, 1000);
        let news = Prepared::new(Message::Binary(&[b'n'; 2_500]));
        for number in 0..20_u8 {
            side.send(Some(number.into()), &vec![number; 2_000]);
            assert!(side.outgoing.pending() <= LIMIT);
        }
        let key = Some(18);
        side.send(key, &[b'k'; 2_000]);
        side.outgoing.share_waiting([&news]);
        let (mut joined, mut firsts) = (Vec::new(), Vec::new());
        for (first, payload) in side.frames() {
            assert!(payload.len() <= 996);
            firsts.push(first);
            match first & 0xf {
                0 => Vec::extend(joined.last_mut().unwrap(), payload),
                _ => joined.push(payload),
            }
        }
        assert_eq!(joined[0], b"first");
        assert_eq!(joined.last().unwrap(), news.payload());
        assert!(joined[1..joined.len() - 1].iter().all(|m| m.len() == 2_000));
        assert!(joined.contains(&vec![b'k'; 2_000]));
        let replaces = policy == SlowConsumer::Conflate;
        assert_eq!(joined.contains(&vec![18; 2_000]), !replaces);
        assert_eq!(
            firsts.iter().filter(|first| **first == 0x02).count(),
            joined.len() - 1
        );
    }
}

#[test]
fn oldest_messages_are_dropped_for_the_new_one() {
    let mut side = Side::stalled(SlowConsumer::DropOldest);
    for text in ["a", "b", "c"] {
        side.send(None, text.repeat(4_000).as_bytes());
    }
    assert!(side.outgoing.pending() <= LIMIT);
    let sizes = ["first".into(), "b".repeat(4_000), "c".repeat(4_000)];
    assert_eq!(side.messages(), sizes);
    assert_eq!(side.outgoing.take_counts().dropped, 1);
}

#[test]
fn short_messages_that_wait_count_with_what_they_are_kept_in() {
    for policy in [SlowConsumer::DropOldest, SlowConsumer::Conflate] {
        let mut side = Side::stalled(policy);
        for number in 0..10_000_u16 {
            side.send(Some(number.into()), &number.to_be_bytes());
            assert!(side.outgoing.held() <= LIMIT);
        }
        let waiting = &side.outgoing.backlog.messages;
        assert!(waiting.capacity() * size_of::<Waiting>() <= LIMIT);
        assert!(side.outgoing.pending() >= LIMIT / 26);
        assert_eq!(side.frames().last().unwrap().1, 9_999_u16.to_be_bytes());
    }
}

#[test]
fn message_takes_the_place_of_the_one_with_its_key() {
    let mut side = Side::stalled(SlowConsumer::Conflate);
    for (key, text) in [(1, "a1"), (2, "b1"), (1, "a2"), (3, "c1"), (2, "b2")] {
        side.send(Some(key), text.as_bytes());
    }
    side.send(None, b"none");
    side.send(None, b"none");
    let expected = ["first", "a2", "b2", "c1", "none", "none"];
    assert_eq!(side.messages(), expected);
    let counts = side.outgoing.take_counts();
    // The first found nothing in its way: it was sent before it had to wait.
    let (sent, waited) = (counts.frames[2], counts.queued);
    assert_eq!((counts.dropped, sent, waited), (2, 8, 7));
}

#[test]
fn key_is_found_among_any_number_that_wait_and_forgotten_with_its_message() {
    fn numbers_are_true(backlog: &Backlog) -> bool {
        let messages = backlog.messages.iter();
        let numbered = (backlog.first..).zip(messages);
        let keyed: BTreeMap<u64, u64> = numbered
            .filter_map(|(number, waiting)| Some((waiting.key?, number)))
            .collect();
        keyed == backlog.keys
    }
    let mut side = Side::stalled(SlowConsumer::Conflate);
    let mut model: Vec<(u64, Vec<u8>)> = Vec::new();
    for number in 0..5_000_u64 {
        let key = number * number % 151;
        let payload = number.to_be_bytes();
        side.send(Some(key), &payload);
        match model.iter_mut().find(|(other, _)| *other == key) {
            Some((_, waiting)) => *waiting = payload.to_vec(),
            None => model.push((key, payload.to_vec())),
        }
        assert!(numbers_are_true(&side.outgoing.backlog));
        if number % 1_000 == 900 {
            let frames = side.frames().into_iter();
            let left: Vec<_> = frames.map(|(_, payload)| payload).collect();
            let expected: Vec<_> = model.drain(..).map(|(_, payload)| payload).collect();
            assert!(left.ends_with(&expected));
            side.transport.open = 0;
            side.send(None, b"stalled again");
        }
    }

    // One that has no key drops the oldest, and their keys with them.
    let before = side.outgoing.backlog.keys.len();
    side.send(None, &[0; LIMIT - 200]);
    assert!(side.outgoing.backlog.keys.len() < before);
    assert!(numbers_are_true(&side.outgoing.backlog));
    side.send(Some(1), b"last");
    assert_eq!(side.frames().last().unwrap().1, b"last");
    assert!(side.outgoing.backlog.keys.is_empty());
}

#[test]
fn close_drops_nothing_and_comes_last() {
    let mut side = Side::stalled(SlowConsumer::DropOldest);
    side.send(None, b"a");
    side.ping();
    side.send(None, b"b");
    side.close();
    let firsts: Vec<u8> = side.frames().iter().map(|(first, _)| *first).collect();
    // A Ping need not wait for messages that may be dropped.
    assert_eq!(firsts, [0x82, 0x89, 0x82, 0x82, 0x88]);
}

#[test]
fn one_message_too_many_ends_the_connection() {
    let mut side = Side::stalled(SlowConsumer::Close);
    assert!(matches!(
        side.send(None, &[0; LIMIT]),
        Backpressure::Queued(_)
    ));
    assert!(!side.outgoing.is_over());
    assert!(matches!(
        side.send(None, b"more"),
        Backpressure::Refused(Refused::Full(_))
    ));
    assert!(side.outgoing.is_over() && side.outgoing.backlog.is_too_slow);
}

#[test]
fn what_leaves_is_whole_frames_in_order_without_those_that_were_dropped() {
    //= RFC6455-6.1-7
    for policy in [SlowConsumer::DropOldest, SlowConsumer::Conflate] {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..50 {
            let mut side = Side::stalled(policy);
            let (mut refused, mut fragments) = (BTreeSet::new(), BTreeSet::new());
            let mut newest = None;
            for number in 0..300u32 {
                let mut payload = number.to_be_bytes().to_vec();
                payload.resize(4 + random(3_000) as usize, 0);
                let sent = match random(8) {
                    0 => {
                        side.ping();
                        continue;
                    }
                    1 => {
                        side.let_through(random(6_000) as usize);
                        continue;
                    }
                    2 => {
                        fragments.insert(number);
                        let sent = side.send_fragment(&payload, false);
                        if !matches!(sent, Backpressure::Refused(_)) {
                            let waits = |sent| matches!(sent, Backpressure::Refused(_));
                            while waits(side.send_fragment(b"", true)) {
                                side.let_through(1_000);
                            }
                        }
                        sent
                    }
                    // Keys change nothing but for one policy.
                    3 => side.send(Some(random(3)), &payload),
                    _ => side.send(None, &payload),
                };
                match sent {
                    Backpressure::Refused(_) => drop(refused.insert(number)),
                    _ => newest = Some(number),
                }
                // A message beyond the limit, and some control frames.
                assert!(side.outgoing.pending() <= LIMIT + 3_008 + 1_200);
            }
            let data = |(first, _): &(u8, Vec<u8>)| matches!(first, 0x82 | 0x02);
            let numbers: Vec<u32> = side
                .frames()
                .into_iter()
                .filter(data)
                .skip(1)
                .map(|(_, payload)| u32::from_be_bytes(payload[..4].try_into().unwrap()))
                .collect();
            if policy == SlowConsumer::DropOldest {
                assert!(numbers.is_sorted());
            }
            let left: BTreeSet<u32> = numbers.iter().copied().collect();
            assert_eq!(left.len(), numbers.len(), "a message left twice");
            assert!(left.is_disjoint(&refused));
            assert!(left.is_superset(&(&fragments - &refused)));
            assert!(newest.is_none_or(|number| left.contains(&number)));
        }
    }
}
