//! What the connections send, built beforehand.

use std::io;

use bench_rig::{COMPRESSED, Deflate, OPCODE_BINARY, OPCODE_TEXT, append_frame, json};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::Options;

/// How many different batches there are of text that is compressed.
const ROTATION: u64 = 64;

/// Makes the frames that a connection sends at once; where there are several such batches, one after
/// the other.
///
/// Plain messages are all alike: nothing depends on what they hold. Text that is compressed is
/// different each time, and each is compressed with an empty window, so that it may be sent at any
/// point of a connection.
pub(crate) fn batches(options: &Options) -> Vec<Vec<u8>> {
    let Some(deflate) = options.deflate else {
        let payload: Vec<u8> = (0..options.size).map(|at| (at * 7) as u8).collect();
        return vec![batch(options, OPCODE_BINARY, |_| payload.clone())];
    };
    (0..ROTATION)
        .map(|turn| {
            batch(options, OPCODE_TEXT | COMPRESSED, |number| {
                let text = json(options.size, turn * options.pipelined + number);
                Codec::new(deflate).compress(&text)
            })
        })
        .collect()
}

fn batch(options: &Options, opcode: u8, payload: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in 0..options.pipelined {
        let payload = payload(number);
        append_frame(
            &mut frames,
            true,
            opcode,
            options.masks,
            number as u32,
            &payload,
        );
    }
    frames
}

/// Both windows of a connection.
pub(crate) struct Codec {
    deflate: Deflate,
    compress: Compress,
    decompress: Decompress,
}

/// What a message ends with that is not sent.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

impl Codec {
    pub(crate) fn new(deflate: Deflate) -> Self {
        Self {
            deflate,
            compress: Compress::new(Compression::new(deflate.level), false),
            decompress: Decompress::new(false),
        }
    }

    /// Compresses a message, as RFC 7692 section 7.2.1 has it.
    pub(crate) fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            // A flush of nothing is nothing: section 7.2.3.6 says what to send.
            return vec![0];
        }
        if !self.deflate.takes_over {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        self.compress
            .compress_vec(message, &mut out, FlushCompress::Sync)
            .expect("compressing takes all input");
        assert!(
            out.len() < out.capacity() && out.ends_with(&TAIL),
            "no room"
        );
        out.truncate(out.len() - TAIL.len());
        out
    }

    /// Inflates a message.
    pub(crate) fn inflate(&mut self, payload: &[u8]) -> io::Result<Vec<u8>> {
        if !self.deflate.takes_over {
            self.decompress.reset(false);
        }
        let mut out = Vec::new();
        for mut input in [payload, &TAIL] {
            while !input.is_empty() || out.len() == out.capacity() {
                out.reserve(64 * 1024);
                let before = self.decompress.total_in();
                self.decompress
                    .decompress_vec(input, &mut out, FlushDecompress::Sync)?;
                input = &input[(self.decompress.total_in() - before) as usize..];
            }
        }
        Ok(out)
    }
}
