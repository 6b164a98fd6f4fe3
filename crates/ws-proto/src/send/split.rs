//! Long frames as several short ones (RFC 6455 section 5.4).

use alloc::vec::Vec;
use core::iter;

use super::{OutFrame, Sender};
use crate::{Header, MAX_CONTROL_FRAME, MaskKey, MaskingPolicy, OpCode, SendError};

impl<P: MaskingPolicy> Sender<P> {
    /// Splits the frame that was made last into fragments of at most `max_len`
    /// bytes each, their heads included (section 5.4): for a peer, or a gateway
    /// on the way, that refuses longer frames.
    ///
    /// A frame within the limit goes as it is. So does a control frame, as it
    /// cannot be split; a limit below [`MAX_CONTROL_FRAME`] counts as that.
    /// Text may be cut inside a character (section 5.6). The first fragment
    /// alone says that a message is compressed (RFC 7692 section 6.1), and the
    /// last one ends what the frame ends. Each fragment of a client has a key
    /// of its own.
    ///
    /// No frame of another message may be written before the last fragment;
    /// control frames may (section 5.4).
    ///
    /// ```
    /// use ws_proto::{Message, Sender, ServerMasking};
    ///
    /// let mut tx = Sender::new(ServerMasking::new());
    /// let frame = tx.message(Message::Binary(&[7; 10_000]))?;
    /// let frames = tx.split(frame, 4096)?;
    /// let lengths: Vec<usize> = frames.iter().map(|frame| frame.len()).collect();
    /// assert_eq!(lengths, [4096, 4096, 1820]);
    /// # Ok::<(), ws_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::NoEntropy`]; the message cannot be sent then.
    pub fn split<'a>(
        &mut self,
        frame: OutFrame<'a>,
        max_len: usize,
    ) -> Result<OutFrames<'a>, SendError> {
        let max_len = max_len.max(MAX_CONTROL_FRAME);
        //= RFC6455-5.4-5
        if frame.len() <= max_len || fault!("frame-sent-unlimited") {
            return Ok(frame.into());
        }
        //= RFC6455-6.1-3, RFC6455-5.4-9
        let is_masked = frame.wire_key().is_some();
        let room = room(max_len, is_masked);
        let mut keys = Vec::new();
        if is_masked {
            // The first fragment has the frame's.
            let more = frame.payload.len().div_ceil(room).saturating_sub(1);
            keys.reserve_exact(more);
            for _ in 0..more {
                //= RFC6455-5.3-2
                keys.extend(self.masking.next_key()?);
            }
        }
        Ok(OutFrames { frame, room, keys })
    }
}

/// Returns the longest payload of a data frame of `max_len` bytes.
const fn room(max_len: usize, is_masked: bool) -> usize {
    let without_key = max_len - if is_masked { 4 } else { 0 };
    let (short, medium, long) = (
        without_key - 2,
        without_key - 4,
        without_key.saturating_sub(10),
    );
    if short <= 125 {
        short
    } else if medium <= 125 {
        125
    } else if medium <= 0xffff {
        medium
    } else if long <= 0xffff {
        0xffff
    } else {
        long
    }
}

/// One frame, or the fragments that it was [split](Sender::split) into: to be
/// written all, in their order.
#[derive(Clone, Debug)]
#[must_use = "frames that are not written are missing from the stream"]
pub struct OutFrames<'a> {
    frame: OutFrame<'a>,
    /// The longest payload of a fragment; never 0.
    room: usize,
    /// The keys of a client's fragments but the first.
    keys: Vec<MaskKey>,
}

impl<'a> OutFrames<'a> {
    /// Returns the frames in the order in which they are to be written.
    pub fn iter(&self) -> impl Iterator<Item = OutFrame<'a>> + '_ {
        let more = (self.room..self.frame.payload.len()).step_by(self.room);
        let keys = self.keys.iter().copied().map(Some);
        let more = more.zip(keys.chain(iter::repeat(None)));
        iter::once(self.first()).chain(more.map(|(start, key)| self.next(start, key)))
    }

    /// Returns the number of bytes on the wire, of all frames together.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.iter().map(|frame| frame.len()).sum()
    }

    /// Returns the opcode of the first frame.
    #[must_use]
    pub const fn opcode(&self) -> OpCode {
        self.frame.opcode()
    }

    fn first(&self) -> OutFrame<'a> {
        match self.frame.payload.len() <= self.room {
            true => self.frame.clone(),
            false => {
                let key = self.frame.wire_key();
                let header = self.header(self.opcode(), 0, key);
                //= RFC7692-6.1-3
                let header = match self.frame.is_compressed() {
                    true => header.compressed(),
                    false => header,
                };
                self.fragment(header, 0)
            }
        }
    }

    fn next(&self, start: usize, key: Option<MaskKey>) -> OutFrame<'a> {
        //= RFC6455-5.4-3
        self.fragment(self.header(OpCode::Continuation, start, key), start)
    }

    fn header(&self, opcode: OpCode, start: usize, key: Option<MaskKey>) -> Header {
        let left = self.frame.payload.len() - start;
        let fin = left <= self.room && self.frame.is_fin();
        Header::of_payload(fin, opcode, key, left.min(self.room) as u64)
    }

    /// Makes the frame of the payload from `start` on.
    fn fragment(&self, header: Header, start: usize) -> OutFrame<'a> {
        let key = header.mask().unwrap_or(MaskKey::ZERO);
        let payload = &self.frame.payload[start..];
        OutFrame {
            key: key.combined(self.frame.unmask_key().rotated(start)),
            ..OutFrame::new(header, &payload[..payload.len().min(self.room)])
        }
    }
}

impl<'a> From<OutFrame<'a>> for OutFrames<'a> {
    /// One frame that is not split.
    fn from(frame: OutFrame<'a>) -> Self {
        Self {
            frame,
            room: usize::MAX,
            keys: Vec::new(),
        }
    }
}

impl OutFrame<'_> {
    const fn is_fin(&self) -> bool {
        self.head[0] & FIN != 0
    }

    /// Returns the key in the head of a data frame, if there is one.
    fn wire_key(&self) -> Option<MaskKey> {
        let end = usize::from(self.head_len);
        let key = self.head[..end].last_chunk()?;
        (self.head[1] & MASK != 0).then(|| MaskKey::new(*key))
    }

    /// Returns the key that the payload is masked with where it lies; zero if
    /// it lies there as it is.
    fn unmask_key(&self) -> MaskKey {
        let key = self.wire_key().unwrap_or(MaskKey::ZERO);
        key.combined(self.key)
    }
}

/// The bit of a frame's first byte that ends a message.
const FIN: u8 = 0x80;
/// The bit of a frame's second byte that says that there is a key.
const MASK: u8 = 0x80;
