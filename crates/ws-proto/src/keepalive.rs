//! Keepalive: when to ask whether the peer is there, and when to give it up
//! (RFC 6455 section 5.5.2).

use core::time::Duration;

use crate::ConfigError;

/// When to send a Ping, and how long to wait for a sign of life.
///
/// Times are intervals; each may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepaliveConfig {
    /// A Ping is sent once nothing came from the peer for this long; 30 s by
    /// default.
    pub ping_interval: Option<Duration>,
    /// The peer is lost if nothing comes for this long after the Ping; 20 s by
    /// default.
    pub pong_timeout: Option<Duration>,
    /// A Ping is sent this long after the last one, too, so that the round trip
    /// is also measured where the peer never falls silent; 60 s by default.
    /// Without `ping_interval` there are no Pings, and so none of these.
    pub measure_interval: Option<Duration>,
    /// The peer is idle if no data frame comes for this long, whatever it
    /// answers to Pings. Off by default: a client that only listens sends no
    /// data, and one that is gone is found by `pong_timeout`.
    pub idle_timeout: Option<Duration>,
}

impl KeepaliveConfig {
    /// No Pings, no timeouts.
    pub const OFF: Self = Self {
        ping_interval: None,
        pong_timeout: None,
        measure_interval: None,
        idle_timeout: None,
    };

    /// Checks that no time is 0; `None` leaves it out.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_time("keepalive.ping_interval", self.ping_interval)?;
        ConfigError::check_time("keepalive.pong_timeout", self.pong_timeout)?;
        ConfigError::check_time("keepalive.measure_interval", self.measure_interval)?;
        ConfigError::check_time("keepalive.idle_timeout", self.idle_timeout)
    }
}

impl Default for KeepaliveConfig {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Some(Duration::from_secs(20)),
            measure_interval: Some(Duration::from_secs(60)),
            idle_timeout: None,
        }
    }
}

/// The keepalive timers of one connection, as pure state: the caller brings
/// the time and does what [`handle_timeout`](Self::handle_timeout) says.
///
/// A time is a [`Duration`] since any moment that the caller chose, the same
/// at every call; it never runs backwards. Every byte that comes is a sign of
/// life, and at most one Ping is unanswered.
///
/// ```
/// use core::time::Duration;
/// use ws_proto::{Due, Keepalive, KeepaliveConfig};
///
/// let config = KeepaliveConfig::default();
/// let mut keepalive = Keepalive::new(Duration::ZERO);
/// let (at, _) = keepalive.poll_timeout(&config).unwrap();
/// assert_eq!(at, Duration::from_secs(30));
/// assert!(matches!(keepalive.handle_timeout(&config, at), Some(Due::Ping(_))));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    last_input: Millis,
    last_data: Millis,
    /// When the last Ping was sent, or the connection opened.
    ping_sent: Millis,
    /// The number of the last Ping, which is its payload, in 31 bits; and in
    /// the highest whether it was answered.
    pings: u32,
    /// The second in which a Ping or a Pong came last, and how many did in it.
    control_second: u16,
    controls: u16,
}

/// The bit of a Ping's number that tells that it was answered.
const ANSWERED: u32 = 1 << 31;

/// A time in whole milliseconds: half the size of a `Duration`, and there are
/// many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Millis(u64);

impl Millis {
    const fn from_duration(time: Duration) -> Self {
        let millis = time.as_millis();
        if millis < u64::MAX as u128 {
            Self(millis as u64)
        } else {
            Self(u64::MAX - 1)
        }
    }

    const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a Ping with this payload.
    Ping([u8; 4]),
    /// The peer did not answer the Ping within `pong_timeout`: drop the
    /// transport.
    PongTimeout,
    /// The peer sent no data within `idle_timeout`: close.
    IdleTimeout,
}

/// Which timer runs out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// `ping_interval`.
    Ping,
    /// `pong_timeout`.
    Pong,
    /// `idle_timeout`.
    Idle,
}

impl Keepalive {
    /// Starts the timers when the connection is open.
    #[must_use]
    pub const fn new(now: Duration) -> Self {
        let now = Millis::from_duration(now);
        Self {
            last_input: now,
            last_data: now,
            ping_sent: now,
            pings: ANSWERED,
            control_second: 0,
            controls: 0,
        }
    }

    /// Notes that bytes came from the peer.
    pub const fn handle_input(&mut self, now: Duration) {
        self.last_input = Millis::from_duration(now);
    }

    /// Notes that a piece of a message came.
    pub const fn handle_data(&mut self, now: Duration) {
        self.last_input = Millis::from_duration(now);
        self.last_data = self.last_input;
    }

    /// Notes a Pong, and returns the round-trip time if it answers the Ping
    /// that was sent last.
    pub fn handle_pong(&mut self, payload: &[u8], now: Duration) -> Option<Duration> {
        self.last_input = Millis::from_duration(now);
        //= RFC6455-5.5.3-3
        // One that was answered has a number that no payload has.
        if payload != self.pings.to_be_bytes() || self.pings & ANSWERED != 0 {
            return None;
        }
        self.pings |= ANSWERED;
        Some(now.saturating_sub(self.ping_sent.to_duration()))
    }

    /// Notes a Ping or a Pong, and returns how many came within this second of
    /// the clock; no more than `u16::MAX` are counted. See
    /// [`TimeLimits::max_control_rate`](crate::TimeLimits::max_control_rate).
    pub fn handle_control(&mut self, now: Duration) -> u32 {
        // One number for every second of 18 hours is enough to tell two apart.
        let second = now.as_secs() as u16;
        if second != self.control_second {
            self.control_second = second;
            self.controls = 0;
        }
        self.controls = self.controls.saturating_add(1);
        match fault!("control-unlimited") {
            true => 0,
            false => self.controls.into(),
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due next, and
    /// by which timer.
    #[must_use]
    pub fn poll_timeout(&self, config: &KeepaliveConfig) -> Option<(Duration, Timer)> {
        let after = |since: Millis, timeout: Option<Duration>, timer| {
            timeout.map(|timeout| (since.to_duration().saturating_add(timeout), timer))
        };
        let liveness = match self.unanswered() {
            Some(_) if fault!("pong-not-awaited") => None,
            Some(sent) => after(sent, config.pong_timeout, Timer::Pong),
            None => {
                let silent = after(self.last_input, config.ping_interval, Timer::Ping);
                let measure = after(self.ping_sent, config.measure_interval, Timer::Ping);
                let both = silent.zip(measure);
                both.map(|(a, b)| if b.0 < a.0 { b } else { a }).or(silent)
            }
        };
        let idle = after(self.last_data, config.idle_timeout, Timer::Idle);
        let idle = idle.filter(|_| !fault!("idle-forgotten"));
        match (liveness, idle) {
            (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// Returns what is due at `now`, if anything. A Ping is counted as sent.
    pub fn handle_timeout(&mut self, config: &KeepaliveConfig, now: Duration) -> Option<Due> {
        let (at, timer) = self.poll_timeout(config)?;
        if now < at {
            return None;
        }
        Some(match timer {
            Timer::Pong => Due::PongTimeout,
            Timer::Idle => Due::IdleTimeout,
            Timer::Ping => {
                self.pings = self.pings.wrapping_add(1) & !ANSWERED;
                self.ping_sent = Millis::from_duration(now);
                Due::Ping(self.pings.to_be_bytes())
            }
        })
    }

    /// Returns when the Ping was sent that no sign of life followed.
    fn unanswered(&self) -> Option<Millis> {
        let is_open = self.pings & ANSWERED == 0 && self.ping_sent >= self.last_input;
        is_open.then_some(self.ping_sent)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const CONFIG: KeepaliveConfig = KeepaliveConfig {
        ping_interval: Some(s(30)),
        pong_timeout: Some(s(20)),
        measure_interval: None,
        idle_timeout: None,
    };

    #[test]
    fn round_trip_of_a_peer_that_is_never_silent_is_measured() {
        let config = KeepaliveConfig::default();
        let mut keepalive = Keepalive::new(s(0));
        let mut sent = Vec::new();
        for now in 1..=180 {
            keepalive.handle_data(s(now));
            if let Some(Due::Ping(payload)) = keepalive.handle_timeout(&config, s(now)) {
                sent.push(now);
                let later = s(now) + Duration::from_millis(30);
                let measured = keepalive.handle_pong(&payload, later);
                assert_eq!(measured, Some(Duration::from_millis(30)));
            }
        }
        assert_eq!(sent, [60, 120, 180]);
    }

    #[test]
    fn peer_that_only_answers_pings_stays_by_default() {
        let config = KeepaliveConfig::default();
        let mut keepalive = Keepalive::new(s(0));
        let mut now = s(0);
        while now < s(3 * 86_400) {
            (now, _) = keepalive.poll_timeout(&config).unwrap();
            let Some(Due::Ping(payload)) = keepalive.handle_timeout(&config, now) else {
                panic!("at {now:?}")
            };
            assert!(keepalive.handle_pong(&payload, now).is_some());
        }
    }

    #[test]
    fn answer_to_no_ping_tells_nothing() {
        let mut keepalive = Keepalive::new(s(0));
        assert_eq!(keepalive.handle_pong(&[0; 4], s(1)), None);
        assert_eq!(keepalive.handle_pong(&ANSWERED.to_be_bytes(), s(1)), None);
        // The number of a Ping comes back after two thousand million others.
        keepalive.pings = ANSWERED - 1;
        assert_eq!(
            keepalive.handle_timeout(&CONFIG, s(90)),
            Some(Due::Ping([0; 4]))
        );
    }

    #[test]
    fn silent_peer_is_pinged_once_and_then_given_up() {
        let mut keepalive = Keepalive::new(s(0));
        assert_eq!(keepalive.handle_timeout(&CONFIG, s(29)), None);
        let Some(Due::Ping(_)) = keepalive.handle_timeout(&CONFIG, s(30)) else {
            panic!()
        };
        assert_eq!(keepalive.handle_timeout(&CONFIG, s(49)), None);
        assert_eq!(keepalive.poll_timeout(&CONFIG), Some((s(50), Timer::Pong)));
        assert_eq!(
            keepalive.handle_timeout(&CONFIG, s(50)),
            Some(Due::PongTimeout)
        );
    }

    #[test]
    fn exact_pong_tells_the_round_trip_time() {
        let mut keepalive = Keepalive::new(s(0));
        let Some(Due::Ping(payload)) = keepalive.handle_timeout(&CONFIG, s(30)) else {
            panic!()
        };
        assert_eq!(keepalive.handle_pong(b"unsolicited", s(30)), None);
        assert_eq!(keepalive.handle_pong(&payload, s(31)), Some(s(1)));
        assert_eq!(keepalive.handle_pong(&payload, s(32)), None);
        assert_eq!(keepalive.poll_timeout(&CONFIG), Some((s(62), Timer::Ping)));
    }

    #[test]
    fn any_byte_is_a_sign_of_life() {
        let mut keepalive = Keepalive::new(s(0));
        assert!(keepalive.handle_timeout(&CONFIG, s(30)).is_some());
        keepalive.handle_input(s(40));
        assert_eq!(keepalive.handle_timeout(&CONFIG, s(60)), None);
        let Some(Due::Ping(_)) = keepalive.handle_timeout(&CONFIG, s(70)) else {
            panic!()
        };
    }

    #[test]
    fn idle_timeout_counts_data_alone() {
        let config = KeepaliveConfig {
            idle_timeout: Some(s(100)),
            ..KeepaliveConfig::OFF
        };
        let mut keepalive = Keepalive::new(s(0));
        keepalive.handle_data(s(10));
        keepalive.handle_input(s(90));
        assert_eq!(keepalive.poll_timeout(&config), Some((s(110), Timer::Idle)));
        assert_eq!(
            keepalive.handle_timeout(&config, s(110)),
            Some(Due::IdleTimeout)
        );
    }

    #[test]
    fn control_frames_are_counted_by_the_second() {
        let mut keepalive = Keepalive::new(s(0));
        for expected in 1..=3 {
            assert_eq!(keepalive.handle_control(s(5)), expected);
        }
        assert_eq!(keepalive.handle_control(Duration::from_millis(5999)), 4);
        assert_eq!(keepalive.handle_control(s(6)), 1);
        for _ in 0..65_600 {
            keepalive.handle_control(s(7));
        }
        assert_eq!(keepalive.handle_control(s(7)), u32::from(u16::MAX));
    }

    #[test]
    fn timers_of_a_connection_take_32_bytes() {
        assert_eq!(size_of::<Keepalive>(), 32);
    }

    #[test]
    fn what_runs_out_first_is_due_and_a_ping_comes_before_giving_up() {
        let config = |ping, idle| KeepaliveConfig {
            ping_interval: Some(s(ping)),
            pong_timeout: None,
            measure_interval: None,
            idle_timeout: Some(s(idle)),
        };
        let keepalive = Keepalive::new(s(0));
        let due = |ping, idle| keepalive.poll_timeout(&config(ping, idle));
        assert_eq!(due(30, 29), Some((s(29), Timer::Idle)));
        assert_eq!(due(30, 30), Some((s(30), Timer::Ping)));
        assert_eq!(due(30, 31), Some((s(30), Timer::Ping)));
    }

    #[test]
    fn data_is_a_sign_of_life_too() {
        let mut keepalive = Keepalive::new(s(0));
        assert!(keepalive.handle_timeout(&CONFIG, s(30)).is_some());
        keepalive.handle_data(s(31));
        assert_eq!(keepalive.poll_timeout(&CONFIG), Some((s(61), Timer::Ping)));
        // What was sent at the moment of the last input is unanswered.
        let mut keepalive = Keepalive::new(s(0));
        assert!(keepalive.handle_timeout(&CONFIG, s(30)).is_some());
        keepalive.handle_input(s(30));
        assert_eq!(keepalive.poll_timeout(&CONFIG), Some((s(50), Timer::Pong)));
    }

    #[test]
    fn largest_time_is_a_time_and_not_never() {
        for now in [Duration::from_millis(u64::MAX), Duration::MAX] {
            let mut keepalive = Keepalive::new(s(0));
            let Some(Due::Ping(payload)) = keepalive.handle_timeout(&CONFIG, now) else {
                panic!()
            };
            let latest = Duration::from_millis(u64::MAX - 1);
            assert_eq!(
                keepalive.poll_timeout(&CONFIG),
                Some((latest.saturating_add(s(20)), Timer::Pong))
            );
            assert!(keepalive.handle_pong(&payload, now).is_some());
        }
        let mut keepalive = Keepalive::new(s(0));
        let exact = Duration::from_millis(u64::MAX - 2);
        assert!(keepalive.handle_timeout(&CONFIG, exact).is_some());
        let (at, _) = keepalive.poll_timeout(&CONFIG).unwrap();
        assert_eq!(at, exact + s(20));
    }

    #[test]
    fn nothing_is_due_when_all_is_off() {
        let mut keepalive = Keepalive::new(s(0));
        assert_eq!(keepalive.poll_timeout(&KeepaliveConfig::OFF), None);
        assert_eq!(
            keepalive.handle_timeout(&KeepaliveConfig::OFF, Duration::MAX),
            None
        );
    }
}
