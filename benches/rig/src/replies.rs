//! Counting what a server sends.

use std::fmt;

/// Counts the messages in a stream of frames, by their headers alone.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    /// Bytes of the payload that are still to come, and whether a message ends with them.
    remaining: u64,
    ends_message: bool,
    /// A header that is split between reads.
    head: [u8; MAX_HEAD],
    head_len: usize,
}

const MAX_HEAD: usize = 14;

/// The server sent something else than messages.
#[derive(Clone, Copy, Debug)]
pub struct UnexpectedFrame {
    opcode: u8,
}

impl Replies {
    /// Takes the next bytes of the stream and returns how many messages they complete.
    ///
    /// Masks are skipped: a raw echo sends them back.
    ///
    /// # Errors
    ///
    /// A frame that is neither of a message nor a Ping or Pong.
    #[inline]
    pub fn count(&mut self, mut bytes: &[u8]) -> Result<u64, UnexpectedFrame> {
        let mut messages = 0;
        loop {
            if self.remaining > 0 {
                let skip = self.remaining.min(bytes.len() as u64);
                bytes = &bytes[skip as usize..];
                self.remaining -= skip;
                if self.remaining > 0 {
                    return Ok(messages);
                }
                messages += u64::from(self.ends_message);
            }
            if bytes.is_empty() {
                return Ok(messages);
            }
            if self.head_len > 0 {
                let added = bytes.len().min(MAX_HEAD - self.head_len);
                self.head[self.head_len..self.head_len + added].copy_from_slice(&bytes[..added]);
                let (old, len) = (self.head_len, self.head_len + added);
                let head = self.head;
                match self.begin(&head[..len])? {
                    None => {
                        self.head_len = len;
                        return Ok(messages);
                    }
                    Some(head_len) => {
                        self.head_len = 0;
                        bytes = &bytes[head_len - old..];
                    }
                }
            } else {
                match self.begin(bytes)? {
                    None => {
                        self.head[..bytes.len()].copy_from_slice(bytes);
                        self.head_len = bytes.len();
                        return Ok(messages);
                    }
                    Some(head_len) => bytes = &bytes[head_len..],
                }
            }
            messages += u64::from(self.remaining == 0 && self.ends_message);
        }
    }

    /// Reads a header and returns its length, once it is whole.
    #[inline]
    fn begin(&mut self, bytes: &[u8]) -> Result<Option<usize>, UnexpectedFrame> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let mask_len = if second & 0x80 == 0 { 0 } else { 4 };
        let (len_len, payload_len) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(len) => (2, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(len) => (8, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            len => (0, u64::from(len)),
        };
        if bytes.len() < 2 + len_len + mask_len {
            return Ok(None);
        }
        self.ends_message = match first & 0xf {
            0..=2 => first & 0x80 != 0,
            9 | 10 => false,
            opcode => return Err(UnexpectedFrame { opcode }),
        };
        self.remaining = payload_len;
        Ok(Some(2 + len_len + mask_len))
    }
}

impl fmt::Display for UnexpectedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server sent a frame with opcode {}", self.opcode)
    }
}

impl std::error::Error for UnexpectedFrame {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, append_frame};

    #[test]
    fn messages_count_the_same_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (number, len) in [0, 1, 125, 126, 300, 65_536].into_iter().enumerate() {
            let masks = [Masks::None, Masks::Random][number % 2];
            let payload = vec![7; len];
            append_frame(&mut stream, true, OPCODE_BINARY, masks, 1, &payload);
        }
        append_frame(&mut stream, false, OPCODE_BINARY, Masks::None, 1, b"one");
        append_frame(&mut stream, true, OPCODE_PING, Masks::None, 1, b"");
        append_frame(&mut stream, true, 0, Masks::None, 1, b"message");
        for cut in [1, 2, 3, 5, 13, 64, 1000, 100_000] {
            let mut replies = Replies::default();
            let counted: u64 = stream
                .chunks(cut)
                .map(|piece| replies.count(piece).unwrap())
                .sum();
            assert_eq!(counted, 7, "in pieces of {cut}");
        }
    }

    #[test]
    fn close_is_no_reply() {
        let mut stream = Vec::new();
        append_frame(&mut stream, true, OPCODE_CLOSE, Masks::None, 0, b"");
        assert!(Replies::default().count(&stream).is_err());
    }
}
