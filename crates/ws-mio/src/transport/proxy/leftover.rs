//! What was read behind the header of a proxy: the client's first bytes.

use std::io;

use crate::Transport;

/// Bytes that are read before those of the transport.
#[derive(Debug)]
pub(super) struct Leftover {
    bytes: Vec<u8>,
    at: usize,
}

impl Leftover {
    /// Keeps bytes; `None` if there are none.
    pub(super) fn of(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| {
            Box::new(Self {
                bytes: bytes.to_vec(),
                at: 0,
            })
        })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Hands out what is kept, and behind it what the transport has: a read
    /// that leaves room has met the end of what there is, as one of the
    /// transport.
    pub(super) fn read(
        &mut self,
        transport: &mut impl Transport,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
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
            // It says so again, or has: with bytes before it, it can wait.
            Err(_) if len > 0 => Ok(len),
            Err(error) => Err(error),
        }
    }
}
