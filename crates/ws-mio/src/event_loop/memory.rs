//! When connections hold more memory than they may.

use tracing::debug;

use super::EventLoop;
use crate::{Cause, Handler, Transport, connection::Place};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Tells whether nothing is to be taken on, as much is held already.
    pub(super) fn is_near_max_memory(&self) -> bool {
        !fault!("taken-on-over-memory") && self.held > self.config.max_memory / 4 * 3
    }

    /// Drops the connections that hold most, if more is held than may be.
    ///
    /// It looks at all connections, and pays for that by making room for the
    /// next eighth.
    #[inline]
    pub(super) fn drop_largest(&mut self) {
        if self.held > self.config.max_memory && !fault!("memory-unlimited") {
            self.drop_largest_now();
        }
    }

    #[cold]
    fn drop_largest_now(&mut self) {
        let limit = self.config.max_memory;
        let goal = limit - limit / 8;
        let slots = self.slots.iter();
        let mut holders: Vec<(usize, usize)> = slots
            .map(|(key, slot)| {
                let held = match slot.kept.place() {
                    Place::Nothing | Place::ClientOpening(_) => 0,
                    Place::Request(index) => self.requests[index].held(),
                    Place::Link(index) => self.links[index].counted,
                };
                (held, key)
            })
            .filter(|(held, _)| *held > 0)
            .collect();
        match fault!("smallest-shed") {
            true => holders.sort_unstable(),
            false => holders.sort_unstable_by(|a, b| b.cmp(a)),
        }
        for (held, key) in holders {
            if self.held <= goal {
                return;
            }
            let _entered = self.enter(key);
            debug!(
                held,
                limit, "dropped, as the loop holds more than max_memory"
            );
            self.counters.dropped_over_memory.add(1);
            self.abort(key, Cause::OverMemory);
        }
    }
}
