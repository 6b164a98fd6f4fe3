//! What a run came to.

use std::{collections::BTreeMap, fmt};

use ws_handshake::DeflateParams;

use crate::{
    connection::Received,
    histogram::Histogram,
    measured::{GeneratorUse, Interval, ServerUse},
    plan::Pace,
};

/// What a run came to. Its `Display` is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were to send, or with a broadcast to listen.
    pub connections: usize,
    /// Connections that were to say nothing.
    pub idle: usize,
    /// Connections that read slowly.
    pub slow: usize,
    /// The mean length of a message, in bytes, before it is compressed.
    pub message_len: f64,
    /// When messages were sent.
    pub pace: Pace,
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// Messages that were sent while it was measured.
    pub sent: u64,
    /// Messages that came meanwhile.
    pub received: Received,
    /// Messages that came before.
    pub received_before: u64,
    /// Messages that were not answered when the run ended. They count as latencies of so long.
    pub unanswered: u64,
    /// From when a message was due, or sent in a closed loop, until its answer, or the delivery to
    /// each listener.
    pub latencies: Histogram,
    /// From when a message was due until it was sent: the error of the generator, which latencies
    /// contain.
    pub lateness: Histogram,
    /// The connections that stay.
    pub handshakes: Handshakes,
    /// What was agreed on compression; `None` for none.
    pub deflate: Option<DeflateParams>,
    /// Connections that ended while the run went on.
    pub lost: u64,
    /// Why the last of them ended.
    pub last_loss: Option<String>,
    /// Who got a broadcast.
    pub reach: Option<Reach>,
    /// Connections that came while others sent.
    pub visited: Option<Visited>,
    /// Every second, from the start of the ramp on.
    pub intervals: Vec<Interval>,
    /// What the generator used.
    pub generator: GeneratorUse,
    /// What the server's process used, if that was asked for.
    pub server: Option<ServerUse>,
}

/// How connections opened that stay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Handshakes {
    /// Connections that opened.
    pub open: u64,
    /// Of those, how many resumed a session of TLS.
    pub resumed: u64,
    /// How long it took until all were open, in seconds.
    pub seconds: f64,
    /// From the first packet, or from when it was due if there is a rate, until a connection was
    /// open.
    pub times: Histogram,
    /// Connections that did not open.
    pub failures: Failures,
}

/// Who got the messages that were sent to all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reach {
    /// Deliveries that were to be: for each message one to each connection that listened.
    pub expected: u64,
    /// Deliveries that were.
    pub delivered: u64,
    /// From when a message was due until the last connection had it.
    pub complete: Histogram,
}

impl Reach {
    /// The share of deliveries that were, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.expected {
            0 => 0.0,
            expected => self.delivered as f64 / expected as f64,
        }
    }
}

/// Connections that came while others sent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Visited {
    /// Connections that began.
    pub begun: u64,
    /// Connections that opened.
    pub opened: u64,
    /// Of those, how many resumed a session of TLS.
    pub resumed: u64,
    /// Connections that the server ended after our Close.
    pub closed: u64,
    /// From when a connection was due until it was open.
    pub opening: Histogram,
    /// From when it was due until the server had ended it.
    pub whole: Histogram,
    /// From when it was due until its first packet.
    pub lateness: Histogram,
    /// Connections that did not open.
    pub failures: Failures,
}

/// Failures of one kind each, and how often they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    kinds: BTreeMap<String, u64>,
    count: u64,
}

/// How many kinds are told apart.
const KINDS: usize = 16;

impl Failures {
    pub(crate) fn note(&mut self, error: &impl fmt::Display) {
        self.count += 1;
        let kind = error.to_string();
        let kind = match self.kinds.len() < KINDS || self.kinds.contains_key(&kind) {
            true => kind,
            false => "others".to_owned(),
        };
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Each kind, and how often it came; from the 17th kind on, all others are one.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, u64)> {
        self.kinds.iter().map(|(kind, count)| (&**kind, *count))
    }
}

/// In which way the generator was the limit, and not the server.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// It had work for 95 % of the time or more.
    Busy {
        /// The share, 0 to 1.
        working: f64,
    },
    /// It sent late: 1 in 100 messages more than 1 ms, and that was more than half of what 1 in 100
    /// latencies came to.
    Late {
        /// 99 of 100 messages were sent at most so late, in nanoseconds.
        p99_ns: u64,
    },
    /// It waited for a CPU for 20 % of the time or more: others had it.
    Starved {
        /// The share, 0 to 1.
        waiting: f64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { working } => write!(
                f,
                "the generator was the limit: it had work for {:.0} % of the time, so the server may do more, and latencies \
                 are those of the generator",
                working * 100.0
            ),
            Self::Late { p99_ns } => write!(
                f,
                "the generator was the limit: 1 in 100 messages was sent {:.1} ms or more after it was due, which is most \
                 of the latency",
                *p99_ns as f64 / 1e6
            ),
            Self::Starved { waiting } => write!(
                f,
                "the generator was the limit: for {:.0} % of the time it waited for a CPU that others had, and so did answers \
                 for it",
                waiting * 100.0
            ),
        }
    }
}

/// Of the time.
const BUSY: f64 = 0.95;
/// Of the time.
const STARVED: f64 = 0.2;
/// In nanoseconds.
const LATE: u64 = 1_000_000;

impl Report {
    /// Tells whether the generator was the limit, and not the server: what was measured is no
    /// property of the server then.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        let working = self.generator.working;
        if working >= BUSY {
            return Some(Limit::Busy { working });
        }
        let p99_ns = self.lateness.quantile(0.99);
        let is_late = p99_ns > LATE && p99_ns > self.latencies.quantile(0.99) / 2;
        if is_late && self.pace != Pace::Closed {
            return Some(Limit::Late { p99_ns });
        }
        let waiting = self
            .generator
            .waiting
            .filter(|waiting| *waiting >= STARVED)?;
        Some(Limit::Starved { waiting })
    }

    /// Messages a second that came.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.received.messages as f64 / self.seconds,
            false => 0.0,
        }
    }

    /// CPU time of the server a message that came, in nanoseconds.
    #[must_use]
    pub fn server_cpu(&self) -> Option<f64> {
        let messages = self.received.messages;
        let cpu = self.server?.cpu.as_nanos() as f64;
        (messages > 0).then(|| cpu / messages as f64)
    }

    /// Connections that did not open.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let visited = self
            .visited
            .as_ref()
            .map_or(0, |visited| visited.failures.count());
        self.handshakes.failures.count() + visited
    }
}
#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A report of 1,000 latencies of 100 µs.
    pub(crate) fn report() -> Report {
        let mut latencies = Histogram::new();
        for _ in 0..1000 {
            latencies.record(Duration::from_micros(100));
        }
        let interval = Interval {
            at: 1.0,
            seconds: 1.0,
            is_measured: true,
            sent: 1000,
            received: 1000,
            p50_ns: 100_000,
            p99_ns: 100_000,
            max_ns: 100_000,
            working: 0.1,
        };
        Report {
            connections: 10,
            idle: 0,
            slow: 0,
            message_len: 125.0,
            pace: Pace::Rate {
                per_second: 1000.0,
                ramp: Duration::ZERO,
            },
            seconds: 1.0,
            sent: 1000,
            received: Received {
                messages: 1000,
                bytes: 127_000,
            },
            received_before: 0,
            unanswered: 0,
            latencies,
            lateness: Histogram::new(),
            handshakes: Handshakes {
                open: 10,
                ..Handshakes::default()
            },
            deflate: None,
            lost: 0,
            last_loss: None,
            reach: None,
            visited: None,
            intervals: vec![interval, interval],
            generator: GeneratorUse {
                working: 0.1,
                busy: Some(1.0),
                waiting: Some(0.0),
            },
            server: None,
        }
    }

    #[test]
    fn generator_that_had_work_or_no_cpu_is_the_limit() {
        let mut report = report();
        assert_eq!(report.limit(), None);
        report.generator.working = 0.97;
        assert_eq!(report.limit(), Some(Limit::Busy { working: 0.97 }));
        report.pace = Pace::Closed;
        assert!(report.limit().is_some());
        report.generator.working = 0.1;
        assert_eq!(report.limit(), None);
        report.generator.waiting = Some(0.83);
        assert_eq!(report.limit(), Some(Limit::Starved { waiting: 0.83 }));
    }

    #[test]
    fn generator_that_sends_late_is_the_limit_if_that_is_what_latencies_show() {
        let mut report = report();
        for _ in 0..1000 {
            report.lateness.record(Duration::from_millis(20));
            report.latencies.record(Duration::from_millis(21));
        }
        assert!(matches!(report.limit(), Some(Limit::Late { p99_ns }) if p99_ns >= 20_000_000));
        // The server is far slower.
        for _ in 0..1000 {
            report.latencies.record(Duration::from_millis(100));
        }
        assert_eq!(report.limit(), None);
    }

    #[test]
    fn failures_of_many_kinds_are_few_lines() {
        let mut failures = Failures::default();
        for kind in (0..100).chain(0..100) {
            failures.note(&kind);
        }
        assert_eq!(failures.count(), 200);
        assert_eq!(failures.kinds().count(), KINDS + 1);
        assert_eq!(failures.kinds().map(|(_, count)| count).sum::<u64>(), 200);
    }
}
