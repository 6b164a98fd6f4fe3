//! permessage-deflate in a build without it: no connection can have agreed on
//! it, so [`DeflateCodec`] has no values and what its methods say is never
//! asked.

use crate::{
    Chunk, CompressedChunk, ConfigError, MaskingPolicy, Message, OutFrame, Prepared, ProtocolError,
    SendError, Sender,
};

/// permessage-deflate of one connection, of which there is none in a build
/// without the feature `deflate`: no connection can have agreed on it.
#[derive(Debug)]
pub struct DeflateCodec(Never);

#[derive(Debug)]
enum Never {}

/// How messages are compressed: in a build without the feature `deflate`, not
/// at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateConfig(());

/// How much inflating may cost: in a build without the feature `deflate`,
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InflateConfig(());

/// What a loop lends to compress with; empty without the feature `deflate`.
#[derive(Debug, Default)]
pub struct DeflatePool(DeflateConfig);

/// What a loop lends to inflate with; empty without the feature `deflate`.
#[derive(Debug, Default)]
pub struct InflatePool(InflateConfig);

impl DeflateConfig {
    /// Does nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

impl InflateConfig {
    /// Does nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

impl DeflatePool {
    /// Makes what lends nothing.
    #[must_use]
    pub const fn new(config: DeflateConfig) -> Self {
        Self(config)
    }

    /// Returns the configuration, which is empty.
    #[must_use]
    pub const fn config(&self) -> &DeflateConfig {
        &self.0
    }

    /// Does nothing.
    pub const fn sweep(&mut self) {}
}

impl InflatePool {
    /// Makes what lends nothing.
    #[must_use]
    pub const fn new(config: InflateConfig) -> Self {
        Self(config)
    }

    /// Returns the configuration, which is empty.
    #[must_use]
    pub const fn config(&self) -> &InflateConfig {
        &self.0
    }

    /// Does nothing.
    pub const fn shrink(&mut self) {}
}

/// What a build with the feature documents.
#[expect(missing_docs, reason = "there is nothing to call them on")]
#[expect(
    clippy::missing_errors_doc,
    reason = "there is nothing to call them on"
)]
impl DeflateCodec {
    #[must_use]
    pub const fn negotiated(_: bool, _: Option<[(bool, u8); 2]>) -> Option<Self> {
        None
    }

    #[must_use]
    pub const fn take(&mut self) -> Self {
        match self.0 {}
    }

    #[must_use]
    pub const fn is_idle(&self) -> bool {
        match self.0 {}
    }

    #[must_use]
    pub const fn held(&self) -> usize {
        match self.0 {}
    }

    pub const fn hold(&mut self, _: &CompressedChunk<'_>) {
        match self.0 {}
    }

    #[must_use]
    pub const fn is_inflating(&self) -> bool {
        match self.0 {}
    }

    pub const fn inflate<'p>(
        &mut self,
        _: &mut &[u8],
        _: u64,
        _: &'p mut InflatePool,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        match self.0 {}
    }

    pub const fn message<'a, P: MaskingPolicy>(
        &mut self,
        _: &mut Sender<P>,
        _: Message<'a>,
        _: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        match self.0 {}
    }

    pub const fn fragment<'a, P: MaskingPolicy>(
        &mut self,
        _: &mut Sender<P>,
        _: Message<'a>,
        _: bool,
        _: bool,
        _: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        match self.0 {}
    }

    pub const fn prepared<'a, P: MaskingPolicy>(
        &mut self,
        _: &mut Sender<P>,
        _: &'a mut Prepared,
        _: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        match self.0 {}
    }

    pub const fn shared<'a, P: MaskingPolicy>(
        &mut self,
        _: &mut Sender<P>,
        _: &Prepared,
        _: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        match self.0 {}
    }

    pub const fn forget(&mut self) {
        match self.0 {}
    }
}
