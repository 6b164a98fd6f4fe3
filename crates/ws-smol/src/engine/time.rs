//! Time: drives the clock of a connection.

use std::{
    mem,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{BusyTimers, Clock, Due, Flow};

use super::Engine;
use crate::{
    Config,
    error::Failure,
    outgoing::Outgoing,
    pings::{Pings, Pong},
    timer::Timers,
};

/// The clock of a connection, and what is measured by it.
#[derive(Debug)]
pub(super) struct Life {
    timers: Timers,
    started: Instant,
    pub(super) clock: Clock,
    busy: BusyTimers,
    round_trip_time: RoundTrip,
    /// None as long as the application has sent no Ping.
    pings: Option<Box<Pings>>,
    /// Data came with the last input, and the clock was not told so yet.
    pub(super) has_data: bool,
    /// A message was finished since this was last looked at.
    pub(super) has_finished: bool,
    /// The transport has taken something after it took nothing.
    pub(super) has_moved: bool,
    is_flooded: bool,
}

impl Life {
    pub(super) fn new(config: &Config, timers: Timers) -> Self {
        Self {
            started: timers.now(),
            timers,
            clock: Clock::open(&config.times(), Duration::ZERO),
            busy: BusyTimers::new(),
            round_trip_time: RoundTrip::UNKNOWN,
            pings: None,
            has_data: false,
            has_finished: false,
            has_moved: false,
            is_flooded: false,
        }
    }

    fn last_input_at(&self) -> Instant {
        self.started + self.clock.last_input()
    }

    pub(super) const fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip_time.get()
    }

    /// Notes a sign of life.
    pub(super) fn handle_input(&mut self) {
        self.settle_data();
        self.clock.note_input(self.elapsed());
    }

    pub(super) fn handle_pong(&mut self, payload: &[u8]) {
        let now = self.elapsed();
        let keepalive = self.clock.note_pong(payload, now);
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
    pub(super) fn handle_control(&mut self, max_rate: u32) {
        let now = self.elapsed();
        self.is_flooded |= self.clock.note_control(max_rate, now);
    }

    pub(super) const fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// Notes how data flows; tells whether a timer was started.
    fn note_flow(&mut self, mut flow: Flow, config: &Config, now: Instant) -> bool {
        self.settle_data();
        flow.has_moved = mem::take(&mut self.has_moved);
        if mem::take(&mut self.has_finished) {
            self.busy.note_finished();
        }
        if self.busy.note_idle(&flow) {
            return false;
        }
        let now = now.saturating_duration_since(self.started);
        let times = config.times();
        self.clock.note_flow(&mut self.busy, &flow, &times, now)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.timers.now().saturating_duration_since(self.started)
    }

    fn settle_data(&mut self) {
        if mem::take(&mut self.has_data) {
            self.clock.note_data_in_input();
        }
    }
}

/// A time in whole microseconds, of an hour at most: a quarter of the size of an
/// `Option<Duration>`.
#[derive(Clone, Copy, Debug)]
struct RoundTrip(u32);

impl RoundTrip {
    const UNKNOWN: Self = Self(u32::MAX);

    fn from_duration(time: Duration) -> Self {
        let micros = time.min(HOUR).as_micros();
        Self(micros as u32)
    }

    const fn get(self) -> Option<Duration> {
        match self.0 {
            u32::MAX => None,
            micros => Some(Duration::from_micros(micros as u64)),
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

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
        let now = self.life.timers.now();
        let is_ahead = self.backlog.is_full();
        let flow = Flow {
            is_waiting: self.output.is_blocked,
            has_moved: false,
            is_begun: !self.receiver.is_idle(),
            received: self.receiver.message_received(),
            is_reading: !is_ahead,
            is_paused: is_ahead,
            is_close_sent: self.sender.is_close_sent(),
        };
        let is_sooner = self.life.note_flow(flow, &self.config, now);
        // Nothing is due before the timer that is set: what comes in only
        // moves timers back.
        if !is_sooner
            && let Some(timer) = &self.timer
            && timer.is_set()
            && now < timer.goes_off()
        {
            return Poll::Pending;
        }
        loop {
            let Life { clock, busy, .. } = &self.life;
            let next = clock.next(busy, &self.config.times(), self.life.elapsed());
            let Some(at) = next.and_then(|at| self.life.started.checked_add(at)) else {
                self.timer = None;
                return Poll::Pending;
            };
            // A timer that goes off early is cheaper than one that is moved
            // for every read.
            let timer = match &mut self.timer {
                Some(timer) if timer.goes_off() <= at => timer,
                place => place.insert(self.life.timers.at(at)),
            };
            // The waker is the same every time.
            ready!(timer.poll_same(&mut Context::from_waker(&self.waker)));
            self.timer = None;
            if self.life.timers.now() >= at {
                self.handle_time();
                return Poll::Ready(());
            }
        }
    }

    fn handle_time(&mut self) {
        self.has_progress = true;
        // A thread that has nothing else to do is still asked for the time.
        self.compression.sweep(self.life.timers.now());
        // Nor does one that holds nothing for long keep its place in the budget.
        self.share.take_if(|share| share.held() == 0);
        let now = self.life.elapsed();
        let Life { clock, busy, .. } = &mut self.life;
        let is_receiving = clock.stage().is_receiving();
        match clock.handle_timeout(busy, &self.config.times(), now) {
            None => {}
            Some(Due::Ping(payload)) => {
                // A Close that was sent stands in its way, and needs none.
                let _ = self.queue_unbounded(&Outgoing::Ping(&payload));
                let _ = self.poll_drain();
            }
            Some(Due::Close(timeout)) => {
                let close = Failure::Timeout(timeout).close_frame();
                let _ = self.queue_unbounded(&Outgoing::Close(close));
                let _ = self.poll_drain();
            }
            Some(Due::Fail(timeout)) => self.turn_away(Failure::Timeout(timeout)),
            Some(Due::Drop(timeout)) if is_receiving => {
                let failure = match self.write_error.take() {
                    Some(error) => Failure::Io(error),
                    None => Failure::Timeout(timeout),
                };
                self.abandon(failure);
            }
            // The peer was told, and does not end: we do.
            Some(Due::Drop(_)) => self.finish(),
        }
    }
}
