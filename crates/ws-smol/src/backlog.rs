//! Data that came while the application was not asking for it.

use std::collections::VecDeque;

use ws_proto::Chunk;

use crate::message::Piece;

/// Pieces of messages, in order, which were read to get at the control frames
/// behind them.
#[derive(Debug)]
pub(crate) struct Backlog {
    #[expect(clippy::box_collection, reason = "idle connections hold one word")]
    pieces: Option<Box<VecDeque<Piece>>>,
    /// Bytes of memory that are held, with what it costs to hold them.
    held: usize,
    limit: usize,
    /// Data is thrown away from now on: some was, and what comes behind it
    /// would follow on something else.
    discarding: bool,
}

impl Backlog {
    pub(crate) const fn with_limit(limit: usize) -> Self {
        Self {
            pieces: None,
            held: 0,
            limit,
            discarding: false,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.pieces.is_none()
    }

    /// Tells whether nothing more is to be read ahead.
    pub(crate) const fn is_full(&self) -> bool {
        self.held >= self.limit && !self.discarding
    }

    /// Returns how much memory is held, in bytes.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Returns how many bytes are worth reading.
    pub(crate) fn room(&self) -> usize {
        if self.discarding {
            return usize::MAX;
        }
        // A little more than there is room for, so that the last bytes of the
        // room do not cost a system call each.
        self.limit.saturating_sub(self.held).max(512)
    }

    /// Throws away what comes from now on, if the backlog is full.
    pub(crate) const fn discard_rest(&mut self) {
        self.discarding |= self.held >= self.limit;
    }

    /// Throws away what is here and what comes, as nobody receives it.
    pub(crate) fn discard_all(&mut self) {
        (self.pieces, self.held, self.discarding) = (None, 0, true);
    }

    pub(crate) const fn is_discarding(&self) -> bool {
        self.discarding
    }

    pub(crate) fn push(&mut self, chunk: Chunk<'_>) {
        if self.discarding {
            return;
        }
        let pieces = self.pieces.get_or_insert_default();
        match pieces.back_mut() {
            Some(piece) if !piece.last && !chunk.first => {
                let before = piece.data.capacity();
                piece.append(&chunk);
                if piece.last {
                    // It may lie here for long.
                    piece.data.shrink_to_fit();
                }
                self.held = self.held - before + piece.data.capacity();
            }
            _ => {
                let piece = Piece::from(chunk);
                self.held += piece.data.capacity() + PIECE_COST;
                pieces.push_back(piece);
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Piece> {
        let pieces = self.pieces.as_mut()?;
        let piece = pieces.pop_front()?;
        self.held -= piece.data.capacity() + PIECE_COST;
        if pieces.is_empty() {
            self.pieces = None;
        }
        Some(piece)
    }
}

const PIECE_COST: usize = size_of::<Piece>();

#[cfg(test)]
mod tests {
    use ws_proto::Message as MessageRef;

    use super::*;

    #[test]
    fn fragments_are_merged_and_everything_is_counted() {
        let mut backlog = Backlog::with_limit(1000);
        for i in 0..400 {
            backlog.push(Chunk {
                data: MessageRef::Binary(b"x"),
                first: i == 0,
                last: i == 399,
            });
        }
        assert_eq!(backlog.held, 400 + PIECE_COST);
        backlog.push(Chunk {
            data: MessageRef::Text("next"),
            first: true,
            last: true,
        });
        assert!(!backlog.is_full());
        assert_eq!(backlog.pop().unwrap().data.len(), 400);
        assert_eq!(backlog.pop().unwrap().data.as_text(), Some("next"));
        assert_eq!(backlog.held, 0);
        assert!(backlog.pop().is_none());
    }

    #[test]
    fn empty_messages_fill_it_too() {
        let mut backlog = Backlog::with_limit(1000);
        let mut pushed = 0;
        while !backlog.is_full() {
            backlog.push(Chunk {
                data: MessageRef::Text(""),
                first: true,
                last: true,
            });
            pushed += 1;
        }
        assert!(pushed <= 1000 / PIECE_COST + 1);
    }
}
