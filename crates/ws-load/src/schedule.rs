//! When things are due.

use std::time::{Duration, Instant};

/// A fixed rate, which may grow from nothing at the start.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    per_second: f64,
    ramp: f64,
    taken: u64,
    due: Instant,
}

impl Schedule {
    /// Has the first due at `start`, and the rate grow evenly over `ramp`.
    pub(crate) fn new(start: Instant, per_second: f64, ramp: Duration) -> Self {
        Self {
            start,
            per_second,
            ramp: ramp.as_secs_f64(),
            taken: 0,
            due: start,
        }
    }

    /// Has all due at `start`.
    pub(crate) fn all_at(start: Instant) -> Self {
        Self::new(start, f64::INFINITY, Duration::ZERO)
    }

    /// When the next is due.
    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// Takes the next, if it is due; returns when it was.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        if now < self.due {
            return None;
        }
        let due = self.due;
        self.taken += 1;
        self.due = self.start + Duration::from_secs_f64(self.seconds(self.taken as f64));
        Some(due)
    }

    /// How long after the start the one with this number is due: while the rate grows as `t`, the
    /// count grows as `t²`.
    fn seconds(&self, number: f64) -> f64 {
        let in_ramp = self.per_second * self.ramp / 2.0;
        // Of what is due at once, the product is no number.
        if self.ramp > 0.0 && number < in_ramp {
            return (2.0 * number * self.ramp / self.per_second).sqrt();
        }
        let before = if self.ramp > 0.0 { in_ramp } else { 0.0 };
        self.ramp + (number - before) / self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(schedule: &mut Schedule, start: Instant, until: f64) -> usize {
        let now = start + Duration::from_secs_f64(until);
        std::iter::from_fn(|| schedule.take(now)).count()
    }

    #[test]
    fn rate_is_kept_however_late_it_is_asked() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000.0, Duration::ZERO);
        assert_eq!(taken(&mut schedule, start, 0.0), 1);
        assert_eq!(taken(&mut schedule, start, 1.0005), 1000);
        assert_eq!(taken(&mut schedule, start, 10.0005), 9000);
        assert_eq!(schedule.due(), start + Duration::from_secs_f64(10.001));
    }

    #[test]
    fn rate_grows_evenly_over_the_ramp() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000.0, Duration::from_secs(2));
        let counts = [0.5, 1.0, 2.0, 3.0].map(|until| taken(&mut schedule, start, until));
        for (count, wanted) in counts.into_iter().zip([62.5, 187.5, 750.0, 1000.0]) {
            assert!((count as f64 - wanted).abs() <= 1.0, "{counts:?}");
        }
    }

    #[test]
    fn all_can_be_due_at_once() {
        let start = Instant::now();
        let mut schedule = Schedule::all_at(start);
        assert!((0..1000).all(|_| schedule.take(start) == Some(start)));
    }
}
