//! What a thread lends to compress and to inflate with.
//!
//! Each thread has its own, as compressing is work that threads are to do side
//! by side. A connection that moves to another thread finds no window of its
//! own there and begins with an empty one, which the protocol allows at any
//! message. There is a pool for each configuration, of which a program has
//! few.

use std::{
    cell::{Cell, RefCell},
    thread::LocalKey,
    time::{Duration, Instant},
};

use ws_proto::{DeflateConfig, DeflatePool, InflateConfig, InflatePool};

/// What is worked with, once it is needed; the thread has it back when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct LentPool<P: Pool>(Option<P>);

/// What a thread lends.
pub(crate) trait Pool: Sized + 'static {
    type Config: PartialEq;

    fn new(config: &Self::Config) -> Self;

    fn config(&self) -> &Self::Config;

    fn shelf() -> &'static Shelf<Self>;
}

type Shelf<P> = LocalKey<RefCell<Vec<P>>>;

impl Pool for DeflatePool {
    type Config = DeflateConfig;

    fn new(config: &DeflateConfig) -> Self {
        Self::new(*config)
    }

    fn config(&self) -> &DeflateConfig {
        self.config()
    }

    fn shelf() -> &'static Shelf<Self> {
        &DEFLATE
    }
}

impl Pool for InflatePool {
    type Config = InflateConfig;

    fn new(config: &InflateConfig) -> Self {
        Self::new(config.clone())
    }

    fn config(&self) -> &InflateConfig {
        self.config()
    }

    fn shelf() -> &'static Shelf<Self> {
        &INFLATE
    }
}

impl<P: Pool> Default for LentPool<P> {
    fn default() -> Self {
        Self(None)
    }
}

impl<P: Pool> LentPool<P> {
    /// Lends what is for that configuration.
    pub(super) fn take(&mut self, config: &P::Config) -> &mut P {
        self.0
            .get_or_insert_with(|| take(config).unwrap_or_else(|| P::new(config)))
    }
}

impl<P: Pool> Drop for LentPool<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            give(pool);
        }
    }
}

/// Gives memory back to the allocator that was not used since the last time,
/// at most once in [`SWEEP_EVERY`]; for whoever has a timer.
pub(super) fn sweep(now: Instant) {
    let is_due = |swept: &Cell<Option<Instant>>| match swept.get() {
        Some(last) if now.saturating_duration_since(last) < SWEEP_EVERY => false,
        _ => {
            swept.set(Some(now));
            true
        }
    };
    if !SWEPT.try_with(is_due).unwrap_or_default() {
        return;
    }
    let _ = DEFLATE.try_with(|shelf| shelf.borrow_mut().iter_mut().for_each(DeflatePool::sweep));
    let _ = INFLATE.try_with(|shelf| shelf.borrow_mut().iter_mut().for_each(InflatePool::shrink));
}

fn take<P: Pool>(config: &P::Config) -> Option<P> {
    let kept = P::shelf().try_with(|shelf| {
        let mut shelf = shelf.borrow_mut();
        let at = shelf.iter().rposition(|pool| pool.config() == config)?;
        Some(shelf.remove(at))
    });
    kept.ok().flatten()
}

#[cold]
fn give<P: Pool>(lent: P) {
    // A thread that ends has no place for it any more.
    let _ = P::shelf().try_with(|shelf| {
        let mut shelf = shelf.borrow_mut();
        if shelf.len() == KEPT {
            shelf.remove(0);
        }
        shelf.push(lent);
    });
}

thread_local! {
    static DEFLATE: RefCell<Vec<DeflatePool>> = const { RefCell::new(Vec::new()) };
    static INFLATE: RefCell<Vec<InflatePool>> = const { RefCell::new(Vec::new()) };
    static SWEPT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// For how many configurations a thread keeps pools.
const KEPT: usize = 8;

const SWEEP_EVERY: Duration = Duration::from_secs(10);

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use ws_proto::Budget;

    use super::*;

    fn kept() -> (usize, usize) {
        (DEFLATE.with_borrow(Vec::len), INFLATE.with_borrow(Vec::len))
    }

    fn inflate(config: &InflateConfig) -> LentPool<InflatePool> {
        let mut lent = LentPool::default();
        lent.take(config);
        lent
    }

    #[test]
    fn pools_go_round_by_configuration_and_are_few() {
        for level in 0..20 {
            let mut config = DeflateConfig::default();
            config.level = level % 3;
            LentPool::<DeflatePool>::default().take(&config);
            let mut config = InflateConfig::default();
            config.max_ratio = level % 3;
            drop(inflate(&config));
            drop(inflate(&config));
        }
        assert_eq!(kept(), (3, KEPT));
        let mut config = InflateConfig::default();
        config.budget = Budget::new(1);
        let lent = inflate(&config);
        assert_eq!(inflate(&config).take(&config).config(), &config);
        drop(lent);
        assert_eq!(kept(), (3, KEPT));
    }
}
