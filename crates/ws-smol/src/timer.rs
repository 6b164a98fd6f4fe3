//! Time: the clock, and what wakes a task later.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

#[cfg(feature = "net")]
use crate::net::{TimerHere, now_here};

/// Tells the time, and wakes tasks: the timers of a runtime.
///
/// Every deadline and every wait of this crate asks one. Without a choice of one's own
/// that is the reactor of [`net`](crate#servers-of-one-thread) where it runs on the thread, and
/// [`AsyncIo`] everywhere else. `Acceptor::timer`, [`Connector::on`](crate::Connector::on),
/// `Gate::timer` and [`WebSocket::with_timer`](crate::WebSocket::with_timer) take another: the
/// crate `ws-tokio` has that of tokio, and a test may have a clock that it moves itself.
pub trait Timer: fmt::Debug + Send + Sync {
    /// Returns the time. It never goes back.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns a future that is ready once [`now`](Self::now) is `deadline` or later.
    fn sleep_until(&self, deadline: Instant) -> Sleep;
}

/// A wait that a [`Timer`] has made. It takes little memory, as each idle connection has one.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl<T: Timer + ?Sized> Timer for Arc<T> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        (**self).sleep_until(deadline)
    }
}

/// The runtime of smol and of every executor that has none: timers of `async-io`, TCP of
/// `async-net`.
///
/// Where nobody runs the reactor of `async-io`, a thread of its own does.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIo;

impl Timer for AsyncIo {
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        struct Wait(async_io::Timer);

        impl Future for Wait {
            type Output = ();

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                Pin::new(&mut self.0).poll(cx).map(drop)
            }
        }

        Box::pin(Wait(async_io::Timer::at(deadline)))
    }
}

/// The timer that was chosen. Without a choice: that of the thread's own reactor
/// where one runs, and of `async-io` everywhere else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(Option<Arc<Chosen>>);

/// A timer behind one word, which each connection has.
#[derive(Debug)]
struct Chosen(Box<dyn Timer>);

impl Timer for Chosen {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        self.0.sleep_until(deadline)
    }
}

impl Timers {
    pub(crate) fn new(timer: impl Timer + 'static) -> Self {
        Self(Some(Arc::new(Chosen(Box::new(timer)))))
    }

    /// Returns the choice, if there was one.
    pub(crate) fn chosen(&self) -> Option<Arc<dyn Timer>> {
        Some(Arc::clone(self.0.as_ref()?) as Arc<dyn Timer>)
    }

    /// Returns the time; where the thread's own reactor runs, as it was when the
    /// reactor woke last.
    pub(crate) fn now(&self) -> Instant {
        if let Some(timer) = &self.0 {
            return timer.now();
        }
        #[cfg(feature = "net")]
        if let Some(now) = now_here() {
            return now;
        }
        AsyncIo.now()
    }

    pub(crate) fn at(&self, at: Instant) -> Alarm {
        if let Some(timer) = &self.0 {
            return Alarm::Anywhere(timer.sleep_until(at), at);
        }
        #[cfg(feature = "net")]
        if now_here().is_some() {
            return Alarm::Here(TimerHere::at(at));
        }
        Alarm::anywhere(at)
    }

    /// Waits until a time.
    pub(crate) async fn sleep(&self, until: Instant) {
        let mut alarm: Option<(Alarm, Waker)> = None;
        poll_fn(|cx| self.poll_until(&mut alarm, until, cx)).await;
    }

    /// Waits until a time, which may be another at each poll.
    pub(crate) fn poll_until(
        &self,
        alarm: &mut Option<(Alarm, Waker)>,
        at: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let (alarm, _) = match alarm {
            Some(set) if set.0.goes_off() == at && set.1.will_wake(cx.waker()) => set,
            place => place.insert((self.at(at), cx.waker().clone())),
        };
        alarm.poll_same(cx)
    }
}

impl From<Option<Arc<dyn Timer>>> for Timers {
    fn from(chosen: Option<Arc<dyn Timer>>) -> Self {
        chosen.map_or_else(Self::default, Self::new)
    }
}

/// A wait until a time.
pub(crate) enum Alarm {
    Anywhere(Sleep, Instant),
    #[cfg(feature = "net")]
    Here(TimerHere),
}

impl Alarm {
    fn anywhere(at: Instant) -> Self {
        Self::Anywhere(AsyncIo.sleep_until(at), at)
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
            Self::Anywhere(sleep, _) => sleep.as_mut().poll(cx),
            #[cfg(feature = "net")]
            Self::Here(_) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarm").field(&self.goes_off()).finish()
    }
}
