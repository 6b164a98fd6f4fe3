//! Latencies, in little memory and to about 1.6 %.

use std::time::Duration;

/// Counts durations in buckets that grow with what they hold: 64 to every power of two.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

const PRECISION: u32 = 6;

impl Histogram {
    /// Makes an empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: vec![0; (65 - PRECISION as usize) << PRECISION],
            total: 0,
            sum: 0,
            max: 0,
        }
    }

    /// Adds a duration.
    #[inline]
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.sum = 0;
        self.max = 0;
    }

    /// Returns how many durations were added.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// Returns the mean, in nanoseconds; 0 if there are none.
    #[must_use]
    pub const fn mean(&self) -> u64 {
        match self.total {
            0 => 0,
            total => (self.sum / total as u128) as u64,
        }
    }

    /// Returns the longest duration, exactly, in nanoseconds; 0 if there are none.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// Returns the duration that a `share` (0 to 1) of all is at most, in nanoseconds and to the
    /// upper end of its bucket, or the longest of all if that is less; 0 if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_end(at).min(self.max);
            }
        }
        0
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PRECISION + 1);
    ((shift as usize) << PRECISION) + (nanos >> shift) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    let first = (bucket - (shift << PRECISION)) as u64;
    (first << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_holds_what_falls_into_it() {
        for nanos in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let end = upper_end(bucket(nanos));
            assert!(end >= nanos, "{nanos} in {end}");
            assert!(end - nanos <= nanos / 64, "{nanos} in {end}");
        }
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        for nanos in 1..=100 {
            histogram.record(Duration::from_nanos(nanos));
        }
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!(histogram.quantile(1.0), 100);
        assert_eq!((histogram.count(), histogram.max()), (100, 100));
        assert_eq!(histogram.mean(), 50);
        histogram.clear();
        assert_eq!(
            (histogram.count(), histogram.max(), histogram.mean()),
            (0, 0, 0)
        );
    }
}
