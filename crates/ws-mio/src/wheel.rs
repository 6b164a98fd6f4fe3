//! Deadlines on a coarse wheel.

use std::time::Duration;

/// A moment, in [ticks](TICK) since the loop started. 0 is never.
pub(crate) type Tick = u32;

/// How exact deadlines are.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The first tick that is not before `time`; the last of all for a time that
/// never comes.
pub(crate) const fn tick_at(time: Duration) -> Tick {
    let tick = time.as_millis().div_ceil(TICK.as_millis());
    if tick < Tick::MAX as u128 {
        tick as Tick
    } else {
        Tick::MAX
    }
}

const BUCKETS: usize = 1024;

/// Wakes connections at, or a little after, a tick.
///
/// Rearming is lazy: an entry that comes up too early is put back by its
/// owner, which knows the true deadline. So a deadline that moves away with
/// every message costs nothing until the old one passes.
#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Vec<Vec<Entry>>,
    /// All earlier ticks were looked at.
    now: Tick,
    /// No entry comes up before this tick.
    next: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: u32,
    pub(crate) generation: u32,
    pub(crate) at: Tick,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![Vec::new(); BUCKETS],
            now: 0,
            next: None,
        }
    }

    /// Puts an entry on the wheel. One that is beyond the wheel's turn comes
    /// up early, at the end of the turn.
    pub(crate) fn insert(&mut self, entry: Entry) -> Tick {
        let at = entry.at.clamp(self.now + 1, self.now + BUCKETS as Tick - 1);
        self.buckets[at as usize % BUCKETS].push(Entry { at, ..entry });
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        at
    }

    /// Takes out the entries that are due at `now`, into `due`.
    pub(crate) fn advance(&mut self, now: Tick, due: &mut Vec<Entry>) {
        if self.next.is_none_or(|next| now < next) {
            self.now = self.now.max(now);
            return;
        }
        let from = self.now + 1;
        for tick in from..=now.min(from + BUCKETS as Tick - 1) {
            due.append(&mut self.buckets[tick as usize % BUCKETS]);
        }
        self.now = now;
        self.next = (now + 1..now + BUCKETS as Tick)
            .find(|tick| !self.buckets[*tick as usize % BUCKETS].is_empty());
    }

    /// Returns the tick of the next entry, at the earliest.
    pub(crate) const fn next(&self) -> Option<Tick> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u32, at: Tick) -> Entry {
        Entry {
            key,
            generation: 0,
            at,
        }
    }

    #[test]
    fn entries_come_up_at_their_tick_and_once() {
        let mut wheel = Wheel::new();
        for at in [1, 5, 5, 1000, 1022] {
            wheel.insert(entry(at, at));
        }
        assert_eq!(wheel.next(), Some(1));
        let mut seen = Vec::new();
        for now in 0..3000 {
            let mut due = Vec::new();
            wheel.advance(now, &mut due);
            seen.extend(due.into_iter().map(|entry| (now, entry.key)));
        }
        assert_eq!(seen, [(1, 1), (5, 5), (5, 5), (1000, 1000), (1022, 1022)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn distant_entry_comes_up_early_to_be_put_back() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.insert(entry(7, 100_000)), BUCKETS as Tick - 1);
    }

    #[test]
    fn time_that_never_comes_is_the_last_tick() {
        assert_eq!(tick_at(Duration::ZERO), 0);
        assert_eq!(tick_at(Duration::from_millis(1)), 1);
        assert_eq!(tick_at(Duration::from_millis(50)), 1);
        assert_eq!(tick_at(Duration::from_millis(51)), 2);
        assert_eq!(tick_at(Duration::MAX), Tick::MAX);
    }

    #[test]
    fn long_sleep_misses_nothing() {
        let mut wheel = Wheel::new();
        wheel.insert(entry(1, 3));
        wheel.insert(entry(2, 900));
        let mut due = Vec::new();
        wheel.advance(50_000, &mut due);
        assert_eq!(due.len(), 2);
        wheel.insert(entry(3, 50_001));
        due.clear();
        wheel.advance(50_001, &mut due);
        assert_eq!(due.len(), 1);
    }
}
