//! Messages, their pieces, and how pieces become a message again
//! (RFC 6455 sections 5.4 and 5.6).

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    string::String,
    vec::Vec,
};

/// The type of a message (section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// A message, or a piece of one; it borrows where the bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Returns the bytes of the payload.
    #[must_use]
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the type.
    #[must_use]
    #[inline]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    #[inline]
    pub const fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Tells whether the payload is empty.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What can be sent as a message: text and bytes, borrowed or owned.
///
/// ```
/// use std::borrow::Cow;
///
/// use ws_proto::{AsMessage, Message};
///
/// fn len(message: impl AsMessage) -> usize {
///     message.as_message().len()
/// }
///
/// assert_eq!(len("text"), 4);
/// assert_eq!(len(format!("{}", 1234)), 4);
/// assert_eq!(len(Cow::Borrowed("text")), 4);
/// assert_eq!(len(vec![1, 2, 3, 4]), 4);
/// assert_eq!(len(Message::Binary(&[1, 2, 3, 4])), 4);
/// ```
pub trait AsMessage {
    /// Lends the message.
    fn as_message(&self) -> Message<'_>;
}

impl AsMessage for Message<'_> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        *self
    }
}

impl AsMessage for str {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for String {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for [u8] {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl<const N: usize> AsMessage for [u8; N] {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl AsMessage for Vec<u8> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl<M: AsMessage + ToOwned + ?Sized> AsMessage for Cow<'_, M> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl<M: AsMessage + ?Sized> AsMessage for &M {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl<M: AsMessage + ?Sized> AsMessage for Box<M> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

/// A piece of a message, as much of it as one read brought.
///
/// Where a piece ends says nothing: neither side relies on the borders of
/// frames (section 5.4), and a piece may be a part of a frame. Text is cut
/// between characters only. Every message has exactly one first and one last
/// piece, which may be the same; the last may be empty.
//= RFC6455-5.4-1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The payload of the piece; its kind is that of the message.
    pub data: Message<'a>,
    /// Whether the piece is the first of its message.
    pub first: bool,
    /// Whether the piece is the last of its message.
    pub last: bool,
}

/// A piece of the compressed payload of a message (RFC 7692 section 6), as much
/// of it as one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressedChunk<'a> {
    /// The type of the message that was compressed.
    pub kind: MessageKind,
    /// The compressed bytes; their borders say nothing.
    pub data: &'a [u8],
    /// Whether the piece is the first of its message.
    pub first: bool,
    /// Whether the piece is the last of its message.
    pub last: bool,
}

/// Joins [`Chunk`]s to messages.
///
/// A message that comes as one chunk is passed through where it lies. Any
/// other is copied, once, into a buffer that grows with what was received.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: Buffer,
    /// The buffer holds a message that was handed out.
    finished: bool,
}

#[derive(Debug)]
enum Buffer {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembler {
    /// Starts between messages, with no buffer.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            buffer: Buffer::Binary(Vec::new()),
            finished: false,
        }
    }

    /// Adds a chunk and returns the message if that was its last one.
    ///
    /// The chunks must be all that a [`Receiver`](crate::Receiver) gives, in
    /// order. Memory grows with what was pushed; the receiver's
    /// [`Limits`](crate::Limits) bound it.
    #[inline]
    pub fn push<'m>(&'m mut self, chunk: Chunk<'m>) -> Option<Message<'m>> {
        if chunk.first && chunk.last {
            return Some(chunk.data);
        }
        self.join(chunk)
    }

    //= RFC6455-5.4-3, RFC6455-5.4-6
    fn join<'m>(&'m mut self, chunk: Chunk<'_>) -> Option<Message<'m>> {
        if chunk.first {
            self.start(chunk.data.kind());
        }
        match (&mut self.buffer, chunk.data) {
            (Buffer::Text(text), Message::Text(piece)) => {
                text.reserve_exact(growth(text.len(), text.capacity(), piece.len()));
                text.push_str(piece);
            }
            (Buffer::Binary(bytes), piece) => {
                bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), piece.len()));
                bytes.extend_from_slice(piece.as_bytes());
            }
            // A receiver never changes the type within a message.
            (Buffer::Text(_), Message::Binary(_)) => return None,
        }
        if !chunk.last {
            return None;
        }
        self.finished = true;
        Some(match &self.buffer {
            Buffer::Text(text) => Message::Text(text),
            Buffer::Binary(bytes) => Message::Binary(bytes),
        })
    }

    /// Returns how many bytes of an unfinished message are held.
    #[must_use]
    #[inline]
    pub fn buffered(&self) -> usize {
        if self.finished { 0 } else { self.buffer.len() }
    }

    /// Returns how much memory is held, in bytes: of a buffer that grows, no
    /// more than twice what is [buffered](Self::buffered).
    #[must_use]
    #[inline]
    pub fn capacity(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.capacity(),
            Buffer::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Tells whether there is no buffer that the next message would not do
    /// without.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.finished || self.buffer.len() == 0
    }

    /// Takes the buffer, with the bytes of the message that
    /// [`push`](Self::push) last returned if that was joined from several
    /// chunks, and with what came of a message that is still unfinished
    /// otherwise. The assembler is then between messages and holds no memory.
    #[must_use]
    pub fn take_buffer(&mut self) -> Vec<u8> {
        core::mem::take(self).buffer.into_bytes()
    }

    /// Gives a buffer, whose capacity the next message will use; its contents
    /// are dropped. Does nothing while a message is unfinished.
    pub fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.is_idle() {
            buffer.clear();
            *self = Self {
                buffer: Buffer::Binary(buffer),
                finished: false,
            };
        }
    }

    /// Empties the buffer, keeps its capacity, and sets its type.
    fn start(&mut self, kind: MessageKind) {
        let mut bytes = self.take_buffer();
        bytes.clear();
        self.buffer = match kind {
            // An empty vector is valid text: this neither fails nor copies.
            MessageKind::Text => Buffer::Text(String::from_utf8(bytes).unwrap_or_default()),
            MessageKind::Binary => Buffer::Binary(bytes),
        };
    }
}

impl Buffer {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// Returns by how much to grow for `more` bytes: to a power of two, so that the
/// buffer of a message at such a limit is no larger than the limit.
const fn growth(len: usize, capacity: usize, more: usize) -> usize {
    if more <= capacity - len {
        0
    } else {
        (len + more).next_power_of_two() - len
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Binary(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: &str, first: bool, last: bool) -> Chunk<'_> {
        Chunk {
            data: Message::Text(data),
            first,
            last,
        }
    }

    fn binary(data: &[u8], first: bool, last: bool) -> Chunk<'_> {
        Chunk {
            data: Message::Binary(data),
            first,
            last,
        }
    }

    #[test]
    fn message_is_made_of_what_holds_one() {
        let string = String::from("hi");
        for message in [Message::from("hi"), Message::from(&string)] {
            assert_eq!(message, Message::Text("hi"));
            assert_eq!(message.kind(), MessageKind::Text);
        }
        let bytes = alloc::vec![1, 2, 3];
        for message in [
            Message::from(&bytes),
            Message::from(&bytes[..]),
            Message::from(&[1, 2, 3]),
        ] {
            assert_eq!(message, Message::Binary(&[1, 2, 3]));
            assert_eq!((message.len(), message.is_empty()), (3, false));
        }
        assert!(Message::Text("").is_empty());
    }

    #[test]
    fn buffer_is_as_long_as_a_power_of_two_that_holds_the_message() {
        for pieces in [2, 3, 5] {
            for size in [64 * 1024, 50_000] {
                let data = "x".repeat(size);
                let mut messages = Assembler::new();
                let mut rest = data.as_str();
                for piece in 0..pieces {
                    let is_last = piece == pieces - 1;
                    let at = if is_last { rest.len() } else { size / pieces };
                    let (start, end) = rest.split_at(at);
                    rest = end;
                    let message = messages.push(text(start, piece == 0, is_last));
                    assert_eq!(message.is_some(), is_last);
                }
                assert_eq!(messages.take_buffer().capacity(), 64 * 1024);
            }
        }
    }

    #[test]
    fn buffer_that_has_room_does_not_grow() {
        let mut messages = Assembler::new();
        messages.give_buffer(Vec::with_capacity(1000));
        assert!(messages.push(text(&"x".repeat(600), true, false)).is_none());
        assert_eq!((messages.buffered(), messages.is_idle()), (600, false));
        assert_eq!(messages.capacity(), 1000);
        assert!(messages.push(text(&"x".repeat(400), false, true)).is_some());
        assert_eq!((messages.buffered(), messages.is_idle()), (0, true));
        assert_eq!(messages.take_buffer().capacity(), 1000);
    }

    #[test]
    fn message_in_one_chunk_is_not_copied() {
        let payload = *b"as it lies";
        let mut assembler = Assembler::new();
        let message = assembler.push(binary(&payload, true, true)).unwrap();
        assert_eq!(message.as_bytes().as_ptr(), payload.as_ptr());
        assert_eq!(assembler.take_buffer().capacity(), 0);
    }

    #[test]
    fn chunks_are_joined_in_order() {
        //= RFC6455-5.4-3, RFC6455-5.4-6
        let mut assembler = Assembler::new();
        assert_eq!(assembler.push(text("Hel", true, false)), None);
        assert_eq!(assembler.buffered(), 3);
        assert!(!assembler.is_idle());
        assert_eq!(assembler.push(text("", false, false)), None);
        assert_eq!(
            assembler.push(text("lo", false, true)),
            Some(Message::Text("Hello"))
        );
        assert!(assembler.is_idle());
        assert_eq!(assembler.buffered(), 0);
        assert_eq!(assembler.push(binary(b"\xff", true, false)), None);
        assert!((1..=8).contains(&assembler.capacity()));
        assert_eq!(
            assembler.push(binary(b"", false, true)),
            Some(Message::Binary(b"\xff"))
        );
    }

    #[test]
    fn buffer_is_used_again_and_can_be_taken() {
        let mut assembler = Assembler::new();
        assembler.give_buffer(Vec::with_capacity(1000));
        assert_eq!(assembler.push(text("a", true, false)), None);
        assert!(assembler.push(text("b", false, true)).is_some());
        let buffer = assembler.take_buffer();
        assert_eq!(buffer, b"ab");
        assert!(buffer.capacity() >= 1000);
        assert_eq!(assembler.take_buffer().capacity(), 0);
    }

    #[test]
    fn unfinished_message_is_not_lost_to_a_gift() {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.push(binary(b"half", true, false)), None);
        assembler.give_buffer(Vec::with_capacity(10));
        assert_eq!(
            assembler.push(binary(b"!", false, true)),
            Some(Message::Binary(b"half!"))
        );
    }
}
