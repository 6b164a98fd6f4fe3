//! The timers of the application.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Whose timer it is: the connection with this key, or the loop itself.
pub(crate) type Owner = Option<u32>;

/// Timers of a loop and its connections, each with a number of its owner's
/// choice. A connection without timers is not known here.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    times: BTreeMap<(Owner, u64), Duration>,
    /// The same, the next first.
    queue: BTreeSet<(Duration, Owner, u64)>,
}

impl Timers {
    /// Sets a timer to a time since the loop began, or takes it back.
    pub(crate) fn set(&mut self, owner: Owner, timer: u64, at: Option<Duration>) {
        let before = match at {
            Some(at) => self.times.insert((owner, timer), at),
            None => self.times.remove(&(owner, timer)),
        };
        if let Some(before) = before {
            self.queue.remove(&(before, owner, timer));
        }
        self.queue.extend(at.map(|at| (at, owner, timer)));
    }

    /// Returns when the next timer is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// Takes the next timer out, if it is due.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<(Owner, u64)> {
        self.next().filter(|at| *at <= now)?;
        let (_, owner, timer) = self.queue.pop_first()?;
        self.times.remove(&(owner, timer));
        Some((owner, timer))
    }

    /// Takes all timers of an owner back.
    pub(crate) fn remove(&mut self, owner: Owner) {
        if self.times.is_empty() {
            return;
        }
        let all = (owner, u64::MIN)..=(owner, u64::MAX);
        while let Some((&(_, timer), _)) = self.times.range(all.clone()).next() {
            self.set(owner, timer, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn timers_come_due_in_the_order_of_their_times() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Some(1), 7, Some(ms(30)));
        timers.set(None, 7, Some(ms(20)));
        timers.set(Some(1), 8, Some(ms(10)));
        timers.set(Some(2), 7, Some(ms(10)));
        assert_eq!(timers.next(), Some(ms(10)));
        assert_eq!(timers.take_due(ms(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(ms(20))).collect();
        assert_eq!(due, [(Some(1), 8), (Some(2), 7), (None, 7)]);
        assert_eq!(timers.next(), Some(ms(30)));
    }

    #[test]
    fn timer_that_is_moved_or_taken_back_is_not_due() {
        let mut timers = Timers::default();
        for timer in 0..4 {
            timers.set(Some(1), timer, Some(ms(10)));
            timers.set(Some(2), timer, Some(ms(10)));
        }
        timers.set(Some(1), 0, Some(ms(20)));
        timers.set(Some(1), 1, None);
        timers.remove(Some(2));
        timers.remove(None);
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(ms(20))).collect();
        assert_eq!(due, [(Some(1), 2), (Some(1), 3), (Some(1), 0)]);
        assert!(timers.times.is_empty() && timers.queue.is_empty());
    }
}
