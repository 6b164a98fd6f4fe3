//! What all connections may hold together, and who goes if that is too much.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
};

use slab::Slab;
use tracing::debug;

use crate::Error;

/// How many bytes connections may hold together.
///
/// Counted are input that was read and not received, messages that are joined,
/// requests that came in part, and what waits for the transport. That is done
/// when an operation returns or has to wait, to within a kilobyte or an eighth;
/// a connection that holds nothing costs nothing. A TLS connection counts with
/// what it keeps and with an estimate of its state
/// ([`TlsConnection::FOOTPRINT`](https://docs.rs/ws-tls)), and a compressed
/// message of which only fragments were sent with its compressor, of 370 KiB.
/// Not counted are what the application was given, and what inflating keeps,
/// which has a budget of its own.
///
/// Above three quarters of the limit an [`Acceptor`](crate::Acceptor) takes
/// nobody on. Above it the connections that hold most are dropped, with
/// [`Error::OverMemory`], until an eighth is free: not the one that grows last,
/// which may be anybody. A connection is dropped by its own task, which is
/// woken for that; what it holds is given back once the task uses the
/// connection again, or drops it.
///
/// Clones share the limit. By default all connections of a process share 1 GiB;
/// see [`Config::memory`](crate::Config::memory).
///
/// ```
/// use ws_smol::{Config, MemoryBudget};
///
/// let mut config = Config::default();
/// config.memory = MemoryBudget::new(64 * 1024 * 1024);
/// ```
#[derive(Clone)]
pub struct MemoryBudget(Arc<Shared>);

struct Shared {
    limit: usize,
    held: AtomicUsize,
    /// What of `held` belongs to those who were told to go, and did not yet.
    leaving: AtomicUsize,
    holders: Mutex<Slab<Arc<Holder>>>,
}

/// A connection that holds something, as the others see it.
struct Holder {
    held: AtomicUsize,
    /// What it held when it was told to go; 0 as long as it may stay.
    leaving: AtomicUsize,
    task: Waker,
}

impl MemoryBudget {
    /// Makes a budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            held: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            holders: Mutex::default(),
        }))
    }

    /// The one for all that ask for none of their own.
    pub(crate) fn of_process() -> Self {
        static ALL: LazyLock<MemoryBudget> = LazyLock::new(|| MemoryBudget::new(GIBIBYTE));
        ALL.clone()
    }

    /// Returns the limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many bytes are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Relaxed)
    }

    /// Refuses whoever is new, as much is held already.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        match self.held() > self.limit() / 4 * 3 && !fault!("taken-on-over-memory") {
            true => Err(self.over()),
            false => Ok(()),
        }
    }

    /// Returns the error of those who are refused or have to go.
    pub(crate) fn over(&self) -> Error {
        Error::OverMemory {
            limit: self.limit(),
        }
    }

    /// Runs a future for which `bytes` are held while it waits; fails if they
    /// are to be given back.
    pub(crate) async fn holding<T>(
        &self,
        bytes: usize,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut future = pin!(future);
        let mut share: Option<Share> = None;
        poll_fn(|cx| {
            if share.as_ref().is_some_and(Share::is_leaving) {
                return Poll::Ready(Err(self.over()));
            }
            let result = future.as_mut().poll(cx);
            let is_told = |share: &Share| share.holder.task.will_wake(cx.waker());
            if result.is_pending() && bytes >= GRAIN && !share.as_ref().is_some_and(is_told) {
                // First it gives back what it held for another waker.
                drop(share.take());
                share
                    .insert(Share::new(self, cx.waker().clone()))
                    .hold(bytes);
            }
            result
        })
        .await
    }

    /// Notes that somebody holds `now` bytes, and not `before`.
    fn change(&self, before: usize, now: usize) {
        let held = &self.0.held;
        if now <= before {
            held.fetch_sub(before - now, Relaxed);
            return;
        }
        held.fetch_add(now - before, Relaxed);
        if self.staying() > self.limit() && !fault!("memory-unlimited") {
            self.shed();
        }
    }

    /// Returns how many bytes are held by those who may stay.
    fn staying(&self) -> usize {
        self.held().saturating_sub(self.0.leaving.load(Relaxed))
    }

    /// Tells those who hold most to go.
    ///
    /// It looks at all who hold something, and pays for that by making room
    /// for the next eighth.
    #[cold]
    fn shed(&self) {
        let limit = self.limit();
        let holders = self.holders();
        let mut staying = self.staying();
        // Somebody else may have made room before the lock was ours.
        if staying <= limit {
            return;
        }
        let mut largest: Vec<_> = holders
            .iter()
            .filter(|(_, holder)| holder.leaving.load(Relaxed) == 0)
            .map(|(_, holder)| (holder.held.load(Relaxed), holder))
            .filter(|(held, _)| *held > 0)
            .collect();
        largest.sort_unstable_by(|(a, _), (b, _)| match fault!("smallest-shed") {
            true => a.cmp(b),
            false => b.cmp(a),
        });
        let mut told = Vec::new();
        for (held, holder) in largest {
            if staying <= limit - limit / 8 {
                break;
            }
            holder.leaving.store(held, Relaxed);
            self.0.leaving.fetch_add(held, Relaxed);
            staying = staying.saturating_sub(held);
            told.push(Arc::clone(holder));
        }
        // A waker may run anything, such as the drop of a connection.
        drop(holders);
        debug!(
            connections = told.len(),
            limit, "dropped, as connections hold more than Config::memory"
        );
        for holder in told {
            holder.task.wake_by_ref();
        }
    }

    fn holders(&self) -> MutexGuard<'_, Slab<Arc<Holder>>> {
        let holders = self.0.holders.lock();
        holders.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("limit", &self.limit())
            .field("held", &self.held())
            .finish()
    }
}

/// What a layer of a transport holds of a budget, as long as this lives. Who
/// holds more than others is not looked for here: it is the connection over it
/// that goes.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Layer {
    budget: MemoryBudget,
    held: usize,
}

#[cfg(feature = "tls")]
impl Layer {
    pub(crate) fn new(budget: &MemoryBudget) -> Self {
        Self {
            budget: budget.clone(),
            held: 0,
        }
    }

    /// Counts what is held now, unless that is about the same as before.
    pub(crate) fn count(&mut self, held: usize) {
        if held.abs_diff(self.held) < GRAIN {
            return;
        }
        let before = std::mem::replace(&mut self.held, held);
        self.budget.change(before, held);
    }
}

#[cfg(feature = "tls")]
impl Drop for Layer {
    fn drop(&mut self) {
        self.budget.change(self.held, 0);
    }
}

/// What one connection holds of a budget, which goes back when this is
/// dropped.
pub(crate) struct Share {
    budget: MemoryBudget,
    holder: Arc<Holder>,
    key: usize,
}

impl Share {
    /// Holds nothing yet; `task` is woken if it has to go.
    fn new(budget: &MemoryBudget, task: Waker) -> Self {
        let holder = Arc::new(Holder {
            held: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            task,
        });
        let key = budget.holders().insert(Arc::clone(&holder));
        Self {
            budget: budget.clone(),
            holder,
            key,
        }
    }

    /// Counts what is held now, in `place`; there is no share as long as that
    /// is little. What changes little is not counted anew, so that hardly any
    /// message costs more than this look.
    #[inline]
    pub(crate) fn count(
        place: &mut Option<Box<Self>>,
        held: usize,
        budget: &MemoryBudget,
        task: &Waker,
    ) {
        let counted = place.as_ref().map_or(0, |share| share.held());
        let is_about_same = held.abs_diff(counted) < GRAIN.max(counted / 8);
        if is_about_same && (held > 0 || counted == 0) {
            return;
        }
        place
            .get_or_insert_with(|| Box::new(Self::new(budget, task.clone())))
            .hold(held);
    }

    pub(crate) fn held(&self) -> usize {
        self.holder.held.load(Relaxed)
    }

    /// Tells whether the connection has to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.holder.leaving.load(Relaxed) > 0
    }

    fn hold(&self, bytes: usize) {
        let before = self.holder.held.swap(bytes, Relaxed);
        self.budget.change(before, bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut holders = self.budget.holders();
        holders.remove(self.key);
        // Nobody is told to go once it is not among them.
        let Shared { held, leaving, .. } = &*self.budget.0;
        held.fetch_sub(self.holder.held.load(Relaxed), Relaxed);
        leaving.fetch_sub(self.holder.leaving.load(Relaxed), Relaxed);
    }
}

/// What is less is not counted, and about as much as an idle connection takes
/// with its task.
const GRAIN: usize = 1024;

const GIBIBYTE: usize = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    /// A connection that holds so many bytes, and whether it was woken.
    fn holder(budget: &MemoryBudget, held: usize) -> (Option<Box<Share>>, Arc<Task>) {
        let task = Arc::new(Task::default());
        let mut share = None;
        Share::count(&mut share, held, budget, &Waker::from(Arc::clone(&task)));
        (share, task)
    }

    fn is_leaving((share, task): &(Option<Box<Share>>, Arc<Task>)) -> bool {
        let is_leaving = share.as_ref().unwrap().is_leaving();
        assert_eq!(is_leaving, task.0.load(Relaxed));
        is_leaving
    }

    #[test]
    fn those_who_hold_most_have_to_go_until_an_eighth_is_free() {
        let budget = MemoryBudget::new(80_000);
        let holders = [5_000, 30_000, 10_000, 20_000].map(|held| holder(&budget, held));
        assert_eq!(budget.held(), 65_000);
        assert!(!holders.iter().any(is_leaving));
        assert!(budget.check_room().is_err());
        // The one that is too much is not the largest.
        let last = holder(&budget, 16_000);
        assert_eq!(
            [0, 1, 2, 3].map(|i| is_leaving(&holders[i])),
            [false, true, false, false]
        );
        assert!(!is_leaving(&last));
        // Who was told holds it still, and nobody else goes for that.
        assert_eq!(budget.held(), 81_000);
        let more = holder(&budget, 20_000);
        assert!(!is_leaving(&more) && !is_leaving(&holders[3]));
        drop(holders);
        assert_eq!(budget.held(), 36_000);
        assert!(budget.check_room().is_ok());
        drop((last, more));
        assert_eq!((budget.held(), budget.staying()), (0, 0));
        assert!(budget.holders().is_empty());
    }

    #[test]
    fn one_that_is_more_than_all_may_hold_goes_itself() {
        let budget = MemoryBudget::new(80_000);
        let small = holder(&budget, 5_000);
        assert!(is_leaving(&holder(&budget, 80_000)));
        assert!(!is_leaving(&small));
    }

    #[test]
    fn little_is_not_counted_and_neither_are_small_changes() {
        let budget = MemoryBudget::new(1_000_000);
        let (mut share, _) = holder(&budget, GRAIN - 1);
        assert!(share.is_none());
        let mut counted = |held| {
            Share::count(&mut share, held, &budget, Waker::noop());
            budget.held()
        };
        assert_eq!(counted(80_000), 80_000);
        assert_eq!(counted(81_000), 80_000);
        assert_eq!(counted(71_000), 80_000);
        assert_eq!(counted(69_000), 69_000);
        assert_eq!(counted(1), 1);
        assert_eq!(counted(0), 0);
        assert_eq!(counted(500), 0);
    }
}
