//! Numbers of several runs.

use super::measurement::Measurement;

/// A number by which servers are compared: less is better.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// What a unit of the table is in those of the measurement, and with how many digits.
    scale: f64,
    digits: usize,
    pub(super) of: fn(&Measurement) -> Option<f64>,
}

impl Figure {
    pub(super) const CPU: Self = Self {
        name: "CPU µs",
        scale: 1e3,
        digits: 2,
        of: Measurement::cpu,
    };
    pub(super) const REPLY: Self = Self {
        name: "reply, % of the text",
        scale: 1.0,
        digits: 1,
        of: Measurement::reply_share,
    };
    pub(super) const P99: Self = Self {
        name: "p99 µs",
        scale: 1e3,
        digits: 0,
        of: |measurement| measurement.number("p99_ns"),
    };
    pub(super) const QUIET_P99: Self = Self {
        name: "p99 µs, before",
        scale: 1e3,
        digits: 0,
        of: |measurement| measurement.number("quiet_p99_ns"),
    };
    pub(super) const CALLS: Self = Self {
        name: "system calls",
        scale: 1.0,
        digits: 3,
        of: Measurement::calls,
    };
    pub(super) const OPEN: Self = Self {
        name: "B, never used",
        scale: 1.0,
        digits: 0,
        of: |measurement| Some(measurement.memory()?[0]),
    };
    pub(super) const ECHOED: Self = Self {
        name: "B, after an echo",
        scale: 1.0,
        digits: 0,
        of: |measurement| Some(measurement.memory()?[1]),
    };

    /// A value as the tables have it.
    pub(super) fn show(&self, value: f64) -> String {
        format!("{:.*}", self.digits, value / self.scale)
    }
}

/// Returns the median; `None` of nothing.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        len if len % 2 == 1 => Some(numbers[middle]),
        _ => Some((numbers[middle - 1] + numbers[middle]) / 2.0),
    }
}

pub(super) fn smallest(numbers: &[f64]) -> Option<f64> {
    numbers.iter().copied().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
