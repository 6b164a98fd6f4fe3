//! The order of publications over all loops of a server.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{PeerId, Prepared};

/// A message to the subscribers of a topic, or to everybody, but not to one
/// peer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) message: Prepared,
    pub(crate) except: Option<PeerId>,
}

/// The publications of a server, in one order, until each loop has taken them.
///
/// The place of a publication is how many were appended before it. Every loop
/// takes all publications in the order of their places.
#[derive(Debug)]
pub(crate) struct PublicationLog {
    /// The place of the next publication. Only written under the lock.
    end: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The place of the first of `publications`.
    first: u64,
    publications: VecDeque<Publication>,
    /// The place of the publication that each loop takes next; [`ENDED`] for a
    /// loop that takes none any more.
    next: Vec<u64>,
}

/// The next place of a loop that has ended.
const ENDED: u64 = u64::MAX;

impl PublicationLog {
    pub(crate) fn new(loops: usize) -> Self {
        Self {
            end: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                first: 0,
                publications: VecDeque::new(),
                next: vec![0; loops],
            }),
        }
    }

    /// Returns the place that the next publication will have.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Gives a publication the next place.
    pub(crate) fn append(&self, publication: Publication) {
        let mut waiting = self.lock();
        if waiting.slowest() == ENDED {
            return;
        }
        waiting.publications.push_back(publication);
        let end = waiting.first + waiting.publications.len() as u64;
        self.end.store(end, Ordering::Release);
    }

    /// Moves the next publications of a loop to `taken`: those before the place
    /// `to`, and at most `most`. Returns the place of the next.
    pub(crate) fn take(
        &self,
        index: usize,
        to: u64,
        most: usize,
        taken: &mut Vec<Publication>,
    ) -> u64 {
        self.lock().take(index, to, most, taken)
    }

    /// Notes that a loop takes no publications any more.
    pub(crate) fn end_loop(&self, index: usize) {
        let mut waiting = self.lock();
        waiting.next[index] = ENDED;
        waiting.forget();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self, index: usize, to: u64, most: usize, taken: &mut Vec<Publication>) -> u64 {
        let from = self.next[index];
        let count = to.saturating_sub(from).min(most as u64);
        // Whoever is the last to take a publication need not copy it.
        self.next[index] = ENDED;
        let others = self.slowest();
        let shared = others.clamp(from, from + count);
        for _ in from..shared {
            taken.extend(self.publications.pop_front());
            self.first += 1;
        }
        let start = (shared - self.first) as usize;
        let copied = (from + count - shared) as usize;
        taken.extend(self.publications.range(start..start + copied).cloned());
        self.next[index] = from + count;
        from + count
    }

    /// Returns the next place of the loop that is furthest behind.
    fn slowest(&self) -> u64 {
        self.next.iter().copied().min().unwrap_or(ENDED)
    }

    /// Drops what all loops have taken.
    fn forget(&mut self) {
        let known = self.first + self.publications.len() as u64;
        let done = self.slowest().min(known).saturating_sub(self.first);
        self.publications.drain(..done as usize);
        self.first += done;
    }
}

#[cfg(test)]
mod tests {
    use ws_proto::{Message, Prepared};

    use super::*;

    fn publication(topic: &str) -> Publication {
        Publication {
            topic: Some(topic.into()),
            message: Prepared::new(Message::Text("")),
            except: None,
        }
    }

    fn topics(taken: &[Publication]) -> Vec<&str> {
        taken.iter().flat_map(|one| one.topic.as_deref()).collect()
    }

    #[test]
    fn every_loop_takes_all_publications_in_the_same_order() {
        let log = PublicationLog::new(2);
        for topic in ["a", "b", "c"] {
            log.append(publication(topic));
        }
        assert_eq!(log.end(), 3);
        let (mut ada, mut ben) = (Vec::new(), Vec::new());
        assert_eq!(log.take(0, 3, 2, &mut ada), 2);
        assert_eq!(log.take(1, 1, 64, &mut ben), 1);
        log.append(publication("d"));
        assert_eq!(log.take(1, 4, 64, &mut ben), 4);
        assert_eq!(log.take(0, 4, 64, &mut ada), 4);
        assert_eq!(log.take(0, 4, 64, &mut ada), 4);
        assert_eq!(topics(&ada), ["a", "b", "c", "d"]);
        assert_eq!(topics(&ben), ["a", "b", "c", "d"]);
    }

    #[test]
    fn publication_that_all_loops_have_taken_is_dropped() {
        let log = PublicationLog::new(3);
        for _ in 0..10 {
            log.append(publication("a"));
        }
        let left = || log.lock().publications.len();
        log.take(0, 10, 64, &mut Vec::new());
        log.take(1, 4, 64, &mut Vec::new());
        assert_eq!(left(), 10);
        log.take(2, 10, 7, &mut Vec::new());
        assert_eq!(left(), 6);
        log.end_loop(1);
        assert_eq!(left(), 3);
        log.end_loop(2);
        log.end_loop(0);
        assert_eq!(left(), 0);
        log.append(publication("a"));
        assert_eq!(left(), 0);
    }
}
