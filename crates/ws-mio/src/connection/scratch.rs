//! The buffer that a loop lends to one connection at a time.

use ws_proto::{PAGE, place_in_page};

/// A read buffer that starts at a good [place in its page](place_in_page).
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Scratch {
    pub(crate) fn with_len(len: usize) -> Self {
        let bytes = vec![0; len + PAGE];
        let start = place_in_page(&bytes);
        Self { bytes, start, len }
    }

    /// Returns the first `len` bytes, or all that there are.
    pub(crate) fn window(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.len);
        &mut self.as_mut_slice()[..len]
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Makes it longer, and keeps what it holds, at the same place in a page.
    pub(crate) fn grow(&mut self, len: usize) {
        let mut longer = Self::with_len(len);
        longer.as_mut_slice()[..self.len].copy_from_slice(self.as_mut_slice());
        *self = longer;
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}
