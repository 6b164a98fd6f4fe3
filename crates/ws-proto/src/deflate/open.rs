//! A compressed message that is not finished, and what inflates it.

use alloc::{boxed::Box, vec::Vec};

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    budget::{Budget, Lease},
    history::History,
};
use crate::{CompressedChunk, ProtocolError, Utf8Stream};

/// A decoder, which any message may use after another.
#[derive(Debug)]
pub(super) struct Decoder {
    inflate: Decompress,
    _lease: Lease,
}

/// How far a message is.
///
/// Between calls, one of which little came has no decoder: its compressed bytes
/// are kept instead, and inflated again with those that follow.
#[derive(Debug)]
pub(super) struct OpenMessage {
    /// What it is inflated with, once it is longer than that.
    pub(super) decoder: Option<Box<Decoder>>,
    /// All of it that came, while there is no decoder.
    parked: Vec<u8>,
    lease: Option<Lease>,
    /// Bytes that came out so far.
    pub(super) len: u64,
    /// Compressed bytes that went in so far.
    pub(super) used: u64,
    pub(super) utf8: Utf8Stream,
    /// How much of the tail went in.
    pub(super) tail: usize,
    /// Whether the last byte that went in ended a block of the last kind.
    pub(super) ended: bool,
    /// Whether any byte did.
    pub(super) restarted: bool,
    /// Whether a chunk was handed out.
    pub(super) begun: bool,
}

impl Decoder {
    pub(super) fn new(budget: &Budget) -> Result<Self, ProtocolError> {
        let lease = budget.lease(DECODER)?;
        Ok(Self {
            // Any window is inflated with the largest: the history is what
            // bounds how far back there is something to refer to.
            inflate: Decompress::new(false),
            _lease: lease,
        })
    }

    /// Starts with what may be referred to.
    pub(super) fn start(&mut self, history: Option<&History>) -> Result<(), ProtocolError> {
        self.inflate.reset(false);
        let parts = history.map_or([&[][..]; 2], History::parts);
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            self.inflate
                .set_dictionary(part)
                .map_err(|_| ProtocolError::DeflateData)?;
        }
        Ok(())
    }

    /// Inflates `input` to `out`. Returns how much of both was used, also
    /// before an error.
    fn step(
        &mut self,
        input: &[u8],
        out: &mut [u8],
    ) -> (usize, usize, Result<Status, ProtocolError>) {
        let (used, given) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, FlushDecompress::None);
        let used = self.inflate.total_in() - used;
        let given = self.inflate.total_out() - given;
        let status = status.map_err(|_| ProtocolError::DeflateData);
        (used as usize, given as usize, status)
    }
}

impl OpenMessage {
    pub(super) const fn new() -> Self {
        Self {
            decoder: None,
            parked: Vec::new(),
            lease: None,
            len: 0,
            used: 0,
            utf8: Utf8Stream::new(),
            tail: 0,
            ended: false,
            restarted: false,
            begun: false,
        }
    }

    /// Returns how many bytes are held for it.
    pub(super) fn held(&self) -> usize {
        let decoder = self.decoder.as_ref().map_or(0, |_| DECODER);
        decoder + self.parked.capacity()
    }

    /// Brings a decoder to where the message is. What came out before comes
    /// out once more, to the front of `out`.
    pub(super) fn replay(
        &self,
        decoder: &mut Decoder,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        if self.parked.is_empty() {
            return Ok(0);
        }
        let (used, given, status) = decoder.step(&self.parked, out);
        status?;
        if used != self.parked.len() || given as u64 != self.len {
            return Err(ProtocolError::DeflateData);
        }
        Ok(given)
    }

    /// Whether the message is short enough to be inflated once more.
    pub(super) const fn may_park(&self) -> bool {
        self.used <= PARKED as u64 && self.len <= PARKED_LEN && !self.restarted
    }

    /// Keeps the compressed bytes that came, in place of a decoder.
    pub(super) fn park(&mut self, more: &[u8], budget: &Budget) -> Result<(), ProtocolError> {
        let (len, capacity) = (self.parked.len(), self.parked.capacity());
        let needed = len + more.len();
        if needed > capacity {
            let target = needed.max(2 * capacity).min(PARKED);
            match &mut self.lease {
                Some(lease) => lease.grow(target - capacity)?,
                none => *none = Some(budget.lease(target)?),
            }
            self.parked.reserve_exact(target - len);
        }
        self.parked.extend_from_slice(more);
        Ok(())
    }

    /// Goes on with a decoder.
    pub(super) fn unpark(&mut self) {
        self.parked = Vec::new();
        self.lease = None;
    }

    /// Inflates what is left of the piece, or of the tail once the message is
    /// used up, to `out`, of which `len` bytes are full. What comes out before
    /// an error counts, too.
    pub(super) fn inflate(
        &mut self,
        decoder: &mut Decoder,
        piece: &mut CompressedChunk<'_>,
        out: &mut [u8],
        len: &mut usize,
    ) -> Result<Status, ProtocolError> {
        //= RFC7692-7.2.2-1, RFC7692-7.2.3-1
        let in_tail = piece.data.is_empty() && piece.last;
        let input = if in_tail {
            &TAIL[self.tail..]
        } else {
            piece.data
        };
        let (used, given, status) = decoder.step(input, &mut out[*len..]);
        *len += given;
        self.len += given as u64;
        if in_tail {
            self.tail += used;
        } else {
            piece.data = &piece.data[used..];
            self.used += used as u64;
            self.ended &= used == 0;
        }
        status
    }

    /// Goes on behind a block of the last kind, as if it had been another.
    pub(super) const fn restart(&mut self) {
        self.ended = true;
        self.restarted = true;
    }

    /// Judges whether the message ended with a whole block.
    pub(super) const fn check_end(&self) -> Result<(), ProtocolError> {
        if self.tail == TAIL.len() {
            Ok(())
        } else {
            Err(ProtocolError::DeflateData)
        }
    }

    //= RFC6455-10.4-1
    pub(super) fn check_ratio(&self, limit: u32) -> Result<(), ProtocolError> {
        let allowed = self.used.saturating_mul(limit.into());
        if self.len > SCRATCH as u64 && self.len > allowed {
            return Err(ProtocolError::ExpansionTooBig { limit });
        }
        Ok(())
    }
}

/// What follows the compressed bytes: the tail that the sender removed, and an
/// empty block of the last kind, at whose end the decoder must come out.
/// Anything else means that the message broke off.
const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// About what a decoder takes.
const DECODER: usize = 48 * 1024;

/// Up to how many compressed bytes a message has no decoder between calls: so
/// a peer has to send something for the memory it takes.
const PARKED: usize = 1024;

/// And up to how many bytes that come of them, as each call makes these again.
const PARKED_LEN: u64 = 16 * 1024;

/// The size of a chunk: a message of 64 KiB comes as one, with room to see that
/// it ended.
pub(super) const SCRATCH: usize = 66 * 1024;
