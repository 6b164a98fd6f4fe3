//! Bytes on their way out.

use std::fmt;

/// Encrypted records that are to be written: a buffer that is cleared and filled again, and never zeroed twice.
#[derive(Default)]
pub struct Records {
    bytes: Vec<u8>,
    /// How much of `bytes` was filled.
    len: usize,
}

impl Records {
    /// Makes an empty buffer, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            len: 0,
        }
    }

    /// Lends what is to be written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Tells whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes are to be written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Forgets what was written, and keeps the memory.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Lends room for at least so many bytes.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < self.len + len {
            self.bytes.resize(self.len + len, 0);
        }
        &mut self.bytes[self.len..]
    }

    /// Takes over what was put into the room.
    pub(crate) fn fill(&mut self, len: usize) {
        self.len = self.bytes.len().min(self.len + len);
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
