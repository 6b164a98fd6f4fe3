//! Messages that own their payload.

use ws_proto::{AsMessage, Chunk, Message as MessageRef, MessageKind};

/// A message that owns its payload, as [`receive`](crate::WebSocket::receive)
/// gives it.
///
/// What is sent may be owned or borrowed: see
/// [`AsOutbound`](crate::AsOutbound).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// Borrows the message.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Self::Text(text) => MessageRef::Text(text),
            Self::Binary(bytes) => MessageRef::Binary(bytes),
        }
    }

    /// Returns the bytes of the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_ref().as_bytes()
    }

    /// Takes the bytes of the payload out, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, or `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the type.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Tells whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        match message {
            MessageRef::Text(text) => Self::Text(text.to_owned()),
            MessageRef::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl AsMessage for Message {
    fn as_message(&self) -> MessageRef<'_> {
        self.as_ref()
    }
}

impl<'m> From<&'m Message> for MessageRef<'m> {
    fn from(message: &'m Message) -> Self {
        message.as_ref()
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Message {
    /// Returns how much memory it takes, in bytes.
    pub(crate) const fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Gives back what memory it does not need.
    pub(crate) fn shrink_to_fit(&mut self) {
        match self {
            Self::Text(text) => text.shrink_to_fit(),
            Self::Binary(bytes) => bytes.shrink_to_fit(),
        }
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A piece of a message that owns its payload: what was joined so far, or what
/// was read ahead.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) data: Message,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

impl Piece {
    /// Adds the piece that follows.
    pub(crate) fn append(&mut self, chunk: &Chunk<'_>) {
        match (&mut self.data, chunk.data) {
            (Message::Text(text), MessageRef::Text(more)) => text.push_str(more),
            (Message::Binary(bytes), more) => bytes.extend_from_slice(more.as_bytes()),
            // INVARIANT: a receiver never changes the type within a message.
            (Message::Text(_), MessageRef::Binary(_)) => {}
        }
        self.last = chunk.last;
    }

    pub(crate) fn as_chunk(&self) -> Chunk<'_> {
        Chunk {
            data: self.data.as_ref(),
            first: self.first,
            last: self.last,
        }
    }
}

impl From<Chunk<'_>> for Piece {
    fn from(chunk: Chunk<'_>) -> Self {
        Self {
            data: chunk.data.into(),
            first: chunk.first,
            last: chunk.last,
        }
    }
}

/// Joins pieces to a message, in the buffer that the caller will own.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    /// On the heap, as an idle connection has none.
    partial: Option<Box<Piece>>,
}

impl Joiner {
    pub(crate) const fn new() -> Self {
        Self { partial: None }
    }

    /// Returns how much memory is held, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.data.capacity())
    }

    /// Adds a chunk and takes the message out if that was its last.
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>) -> Option<Piece> {
        match &mut self.partial {
            Some(partial) => partial.append(chunk),
            None => self.partial = Some(Box::new(Piece::from(*chunk))),
        }
        self.partial
            .take_if(|partial| partial.last)
            .map(|partial| *partial)
    }

    /// Adds a piece, without a copy if it is the first.
    pub(crate) fn push_piece(&mut self, piece: Piece) -> Option<Piece> {
        match &mut self.partial {
            Some(partial) => partial.append(&piece.as_chunk()),
            None if piece.last => return Some(piece),
            None => self.partial = Some(Box::new(piece)),
        }
        self.partial
            .take_if(|partial| partial.last)
            .map(|partial| *partial)
    }

    /// Takes what was joined so far.
    pub(crate) fn take(&mut self) -> Option<Piece> {
        self.partial.take().map(|partial| *partial)
    }
}
