//! Time: keepalive, and the deadline of the end.

use std::{
    mem,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{CloseCode, CloseFrame, Due, Keepalive, KeepaliveConfig};

use super::{Engine, Phase};
use crate::{
    error::{Failure, Timeout},
    outgoing::Outgoing,
    timer::{self, Timer},
};

/// Keepalive with a clock.
#[derive(Debug)]
pub(super) struct Life {
    started: Instant,
    keepalive: Keepalive,
    round_trip_time: Option<Duration>,
    last_input: Duration,
    /// Data came with the last input, and `keepalive` was not told so yet.
    pub(super) has_data: bool,
}

impl Life {
    pub(super) fn new() -> Self {
        Self {
            started: timer::now(),
            keepalive: Keepalive::new(Duration::ZERO),
            round_trip_time: None,
            last_input: Duration::ZERO,
            has_data: false,
        }
    }

    pub(super) const fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip_time
    }

    /// Notes a sign of life.
    pub(super) fn handle_input(&mut self) {
        self.settle_data();
        self.last_input = self.elapsed();
        self.keepalive.handle_input(self.last_input);
    }

    pub(super) fn handle_pong(&mut self, payload: &[u8]) {
        let now = self.elapsed();
        let time = self.keepalive.handle_pong(payload, now);
        self.round_trip_time = time.or(self.round_trip_time);
    }

    fn next(&mut self, config: &KeepaliveConfig) -> Option<Instant> {
        self.settle_data();
        let (at, _) = self.keepalive.poll_timeout(config)?;
        self.started.checked_add(at)
    }

    fn due(&mut self, config: &KeepaliveConfig) -> Option<Due> {
        let now = self.elapsed();
        self.keepalive.handle_timeout(config, now)
    }

    fn elapsed(&self) -> Duration {
        timer::now().saturating_duration_since(self.started)
    }

    fn settle_data(&mut self) {
        if mem::take(&mut self.has_data) {
            self.keepalive.handle_data(self.last_input);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Does what time asks for; pending until it asks for more.
    pub(super) fn poll_time(&mut self) -> Poll<()> {
        // Nothing is due before the timer that is set: what comes in only
        // moves the times of keepalive back.
        if self.deadline.is_none()
            && let Some(timer) = &self.timer
            && timer.is_set()
            && timer::now() < timer.goes_off()
        {
            return Poll::Pending;
        }
        loop {
            let keepalive = match self.deadline {
                // A peer that is told to close has a deadline instead.
                None if !self.backlog.is_full() => self.life.next(&self.config.keepalive),
                // And one that is not read from cannot answer.
                _ => None,
            };
            let Some(at) = self.deadline.or(keepalive) else {
                self.timer = None;
                return Poll::Pending;
            };
            // A timer that goes off early is cheaper than one that is moved
            // for every read.
            let timer = match &mut self.timer {
                Some(timer) if timer.goes_off() <= at => timer,
                place => place.insert(Timer::at(at)),
            };
            // The waker is the same every time.
            ready!(timer.poll_same(&mut Context::from_waker(&self.waker)));
            self.timer = None;
            if timer::now() >= at {
                self.handle_time();
                return Poll::Ready(());
            }
        }
    }

    fn handle_time(&mut self) {
        self.has_progress = true;
        // A thread that has nothing else to do is still asked for the time.
        self.compression.sweep();
        if self.deadline.is_some() {
            return match (self.phase, self.write_error.take()) {
                (Phase::Open, Some(error)) => self.abandon(Failure::Io(error)),
                (Phase::Open, None) => self.abandon(Failure::Timeout(Timeout::Close)),
                // The peer was told, and does not end: we do.
                _ => self.finish(),
            };
        }
        match self.life.due(&self.config.keepalive) {
            None => {}
            Some(Due::Ping(payload)) => {
                // A Close that was sent stands in its way, and needs none.
                let _ = self.queue_unbounded(&Outgoing::Ping(&payload));
                let _ = self.poll_drain();
            }
            Some(Due::PongTimeout) => self.abandon(Failure::Timeout(Timeout::Pong)),
            Some(Due::IdleTimeout) => {
                let code = CloseCode::GOING_AWAY;
                let reason = "idle_timeout";
                let _ = self.queue_unbounded(&Outgoing::Close(Some(CloseFrame { code, reason })));
                self.failure
                    .get_or_insert_with(|| Box::new(Failure::Timeout(Timeout::Idle)));
                self.begin_end();
            }
        }
    }
}
