//! permessage-deflate (RFC 7692) by code of its own: the library is not to be checked with itself.

use std::{fmt, io};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Compresses messages.
pub struct Compressor {
    compress: Compress,
    takes_over: bool,
}

/// What a message ends with that is not sent.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// zlib has no smaller window for this.
const LEAST_BITS: u8 = 9;

impl Compressor {
    /// Makes a compressor of a level (0 to 9), with a window of `bits`, 8 to 15, whose messages
    /// refer to those before them if it `takes_over`. Within a window of 8 bits nothing is
    /// referred to.
    #[must_use]
    pub fn new(level: u32, bits: u8, takes_over: bool) -> Self {
        let level = if bits < LEAST_BITS { 0 } else { level.min(9) };
        Self {
            compress: Compress::new_with_window_bits(
                Compression::new(level),
                false,
                bits.clamp(LEAST_BITS, 15),
            ),
            takes_over,
        }
    }

    /// Compresses a message, as section 7.2.1 has it.
    pub fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            // A flush of nothing is nothing: section 7.2.3.6 says what to send.
            return vec![0];
        }
        if !self.takes_over {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        let status = self
            .compress
            .compress_vec(message, &mut out, FlushCompress::Sync);
        debug_assert!(status.is_ok() && out.len() < out.capacity() && out.ends_with(&TAIL));
        out.truncate(out.len().saturating_sub(TAIL.len()));
        out
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("takes_over", &self.takes_over)
            .finish_non_exhaustive()
    }
}

/// Inflates a message. `decompress` was reset before, if there is no context takeover.
///
/// # Errors
///
/// Data that is not compressed so.
pub fn inflate(decompress: &mut Decompress, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for mut input in [payload, &TAIL] {
        while !input.is_empty() || out.len() == out.capacity() {
            out.reserve(64 * 1024);
            let before = decompress.total_in();
            decompress.decompress_vec(input, &mut out, FlushDecompress::Sync)?;
            input = &input[(decompress.total_in() - before) as usize..];
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_by_any_window() {
        let text = "to be or not to be ".repeat(500);
        for bits in 8..=15 {
            for takes_over in [false, true] {
                let mut compressor = Compressor::new(6, bits, takes_over);
                let mut decompress = Decompress::new_with_window_bits(false, bits.max(9));
                for message in [text.as_bytes(), b"", b"a", text.as_bytes()] {
                    if !takes_over {
                        decompress.reset(false);
                    }
                    let compressed = compressor.compress(message);
                    assert_eq!(inflate(&mut decompress, &compressed).unwrap(), message);
                }
            }
        }
    }
}
