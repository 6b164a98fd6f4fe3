//! What a peer may still refer to (RFC 7692 section 7.2.2).

use alloc::vec::Vec;

use super::budget::{Budget, Lease};
use crate::ProtocolError;

/// The end of what a peer sent compressed: at most its window, and no more
/// than it sent.
#[derive(Debug)]
pub(super) struct History {
    /// A ring, once it is as long as the window.
    bytes: Vec<u8>,
    /// Where its oldest byte is.
    start: usize,
    lease: Lease,
}

impl History {
    pub(super) fn new(budget: &Budget) -> Result<Self, ProtocolError> {
        Ok(Self {
            bytes: Vec::new(),
            start: 0,
            lease: budget.lease(0)?,
        })
    }

    /// Adds what was received, and forgets what is farther back than `window`
    /// bytes, which is the same number in every call.
    pub(super) fn extend(&mut self, more: &[u8], window: usize) -> Result<(), ProtocolError> {
        let more = &more[more.len().saturating_sub(window)..];
        let (new, over) = more.split_at(more.len().min(window - self.bytes.len()));
        if !new.is_empty() {
            self.reserve(new.len(), window)?;
            self.bytes.extend_from_slice(new);
        }
        let to_end = over.len().min(window - self.start);
        let (over, wrapped) = over.split_at(to_end);
        // Where nothing is over, neither is the ring closed.
        if !over.is_empty() {
            self.bytes[self.start..self.start + to_end].copy_from_slice(over);
            self.bytes[..wrapped.len()].copy_from_slice(wrapped);
            self.start = (self.start + to_end) % window + wrapped.len();
        }
        Ok(())
    }

    /// Returns how many bytes it takes.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns the older part and the newer one.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at(self.start);
        [older, newer]
    }

    /// A first message takes what it needs; whoever goes on sending gets more
    /// each time, so that the copies remain few.
    fn reserve(&mut self, more: usize, window: usize) -> Result<(), ProtocolError> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        let needed = len + more;
        if needed > capacity {
            let target = needed.max(2 * capacity).min(window);
            self.lease.grow(target - capacity)?;
            self.bytes.reserve_exact(target - len);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_end_of_what_was_added() {
        // Miri takes a thousand times as long.
        let len: u16 = if cfg!(miri) { 600 } else { 2000 };
        let all: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        for window in [256, 512] {
            for step in [1, 3, 100, 255, 256, 257, 700] {
                let budget = Budget::new(window);
                let mut history = History::new(&budget).unwrap();
                for (n, piece) in all.chunks(step).enumerate() {
                    history.extend(piece, window).unwrap();
                    let seen = &all[..(n * step + piece.len())];
                    let expected = &seen[seen.len().saturating_sub(window)..];
                    assert_eq!(history.parts().concat(), expected);
                    assert!(history.bytes.capacity() <= window.min(2 * seen.len()));
                }
                assert_eq!(budget.held(), window);
            }
        }
    }

    #[test]
    fn first_message_takes_no_more_than_it_needs() {
        let budget = Budget::new(usize::MAX);
        let mut history = History::new(&budget).unwrap();
        history.extend(&[1; 1024], 32_768).unwrap();
        assert_eq!((history.bytes.capacity(), budget.held()), (1024, 1024));
    }
}
