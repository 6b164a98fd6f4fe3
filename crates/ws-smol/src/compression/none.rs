//! Compression of connections in a build without it: none.

#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "the signatures are those of a build with it"
)]

use ws_proto::{Chunk, CompressedChunk, Masking, OutFrame, ProtocolError, SendError, Sender};

use crate::{input::Input, outgoing::Outgoing};

/// What was agreed on: nothing.
#[derive(Debug)]
pub(crate) struct Compression;

/// What a thread would lend to compress with.
#[derive(Debug, Default)]
pub(crate) struct LentDeflate(());

/// What a thread would lend to inflate with.
#[derive(Debug)]
pub(crate) enum LentInflate {}

impl Compression {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn frame<'a>(
        &mut self,
        _: &Outgoing<'a>,
        _: &mut Sender<Masking>,
        _: &'a mut LentDeflate,
    ) -> Option<Result<OutFrame<'a>, SendError>> {
        None
    }

    #[inline]
    pub(crate) const fn open(&mut self, _: &CompressedChunk<'_>) {}

    #[inline]
    pub(crate) const fn is_inflating(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) const fn lend_inflate(&self) -> Option<LentInflate> {
        None
    }

    pub(crate) const fn inflate<'p>(
        &mut self,
        _: &mut Input,
        pool: &'p mut LentInflate,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        match *pool {}
    }

    #[inline]
    pub(crate) const fn sweep(&self) {}

    #[inline]
    pub(crate) const fn end(&mut self, _: &Masking) {}
}
