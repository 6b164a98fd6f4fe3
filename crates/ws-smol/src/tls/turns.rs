//! Taking turns, so that a storm of TLS handshakes does not stop everybody
//! else.

use std::{
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use async_lock::{Semaphore, SemaphoreGuardArc, futures::AcquireArc};

#[cfg(feature = "net")]
use crate::net::LongWork;

/// How many handshakes are worked on before the executor has its turn again.
///
/// A handshake computes for about 100 µs while it is polled. Thousands that are
/// ready at once would be polled one after the other, and who has long been
/// connected would wait for all of them. So a poll takes a place, and gives it
/// back when the executor comes round to it the next time: in each round there
/// are no more polls than places. Who waits for the peer has no place, so slow
/// clients are in nobody's way.
///
/// An executor goes many rounds before it lets its reactor look at the sockets.
/// Where that is ours, there is one poll between two looks.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places.max(1))))
    }

    /// Runs a future in turns.
    pub(super) async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut place: Option<SemaphoreGuardArc> = None;
        let mut queue: Option<Pin<Box<AcquireArc>>> = None;
        #[cfg(feature = "net")]
        let mut work = LongWork::default();
        let mut is_done = false;
        let ready = Arc::new(Ready {
            is_ready: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        let waker = Waker::from(Arc::clone(&ready));
        std::future::poll_fn(|cx| {
            if mem::take(&mut is_done) {
                // The executor came round: the place is another's.
                place = None;
            }
            ready.set_task(cx.waker());
            if !ready.is_ready.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            if place.is_none() {
                let waiting = queue.get_or_insert_with(|| Box::pin(self.0.acquire_arc()));
                place = Some(ready!(waiting.as_mut().poll(cx)));
                queue = None;
            }
            #[cfg(feature = "net")]
            ready!(work.poll_start(cx));
            is_done = true;
            ready.is_ready.store(false, Ordering::Release);
            let outcome = future.as_mut().poll(&mut Context::from_waker(&waker));
            match outcome {
                Poll::Ready(_) => place = None,
                Poll::Pending => cx.waker().wake_by_ref(),
            }
            outcome
        })
        .await
    }
}

/// Tells being woken by the stream from being woken for the sake of a place.
struct Ready {
    is_ready: AtomicBool,
    task: Mutex<Waker>,
}

impl Ready {
    fn set_task(&self, task: &Waker) {
        let mut place = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.will_wake(task) {
            let before = mem::replace(&mut *place, task.clone());
            // To drop a waker may drop a task, and run anything.
            drop(place);
            drop(before);
        }
    }

    fn task(&self) -> Waker {
        let place = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_ready.store(true, Ordering::Release);
        self.task().wake();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
    };

    use smol::{LocalExecutor, future::yield_now};

    use super::*;
    #[cfg(feature = "net")]
    use crate::net::{block_on, now_here};

    /// Is polled `left` times, and counts how often since the last round.
    async fn work(left: usize, count: Rc<Cell<usize>>) {
        for _ in 0..left {
            count.set(count.get() + 1);
            yield_now().await;
        }
    }

    #[test]
    fn round_of_the_executor_has_no_more_polls_than_places() {
        let turns = Turns::new(3);
        let count = Rc::new(Cell::new(0));
        let executor = LocalExecutor::new();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (turns, work) = (turns.clone(), work(5, Rc::clone(&count)));
                executor.spawn(async move { turns.run(work).await })
            })
            .collect();
        let most = Rc::new(Cell::new(0));
        let rounds = Rc::new(Cell::new(0));
        let (seen, tick, counted) = (Rc::clone(&most), Rc::clone(&rounds), Rc::clone(&count));
        let other = executor.spawn(async move {
            loop {
                seen.set(seen.get().max(counted.replace(0)));
                tick.set(tick.get() + 1);
                yield_now().await;
            }
        });
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        drop(other);
        // A round ends where the other task stands, not where the places do.
        assert!(most.get() <= 2 * 3, "{} polls in a round", most.get());
        assert!(rounds.get() >= 500 / 6, "{} rounds", rounds.get());
    }

    #[cfg(feature = "net")]
    #[test]
    fn turn_of_our_reactor_has_one_poll() {
        let turns = Turns::new(3);
        let executor = LocalExecutor::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (turns, seen) = (turns.clone(), Rc::clone(&seen));
                let look = move || seen.borrow_mut().push(now_here());
                let work = async move {
                    look();
                    yield_now().await;
                    look();
                };
                executor.spawn(async move { turns.run(work).await })
            })
            .collect();
        let all = async {
            for task in tasks {
                task.await;
            }
        };
        block_on(executor.run(all)).unwrap();
        let seen = seen.take();
        assert_eq!(seen.len(), 100);
        assert!(seen.iter().all(Option::is_some));
        assert!(seen.windows(2).all(|two| two[0] < two[1]), "{seen:?}");
    }

    #[test]
    fn who_waits_for_the_peer_has_no_place() {
        let turns = Turns::new(1);
        let (sender, receiver) = smol::channel::bounded::<()>(1);
        let log = RefCell::new(Vec::new());
        let slow = turns.run(async {
            receiver.recv().await.unwrap();
            log.borrow_mut().push("slow");
        });
        let fast = async {
            turns.run(yield_now()).await;
            log.borrow_mut().push("fast");
            sender.send(()).await.unwrap();
        };
        smol::block_on(smol::future::zip(slow, fast));
        assert_eq!(log.take(), ["fast", "slow"]);
    }

    #[test]
    fn dropped_future_gives_its_place_back() {
        let turns = Turns::new(1);
        smol::block_on(async {
            let mut hanging = Box::pin(turns.run(std::future::pending::<()>()));
            assert_eq!(smol::future::poll_once(&mut hanging).await, None);
            drop(hanging);
            turns.run(async {}).await;
        });
    }
}
