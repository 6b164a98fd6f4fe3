//! Bytes that were read and are not parsed yet, and where they lie.

use std::{cell::RefCell, mem};

/// The buffer that is read into, and what of it is still to be parsed.
///
/// The buffer is lent by the thread for as long as there is something in it:
/// a connection that waits owns none.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) bytes: Vec<u8>,
    /// What is to be parsed: `bytes[start..end]`.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Input {
    /// Starts with bytes that were read before.
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self {
            start: 0,
            end: bytes.len(),
            bytes,
        }
    }

    /// Lends a buffer to read into; what was in it is parsed.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        if self.bytes.len() != BUFFER_LEN {
            self.bytes = take_buffer();
        }
        (self.start, self.end) = (0, 0);
        &mut self.bytes
    }

    /// Notes that `len` bytes were read into the buffer.
    pub(crate) const fn fill(&mut self, len: usize) {
        (self.start, self.end) = (0, len);
    }

    /// Gives up what memory is not needed: the buffer if all of it is parsed,
    /// most of it if little is left.
    pub(crate) fn park(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let rest = &self.bytes[self.start..self.end];
        // Few bytes are copied once for each read; many are left where they
        // lie, which holds at most eight times their number.
        if rest.len() <= BUFFER_LEN / 8 && self.bytes.len() == BUFFER_LEN {
            *self = Self::new(rest.to_vec());
        } else if rest.is_empty() {
            *self = Self::new(Vec::new());
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        give_buffer(mem::take(&mut self.bytes));
    }
}

/// Runs `write` with an empty vector of the thread's, for a frame that is
/// joined before it is written.
pub(crate) fn with_staging<R>(write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut staging = STAGING
        .try_with(|staging| mem::take(&mut *staging.borrow_mut()))
        .unwrap_or_default();
    let result = write(&mut staging);
    staging.clear();
    // A thread that ends has no place for it any more.
    let _ = STAGING.try_with(|place| place.replace(staging));
    result
}

/// Takes a buffer from the thread, or makes one.
fn take_buffer() -> Vec<u8> {
    let kept = BUFFERS.try_with(|buffers| buffers.borrow_mut().pop());
    match kept {
        Ok(Some(buffer)) => buffer,
        _ => vec![0; BUFFER_LEN],
    }
}

/// Gives a buffer to the thread, which keeps a few.
fn give_buffer(buffer: Vec<u8>) {
    if buffer.len() != BUFFER_LEN {
        return;
    }
    let _ = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if buffers.len() < BUFFERS_KEPT {
            buffers.push(buffer);
        }
    });
}

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static STAGING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Large enough that large messages do not cost a system call for every few
/// pages; only the pages that were read into are ever in memory.
pub(crate) const BUFFER_LEN: usize = 256 * 1024;

const BUFFERS_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_input_owns_no_more_than_it_needs() {
        let mut input = Input::new(Vec::new());
        input.buffer()[..10].copy_from_slice(b"0123456789");
        input.fill(10);
        input.start = 4;
        input.park();
        assert_eq!(&input.bytes[input.start..input.end], b"456789");
        assert!(input.bytes.capacity() < 100);
        input.start = input.end;
        input.park();
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[test]
    fn buffer_goes_round() {
        let mut input = Input::new(Vec::new());
        let address = input.buffer().as_ptr();
        input.park();
        let mut other = Input::new(Vec::new());
        assert_eq!(other.buffer().as_ptr(), address);
    }
}
