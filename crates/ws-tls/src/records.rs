//! Records on their way out.

/// Encrypted records that are to be written: a buffer that is cleared and filled again, and never
/// zeroed twice.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// How much of `bytes` was filled.
    len: usize,
}

impl Records {
    /// Lends what is to be written.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns how many bytes are to be written.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Forgets what was written, and keeps the memory.
    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Puts other bytes in the place of the records.
    pub(crate) fn replace(&mut self, bytes: &[u8]) {
        self.clear();
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
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
