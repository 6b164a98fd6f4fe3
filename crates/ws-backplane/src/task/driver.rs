//! The future that connects, reads, writes, and waits.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures_io::{AsyncRead, AsyncWrite};

use super::calls::{Call, OnPresence, OnPublished, OnRecovery, Shared};
use crate::{
    Backplane, Discontinuity, Engine, EngineError, Handler, Limits, Node, Position, PresenceId,
    PublishError, RecoverId, Recovery, Ticket,
};

/// Connects to an engine: [`connect_tcp`](crate::connect_tcp), or whatever
/// gives a stream.
pub trait Connect {
    /// The connection.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Begins to connect. It is called anew whenever a connection has ended.
    fn connect(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;
}

impl<S, C, F> Connect for C
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: FnMut() -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    type Stream = S;

    fn connect(&mut self) -> impl Future<Output = io::Result<S>> + Send + 'static {
        self()
    }
}

/// Makes a node, and the future that runs it: to be spawned on any executor,
/// or blocked on by a thread of its own. It connects, and connects again
/// after a jittered pause of up to 5 s, until [`Node::stop`], or the end of the
/// last handle.
///
/// # Cancel safety
///
/// Dropped, the node is gone as if its process had ended.
pub fn run<E, C, H>(
    engine: E,
    limits: Limits,
    connect: C,
    handler: H,
) -> (Node, impl Future<Output = ()> + Send)
where
    E: Engine + Send,
    C: Connect + Send,
    C::Stream: Send,
    H: Handler + Send,
{
    let (node, shared) = Node::new(limits.clone());
    let mut driver = Driver {
        backplane: Backplane::new(engine, limits),
        connect,
        link: Link::Away(Instant::now()),
        buffer: Buffer::default(),
        told: Told {
            handler,
            shared,
            publications: HashMap::new(),
            recoveries: HashMap::new(),
            presences: HashMap::new(),
            next_id: 0,
        },
        calls: Vec::new(),
        failures: 0,
        timer: None,
    };
    (node, async move {
        poll_fn(|context| driver.poll(context)).await
    })
}

struct Driver<E, C: Connect, H> {
    backplane: Backplane<E>,
    connect: C,
    link: Link<C::Stream>,
    buffer: Buffer,
    told: Told<H>,
    calls: Vec<Call>,
    /// How many connections in a row came to nothing.
    failures: u32,
    timer: Option<(Instant, Timer)>,
}

enum Link<S> {
    /// No connection until then.
    Away(Instant),
    Connecting(Instant, Pin<Box<dyn Future<Output = io::Result<S>> + Send>>),
    Open(S),
}

/// Bytes that came, and are not taken.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// The application's handler, and who waits for what.
struct Told<H> {
    handler: H,
    shared: Arc<Shared>,
    publications: HashMap<Ticket, (usize, Option<OnPublished>)>,
    recoveries: HashMap<RecoverId, OnRecovery>,
    presences: HashMap<PresenceId, OnPresence>,
    next_id: u64,
}

impl<E: Engine, C: Connect, H: Handler> Driver<E, C, H> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let metrics = self.backplane.metrics();
            let has_ended = self
                .told
                .shared
                .take(&mut self.calls, context.waker(), metrics);
            let now = Instant::now();
            let had_calls = !self.calls.is_empty();
            for call in std::mem::take(&mut self.calls) {
                self.told.call(now, &mut self.backplane, call);
            }
            self.backplane.handle_timeout(now, &mut self.told);
            let moved = match self.turn(now, context) {
                Ok(moved) => moved,
                Err(why) => {
                    self.disconnect(now, &why);
                    true
                }
            };
            if has_ended {
                return Poll::Ready(());
            }
            if !moved && !had_calls && self.wait(context) {
                return Poll::Pending;
            }
        }
        // Others have a turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Goes on with the connection. Returns whether there may be more to do.
    fn turn(&mut self, now: Instant, context: &mut Context<'_>) -> Result<bool, EngineError> {
        if let Some(failure) = self.backplane.failure() {
            return Err(failure.clone());
        }
        match &mut self.link {
            Link::Away(until) if *until > now => Ok(false),
            Link::Away(_) => {
                let until = now + self.backplane.limits().answer_time;
                self.link = Link::Connecting(until, Box::pin(self.connect.connect()));
                Ok(true)
            }
            Link::Connecting(until, connecting) => match connecting.as_mut().poll(context) {
                Poll::Ready(Ok(stream)) => {
                    self.link = Link::Open(stream);
                    self.backplane.handle_connected(now);
                    Ok(true)
                }
                Poll::Ready(Err(error)) => Err(EngineError::Ended(error.to_string())),
                Poll::Pending if *until <= now => Err(EngineError::Silent),
                Poll::Pending => Ok(false),
            },
            Link::Open(_) => {
                let has_written = self.write(context)?;
                let has_read = self.read(now, context)?;
                Ok(has_written || has_read)
            }
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<bool, EngineError> {
        let Link::Open(stream) = &mut self.link else {
            return Ok(false);
        };
        let output = self.backplane.output();
        if output.is_empty() {
            return Ok(false);
        }
        let mut sent = 0;
        while sent < output.len() {
            match Pin::new(&mut *stream).poll_write(context, &output[sent..]) {
                Poll::Ready(Ok(0)) => return Err(ended(&io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(more)) => sent += more,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(ended(&error)),
                Poll::Pending => break,
            }
        }
        output.drain(..sent);
        if let Poll::Ready(Err(error)) = Pin::new(stream).poll_flush(context) {
            return Err(ended(&error));
        }
        Ok(sent > 0)
    }

    fn read(&mut self, now: Instant, context: &mut Context<'_>) -> Result<bool, EngineError> {
        let Link::Open(stream) = &mut self.link else {
            return Ok(false);
        };
        let read = match Pin::new(stream).poll_read(context, self.buffer.room()) {
            Poll::Ready(Ok(0)) => return Err(ended(&io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => 0,
            Poll::Ready(Err(error)) => return Err(ended(&error)),
            Poll::Pending => {
                // An engine of this process has answers without bytes.
                let used = self.backplane.handle_bytes(now, &[], &mut self.told)?;
                debug_assert_eq!(used, 0);
                return Ok(!self.backplane.output().is_empty());
            }
        };
        self.buffer.filled += read;
        let input = &self.buffer.bytes[..self.buffer.filled];
        let used = self.backplane.handle_bytes(now, input, &mut self.told)?;
        self.buffer.consume(used);
        if self.backplane.is_up() {
            self.failures = 0;
        }
        Ok(true)
    }

    fn disconnect(&mut self, now: Instant, why: &EngineError) {
        self.backplane.handle_disconnected(now, why, &mut self.told);
        self.buffer = Buffer::default();
        let pause = pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Away(now + pause);
    }

    /// Sets the timer; returns whether there is nothing to do before it fires.
    fn wait(&mut self, context: &mut Context<'_>) -> bool {
        let link = match &self.link {
            Link::Away(until) | Link::Connecting(until, _) => Some(*until),
            Link::Open(_) => None,
        };
        let due = link.into_iter().chain(self.backplane.poll_timeout()).min();
        let Some(due) = due else {
            self.timer = None;
            return true;
        };
        if self.timer.as_ref().is_none_or(|(at, _)| *at != due) {
            self.timer = Some((due, Timer::at(due)));
        }
        let timer = self.timer.as_mut().map(|(_, timer)| timer);
        timer.is_none_or(|timer| Pin::new(timer).poll(context).is_pending())
    }
}

/// Whoever calls a node whose task is gone learns it.
impl<H> Drop for Told<H> {
    fn drop(&mut self) {
        self.shared.is_up.store(false, Ordering::Release);
        self.shared.end();
    }
}

fn ended(error: &io::Error) -> EngineError {
    EngineError::Ended(error.to_string())
}

/// How long to wait before the next connection: 50 ms at first, then up to
/// twice as long each time, and 5 s at most.
fn pause(failures: u32) -> Duration {
    let most = (FIRST_PAUSE * 2_u32.saturating_pow(failures.min(10))).min(LONGEST_PAUSE);
    let share = (crate::engine::random() % 1000) as u32;
    most / 2 + most / 2 * share / 1000
}

impl Buffer {
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.filled < ROOM / 4 {
            let length = (self.bytes.len() * 2).max(ROOM);
            self.bytes.resize(length, 0);
        }
        &mut self.bytes[self.filled..]
    }

    fn consume(&mut self, used: usize) {
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
        if self.filled == 0 && self.bytes.len() > LARGE {
            self.bytes = Vec::new();
        }
    }
}

impl<H: Handler> Told<H> {
    fn call<E: Engine>(&mut self, now: Instant, backplane: &mut Backplane<E>, call: Call) {
        match call {
            Call::Publish(topic, payload, publish, then) => {
                let length = payload.len();
                match backplane.publish(now, &topic, payload, publish, self) {
                    Ok(ticket) => {
                        self.publications.insert(ticket, (length, then));
                    }
                    Err(error) => self.published(length, then, Err(error)),
                }
            }
            Call::Subscribe(topic) => {
                // The recovery that is asked for with it tells of the limit.
                let _ = backplane.subscribe(now, &topic);
            }
            Call::Unsubscribe(topic) => backplane.unsubscribe(now, &topic),
            Call::Recover(topic, since, then) => {
                self.next_id += 1;
                let id = RecoverId(self.next_id);
                self.recoveries.insert(id, then);
                if let Err(error) = backplane.recover(now, &topic, since, id, self)
                    && let Some(then) = self.recoveries.remove(&id)
                {
                    then(Err(error));
                }
            }
            Call::Enter(topic, member) => {
                let _ = backplane.enter(now, &topic, &member);
            }
            Call::Leave(topic, member) => backplane.leave(now, &topic, &member),
            Call::Watch(topic) => {
                let _ = backplane.watch(now, &topic);
            }
            Call::Unwatch(topic) => backplane.unwatch(now, &topic),
            Call::Presence(topic, then) => match backplane.presence(now, &topic) {
                Ok(id) => {
                    self.presences.insert(id, then);
                }
                Err(_) => then(None),
            },
        }
    }

    fn published(
        &self,
        length: usize,
        then: Option<OnPublished>,
        result: Result<Position, PublishError>,
    ) {
        self.shared
            .pending_bytes
            .fetch_sub(length, Ordering::AcqRel);
        if let Some(then) = then {
            then(result);
        }
    }
}

impl<H: Handler> Handler for Told<H> {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        self.handler.on_message(topic, position, payload);
    }

    fn on_discontinuity(&mut self, topic: &Arc<str>, discontinuity: &Discontinuity) {
        self.handler.on_discontinuity(topic, discontinuity);
    }

    fn on_recovery(&mut self, id: RecoverId, _: &Arc<str>, recovery: &Recovery<'_>) {
        if let Some(then) = self.recoveries.remove(&id) {
            then(Ok(recovery));
        }
    }

    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        if let Some((length, then)) = self.publications.remove(&ticket) {
            self.published(length, then, result);
        }
    }

    fn on_echo(&mut self, topic: &Arc<str>, payload: &[u8]) {
        self.handler.on_echo(topic, payload);
    }

    fn on_presence(
        &mut self,
        id: PresenceId,
        _: &Arc<str>,
        members: Option<&std::collections::BTreeSet<Arc<str>>>,
    ) {
        if let Some(then) = self.presences.remove(&id) {
            then(members);
        }
    }

    fn on_join(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        self.handler.on_join(topic, member);
    }

    fn on_leave(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        self.handler.on_leave(topic, member);
    }

    fn on_up(&mut self) {
        self.shared.is_up.store(true, Ordering::Release);
        self.handler.on_up();
    }

    fn on_down(&mut self, why: &EngineError) {
        self.shared.is_up.store(false, Ordering::Release);
        self.handler.on_down(why);
    }
}

/// How many turns are taken before others on the executor have one.
const TURNS: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Bytes that are read at a time.
const ROOM: usize = 64 << 10;
/// A buffer that is longer is given back once it is empty.
const LARGE: usize = 1 << 20;
