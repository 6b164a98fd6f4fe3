//! What all TLS connections of a thread read and write with.

use std::cell::Cell;

use ws_tls::Records;

#[derive(Debug)]
pub(super) struct Buffers {
    /// Ciphertext that came; it is decrypted where it lies.
    pub(super) input: Box<[u8]>,
    /// Ciphertext that is to leave.
    pub(super) out: Records,
    /// Short slices that leave in one record.
    pub(super) join: Vec<u8>,
}

/// What is read at once, and the longest handshake message that may lie in
/// front of it.
const INPUT: usize = 160 * 1024;

/// Lends the thread's buffers.
pub(super) fn with_buffers<T>(use_them: impl FnOnce(&mut Buffers) -> T) -> T {
    thread_local! {
        static SHARED: Cell<Option<Buffers>> = const { Cell::new(None) };
    }
    SHARED.with(|shared| {
        // TLS within TLS gets buffers of its own.
        let mut buffers = shared.take().unwrap_or_else(|| Buffers {
            input: vec![0; INPUT].into_boxed_slice(),
            out: Records::new(),
            join: Vec::new(),
        });
        let result = use_them(&mut buffers);
        shared.set(Some(buffers));
        result
    })
}
