//! What a connection owns also while it is idle.

use std::time::Duration;

use ws_proto::Keepalive;

use crate::{
    arena::NOWHERE,
    connect::Role,
    deflate::Terms,
    share::Patience,
    wheel::{Tick, Timer, tick_from},
};

/// What a connection owns also while it is idle.
#[derive(Debug)]
pub(crate) struct Slot<T, D> {
    pub(crate) transport: T,
    pub(crate) keepalive: Keepalive,
    /// Where its [`Link`], or its half-read request, is kept; `NOWHERE` while
    /// it has none.
    pub(crate) state: u32,
    pub(crate) generation: u32,
    pub(crate) timer: Timer,
    pub(crate) phase: Phase,
    pub(crate) role: Role,
    /// Which of the loop's profiles it has.
    pub(crate) profile: u8,
    /// What was agreed on about compression.
    pub(crate) terms: Option<Terms>,
    /// The transport may have bytes that were not read: with edge-triggered
    /// readiness nobody says so again.
    pub(crate) readable: bool,
    /// An end of the stream, or a failure, stands behind what is to be read.
    pub(crate) read_closed: bool,
    /// Registered for writable readiness too.
    pub(crate) wants_write: bool,
    /// In the loop's list of those that go on in the next turn.
    pub(crate) goes_on: bool,
    pub(crate) data: D,
}

impl<T, D> Slot<T, D> {
    /// Starts a connection that has `until` for its opening handshake.
    pub(crate) const fn new(
        transport: T,
        generation: u32,
        now: Duration,
        until: Tick,
        data: D,
    ) -> Self {
        Self {
            transport,
            keepalive: Keepalive::new(now),
            state: NOWHERE,
            generation,
            timer: Timer::new(),
            phase: Phase::Upgrading { until },
            role: Role::Server,
            profile: 0,
            terms: None,
            readable: false,
            read_closed: false,
            wants_write: false,
            goes_on: false,
            data,
        }
    }
}

impl<T, D> AsMut<Timer> for Slot<T, D> {
    fn as_mut(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request is not whole yet.
    Upgrading { until: Tick },
    /// Messages go both ways, up to the peer's Close; our own is sent when the
    /// time has come, if not before.
    Open { until: Tick },
    /// What was written last is on its way to a slow peer.
    Flushing { until: Tick, linger: bool },
    /// Everything was written and the stream ended; the peer is given time to
    /// read it, since a socket that is dropped with unread input resets the
    /// connection and takes what it has sent along.
    Lingering { until: Tick, patience: Patience },
}

impl Phase {
    /// Starts what may go on for `lifetime`.
    pub(crate) fn open(now: Tick, lifetime: Option<Duration>) -> Self {
        let until = lifetime.map_or(Tick::MAX, |lifetime| tick_from(now, lifetime));
        Self::Open { until }
    }

    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }
}
