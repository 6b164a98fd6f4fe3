//! A buffer that starts at a good place in its page.

const PAGE: usize = 4096;
/// In the middle of a page the kernel's copy is fast; just behind the start of one, where large
/// allocations begin, it can take twice as long.
const PLACE: usize = 2560;

/// A buffer of fixed length that starts 2,560 bytes into a page, as the one of `ws-mio` does, so
/// that a comparison is not one of luck.
#[derive(Debug)]
pub struct Placed {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Placed {
    /// Makes a buffer of `len` bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + PAGE];
        let address = bytes.as_ptr().addr();
        let start = (PLACE + PAGE - address % PAGE) % PAGE;
        Self { bytes, start, len }
    }

    /// Makes a buffer of what `bytes` holds.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut placed = Self::new(bytes.len());
        placed.as_mut_slice().copy_from_slice(bytes);
        placed
    }

    /// Lends the bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// Lends the bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_starts_at_its_place_in_a_page() {
        for len in [1, 4096, 512 * 1024] {
            let placed = Placed::of(&vec![7; len]);
            assert_eq!(placed.as_slice(), vec![7; len]);
            assert_eq!(placed.as_slice().as_ptr().addr() % PAGE, PLACE);
        }
    }
}
