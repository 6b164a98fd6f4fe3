//! What the application knows of a connection.

use std::time::Duration;

use ws_mio::PeerId;

use super::TOPICS;

/// What the application knows of a connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) state: State,
    pub(crate) id: Option<PeerId>,
    /// The peer has connected to us.
    pub(super) is_client: bool,
    /// Messages that came, and their bytes.
    pub(crate) received: u32,
    pub(crate) received_bytes: u64,
    /// Messages that were taken to be sent to this peer.
    pub(crate) sent: u32,
    /// The turns in which a message was last sent, and last sent back.
    pub(crate) sent_in: u64,
    pub(crate) echoed_in: u64,
    /// A message was too much for a peer that is to be dropped for that.
    pub(crate) is_too_slow: bool,
    /// The second in which a Ping or a Pong came last, and how many came in it.
    pub(super) controls: (u64, u32),
    pub(crate) is_paused: bool,
    pub(crate) opened_at: Duration,
    /// When something was last handed out, or it was resumed.
    pub(crate) active_at: Duration,
    /// We have sent a Close.
    pub(crate) closing_at: Option<Duration>,
    pub(crate) closed_at: Duration,
    /// What was on its way when it ended was given up.
    pub(crate) is_aborted: bool,
    /// Messages that were sent back just as they came, each with how many were
    /// sent to this peer before.
    pub(crate) echoes: Vec<(u32, u32)>,
    /// The turn in which each topic was subscribed to.
    pub(crate) subscribed: [Option<u64>; TOPICS],
    /// That in which it was last left.
    pub(super) left: [Option<u64>; TOPICS],
    pub(crate) timer: Option<Duration>,
    /// The turn in which it was set, and the timer before that.
    pub(super) timer_set_in: u64,
    pub(super) timer_before: Option<Duration>,
    pub(crate) end: Option<End>,
    /// The rest of a message whose first fragment was sent.
    pub(super) tail: Option<String>,
    /// A message that comes in pieces.
    pub(super) pieces: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Not open, and not asked for by us.
    #[default]
    Unknown,
    /// Asked for by us.
    Connecting,
    Open,
    Closed,
    /// It never came to be.
    Failed,
}

impl Connection {
    /// Tells whether what is published to a topic in a turn may reach it.
    pub(crate) fn may_hear(&self, topic: usize, turn: u64) -> bool {
        // It is delivered at the end of a turn, or in the next.
        let is_since = self.subscribed[topic].is_some_and(|since| since <= turn + 2);
        is_since || self.left[topic].is_some_and(|left| turn <= left + 2)
    }

    /// Returns how many messages were sent to this peer, and how many sent back.
    pub(crate) fn said(&self) -> (u32, u32) {
        (self.sent, self.echoes.len() as u32)
    }

    /// Tells whether the rest of a message waits to be sent.
    pub(crate) const fn has_tail(&self) -> bool {
        self.tail.is_some()
    }
}

/// Why the application was told that a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer's Close came.
    Close,
    /// The stream ended.
    Lost,
    /// The peer broke a rule.
    Protocol,
    /// The peer did not answer our Close.
    Unanswered,
    Other,
}
