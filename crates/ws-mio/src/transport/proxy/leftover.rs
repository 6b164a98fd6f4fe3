//! What was read behind the header of a proxy: the client's first bytes.

use std::io;

use crate::Transport;

/// Bytes that are read before those of the transport.
#[derive(Debug)]
pub(super) struct Leftover {
    bytes: Vec<u8>,
    at: usize,
    /// What the transport said last was no reason to wait: it is to be asked again.
    is_cut_short: bool,
}

impl Leftover {
    /// Keeps bytes; `None` if there are none.
    pub(super) fn of(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| {
            Box::new(Self {
                bytes: bytes.to_vec(),
                at: 0,
                is_cut_short: false,
            })
        })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len() && !self.is_cut_short
    }

    /// Hands out what is kept, and behind it what the transport has: a read
    /// that leaves room has met the end of what there is, as one of the
    /// transport.
    pub(super) fn read(
        &mut self,
        transport: &mut impl Transport,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.is_cut_short = false;
        let kept = &self.bytes[self.at..];
        let len = kept.len().min(buffer.len());
        buffer[..len].copy_from_slice(&kept[..len]);
        self.at += len;
        let room = &mut buffer[len..];
        if len > 0 && room.is_empty() {
            return Ok(len);
        }
        match transport.read(room) {
            Ok(more) => Ok(len + more.min(room.len())),
            // With bytes before it, it can wait; it says so again when it is asked.
            Err(error) if len > 0 => {
                self.is_cut_short = error.kind() != io::ErrorKind::WouldBlock;
                Ok(len)
            }
            Err(error) => Err(error),
        }
    }
}
