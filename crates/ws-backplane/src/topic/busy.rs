//! What a topic has only while something is read, or was a moment ago.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use crate::{Limits, Message, Position, RecoverId, Why};

/// What a topic has only while something is read, or was a moment ago.
#[derive(Debug, Default)]
pub(super) struct Busy {
    /// Messages that came while the history is read.
    pub(super) held: VecDeque<Held>,
    pub(super) held_bytes: usize,
    /// How many of them came before the read was asked for: what it gives
    /// covers them.
    pub(super) settled: usize,
    /// Whether more came than is held.
    pub(super) overflowed: bool,
    pub(super) waiting: Vec<Waiting>,
    /// How many of them came before the read was asked for: what it says of
    /// the topic's end holds for them.
    pub(super) asked: usize,
    pub(super) recent: Option<Recent>,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) position: Position,
    pub(super) previous: u64,
    pub(super) origin: u64,
    pub(super) payload: Bytes,
}

/// A client that waits for what it missed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: RecoverId,
    pub(crate) since: Option<Position>,
    pub(crate) until: Instant,
    /// Set when its position was not in the history.
    pub(crate) lost: Option<Why>,
}

/// Messages from `start` up to the topic's position, for those who ask next.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) start: u64,
    pub(super) messages: VecDeque<Message>,
    pub(super) bytes: usize,
    /// Whether a limit has moved `start`.
    pub(super) is_cut: bool,
    pub(super) until: Instant,
}

impl Busy {
    pub(super) fn let_go(&mut self) {
        self.held = VecDeque::new();
        self.held_bytes = 0;
        self.settled = 0;
    }
}

impl Recent {
    pub(super) fn end(&self) -> u64 {
        let last = self.messages.back();
        last.map_or(self.start, |last| last.position.offset)
    }

    pub(super) fn push(&mut self, message: Message, limits: &Limits) {
        self.bytes += message.payload.len();
        self.messages.push_back(message);
        while self.messages.len() > limits.recover_messages || self.bytes > limits.recover_bytes {
            let Some(first) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= first.payload.len();
            self.is_cut = true;
            self.start = first.position.offset;
        }
    }

    pub(super) fn since(&mut self, offset: u64) -> &[Message] {
        let messages = self.messages.make_contiguous();
        let from = messages.partition_point(|message| message.position.offset <= offset);
        &messages[from..]
    }
}
