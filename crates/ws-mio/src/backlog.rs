//! Messages that wait for a peer that reads slowly, and may be dropped.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use bytes::Bytes;
use ws_proto::{Masking, MessageKind, OpCode, OutFrames, Outbox, OutboxFull, Prepared};

use crate::{SlowConsumer, outgoing::Outgoing};

/// Whole messages, behind the outbox.
///
/// The outbox holds what the transport has begun to take, and what is never
/// dropped; from here a message moves there when it is empty.
///
/// INVARIANT: nothing waits here while the outbox is empty.
#[derive(Debug)]
pub(crate) struct Backlog {
    policy: SlowConsumer,
    messages: VecDeque<Waiting>,
    /// The number of the first of them; those behind it count on.
    first: u64,
    /// The numbers of those that have a key.
    keys: BTreeMap<u64, u64>,
    /// Bytes in all.
    len: usize,
    /// A message was one too many for [`SlowConsumer::Close`].
    pub(crate) is_too_slow: bool,
    /// How many messages were dropped, until somebody asks.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    key: Option<u64>,
    /// Shared with others, if it is one that many get.
    frame: Bytes,
    /// Sent in answer to something.
    is_answer: bool,
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
    fn held(&self) -> usize {
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

    fn move_all(&mut self, outbox: &mut Outbox) {
        while !self.messages.is_empty() {
            self.move_one(outbox);
        }
    }

    /// Puts a message behind the others, or in the place of the one with its
    /// key, and drops the oldest until `room` bytes of memory suffice. Returns
    /// how many bytes were dropped that answered nothing.
    fn push(&mut self, message: Waiting, room: usize) -> usize {
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

impl Outgoing {
    /// Returns how many bytes wait for the peer.
    pub(crate) const fn pending(&self) -> usize {
        self.outbox.len() + self.backlog.len()
    }

    /// Returns how much memory is held for what waits.
    pub(crate) fn held(&self) -> usize {
        self.outbox.capacity() + self.backlog.held()
    }

    /// Tells whether every message would be refused for want of room.
    pub(crate) fn is_full(&self) -> bool {
        !self.backlog.is_used() && self.outbox.len() >= self.outbox.limit() && !self.is_over()
    }

    /// Tells whether a message would wait where it may be dropped.
    pub(crate) const fn may_drop(&self) -> bool {
        let drops = matches!(
            self.backlog.policy,
            SlowConsumer::DropOldest | SlowConsumer::Conflate
        );
        drops && !self.outbox.is_empty()
    }

    /// Tells whether a message that many get would wait without a copy, and
    /// may be dropped.
    pub(crate) const fn shares_waiting(&self) -> bool {
        self.may_drop()
            && self.outbox.len() < self.outbox.limit()
            && !self.is_over()
            && !self.sender.is_message_open()
            && !self.sender.is_close_sent()
            && matches!(self.sender.masking(), Masking::Server(_))
    }

    /// Has messages wait that many get, if [it is so](Self::shares_waiting).
    pub(crate) fn share_waiting<'p>(&mut self, messages: impl IntoIterator<Item = &'p Prepared>) {
        let before = self.counts.bytes;
        let room = self.outbox.limit() - self.outbox.len();
        let mut dropped = 0;
        for message in messages {
            let opcode = match message.kind() {
                MessageKind::Text => OpCode::Text,
                MessageKind::Binary => OpCode::Binary,
            };
            let frame = match self.split_prepared(message) {
                Some(frames) => {
                    self.count_frames(&frames);
                    copy(&frames)
                }
                None => {
                    self.counts.count(opcode, message.frame().len());
                    message.frame().clone()
                }
            };
            self.counts.queued += 1;
            let message = Waiting {
                key: None,
                frame,
                is_answer: self.answering,
            };
            dropped += self.backlog.push(message, room);
        }
        self.count_waiting((self.counts.bytes - before) as usize, dropped);
    }

    /// A frame of so many bytes is too much.
    pub(crate) fn overflow(&mut self, len: usize) -> OutboxFull {
        if self.backlog.policy == SlowConsumer::Close && !fault!("slow-peer-kept") {
            self.backlog.is_too_slow = true;
            self.aborted = true;
        }
        OutboxFull {
            pending: self.pending(),
            len,
            limit: self.outbox.limit(),
        }
    }

    /// Has a frame wait, or the fragments of a message as one, by the policy
    /// for slow consumers.
    #[cold]
    pub(crate) fn wait(
        &mut self,
        key: Option<u64>,
        frames: &OutFrames<'_>,
    ) -> Result<(), OutboxFull> {
        let pending = self.pending();
        let mut dropped = 0;
        match frames.opcode() {
            OpCode::Close => {
                self.backlog.move_all(&mut self.outbox);
                self.append(frames);
            }
            // These may overtake messages. Reading stops before there are
            // many Pongs.
            OpCode::Pong => self.append(frames),
            OpCode::Ping => {
                for frame in frames.iter() {
                    self.outbox.push(&frame, 0)?;
                }
            }
            OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                let limit = self.outbox.limit();
                // A fragment is not dropped, nor overtaken.
                let may_drop = self.may_drop()
                    && !self.sender.is_message_open()
                    && frames.opcode() != OpCode::Continuation;
                if may_drop && self.outbox.len() < limit {
                    let message = Waiting {
                        key: key.filter(|_| self.backlog.policy == SlowConsumer::Conflate),
                        frame: copy(frames),
                        is_answer: self.answering,
                    };
                    dropped = self.backlog.push(message, limit - self.outbox.len());
                } else if pending < limit || fault!("backpressure-unlimited") {
                    self.backlog.move_all(&mut self.outbox);
                    self.append(frames);
                } else {
                    return Err(self.overflow(frames.len()));
                }
            }
        }
        self.count_waiting(frames.len(), dropped);
        Ok(())
    }
}

fn copy(frames: &OutFrames<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(frames.len());
    for frame in frames.iter() {
        frame.append_part(&mut bytes, 0..usize::MAX);
    }
    bytes.into()
}

#[cfg(test)]
mod tests;
