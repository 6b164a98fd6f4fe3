//! The thread's timers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// A timer of the reactor that runs on this thread.
#[derive(Debug)]
pub(crate) struct TimerHere {
    at: Instant,
    /// Of which run of a reactor it is.
    run: u64,
    id: u64,
    /// Somebody is registered to be woken.
    is_set: bool,
}

/// A run of a reactor on this thread.
#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    /// When the reactor woke last.
    now: Instant,
}

thread_local! {
    static RUN: Cell<Option<Run>> = const { Cell::new(None) };
    static TIMERS: RefCell<BTreeMap<(Instant, u64), Waker>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Keeps the timers of this thread going for as long as it exists.
#[derive(Debug)]
pub(super) struct Running {
    /// The run that this one is within.
    outer: Option<Run>,
}

impl Running {
    pub(super) fn start() -> Self {
        let outer = RUN.get();
        let now = Instant::now();
        let number = outer.map_or_else(next_number, |run| run.number);
        RUN.set(Some(Run { number, now }));
        Self { outer }
    }

    pub(super) const fn is_outermost(&self) -> bool {
        self.outer.is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUN.set(self.outer);
        if self.outer.is_none() {
            // Who waits looks for another timer.
            for waker in TIMERS.take().into_values() {
                waker.wake();
            }
        }
    }
}

/// Returns how long the reactor may sleep; `None` for ever.
pub(super) fn until_next() -> Option<Duration> {
    let now = now_here()?;
    let (at, _) = TIMERS.with_borrow(|timers| timers.keys().next().copied())?;
    Some(at.saturating_duration_since(now))
}

/// Reads the clock, and wakes those whose time has come.
pub(super) fn advance() {
    let Some(run) = RUN.get() else { return };
    let now = Instant::now();
    RUN.set(Some(Run { now, ..run }));
    while let Some(waker) = TIMERS.with_borrow_mut(|timers| {
        let first = timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }) {
        waker.wake();
    }
}

/// Returns when the reactor of this thread woke last; `None` if none runs.
pub(crate) fn now_here() -> Option<Instant> {
    RUN.get().map(|run| run.now)
}

/// Waits to do something long, of which there is one in each turn of a reactor,
/// so that the sockets that are ready meanwhile are not kept waiting for more.
///
/// Where no reactor of ours runs, nothing is waited for.
#[cfg(feature = "tls")]
#[derive(Debug, Default)]
pub(crate) struct LongWork {
    /// Goes off with the next turn.
    next_turn: Option<TimerHere>,
}

#[cfg(feature = "tls")]
impl LongWork {
    /// Tells whether it may be done now. It is to be, then.
    pub(crate) fn poll_start(&mut self, cx: &Context<'_>) -> Poll<()> {
        thread_local! {
            /// When the reactor woke for the turn that had its long work.
            static DONE: Cell<Option<Instant>> = const { Cell::new(None) };
        }
        let now = now_here();
        if now.is_none() || DONE.replace(now) != now {
            self.next_turn = None;
            return Poll::Ready(());
        }
        if let Some(now) = now {
            let next = TimerHere::at(now + Duration::from_nanos(1));
            let _ = self.next_turn.insert(next).poll(cx);
        }
        Poll::Pending
    }
}

fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl TimerHere {
    pub(crate) fn at(at: Instant) -> Self {
        Self {
            at,
            run: RUN.get().map_or(u64::MAX, |run| run.number),
            id: next_number(),
            is_set: false,
        }
    }

    pub(crate) const fn goes_off(&self) -> Instant {
        self.at
    }

    /// Tells whether its reactor runs on this thread.
    pub(crate) fn is_here(&self) -> bool {
        RUN.get().is_some_and(|run| run.number == self.run)
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if now_here().is_some_and(|now| now >= self.at) {
            return Poll::Ready(());
        }
        if !self.is_set {
            self.is_set = true;
            let waker = cx.waker().clone();
            TIMERS.with_borrow_mut(|timers| timers.insert((self.at, self.id), waker));
        }
        Poll::Pending
    }
}

impl Drop for TimerHere {
    fn drop(&mut self) {
        // On another thread, or at the end of this one, there is nothing to
        // remove.
        if self.is_set {
            let key = (self.at, self.id);
            let _ = TIMERS.try_with(|timers| timers.borrow_mut().remove(&key));
        }
    }
}
