//! The receiving side of compression, for a turn.

use std::sync::Arc;

use ws_proto::{
    Chunk, CompressedChunk, InflateConfig, InflatePool, Inflater, MessageKind, ProtocolError,
};

use super::terms::NO_WINDOW;
use crate::metrics::Counters;

/// What inflates the messages of one connection at a time.
#[derive(Debug)]
pub(crate) struct Inflating {
    pub(super) inflater: Inflater,
    pool: InflatePool,
    /// That of the connection.
    pub(super) max_message: u64,
    /// How many bytes may still come out in this turn.
    pub(super) share: usize,
    /// `None` if the loop is not ours.
    counters: Option<Arc<Counters>>,
}

impl Inflating {
    pub(super) fn new(config: InflateConfig, counters: Option<Arc<Counters>>) -> Self {
        Self {
            inflater: Inflater::new(NO_WINDOW),
            pool: InflatePool::new(config),
            max_message: 0,
            share: 0,
            counters,
        }
    }

    /// Gives back what is not in use.
    pub(super) fn shrink(&mut self) {
        self.pool.shrink();
    }

    /// Inflates the next part of a piece; see [`Inflater::inflate`].
    pub(crate) fn inflate(
        &mut self,
        piece: &mut CompressedChunk<'_>,
    ) -> Result<Option<Chunk<'_>>, ProtocolError> {
        let before = piece.data.len();
        let chunk = self
            .inflater
            .inflate(piece, self.max_message, &mut self.pool);
        if let Ok(Some(chunk)) = &chunk {
            self.share = self.share.saturating_sub(chunk.data.len());
        }
        if let Some(counters) = &self.counters {
            let used = before - piece.data.len();
            counters.compressed_bytes_received.add(used as u64);
            if let Ok(Some(chunk)) = &chunk {
                let messages = &counters.compressed_messages_received;
                messages.add(chunk.last.into());
                counters.inflated_bytes.add(chunk.data.len() as u64);
            }
        }
        chunk
    }

    /// Tells whether more may come out in this turn.
    pub(crate) const fn has_share(&self) -> bool {
        self.share > 0
    }
}

/// What is left of a piece of a compressed message: its bytes are the next of
/// the input, unmasked already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    kind: MessageKind,
    len: usize,
    first: bool,
    last: bool,
}

impl Rest {
    /// What a piece is while nothing of it was inflated, or is after a part of
    /// it was.
    pub(crate) const fn of(piece: &CompressedChunk<'_>) -> Option<Self> {
        Some(Self {
            kind: piece.kind,
            len: piece.data.len(),
            first: piece.first,
            last: piece.last,
        })
    }

    /// How many bytes of the input it takes.
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    /// Makes the piece again of its bytes.
    pub(crate) const fn with(self, data: &[u8]) -> CompressedChunk<'_> {
        CompressedChunk {
            kind: self.kind,
            data,
            first: self.first,
            last: self.last,
        }
    }
}
