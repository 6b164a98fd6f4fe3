//! Messages that wait for a peer that reads slowly, and may be dropped.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use bytes::Bytes;
use ws_proto::Outbox;

use crate::SlowConsumer;

/// Whole messages, behind the outbox.
///
/// The outbox holds what the transport has begun to take, and what is never
/// dropped; from here a message moves there when it is empty.
///
/// INVARIANT: nothing waits here while the outbox is empty.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub(super) policy: SlowConsumer,
    pub(super) messages: VecDeque<Waiting>,
    /// The number of the first of them; those behind it count on.
    pub(super) first: u64,
    /// The numbers of those that have a key.
    pub(super) keys: BTreeMap<u64, u64>,
    /// Bytes in all.
    len: usize,
    /// A message was one too many for [`SlowConsumer::Close`].
    pub(crate) is_too_slow: bool,
    /// How many messages were dropped, until somebody asks.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) key: Option<u64>,
    /// Shared with others, if it is one that many get.
    pub(super) frame: Bytes,
    /// Sent in answer to something.
    pub(super) is_answer: bool,
}

/// What counts for a message beside its bytes: what it is kept in, of which an
/// eighth is more than there are messages.
const KEPT: usize = 64;

/// What counts for a key: the nodes of a tree are half empty at worst.
const KEY: usize = 2 * size_of::<(u64, u64)>();

/// Messages move to the outbox together up to this size, for fewer writes.
const BATCH: usize = 16 * 1024;

impl Backlog {
    pub(crate) const fn new(policy: SlowConsumer) -> Self {
        Self {
            policy,
            messages: VecDeque::new(),
            first: 0,
            keys: BTreeMap::new(),
            len: 0,
            is_too_slow: false,
            dropped: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns how much memory the messages take: of short ones the most is for
    /// keeping them.
    fn weight(&self) -> usize {
        if fault!("keeping-uncounted") {
            return self.len;
        }
        self.len + self.messages.len() * KEPT + self.keys.len() * KEY
    }

    /// Returns how much memory is held.
    pub(super) fn held(&self) -> usize {
        let kept = self.messages.capacity() * size_of::<Waiting>();
        self.len + kept + self.keys.len() * KEY
    }

    /// Tells whether the policy is another than to refuse what is too much.
    pub(crate) const fn is_used(&self) -> bool {
        !matches!(self.policy, SlowConsumer::DropNewest)
    }

    /// Moves the oldest messages to an outbox that has become empty.
    pub(crate) fn refill(&mut self, outbox: &mut Outbox) {
        while let Some(next) = self.messages.front()
            && (outbox.is_empty() || outbox.len() + next.frame.len() <= BATCH)
        {
            self.move_one(outbox);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.keys.clear();
        self.len = 0;
    }

    fn move_one(&mut self, outbox: &mut Outbox) {
        if let Some(next) = self.pop() {
            outbox.push_bytes(&next.frame);
        }
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
    }

    pub(super) fn move_all(&mut self, outbox: &mut Outbox) {
        while !self.messages.is_empty() {
            self.move_one(outbox);
        }
    }

    /// Puts a message behind the others, or in the place of the one with its
    /// key, and drops the oldest until `room` bytes of memory suffice. Returns
    /// how many bytes were dropped that answered nothing.
    pub(super) fn push(&mut self, message: Waiting, room: usize) -> usize {
        self.put(message) + self.make_room(room)
    }

    /// Puts a message behind the others, or in the place of the one with its
    /// key. Returns how many bytes were dropped that answered nothing.
    fn put(&mut self, mut message: Waiting) -> usize {
        self.len += message.frame.len();
        if let Some(key) = message.key {
            let last = self.first + self.messages.len() as u64;
            let number = *self.keys.entry(key).or_insert(last);
            if number != last {
                let waiting = &mut self.messages[(number - self.first) as usize];
                if !fault!("conflated-the-wrong-way") {
                    mem::swap(waiting, &mut message);
                }
                self.len -= message.frame.len();
                return self.note_dropped(&message);
            }
        }
        if self.messages.len() == self.messages.capacity() {
            let more = (self.messages.len() / 8).max(4);
            self.messages.reserve_exact(more);
        }
        self.messages.push_back(message);
        0
    }

    fn pop(&mut self) -> Option<Waiting> {
        let oldest = self.messages.pop_front()?;
        self.first += 1;
        self.len -= oldest.frame.len();
        if let Some(key) = oldest.key
            && !fault!("keys-kept")
        {
            self.keys.remove(&key);
        }
        Some(oldest)
    }

    /// Drops the oldest until `room` bytes of memory suffice, but not the newest.
    /// Returns how many bytes were dropped that answered nothing.
    fn make_room(&mut self, room: usize) -> usize {
        let mut dropped = 0;
        if fault!("newest-dropped")
            && self.weight() > room
            && let Some(newest) = self.messages.pop_back()
        {
            self.len -= newest.frame.len();
            newest.key.map(|key| self.keys.remove(&key));
        }
        while self.weight() > room && self.messages.len() > 1 && !fault!("backlog-unlimited") {
            if let Some(oldest) = self.pop() {
                dropped += self.note_dropped(&oldest);
            }
        }
        dropped
    }

    /// Counts a message that was dropped, and returns how many bytes it had if
    /// it answered nothing.
    const fn note_dropped(&mut self, message: &Waiting) -> usize {
        self.dropped += 1;
        match message.is_answer {
            true => 0,
            false => message.frame.len(),
        }
    }
}
