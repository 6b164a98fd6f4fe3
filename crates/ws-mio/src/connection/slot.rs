//! What a connection owns also while it is idle.

use std::time::Duration;

use ws_handshake::DeflateParams;
use ws_proto::{Clock, Stage};

use super::{Kept, role::Role};
use crate::slots::wheel::{TICK, Tick, Timer, tick_at};

/// What a connection owns also while it is idle.
#[derive(Debug)]
pub(crate) struct Slot<T, D> {
    pub(crate) transport: T,
    pub(crate) clock: Clock,
    /// Where the state lies that it has beside this.
    pub(crate) kept: Kept,
    pub(crate) generation: u32,
    pub(crate) timer: Timer,
    pub(crate) role: Role,
    /// Which of the loop's profiles it has.
    pub(crate) profile: u8,
    /// What was agreed on about compression.
    pub(crate) deflate: Option<DeflateParams>,
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
    pub(crate) fn new(transport: T, generation: u32, now: Duration, until: Tick, data: D) -> Self {
        Self {
            transport,
            clock: Clock::opening(TICK * until, now),
            kept: Kept::NOTHING,
            generation,
            timer: Timer::new(),
            role: Role::Server,
            profile: 0,
            deflate: None,
            readable: false,
            read_closed: false,
            wants_write: false,
            goes_on: false,
            data,
        }
    }

    pub(crate) fn is_opening(&self) -> bool {
        self.clock.stage() == Stage::Opening
    }

    /// Tells whether messages are received.
    pub(crate) const fn is_open(&self) -> bool {
        self.clock.stage().is_receiving()
    }

    /// Returns the deadline of the connection's stage.
    pub(crate) fn until(&self) -> Tick {
        self.clock.until().map_or(Tick::MAX, tick_at)
    }
}

impl<T, D> AsMut<Timer> for Slot<T, D> {
    fn as_mut(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connection_takes_72_bytes() {
        // A socket is its number, but for what mio adds to find mistakes in
        // debug builds.
        assert!(size_of::<Slot<i32, ()>>() <= 72);
    }
}
