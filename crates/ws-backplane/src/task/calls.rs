//! Calls from other threads.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use bytes::Bytes;

use crate::{Limits, Metrics, Position, Publish, PublishError, Recovery, SubscribeError};

/// Reaches a node that [`run`](crate::run)s, from any thread; cheap to clone.
///
/// Every call returns at once. What is asked for is done in the order of the
/// calls, and what is told comes on the node's own thread. With the end of the
/// last handle the node ends.
#[derive(Clone)]
pub struct Node(Arc<Handle>);

struct Handle(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    limits: Limits,
    pub(crate) is_up: AtomicBool,
    pub(crate) pending_bytes: AtomicUsize,
    mailbox: Mutex<Mailbox>,
}

#[derive(Default)]
struct Mailbox {
    calls: Vec<Call>,
    waker: Option<Waker>,
    metrics: Metrics,
    has_ended: bool,
}

pub(crate) type OnPublished = Box<dyn FnOnce(Result<Position, PublishError>) + Send>;
pub(crate) type OnRecovery = Box<dyn FnOnce(Result<&Recovery<'_>, SubscribeError>) + Send>;
pub(crate) type OnPresence = Box<dyn FnOnce(Option<&BTreeSet<Arc<str>>>) + Send>;

pub(crate) enum Call {
    Publish(Arc<str>, Bytes, Publish, Option<OnPublished>),
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
    Recover(Arc<str>, Option<Position>, OnRecovery),
    Enter(Arc<str>, Arc<str>),
    Leave(Arc<str>, Arc<str>),
    Watch(Arc<str>),
    Unwatch(Arc<str>),
    Presence(Arc<str>, OnPresence),
}

impl Node {
    pub(crate) fn new(limits: Limits) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared {
            limits,
            ..Shared::default()
        });
        (Self(Arc::new(Handle(Arc::clone(&shared)))), shared)
    }

    /// Publishes a message, as [`Backplane::publish`](crate::Backplane::publish).
    ///
    /// # Errors
    ///
    /// As there: [`PublishError::Unavailable`] at once while the engine is
    /// away, and after the node has ended.
    pub fn publish(
        &self,
        topic: impl Into<Arc<str>>,
        payload: impl Into<Bytes>,
        publish: Publish,
    ) -> Result<(), PublishError> {
        self.push_publication(topic.into(), payload.into(), publish, None)
    }

    /// Publishes a message, and calls `then` with its position, or with why it
    /// is not known.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); `then` is not called.
    pub fn publish_then(
        &self,
        topic: impl Into<Arc<str>>,
        payload: impl Into<Bytes>,
        publish: Publish,
        then: impl FnOnce(Result<Position, PublishError>) + Send + 'static,
    ) -> Result<(), PublishError> {
        let then: OnPublished = Box::new(then);
        self.push_publication(topic.into(), payload.into(), publish, Some(then))
    }

    fn push_publication(
        &self,
        topic: Arc<str>,
        payload: Bytes,
        publish: Publish,
        then: Option<OnPublished>,
    ) -> Result<(), PublishError> {
        let shared = &*self.0.0;
        let (length, limit) = (payload.len(), shared.limits.pending_bytes);
        shared.limits.check_publication(&topic, length, &publish)?;
        if shared.limits.outage_wait.is_zero() && !shared.is_up.load(Ordering::Acquire) {
            return Err(PublishError::Unavailable);
        }
        let pending = shared.pending_bytes.fetch_add(length, Ordering::AcqRel);
        if pending + length > limit {
            shared.pending_bytes.fetch_sub(length, Ordering::AcqRel);
            return Err(PublishError::Pending { pending, limit });
        }
        if !shared.push(Call::Publish(topic, payload, publish, then)) {
            shared.pending_bytes.fetch_sub(length, Ordering::AcqRel);
            return Err(PublishError::Unavailable);
        }
        Ok(())
    }

    /// Subscribes, as [`Backplane::subscribe`](crate::Backplane::subscribe). A
    /// subscription that a limit forbids is told by
    /// [`recover`](Self::recover), and by no message.
    pub fn subscribe(&self, topic: impl Into<Arc<str>>) {
        self.0.0.push(Call::Subscribe(topic.into()));
    }

    /// Gives up a subscription, as
    /// [`Backplane::unsubscribe`](crate::Backplane::unsubscribe).
    pub fn unsubscribe(&self, topic: impl Into<Arc<str>>) {
        self.0.0.push(Call::Unsubscribe(topic.into()));
    }

    /// Asks for what was published after a position, as
    /// [`Backplane::recover`](crate::Backplane::recover). `then` is called
    /// between the message that the recovery ends with and the one after it;
    /// not at all if the node ends before.
    pub fn recover(
        &self,
        topic: impl Into<Arc<str>>,
        since: Option<Position>,
        then: impl FnOnce(Result<&Recovery<'_>, SubscribeError>) + Send + 'static,
    ) {
        self.0
            .0
            .push(Call::Recover(topic.into(), since, Box::new(then)));
    }

    /// Makes a member present, as [`Backplane::enter`](crate::Backplane::enter);
    /// nothing happens where a limit forbids it.
    pub fn enter(&self, topic: impl Into<Arc<str>>, member: impl Into<Arc<str>>) {
        self.0.0.push(Call::Enter(topic.into(), member.into()));
    }

    /// Takes a member out, as [`Backplane::leave`](crate::Backplane::leave).
    pub fn leave(&self, topic: impl Into<Arc<str>>, member: impl Into<Arc<str>>) {
        self.0.0.push(Call::Leave(topic.into(), member.into()));
    }

    /// Tells joins and leaves, as [`Backplane::watch`](crate::Backplane::watch).
    pub fn watch(&self, topic: impl Into<Arc<str>>) {
        self.0.0.push(Call::Watch(topic.into()));
    }

    /// Ends [`watch`](Self::watch).
    pub fn unwatch(&self, topic: impl Into<Arc<str>>) {
        self.0.0.push(Call::Unwatch(topic.into()));
    }

    /// Asks who is present, as [`Backplane::presence`](crate::Backplane::presence).
    /// `None` is told if a limit forbids it, or the engine does not answer.
    pub fn presence(
        &self,
        topic: impl Into<Arc<str>>,
        then: impl FnOnce(Option<&BTreeSet<Arc<str>>>) + Send + 'static,
    ) {
        self.0.0.push(Call::Presence(topic.into(), Box::new(then)));
    }

    /// Whether the engine is there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.0.is_up.load(Ordering::Acquire)
    }

    /// The counters of the node, as of its last turn.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.0.lock().metrics.clone()
    }

    /// Ends the node. What was asked for before is sent if the system takes it
    /// at once.
    pub fn stop(&self) {
        self.0.0.end();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the node is there to take it.
    fn push(&self, call: Call) -> bool {
        let mut mailbox = self.lock();
        if mailbox.has_ended {
            return false;
        }
        mailbox.calls.push(call);
        let waker = mailbox.waker.take();
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(crate) fn end(&self) {
        let mut mailbox = self.lock();
        mailbox.has_ended = true;
        let waker = mailbox.waker.take();
        // A waker may run anything, such as another call.
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the calls; whoever calls next wakes the task. Returns whether the
    /// node ends.
    pub(crate) fn take(&self, calls: &mut Vec<Call>, waker: &Waker, metrics: Metrics) -> bool {
        let mut mailbox = self.lock();
        calls.append(&mut mailbox.calls);
        let before = mailbox.waker.replace(waker.clone());
        mailbox.metrics = metrics;
        let has_ended = mailbox.has_ended;
        // To drop a waker may drop a task, and run anything.
        drop(mailbox);
        drop(before);
        has_ended
    }
}
