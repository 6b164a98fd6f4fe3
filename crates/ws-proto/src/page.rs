//! Where a read buffer begins in its page.

/// Returns how many bytes from its start a read buffer is to begin in `memory`,
/// at most [`PAGE`]: 2,560 bytes into a page.
///
/// On common x86-64 machines the kernel's copy into a destination that begins
/// just after the start of a page, where large allocations begin, or just
/// before its end costs up to twice as much as one in the middle.
#[must_use]
pub fn place_in_page(memory: &[u8]) -> usize {
    (PLACE + PAGE - memory.as_ptr().addr() % PAGE) % PAGE
}

/// By how much the memory of a read buffer has to be longer than the buffer,
/// for [`place_in_page`].
pub const PAGE: usize = 4096;

const PLACE: usize = 2560;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_starts_at_its_place_in_a_page() {
        for len in [1, PAGE, 512 * 1024] {
            let memory = alloc::vec![0; len + PAGE];
            let start = place_in_page(&memory);
            assert!(start + len <= memory.len());
            assert_eq!(memory[start..].as_ptr().addr() % PAGE, PLACE);
        }
    }
}
