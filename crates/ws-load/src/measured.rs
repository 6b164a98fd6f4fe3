//! What is counted between two points in time.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    connection::Received,
    histogram::Histogram,
    process::{Usage, resident_bytes},
};

/// What part of a run is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// How long nothing is counted, after the ramp; 1 s by default.
    pub warm_up: Duration,
    /// How long is measured; 10 s by default.
    pub measured: Duration,
    /// The process of the server, if its CPU time and memory are to be measured too (Linux).
    pub pid: Option<u32>,
}

impl Window {
    /// Measures 10 s, after 1 s of warming up.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(10),
            pid: None,
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

/// A second of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Seconds from the first message to the end of this interval.
    pub at: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Whether it lies in what is measured.
    pub is_measured: bool,
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that came.
    pub received: u64,
    /// Half of the latencies were at most this, in nanoseconds.
    pub p50_ns: u64,
    /// 99 of 100 latencies were at most this, in nanoseconds.
    pub p99_ns: u64,
    /// The longest latency, in nanoseconds.
    pub max_ns: u64,
    /// The share of the time in which the generator had work.
    pub working: f64,
}

/// How much of its thread the generator used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeneratorUse {
    /// The share of the time in which it had something to do. When it has nothing to do it may
    /// spin, which is not counted.
    pub working: f64,
    /// CPU time ÷ time, spinning included, if the system tells (Linux).
    pub busy: Option<f64>,
    /// The share of the time in which it waited for a CPU, if the system tells (Linux).
    pub waiting: Option<f64>,
}

/// What the server's process used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerUse {
    /// CPU time.
    pub cpu: Duration,
    /// CPU time ÷ time; over 1 with several threads.
    pub busy: f64,
    /// Resident memory at the end, in bytes.
    pub resident: u64,
}

/// What is counted between two points in time.
#[derive(Debug)]
pub struct Measured {
    window: Window,
    /// Messages that came, and their bytes with headers.
    pub received: Received,
    /// Messages that came before the begin.
    pub before: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// From when a message was due, or sent in a closed loop, until it was answered.
    pub latencies: Histogram,
    /// From when a message was due until it was sent.
    pub lateness: Histogram,
    started: Instant,
    begin: Instant,
    end: Instant,
    /// The server and this process at the begin, once that has come.
    usages: Option<(Option<Usage>, Option<Usage>)>,
    working: Duration,
    second: Second,
    intervals: Vec<Interval>,
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) received: Received,
    pub(crate) server: Option<ServerUse>,
    pub(crate) generator: GeneratorUse,
}

/// The interval that goes on.
#[derive(Debug)]
struct Second {
    begin: Instant,
    sent: u64,
    received: u64,
    working: Duration,
    latencies: Histogram,
}

const SECOND: Duration = Duration::from_secs(1);

impl Measured {
    /// Begins the warm-up.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self::after(window, Duration::ZERO)
    }

    /// Begins the ramp; the warm-up follows.
    pub(crate) fn after(window: Window, ramp: Duration) -> Self {
        let started = Instant::now();
        let begin = started + ramp + window.warm_up;
        Self {
            window,
            received: Received::default(),
            before: 0,
            sent: 0,
            latencies: Histogram::new(),
            lateness: Histogram::new(),
            started,
            begin,
            end: begin + window.measured,
            usages: None,
            working: Duration::ZERO,
            second: Second {
                begin: started,
                sent: 0,
                received: 0,
                working: Duration::ZERO,
                latencies: Histogram::new(),
            },
            intervals: Vec::new(),
            outcome: None,
        }
    }

    /// Counts what came; returns the messages.
    pub fn count(&mut self, received: Received) -> u64 {
        self.received += received;
        self.second.received += received.messages;
        received.messages
    }

    #[inline]
    pub(crate) fn record(&mut self, latency: Duration) {
        self.latencies.record(latency);
        self.second.latencies.record(latency);
    }

    #[inline]
    pub(crate) fn note_sent(&mut self, messages: u64, late: Duration) {
        self.sent += messages;
        self.second.sent += messages;
        self.lateness.record(late);
    }

    pub(crate) fn note_work(&mut self, time: Duration) {
        self.working += time;
        self.second.working += time;
    }

    /// Whether what is counted now is measured.
    pub(crate) const fn has_begun(&self) -> bool {
        self.usages.is_some()
    }

    /// When it has to be called next.
    pub(crate) fn next_change(&self) -> Instant {
        let change = if self.has_begun() {
            self.end
        } else {
            self.begin
        };
        change.min(self.second.begin + SECOND)
    }

    /// Begins and ends the counting when it is time; `false` at its end.
    ///
    /// # Errors
    ///
    /// A server's process that cannot be looked at.
    pub fn goes_on(&mut self, now: Instant) -> io::Result<bool> {
        if now >= self.second.begin + SECOND {
            self.end_second(now);
        }
        if now < self.begin || (self.has_begun() && now < self.end) {
            return Ok(true);
        }
        let server = self.window.pid.map(Usage::of).transpose()?;
        let own = Usage::of(std::process::id()).ok();
        let Some((server_then, own_then)) = self.usages else {
            self.usages = Some((server, own));
            self.end_second(now);
            self.before = std::mem::take(&mut self.received).messages;
            (self.sent, self.working) = (0, Duration::ZERO);
            self.latencies.clear();
            self.lateness.clear();
            self.begin = Instant::now();
            self.end = self.begin + self.window.measured;
            self.second.begin = self.begin;
            return Ok(true);
        };
        let length = self.begin.elapsed().as_secs_f64();
        self.end_second(now);
        self.outcome = Some(Outcome {
            seconds: length,
            received: self.received,
            server: match self.window.pid.zip(server).zip(server_then) {
                Some(((pid, now), then)) => Some(ServerUse {
                    cpu: now.cpu_since(&then),
                    busy: now.busy_since(&then),
                    resident: resident_bytes(pid)?,
                }),
                None => None,
            },
            generator: GeneratorUse {
                working: self.working.as_secs_f64() / length,
                busy: own.zip(own_then).map(|(now, then)| now.busy_since(&then)),
                waiting: own
                    .zip(own_then)
                    .map(|(now, then)| now.waiting_since(&then)),
            },
        });
        Ok(false)
    }

    fn end_second(&mut self, now: Instant) {
        let second = &mut self.second;
        let length = (now - second.begin).as_secs_f64();
        if length > 0.0 {
            self.intervals.push(Interval {
                at: (now - self.started).as_secs_f64(),
                seconds: length,
                is_measured: self.usages.is_some() && second.begin >= self.begin,
                sent: second.sent,
                received: second.received,
                p50_ns: second.latencies.quantile(0.5),
                p99_ns: second.latencies.quantile(0.99),
                max_ns: second.latencies.max(),
                working: (second.working.as_secs_f64() / length).min(1.0),
            });
        }
        second.begin = now;
        (second.sent, second.received, second.working) = (0, 0, Duration::ZERO);
        second.latencies.clear();
    }

    pub(crate) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// How long was measured, in seconds, once that is over.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        Some(self.outcome?.seconds)
    }

    /// What had come when it was over.
    pub(crate) fn received_in_time(&self) -> Received {
        self.outcome
            .map_or(self.received, |outcome| outcome.received)
    }

    /// What the server's process used meanwhile, if that was asked for.
    #[must_use]
    pub fn server(&self) -> Option<ServerUse> {
        self.outcome?.server
    }

    /// What the generator used meanwhile, once it is over.
    #[must_use]
    pub fn generator(&self) -> Option<GeneratorUse> {
        Some(self.outcome?.generator)
    }
}
