//! A node: topics, publications, and one connection to an engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    Engine, EngineError, Handler, History, Limits, Metrics, Opened, Position, PresenceId,
    PublishError, RecoverId, SubscribeError, Ticket, core::Core,
};

/// How a message is published.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Publish {
    /// How much of the topic the engine keeps from now on: 100 messages, for
    /// five minutes after the last.
    pub history: History,
    /// A second publication with the same key is not done again: it is
    /// answered with the position of the first. The engine knows a key for
    /// five minutes. A message with a key that was under way when the engine
    /// went away is published again, within [`Limits::outage_wait`].
    pub key: Option<Arc<str>>,
    /// Whether the message is told at once to this node, by
    /// [`Handler::on_echo`], and not when it comes back through the engine:
    /// this node then has it in another order than the others.
    pub echo: bool,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            history: History::new(100, Duration::from_secs(300)),
            key: None,
            echo: false,
        }
    }
}

/// A node of a backplane, without I/O: bytes come in by
/// [`handle_bytes`](Self::handle_bytes), bytes to be sent are in
/// [`output`](Self::output), and the time is told.
///
/// What a node wants to be subscribed to is a state. The node brings the
/// engine into that state, and does so anew after every connection; a
/// subscription is no command that may be lost.
#[derive(Debug)]
pub struct Backplane<E> {
    engine: E,
    core: Core,
    output: Vec<u8>,
}

impl<E: Engine> Backplane<E> {
    /// A node that has no connection yet, and no topics.
    pub fn new(engine: E, limits: Limits) -> Self {
        Self {
            engine,
            core: Core::new(limits),
            output: Vec::new(),
        }
    }

    /// The engine.
    pub fn engine(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        self.core.limits()
    }

    /// Counts of what was done, and what is held now.
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// Whether the engine is there.
    pub fn is_up(&self) -> bool {
        self.core.is_up()
    }

    /// Publishes a message. [`Handler::on_published`] tells its position.
    /// Messages of one node to one topic are numbered in the order of the
    /// calls, but for one that is sent again after the engine went away.
    ///
    /// # Errors
    ///
    /// Why the message is not published, at once: above all
    /// [`PublishError::Unavailable`].
    pub fn publish(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        payload: impl Into<Bytes>,
        publish: Publish,
        handler: &mut dyn Handler,
    ) -> Result<Ticket, PublishError> {
        let result = self
            .core
            .publish(now, topic, payload.into(), publish, handler);
        self.ask(now);
        result
    }

    /// Tells whether [`publish`](Self::publish) would take the message now.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish).
    pub fn check_publication(
        &self,
        topic: &str,
        payload: &[u8],
        publish: &Publish,
    ) -> Result<(), PublishError> {
        self.core.check_publication(topic, payload, publish)
    }

    /// Subscribes to a topic; as often as it is called,
    /// [`unsubscribe`](Self::unsubscribe) has to be. There is one subscription
    /// at the engine. Messages are told from the moment when it is there:
    /// [`recover`](Self::recover) tells which position that is.
    ///
    /// # Errors
    ///
    /// When a limit is reached.
    pub fn subscribe(&mut self, now: Instant, topic: &Arc<str>) -> Result<(), SubscribeError> {
        let result = self.core.subscribe(now, topic);
        self.ask(now);
        result
    }

    /// Gives up a subscription. The one at the engine lingers for
    /// [`Limits::linger`]. A topic without subscription is no error.
    pub fn unsubscribe(&mut self, now: Instant, topic: &str) {
        self.core.unsubscribe(now, topic);
        self.ask(now);
    }

    /// Asks for all that was published after a position, as a client brings it
    /// when it comes back; without one, for where the topic is now.
    /// [`Handler::on_recovery`] has the answer with the same `id`, in order
    /// with [`Handler::on_message`]; it may come within this call.
    ///
    /// All requests that wait are one read of the history, whatever their
    /// positions are. Topics need no subscription of the application for it.
    ///
    /// # Errors
    ///
    /// When a limit is reached.
    pub fn recover(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        since: Option<Position>,
        id: RecoverId,
        handler: &mut dyn Handler,
    ) -> Result<(), SubscribeError> {
        let result = self.core.recover(now, topic, since, id, handler);
        self.ask(now);
        result
    }

    /// Makes a member present in a topic, until it [leaves](Self::leave) as
    /// often as it has entered, or this node is gone for
    /// [`Limits::presence_time`].
    ///
    /// # Errors
    ///
    /// When a limit is reached.
    pub fn enter(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        member: &Arc<str>,
    ) -> Result<(), SubscribeError> {
        let result = self.core.enter(now, topic, member);
        self.ask(now);
        result
    }

    /// Takes a member out of a topic. One that is not there is no error.
    pub fn leave(&mut self, now: Instant, topic: &str, member: &str) {
        self.core.leave(now, topic, member);
        self.ask(now);
    }

    /// Asks who is present in a topic. [`Handler::on_presence`] has the answer.
    ///
    /// # Errors
    ///
    /// When a limit is reached.
    pub fn presence(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
    ) -> Result<PresenceId, SubscribeError> {
        let result = self.core.presence(now, topic);
        self.ask(now);
        result
    }

    /// Tells joins and leaves of a topic from now on, each once, beginning with
    /// a join of everybody who is present; as often as it is called,
    /// [`unwatch`](Self::unwatch) has to be.
    ///
    /// # Errors
    ///
    /// When a limit is reached.
    pub fn watch(&mut self, now: Instant, topic: &Arc<str>) -> Result<(), SubscribeError> {
        let result = self.core.watch(now, topic);
        self.ask(now);
        result
    }

    /// Ends [`watch`](Self::watch).
    pub fn unwatch(&mut self, now: Instant, topic: &str) {
        self.core.unwatch(now, topic);
        self.ask(now);
    }

    /// A connection to the engine begins.
    pub fn handle_connected(&mut self, now: Instant) {
        self.output.clear();
        self.core.handle_connected(now);
        self.engine.open(now, &mut self.output);
    }

    /// Takes bytes that the engine sent. Returns how many are done with; the
    /// others are to be given again, with more behind them.
    ///
    /// # Errors
    ///
    /// When the connection is of no use any more:
    /// [`handle_disconnected`](Self::handle_disconnected) is next.
    pub fn handle_bytes(
        &mut self,
        now: Instant,
        input: &[u8],
        handler: &mut dyn Handler,
    ) -> Result<usize, EngineError> {
        let Self {
            engine,
            core,
            output,
        } = self;
        let (used, opened) = engine.receive(now, input, output, &mut |answer| {
            core.handle_answer(now, answer, handler);
        })?;
        if opened == Opened::Yes {
            core.handle_open(now, handler);
        }
        core.pump(now);
        self.ask(now);
        Ok(used)
    }

    /// The connection to the engine is gone, or could not be made;
    /// [`handle_connected`](Self::handle_connected) begins the next.
    pub fn handle_disconnected(
        &mut self,
        now: Instant,
        why: &EngineError,
        handler: &mut dyn Handler,
    ) {
        self.output.clear();
        self.core.handle_disconnected(now, why, handler);
    }

    /// Bytes that are to be sent; who has sent some removes them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Why the connection is to be given up: the engine does not answer, or
    /// refuses subscriptions.
    /// [`handle_disconnected`](Self::handle_disconnected) is next.
    pub fn failure(&self) -> Option<&EngineError> {
        self.core.failure()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, handler: &mut dyn Handler) {
        self.core.handle_timeout(now, handler);
        self.ask(now);
    }

    /// Hands to the engine what is asked for.
    fn ask(&mut self, now: Instant) {
        while let Some(request) = self.core.requests.pop_front() {
            self.engine.ask(now, request, &mut self.output);
        }
    }
}
