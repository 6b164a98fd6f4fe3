//! What a run has to reach.

use std::{fmt, str::FromStr};

use crate::{histogram::Histogram, report::Report};

/// A condition on a report, such as `p99<10ms` or `reach>=100%`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    comparison: Comparison,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// A share of times, in nanoseconds.
    Quantile(Times, f64),
    Mean(Times),
    Max(Times),
    Rate,
    Lost,
    Failed,
    Unanswered,
    Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Latency,
    /// Until all have a broadcast.
    Complete,
    /// Until connections are open: those that come while others send, or else those that stay.
    Handshake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A condition that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadThreshold(String);

impl fmt::Display for BadThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no condition; one is p50, p99, p99.9, mean, max (of latencies, or behind all- or handshake-), rate, \
             lost, failed, unanswered or reach, then <, <=, > or >=, and a number, with ns, us, ms or s for a time and % \
             for a share",
            self.0
        )
    }
}

impl std::error::Error for BadThreshold {}

impl FromStr for Threshold {
    type Err = BadThreshold;

    fn from_str(text: &str) -> Result<Self, BadThreshold> {
        let read = || {
            let at = text.find(['<', '>'])?;
            let (name, rest) = text.split_at(at);
            let (comparison, value) = match rest.as_bytes() {
                [b'<', b'=', ..] => (Comparison::AtMost, &rest[2..]),
                [b'>', b'=', ..] => (Comparison::AtLeast, &rest[2..]),
                [b'<', ..] => (Comparison::Less, &rest[1..]),
                _ => (Comparison::More, &rest[1..]),
            };
            let metric = Metric::read(name.trim())?;
            Some(Self {
                text: text.to_owned(),
                metric,
                comparison,
                limit: metric.read_value(value.trim())?,
            })
        };
        read().ok_or_else(|| BadThreshold(text.to_owned()))
    }
}

impl Metric {
    fn read(name: &str) -> Option<Self> {
        let plain = match name {
            "rate" => Some(Self::Rate),
            "lost" => Some(Self::Lost),
            "failed" => Some(Self::Failed),
            "unanswered" => Some(Self::Unanswered),
            "reach" => Some(Self::Reach),
            _ => None,
        };
        if plain.is_some() {
            return plain;
        }
        let (times, name) = match name.split_once('-') {
            None => (Times::Latency, name),
            Some(("all", name)) => (Times::Complete, name),
            Some(("handshake", name)) => (Times::Handshake, name),
            Some(_) => return None,
        };
        match name {
            "mean" => Some(Self::Mean(times)),
            "max" => Some(Self::Max(times)),
            _ => {
                let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
                let is_share = (0.0..=100.0).contains(&percent);
                is_share.then_some(Self::Quantile(times, percent / 100.0))
            }
        }
    }

    fn read_value(self, text: &str) -> Option<f64> {
        let units: &[(&str, f64)] = match self {
            Self::Quantile(..) | Self::Mean(_) | Self::Max(_) => &[
                ("ns", 1.0),
                ("us", 1e3),
                ("µs", 1e3),
                ("ms", 1e6),
                ("s", 1e9),
            ],
            Self::Reach => &[("%", 0.01)],
            Self::Rate | Self::Lost | Self::Failed | Self::Unanswered => &[("", 1.0)],
        };
        let value = units.iter().find_map(|(unit, factor)| {
            let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            Some(number * factor)
        });
        value.filter(|value| *value >= 0.0 && value.is_finite())
    }

    /// Returns what was measured; `None` if nothing was.
    fn of(self, report: &Report) -> Option<f64> {
        let value = match self {
            Self::Quantile(times, share) => times.of(report)?.quantile(share) as f64,
            Self::Mean(times) => times.of(report)?.mean() as f64,
            Self::Max(times) => times.of(report)?.max() as f64,
            Self::Rate => report.rate(),
            Self::Lost => report.lost as f64,
            Self::Failed => report.failed() as f64,
            Self::Unanswered => report.unanswered as f64,
            Self::Reach => report.reach.as_ref()?.share(),
        };
        Some(value)
    }
}

impl Times {
    fn of(self, report: &Report) -> Option<&Histogram> {
        let times = match self {
            Self::Latency => &report.latencies,
            Self::Complete => &report.reach.as_ref()?.complete,
            Self::Handshake => match &report.visited {
                Some(visited) => &visited.opening,
                None => &report.handshakes.times,
            },
        };
        (times.count() > 0).then_some(times)
    }
}

impl Threshold {
    /// Tells whether a report meets the condition. One about what was not measured is not met.
    #[must_use]
    pub fn is_met(&self, report: &Report) -> bool {
        self.metric
            .of(report)
            .is_some_and(|value| match self.comparison {
                Comparison::Less => value < self.limit,
                Comparison::AtMost => value <= self.limit,
                Comparison::More => value > self.limit,
                Comparison::AtLeast => value >= self.limit,
            })
    }

    /// Tells what was measured, with its unit.
    #[must_use]
    pub fn measured(&self, report: &Report) -> String {
        let Some(value) = self.metric.of(report) else {
            return "not measured".to_owned();
        };
        match self.metric {
            Metric::Quantile(..) | Metric::Mean(_) | Metric::Max(_) => {
                crate::table::time(value as u64)
            }
            Metric::Reach => format!("{:.2} %", value * 100.0),
            _ => format!("{value:.0}"),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn conditions_are_read_and_judged() {
        let report = report();
        for (text, is_met) in [
            ("p99<1ms", true),
            ("p99.9 <= 100us", true),
            ("p50<100us", false),
            ("mean>=0.1ms", true),
            ("max>1s", false),
            ("rate>=999.5", true),
            ("rate>1000", false),
            ("lost<=0", true),
            ("failed<1", true),
            ("unanswered<1", true),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(threshold.is_met(&report), is_met, "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        for text in ["reach>=0%", "all-p50<1s", "handshake-p50<1s"] {
            let threshold: Threshold = text.parse().unwrap();
            assert!(!threshold.is_met(&report()), "{text}");
            assert_eq!(threshold.measured(&report()), "not measured");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "", "p99", "p99<", "p99<10", "p99<10%", "p101<1s", "q<1s", "rate<1s", "x-p50<1s",
            "p99=1s", "p99<-1s", "reach>=1", "rate<NaN", "p99<infs",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
