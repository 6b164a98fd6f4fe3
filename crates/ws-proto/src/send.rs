//! Sending: messages in, frames out (RFC 6455 sections 5 and 6.1).

mod split;

use alloc::vec::Vec;
use core::{mem, ops::Range};

pub use self::split::OutFrames;
use crate::{
    CloseCode, CloseFrame, Event, Header, Inbound, MaskKey, MaskingPolicy, Message, MessageKind,
    OpCode, Prepared, ProtocolError, SendError, Utf8Stream, header::MAX_CONTROL_PAYLOAD, xor,
    xor::append_xored,
};

/// Makes the frames that an endpoint sends.
///
/// Every method returns an [`OutFrame`], which borrows the payload; it is to
/// be written, whole and in the order of the calls. One that is too long for
/// a gateway on the way is [split](Self::split) before.
#[derive(Clone, Debug)]
pub struct Sender<P> {
    masking: P,
    /// The message that is sent in fragments and whose last one is owed.
    open: Option<Open>,
    /// Of that message, if it is text: the character that is split.
    utf8: Utf8Stream,
    close_sent: bool,
}

/// A message that is sent in fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    kind: MessageKind,
    compressed: bool,
}

impl<P: MaskingPolicy> Sender<P> {
    /// Starts right after the opening handshake.
    #[must_use]
    #[inline]
    pub const fn new(masking: P) -> Self {
        //= MSWS-3.1.3-1, MSWS-3.1.3-2, MSWS-3.2.3-1, MSWS-3.2.3-2, RFC6455-4.2.2-20
        Self {
            masking,
            open: None,
            utf8: Utf8Stream::new(),
            close_sent: false,
        }
    }

    /// Makes the frame of a whole message (section 6.1).
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] after a Close, [`SendError::MessageUnfinished`]
    /// between the fragments of another message.
    #[inline]
    pub fn message<'a>(&mut self, message: Message<'a>) -> Result<OutFrame<'a>, SendError> {
        self.check_message()?;
        //= RFC6455-6.1-2, RFC6455-6.1-4, RFC6455-6.1-5
        self.data_frame(opcode(message.kind()), true, message.as_bytes())
    }

    /// Makes the frame of a whole message, as [`message`](Self::message), and
    /// masks the payload where it lies: for one that is not needed again, and
    /// so long that a copy of it costs. What is left of the payload is what
    /// goes over the wire.
    ///
    /// It changes nothing where no key is applied. The frame
    /// [is two slices](OutFrame::as_slices) in any case.
    ///
    /// ```
    /// use ws_proto::{ClientMasking, MessageKind, Sender};
    ///
    /// let mut tx = Sender::new(ClientMasking::new());
    /// let mut payload = vec![7; 1024 * 1024];
    /// let frame = tx.message_in_place(MessageKind::Binary, &mut payload)?;
    /// let [head, masked] = frame.as_slices().unwrap();
    /// assert_eq!((head.len(), masked.len()), (14, 1024 * 1024));
    /// # Ok::<(), ws_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message), and [`SendError::TextNotUtf8`]; the
    /// payload is as it was.
    pub fn message_in_place<'a>(
        &mut self,
        kind: MessageKind,
        payload: &'a mut [u8],
    ) -> Result<OutFrame<'a>, SendError> {
        self.check_message()?;
        self.check_text(kind, payload, true)?;
        let key = self.masking.next_key()?;
        if let Some(key) = key {
            xor(payload, key);
        }
        let header = Header::of_payload(true, opcode(kind), key, payload.len() as u64);
        Ok(OutFrame {
            key: MaskKey::ZERO,
            ..OutFrame::new(header, payload)
        })
    }

    /// Makes the frame of the next fragment of a message; the first call opens
    /// the message and the one with `last` ends it (section 5.4).
    ///
    /// Fragments may have any size, also none; text is cut between
    /// characters. Pings, Pongs and a Close may come in between.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] after a Close, [`SendError::MessageTypeChanged`]
    /// if the fragment is text and the message is not, or the other way round.
    pub fn fragment<'a>(
        &mut self,
        fragment: Message<'a>,
        last: bool,
    ) -> Result<OutFrame<'a>, SendError> {
        let open = Open::plain(fragment.kind());
        let opcode = self.fragment_opcode(open)?;
        // Text that starts between characters cannot follow half of one.
        self.utf8.finish().map_err(|_| SendError::TextNotUtf8)?;
        let frame = self.data_frame(opcode, last, fragment.as_bytes())?;
        self.open = (!last).then_some(open);
        Ok(frame)
    }

    /// Makes the frame of the next fragment, as [`fragment`](Self::fragment)
    /// does, of bytes: fragments of text may end inside a character, as pieces
    /// of a file do.
    ///
    /// # Errors
    ///
    /// As [`fragment`](Self::fragment), and [`SendError::TextNotUtf8`] at the
    /// first byte that cannot be part of valid text.
    pub fn fragment_bytes<'a>(
        &mut self,
        kind: MessageKind,
        bytes: &'a [u8],
        last: bool,
    ) -> Result<OutFrame<'a>, SendError> {
        let open = Open::plain(kind);
        let opcode = self.fragment_opcode(open)?;
        self.check_text(kind, bytes, last)?;
        let frame = self.data_frame(opcode, last, bytes)?;
        self.open = (!last).then_some(open);
        Ok(frame)
    }

    /// Makes the frame of a whole message that a per-message compression
    /// extension has compressed to `payload` (RFC 7692 section 6.1).
    ///
    /// `Deflater`, of the feature `deflate`, does both at once.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    pub fn compressed<'a>(
        &mut self,
        kind: MessageKind,
        payload: &'a [u8],
    ) -> Result<OutFrame<'a>, SendError> {
        self.check_message()?;
        //= RFC7692-6.1-1, RFC7692-6.1-5
        self.compressed_frame(opcode(kind), true, payload)
    }

    /// Makes the frame of the next fragment of a compressed message, as
    /// [`fragment`](Self::fragment) does of a plain one.
    ///
    /// # Errors
    ///
    /// As [`fragment`](Self::fragment), and [`SendError::CompressionChanged`]
    /// if the message was begun without compression.
    pub fn compressed_fragment<'a>(
        &mut self,
        kind: MessageKind,
        payload: &'a [u8],
        last: bool,
    ) -> Result<OutFrame<'a>, SendError> {
        let open = Open::compressed(kind);
        let opcode = self.fragment_opcode(open)?;
        let frame = self.compressed_frame(opcode, last, payload)?;
        self.open = (!last).then_some(open);
        Ok(frame)
    }

    /// Makes the frame of a message that was encoded before.
    ///
    /// A server writes it as it is. A client still applies its key, as every
    /// frame has one of its own.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    #[inline]
    pub fn prepared<'a>(&mut self, prepared: &'a Prepared) -> Result<OutFrame<'a>, SendError> {
        self.check_message()?;
        self.data_frame(opcode(prepared.kind()), true, prepared.payload())
    }

    /// Makes a Ping (section 5.5.2).
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] after a Close, [`SendError::ControlTooLong`] for
    /// a payload over 125 bytes.
    pub fn ping<'a>(&mut self, payload: &'a [u8]) -> Result<OutFrame<'a>, SendError> {
        self.check_open()?;
        self.control_frame(OpCode::Ping, payload)
    }

    /// Makes an unsolicited Pong (section 5.5.3). Answers to Pings are made by
    /// [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong<'a>(&mut self, payload: &'a [u8]) -> Result<OutFrame<'a>, SendError> {
        self.check_open()?;
        self.control_frame(OpCode::Pong, payload)
    }

    /// Makes the Close frame that starts the closing handshake, or ends it
    /// (section 7.1.2). `None` makes an empty one. No data can be sent after
    /// it, but an unfinished message may be left unfinished.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] if a Close was sent before,
    /// [`SendError::ControlTooLong`] for a reason over 123 bytes,
    /// [`SendError::CloseCodeNotForServer`] for 1010 from a server.
    pub fn close<'a>(&mut self, frame: Option<CloseFrame<'a>>) -> Result<OutFrame<'a>, SendError> {
        self.check_open()?;
        let frame = match frame {
            None => self.control_frame(OpCode::Close, &[])?,
            Some(CloseFrame { code, reason }) => {
                //= RFC6455-7.4.1-7
                if code == CloseCode::MANDATORY_EXTENSION
                    && self.masking.inbound() != Inbound::RequireUnmasked
                {
                    return Err(SendError::CloseCodeNotForServer);
                }
                self.close_frame(code, reason)?
            }
        };
        //= RFC6455-7.1.2-1, RFC6455-7.1.3-1
        self.close_sent = true;
        Ok(frame)
    }

    /// Makes the Close frame of an application, as [`close`](Self::close), so
    /// that closing always closes: a reason over 123 bytes is
    /// [cut](CloseFrame::new), and 1010 from a server, which is for clients
    /// alone, goes out as 1011 (section 7.4.1).
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] if a Close was sent before.
    pub fn close_with<'a>(
        &mut self,
        code: CloseCode,
        reason: &'a str,
    ) -> Result<OutFrame<'a>, SendError> {
        let frame = CloseFrame::new(code, reason);
        match self.close(Some(frame)) {
            Err(SendError::CloseCodeNotForServer) => self.close(Some(CloseFrame {
                code: CloseCode::INTERNAL_ERROR,
                ..frame
            })),
            made => made,
        }
    }

    /// Makes the reply that the protocol owes to an event: a Pong to a Ping
    /// and, unless one was sent, a Close to a Close. To be sent as soon as is
    /// practical.
    #[inline]
    pub fn respond<'a>(&mut self, event: &Event<'a>) -> Option<OutFrame<'a>> {
        match *event {
            Event::Data(_) | Event::Compressed(_) | Event::Pong(_) => None,
            //= RFC6455-5.5.2-2, RFC6455-5.5.2-3, RFC6455-5.5.3-1
            Event::Ping(payload) => self.control_frame(OpCode::Pong, payload).ok(),
            //= RFC6455-5.5.1-7, RFC6455-5.5.1-8, RFC6455-5.5.1-9, RFC6455-5.5.1-15
            Event::Close(_) if self.close_sent => None,
            Event::Close(frame) => {
                self.close_sent = true;
                match frame {
                    Some(CloseFrame { code, .. }) => self.close_frame(code, "").ok(),
                    None => self.control_frame(OpCode::Close, &[]).ok(),
                }
            }
        }
    }

    /// Makes the Close frame that tells the peer what it did wrong (section
    /// 7.1.7), unless a Close was sent before or there is nobody to tell.
    pub fn fail(&mut self, error: &ProtocolError) -> Option<OutFrame<'static>> {
        //= RFC6455-7.1.7-5, RFC6455-7.1.7-6, RFC6455-10.7-3
        let code = error.close_code()?;
        if mem::replace(&mut self.close_sent, true) {
            return None;
        }
        self.close_frame(code, error.kind()).ok()
    }

    /// Lends the masking policy.
    #[must_use]
    pub const fn masking(&self) -> &P {
        &self.masking
    }

    /// Tells whether a Close frame was made: no data may follow.
    #[must_use]
    #[inline]
    pub const fn is_close_sent(&self) -> bool {
        self.close_sent
    }

    /// Tells whether a message is sent in fragments and its last is owed.
    #[must_use]
    pub const fn is_message_open(&self) -> bool {
        self.open.is_some()
    }

    /// Tells whether nothing is held: a sender that is made anew from the same
    /// policy would go on just the same.
    #[must_use]
    #[inline]
    pub const fn is_idle(&self) -> bool {
        self.open.is_none() && !self.close_sent
    }

    #[inline]
    const fn check_open(&self) -> Result<(), SendError> {
        //= RFC6455-5.5.1-6, RFC6455-6.1-1
        if self.close_sent {
            Err(SendError::Closing)
        } else {
            Ok(())
        }
    }

    #[inline]
    pub(crate) const fn check_message(&self) -> Result<(), SendError> {
        if self.open.is_some() && !self.close_sent {
            return Err(SendError::MessageUnfinished);
        }
        self.check_open()
    }

    /// Judges the plain bytes of a fragment, which may end inside a character.
    pub(crate) fn check_text(
        &mut self,
        kind: MessageKind,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), SendError> {
        if kind == MessageKind::Text {
            //= RFC6455-5.6-1, RFC6455-5.6-2
            let mut utf8 = self.utf8.clone();
            utf8.check(bytes, last)
                .map_err(|_| SendError::TextNotUtf8)?;
            self.utf8 = utf8;
        }
        Ok(())
    }

    /// Judges whether a fragment of a compressed message may be sent now.
    #[cfg(feature = "deflate")]
    pub(crate) fn check_compressed_fragment(&self, kind: MessageKind) -> Result<(), SendError> {
        self.fragment_opcode(Open::compressed(kind)).map(|_| ())
    }

    fn fragment_opcode(&self, next: Open) -> Result<OpCode, SendError> {
        self.check_open()?;
        //= RFC6455-5.4-3, RFC6455-5.4-6, RFC6455-5.4-9, RFC6455-5.4-14, RFC6455-6.1-3
        match self.open {
            None => Ok(opcode(next.kind)),
            Some(open) if open == next => Ok(OpCode::Continuation),
            Some(open) if open.kind == next.kind => Err(SendError::CompressionChanged),
            Some(_) => Err(SendError::MessageTypeChanged),
        }
    }

    #[inline]
    fn data_frame<'a>(
        &mut self,
        opcode: OpCode,
        fin: bool,
        payload: &'a [u8],
    ) -> Result<OutFrame<'a>, SendError> {
        let mask = self.masking.next_key()?;
        let len = payload.len() as u64;
        let header = Header::of_payload(fin, opcode, mask, len);
        Ok(OutFrame::new(header, payload))
    }

    fn compressed_frame<'a>(
        &mut self,
        opcode: OpCode,
        fin: bool,
        payload: &'a [u8],
    ) -> Result<OutFrame<'a>, SendError> {
        let mask = self.masking.next_key()?;
        let header = Header::of_payload(fin, opcode, mask, payload.len() as u64);
        //= RFC7692-6.1-3
        let header = match opcode {
            OpCode::Continuation => header,
            _ => header.compressed(),
        };
        Ok(OutFrame::new(header, payload))
    }

    fn control_frame<'a>(
        &mut self,
        opcode: OpCode,
        payload: &'a [u8],
    ) -> Result<OutFrame<'a>, SendError> {
        let header = self.control_header(opcode, payload.len())?;
        Ok(OutFrame::new(header, payload))
    }

    fn close_frame<'a>(
        &mut self,
        code: CloseCode,
        reason: &'a str,
    ) -> Result<OutFrame<'a>, SendError> {
        let header = self.control_header(OpCode::Close, 2 + reason.len())?;
        Ok(OutFrame::close(header, code, reason))
    }

    /// Takes a key only once the frame is certain: what is refused changes
    /// nothing.
    fn control_header(&mut self, opcode: OpCode, len: usize) -> Result<Header, SendError> {
        //= RFC7692-6-4
        //= RFC6455-5.5-1
        if len > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong { len });
        }
        let mask = self.masking.next_key()?;
        Ok(Header::of_payload(true, opcode, mask, len as u64))
    }
}

impl Open {
    const fn plain(kind: MessageKind) -> Self {
        Self {
            kind,
            compressed: false,
        }
    }

    const fn compressed(kind: MessageKind) -> Self {
        Self {
            kind,
            compressed: true,
        }
    }
}

/// A frame to be written: its head, and its payload where that lies.
#[derive(Clone, Debug)]
#[must_use = "a frame that is not written is missing from the stream"]
pub struct OutFrame<'a> {
    /// The header, and after it the code of a Close frame.
    head: [u8; 16],
    head_len: u8,
    opcode: OpCode,
    /// The key for the payload's first byte; zero if it is masked already.
    key: MaskKey,
    /// Borrowed until the frame is written, so that nobody changes it.
    //= RFC6455-10.3-2
    payload: &'a [u8],
}

impl<'a> OutFrame<'a> {
    #[inline]
    const fn new(header: Header, payload: &'a [u8]) -> Self {
        let (head, head_len) = header.to_bytes();
        let key = match header.mask() {
            Some(key) => key,
            None => MaskKey::ZERO,
        };
        Self {
            head,
            head_len: head_len as u8,
            opcode: header.opcode(),
            key,
            payload,
        }
    }

    fn close(header: Header, code: CloseCode, reason: &'a str) -> Self {
        let mut frame = Self::new(header, reason.as_bytes());
        let len = usize::from(frame.head_len);
        let code_bytes = &mut frame.head[len..len + 2];
        code_bytes.copy_from_slice(&code.get().to_be_bytes());
        xor(code_bytes, frame.key);
        frame.head_len += 2;
        frame.key = frame.key.rotated(2);
        frame
    }

    /// Returns the number of bytes on the wire.
    #[must_use]
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub const fn len(&self) -> usize {
        self.head_len as usize + self.payload.len()
    }

    /// Returns the frame's opcode.
    #[must_use]
    #[inline]
    pub const fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// Tells whether it is the first frame, or all, of a compressed message
    /// (RFC 7692 section 6.1).
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.head[0] & RSV1 != 0
    }

    /// Returns the frame as its head and its payload where that lies, for a
    /// vectored write without a copy; `None` where a key must be applied,
    /// which is done by [`append_to`](Self::append_to).
    ///
    /// A server's frames, a client's with a zero key, and those of
    /// [`Sender::message_in_place`] are such.
    #[must_use]
    #[inline]
    pub fn as_slices(&self) -> Option<[&[u8]; 2]> {
        //= MSWS-3.1.4-6
        self.key.is_zero().then(|| [self.head(), self.payload])
    }

    /// Appends the frame to `out`, without its first `skip` bytes, which were
    /// written already. Masks while it copies.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>, skip: usize) {
        let head_len = usize::from(self.head_len);
        if skip == 0 {
            // All of the array, in the two words that it was stored in, is
            // less work than as many bytes of it as there are.
            out.reserve(self.head.len() + self.payload.len());
            let (low, high) = self.head.split_at(8);
            let end = out.len() + head_len;
            out.extend_from_slice(low);
            out.extend_from_slice(high);
            out.truncate(end);
            return append_xored(out, self.payload, self.key);
        }
        self.append_part(out, skip..usize::MAX);
    }

    /// Appends the bytes of the frame at `part`, counted from its first byte;
    /// for a frame so long that it is better masked and written in parts.
    pub fn append_part(&self, out: &mut Vec<u8>, part: Range<usize>) {
        let head = self.head();
        let in_head = |at: usize| at.min(head.len());
        let in_payload = |at: usize| at.saturating_sub(head.len()).min(self.payload.len());
        let Range { start, end } = part;
        out.extend_from_slice(&head[in_head(start)..in_head(end.max(start))]);
        let skip = in_payload(start);
        let payload = &self.payload[skip..in_payload(end.max(start))];
        append_xored(out, payload, self.key.rotated(skip));
    }

    #[inline]
    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }
}

/// The bit of a frame's first byte that RFC 7692 uses.
const RSV1: u8 = 0x40;

#[inline]
const fn opcode(kind: MessageKind) -> OpCode {
    match kind {
        MessageKind::Text => OpCode::Text,
        MessageKind::Binary => OpCode::Binary,
    }
}
