//! Tasks for a loop from other threads.

use std::{
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use ws_proto::{CloseCode, Prepared};

use crate::{
    Drain, Handler, Loop, PeerAddr, PeerId,
    commands::{Placed, publication_log::PublicationLog},
    metrics::Counters,
};

/// What a loop is asked to do.
pub(crate) enum Task<H: Handler, T> {
    /// To end in order; `None` is within `close_timeout`.
    Stop(Option<Drain>),
    /// To stop, unless it was asked to, or to drain after a lame duck.
    End,
    /// To serve a connection that another loop has accepted.
    Admit(T, PeerAddr),
    Send(PeerId, Prepared),
    Close(PeerId, CloseCode, Box<str>),
    #[expect(clippy::type_complexity, reason = "it is said once")]
    Run(Box<dyn FnOnce(&mut Loop<'_, H, T>) + Send>),
}

/// Makes a loop look into its mailbox.
pub(crate) type Wake = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

pub(crate) type Tasks<H, T> = Vec<Placed<Task<H, T>>>;

/// How one loop is reached.
pub(crate) struct Mailbox<H: Handler, T> {
    /// `None` once the loop has ended.
    tasks: Mutex<Option<Tasks<H, T>>>,
    log: Arc<PublicationLog>,
    wake: Wake,
    /// The loop was woken since it last began to look. It then sees what was
    /// left for it before.
    is_woken: AtomicBool,
    /// How many connections are on their way to be adopted.
    pub(super) adopting: Arc<AtomicUsize>,
    pub(crate) counters: Arc<Counters>,
}

impl<H: Handler, T> Mailbox<H, T> {
    pub(crate) fn new(wake: Wake, log: Arc<PublicationLog>) -> Self {
        Self {
            tasks: Mutex::new(Some(Vec::new())),
            log,
            wake,
            is_woken: AtomicBool::new(false),
            adopting: Arc::default(),
            counters: Arc::default(),
        }
    }

    /// Hands a task to the loop; drops it if the loop has ended.
    pub(crate) fn push(&self, task: Task<H, T>) -> io::Result<()> {
        match &mut *self.lock() {
            Some(tasks) => tasks.push(Placed::new(&self.log, task)),
            None => return Ok(()),
        }
        self.wake()
    }

    /// Has the loop look at its tasks and at the publications; once, until it
    /// begins to look.
    pub(crate) fn wake(&self) -> io::Result<()> {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if fault!("mailbox-asleep") {
            return Ok(());
        }
        let woken = (self.wake)();
        if woken.is_err() {
            self.is_woken.store(false, Ordering::Release);
        }
        woken
    }

    pub(crate) fn waker(&self) -> Wake {
        Arc::clone(&self.wake)
    }

    /// Takes all tasks, and leaves the caller's empty vector for the next.
    pub(crate) fn swap(&self, tasks: &mut Tasks<H, T>) {
        // Before it looks: what comes later wakes it again.
        self.is_woken.swap(false, Ordering::AcqRel);
        if let Some(waiting) = &mut *self.lock() {
            mem::swap(waiting, tasks);
        }
    }

    /// Notes that the loop has ended, and drops what it did not get to.
    pub(crate) fn end(&self) {
        self.is_woken.store(true, Ordering::Release);
        // Not dropped under the lock: a closure may own anything.
        let left = self.lock().take();
        drop(left);
    }

    /// Tells whether the loop has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tasks<H, T>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
