//! What an engine is asked for, and what it answers.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{Epoch, Position};

/// Names a request until its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

impl Token {
    /// The number of the request: they count up.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How much of a topic an engine keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The newest messages, so many at most. With 0 nothing is kept, and
    /// nothing of what was kept before.
    pub messages: u32,
    /// All is forgotten so long after the last message.
    pub age: Duration,
}

impl History {
    /// No history: what a subscriber misses is lost, and reported.
    pub const NONE: Self = Self {
        messages: 0,
        age: Duration::ZERO,
    };

    /// So many messages, for so long.
    #[must_use]
    pub const fn new(messages: u32, age: Duration) -> Self {
        Self { messages, age }
    }
}

/// A request to the engine. Each is answered by [`Answer`]s with its token, or
/// by the end of the connection.
#[derive(Clone, Debug)]
pub struct Request {
    /// Comes back with the answer.
    pub token: Token,
    /// The topic.
    pub topic: Arc<str>,
    /// What is asked for.
    pub what: Ask,
}

/// What a [`Request`] asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Messages from now on; answered by [`Answer::Done`].
    Subscribe,
    /// No more messages; answered by [`Answer::Done`].
    Unsubscribe,
    /// To append a message, to number it, and to give it to all subscribers,
    /// in one step; answered by [`Answer::Published`].
    Publish {
        /// The message.
        payload: Bytes,
        /// How much is kept from now on.
        history: History,
        /// Within the engine's time for it, a second publication with the same
        /// key is not done: its answer is that of the first.
        key: Option<Arc<str>>,
        /// Who published: comes back with the message. 0 is nobody.
        origin: u64,
    },
    /// The last position, and what is kept after an offset; answered by
    /// [`Answer::Read`].
    Read {
        /// Messages after this offset; none without it.
        after: Option<u64>,
        /// So many messages at most.
        most: u32,
        /// So many bytes of payloads at most, but one message at least.
        bytes: usize,
    },
    /// These members are present for so long; answered by [`Answer::Done`].
    Enter {
        /// Their names.
        members: Vec<Arc<str>>,
        /// How long.
        time: Duration,
    },
    /// This member of this node is gone; answered by [`Answer::Done`].
    Leave {
        /// Its name.
        member: Arc<str>,
    },
    /// Who is present, on all nodes; answered by [`Answer::Members`].
    Members,
}

/// What an engine says.
#[derive(Debug)]
pub enum Answer<'a> {
    /// It is done.
    Done(Token),
    /// The message is published, and is the one at this position.
    Published(Token, Position),
    /// What was read.
    Read(Token, Page),
    /// Who is present.
    Members(Token, Vec<Arc<str>>),
    /// It is not done, and may be asked for again at once.
    Again(Token),
    /// It is not done, with the engine's words for it.
    Refused(Token, String),
    /// A message of a topic that is subscribed to.
    Message(Incoming<'a>),
    /// A member is present that was not.
    Joined(&'a str, &'a str),
    /// A member is gone.
    Left(&'a str, &'a str),
}

/// A message as an engine hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its position.
    pub position: Position,
    /// The offset of the message before; a gap shows by it.
    pub previous: u64,
    /// What [`Ask::Publish`] said.
    pub origin: u64,
    /// The message.
    pub payload: &'a [u8],
}

/// What an engine keeps of a topic.
#[derive(Clone, Debug)]
pub struct Page {
    /// The position of the last message.
    pub top: Position,
    /// The epoch before and the last offset that it shares with the current
    /// one. Positions up to it are positions of the current epoch.
    pub inherited: Option<Position>,
    /// The smallest offset after which nothing is missing.
    pub oldest: u64,
    /// What comes after the offset that was asked for, or after
    /// [`oldest`](Self::oldest) if that is later. It is in order and nothing is
    /// missing in between. If the last is not at [`top`](Self::top) there is more.
    pub messages: Vec<Kept>,
}

/// A message of a [`Page`].
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its offset.
    pub offset: u64,
    /// What [`Ask::Publish`] said.
    pub origin: u64,
    /// The message.
    pub payload: Bytes,
}

/// The protocol of an engine over one connection at a time, without I/O.
pub trait Engine {
    /// Begins a connection; what was of the last one is forgotten. Appends what
    /// is to be sent first.
    fn open(&mut self, now: Instant, out: &mut Vec<u8>);

    /// Asks for something. It is called between [`Opened::Yes`] and the end of
    /// the connection only. Appends what is to be sent.
    fn ask(&mut self, now: Instant, request: Request, out: &mut Vec<u8>);

    /// Takes what was received, and tells each whole answer. Returns how many
    /// bytes are done with, and whether requests may be asked for. Appends what
    /// is to be sent.
    ///
    /// # Errors
    ///
    /// When the connection is of no use any more.
    fn receive(
        &mut self,
        now: Instant,
        input: &[u8],
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(usize, Opened), EngineError>;
}

/// Whether an engine takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Not before more was received.
    No,
    /// It does.
    Yes,
}

/// Why a connection to an engine ended, or is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine refused the connection, with its words for it: a password,
    /// a protocol that it does not speak.
    #[error("the engine refused the connection: {0}")]
    Refused(String),
    /// It broke its own protocol.
    #[error("the engine broke its protocol: {0}")]
    Protocol(&'static str),
    /// It took longer than [`Limits::answer_time`](crate::Limits::answer_time).
    #[error("the engine did not answer within `Limits::answer_time`")]
    Silent,
    /// The connection ended, with the system's words for it.
    #[error("the connection to the engine ended: {0}")]
    Ended(String),
}

/// Draws an epoch by chance.
pub(crate) fn fresh_epoch() -> Epoch {
    Epoch::new(random())
}

/// A number by chance: the standard library's keys for hash tables are drawn so.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // 53 bits, so that no engine rounds it.
    (RandomState::new().build_hasher().finish() >> 11) | 1
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
