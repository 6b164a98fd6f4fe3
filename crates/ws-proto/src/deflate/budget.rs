//! How much memory inflating may hold, over all connections.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::ProtocolError;

/// A limit on the memory that inflating holds beyond a single call: what peers
/// may still refer to, and the state of messages that are not finished.
///
/// Clones share it, so one budget can stand for a loop, or for all of them.
/// What it counts is given back when the [`Inflater`](crate::Inflater)s are
/// dropped.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

/// Equal are clones: what one holds, the other has not left.
impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Budget {}

#[derive(Debug)]
struct Shared {
    limit: usize,
    held: AtomicUsize,
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
}

impl Lease {
    pub(super) const fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        let Shared { limit, held } = &*self.budget.0;
        //= RFC6455-10.4-2
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > *limit {
            held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(ProtocolError::InflateBudget { limit: *limit });
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

    #[test]
    fn equal_are_clones() {
        let budget = Budget::new(10);
        assert_eq!(budget, budget.clone());
        assert_ne!(budget, Budget::new(10));
    }
}
