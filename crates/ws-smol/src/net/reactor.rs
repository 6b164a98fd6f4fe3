//! The thread's reactor: which sockets are ready, and who waits for them.

use std::{
    cell::{OnceCell, RefCell, RefMut},
    future::Future,
    io::{self, ErrorKind},
    mem,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use mio::{Events, Interest, Registry, Token, event::Event};
use slab::Slab;

use super::{
    tasks::Tasks,
    time::{self, Running},
};

/// Runs a future on this thread, and sleeps until something is ready whenever
/// it has to wait: what makes the sockets of this module work.
///
/// # Errors
///
/// Those of the system's selector, which a program hardly outlives.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let reactor = Reactor::of_thread()?;
    let waker = Waker::from(Arc::clone(&reactor.alarm));
    let cx = &mut Context::from_waker(&waker);
    let mut future = pin!(future);
    let running = Running::start();
    let _tasks = TasksOfRun(running.is_outermost().then_some(&reactor));
    loop {
        reactor.alarm.silence();
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            // Whoever runs the reactor around this looks again.
            reactor.alarm.ring();
            return Ok(result);
        }
        loop {
            reactor.tasks.run();
            reactor.turn()?;
            if reactor.alarm.is_ringing() {
                break;
            }
        }
    }
}

/// Sockets that are registered, once, and what is known of them.
#[derive(Debug)]
pub(super) struct Reactor {
    selector: RefCell<(mio::Poll, Events)>,
    registry: Registry,
    sockets: RefCell<Slab<Socket>>,
    pub(super) tasks: Tasks,
    alarm: Arc<Alarm>,
}

thread_local! {
    static REACTOR: OnceCell<Rc<Reactor>> = const { OnceCell::new() };
}

/// Drops the tasks of a thread, at the end of the outermost [`block_on`].
struct TasksOfRun<'r>(Option<&'r Reactor>);

impl Drop for TasksOfRun<'_> {
    fn drop(&mut self) {
        if let Some(reactor) = self.0 {
            reactor.tasks.clear();
        }
    }
}

/// What is known of a socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) read: Direction,
    pub(super) write: Direction,
    /// An end of the stream, or a failure, stands behind what is to be read.
    pub(super) has_ended: bool,
    /// Registered for writable readiness too.
    pub(super) wants_write: bool,
}

/// One direction of a socket.
#[derive(Debug)]
pub(super) struct Direction {
    /// The system has not said "not yet" since it said "now".
    pub(super) is_ready: bool,
    /// Who waited last; kept, as it is mostly the same.
    waker: Option<Waker>,
    is_waiting: bool,
}

impl Direction {
    const fn ready() -> Self {
        Self {
            is_ready: true,
            waker: None,
            is_waiting: false,
        }
    }

    /// Notes who waits. Returns who waited before, to be dropped once the
    /// sockets are not borrowed: that may drop a task, and its socket.
    #[must_use = "it is dropped where the sockets are not borrowed"]
    pub(super) fn wait(&mut self, cx: &Context<'_>) -> Option<Waker> {
        self.is_waiting = true;
        match &self.waker {
            Some(known) if known.will_wake(cx.waker()) => None,
            _ => self.waker.replace(cx.waker().clone()),
        }
    }

    /// Notes readiness, and takes who is to be woken.
    const fn set_ready(&mut self) -> Option<Waker> {
        self.is_ready = true;
        match mem::replace(&mut self.is_waiting, false) {
            true => self.waker.take(),
            false => None,
        }
    }

    /// Puts back who was woken, or returns it if somebody waits already.
    fn put_back(&mut self, waker: Waker) -> Option<Waker> {
        match &self.waker {
            Some(_) => Some(waker),
            None => self.waker.replace(waker),
        }
    }
}

impl Reactor {
    /// Returns the reactor of this thread.
    pub(super) fn of_thread() -> io::Result<Rc<Self>> {
        REACTOR.with(|place| {
            if let Some(reactor) = place.get() {
                return Ok(Rc::clone(reactor));
            }
            let reactor = Rc::new(Self::new()?);
            Ok(Rc::clone(place.get_or_init(|| reactor)))
        })
    }

    /// Returns the reactor of this thread, if it runs.
    pub(super) fn running() -> Option<Rc<Self>> {
        time::now_here()?;
        REACTOR.with(|place| place.get().cloned())
    }

    /// Looks at the reactor of this thread, if it has one.
    pub(super) fn if_there_is_one<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        REACTOR
            .try_with(|place| place.get().map(|reactor| look(reactor)))
            .ok()?
    }

    fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let alarm = Arc::new(Alarm {
            rings: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
            waker: mio::Waker::new(&registry, ALARM)?,
        });
        Ok(Self {
            selector: RefCell::new((poll, Events::with_capacity(EVENTS))),
            registry,
            sockets: RefCell::new(Slab::new()),
            tasks: Tasks::new(&alarm),
            alarm,
        })
    }

    /// Registers a socket for as long as it exists; returns its key.
    pub(super) fn register(&self, source: &mut impl mio::event::Source) -> io::Result<usize> {
        let mut sockets = self.sockets.borrow_mut();
        let place = sockets.vacant_entry();
        let key = place.key();
        self.registry
            .register(source, Token(key), Interest::READABLE)?;
        place.insert(Socket {
            read: Direction::ready(),
            write: Direction::ready(),
            has_ended: false,
            wants_write: false,
        });
        Ok(key)
    }

    /// Asks for writable readiness too, once for a socket.
    pub(super) fn want_write(
        &self,
        source: &mut impl mio::event::Source,
        key: usize,
    ) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.reregister(source, Token(key), interest)
    }

    /// Forgets a socket, which is about to be closed.
    pub(super) fn remove(&self, key: usize) {
        let socket = self.sockets.borrow_mut().try_remove(key);
        // The sockets are not borrowed any more: a waker may drop a task.
        drop(socket);
    }

    pub(super) fn socket(&self, key: usize) -> RefMut<'_, Socket> {
        RefMut::map(self.sockets.borrow_mut(), |sockets| &mut sockets[key])
    }

    /// Waits for events, if the alarm does not ring and no task is ready, and wakes whom they are
    /// for.
    fn turn(&self) -> io::Result<()> {
        let (poll, events) = &mut *self.selector.borrow_mut();
        let is_busy = self.alarm.lie_down() || self.tasks.are_ready();
        let timeout = match is_busy {
            true => Some(Duration::ZERO),
            false => time::until_next(),
        };
        let polled = poll.poll(events, timeout);
        self.alarm.get_up();
        time::advance();
        match polled {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            self.handle(event);
        }
        Ok(())
    }

    /// Notes what an event says, and wakes who waited for it.
    fn handle(&self, event: &Event) {
        let key = event.token().0;
        let is_failed = event.is_error();
        let has_ended = event.is_read_closed() || is_failed;
        if has_ended && let Some(socket) = self.sockets.borrow_mut().get_mut(key) {
            socket.has_ended = true;
        }
        if event.is_readable() || has_ended {
            self.wake(key, |socket| &mut socket.read);
        }
        if event.is_writable() || event.is_write_closed() || is_failed {
            self.wake(key, |socket| &mut socket.write);
        }
    }

    fn wake(&self, key: usize, side: Side) {
        if let Some(waker) = self.with(key, side, Direction::set_ready).flatten() {
            waker.wake_by_ref();
            let unused = self.with(key, side, |direction| direction.put_back(waker));
            drop(unused);
        }
    }

    /// Looks at one direction of a socket that may be gone. No waker is called
    /// meanwhile: those may do whatever they like.
    fn with<T>(&self, key: usize, side: Side, look: impl FnOnce(&mut Direction) -> T) -> Option<T> {
        self.sockets.borrow_mut().get_mut(key).map(side).map(look)
    }
}

type Side = fn(&mut Socket) -> &mut Direction;

/// What wakes the thread: for who is on it, a note; for others, an event.
#[derive(Debug)]
pub(super) struct Alarm {
    rings: AtomicBool,
    is_asleep: AtomicBool,
    waker: mio::Waker,
}

impl Alarm {
    pub(super) fn ring(&self) {
        // INVARIANT: who rings notes it and then looks for a sleeper, and who
        // lies down does it the other way round, so one sees the other.
        if !self.rings.swap(true, Ordering::SeqCst) && self.is_asleep.load(Ordering::SeqCst) {
            // There is nobody to tell; the selector will say so itself.
            let _ = self.waker.wake();
        }
    }

    /// Before what it calls for is looked after.
    fn silence(&self) {
        self.rings.swap(false, Ordering::SeqCst);
    }

    fn is_ringing(&self) -> bool {
        self.rings.load(Ordering::SeqCst)
    }

    /// Before the thread sleeps; `true` if it must not.
    fn lie_down(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        self.is_ringing()
    }

    fn get_up(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// No socket has as many before it.
const ALARM: Token = Token(usize::MAX);

/// How many events are taken at once.
const EVENTS: usize = 1024;
