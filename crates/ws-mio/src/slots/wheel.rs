//! Deadlines on a coarse wheel.

use std::time::Duration;

use crate::slots::arena::{Arena, NOWHERE};

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
/// Rearming is lazy: a connection that comes up too early is put back by its
/// owner, which knows the true deadline. So a deadline that moves away with
/// every message costs nothing until the old one passes.
///
/// The wheel owns no memory for what is on it: a connection's [`Timer`] links
/// it to the others of its bucket.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The first of each bucket.
    buckets: Box<[u32]>,
    /// The last time that was looked at.
    now: Tick,
    /// Nothing comes up before this tick.
    next: Option<Tick>,
}

/// A connection's place on the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    /// When it comes up; 0 if it is on no wheel.
    at: Tick,
    /// Its neighbours in the bucket.
    before: u32,
    behind: u32,
}

impl Timer {
    /// On no wheel.
    pub(crate) const fn new() -> Self {
        Self {
            at: 0,
            before: NOWHERE,
            behind: NOWHERE,
        }
    }

    /// Tells whether it comes up at a tick or earlier.
    pub(crate) fn is_set_for(&self, at: Tick) -> bool {
        self.at != 0 && (fault!("timer-sooner") || self.at <= at)
    }
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            buckets: [NOWHERE; BUCKETS].into(),
            now: 0,
            next: None,
        }
    }

    /// Has a connection come up at a tick, and not when it would have before.
    /// One that is beyond the wheel's turn comes up early, at the end of the
    /// turn.
    pub(crate) fn set<V: AsMut<Timer>>(&mut self, all: &mut Arena<V>, key: usize, at: Tick) {
        self.take(all, key);
        let soonest = self.now.saturating_add(1);
        let at = at.clamp(soonest, soonest.saturating_add(BUCKETS as Tick - 2));
        let head = &mut self.buckets[at as usize % BUCKETS];
        let behind = std::mem::replace(head, key as u32);
        if let Some(other) = all.get_mut(behind as usize) {
            other.as_mut().before = key as u32;
        }
        if let Some(value) = all.get_mut(key) {
            *value.as_mut() = Timer {
                at,
                before: NOWHERE,
                behind,
            };
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Takes a connection off the wheel, if it is on it.
    pub(crate) fn take<V: AsMut<Timer>>(&mut self, all: &mut Arena<V>, key: usize) {
        let Some(value) = all.get_mut(key) else {
            return;
        };
        let Timer { at, before, behind } = std::mem::replace(value.as_mut(), Timer::new());
        if at == 0 {
            return;
        }
        match all.get_mut(before as usize) {
            Some(other) => other.as_mut().behind = behind,
            None => self.buckets[at as usize % BUCKETS] = behind,
        }
        if let Some(other) = all.get_mut(behind as usize) {
            other.as_mut().before = before;
        }
    }

    /// Takes off a connection that is due at `now`, if there is one.
    pub(crate) fn take_due<V: AsMut<Timer>>(
        &mut self,
        all: &mut Arena<V>,
        now: Tick,
    ) -> Option<usize> {
        // What is put back from now on is for later.
        self.now = now;
        while let Some(tick) = self.next.filter(|tick| *tick <= now) {
            let mut key = self.buckets[tick as usize % BUCKETS] as usize;
            while let Some(value) = all.get_mut(key) {
                let Timer { at, behind, .. } = *value.as_mut();
                if at <= now {
                    self.take(all, key);
                    return Some(key);
                }
                // Of the next turn of the wheel.
                key = behind as usize;
            }
            // Up to the same bucket again: who looks late may meet there what was put
            // on for the next turn.
            self.next = (1..=BUCKETS as Tick)
                .map(|wait| tick.saturating_add(wait))
                .find(|tick| self.buckets[*tick as usize % BUCKETS] != NOWHERE);
        }
        None
    }

    /// Returns the tick at which something comes up, at the earliest.
    pub(crate) const fn next(&self) -> Option<Tick> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl AsMut<Self> for Timer {
        fn as_mut(&mut self) -> &mut Self {
            self
        }
    }

    fn arena(len: usize) -> Arena<Timer> {
        let mut all = Arena::new();
        for _ in 0..len {
            all.insert(Timer::new());
        }
        all
    }

    fn due(wheel: &mut Wheel, all: &mut Arena<Timer>, now: Tick) -> Vec<usize> {
        let mut keys: Vec<_> = std::iter::from_fn(|| wheel.take_due(all, now)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn connections_come_up_at_their_tick_and_once() {
        let (mut wheel, mut all) = (Wheel::new(), arena(5));
        for (key, at) in [1, 5, 5, 1000, 1022].into_iter().enumerate() {
            wheel.set(&mut all, key, at);
        }
        assert_eq!(wheel.next(), Some(1));
        let mut seen = Vec::new();
        for now in 0..3000 {
            for key in due(&mut wheel, &mut all, now) {
                seen.push((now, key));
            }
        }
        assert_eq!(seen, [(1, 0), (5, 1), (5, 2), (1000, 3), (1022, 4)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn distant_deadline_comes_up_early_to_be_put_back() {
        let (mut wheel, mut all) = (Wheel::new(), arena(1));
        wheel.set(&mut all, 0, 100_000);
        assert_eq!(all[0].at, BUCKETS as Tick - 1);
        // However long was slept, it comes up once for each time it is put
        // back.
        assert_eq!(wheel.take_due(&mut all, 50_000), Some(0));
        wheel.set(&mut all, 0, 100_000);
        assert_eq!(wheel.take_due(&mut all, 50_000), None);
    }

    #[test]
    fn who_is_put_back_after_the_wheel_overslept_comes_up_again() {
        for again in 406..=405 + BUCKETS as Tick - 1 {
            let (mut wheel, mut all) = (Wheel::new(), arena(1));
            wheel.set(&mut all, 0, 5);
            assert_eq!(wheel.take_due(&mut all, 405), Some(0));
            wheel.set(&mut all, 0, again);
            assert_eq!(wheel.take_due(&mut all, 405), None);
            assert_eq!(wheel.next(), Some(again));
            assert_eq!(wheel.take_due(&mut all, again), Some(0));
        }
    }

    #[test]
    fn wheel_agrees_with_a_plain_list_over_a_long_random_history() {
        let (mut wheel, mut all) = (Wheel::new(), arena(50));
        let mut model = [0; 50];
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005);
            seed = seed.wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut now = 0;
        for _ in 0..50_000 {
            let key = random(50) as usize;
            match random(8) {
                0..=4 => {
                    let at = now + 1 + random(1000) as Tick;
                    wheel.set(&mut all, key, at);
                    model[key] = at;
                }
                5 => {
                    wheel.take(&mut all, key);
                    model[key] = 0;
                }
                _ => {
                    // Now and then it oversleeps.
                    now += random(if key == 0 { 3000 } else { 40 }) as Tick;
                    let mut expected = Vec::new();
                    for (key, at) in model.iter_mut().enumerate() {
                        if *at != 0 && *at <= now {
                            *at = 0;
                            expected.push(key);
                        }
                    }
                    let next = wheel.next();
                    assert!(expected.is_empty() || next.is_some_and(|next| next <= now));
                    assert_eq!(due(&mut wheel, &mut all, now), expected);
                }
            }
        }
    }

    #[test]
    fn time_that_never_comes_is_the_last_tick() {
        assert_eq!(tick_at(Duration::ZERO), 0);
        assert_eq!(tick_at(Duration::from_millis(1)), 1);
        assert_eq!(tick_at(Duration::from_millis(50)), 1);
        assert_eq!(tick_at(Duration::from_millis(51)), 2);
        assert_eq!(tick_at(Duration::MAX), Tick::MAX);
    }
}
