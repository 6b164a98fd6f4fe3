//! The clock of one connection: every deadline of it, as pure state.

use core::time::Duration;

use crate::{
    Cause, DISCARD_MAX, END_WAIT, EndOrder, Ending, KeepaliveConfig, Stage, TimeLimits, Timeout,
};

/// The clock of one connection: keepalive, time limits, the lifetime, the
/// closing handshake and the end, in one list of timers.
///
/// The caller brings the time: a [`Duration`] since any moment that it chose,
/// the same at every call, which never runs backwards. The caller
///
/// 1. notes what happens, with the `note_…` methods;
/// 2. waits no longer than until [`next`](Self::next) says, and asks again when
///    [`note_flow`](Self::note_flow) returns `true`;
/// 3. calls [`handle_timeout`](Self::handle_timeout) then, and does what is [`Due`]; a call that is
///    too early returns nothing.
///
/// A connection that is in the middle of something has [`BusyTimers`] beside
/// its clock; one that idles needs none, and
/// [`BusyTimers::new`] stands for them.
///
/// Times are kept in milliseconds, and the deadline of a [`Stage`] in 20ths of
/// a second, rounded up: so a clock takes 36 bytes.
///
/// ```
/// use core::time::Duration;
/// use ws_proto::{BusyTimers, Clock, Due, KeepaliveConfig, TimeLimits, Times};
///
/// let (keepalive, limits) = (KeepaliveConfig::default(), TimeLimits::default());
/// let times = Times::new(&keepalive, &limits, Duration::from_secs(10));
/// let mut clock = Clock::open(&times, Duration::ZERO);
/// let mut busy = BusyTimers::new();
/// let at = clock.next(&busy, &times, Duration::ZERO).unwrap();
/// assert_eq!(at, Duration::from_secs(30));
/// assert_eq!(clock.handle_timeout(&mut busy, &times, at), Some(Due::Ping([0, 0, 0, 1])));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    last_input: Millis,
    last_data: Millis,
    /// When the last Ping was sent, or the connection opened.
    ping_sent: Millis,
    /// The deadline of the stage.
    until: Coarse,
    /// The number of the last Ping, which is its payload, in 15 bits; and in
    /// the highest whether it was answered.
    pings: u16,
    stage: Stage,
    /// The second in which a Ping or a Pong came last.
    control_second: u16,
    /// How many Pings and Pongs came in it; in the end, how many KiB were
    /// discarded.
    counted: u16,
}

/// The timers of a connection that is in the middle of something: output waits
/// for the peer, or a message was begun and not finished.
#[derive(Clone, Copy, Debug)]
pub struct BusyTimers {
    /// Since when the peer has taken nothing of what waits for it.
    write: Millis,
    /// Since when a message, or a frame, is not finished.
    message: Millis,
    /// How many bytes of that message came.
    received: u64,
    has_finished: bool,
    is_paused: bool,
}

/// How long things may take on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    keepalive: &'a KeepaliveConfig,
    limits: &'a TimeLimits,
    close_timeout: Duration,
    end_by: Option<Duration>,
}

/// How the data of a connection flows, for [`Clock::note_flow`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Output waits for the peer.
    pub is_waiting: bool,
    /// The peer took some of it since the flow was last noted.
    pub has_moved: bool,
    /// A frame or a message was begun and is not finished: the
    /// [`Receiver`](crate::Receiver) is not idle.
    pub is_begun: bool,
    /// How many bytes of that message came; see
    /// [`Receiver::message_received`](crate::Receiver::message_received).
    pub received: u64,
    /// Input is read from the peer as it comes; it is not where the application
    /// paused, or where the peer reads too slowly itself.
    pub is_reading: bool,
    /// The application wants nothing to be read for now.
    pub is_paused: bool,
    /// Our Close was sent or queued.
    pub is_close_sent: bool,
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a Ping with this payload.
    Ping([u8; 4]),
    /// Send the [Close](Cause::close_frame) that tells of the timeout, and go on
    /// receiving up to the peer's.
    Close(Timeout),
    /// Send the Close, and receive nothing more: the peer passed a limit.
    Fail(Timeout),
    /// Drop the transport.
    Drop(Timeout),
}

/// The timers, in the order in which those are handled that are due at the same
/// time: a Ping comes before giving a peer up.
const TIMERS: [Timer; 7] = [
    Timer::Stage,
    Timer::Write,
    Timer::Message,
    Timer::Ping,
    Timer::Measure,
    Timer::Pong,
    Timer::Idle,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// The deadline of the stage: of the opening handshake, the lifetime, of
    /// the closing handshake, of a step of the end.
    Stage,
    /// `time_limits.write_progress`
    Write,
    /// `time_limits.message`
    Message,
    /// `keepalive.ping_interval`
    Ping,
    /// `keepalive.measure_interval`
    Measure,
    /// `keepalive.pong_timeout`
    Pong,
    /// `keepalive.idle_timeout`
    Idle,
}

/// The bit of a Ping's number that tells that it was answered.
const ANSWERED: u16 = 1 << 15;

/// A time in whole milliseconds. There are many connections, so it has the
/// alignment of a `u32`.
#[repr(Rust, packed(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Millis(u64);

impl Millis {
    const NEVER: Self = Self(u64::MAX);

    const fn at(time: Duration) -> Self {
        let millis = time.as_secs().saturating_mul(1000);
        let millis = millis.saturating_add(time.subsec_millis() as u64);
        if millis < u64::MAX {
            Self(millis)
        } else {
            Self(u64::MAX - 1)
        }
    }

    /// Returns the time that is `wait` later, rounded up.
    fn after(self, wait: Duration) -> Self {
        let millis = u64::from(wait.subsec_nanos().div_ceil(1_000_000));
        let wait = wait.as_secs().saturating_mul(1000).saturating_add(millis);
        Self(self.0.saturating_add(wait))
    }

    const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    fn is_set(self) -> bool {
        self != Self::NEVER
    }

    fn if_set(self) -> Option<Self> {
        self.is_set().then_some(self)
    }
}

/// A deadline in 20ths of a second, which is as exact as many connections
/// need, in half the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coarse(u32);

impl Coarse {
    const NEVER: Self = Self(u32::MAX);
    const MILLIS: u64 = 50;

    /// Returns the first that is not before `time`.
    fn at(time: Millis) -> Self {
        let ticks = time.0.div_ceil(Self::MILLIS);
        Self(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    fn get(self) -> Option<Millis> {
        (self != Self::NEVER).then(|| Millis(u64::from(self.0) * Self::MILLIS))
    }
}

impl<'a> Times<'a> {
    /// Takes over what a connection's configuration says.
    #[must_use]
    pub const fn new(
        keepalive: &'a KeepaliveConfig,
        limits: &'a TimeLimits,
        close_timeout: Duration,
    ) -> Self {
        Self {
            keepalive,
            limits,
            close_timeout,
            end_by: None,
        }
    }

    /// During a drain, the time at which connections are dropped: peers have
    /// until then to answer a Close, instead of `close_timeout`.
    #[must_use]
    pub const fn with_end_by(mut self, end_by: Option<Duration>) -> Self {
        self.end_by = end_by;
        self
    }

    /// Returns by when the peer has to answer our Close.
    fn close_by(&self, now: Duration) -> Millis {
        match self.end_by {
            Some(end_by) => Millis::at(end_by),
            None => Millis::at(now).after(self.close_timeout),
        }
    }

    /// Returns by when a step of the end is over that has `longest` at most.
    fn step_by(&self, longest: Duration, now: Duration) -> Millis {
        let by = Millis::at(now).after(self.close_timeout.min(longest));
        self.end_by.map_or(by, |end_by| by.min(Millis::at(end_by)))
    }
}

impl BusyTimers {
    /// Returns the timers of a connection that waits for nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            write: Millis::NEVER,
            message: Millis::NEVER,
            received: 0,
            has_finished: false,
            is_paused: false,
        }
    }

    /// Notes that a message was finished: the next one has its own time.
    pub const fn note_finished(&mut self) {
        self.has_finished = true;
    }

    /// Stops the timers if data flows so that none runs, and returns whether it
    /// does: [`Clock::note_flow`] would do the same, but wants to know the time.
    #[inline]
    pub const fn note_idle(&mut self, flow: &Flow) -> bool {
        let is_timed = flow.is_begun && flow.is_reading;
        let is_idle = !flow.is_waiting && !is_timed && !flow.is_close_sent;
        if is_idle {
            *self = Self::new();
            self.is_paused = flow.is_paused;
        }
        is_idle
    }

    /// Starts and stops the timers; returns whether one was started.
    fn note_flow(&mut self, flow: &Flow, now: Duration) -> bool {
        let before = (self.write, self.message);
        (self.received, self.is_paused) = (flow.received, flow.is_paused);
        if !flow.is_waiting {
            self.write = Millis::NEVER;
        } else if (flow.has_moved || !self.write.is_set()) && !fault!("write-deadline-missing") {
            self.write = Millis::at(now);
        }
        let has_finished = core::mem::take(&mut self.has_finished);
        // A message of a peer that is not read from cannot be finished.
        if !flow.is_begun || !flow.is_reading {
            self.message = Millis::NEVER;
        } else if (has_finished || !self.message.is_set()) && !fault!("message-not-timed") {
            self.message = Millis::at(now);
        }
        let is_started = |before: Millis, now: Millis| !before.is_set() && now.is_set();
        is_started(before.0, self.write) || is_started(before.1, self.message)
    }
}

impl Default for BusyTimers {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Starts the clock of a connection whose opening handshake has until
    /// `until`.
    #[must_use]
    pub fn opening(until: Duration, now: Duration) -> Self {
        Self::new(Stage::Opening, Coarse::at(Millis::at(until)), now)
    }

    /// Starts the clock of a connection that is open.
    #[must_use]
    pub fn open(times: &Times<'_>, now: Duration) -> Self {
        let until = match times.limits.lifetime {
            Some(lifetime) if !fault!("old-age") => Coarse::at(Millis::at(now).after(lifetime)),
            _ => Coarse::NEVER,
        };
        Self::new(Stage::Open, until, now)
    }

    const fn new(stage: Stage, until: Coarse, now: Duration) -> Self {
        let now = Millis::at(now);
        Self {
            last_input: now,
            last_data: now,
            ping_sent: now,
            until,
            pings: ANSWERED,
            stage,
            control_second: 0,
            counted: 0,
        }
    }

    /// Returns how far the connection is.
    #[must_use]
    #[inline]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the deadline of the stage; `None` if it may go on for ever.
    #[must_use]
    pub fn until(&self) -> Option<Duration> {
        self.until.get().map(Millis::to_duration)
    }

    /// Moves the deadline of the stage.
    pub fn set_until(&mut self, until: Duration) {
        self.until = Coarse::at(Millis::at(until));
    }

    /// Returns when the last bytes came from the peer.
    #[must_use]
    pub const fn last_input(&self) -> Duration {
        self.last_input.to_duration()
    }

    /// Notes that bytes came from the peer, or that it took some: it is there.
    pub const fn note_input(&mut self, now: Duration) {
        self.last_input = Millis::at(now);
    }

    /// Notes that a piece of a message came.
    pub const fn note_data(&mut self, now: Duration) {
        self.last_input = Millis::at(now);
        self.last_data = self.last_input;
    }

    /// Notes that a piece of a message was among the last bytes that came.
    #[inline]
    pub const fn note_data_in_input(&mut self) {
        self.last_data = self.last_input;
    }

    /// Notes a Pong, and returns the round-trip time if it answers the Ping
    /// that was sent last.
    pub fn note_pong(&mut self, payload: &[u8], now: Duration) -> Option<Duration> {
        self.last_input = Millis::at(now);
        //= RFC6455-5.5.3-3
        if payload != self.ping_payload() || self.pings & ANSWERED != 0 {
            return None;
        }
        self.pings |= ANSWERED;
        Some(now.saturating_sub(self.ping_sent.to_duration()))
    }

    /// Notes a Ping or a Pong, and returns whether more came within this second
    /// of the clock than [`TimeLimits::max_control_rate`] allows: then the
    /// connection fails, with [`Cause::ControlFlood`].
    #[must_use]
    pub fn note_control(&mut self, max_control_rate: u32, now: Duration) -> bool {
        // One number for every second of 18 hours is enough to tell two apart.
        let second = now.as_secs() as u16;
        if second != self.control_second {
            self.control_second = second;
            self.counted = 0;
        }
        self.counted = self.counted.saturating_add(1);
        let is_limited = max_control_rate < u16::MAX.into() && !fault!("control-unlimited");
        is_limited && u32::from(self.counted) > max_control_rate
    }

    /// Notes how data flows, after each step; returns whether a timer was
    /// started, so that [`next`](Self::next) may be sooner than it was.
    pub fn note_flow(
        &mut self,
        busy: &mut BusyTimers,
        flow: &Flow,
        times: &Times<'_>,
        now: Duration,
    ) -> bool {
        let is_closing = flow.is_close_sent && self.begin_closing(None, times, now);
        busy.note_flow(flow, now) || is_closing
    }

    /// Starts to wait for the peer's Close, unless that has begun; returns
    /// whether it begins now.
    pub fn begin_closing(
        &mut self,
        timeout: Option<Timeout>,
        times: &Times<'_>,
        now: Duration,
    ) -> bool {
        if self.stage != Stage::Open {
            return false;
        }
        self.stage = Stage::Closing(timeout);
        self.until = match fault!("close-deadline-missing") {
            true => Coarse::NEVER,
            false => Coarse::at(times.close_by(now)),
        };
        true
    }

    /// Starts the end, which [takes steps](Self::end_step) of the transport.
    pub fn begin_end(&mut self, order: EndOrder, times: &Times<'_>, now: Duration) {
        self.stage = Stage::Ending(Ending::Write(order));
        self.counted = 0;
        self.until = Coarse::at(times.step_by(Duration::MAX, now));
    }

    /// Notes that a step of the end is done, and returns the next one; `None`
    /// at the end, and if there is none under way.
    pub fn end_step(&mut self, times: &Times<'_>, now: Duration) -> Option<Ending> {
        let Stage::Ending(step) = self.stage else {
            return None;
        };
        let next = step.next();
        self.stage = next.map_or(Stage::Ended, Stage::Ending);
        let longest = match next {
            None => {
                self.until = Coarse::NEVER;
                return None;
            }
            Some(Ending::Discard(EndOrder::AfterServer)) => END_WAIT,
            Some(_) => Duration::MAX,
        };
        self.until = Coarse::at(times.step_by(longest, now));
        next
    }

    /// Notes that `len` bytes came of a peer that was told the end; returns
    /// whether more may be [discarded](Ending::Discard), up to [`DISCARD_MAX`]
    /// in all.
    #[must_use]
    pub fn note_discarded(&mut self, len: usize) -> bool {
        let len = u16::try_from(len.div_ceil(1024)).unwrap_or(u16::MAX);
        self.counted = self.counted.saturating_add(len);
        usize::from(self.counted) * 1024 <= DISCARD_MAX || fault!("discarded-without-end")
    }

    /// Notes that the transport is gone.
    pub const fn end(&mut self) {
        self.stage = Stage::Ended;
        self.until = Coarse::NEVER;
    }

    /// Returns why the connection ends by the peer's Close, `is_answer` to ours
    /// or the first of both.
    #[must_use]
    pub const fn cause_of_close<E>(&self, is_answer: bool) -> Cause<E> {
        match self.stage {
            Stage::Closing(Some(timeout)) => Cause::Timeout(timeout),
            _ if is_answer => Cause::Local,
            _ => Cause::Peer,
        }
    }

    /// Returns why the connection ends by the end of the transport, without a
    /// Close from the peer.
    #[must_use]
    pub const fn cause_of_loss<E>(&self) -> Cause<E> {
        match self.stage {
            Stage::Closing(Some(timeout)) => Cause::Timeout(timeout),
            _ => Cause::Lost,
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called at
    /// the latest. It may be too early for anything to be due, as what comes
    /// meanwhile moves timers back without asking again.
    #[must_use]
    pub fn next(&self, busy: &BusyTimers, times: &Times<'_>, now: Duration) -> Option<Duration> {
        let first = self.first(busy, times).map(|(at, _)| at);
        // An answer to the Ping sets the timer of the next one, which may be
        // before `pong_timeout`.
        let KeepaliveConfig {
            ping_interval,
            measure_interval,
            ..
        } = *times.keepalive;
        let answered = self.unanswered().and(ping_interval);
        let answered = answered.map(|ping| ping.min(measure_interval.unwrap_or(ping)));
        let answered = answered.map(|wait| Millis::at(now).after(wait));
        let is_open = self.stage == Stage::Open;
        let first = match answered.filter(|_| is_open) {
            Some(answered) => first.map(|first| first.min(answered)),
            None => first,
        };
        first.map(Millis::to_duration)
    }

    /// Returns what is due at `now`, if anything, and counts it as done.
    pub fn handle_timeout(
        &mut self,
        busy: &mut BusyTimers,
        times: &Times<'_>,
        now: Duration,
    ) -> Option<Due> {
        loop {
            let (at, timer) = self.first(busy, times)?;
            if Millis::at(now) < at {
                return None;
            }
            // What a peer sends while the application pauses is not seen.
            if busy.is_paused && matches!(timer, Timer::Pong | Timer::Idle) {
                self.note_data(now);
                continue;
            }
            return Some(self.due(timer, busy, times, now));
        }
    }

    fn due(
        &mut self,
        timer: Timer,
        busy: &mut BusyTimers,
        times: &Times<'_>,
        now: Duration,
    ) -> Due {
        match (timer, self.stage) {
            (Timer::Ping | Timer::Measure, _) => {
                self.pings = self.pings.wrapping_add(1) & !ANSWERED;
                self.ping_sent = Millis::at(now);
                Due::Ping(self.ping_payload())
            }
            //= RFC6455-7.1.1-2
            (Timer::Pong, _) => Due::Drop(Timeout::Pong),
            (Timer::Write, _) => Due::Drop(Timeout::Write),
            (Timer::Idle, _) => self.close(Timeout::Idle, times, now),
            (Timer::Stage, Stage::Open) => self.close(Timeout::Lifetime, times, now),
            (Timer::Stage, Stage::Opening) => Due::Drop(Timeout::Handshake),
            (Timer::Stage, Stage::Closing(Some(timeout))) => Due::Drop(timeout),
            //= RFC6455-5.5.1-14, RFC6455-7.1.1-2
            (Timer::Stage, _) => Due::Drop(Timeout::Close),
            (Timer::Message, _) => {
                busy.message = Millis::NEVER;
                Due::Fail(Timeout::Message)
            }
        }
    }

    fn close(&mut self, timeout: Timeout, times: &Times<'_>, now: Duration) -> Due {
        self.begin_closing(Some(timeout), times, now);
        Due::Close(timeout)
    }

    /// Returns the timer that runs out first, and when.
    fn first(&self, busy: &BusyTimers, times: &Times<'_>) -> Option<(Millis, Timer)> {
        let due = TIMERS.iter().filter_map(|timer| {
            let at = self.at(*timer, busy, times)?.if_set()?;
            Some((at, *timer))
        });
        due.min_by_key(|(at, _)| *at)
    }

    /// Returns when a timer runs out, if it runs.
    fn at(&self, timer: Timer, busy: &BusyTimers, times: &Times<'_>) -> Option<Millis> {
        let Times {
            keepalive, limits, ..
        } = times;
        match (timer, self.stage) {
            (Timer::Stage, _) => self.until.get(),
            (Timer::Write, Stage::Open | Stage::Closing(_)) => {
                Some(busy.write.if_set()?.after(limits.write_progress?))
            }
            // After our Close, only the peer's is waited for.
            (_, stage) if stage != Stage::Open => None,
            (Timer::Write, _) => None,
            (Timer::Message, _) => {
                let since = busy.message.if_set()?;
                Some(since.after(limits.for_message(busy.received)?))
            }
            (Timer::Idle, _) if fault!("idle-forgotten") => None,
            (Timer::Idle, _) => Some(self.last_data.after(keepalive.idle_timeout?)),
            (Timer::Pong, _) if fault!("pong-not-awaited") => None,
            (Timer::Pong, _) => Some(self.unanswered()?.after(keepalive.pong_timeout?)),
            (Timer::Ping | Timer::Measure, _) if self.unanswered().is_some() => None,
            (Timer::Ping, _) => Some(self.last_input.after(keepalive.ping_interval?)),
            (Timer::Measure, _) => {
                keepalive.ping_interval?;
                Some(self.ping_sent.after(keepalive.measure_interval?))
            }
        }
    }

    /// Returns when the Ping was sent that no sign of life followed.
    fn unanswered(&self) -> Option<Millis> {
        let is_open = self.pings & ANSWERED == 0 && self.ping_sent >= self.last_input;
        is_open.then_some(self.ping_sent)
    }

    /// Returns the payload of the last Ping.
    fn ping_payload(&self) -> [u8; 4] {
        u32::from(self.pings & !ANSWERED).to_be_bytes()
    }
}

#[cfg(test)]
mod tests;
