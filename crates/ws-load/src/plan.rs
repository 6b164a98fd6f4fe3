//! What a run is to do.

use std::time::Duration;

use crate::{error::LoadError, measured::Window, messages::Messages, target::Target};

/// What a run is to do. Every field may be changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// What is sent.
    pub messages: Messages,
    /// How many connections send, in turn; 1 by default. With [`broadcast`](Self::broadcast) the
    /// first one sends and all of them listen.
    pub connections: usize,
    /// How many connections are open besides and say nothing; none by default.
    pub idle: usize,
    /// Connections besides that read slowly, or never.
    pub slow: Option<Slow>,
    /// How many connections begin to open in a second; by default as soon as fewer than 64 are on
    /// their way.
    pub connect_rate: Option<f64>,
    /// When messages are sent.
    pub pace: Pace,
    /// Whether a message goes to all connections, and not back to its sender alone.
    pub broadcast: Option<BroadcastPlan>,
    /// Connections that come while the others send.
    pub visits: Option<VisitPlan>,
    /// What is measured.
    pub window: Window,
    /// How long answers are waited for at the end; 1 s by default. What is still missing then
    /// counts as long as it was waited for.
    pub drain: Duration,
}

/// When messages are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// An open loop: so many messages a second over all connections, whatever the server does.
    Rate {
        /// Messages a second.
        per_second: f64,
        /// How long the rate takes to grow from nothing, before the warm-up.
        ramp: Duration,
    },
    /// A closed loop: each connection sends again once it was answered. It tells how much a server
    /// can do; latencies say little, as no server is asked for more than it gives.
    Closed,
}

/// Who receives a message that is broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastPlan {
    /// Every connection.
    All,
    /// Every connection but its sender.
    Others,
}

/// Connections that read slowly. They send when it is their turn, and nobody waits for what they
/// are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// How many.
    pub connections: usize,
    /// How many bytes each reads in a second; 0 for none at all.
    pub bytes_per_second: usize,
}

/// Connections that come while the others send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VisitPlan {
    /// So many begin their handshakes when the measuring begins, all at once, and stay.
    Storm(usize),
    /// So many come in a second, and each closes as soon as it is open.
    Churn(f64),
    /// So many are there at any time: each closes as soon as it is open, and the next comes.
    ChurnAtOnce(usize),
}

impl Plan {
    /// Plans one connection, 1,000 messages a second, and 10 s of measuring after 1 s of warming
    /// up.
    #[must_use]
    pub const fn new(target: Target, messages: Messages) -> Self {
        Self {
            target,
            messages,
            connections: 1,
            idle: 0,
            slow: None,
            connect_rate: None,
            pace: Pace::Rate {
                per_second: 1000.0,
                ramp: Duration::ZERO,
            },
            broadcast: None,
            visits: None,
            window: Window::new(),
            drain: Duration::from_secs(1),
        }
    }

    pub(crate) fn slow_connections(&self) -> usize {
        self.slow.map_or(0, |slow| slow.connections)
    }

    /// All connections that stay.
    pub(crate) fn staying(&self) -> usize {
        self.connections + self.slow_connections() + self.idle
    }

    pub(crate) fn is_closed_loop(&self) -> bool {
        self.pace == Pace::Closed
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let is_rate = |rate: f64| rate > 0.0 && rate.is_finite();
        let sending = match self.pace {
            Pace::Rate { per_second, .. } => Some(per_second),
            Pace::Closed => None,
        };
        let visiting = match self.visits {
            Some(VisitPlan::Churn(per_second)) => Some(per_second),
            _ => None,
        };
        let rates = [sending, visiting, self.connect_rate];
        let has_rates = rates.into_iter().flatten().all(is_rate);
        let is_pipelined = self.messages.at_once() > 1;
        match () {
            () if !has_rates => Err(LoadError::Plan("a rate is more than nothing a second")),
            () if is_pipelined && !self.is_closed_loop() => Err(LoadError::Plan(
                "several messages are sent at once in a closed loop only",
            )),
            () if self.staying() == 0 && self.visits.is_none() => {
                Err(LoadError::Plan("there is no connection"))
            }
            () if self.connections == 0 && self.broadcast.is_some() => {
                Err(LoadError::Plan("a broadcast has a sender"))
            }
            () if !self.target.sources.suit(self.target.address) => Err(LoadError::Plan(
                "local addresses are of the same family as the server's",
            )),
            () => Ok(()),
        }
    }
}
