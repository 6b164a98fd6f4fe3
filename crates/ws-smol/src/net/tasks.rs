//! Tasks of the thread.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use slab::Slab;

use super::reactor::{Alarm, Reactor};

/// Starts a task on this thread, beside the future that [`block_on`](super::block_on) runs. It ends
/// with that future at the latest. What it returns is dropped.
///
/// # Panics
///
/// If no `block_on` of this module runs on the thread. A panic of the task goes on in `block_on`.
pub fn spawn(future: impl Future + 'static) {
    let reactor = Reactor::running().expect("net::spawn is called within net::block_on");
    reactor.tasks.spawn(Box::pin(future));
}

/// The tasks of a thread.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Those that are polled right now have left their place empty.
    places: RefCell<Slab<Option<Waiting>>>,
    ready: RefCell<VecDeque<Arc<Task>>>,
    far: Arc<Far>,
}

/// A task that waits. What wakes it is with whoever is to wake it.
type Waiting = Pin<Box<dyn Run>>;

/// A future whose output is dropped.
trait Run {
    fn run(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

impl<F: Future> Run for F {
    fn run(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(drop)
    }
}

/// What wakes a task.
#[derive(Debug)]
struct Task {
    key: usize,
    is_queued: AtomicBool,
    far: Arc<Far>,
}

/// How other threads wake tasks.
#[derive(Debug)]
struct Far {
    /// None once the thread has ended.
    woken: Mutex<Option<Vec<Arc<Task>>>>,
    alarm: Arc<Alarm>,
}

impl Tasks {
    pub(super) fn new(alarm: &Arc<Alarm>) -> Self {
        Self {
            places: RefCell::default(),
            ready: RefCell::default(),
            far: Arc::new(Far {
                woken: Mutex::new(Some(Vec::new())),
                alarm: Arc::clone(alarm),
            }),
        }
    }

    fn spawn(&self, future: Waiting) {
        let mut places = self.places.borrow_mut();
        let place = places.vacant_entry();
        let task = Arc::new(Task {
            key: place.key(),
            is_queued: AtomicBool::new(true),
            far: Arc::clone(&self.far),
        });
        place.insert(Some(future));
        self.ready.borrow_mut().push_back(task);
    }

    /// Tells whether there is a task to be polled.
    pub(super) fn are_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Polls all tasks that are ready now, each once.
    pub(super) fn run(&self) {
        let mut ready = self.ready.borrow_mut();
        ready.extend(self.far.take());
        let count = ready.len();
        drop(ready);
        for _ in 0..count {
            let next = self.ready.borrow_mut().pop_front();
            let Some(task) = next else { return };
            self.poll(task);
        }
    }

    fn poll(&self, task: Arc<Task>) {
        let key = task.key;
        // Whoever wakes it from here on has it polled again.
        task.is_queued.store(false, Ordering::SeqCst);
        let waiting = self.places.borrow_mut().get_mut(key).and_then(Option::take);
        let Some(mut future) = waiting else { return };
        let waker = Waker::from(task);
        let polled = future.as_mut().run(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            if let Some(place) = self.places.borrow_mut().get_mut(key) {
                *place = Some(future);
            }
            return;
        }
        // To drop a task may start others, or wake them.
        drop(future);
        self.places.borrow_mut().try_remove(key);
    }

    /// Drops all tasks.
    pub(super) fn clear(&self) {
        while !self.places.borrow().is_empty() {
            let places = self.places.take();
            drop(places);
        }
        drop(self.ready.take());
        drop(self.far.take());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.far.lock().take();
    }
}

impl Far {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Arc<Task>>>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Arc<Task>> {
        self.lock().as_mut().map(mem::take).unwrap_or_default()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::SeqCst) {
            return;
        }
        let is_here = Reactor::if_there_is_one(|reactor| {
            let is_here = Arc::ptr_eq(&reactor.tasks.far, &self.far);
            if is_here {
                reactor.tasks.ready.borrow_mut().push_back(Arc::clone(self));
            }
            is_here
        });
        if !is_here.unwrap_or_default() {
            if let Some(woken) = &mut *self.far.lock() {
                woken.push(Arc::clone(self));
            }
            self.far.alarm.ring();
        }
    }
}

impl fmt::Debug for dyn Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Run")
    }
}
