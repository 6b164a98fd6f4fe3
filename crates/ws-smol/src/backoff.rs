//! How long to wait before the next attempt.

use std::time::Duration;

/// How long a client waits before it tries again: longer each time, and never
/// as long as others do.
///
/// The wait before attempt *n* is drawn at random between `min` and
/// `min · 2ⁿ`, at most `max`. So clients that were cut off together do not
/// come back together. The iterator has no end.
///
/// ```
/// use std::time::Duration;
/// use ws_smol::Backoff;
///
/// let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
/// let mut backoff = Backoff::new(min, max);
/// for wait in backoff.by_ref().take(20) {
///     assert!(min <= wait && wait <= max);
/// }
/// backoff.reset();
/// assert!(backoff.next() <= Some(2 * min));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    /// What the next wait is below.
    ceiling: Duration,
}

impl Backoff {
    /// Waits at least `min` and at most `max`, or `min` if that is longer.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        let mut backoff = Self {
            min,
            max: max.max(min),
            ceiling: min,
        };
        backoff.reset();
        backoff
    }

    /// Starts over with short waits, as after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.min.saturating_mul(2).min(self.max);
    }
}

impl Default for Backoff {
    /// Waits between 1 s and 60 s.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let more = self.ceiling.saturating_sub(self.min).as_nanos();
        let more = fastrand::u64(0..=u64::try_from(more).unwrap_or(u64::MAX));
        let wait = self.min + Duration::from_nanos(more);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_up_to_the_longest_wait() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(10), millis(100));
        for ceiling in [20, 40, 80, 100, 100] {
            assert_eq!(backoff.ceiling, millis(ceiling));
            let wait = backoff.next().unwrap();
            assert!(millis(10) <= wait && wait <= millis(ceiling));
        }
        backoff.reset();
        assert_eq!(backoff.ceiling, millis(20));
    }

    #[test]
    fn waits_differ() {
        let waits: Vec<_> = Backoff::default().take(10).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }

    #[test]
    fn odd_times_are_no_panic() {
        for (min, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::MAX, Duration::ZERO),
            (Duration::from_secs(2), Duration::from_secs(1)),
            (Duration::ZERO, Duration::MAX),
        ] {
            assert!(Backoff::new(min, max).take(100).all(|wait| wait >= min));
        }
    }
}
