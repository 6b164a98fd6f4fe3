//! The buffer that a loop lends to one connection at a time.

/// A read buffer that starts at a good place in its page.
///
/// On common x86-64 machines the kernel's copy into a destination that begins
/// just after the start of a page, where large allocations begin, or just
/// before its end costs up to twice as much as one in the middle.
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

const PAGE: usize = 4096;
/// Where in its page the buffer starts.
const PLACE: usize = 2560;

impl Scratch {
    pub(crate) fn with_len(len: usize) -> Self {
        let bytes = vec![0; len + PAGE];
        let address = bytes.as_ptr().addr();
        let start = (PLACE + PAGE - address % PAGE) % PAGE;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_starts_at_its_place_in_a_page() {
        for len in [1, 4096, 512 * 1024] {
            let mut scratch = Scratch::with_len(len);
            assert_eq!(scratch.as_mut_slice().len(), len);
            assert_eq!(scratch.as_mut_slice().as_ptr().addr() % PAGE, PLACE);
        }
    }
}
