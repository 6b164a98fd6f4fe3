//! What a node knows and wants.

mod answers;
mod connection;
mod members;
mod publications;
mod requests;
mod time;
mod under_way;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use connection::Connection;
use publications::Publication;
use slab::Slab;
use under_way::UnderWay;

use crate::{
    EngineError, Handler, Limits, Metrics, Position, RecoverId, Request, SubscribeError,
    engine::random,
    topic::{Told, Topic, Waiting},
};

/// All of a node but its engine: what it asks for is in `requests`.
#[derive(Debug)]
pub(crate) struct Core {
    limits: Limits,
    metrics: Metrics,
    node: u64,
    connection: Connection,
    pub(crate) requests: VecDeque<Request>,
    topics: Slab<Topic>,
    names: HashMap<Arc<str>, usize>,
    /// Topics of which something has to be asked.
    line: VecDeque<usize>,
    under_way: UnderWay,
    /// How many requests about topics are under way.
    in_window: usize,
    /// Publications that wait for the engine to be there.
    waiting: VecDeque<Publication>,
    pending_bytes: usize,
    next_id: u64,
    lingering: VecDeque<(Instant, usize)>,
    /// Topics that clients wait for.
    recovering: Vec<usize>,
    /// Topics that keep what was recovered.
    kept: Vec<usize>,
    /// Topics with presence.
    present: Vec<usize>,
    presence_due: Option<Instant>,
    next_tick: Option<Instant>,
    last_check: Option<Instant>,
    check_cursor: usize,
    failure: Option<EngineError>,
}

impl Core {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            metrics: Metrics::default(),
            node: random(),
            connection: Connection::None,
            requests: VecDeque::new(),
            topics: Slab::new(),
            names: HashMap::new(),
            line: VecDeque::new(),
            under_way: UnderWay::default(),
            in_window: 0,
            waiting: VecDeque::new(),
            pending_bytes: 0,
            next_id: 0,
            lingering: VecDeque::new(),
            recovering: Vec::new(),
            kept: Vec::new(),
            present: Vec::new(),
            presence_due: None,
            next_tick: None,
            last_check: None,
            check_cursor: 0,
            failure: None,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics {
            topics: self.topics.len() as u64,
            pending_bytes: self.pending_bytes as u64,
            up: u64::from(self.is_up()),
            ..self.metrics.clone()
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
    ) -> Result<(), SubscribeError> {
        let at = self.topic(topic)?;
        let topic = &mut self.topics[at];
        topic.wanted += 1;
        topic.lingers_until = None;
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, now: Instant, topic: &str) {
        let Some(&at) = self.names.get(topic) else {
            return;
        };
        let topic = &mut self.topics[at];
        if topic.wanted == 0 {
            return;
        }
        topic.wanted -= 1;
        if topic.wanted == 0 {
            self.linger(now, at);
        }
    }

    pub(crate) fn recover(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        since: Option<Position>,
        id: RecoverId,
        handler: &mut dyn Handler,
    ) -> Result<(), SubscribeError> {
        if self.metrics.waiting >= self.limits.waiting as u64 {
            return Err(SubscribeError::Waiting(self.limits.waiting));
        }
        let at = self.topic(topic)?;
        let until = now + self.limits.recover_wait;
        let was_waited_for = self.topics[at].is_waited_for();
        let (topic, mut told) = self.told(at, handler);
        let waiting = Waiting {
            id,
            since,
            until,
            lost: None,
        };
        topic.wait(waiting, now, &mut told);
        if topic.is_waited_for() && !was_waited_for {
            self.recovering.push(at);
        }
        if self.topics[at].wanted == 0 {
            self.linger(now, at);
        }
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The place of a topic, which is there afterwards.
    fn topic(&mut self, name: &Arc<str>) -> Result<usize, SubscribeError> {
        if let Some(&at) = self.names.get(name) {
            return Ok(at);
        }
        self.limits.check_name(name)?;
        if self.topics.len() >= self.limits.topics {
            return Err(SubscribeError::Topics(self.limits.topics));
        }
        let at = self.topics.insert(Topic::new(Arc::clone(name)));
        self.names.insert(Arc::clone(name), at);
        Ok(at)
    }

    fn told<'a>(
        &'a mut self,
        at: usize,
        handler: &'a mut dyn Handler,
    ) -> (&'a mut Topic, Told<'a>) {
        let told = Told {
            handler,
            limits: &self.limits,
            metrics: &mut self.metrics,
            node: self.node,
        };
        (&mut self.topics[at], told)
    }
}
