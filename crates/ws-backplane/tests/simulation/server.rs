//! The simulated engine: its topics, and what it has ordered.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ws_backplane::{
    Answer, Ask, Engine, EngineError, Epoch, History, Incoming, Kept, Opened, Page, Position,
    Request, Token,
};

use crate::random::Random;

/// How badly it behaves, in percent, and how slow it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    pub(crate) loses_messages: usize,
    pub(crate) loses_answers: usize,
    pub(crate) doubles: usize,
    pub(crate) delay: u64,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) random: Random,
    pub(crate) habits: Habits,
    pub(crate) is_up: bool,
    topics: BTreeMap<Arc<str>, Stored>,
    /// All that was ever ordered.
    pub(crate) ordered: BTreeMap<(Arc<str>, Epoch, u64), Bytes>,
    /// Which epoch goes on with which other, and up to where they are the same.
    pub(crate) inherited: BTreeMap<Epoch, Position>,
    next_epoch: u64,
    connections: BTreeMap<usize, Connection>,
    /// Whether messages may have been lost for good.
    pub(crate) has_lost: bool,
}

#[derive(Debug)]
struct Stored {
    epoch: Epoch,
    offset: u64,
    kept: VecDeque<Kept>,
    inherited: Option<Position>,
    keys: BTreeMap<Arc<str>, u64>,
    members: BTreeMap<(Arc<str>, usize), Instant>,
}

#[derive(Debug, Default)]
struct Connection {
    subscribed: Vec<Arc<str>>,
    requests: VecDeque<(Instant, Request)>,
    /// What is under way to the node, by topic.
    lanes: BTreeMap<Arc<str>, VecDeque<(Instant, Note)>>,
}

#[derive(Clone, Debug)]
enum Note {
    Done(Token),
    Published(Token, Position),
    Read(Token, Page),
    Members(Token, Vec<Arc<str>>),
    Refused(Token),
    Message(Position, u64, Bytes),
    Joined(Arc<str>),
    Left(Arc<str>),
}

impl Server {
    pub(crate) fn new(mut random: Random, habits: Habits) -> Rc<RefCell<Self>> {
        let next_epoch = random.next() >> 20;
        Rc::new(RefCell::new(Self {
            random,
            habits,
            is_up: true,
            topics: BTreeMap::new(),
            ordered: BTreeMap::new(),
            inherited: BTreeMap::new(),
            next_epoch,
            connections: BTreeMap::new(),
            has_lost: false,
        }))
    }

    pub(crate) fn connect(&mut self, node: usize) {
        self.connections.insert(node, Connection::default());
    }

    pub(crate) fn disconnect(&mut self, node: usize) {
        self.connections.remove(&node);
    }

    pub(crate) fn top(&self, topic: &str) -> Option<Position> {
        let stored = self.topics.get(topic)?;
        Some(Position::new(stored.epoch, stored.offset))
    }

    pub(crate) fn members(&self, topic: &str, now: Instant) -> Vec<Arc<str>> {
        let members = self
            .topics
            .get(topic)
            .into_iter()
            .flat_map(|stored| &stored.members);
        let members = members.filter(|(_, until)| **until > now);
        let mut names: Vec<_> = members.map(|((member, _), _)| member.clone()).collect();
        names.dedup();
        names
    }

    /// Ends all connections; what each topic has left then is up to `fate`.
    pub(crate) fn restart(&mut self, fate: Fate) {
        self.connections.clear();
        match fate {
            Fate::Intact => {}
            Fate::Older => self.go_back(),
            Fate::Empty => self.clear(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.has_lost = true;
        self.topics.clear();
    }

    /// Forgets the history of a topic, and not its numbering.
    pub(crate) fn expire(&mut self, topic: &str) {
        if let Some(stored) = self.topics.get_mut(topic) {
            self.has_lost = true;
            stored.kept.clear();
        }
    }

    fn go_back(&mut self) {
        self.has_lost = true;
        for stored in self.topics.values_mut() {
            let lost = self.random.below(4) as u64;
            let offset = stored.offset.saturating_sub(lost);
            stored.kept.retain(|kept| kept.offset <= offset);
            stored.keys.retain(|_, at| *at <= offset);
            let before = Position::new(stored.epoch, offset);
            self.next_epoch += 1;
            stored.epoch = Epoch::new(self.next_epoch);
            stored.offset = offset;
            stored.inherited = Some(before);
            self.inherited.insert(stored.epoch, before);
        }
    }

    fn ask(&mut self, now: Instant, node: usize, request: Request) {
        let due = self.due(now);
        if let Some(connection) = self.connections.get_mut(&node) {
            connection.requests.push_back((due, request));
        }
    }

    fn due(&mut self, now: Instant) -> Instant {
        now + Duration::from_millis(self.random.next() % (self.habits.delay + 1))
    }

    /// Does what has arrived.
    pub(crate) fn work(&mut self, now: Instant) {
        let nodes: Vec<_> = self.connections.keys().copied().collect();
        for node in nodes {
            while let Some(request) = self.next_request(now, node) {
                let topic = Arc::clone(&request.topic);
                if let Some(note) = self.answer(now, node, request) {
                    if self.random.percent(self.habits.loses_answers) {
                        continue;
                    }
                    self.send(now, node, &topic, note);
                }
            }
        }
    }

    fn next_request(&mut self, now: Instant, node: usize) -> Option<Request> {
        let requests = &mut self.connections.get_mut(&node)?.requests;
        let is_due = requests.front().is_some_and(|(due, _)| *due <= now);
        let next = is_due.then(|| requests.pop_front())?;
        next.map(|(_, request)| request)
    }

    fn answer(&mut self, now: Instant, node: usize, request: Request) -> Option<Note> {
        let Request {
            token, topic, what, ..
        } = request;
        Some(match what {
            Ask::Subscribe => {
                let connection = self.connections.get_mut(&node)?;
                assert!(!connection.subscribed.contains(&topic), "subscribed twice");
                connection.subscribed.push(topic);
                Note::Done(token)
            }
            Ask::Unsubscribe => {
                let connection = self.connections.get_mut(&node)?;
                assert!(connection.subscribed.contains(&topic), "not subscribed");
                connection.subscribed.retain(|other| *other != topic);
                Note::Done(token)
            }
            Ask::Publish { .. } if self.random.percent(self.habits.loses_answers) => {
                Note::Refused(token)
            }
            Ask::Publish {
                payload,
                history,
                key,
                origin,
            } => {
                let kept = Kept {
                    offset: 0,
                    origin,
                    payload,
                };
                Note::Published(token, self.publish(now, &topic, kept, history, key))
            }
            Ask::Read { after, most, .. } => {
                assert!(most > 0);
                Note::Read(token, self.stored(&topic).page(after, most))
            }
            Ask::Enter { members, time } => {
                self.lapse(now, &topic);
                for member in members {
                    self.enter(now, &topic, member, node, now + time);
                }
                Note::Done(token)
            }
            Ask::Leave { member } => {
                self.lapse(now, &topic);
                self.leave(now, &topic, member, node);
                Note::Done(token)
            }
            Ask::Members => {
                self.lapse(now, &topic);
                self.stored(&topic);
                Note::Members(token, self.members(&topic, now))
            }
        })
    }

    fn stored(&mut self, topic: &Arc<str>) -> &mut Stored {
        let next_epoch = &mut self.next_epoch;
        self.topics.entry(Arc::clone(topic)).or_insert_with(|| {
            *next_epoch += 1;
            Stored {
                epoch: Epoch::new(*next_epoch),
                offset: 0,
                kept: VecDeque::new(),
                inherited: None,
                keys: BTreeMap::new(),
                members: BTreeMap::new(),
            }
        })
    }

    fn publish(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        message: Kept,
        history: History,
        key: Option<Arc<str>>,
    ) -> Position {
        let stored = self.stored(topic);
        if let Some(offset) = key.as_ref().and_then(|key| stored.keys.get(key)) {
            return Position::new(stored.epoch, *offset);
        }
        stored.offset += 1;
        if let Some(key) = key {
            stored.keys.insert(key, stored.offset);
        }
        let position = Position::new(stored.epoch, stored.offset);
        let (origin, payload) = (message.origin, message.payload.clone());
        stored.kept.push_back(Kept {
            offset: stored.offset,
            ..message
        });
        let surplus = stored.kept.len().saturating_sub(history.messages as usize);
        stored.kept.drain(..surplus);
        self.has_lost |= surplus > 0;
        let entry = (Arc::clone(topic), position.epoch, position.offset);
        self.ordered.insert(entry, payload.clone());
        self.tell(now, topic, &Note::Message(position, origin, payload));
        position
    }

    fn enter(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        member: Arc<str>,
        node: usize,
        until: Instant,
    ) {
        let is_new = !self.members(topic, now).contains(&member);
        let members = &mut self.stored(topic).members;
        members.insert((Arc::clone(&member), node), until);
        if is_new {
            self.tell(now, topic, &Note::Joined(member));
        }
    }

    fn leave(&mut self, now: Instant, topic: &Arc<str>, member: Arc<str>, node: usize) {
        let members = &mut self.stored(topic).members;
        let was_there = members.remove(&(Arc::clone(&member), node)).is_some();
        let is_gone = !members.keys().any(|(other, _)| *other == member);
        if was_there && is_gone {
            self.tell(now, topic, &Note::Left(member));
        }
    }

    fn lapse(&mut self, now: Instant, topic: &Arc<str>) {
        let members = &self.stored(topic).members;
        let over = members.iter().filter(|(_, until)| **until <= now);
        let over: Vec<_> = over.map(|(member, _)| member.clone()).collect();
        for (member, node) in over {
            self.leave(now, topic, member, node);
        }
    }

    fn tell(&mut self, now: Instant, topic: &Arc<str>, note: &Note) {
        let nodes: Vec<_> = self.connections.keys().copied().collect();
        for node in nodes {
            if !self.connections[&node].subscribed.contains(topic) {
                continue;
            }
            let mut times = 1;
            if self.random.percent(self.habits.loses_messages) {
                times = 0;
            } else if self.random.percent(self.habits.doubles) {
                times = 2;
            }
            for _ in 0..times {
                self.send(now, node, topic, note.clone());
            }
        }
    }

    fn send(&mut self, now: Instant, node: usize, topic: &Arc<str>, note: Note) {
        let due = self.due(now);
        let Some(connection) = self.connections.get_mut(&node) else {
            return;
        };
        let lane = connection.lanes.entry(Arc::clone(topic)).or_default();
        // A double may come after what was sent later.
        if matches!(note, Note::Message(..)) && self.random.percent(self.habits.doubles / 2) {
            let late = due + Duration::from_millis(self.habits.delay);
            let place = lane.len();
            lane.insert(place, (due, note.clone()));
            lane.push_back((late, note));
        } else {
            lane.push_back((due, note));
        }
    }

    /// One answer that has arrived at a node, of any topic.
    fn arrived(&mut self, now: Instant, node: usize) -> Option<(Arc<str>, Note)> {
        let connection = self.connections.get_mut(&node)?;
        let is_due =
            |lane: &VecDeque<(Instant, Note)>| lane.front().is_some_and(|(due, _)| *due <= now);
        let lanes = connection.lanes.iter_mut().filter(|(_, lane)| is_due(lane));
        let mut lanes: Vec<_> = lanes.collect();
        if lanes.is_empty() {
            return None;
        }
        let (topic, lane) = lanes.swap_remove(self.random.below(lanes.len()));
        lane.pop_front().map(|(_, note)| (Arc::clone(topic), note))
    }
}

/// What a restart leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Intact,
    Older,
    Empty,
}

impl Stored {
    fn page(&self, after: Option<u64>, most: u32) -> Page {
        let after = after.unwrap_or(self.offset);
        let later = self.kept.iter().filter(|kept| kept.offset > after);
        Page {
            top: Position::new(self.epoch, self.offset),
            inherited: self.inherited,
            oldest: self
                .kept
                .front()
                .map_or(self.offset, |kept| kept.offset - 1),
            messages: later.take(most as usize).cloned().collect(),
        }
    }
}

/// A node's way to the server.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) server: Rc<RefCell<Server>>,
    pub(crate) node: usize,
}

impl Engine for Line {
    fn open(&mut self, _: Instant, _: &mut Vec<u8>) {}

    fn ask(&mut self, now: Instant, request: Request, _: &mut Vec<u8>) {
        self.server.borrow_mut().ask(now, self.node, request);
    }

    fn receive(
        &mut self,
        now: Instant,
        _: &[u8],
        _: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(usize, Opened), EngineError> {
        loop {
            let arrived = self.server.borrow_mut().arrived(now, self.node);
            let Some((topic, note)) = arrived else {
                return Ok((0, Opened::Yes));
            };
            answers(match &note {
                Note::Done(token) => Answer::Done(*token),
                Note::Published(token, position) => Answer::Published(*token, *position),
                Note::Read(token, page) => Answer::Read(*token, page.clone()),
                Note::Members(token, members) => Answer::Members(*token, members.clone()),
                Note::Refused(token) => Answer::Again(*token),
                Note::Message(position, origin, payload) => Answer::Message(Incoming {
                    topic: &topic,
                    position: *position,
                    previous: position.offset - 1,
                    origin: *origin,
                    payload,
                }),
                Note::Joined(member) => Answer::Joined(&topic, member),
                Note::Left(member) => Answer::Left(&topic, member),
            });
        }
    }
}
