//! Counting what a server sends.

use std::fmt;

use crate::frames::{OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG};

/// Counts the messages in a stream of frames, by their headers alone.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    /// The frame whose payload is coming, how much of that is still to come, and whether a message
    /// ends with it.
    frame: Begun,
    remaining: u64,
    ends_message: bool,
    /// A header that is split between reads.
    head: [u8; MAX_HEAD],
    head_len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    opcode: u8,
    key: [u8; 4],
    offset: u64,
}

const MAX_HEAD: usize = 14;

/// A part of a frame's payload, as it lies in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The opcode of the frame.
    pub opcode: u8,
    /// The bytes, masked if the frame is: a raw echo sends masks back.
    pub data: &'a [u8],
    /// The key of the frame; zeros if it has none.
    pub key: [u8; 4],
    /// Where in the payload the bytes are.
    pub offset: u64,
    /// Whether the frame ends with them.
    pub is_last: bool,
}

/// The server sent something else than messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedFrame {
    /// The opcode of the frame.
    pub opcode: u8,
}

impl Replies {
    /// Takes the next bytes of the stream and returns how many messages they complete.
    ///
    /// # Errors
    ///
    /// A frame that is neither of a message nor a Ping or Pong.
    #[inline]
    pub fn count(&mut self, bytes: &[u8]) -> Result<u64, UnexpectedFrame> {
        self.read(bytes, |_| {})
    }

    /// Does the same, and shows each piece of payload; a frame without payload has one that is
    /// empty.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    #[inline]
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        mut show: impl FnMut(Piece<'_>),
    ) -> Result<u64, UnexpectedFrame> {
        let mut messages = 0;
        loop {
            if self.remaining > 0 {
                let len = self.remaining.min(bytes.len() as u64);
                let (data, rest) = bytes.split_at(len as usize);
                bytes = rest;
                self.remaining -= len;
                show(self.piece(data));
                self.frame.offset += len;
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
            if self.remaining == 0 {
                show(self.piece(&[]));
                messages += u64::from(self.ends_message);
            }
        }
    }

    #[inline]
    const fn piece<'a>(&self, data: &'a [u8]) -> Piece<'a> {
        Piece {
            opcode: self.frame.opcode,
            data,
            key: self.frame.key,
            offset: self.frame.offset,
            is_last: self.remaining == 0,
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
        if rest.len() < len_len + mask_len {
            return Ok(None);
        }
        let opcode = first & 0xf;
        self.ends_message = match opcode {
            0..=2 => first & 0x80 != 0,
            OPCODE_PING | OPCODE_PONG => false,
            opcode => return Err(UnexpectedFrame { opcode }),
        };
        let key = match mask_len {
            0 => [0; 4],
            _ => rest[len_len..].first_chunk().copied().unwrap_or_default(),
        };
        self.frame = Begun {
            opcode,
            key,
            offset: 0,
        };
        self.remaining = payload_len;
        Ok(Some(2 + len_len + mask_len))
    }
}

impl fmt::Display for UnexpectedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.opcode {
            OPCODE_CLOSE => f.write_str("the server closed the connection"),
            opcode => write!(f, "the server sent a frame with opcode {opcode}"),
        }
    }
}

impl std::error::Error for UnexpectedFrame {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Masks, OPCODE_BINARY, append_frame};

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
    fn payload_is_shown_piece_by_piece() {
        let mut stream = Vec::new();
        append_frame(
            &mut stream,
            true,
            OPCODE_BINARY,
            Masks::Random,
            1,
            b"masked",
        );
        append_frame(&mut stream, true, OPCODE_PING, Masks::None, 1, b"");
        for cut in [1, 3, 100] {
            let (mut replies, mut plain, mut ends) = (Replies::default(), Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                let read = replies.read(piece, |piece| {
                    let key = piece.key.iter().cycle().skip(piece.offset as usize % 4);
                    plain.extend(piece.data.iter().zip(key).map(|(byte, key)| byte ^ key));
                    if piece.is_last {
                        ends.push(piece.opcode);
                    }
                });
                read.unwrap();
            }
            assert_eq!(
                (&*plain, &*ends),
                (&b"masked"[..], &[2, 9][..]),
                "in pieces of {cut}"
            );
        }
    }

    #[test]
    fn close_is_no_reply() {
        let mut stream = Vec::new();
        append_frame(&mut stream, true, OPCODE_CLOSE, Masks::None, 0, b"");
        assert!(Replies::default().count(&stream).is_err());
    }
}
