//! What an application is told.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use crate::{EngineError, Position};

/// Is told what happens. Every method but [`on_message`](Self::on_message) and
/// [`on_discontinuity`](Self::on_discontinuity) does nothing by default.
pub trait Handler {
    /// A message of a topic that is subscribed to. Within a topic each follows
    /// on the one before, with nothing in between, unless
    /// [`on_discontinuity`](Self::on_discontinuity) came first.
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]);

    /// Messages of a topic may be missing between two positions, and cannot be
    /// had any more. Subscribers should read anew what the topic stands for.
    fn on_discontinuity(&mut self, topic: &Arc<str>, discontinuity: &Discontinuity);

    /// What [`Backplane::recover`](crate::Backplane::recover) asked for. It
    /// reaches exactly up to the last message that
    /// [`on_message`](Self::on_message) has told of this topic: a client that
    /// gets this, and all messages that come after this call, misses nothing
    /// and gets nothing twice.
    fn on_recovery(&mut self, id: RecoverId, topic: &Arc<str>, recovery: &Recovery<'_>) {
        let _ = (id, topic, recovery);
    }

    /// A publication is at this position, or why it is not known to be.
    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        let _ = (ticket, result);
    }

    /// A message of this node with [`Publish::echo`](crate::Publish::echo),
    /// before the engine has it.
    fn on_echo(&mut self, topic: &Arc<str>, payload: &[u8]) {
        let _ = (topic, payload);
    }

    /// Who is present in a topic, as [`Backplane::presence`](crate::Backplane::presence)
    /// asked; `None` if the engine did not answer in time.
    fn on_presence(
        &mut self,
        id: PresenceId,
        topic: &Arc<str>,
        members: Option<&BTreeSet<Arc<str>>>,
    ) {
        let _ = (id, topic, members);
    }

    /// A member is present that was not, in a topic that is
    /// [watched](crate::Backplane::watch).
    fn on_join(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        let _ = (topic, member);
    }

    /// A member is gone.
    fn on_leave(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        let _ = (topic, member);
    }

    /// The engine is there.
    fn on_up(&mut self) {}

    /// The engine is away. Subscribers stay; what they miss is recovered, or
    /// reported, when it is back.
    fn on_down(&mut self, why: &EngineError) {
        let _ = why;
    }
}

/// A publication that waits for its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

/// A request for recovery, by the application's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecoverId(pub u64);

/// A request for who is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresenceId(pub(crate) u64);

/// A message that was recovered; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its position.
    pub position: Position,
    /// The message.
    pub payload: Bytes,
}

/// The answer to a request for recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery<'a> {
    /// All that was published after the position that was asked for, in order.
    Recovered {
        /// The messages.
        messages: &'a [Message],
        /// Where the topic is now.
        position: Position,
    },
    /// Some of it is lost, or is not proven not to be.
    Lost {
        /// Why.
        why: Why,
        /// The next message that [`Handler::on_message`] tells is the one after
        /// this position; unknown while the engine is away.
        position: Option<Position>,
    },
}

/// Messages are missing in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discontinuity {
    /// Why they cannot be had.
    pub why: Why,
    /// The last position before.
    pub from: Position,
    /// The next message is the one after this position.
    pub to: Position,
}

/// Why messages are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The engine does not keep them any more, or never did.
    #[error("the history does not reach back so far")]
    Trimmed,
    /// The position is of an epoch that has ended: the engine lost its data.
    #[error("the epoch has ended")]
    Epoch,
    /// The engine came back with less than it had.
    #[error("the engine has gone back behind the position")]
    WentBack,
    /// They are more than [`Limits::recover_messages`](crate::Limits::recover_messages)
    /// or [`Limits::recover_bytes`](crate::Limits::recover_bytes).
    #[error("more than `Limits::recover_messages` or `Limits::recover_bytes`")]
    Limit,
    /// The engine was away for longer than
    /// [`Limits::recover_wait`](crate::Limits::recover_wait).
    #[error("the engine is away for longer than `Limits::recover_wait`")]
    Unavailable,
}

/// Why a message is not published, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The engine is away; the message is not published.
    #[error("the engine is away")]
    Unavailable,
    /// As much as [`Limits::pending_bytes`](crate::Limits::pending_bytes) waits
    /// for the engine already; the message is not published.
    #[error("{pending} bytes wait for the engine: `Limits::pending_bytes` is {limit}")]
    Pending {
        /// What waits.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// The payload is longer than [`Limits::payload`](crate::Limits::payload).
    #[error("a payload of {length} bytes: `Limits::payload` is {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The history is longer than [`Limits::history`](crate::Limits::history).
    #[error("a history of {messages} messages: `Limits::history` is {limit}")]
    History {
        /// What was asked for.
        messages: u32,
        /// The limit.
        limit: u32,
    },
    /// The topic has no name that can be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The engine went away before it answered: the message may be published,
    /// and may be not. With a key it can be published again without harm.
    #[error("the engine went away before it answered: the message may be published or not")]
    Unknown,
    /// The engine refused it, with its words for it.
    #[error("the engine refused the message: {0}")]
    Refused(String),
}

/// A name of a topic, of a member, or a key, that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("the name is empty")]
    Empty,
    /// It is longer than [`Limits::name`](crate::Limits::name).
    #[error("a name of {length} bytes: `Limits::name` is {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// A subscription, or a request, that a limit forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// As many topics as [`Limits::topics`](crate::Limits::topics) are there.
    #[error("`Limits::topics` is {0}")]
    Topics(usize),
    /// As many requests as [`Limits::waiting`](crate::Limits::waiting) wait.
    #[error("`Limits::waiting` is {0}")]
    Waiting(usize),
    /// As many members as [`Limits::members`](crate::Limits::members) are there.
    #[error("`Limits::members` is {0}")]
    Members(usize),
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
}
