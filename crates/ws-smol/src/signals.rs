//! Who is woken when the transport is ready.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// The one waker that a transport ever sees, and the tasks behind it.
///
/// Reading writes too (Pongs, the reply to a Close) and writing reads too, in
/// one task or in two. A transport keeps only the waker that it saw last, so
/// two tasks that poll it with their own would steal each other's wake-ups.
/// Here each has a place of its own, and every readiness wakes both.
///
/// It also remembers that the transport said "not yet" and has not called
/// since, so that nobody asks it in vain.
#[derive(Debug)]
pub(crate) struct Signals {
    readable: AtomicBool,
    writable: AtomicBool,
    /// Something happened since that was last asked.
    event: AtomicBool,
    tasks: Mutex<[Option<Waker>; 2]>,
}

/// The operation that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read = 0,
    Write = 1,
}

impl Signals {
    pub(crate) const fn new() -> Self {
        Self {
            readable: AtomicBool::new(true),
            writable: AtomicBool::new(true),
            event: AtomicBool::new(false),
            tasks: Mutex::new([None, None]),
        }
    }

    /// Notes the task that waits on one side. What happens from now on wakes
    /// it; what happened before is told by [`take_event`](Self::take_event).
    pub(crate) fn register(&self, side: Side, task: &Waker) {
        let mut tasks = self.lock();
        if !matches!(&tasks[side as usize], Some(known) if known.will_wake(task)) {
            let before = tasks[side as usize].replace(task.clone());
            // To drop a waker may drop a task, and run anything.
            drop(tasks);
            drop(before);
        }
    }

    /// Tells whether a task waits on one side.
    pub(crate) fn is_waiting(&self, side: Side) -> bool {
        self.lock()[side as usize].is_some()
    }

    /// Wakes the task that waits on the other side than `side`, as the
    /// connection's state has changed.
    pub(crate) fn wake_other(&self, side: Side) {
        let task = self.lock()[1 - side as usize].take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Tells whether anything has happened since this was last asked.
    pub(crate) fn take_event(&self) -> bool {
        // Mostly there was none, and to look is cheaper than to take.
        self.event.load(Ordering::Relaxed) && self.event.swap(false, Ordering::AcqRel)
    }

    /// Tells whether reading is worth a try, and takes that for done.
    pub(crate) fn take_readable(&self) -> bool {
        take(&self.readable)
    }

    pub(crate) fn set_readable(&self) {
        self.readable.store(true, Ordering::Release);
    }

    /// Tells whether writing is worth a try, and takes that for done.
    pub(crate) fn take_writable(&self) -> bool {
        take(&self.writable)
    }

    pub(crate) fn set_writable(&self) {
        self.writable.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is overwritten came before the transport is asked, which then
/// says itself what it is worth.
fn take(flag: &AtomicBool) -> bool {
    let is_set = flag.load(Ordering::Acquire);
    if is_set {
        flag.store(false, Ordering::Relaxed);
    }
    is_set
}

impl Wake for Signals {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // INVARIANT: a task registers and then asks for an event, so it either
        // sees this one or is in its place below.
        self.set_readable();
        self.set_writable();
        self.event.store(true, Ordering::Release);
        let tasks = mem::take(&mut *self.lock());
        for task in tasks.into_iter().flatten() {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn readiness_wakes_both_sides_once() {
        let signals = Arc::new(Signals::new());
        let ((reads, reader), (writes, writer)) = (task(), task());
        signals.register(Side::Read, &reader);
        signals.register(Side::Write, &writer);
        assert!(signals.take_readable() && !signals.take_readable());
        let waker = Waker::from(Arc::clone(&signals));
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(reads.0.load(Ordering::Relaxed), 1);
        assert_eq!(writes.0.load(Ordering::Relaxed), 1);
        assert!(signals.take_readable() && signals.take_writable());
        assert!(!signals.is_waiting(Side::Read));
    }

    #[test]
    fn one_side_does_not_overwrite_the_other() {
        let signals = Signals::new();
        let ((reads, reader), (writes, writer)) = (task(), task());
        signals.register(Side::Read, &reader);
        signals.register(Side::Write, &writer);
        signals.wake_other(Side::Write);
        assert_eq!(reads.0.load(Ordering::Relaxed), 1);
        assert_eq!(writes.0.load(Ordering::Relaxed), 0);
        assert!(signals.is_waiting(Side::Write));
    }
}
