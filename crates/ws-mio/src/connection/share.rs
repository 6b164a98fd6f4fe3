//! How much a connection reads in a turn.

use crate::transport::INTERRUPTED;

/// How much is read from an open connection in a turn, or inflated, in bytes.
pub(crate) const SHARE: usize = 1024 * 1024;
/// How much is read in a turn for an opening handshake, in bytes.
pub(crate) const HANDSHAKE_SHARE: usize = 64 * 1024;
/// What a read counts at least, as each is a call of the system.
const READ_MIN: usize = 4 * 1024;

/// What a connection may still read in a turn, in bytes.
#[derive(Debug)]
pub(crate) struct Share(usize);

impl Share {
    pub(crate) const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Returns the part of a buffer that may be read into.
    #[inline]
    pub(crate) fn window<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let len = match fault!("turn-unlimited") {
            true => buffer.len(),
            false => buffer.len().min(self.0),
        };
        &mut buffer[..len]
    }

    /// Counts a read of `len` bytes.
    #[inline]
    pub(crate) fn spend(&mut self, len: usize) {
        self.0 = self.0.saturating_sub(len.max(READ_MIN));
    }

    /// Counts a read that the transport interrupted.
    pub(crate) const fn spend_interrupted(&mut self) {
        self.0 = self.0.saturating_sub(INTERRUPTED);
    }

    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.0 == 0 && !fault!("turn-unlimited")
    }
}
