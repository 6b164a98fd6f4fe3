//! Buffers for messages that come in many reads.

use std::ops::Range;

use ws_proto::{Assembler, Chunk, Message};

use crate::connection::scratch::Scratch;

/// Read buffers of a loop, for connections that are in the middle of a large
/// message: bounded, and used again.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Vec<Scratch>,
    /// The size of a new buffer.
    size: usize,
    /// How many bytes there may be in buffers, free and lent.
    limit: usize,
    total: usize,
}

/// The buffer of a connection that is in the middle of a large message.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) scratch: Scratch,
    /// What has come of the message; in front of it there is room for a head.
    pub(crate) payload: Range<usize>,
}

impl Pool {
    pub(crate) const fn new(size: usize, limit: usize) -> Self {
        Self {
            free: Vec::new(),
            size,
            limit,
            total: 0,
        }
    }

    /// Returns the size of a buffer that has not grown.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Lends a buffer, unless that would be over the limit.
    pub(crate) fn take(&mut self) -> Option<Scratch> {
        if let Some(scratch) = self.free.pop() {
            return Some(scratch);
        }
        if self.size > self.limit.saturating_sub(self.total) {
            return None;
        }
        self.total += self.size;
        Some(Scratch::with_len(self.size))
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, scratch: Scratch) {
        self.free.push(scratch);
    }

    /// Takes it that `lent` bytes are lent, as a buffer was dropped.
    pub(crate) fn recount(&mut self, lent: usize) {
        self.total = lent + self.free.iter().map(Scratch::len).sum::<usize>();
    }

    /// Makes a lent buffer longer; `false` if that would be over the limit.
    pub(crate) fn grow(&mut self, scratch: &mut Scratch, len: usize) -> bool {
        let more = len - scratch.len();
        while more > self.limit.saturating_sub(self.total) {
            // Free ones make room.
            let Some(free) = self.free.pop() else {
                return false;
            };
            self.total -= free.len();
        }
        self.total += more;
        scratch.grow(len);
        true
    }
}

impl Gather {
    /// Returns the room behind what has come.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.scratch.as_mut_slice()[self.payload.end..]
    }

    /// Sees to it that there is room, from `pool`; `false` if it has none.
    /// `wanted` is how many bytes are said to come: the buffer grows by as
    /// many, but never by more than came already.
    pub(crate) fn make_room(&mut self, wanted: u64, pool: &mut Pool) -> bool {
        let len = self.scratch.len();
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let wanted = match fault!("declared-length-reserved") {
            true => wanted.min(1 << 30),
            false => wanted.min(len),
        };
        self.payload.end < len || pool.grow(&mut self.scratch, len + wanted)
    }

    /// Adds what came by another way; `false` if there is no room for it, and
    /// then nothing is added.
    pub(crate) fn extend(&mut self, bytes: &[u8], pool: &mut Pool) -> bool {
        let missing = (self.payload.end + bytes.len()).saturating_sub(self.scratch.len());
        if missing > 0 {
            let len = self.scratch.len();
            if !pool.grow(&mut self.scratch, len + missing.max(len)) {
                return false;
            }
        }
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.payload.end += bytes.len();
        true
    }

    /// Gives the buffer back; what has come goes on where all other messages
    /// are gathered.
    pub(crate) fn spill(mut self, assembler: &mut Assembler, pool: &mut Pool) {
        assembler.push(Chunk {
            data: Message::Binary(&self.scratch.as_mut_slice()[self.payload]),
            first: true,
            last: false,
        });
        pool.give(self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_lent_than_the_limit_and_what_comes_back_is_lent_again() {
        let mut pool = Pool::new(1000, 3500);
        let mut lent: Vec<Scratch> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(lent.len(), 3);
        assert!(!pool.grow(&mut lent[0], 2000));
        pool.give(lent.pop().unwrap());
        assert!(pool.grow(&mut lent[0], 2000), "the free one makes room");
        assert_eq!(lent[0].len(), 2000);
        assert!(pool.take().is_none());
        pool.give(lent.remove(0));
        assert_eq!(pool.take().unwrap().len(), 2000);
    }
}
