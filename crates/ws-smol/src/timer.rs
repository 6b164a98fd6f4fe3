//! Time: the clock, and what wakes a task later.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

#[cfg(feature = "net")]
use crate::net::{TimerHere, now_here};

/// A timer of the thread's own reactor where one runs, and of `async-io`
/// everywhere else.
#[derive(Debug)]
pub(crate) enum Timer {
    Anywhere(Box<async_io::Timer>, Instant),
    #[cfg(feature = "net")]
    Here(TimerHere),
}

impl Timer {
    pub(crate) fn at(at: Instant) -> Self {
        #[cfg(feature = "net")]
        if now_here().is_some() {
            return Self::Here(TimerHere::at(at));
        }
        Self::anywhere(at)
    }

    fn anywhere(at: Instant) -> Self {
        Self::Anywhere(Box::new(async_io::Timer::at(at)), at)
    }

    /// Returns when it goes off.
    pub(crate) const fn goes_off(&self) -> Instant {
        match self {
            Self::Anywhere(_, at) => *at,
            #[cfg(feature = "net")]
            Self::Here(timer) => timer.goes_off(),
        }
    }

    /// Tells whether it will wake who polled it.
    pub(crate) fn is_set(&self) -> bool {
        match self {
            Self::Anywhere(..) => true,
            #[cfg(feature = "net")]
            Self::Here(timer) => timer.is_here(),
        }
    }

    /// Waits until it goes off, for one task: the waker of the first poll is
    /// the one that is woken.
    pub(crate) fn poll_same(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "net")]
        if let Self::Here(timer) = self {
            if timer.is_here() {
                return timer.poll(cx);
            }
            // Its reactor has stopped, or it was taken to another thread.
            *self = Self::anywhere(timer.goes_off());
        }
        match self {
            Self::Anywhere(timer, _) => Pin::new(timer).poll(cx).map(drop),
            #[cfg(feature = "net")]
            Self::Here(_) => Poll::Pending,
        }
    }
}

/// Waits until a time.
pub(crate) async fn sleep(until: Instant) {
    let mut timer: Option<(Timer, Waker)> = None;
    poll_fn(|cx| {
        let (timer, _) = match &mut timer {
            Some(set) if set.1.will_wake(cx.waker()) => set,
            place => place.insert((Timer::at(until), cx.waker().clone())),
        };
        timer.poll_same(cx)
    })
    .await;
}

/// Returns the time; where the thread's own reactor runs, as it was when the
/// reactor woke last.
pub(crate) fn now() -> Instant {
    #[cfg(feature = "net")]
    if let Some(now) = now_here() {
        return now;
    }
    Instant::now()
}
