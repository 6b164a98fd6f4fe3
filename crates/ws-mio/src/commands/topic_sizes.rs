//! How many subscribers each topic has, over all loops of a server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The number of subscribers of each topic, by loop.
///
/// Each loop writes its own numbers when they change. Any thread reads the sum.
#[derive(Debug)]
pub(crate) struct TopicSizes {
    loops: Box<[Mutex<Sizes>]>,
}

/// Topics without a subscriber are not in it.
type Sizes = HashMap<Arc<str>, usize>;

impl TopicSizes {
    pub(crate) fn new(loops: usize) -> Self {
        Self {
            loops: (0..loops).map(|_| Mutex::default()).collect(),
        }
    }

    /// Notes how many subscribers a topic has in a loop.
    pub(crate) fn set(&self, index: usize, topic: &Arc<str>, size: usize) {
        let mut sizes = lock(&self.loops[index]);
        if size == 0 {
            sizes.remove(topic);
        } else if let Some(known) = sizes.get_mut(topic) {
            *known = size;
        } else {
            sizes.insert(Arc::clone(topic), size);
        }
    }

    /// Returns how many subscribers a topic has in all loops.
    pub(crate) fn sum(&self, topic: &str) -> usize {
        let of_loop = |sizes| lock(sizes).get(topic).copied().unwrap_or(0);
        self.loops.iter().map(of_loop).sum()
    }

    /// Notes that a loop has no subscribers any more.
    pub(crate) fn end_loop(&self, index: usize) {
        *lock(&self.loops[index]) = Sizes::default();
    }
}

fn lock(sizes: &Mutex<Sizes>) -> MutexGuard<'_, Sizes> {
    sizes.lock().unwrap_or_else(PoisonError::into_inner)
}
