//! What a node knows and wants.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use slab::Slab;

use crate::{
    Answer, Ask, EngineError, Handler, Incoming, Limits, Metrics, Page, Position, PresenceId,
    Publish, PublishError, RecoverId, Request, SubscribeError, Ticket, Token,
    engine::random,
    presence::Presence,
    topic::{Link, Read, Told, Topic, Waiting},
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    None,
    Opening(Instant),
    Open,
}

/// A publication that is not answered.
#[derive(Clone, Debug)]
struct Publication {
    ticket: Ticket,
    topic: Arc<str>,
    payload: Bytes,
    publish: Publish,
    until: Instant,
    /// Whether the engine may have it.
    was_sent: bool,
}

/// Requests that are not answered. Tokens count up, so that they are places.
#[derive(Debug, Default)]
struct UnderWay {
    first: u64,
    requests: VecDeque<Option<Sent>>,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    what: What,
}

#[derive(Debug)]
enum What {
    Publish(Publication),
    Subscribe(usize),
    Unsubscribe(usize),
    Read(usize),
    Enter(usize),
    Leave(usize, Arc<str>),
    Members(usize),
}

impl What {
    /// The place of the topic that it is about, but for publications.
    fn topic(&self) -> Option<usize> {
        match self {
            Self::Publish(_) => None,
            Self::Subscribe(at)
            | Self::Unsubscribe(at)
            | Self::Read(at)
            | Self::Enter(at)
            | Self::Leave(at, _)
            | Self::Members(at) => Some(*at),
        }
    }
}

impl UnderWay {
    fn push(&mut self, sent: Sent) -> Token {
        let token = Token(self.first + self.requests.len() as u64);
        self.requests.push_back(Some(sent));
        token
    }

    fn take(&mut self, token: Token) -> Option<Sent> {
        let place = token.0.checked_sub(self.first)?;
        let sent = self.requests.get_mut(usize::try_from(place).ok()?)?.take();
        while let Some(None) = self.requests.front() {
            self.requests.pop_front();
            self.first += 1;
        }
        sent
    }

    /// Takes all; their tokens are not given again.
    fn take_all(&mut self) -> Vec<Sent> {
        self.first += self.requests.len() as u64;
        self.requests.drain(..).flatten().collect()
    }

    fn oldest(&self) -> Option<Instant> {
        self.requests.front()?.as_ref().map(|sent| sent.at)
    }
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

    pub(crate) fn is_up(&self) -> bool {
        self.connection == Connection::Open
    }

    pub(crate) fn publish(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        payload: Bytes,
        publish: Publish,
        handler: &mut dyn Handler,
    ) -> Result<Ticket, PublishError> {
        self.check_publication(topic, &payload, &publish)?;
        let ticket = Ticket(self.new_id());
        self.pending_bytes += payload.len();
        if publish.echo
            && self
                .names
                .get(topic)
                .is_some_and(|&at| self.topics[at].wanted > 0)
        {
            handler.on_echo(topic, &payload);
        }
        let publication = Publication {
            ticket,
            topic: Arc::clone(topic),
            payload,
            publish,
            until: now + self.limits.outage_wait,
            was_sent: false,
        };
        if self.is_up() {
            self.send_publication(now, publication);
        } else {
            self.waiting.push_back(publication);
        }
        self.want_tick(now);
        Ok(ticket)
    }

    pub(crate) fn check_publication(
        &self,
        topic: &str,
        payload: &[u8],
        publish: &Publish,
    ) -> Result<(), PublishError> {
        self.limits
            .check_publication(topic, payload.len(), publish)?;
        let length = payload.len();
        if !self.is_up() && self.limits.outage_wait.is_zero() {
            return Err(PublishError::Unavailable);
        }
        let (pending, limit) = (self.pending_bytes, self.limits.pending_bytes);
        if pending + length > limit {
            return Err(PublishError::Pending { pending, limit });
        }
        Ok(())
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

    pub(crate) fn enter(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        member: &Arc<str>,
    ) -> Result<(), SubscribeError> {
        self.limits.check_name(member)?;
        let at = self.topic(topic)?;
        let limit = self.limits.members;
        let presence = self.presence_at(at);
        if presence.own_count() >= limit {
            return Err(SubscribeError::Members(limit));
        }
        if presence.enter(member) && self.is_up() {
            self.send_enter(now, at, vec![Arc::clone(member)]);
        }
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    pub(crate) fn leave(&mut self, now: Instant, topic: &str, member: &str) {
        let Some(&at) = self.names.get(topic) else {
            return;
        };
        let presence = self.topics[at].presence.as_mut();
        if !presence.is_some_and(|presence| presence.leave(member)) || !self.is_up() {
            return;
        }
        self.send_leave(now, at, member.into());
        self.look_at(at);
        self.pump(now);
    }

    pub(crate) fn presence(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
    ) -> Result<PresenceId, SubscribeError> {
        let at = self.topic(topic)?;
        let id = PresenceId(self.new_id());
        let limit = self.limits.waiting;
        if !self.presence_at(at).ask(id, limit) {
            return Err(SubscribeError::Waiting(limit));
        }
        self.send_members(now, at);
        self.look_at(at);
        self.pump(now);
        Ok(id)
    }

    pub(crate) fn watch(&mut self, now: Instant, topic: &Arc<str>) -> Result<(), SubscribeError> {
        let at = self.topic(topic)?;
        self.presence_at(at).watched += 1;
        self.send_members(now, at);
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    pub(crate) fn unwatch(&mut self, now: Instant, topic: &str) {
        let Some(&at) = self.names.get(topic) else {
            return;
        };
        if let Some(presence) = &mut self.topics[at].presence {
            presence.unwatch();
        }
        self.look_at(at);
        self.pump(now);
    }

    pub(crate) fn handle_connected(&mut self, now: Instant) {
        self.metrics.connects += 1;
        self.failure = None;
        self.connection = Connection::Opening(now);
        self.want_tick(now);
    }

    /// The engine takes requests.
    pub(crate) fn handle_open(&mut self, now: Instant, handler: &mut dyn Handler) {
        if self.connection == Connection::Open {
            return;
        }
        self.connection = Connection::Open;
        self.presence_due = Some(now);
        self.last_check = None;
        handler.on_up();
        for publication in std::mem::take(&mut self.waiting) {
            self.send_publication(now, publication);
        }
        let topics: Vec<_> = self.topics.iter().map(|(at, _)| at).collect();
        for at in topics {
            self.look_at(at);
        }
    }

    pub(crate) fn handle_disconnected(
        &mut self,
        now: Instant,
        why: &EngineError,
        handler: &mut dyn Handler,
    ) {
        if self.connection != Connection::None {
            self.metrics.disconnects += 1;
        }
        let was_up = self.is_up();
        self.connection = Connection::None;
        self.requests.clear();
        self.failure = None;
        self.in_window = 0;
        self.line.clear();
        for (_, topic) in &mut self.topics {
            topic.queued = false;
            topic.asked = 0;
            topic.disconnect();
            if let Some(presence) = &mut topic.presence {
                presence.is_asked = false;
            }
        }
        self.take_back(now, handler);
        for at in self.topics.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.drop_if_idle(at);
        }
        if was_up {
            handler.on_down(why);
        }
    }

    /// What was under way has no answer: publications are sent again, or their
    /// fate is not known.
    fn take_back(&mut self, now: Instant, handler: &mut dyn Handler) {
        let sent = self.under_way.take_all();
        let mut again = VecDeque::new();
        for sent in sent {
            let What::Publish(publication) = sent.what else {
                continue;
            };
            if fault!("backplane-ticket-lost") {
                continue;
            }
            if publication.publish.key.is_some() && publication.until > now {
                again.push_back(publication);
            } else {
                self.end_publication(publication, Err(PublishError::Unknown), handler);
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
    }

    fn end_publication(
        &mut self,
        publication: Publication,
        result: Result<Position, PublishError>,
        handler: &mut dyn Handler,
    ) {
        self.pending_bytes -= publication.payload.len();
        match result {
            Ok(_) => self.metrics.published += 1,
            Err(_) => self.metrics.publish_failures += 1,
        }
        handler.on_published(publication.ticket, result);
    }

    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        answer: Answer<'_>,
        handler: &mut dyn Handler,
    ) {
        match answer {
            Answer::Message(message) => self.handle_message(&message, handler),
            Answer::Joined(topic, member) => {
                self.with_presence(topic, |name, presence| {
                    presence.joined(name, member, handler)
                });
            }
            Answer::Left(topic, member) => {
                self.with_presence(topic, |name, presence| presence.left(name, member, handler));
            }
            Answer::Done(token) => self.handle_done(now, token),
            Answer::Published(token, position) => {
                if let Some(What::Publish(publication)) = self.answered(now, token) {
                    self.end_publication(publication, Ok(position), handler);
                }
            }
            Answer::Read(token, page) => {
                if let Some(What::Read(at)) = self.answered(now, token) {
                    self.handle_page(now, at, page, handler);
                }
            }
            Answer::Members(token, members) => {
                if let Some(What::Members(at)) = self.answered(now, token) {
                    let topic = &mut self.topics[at];
                    if let Some(presence) = &mut topic.presence {
                        presence.members(&topic.name, members, handler);
                    }
                    self.look_at(at);
                }
            }
            Answer::Again(token) => self.handle_again(now, token),
            Answer::Refused(token, words) => self.handle_refused(now, token, words, handler),
        }
    }

    fn handle_message(&mut self, message: &Incoming<'_>, handler: &mut dyn Handler) {
        let Some(&at) = self.names.get(message.topic) else {
            return;
        };
        let (topic, mut told) = self.told(at, handler);
        topic.receive(message, &mut told);
        if topic.behind {
            self.look_at(at);
        }
    }

    fn with_presence(&mut self, topic: &str, tell: impl FnOnce(&Arc<str>, &mut Presence)) {
        if let Some(&at) = self.names.get(topic) {
            let topic = &mut self.topics[at];
            if let Some(presence) = &mut topic.presence {
                tell(&topic.name, presence);
            }
        }
    }

    fn handle_done(&mut self, now: Instant, token: Token) {
        match self.answered(now, token) {
            Some(What::Subscribe(at)) => {
                self.topics[at].subscribed();
                if self.topics[at].presence.is_some() {
                    self.send_members(now, at);
                }
                self.look_at(at);
            }
            Some(What::Unsubscribe(at)) => {
                self.topics[at].disconnect();
                self.look_at(at);
            }
            _ => {}
        }
    }

    fn handle_page(&mut self, now: Instant, at: usize, page: Page, handler: &mut dyn Handler) {
        let (topic, mut told) = self.told(at, handler);
        let more = topic.read(page, now, &mut told);
        if topic.keeps_recent() && !self.kept.contains(&at) {
            self.kept.push(at);
        }
        if more.is_some() {
            self.metrics.history_reads += 1;
            self.ask_page(now, at, more);
        } else {
            self.look_at(at);
        }
    }

    fn handle_again(&mut self, now: Instant, token: Token) {
        match self.answered(now, token) {
            Some(What::Publish(publication)) => self.send_publication(now, publication),
            Some(What::Read(at)) => self.read_later(at, true),
            Some(What::Enter(at)) => {
                let members = self.presence_at(at).own();
                self.send_enter(now, at, members);
            }
            Some(What::Leave(at, member)) => self.send_leave(now, at, member),
            Some(What::Members(at)) => {
                self.presence_at(at).is_asked = false;
                self.send_members(now, at);
            }
            Some(What::Subscribe(_) | What::Unsubscribe(_)) | None => {}
        }
    }

    /// What was asked for has no result. A publication ends with it; what
    /// belongs to a state that is wanted is asked for again at the next check.
    fn handle_refused(
        &mut self,
        now: Instant,
        token: Token,
        words: String,
        handler: &mut dyn Handler,
    ) {
        match self.answered(now, token) {
            Some(What::Publish(publication)) => {
                self.end_publication(publication, Err(PublishError::Refused(words)), handler);
            }
            Some(What::Read(at)) => self.read_later(at, false),
            Some(What::Members(at)) => self.presence_at(at).is_asked = false,
            Some(What::Subscribe(_) | What::Unsubscribe(_)) => {
                // Nothing can be relied on.
                self.failure = Some(EngineError::Refused(words));
            }
            Some(What::Enter(_) | What::Leave(..)) | None => {}
        }
    }

    fn read_later(&mut self, at: usize, at_once: bool) {
        let topic = &mut self.topics[at];
        topic.read = Read::None;
        topic.behind = true;
        if at_once {
            self.look_at(at);
        }
    }

    /// Takes a request out of those that wait for their answer.
    fn answered(&mut self, now: Instant, token: Token) -> Option<What> {
        let sent = self.under_way.take(token)?;
        let took = now.saturating_duration_since(sent.at);
        self.metrics.answers += 1;
        self.metrics.round_trip = took;
        self.metrics.round_trips += took;
        if let Some(at) = sent.what.topic() {
            self.in_window -= 1;
            self.topics[at].asked -= 1;
            self.look_at(at);
        }
        Some(sent.what)
    }

    pub(crate) fn failure(&self) -> Option<&EngineError> {
        self.failure.as_ref()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, handler: &mut dyn Handler) {
        if self.next_tick.is_none_or(|at| at > now) {
            return;
        }
        self.next_tick = None;
        self.end_lingering(now);
        self.end_waiting(now, handler);
        self.forget(now);
        if self.is_up() {
            self.check_ends(now);
            self.renew_presence(now);
        }
        self.look_for_silence(now);
        self.pump(now);
        if self.has_work() {
            self.want_tick(now);
        }
    }

    fn end_lingering(&mut self, now: Instant) {
        while let Some(&(until, at)) = self.lingering.front().filter(|(until, _)| *until <= now) {
            self.lingering.pop_front();
            let topic = self.topics.get_mut(at);
            if let Some(topic) = topic.filter(|topic| topic.lingers_until == Some(until)) {
                topic.lingers_until = None;
                self.look_at(at);
            }
        }
    }

    /// Ends what has waited for the engine for too long.
    fn end_waiting(&mut self, now: Instant, handler: &mut dyn Handler) {
        for at in std::mem::take(&mut self.recovering) {
            if !self.topics.contains(at) {
                continue;
            }
            let (topic, mut told) = self.told(at, handler);
            topic.give_up(now, &mut told);
            if topic.is_waited_for() {
                self.recovering.push(at);
            } else {
                self.look_at(at);
            }
        }
        while self
            .waiting
            .front()
            .is_some_and(|publication| publication.until <= now)
        {
            let Some(publication) = self.waiting.pop_front() else {
                break;
            };
            let why = match publication.was_sent {
                true => PublishError::Unknown,
                false => PublishError::Unavailable,
            };
            self.end_publication(publication, Err(why), handler);
        }
        if !self.is_up() {
            for &at in &self.present {
                let topic = &mut self.topics[at];
                if let Some(presence) = &mut topic.presence {
                    presence.give_up(&topic.name, handler);
                }
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        let Self { kept, topics, .. } = self;
        kept.retain(|&at| {
            let topic = topics.get_mut(at);
            topic.is_some_and(|topic| topic.forget(now))
        });
    }

    /// Asks for the end of some topics, so that the turn of each comes.
    fn check_ends(&mut self, now: Instant) {
        let last = self.last_check.replace(now).unwrap_or(now);
        let passed = now
            .saturating_duration_since(last)
            .min(self.limits.check_interval);
        let share = passed.as_secs_f64() / self.limits.check_interval.as_secs_f64();
        let by_interval = (self.topics.len() as f64 * share).ceil() as usize;
        let by_rate = (f64::from(self.limits.checks_per_second) * passed.as_secs_f64()).ceil();
        let mut left = by_interval.min(by_rate as usize);
        for _ in 0..self.topics.capacity() {
            if left == 0 {
                break;
            }
            let at = self.check_cursor;
            self.check_cursor = (at + 1) % self.topics.capacity();
            if let Some(topic) = self.topics.get_mut(at) {
                left -= 1;
                topic.check = topic.link == Link::Subscribed && !fault!("backplane-no-check");
                self.look_at(at);
            }
        }
    }

    /// Says that this node's members are still there, and asks who else is.
    fn renew_presence(&mut self, now: Instant) {
        if self.presence_due.is_some_and(|due| due > now) {
            return;
        }
        self.presence_due = Some(now + self.limits.presence_time / 3);
        for at in self.present.clone() {
            let members = self.presence_at(at).own();
            if !members.is_empty() {
                self.send_enter(now, at, members);
            }
            self.send_members(now, at);
        }
    }

    fn look_for_silence(&mut self, now: Instant) {
        let since = match self.connection {
            Connection::None => return,
            Connection::Opening(since) => Some(since),
            Connection::Open => self.under_way.oldest(),
        };
        let waited = since.map(|since| now.saturating_duration_since(since));
        if waited.is_some_and(|waited| waited >= self.limits.answer_time) {
            self.failure.get_or_insert(EngineError::Silent);
        }
    }

    fn has_work(&self) -> bool {
        !self.topics.is_empty()
            || !self.waiting.is_empty()
            || !self.under_way.requests.is_empty()
            || matches!(self.connection, Connection::Opening(_))
    }

    fn want_tick(&mut self, now: Instant) {
        let tick = self.limits.check_interval / TICKS;
        self.next_tick.get_or_insert(now + tick);
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

    fn presence_at(&mut self, at: usize) -> &mut Presence {
        if self.topics[at].presence.is_none() {
            self.present.push(at);
        }
        self.topics[at].presence.get_or_insert_default()
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

    fn linger(&mut self, now: Instant, at: usize) {
        let until = now + self.limits.linger;
        self.topics[at].lingers_until = Some(until);
        self.lingering.push_back((until, at));
        self.want_tick(now);
    }

    /// Puts a topic in the line of those of which something has to be asked.
    fn look_at(&mut self, at: usize) {
        if let Some(topic) = self.topics.get_mut(at).filter(|topic| !topic.queued) {
            topic.queued = true;
            self.line.push_back(at);
        }
    }

    /// Asks for what the topics in the line need, as far as the window allows.
    pub(crate) fn pump(&mut self, now: Instant) {
        if !self.topics.is_empty() {
            self.want_tick(now);
        }
        while self.in_window < self.limits.window || !self.is_up() {
            let Some(at) = self.line.pop_front() else {
                break;
            };
            if let Some(topic) = self.topics.get_mut(at) {
                topic.queued = false;
                self.reconcile(now, at);
            }
        }
    }

    /// Brings the engine one step closer to what is wanted of a topic.
    fn reconcile(&mut self, now: Instant, at: usize) {
        if self.drop_if_idle(at) || !self.is_up() {
            return;
        }
        let topic = &mut self.topics[at];
        match topic.link {
            Link::None => {
                topic.link = Link::Asked;
                self.metrics.subscribes += 1;
                self.ask(now, at, What::Subscribe(at), Ask::Subscribe);
            }
            Link::Subscribed if topic.is_desired() => {
                let is_check = !topic.behind && !topic.is_waited_for();
                if let Some(after) = topic.next_read(u64::from(self.limits.page / 4)) {
                    if is_check {
                        self.metrics.checks += 1;
                    } else if after.is_some() {
                        self.metrics.history_reads += 1;
                    }
                    self.ask_page(now, at, after);
                }
            }
            Link::Subscribed if topic.read == Read::None => {
                topic.link = Link::Leaving;
                self.metrics.unsubscribes += 1;
                self.ask(now, at, What::Unsubscribe(at), Ask::Unsubscribe);
            }
            Link::Asked | Link::Subscribed | Link::Leaving => {}
        }
    }

    /// Forgets a topic that nobody wants, and of which nothing is under way.
    fn drop_if_idle(&mut self, at: usize) -> bool {
        let topic = &mut self.topics[at];
        if topic
            .presence
            .as_ref()
            .is_some_and(|presence| presence.is_idle())
        {
            topic.presence = None;
            self.present.retain(|&other| other != at);
        }
        if topic.is_desired() || topic.link != Link::None || topic.asked > 0 {
            return false;
        }
        let topic = self.topics.remove(at);
        self.names.remove(&topic.name);
        self.kept.retain(|&other| other != at);
        self.recovering.retain(|&other| other != at);
        true
    }

    fn ask_page(&mut self, now: Instant, at: usize, after: Option<u64>) {
        let (most, bytes) = (self.limits.page, self.limits.page_bytes);
        let ask = Ask::Read { after, most, bytes };
        self.ask(now, at, What::Read(at), ask);
    }

    /// Asks the engine for something about a topic.
    fn ask(&mut self, now: Instant, at: usize, what: What, ask: Ask) {
        self.in_window += 1;
        self.topics[at].asked += 1;
        let topic = Arc::clone(&self.topics[at].name);
        self.request(now, topic, what, ask);
    }

    fn request(&mut self, now: Instant, topic: Arc<str>, what: What, ask: Ask) {
        let token = self.under_way.push(Sent { at: now, what });
        let request = Request {
            token,
            topic,
            what: ask,
        };
        self.requests.push_back(request);
    }

    fn send_publication(&mut self, now: Instant, mut publication: Publication) {
        publication.was_sent = true;
        let ask = Ask::Publish {
            payload: publication.payload.clone(),
            history: publication.publish.history,
            key: publication.publish.key.clone(),
            origin: if publication.publish.echo {
                self.node
            } else {
                0
            },
        };
        let topic = Arc::clone(&publication.topic);
        self.request(now, topic, What::Publish(publication), ask);
    }

    fn send_enter(&mut self, now: Instant, at: usize, members: Vec<Arc<str>>) {
        let time = self.limits.presence_time;
        self.ask(now, at, What::Enter(at), Ask::Enter { members, time });
    }

    fn send_leave(&mut self, now: Instant, at: usize, member: Arc<str>) {
        let ask = Ask::Leave {
            member: Arc::clone(&member),
        };
        self.ask(now, at, What::Leave(at, member), ask);
    }

    fn send_members(&mut self, now: Instant, at: usize) {
        if !self.is_up() || self.topics[at].link != Link::Subscribed {
            return;
        }
        let presence = self.presence_at(at);
        if !presence.is_asked && (presence.watched > 0 || presence.waits()) {
            presence.is_asked = true;
            self.ask(now, at, What::Members(at), Ask::Members);
        }
    }
}

/// How many times in [`Limits::check_interval`] it is looked what is due.
const TICKS: u32 = 20;
