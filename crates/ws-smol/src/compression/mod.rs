//! permessage-deflate of one connection: what was agreed on, and what it keeps
//! for that.

mod pools;

use std::{sync::Arc, time::Instant};

pub(crate) use pools::LentPool;
use ws_handshake::DeflateParams;
use ws_proto::{Chunk, CompressedChunk, DeflateCodec, DeflatePool, InflatePool, ProtocolError};

use crate::{Config, input::Input};

/// What was agreed on, which is nothing by default: a connection without
/// compression has one word here.
#[derive(Debug)]
pub(crate) struct Compression(Option<Box<Agreed>>);

#[derive(Debug)]
pub(crate) struct Agreed {
    params: DeflateParams,
    codec: DeflateCodec,
    config: Arc<Config>,
}

impl Compression {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn negotiated(
        is_client: bool,
        agreed: Option<DeflateParams>,
        config: &Arc<Config>,
    ) -> Self {
        let agreed = agreed.and_then(|params| {
            Some(Box::new(Agreed {
                params,
                codec: DeflateCodec::negotiated(is_client, Some(params.windows()))?,
                config: Arc::clone(config),
            }))
        });
        Self(agreed)
    }

    #[inline]
    pub(crate) fn agreed(&mut self) -> Option<&mut Agreed> {
        self.0.as_deref_mut()
    }

    pub(crate) fn params(&self) -> Option<DeflateParams> {
        self.0.as_ref().map(|agreed| agreed.params)
    }

    /// Gives the thread's memory back once it was not used for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.0.is_some() {
            pools::sweep(now);
        }
    }

    /// Drops all memory, as nothing more is sent or received.
    pub(crate) fn end(&mut self) {
        if let Some(agreed) = self.agreed() {
            drop(agreed.codec.take());
        }
    }
}

/// Sending.
impl Agreed {
    /// Returns what compresses, and the pool that it takes memory from.
    pub(crate) fn compressor<'a>(
        &mut self,
        lent: &'a mut LentPool<DeflatePool>,
    ) -> (&mut DeflateCodec, &'a mut DeflatePool) {
        (&mut self.codec, lent.take(&self.config.deflate))
    }
}

/// Receiving.
impl Compression {
    /// Notes a piece that was received; its bytes are to be put back in front
    /// of the input.
    pub(crate) fn hold(&mut self, piece: &CompressedChunk<'_>) {
        if let Some(agreed) = self.agreed() {
            agreed.codec.hold(piece);
        }
    }

    /// Returns how many bytes of memory an unfinished message takes that we send.
    pub(crate) fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |agreed| agreed.codec.held())
    }

    /// Tells whether something was received that is not inflated yet.
    #[inline]
    pub(crate) fn is_inflating(&self) -> bool {
        matches!(&self.0, Some(agreed) if agreed.codec.is_inflating())
    }

    /// Inflates the next chunk; `None` once there is nothing more of the piece.
    #[inline]
    pub(crate) fn inflate<'p>(
        &mut self,
        input: &mut Input,
        lent: &'p mut LentPool<InflatePool>,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        match self.agreed() {
            Some(agreed) if agreed.codec.is_inflating() => agreed.inflate(input, lent),
            _ => Ok(None),
        }
    }
}

impl Agreed {
    fn inflate<'p>(
        &mut self,
        input: &mut Input,
        lent: &'p mut LentPool<InflatePool>,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        let mut unparsed = &*input.unparsed();
        let max_message = self.config.limits.max_message;
        let pool = lent.take(&self.config.inflate);
        let chunk = self.codec.inflate(&mut unparsed, max_message, pool);
        let left = unparsed.len();
        input.set_left(left);
        chunk
    }
}
