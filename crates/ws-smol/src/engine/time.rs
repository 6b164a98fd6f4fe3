//! Time: keepalive, and the deadline of the end.

use std::{
    mem,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{CloseCode, CloseFrame, Due, Keepalive, KeepaliveConfig, TimeLimits};

use super::{Engine, Phase};
use crate::{
    error::{Failure, Timeout},
    outgoing::Outgoing,
    pings::{Pings, Pong},
    timer::{self, Timer},
};

/// Keepalive with a clock.
#[derive(Debug)]
pub(super) struct Life {
    started: Instant,
    keepalive: Keepalive,
    round_trip_time: RoundTrip,
    /// None as long as the application has sent no Ping.
    pings: Option<Box<Pings>>,
    last_input: Duration,
    /// Data came with the last input, and `keepalive` was not told so yet.
    pub(super) has_data: bool,
    /// Since when the transport takes nothing.
    pub(super) blocked_since: Since,
    /// Since when a message, or a frame, is not finished.
    begun_since: Since,
    /// A message was finished since this was last looked at.
    pub(super) has_finished: bool,
    is_flooded: bool,
    /// As much as is counted at most is no limit.
    max_control_rate: u16,
}

impl Life {
    pub(super) fn new(max_control_rate: u32) -> Self {
        Self {
            started: timer::now(),
            keepalive: Keepalive::new(Duration::ZERO),
            round_trip_time: RoundTrip::UNKNOWN,
            pings: None,
            last_input: Duration::ZERO,
            has_data: false,
            blocked_since: Since::NEVER,
            begun_since: Since::NEVER,
            has_finished: false,
            is_flooded: false,
            max_control_rate: u16::try_from(max_control_rate).unwrap_or(u16::MAX),
        }
    }

    fn last_input_at(&self) -> Instant {
        self.started + self.last_input
    }

    pub(super) const fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip_time.get()
    }

    /// Notes a sign of life.
    pub(super) fn handle_input(&mut self) {
        self.settle_data();
        self.last_input = self.elapsed();
        self.keepalive.handle_input(self.last_input);
    }

    pub(super) fn handle_pong(&mut self, payload: &[u8]) {
        let now = self.elapsed();
        let keepalive = self.keepalive.handle_pong(payload, now);
        let pings = self.pings.as_mut();
        let own = pings.and_then(|pings| pings.note_pong(payload, now));
        if let Some(time) = own.or(keepalive) {
            self.round_trip_time = RoundTrip::from_duration(time);
        }
    }

    /// Notes a Ping of the application's.
    pub(super) fn note_ping(&mut self, payload: &[u8]) {
        let now = self.elapsed();
        self.pings.get_or_insert_default().note_ping(payload, now);
    }

    pub(super) fn last_pong(&self) -> Option<Pong> {
        self.pings.as_ref()?.last_pong.clone()
    }

    /// Notes a Ping or a Pong.
    pub(super) fn handle_control(&mut self) {
        let now = self.elapsed();
        let count = self.keepalive.handle_control(now);
        self.is_flooded |= count > self.max_control_rate.into();
    }

    pub(super) const fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// Starts and stops the clocks; tells whether one was started or stopped.
    fn keep_clocks(&mut self, is_blocked: bool, is_begun: bool) -> bool {
        if mem::take(&mut self.has_finished) {
            self.begun_since = Since::NEVER;
        }
        let before = (self.blocked_since, self.begun_since);
        if is_blocked != self.blocked_since.is_set() || is_begun != self.begun_since.is_set() {
            let now = Since::time(self.elapsed());
            self.blocked_since.keep(is_blocked, now);
            self.begun_since.keep(is_begun, now);
        }
        before != (self.blocked_since, self.begun_since)
    }

    /// Returns what the peer is next to fail to do, and when, if `received` bytes
    /// of the message came that is open.
    fn next_overdue(&self, limits: &TimeLimits, received: u64) -> Option<(Instant, Overdue)> {
        let after = |since: Option<Duration>, limit: Option<Duration>, overdue| {
            let at = since?.checked_add(limit?)?;
            Some((self.started.checked_add(at)?, overdue))
        };
        let all = [
            after(
                self.blocked_since
                    .get()
                    .filter(|_| !fault!("write-deadline-missing")),
                limits.write_progress,
                Overdue::Write,
            ),
            after(
                self.begun_since
                    .get()
                    .filter(|_| !fault!("message-not-timed")),
                limits.for_message(received),
                Overdue::Message,
            ),
            after(Some(Duration::ZERO), limits.lifetime, Overdue::Lifetime),
        ];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
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

/// A time in whole microseconds, half the size of an `Option<Duration>`.
#[derive(Clone, Copy, Debug)]
struct RoundTrip(u64);

impl RoundTrip {
    const UNKNOWN: Self = Self(u64::MAX);

    const fn from_duration(time: Duration) -> Self {
        Self(time.as_micros() as u64)
    }

    const fn get(self) -> Option<Duration> {
        match self.0 {
            u64::MAX => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }
}

/// A time in whole milliseconds, half the size of an `Option<Duration>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Since {
    pub(super) const NEVER: Self = Self(u64::MAX);

    const fn time(time: Duration) -> Self {
        Self(time.as_millis() as u64)
    }

    fn is_set(self) -> bool {
        self != Self::NEVER
    }

    fn get(self) -> Option<Duration> {
        self.is_set().then(|| Duration::from_millis(self.0))
    }

    /// Starts or stops the clock, or lets it be.
    fn keep(&mut self, is_on: bool, now: Self) {
        if is_on != self.is_set() {
            *self = if is_on { now } else { Self::NEVER };
        }
    }
}

/// What a peer has failed to do.
#[derive(Clone, Copy, Debug)]
enum Overdue {
    Write,
    Message,
    /// Nothing: it was there for as long as it may be.
    Lifetime,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Tells whether time may ask for something: as far as is known without a
    /// look at the clock, which is when the peer was heard of last.
    pub(super) fn is_time_up(&self) -> bool {
        match &self.timer {
            Some(timer) => timer.goes_off() <= self.life.last_input_at(),
            None => true,
        }
    }

    /// Does what time asks for; pending until it asks for more.
    pub(super) fn poll_time(&mut self) -> Poll<()> {
        // A peer that is not read from cannot finish anything.
        let is_begun = !self.receiver.is_idle() && !self.backlog.is_full();
        let is_new = self.life.keep_clocks(self.output.is_blocked, is_begun);
        // Nothing is due before the timer that is set: what comes in only
        // moves the times of keepalive back.
        if self.deadline.is_none()
            && !is_new
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
            let overdue = match self.deadline {
                None => self.next_overdue(),
                Some(_) => None,
            };
            let due = [keepalive, overdue.map(|(at, _)| at)];
            let due = due.into_iter().flatten().min();
            let Some(at) = self.deadline.or(due) else {
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

    fn next_overdue(&self) -> Option<(Instant, Overdue)> {
        let received = self.receiver.message_received();
        self.life.next_overdue(&self.config.time_limits, received)
    }

    fn handle_time(&mut self) {
        self.has_progress = true;
        // A thread that has nothing else to do is still asked for the time.
        self.compression.sweep();
        // Nor does one that holds nothing for long keep its place in the budget.
        self.share.take_if(|share| share.held() == 0);
        if self.deadline.is_some() {
            return match (self.phase, self.write_error.take()) {
                (Phase::Open, Some(error)) => self.abandon(Failure::Io(error)),
                (Phase::Open, None) => self.abandon(Failure::Timeout(Timeout::Close)),
                // The peer was told, and does not end: we do.
                _ => self.finish(),
            };
        }
        if let Some((at, overdue)) = self.next_overdue()
            && timer::now() >= at
        {
            return self.handle_overdue(overdue);
        }
        if self.backlog.is_full() {
            return;
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
    fn handle_overdue(&mut self, overdue: Overdue) {
        match overdue {
            Overdue::Write => self.abandon(Failure::Timeout(Timeout::Write)),
            Overdue::Message => {
                self.turn_away("message_timeout", Failure::Timeout(Timeout::Message));
            }
            Overdue::Lifetime => {
                let (code, reason) = (CloseCode::GOING_AWAY, "lifetime");
                // It fails if a Close was sent, or nothing can be.
                let _ = self.start_close(Some(CloseFrame { code, reason }));
                let deadline = self.close_deadline();
                self.deadline.get_or_insert(deadline);
                let _ = self.poll_drain();
            }
        }
    }
}
