//! How much a connection reads in a turn, and once it is over.

use ws_proto::DISCARD_MAX;

/// How much is read from an open connection in a turn, or inflated, in bytes.
pub(crate) const SHARE: usize = 1024 * 1024;
/// How much is read in a turn for an opening handshake, in bytes.
pub(crate) const HANDSHAKE_SHARE: usize = 64 * 1024;
/// How much a transport reads from below it without a byte for the connection,
/// before it returns [`Interrupted`](std::io::ErrorKind::Interrupted); and what
/// that counts.
pub(crate) const INTERRUPTED: usize = 64 * 1024;
/// What a read counts at least, as each is a call of the system.
const READ_MIN: usize = 4 * 1024;

/// What may still be read of a peer that was told that it is over, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(u16);

impl Patience {
    pub(crate) const ALL: Self = Self((DISCARD_MAX / 1024) as u16);

    /// Counts a read of `len` bytes; `false` if that is more than may be.
    pub(crate) fn spend(&mut self, len: usize) -> bool {
        let len = u16::try_from(len.div_ceil(1024)).unwrap_or(u16::MAX);
        let left = self.0.checked_sub(len);
        self.0 = left.unwrap_or(0);
        left.is_some() || fault!("discarded-without-end")
    }
}

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
