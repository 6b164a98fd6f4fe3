//! What waits for a peer that reads slowly, by the policy for it.

use bytes::Bytes;
use ws_proto::{Masking, MessageKind, OpCode, OutFrames, OutboxFull, Prepared};

use super::{Outgoing, backlog::Waiting};
use crate::SlowConsumer;

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
