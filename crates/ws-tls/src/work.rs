//! How much work a peer causes.

use std::io;

use crate::TlsError;

/// Bounds the work that a peer causes without sending payload. Its unit is a byte of ciphertext.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The work of this turn, without the payload that came of it.
    turn: usize,
    /// The work since the last payload.
    fruitless: usize,
    records: RecordHeads,
}

/// Finds the records in a byte stream by their headers, in whatever pieces it comes.
#[derive(Debug, Default)]
struct RecordHeads {
    /// How many bytes of the record's body are still to come.
    body: u16,
    /// How many bytes of a header have come.
    header: u8,
    /// The upper byte of the length in that header.
    high: u8,
}

/// How much work is done before others have their turn.
const TURN: usize = 64 * 1024;
/// How much work may come in a row without payload: more than any handshake is.
const FRUITLESS: usize = 512 * 1024;
/// What a record costs at least, with payload or without, and what a read costs at least.
const LEAST: usize = 1024;
/// The length of a record's header (RFC 8446 section 5.1).
const HEADER: u8 = 5;

impl Work {
    /// Lets others have their turn.
    ///
    /// # Errors
    ///
    /// `Interrupted` if this turn is over; the next begins with that.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        if self.turn < TURN {
            return Ok(());
        }
        self.turn = 0;
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Notes that others have their turn, as nothing is left to read.
    pub(crate) const fn rest(&mut self) {
        self.turn = 0;
    }

    /// Returns what the bytes of a read cost, before they are decrypted.
    pub(crate) fn cost(&mut self, bytes: &[u8]) -> usize {
        bytes.len() + self.records.surcharge(bytes)
    }

    /// Notes what a read has cost, and how much payload came of it.
    ///
    /// # Errors
    ///
    /// The peer sends too much without payload.
    pub(crate) fn note(&mut self, cost: usize, payload: usize) -> io::Result<()> {
        // Payload may be of ciphertext that came with an earlier read.
        self.turn = (self.turn + cost.max(LEAST)).saturating_sub(payload);
        self.fruitless = match payload {
            0 => self.fruitless + cost,
            _ => 0,
        };
        match self.fruitless < FRUITLESS {
            true => Ok(()),
            false => Err(too_much()),
        }
    }
}

impl RecordHeads {
    /// Returns how much more than their bytes the records cost that begin here.
    fn surcharge(&mut self, mut bytes: &[u8]) -> usize {
        let mut surcharge = 0;
        while self.header == 0
            && let Some((&[_, _, _, high, low], rest)) = bytes
                .get(self.body.into()..)
                .and_then(<[u8]>::split_first_chunk)
        {
            self.body = u16::from_be_bytes([high, low]);
            surcharge += self.record();
            bytes = rest;
        }
        loop {
            let body = bytes.len().min(self.body.into());
            self.body -= body as u16;
            let Some((first, rest)) = bytes[body..].split_first() else {
                return surcharge;
            };
            self.header += 1;
            if self.header < HEADER {
                self.high = *first;
            } else {
                self.header = 0;
                self.body = u16::from_be_bytes([self.high, *first]);
                surcharge += self.record();
            }
            bytes = rest;
        }
    }

    /// Returns how much more than its bytes the record costs that begins.
    fn record(&self) -> usize {
        LEAST.saturating_sub(usize::from(HEADER) + usize::from(self.body))
    }
}

/// The peer sends more than TLS needs, and no payload.
#[cold]
pub(crate) fn too_much() -> io::Error {
    let error = rustls::Error::General("too much that is no payload".to_owned());
    TlsError::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_any_pieces() {
        let record = |len: u16| {
            let header = [&[23, 3, 3][..], &len.to_be_bytes()].concat();
            [header, vec![0xff; len.into()]].concat()
        };
        let bytes = [record(0), record(300), record(2000), record(17)].concat();
        for piece in [1, 2, 4, 5, 6, 300, bytes.len()] {
            let mut heads = RecordHeads::default();
            let pieces = bytes.chunks(piece).map(|bytes| heads.surcharge(bytes));
            assert_eq!(pieces.sum::<usize>(), 1019 + 719 + 1002, "{piece}");
        }
    }
}
