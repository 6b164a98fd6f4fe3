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

use ws_proto::{DeflateConfig, DeflatePool, InflateConfig, InflatePool, Prepared};

use crate::timer;

/// What a frame is compressed with, once it is needed; the thread has it back
/// when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct LentDeflate(Option<DeflateTools>);

#[derive(Debug)]
pub(super) struct DeflateTools {
    pub(super) pool: DeflatePool,
    /// Prepared messages with their compressed forms, the last ones: whoever
    /// sends a clone on this thread finds them here.
    prepared: Vec<Prepared>,
}

/// What is inflated with; the thread has it back when this is dropped.
#[derive(Debug)]
pub(crate) struct LentInflate(Option<InflatePool>);

impl LentDeflate {
    /// Lends what is for that configuration.
    pub(super) fn take(&mut self, config: &DeflateConfig) -> &mut DeflateTools {
        self.0.get_or_insert_with(|| {
            let kept = take(&DEFLATE, |tools| tools.pool.config() == config);
            kept.unwrap_or_else(|| DeflateTools {
                pool: DeflatePool::new(*config),
                prepared: Vec::new(),
            })
        })
    }
}

impl Drop for LentDeflate {
    fn drop(&mut self) {
        if let Some(tools) = self.0.take() {
            give(&DEFLATE, tools);
        }
    }
}

impl DeflateTools {
    /// Lends the prepared message of which this one is a clone, with the forms
    /// that were needed so far.
    pub(super) fn prepared(&mut self, message: &Prepared) -> (&mut Prepared, &mut DeflatePool) {
        let is_same = |kept: &Prepared| {
            let (kept, frame) = (kept.frame(), message.frame());
            kept.as_ptr() == frame.as_ptr() && kept.len() == frame.len()
        };
        let prepared = &mut self.prepared;
        let at = prepared.iter().rposition(is_same).unwrap_or_else(|| {
            if prepared.len() == PREPARED_KEPT {
                prepared.remove(0);
            }
            prepared.push(message.clone());
            prepared.len() - 1
        });
        (&mut prepared[at], &mut self.pool)
    }
}

impl LentInflate {
    pub(super) fn take(config: &InflateConfig) -> Self {
        let kept = take(&INFLATE, |pool| pool.config() == config);
        Self(Some(
            kept.unwrap_or_else(|| InflatePool::new(config.clone())),
        ))
    }

    pub(super) fn pool(&mut self) -> &mut InflatePool {
        // INVARIANT: it is there until this is dropped.
        self.0.get_or_insert_default()
    }
}

impl Drop for LentInflate {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            give(&INFLATE, pool);
        }
    }
}

/// Gives memory back to the allocator that was not used since the last time,
/// at most once in [`SWEEP_EVERY`]; for whoever has a timer.
pub(super) fn sweep() {
    let now = timer::now();
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
    let _ = DEFLATE.try_with(|shelf| {
        for tools in shelf.borrow_mut().iter_mut() {
            tools.pool.sweep();
            tools.prepared = Vec::new();
        }
    });
    let _ = INFLATE.try_with(|shelf| shelf.borrow_mut().iter_mut().for_each(InflatePool::shrink));
}

fn take<T>(
    shelf: &'static LocalKey<RefCell<Vec<T>>>,
    is_wanted: impl FnMut(&T) -> bool,
) -> Option<T> {
    let kept = shelf.try_with(|shelf| {
        let mut shelf = shelf.borrow_mut();
        let at = shelf.iter().rposition(is_wanted)?;
        Some(shelf.remove(at))
    });
    kept.ok().flatten()
}

fn give<T>(shelf: &'static LocalKey<RefCell<Vec<T>>>, lent: T) {
    // A thread that ends has no place for it any more.
    let _ = shelf.try_with(|shelf| {
        let mut shelf = shelf.borrow_mut();
        if shelf.len() == KEPT {
            shelf.remove(0);
        }
        shelf.push(lent);
    });
}

thread_local! {
    static DEFLATE: RefCell<Vec<DeflateTools>> = const { RefCell::new(Vec::new()) };
    static INFLATE: RefCell<Vec<InflatePool>> = const { RefCell::new(Vec::new()) };
    static SWEPT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// For how many configurations a thread keeps pools.
const KEPT: usize = 8;

/// How many prepared messages a thread keeps the compressed forms of.
const PREPARED_KEPT: usize = 4;

const SWEEP_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use ws_proto::{Budget, DeflateWindow, Deflater, Message as MessageRef, Sender, ServerMasking};

    use super::*;

    fn kept() -> (usize, usize) {
        (DEFLATE.with_borrow(Vec::len), INFLATE.with_borrow(Vec::len))
    }

    #[test]
    fn pools_go_round_by_configuration_and_are_few() {
        for level in 0..20 {
            let mut config = DeflateConfig::default();
            config.level = level % 3;
            LentDeflate::default().take(&config);
            let mut config = InflateConfig::default();
            config.max_ratio = level % 3;
            drop(LentInflate::take(&config));
            drop(LentInflate::take(&config));
        }
        assert_eq!(kept(), (3, KEPT));
        let mut config = InflateConfig::default();
        config.budget = Budget::new(1);
        let lent = LentInflate::take(&config);
        assert_eq!(LentInflate::take(&config).pool().config(), &config);
        drop(lent);
        assert_eq!(kept(), (3, KEPT));
    }

    #[test]
    fn clones_of_a_prepared_message_find_its_forms_until_the_sweep() {
        let config = DeflateConfig::default();
        let text = "so it goes, ".repeat(100);
        let message = Prepared::new(MessageRef::Text(&text));
        let window = DeflateWindow::new(false, 15);
        let (mut sender, mut deflater) = (Sender::new(ServerMasking::new()), Deflater::new(window));
        for round in 0..3 {
            let mut lent = LentDeflate::default();
            let (kept, pool) = lent.take(&config).prepared(&message.clone());
            assert_eq!(kept.deflated_frame(window).is_some(), round == 1);
            assert!(deflater.prepared(&mut sender, kept, pool).unwrap().len() < 50);
            drop(lent);
            if round == 1 {
                sweep();
            }
        }
        // Another one so soon would do nothing.
        sweep();
        let mut lent = LentDeflate::default();
        let (kept, _) = lent.take(&config).prepared(&message);
        assert!(kept.deflated_frame(window).is_some());
    }
}
