//! Receiving: bytes in, events out (RFC 6455 sections 5 and 6.2).

mod control;
mod counts;

use alloc::boxed::Box;
use core::mem;

use self::control::ControlPayload;
pub use self::counts::FrameCounts;
use crate::{
    Chunk, CloseFrame, CompressedChunk, Header, Inbound, Limits, MaskKey, Message, MessageKind,
    OpCode, ProtocolError, Utf8Stream, header::MAX_HEADER_LEN, utf8::validate, xor,
};

/// Parses what a peer sends, in the caller's buffer.
///
/// The caller lends the bytes of a read to [`receive`](Self::receive); they
/// are unmasked where they lie, and the [`Event`]s point into them. Between
/// calls the receiver keeps at most 13 bytes of a header, one control payload
/// that is split between reads and three bytes of a split character. Nothing
/// is ever reserved from a declared length.
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    /// Bytes of the current frame's payload that are still to come.
    remaining: u64,
    /// Bytes in the current message, by its headers so far.
    message_len: u64,
    /// A control payload that is split between reads.
    control: Option<Box<ControlPayload>>,
    /// Frames in the current message so far.
    fragments: u32,
    counts: FrameCounts,
    /// The key for the next byte of the payload.
    key: MaskKey,
    utf8: Utf8Stream,
    /// A header that is split between reads.
    head: [u8; MAX_HEADER_LEN],
    head_len: u8,
    inbound: Inbound,
    phase: Phase,
    /// The message that is open; its kind.
    message: Option<MessageKind>,
    /// Whether the current data frame is the last of its message.
    fin: bool,
    /// Whether a chunk of the open message was handed out.
    begun: bool,
    /// Whether compressed messages were negotiated.
    accepts_compressed: bool,
    /// Whether the open message is compressed.
    compressed: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Data,
    /// Payload of a compressed message.
    Compressed,
    Control {
        opcode: OpCode,
    },
    /// The peer's Close was received: whatever follows is discarded.
    Closed,
    /// An error was returned: no further input is looked at.
    Failed,
}

/// Something that the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A piece of a message.
    Data(Chunk<'a>),
    /// A piece of a compressed message, for whoever inflates it; only from a
    /// receiver that [accepts them](Receiver::accept_compressed).
    Compressed(CompressedChunk<'a>),
    /// A Ping; [`Sender::respond`](crate::Sender::respond) makes the Pong.
    Ping(&'a [u8]),
    /// A Pong, which needs no reply.
    Pong(&'a [u8]),
    /// The peer's Close, `None` if it had no body (which section 7.1.5 calls
    /// 1005). It is the last event;
    /// [`Sender::respond`](crate::Sender::respond) makes the reply if one is
    /// due.
    Close(Option<CloseFrame<'a>>),
}

impl Receiver {
    /// Starts right after the opening handshake.
    #[must_use]
    #[inline]
    pub const fn new(inbound: Inbound, limits: Limits) -> Self {
        Self {
            limits,
            remaining: 0,
            message_len: 0,
            control: None,
            fragments: 0,
            counts: FrameCounts::NONE,
            key: MaskKey::ZERO,
            utf8: Utf8Stream::new(),
            head: [0; MAX_HEADER_LEN],
            head_len: 0,
            inbound,
            phase: Phase::Header,
            message: None,
            fin: false,
            begun: false,
            accepts_compressed: false,
            compressed: false,
        }
    }

    /// Whether a per-message compression extension was negotiated (RFC 7692
    /// section 6): then RSV1 on the first frame of a message says that it is
    /// compressed, and its payload comes as [`Event::Compressed`].
    ///
    /// `Limits::max_message` counts inflated bytes, so of a compressed message
    /// it is left to whoever inflates it. How many compressed bytes it may have
    /// is [`Limits::max_compressed`], and judged here as the other limits are.
    #[must_use]
    #[inline]
    pub const fn accept_compressed(mut self, negotiated: bool) -> Self {
        self.accepts_compressed = negotiated;
        self
    }

    /// Parses the next event off the front of `input`, which are the next
    /// bytes of the transport, of any number; `None` once all of it is used.
    ///
    /// `input` is moved on past what was parsed, so a caller may stop between
    /// events and go on later with what is left, before any newer bytes.
    /// After a Close what follows it is discarded, and after an error there
    /// are no events at all.
    ///
    /// # Errors
    ///
    /// The first rule that the peer broke. What was complete before it was
    /// returned before it. A length above a limit is an error as soon as the
    /// header is there, before any of its payload is.
    #[inline]
    pub fn receive<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input mut [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        //= RFC6455-5.7-1, RFC6455-6.2-1
        loop {
            match self.phase {
                Phase::Header => match self.next_header(input) {
                    Ok(Some(header)) => {
                        if let Err(error) = self.begin_frame(&header) {
                            return self.fail(input, error);
                        }
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => return self.fail(input, error),
                },
                Phase::Data => {
                    if input.is_empty() && self.remaining > 0 {
                        return Ok(None);
                    }
                    if self.utf8.missing() > 0 {
                        match self.complete_character(input) {
                            Ok(false) => {}
                            Ok(true) => return Ok(Some(self.character())),
                            Err(error) => return self.fail(input, error),
                        }
                    } else {
                        match self.piece(input) {
                            Ok(None) => {}
                            Ok(Some(chunk)) => return Ok(Some(Event::Data(chunk))),
                            Err(error) => return self.fail(input, error),
                        }
                    }
                }
                Phase::Compressed => match self.compressed_piece(input) {
                    Some(piece) => return Ok(Some(Event::Compressed(piece))),
                    None if self.phase == Phase::Compressed => return Ok(None),
                    None => {}
                },
                Phase::Control { .. } if input.is_empty() && self.remaining > 0 => {
                    return Ok(None);
                }
                //= RFC6455-6.2-2
                Phase::Control { opcode } => return self.control(opcode, input),
                //= RFC6455-7.1.7-7
                Phase::Closed | Phase::Failed => {
                    *input = &mut [];
                    return Ok(None);
                }
            }
        }
    }

    /// Parses the next message, if it is the next event, in one frame, and all
    /// of that lies in `input`: what most messages are, by a shorter way than
    /// [`receive`](Self::receive).
    ///
    /// `None` says nothing and changes nothing: go on with `receive`.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`]; everything else is for `receive` to say.
    ///
    /// ```
    /// # use ws_proto::{Inbound, Limits, Message, Receiver};
    /// let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
    /// let mut input = &mut b"\x81\x02hi\x82\x01!\x89\x00".to_owned()[..];
    /// assert_eq!(rx.receive_whole(&mut input), Ok(Some(Message::Text("hi"))));
    /// assert_eq!(rx.receive_whole(&mut input), Ok(Some(Message::Binary(b"!"))));
    /// assert_eq!(rx.receive_whole(&mut input), Ok(None)); // a Ping
    /// assert_eq!(input, b"\x89\x00");
    /// ```
    #[inline]
    pub fn receive_whole<'input>(
        &mut self,
        input: &mut &'input mut [u8],
    ) -> Result<Option<Message<'input>>, ProtocolError> {
        if !self.is_idle() {
            return Ok(None);
        }
        let Ok(Some((header, head_len))) = Header::decode(input) else {
            return Ok(None);
        };
        let key = match (header.mask(), self.inbound) {
            (None, Inbound::RequireMasked) | (Some(_), Inbound::RequireUnmasked) => {
                return Ok(None);
            }
            (key, _) => key.unwrap_or(MaskKey::ZERO),
        };
        let Limits {
            max_frame,
            max_message,
            max_fragments,
        } = self.limits;
        let len = header.payload_len();
        if !header.fin()
            || header.reserved() != 0
            || !matches!(header.opcode(), OpCode::Text | OpCode::Binary)
            || len > (input.len() - head_len) as u64
            || len > max_frame.min(max_message)
            || max_fragments == 0
        {
            return Ok(None);
        }
        self.counts.count(&header);
        take(input, head_len);
        let payload = take(input, len as usize);
        xor(payload, key);
        if header.opcode() == OpCode::Binary {
            return Ok(Some(Message::Binary(payload)));
        }
        match validate(payload) {
            Ok(text) => Ok(Some(Message::Text(text))),
            Err(_) => self.fail(input, ProtocolError::TextNotUtf8),
        }
    }

    /// Tells that the transport ended.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ConnectionLost`] if the peer had not sent its Close:
    /// the connection was not closed cleanly (section 7.1.4), whatever its
    /// messages were worth. `Ok` after a Close, and after an error that was
    /// returned before.
    pub const fn end(&mut self) -> Result<(), ProtocolError> {
        //= RFC6455-7.1.4-1, RFC6455-7.1.5-1
        match self.phase {
            Phase::Closed | Phase::Failed => Ok(()),
            _ => {
                self.phase = Phase::Failed;
                Err(ProtocolError::ConnectionLost)
            }
        }
    }

    /// Tells that what it returned was refused, as a compressed message that
    /// does not inflate is: the connection failed, and nothing more is
    /// received.
    pub const fn refuse(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Tells whether nothing is held but the counts: a receiver that is made
    /// anew from the same policy and limits would go on just the same.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Header && self.head_len == 0 && self.message.is_none()
    }

    /// Tells whether the peer's Close was received.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Tells whether the connection failed: an error was returned.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Tells whether a message was begun and is not finished.
    #[must_use]
    pub const fn is_message_open(&self) -> bool {
        self.message.is_some()
    }

    /// Returns how many frames of which form began since this was last asked.
    #[inline]
    pub const fn take_counts(&mut self) -> FrameCounts {
        mem::replace(&mut self.counts, FrameCounts::NONE)
    }

    /// Returns how many bytes of the open message came so far, as they came on
    /// the wire; 0 if none is open. See
    /// [`TimeLimits::for_message`](crate::TimeLimits::for_message).
    #[must_use]
    pub const fn message_received(&self) -> u64 {
        self.message_len.saturating_sub(self.frame_remaining())
    }

    /// Returns how many bytes of the current data frame's payload are still
    /// to come, by its header; 0 between frames and within control frames.
    ///
    /// A hint for how much to read next; the number is the peer's to choose.
    #[must_use]
    pub const fn frame_remaining(&self) -> u64 {
        match self.phase {
            Phase::Data | Phase::Compressed => self.remaining,
            _ => 0,
        }
    }
}

impl Receiver {
    /// Takes a header off the input, once it is whole.
    #[inline]
    fn next_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, ProtocolError> {
        // The payload of a split control frame was handed out and is done with.
        self.control = None;
        if self.head_len > 0 {
            return self.split_header(input);
        }
        if let Some((header, len)) = Header::decode(input)? {
            take(input, if fault!("header-not-taken") { 0 } else { len });
            return Ok(Some(header));
        }
        let start = take(input, input.len());
        self.head[..start.len()].copy_from_slice(start);
        self.head_len = start.len() as u8;
        Ok(None)
    }

    /// Goes on with a header of which earlier input had the start.
    #[cold]
    fn split_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, ProtocolError> {
        let have = usize::from(self.head_len);
        let more = input.len().min(MAX_HEADER_LEN - have);
        self.head[have..have + more].copy_from_slice(&input[..more]);
        match Header::decode(&self.head[..have + more])? {
            Some((header, len)) => {
                self.head_len = 0;
                take(input, len - have);
                Ok(Some(header))
            }
            None => {
                self.head_len = (have + more) as u8;
                take(input, more);
                Ok(None)
            }
        }
    }

    /// Judges a header by role, order and limits.
    #[inline]
    fn begin_frame(&mut self, header: &Header) -> Result<(), ProtocolError> {
        let opcode = header.opcode();
        //= RFC6455-5.2-3, RFC6455-5.2-10, RFC6455-5.2-11, MSWS-3.2.5-5
        //= RFC7692-6.1-4
        let compressed = self.accepts_compressed && header.is_compressed();
        if header.reserved() != 0 && !compressed && !fault!("reserved-bits-accepted") {
            return Err(ProtocolError::ReservedBits {
                bits: header.reserved(),
            });
        }
        match opcode {
            //= RFC6455-5.4-14, RFC6455-5.4-7
            OpCode::Continuation if self.message.is_none() && !fault!("continuation-accepted") => {
                return Err(ProtocolError::UnexpectedContinuation);
            }
            OpCode::Text | OpCode::Binary if self.message.is_some() => {
                return Err(ProtocolError::ExpectedContinuation);
            }
            _ => {}
        }
        match (header.mask(), self.inbound) {
            //= RFC6455-5.1-3, MSWS-3.2.1-1, MSWS-3.2.5-2
            (None, Inbound::RequireMasked) if !fault!("unmasked-accepted") => {
                return Err(ProtocolError::UnmaskedFrame);
            }
            //= RFC6455-5.1-5, MSWS-3.1.5-1
            (Some(_), Inbound::RequireUnmasked) if !fault!("masked-accepted") => {
                return Err(ProtocolError::MaskedFrame);
            }
            //= MSWS-3.2.1-2, MSWS-3.2.5-3
            (None, _) => self.key = MaskKey::ZERO,
            //= MSWS-3.2.5-4
            (Some(key), _) => self.key = key,
        }
        if opcode.is_control() {
            //= RFC6455-5.4-4, RFC6455-5.4-8
            self.phase = Phase::Control { opcode };
        } else {
            //= RFC7692-6-3, RFC7692-6.2-2
            if opcode != OpCode::Continuation {
                self.compressed = compressed;
            }
            self.begin_data_frame(header)?;
            self.phase = if self.compressed {
                Phase::Compressed
            } else {
                Phase::Data
            };
        }
        self.remaining = header.payload_len();
        self.counts.count(header);
        Ok(())
    }

    /// Takes what is there of the payload, as a chunk if there is anything to
    /// say.
    #[inline]
    fn piece<'input>(
        &mut self,
        input: &mut &'input mut [u8],
    ) -> Result<Option<Chunk<'input>>, ProtocolError> {
        let (piece, last) = self.take_payload(input, usize::MAX);
        let data = match self.message {
            //= RFC6455-5.6-2, RFC6455-8.1-1, RFC6455-10.7-1
            Some(MessageKind::Text) => Message::Text(
                if last {
                    validate(piece)
                } else {
                    self.utf8.push_whole(piece)
                }
                .map_err(|_| ProtocolError::TextNotUtf8)?,
            ),
            //= RFC6455-5.6-3
            _ => Message::Binary(piece),
        };
        if data.is_empty() && !last {
            return Ok(None);
        }
        let first = self.hand_out(last);
        Ok(Some(Chunk { data, first, last }))
    }

    /// Takes what is there of a compressed payload, if that says anything.
    #[cold]
    fn compressed_piece<'input>(
        &mut self,
        input: &mut &'input mut [u8],
    ) -> Option<CompressedChunk<'input>> {
        //= RFC7692-6.1-5, RFC7692-6.1-6, RFC7692-6.2-1
        let kind = self.message?;
        let (data, last) = self.take_payload(input, usize::MAX);
        (last || !data.is_empty()).then(|| CompressedChunk {
            kind,
            data,
            first: self.hand_out(last),
            last,
        })
    }

    /// Takes bytes of the payload that belong to a character which earlier
    /// ones began; `true` once there is something to say.
    #[cold]
    fn complete_character(&mut self, input: &mut &mut [u8]) -> Result<bool, ProtocolError> {
        //= RFC6455-5.6-1
        let (piece, last) = self.take_payload(input, self.utf8.missing());
        match self.utf8.complete(piece) {
            Ok(true) => Ok(true),
            Ok(false) if !last => Ok(false),
            _ => Err(ProtocolError::TextNotUtf8),
        }
    }

    /// Hands out the character that was completed.
    #[cold]
    fn character(&mut self) -> Event<'_> {
        let last = self.phase == Phase::Header && self.fin;
        let first = self.hand_out(last);
        Event::Data(Chunk {
            data: Message::Text(self.utf8.completed()),
            first,
            last,
        })
    }

    /// Takes at most `limit` bytes of the data frame's payload, unmasked, and
    /// tells whether they end the message.
    #[inline]
    fn take_payload<'input>(
        &mut self,
        input: &mut &'input mut [u8],
        limit: usize,
    ) -> (&'input [u8], bool) {
        let len = limit.min(input.len());
        // Not more than `input.len()`, so it fits where a `u64` does not.
        let len = self.remaining.min(len as u64) as usize;
        let piece = take(input, len);
        //= RFC6455-6.2-6
        xor(piece, self.key);
        self.key = self.key.rotated(len);
        self.remaining -= len as u64;
        if self.remaining > 0 {
            return (piece, false);
        }
        self.phase = Phase::Header;
        (piece, self.fin)
    }

    #[cold]
    fn fail<T>(&mut self, input: &mut &mut [u8], error: ProtocolError) -> Result<T, ProtocolError> {
        self.phase = Phase::Failed;
        *input = &mut [];
        Err(error)
    }

    /// Judges a data frame by the limits, and notes what it is part of.
    #[inline]
    fn begin_data_frame(&mut self, header: &Header) -> Result<(), ProtocolError> {
        let Limits {
            max_frame,
            max_message,
            max_fragments,
        } = self.limits;
        let len = header.payload_len();
        //= RFC6455-10.4-1, RFC6455-10.4-2
        if len > max_frame && !fault!("frame-unlimited") {
            return Err(ProtocolError::FrameTooBig {
                len,
                limit: max_frame,
            });
        }
        self.message_len = self.message_len.saturating_add(len);
        self.fragments = self.fragments.saturating_add(1);
        if self.message_len > max_message && !fault!("message-unlimited") {
            self.check_message_len()?;
        }
        if self.fragments > max_fragments && !fault!("fragments-unlimited") {
            return Err(ProtocolError::TooManyFragments {
                limit: max_fragments,
            });
        }
        self.fin = header.fin();
        //= RFC6455-5.4-2, RFC6455-5.4-10, RFC6455-6.2-3, RFC6455-6.2-4
        match header.opcode() {
            OpCode::Text => self.message = Some(MessageKind::Text),
            OpCode::Binary => self.message = Some(MessageKind::Binary),
            _ => {}
        }
        Ok(())
    }

    /// Judges a message whose payload on the wire is over `max_message`: a
    /// compressed one may take somewhat more.
    #[cold]
    fn check_message_len(&self) -> Result<(), ProtocolError> {
        let len = self.message_len;
        if !self.compressed {
            let limit = self.limits.max_message;
            return Err(ProtocolError::MessageTooBig { len, limit });
        }
        let limit = self.limits.max_compressed(self.fragments);
        if len > limit && !fault!("compressed-unlimited") {
            return Err(ProtocolError::CompressedTooBig { len, limit });
        }
        Ok(())
    }

    /// Notes that a chunk is handed out; tells whether it is the first.
    #[inline]
    const fn hand_out(&mut self, last: bool) -> bool {
        let first = !self.begun;
        self.begun = !last;
        if last {
            self.message = None;
            self.message_len = 0;
            self.fragments = 0;
        }
        first
    }
}

/// Takes the next `len` bytes off the input.
#[inline]
fn take<'input>(input: &mut &'input mut [u8], len: usize) -> &'input mut [u8] {
    let (taken, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer may well send 2^32 frames, and nobody need ask for the counts.
    #[test]
    fn counts_stay_at_their_end() {
        let mut rx = Receiver::new(Inbound::AcceptUnmasked, Limits::default());
        rx.counts = FrameCounts {
            by_opcode: [u32::MAX; 11],
            unmasked: u32::MAX,
            zero_key: u32::MAX,
        };
        let full = rx.counts;
        let mut wire = *b"\x81\x00\x8a\x80\0\0\0\0";
        let mut input = &mut wire[..];
        while rx.receive(&mut input).is_ok_and(|event| event.is_some()) {}
        assert_eq!(rx.take_counts(), full);
        assert!(!rx.is_failed());
    }
}
