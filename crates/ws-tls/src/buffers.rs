//! The buffers that all TLS connections of a thread work in.

use std::cell::Cell;

use crate::records::Records;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Ciphertext that came. It is decrypted in place.
    pub(crate) input: Vec<u8>,
    /// Ciphertext that is to be written.
    pub(crate) out: Records,
    /// Short slices that share a record.
    pub(crate) join: Vec<u8>,
}

/// Lends the thread's buffers.
pub(crate) fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    thread_local! {
        static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
    }
    // TLS within TLS gets buffers of its own.
    let mut buffers = BUFFERS.take().unwrap_or_default();
    buffers.out.clear();
    buffers.join.clear();
    let done = work(&mut buffers);
    BUFFERS.set(Some(buffers));
    done
}
