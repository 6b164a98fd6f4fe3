//! How much memory inflating may hold, over all connections.

use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    cmp::Reverse,
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ProtocolError;

/// A limit on the memory that inflating holds beyond a single call: what peers
/// may still refer to, and the state of messages that are not finished.
///
/// Clones share it, so one budget can stand for a loop, or for all of them.
/// What it counts is given back when the [`Inflater`](crate::Inflater)s are
/// dropped.
///
/// Whoever needs more than is left takes it from others: from those that hold
/// most for each compressed byte they received, and received nothing for the
/// longest time, until an eighth of the limit is free. Their inflaters fail with
/// [`ProtocolError::InflateBudget`] as soon as they are used again.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

/// Equal are clones: what one holds, the other has not left.
impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Budget {}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

struct Shared {
    limit: usize,
    held: AtomicUsize,
    /// How often anybody received something.
    clock: AtomicU64,
    holders: Mutex<Vec<Weak<dyn Holder>>>,
    /// How many of the holders are gone since they were last looked at.
    gone: AtomicUsize,
}

/// Something whose memory may be taken away between two calls.
pub(super) trait Holder: Send + Sync {
    /// Returns how much sooner than others it is to go; `None` while it is in
    /// use, and if it holds nothing.
    fn rank(&self, now: u64) -> Option<u128>;

    /// Drops what it holds.
    fn evict(&self);
}

/// A part of a budget, which goes back to it when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// Makes a budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            held: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            holders: Mutex::new(Vec::new()),
            gone: AtomicUsize::new(0),
        }))
    }

    /// Returns the limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many bytes are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    pub(super) fn lease(&self, bytes: usize) -> Result<Lease, ProtocolError> {
        let mut lease = Lease {
            budget: self.clone(),
            bytes: 0,
        };
        lease.grow(bytes)?;
        Ok(lease)
    }

    /// Returns the error of who finds no room, and of who had to make it.
    pub(super) fn refusal(&self) -> ProtocolError {
        ProtocolError::InflateBudget {
            limit: self.limit(),
        }
    }

    /// Counts that somebody received something, and returns that count, which
    /// is what time is here.
    pub(super) fn tick(&self) -> u64 {
        self.0.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes somebody whose memory may be taken away; forgets them once they
    /// are dropped.
    pub(super) fn register(&self, holder: Weak<dyn Holder>) {
        let mut holders = self.holders();
        if holders.len() == holders.capacity() {
            self.prune(&mut holders);
            // So that the next look at all of them is far away.
            let len = holders.len();
            holders.reserve(len.max(PRUNED_BEYOND));
        }
        holders.push(holder);
    }

    /// Notes that a holder is gone. What is known of it takes memory until it is
    /// forgotten, which is when half of all are gone.
    pub(super) fn note_gone(&self) {
        let gone = self.0.gone.fetch_add(1, Ordering::Relaxed) + 1;
        // Who makes room holds the lock, and may be the last to hold a holder.
        if gone >= PRUNED_BEYOND
            && let Ok(mut holders) = self.0.holders.try_lock()
            && 2 * gone > holders.len()
        {
            self.prune(&mut holders);
        }
    }

    fn prune(&self, holders: &mut Vec<Weak<dyn Holder>>) {
        self.0.gone.store(0, Ordering::Relaxed);
        holders.retain(|holder| holder.strong_count() > 0);
        let len = holders.len();
        holders.shrink_to(4 * len);
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Weak<dyn Holder>>> {
        let holders = self.0.holders.lock();
        holders.unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: usize) -> bool {
        let Shared { limit, held, .. } = &*self.0;
        //= RFC6455-10.4-2
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= *limit;
        if !fits {
            held.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Takes memory away from others until an eighth of the limit is free
    /// beside `bytes`.
    #[cold]
    fn make_room(&self, bytes: usize) {
        let most = (self.limit() - self.limit() / 8).saturating_sub(bytes);
        let mut holders = self.holders();
        if self.held().saturating_add(bytes) <= self.limit() {
            // Another thread has made room meanwhile.
            return;
        }
        self.prune(&mut holders);
        let now = self.0.clock.load(Ordering::Relaxed);
        let ranked = holders.iter().filter_map(|holder| {
            let holder = holder.upgrade()?;
            Some((holder.rank(now)?, holder))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable_by_key(|(rank, _)| Reverse(*rank));
        for (_, holder) in ranked {
            if self.held() <= most {
                return;
            }
            holder.evict();
        }
    }
}

/// As long as no more than so many holders are gone, they are not looked for.
const PRUNED_BEYOND: usize = 16;

impl Lease {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        if !self.budget.take(bytes) {
            self.budget.make_room(bytes);
            if !self.budget.take(bytes) {
                return Err(self.budget.refusal());
            }
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_exact_and_leases_come_back() {
        let budget = Budget::new(10);
        let refused = ProtocolError::InflateBudget { limit: 10 };
        let mut lease = budget.lease(4).unwrap();
        assert_eq!(budget.lease(7).unwrap_err(), refused);
        assert_eq!(lease.grow(7), Err(refused));
        assert_eq!(lease.grow(6), Ok(()));
        assert_eq!(budget.held(), 10);
        drop(lease);
        assert_eq!(budget.held(), 0);
        assert_eq!(budget.lease(11).unwrap_err(), refused);
    }

    struct Nobody(Budget);

    impl Holder for Nobody {
        fn rank(&self, _: u64) -> Option<u128> {
            None
        }

        fn evict(&self) {}
    }

    impl Drop for Nobody {
        fn drop(&mut self) {
            self.0.note_gone();
        }
    }

    #[test]
    fn holders_that_are_gone_are_forgotten_though_nobody_comes_after_them() {
        let budget = Budget::new(10);
        let all: Vec<Arc<dyn Holder>> = (0..1000)
            .map(|_| {
                let holder: Arc<dyn Holder> = Arc::new(Nobody(budget.clone()));
                budget.register(Arc::downgrade(&holder));
                holder
            })
            .collect();
        assert_eq!(budget.holders().len(), 1000);
        drop(all);
        let holders = budget.holders();
        assert!(holders.len() <= 2 * PRUNED_BEYOND, "{}", holders.len());
        assert!(holders.capacity() <= 8 * PRUNED_BEYOND);
    }

    #[test]
    fn equal_are_clones() {
        let budget = Budget::new(10);
        assert_eq!(budget, budget.clone());
        assert_ne!(budget, Budget::new(10));
    }
}
