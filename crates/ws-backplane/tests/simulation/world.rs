//! Nodes, and clients that come and go; what each of them saw is checked as it comes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use ws_backplane::{
    Backplane, Discontinuity, EngineError, Handler, History, Limits, Position, Publish,
    PublishError, RecoverId, Recovery, Ticket, Why,
};

use crate::{
    random::Random,
    server::{Fate, Habits, Line, Server},
};

/// What a run has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) messages: u64,
    pub(crate) recovered: u64,
    pub(crate) discontinuities: u64,
    pub(crate) lost: u64,
    pub(crate) gaps: u64,
    pub(crate) duplicates: u64,
    pub(crate) joins: u64,
    pub(crate) published: u64,
    pub(crate) unknown: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.recovered += other.recovered;
        self.discontinuities += other.discontinuities;
        self.lost += other.lost;
        self.gaps += other.gaps;
        self.duplicates += other.duplicates;
        self.joins += other.joins;
        self.published += other.published;
        self.unknown += other.unknown;
    }
}

pub(crate) struct World {
    random: Random,
    now: Instant,
    server: Rc<RefCell<Server>>,
    nodes: Vec<Node>,
    topics: Vec<Arc<str>>,
    clients: Vec<Client>,
    next_message: u64,
    faults: usize,
}

struct Node {
    backplane: Backplane<Line>,
    is_connected: bool,
    seen: Witness,
}

/// A WebSocket client: it remembers its position while it is away.
struct Client {
    topic: usize,
    node: usize,
    is_there: bool,
}

/// What a node was told, and whether that was right.
struct Witness {
    server: Rc<RefCell<Server>>,
    /// The last position that was told of a topic.
    positions: BTreeMap<Arc<str>, Position>,
    /// Clients by number: their last position, and whether they get what comes.
    clients: BTreeMap<usize, Reader>,
    recoveries: BTreeMap<RecoverId, usize>,
    next_recovery: u64,
    present: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    tickets: BTreeMap<Ticket, (Arc<str>, Vec<u8>)>,
    seen: Seen,
    failure: Option<String>,
}

struct Reader {
    topic: Arc<str>,
    position: Option<Position>,
    is_live: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let habits = Habits {
            loses_messages: [0, 0, 5, 20][random.below(4)],
            loses_answers: [0, 0, 0, 2][random.below(4)],
            doubles: [0, 5, 20][random.below(3)],
            delay: [0, 5, 100, 400][random.below(4)],
        };
        let server = Server::new(Random::new(random.next()), habits);
        let names = 1 + random.below(3);
        let limits = limits(&mut random);
        let nodes = (0..1 + random.below(3)).map(|node| Node {
            backplane: Backplane::new(
                Line {
                    server: Rc::clone(&server),
                    node,
                },
                limits.clone(),
            ),
            is_connected: false,
            seen: Witness::new(&server),
        });
        Self {
            nodes: nodes.collect(),
            topics: (0..names)
                .map(|name| format!("topic {name}").into())
                .collect(),
            clients: Vec::new(),
            next_message: 0,
            faults: [0, 1, 10][random.below(3)],
            now: Instant::now(),
            server,
            random,
        }
    }

    pub(crate) fn play(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            self.act();
            self.turn()?;
        }
        self.calm();
        // All of what is due comes: answers, checks, lingering, presence.
        for _ in 0..600 {
            self.now += Duration::from_millis(100);
            self.turn()?;
        }
        self.check_end()
    }

    pub(crate) fn seen(&mut self) -> Seen {
        let mut sum = Seen::default();
        for node in &mut self.nodes {
            let metrics = node.backplane.metrics();
            let mut seen = std::mem::take(&mut node.seen.seen);
            seen.gaps = metrics.gaps;
            seen.duplicates = metrics.duplicates;
            sum.add(seen);
        }
        sum
    }

    fn act(&mut self) {
        self.now += Duration::from_millis(self.random.next() % 60);
        if self.random.below(400) < self.faults {
            self.go_wrong();
        }
        match self.random.below(10) {
            0..5 => self.publish(),
            5 => self.client_comes(),
            6 => self.client_goes(),
            7 => self.member_moves(),
            8 => {
                self.client_goes();
                self.client_comes();
            }
            _ => {}
        }
    }

    fn go_wrong(&mut self) {
        let node = self.random.below(self.nodes.len());
        let topic = self.random.below(self.topics.len());
        match self.random.below(6) {
            0 => self.cut(node),
            1 => {
                let fate = [Fate::Intact, Fate::Older, Fate::Empty][self.random.below(3)];
                self.server.borrow_mut().restart(fate);
                for node in 0..self.nodes.len() {
                    self.cut(node);
                }
                self.server.borrow_mut().is_up = !self.random.one_in(2);
            }
            2 => self.server.borrow_mut().clear(),
            3 => self.server.borrow_mut().expire(&self.topics[topic]),
            4 => self.server.borrow_mut().is_up = false,
            _ => self.server.borrow_mut().is_up = true,
        }
    }

    fn cut(&mut self, node: usize) {
        self.server.borrow_mut().disconnect(node);
        let node = &mut self.nodes[node];
        if std::mem::take(&mut node.is_connected) {
            let why = EngineError::Ended("cut".into());
            node.backplane
                .handle_disconnected(self.now, &why, &mut node.seen);
        }
    }

    fn publish(&mut self) {
        let at = self.random.below(self.nodes.len());
        let topic = &self.topics[self.random.below(self.topics.len())];
        self.next_message += 1;
        let payload = self.next_message.to_string().into_bytes();
        let mut publish = Publish::default();
        publish.history = match self.random.below(8) {
            0 => History::NONE,
            1 => History::new(3, Duration::from_secs(60)),
            _ => History::new(1000, Duration::from_secs(60)),
        };
        if self.faults == 0 {
            publish.history = History::new(1000, Duration::from_secs(60));
        }
        if self.random.one_in(3) {
            publish.key = Some(format!("key {}", self.next_message).into());
        }
        let node = &mut self.nodes[at];
        let published =
            node.backplane
                .publish(self.now, topic, payload.clone(), publish, &mut node.seen);
        if let Ok(ticket) = published {
            node.seen
                .tickets
                .insert(ticket, (Arc::clone(topic), payload));
        }
    }

    /// A client comes, for the first time or with the position that it has.
    fn client_comes(&mut self) {
        let away: Vec<_> = (0..self.clients.len())
            .filter(|at| !self.clients[*at].is_there)
            .collect();
        let number = match away.len() {
            0 if self.clients.len() >= 8 => return,
            0 => {
                self.clients.push(Client {
                    topic: self.random.below(self.topics.len()),
                    node: 0,
                    is_there: false,
                });
                self.clients.len() - 1
            }
            many => away[self.random.below(many)],
        };
        let before = self.clients[number].node;
        let node = self.random.below(self.nodes.len());
        let client = &mut self.clients[number];
        client.is_there = true;
        client.node = node;
        let topic = &self.topics[client.topic];
        let reader = self.nodes[before].seen.clients.remove(&number);
        let since = reader.and_then(|reader| reader.position);
        let node = &mut self.nodes[node];
        node.backplane
            .subscribe(self.now, topic)
            .expect("within limits");
        let reader = Reader {
            topic: Arc::clone(topic),
            position: since,
            is_live: false,
        };
        node.seen.clients.insert(number, reader);
        node.seen
            .ask(&mut node.backplane, self.now, topic, since, number);
    }

    fn client_goes(&mut self) {
        let there: Vec<_> = (0..self.clients.len())
            .filter(|at| self.clients[*at].is_there)
            .collect();
        if there.is_empty() {
            return;
        }
        let number = there[self.random.below(there.len())];
        let client = &mut self.clients[number];
        client.is_there = false;
        let node = &mut self.nodes[client.node];
        let topic = &self.topics[client.topic];
        node.backplane.unsubscribe(self.now, topic);
        if let Some(reader) = node.seen.clients.get_mut(&number) {
            reader.is_live = false;
        }
        node.seen.recoveries.retain(|_, other| *other != number);
        let is_left = !self.clients.iter().any(|other| {
            other.is_there
                && other.topic == self.clients[number].topic
                && other.node == self.clients[number].node
        });
        if is_left {
            // Whoever subscribes next begins anew.
            self.nodes[self.clients[number].node]
                .seen
                .positions
                .remove(topic);
        }
    }

    fn member_moves(&mut self) {
        let at = self.random.below(self.nodes.len());
        let topic = &self.topics[self.random.below(self.topics.len())];
        let member: Arc<str> = format!("member {}", self.random.below(3)).into();
        let node = &mut self.nodes[at];
        match self.random.below(5) {
            0 | 1 => node
                .backplane
                .enter(self.now, topic, &member)
                .expect("within limits"),
            2 | 3 => node.backplane.leave(self.now, topic, &member),
            _ if node.seen.present.contains_key(topic) => {
                node.backplane.unwatch(self.now, topic);
                node.seen.present.remove(topic);
            }
            _ => {
                node.seen.present.insert(Arc::clone(topic), BTreeSet::new());
                node.backplane
                    .watch(self.now, topic)
                    .expect("within limits");
            }
        }
    }

    /// Lets everybody do what is due.
    fn turn(&mut self) -> Result<(), String> {
        self.server.borrow_mut().work(self.now);
        for at in 0..self.nodes.len() {
            if !self.nodes[at].is_connected && self.server.borrow().is_up {
                self.server.borrow_mut().connect(at);
                self.nodes[at].is_connected = true;
                self.nodes[at].backplane.handle_connected(self.now);
            }
            let now = self.now;
            let node = &mut self.nodes[at];
            if node.is_connected {
                let handled = node.backplane.handle_bytes(now, &[], &mut node.seen);
                handled.map_err(|error| error.to_string())?;
            }
            node.backplane.handle_timeout(now, &mut node.seen);
            if node.backplane.failure().is_some() {
                self.cut(at);
            }
            if let Some(failure) = self.nodes[at].seen.failure.take() {
                return Err(format!("node {at}: {failure}"));
            }
        }
        Ok(())
    }

    /// From now on nothing goes wrong.
    fn calm(&self) {
        let mut server = self.server.borrow_mut();
        server.is_up = true;
        server.habits = Habits::default();
    }

    fn check_end(&self) -> Result<(), String> {
        let server = self.server.borrow();
        for (at, node) in self.nodes.iter().enumerate() {
            let seen = &node.seen;
            if let Some((ticket, _)) = seen.tickets.first_key_value() {
                return Err(format!("node {at}: {ticket:?} was never answered"));
            }
            for (number, reader) in &seen.clients {
                if !self.clients[*number].is_there || self.clients[*number].node != at {
                    continue;
                }
                if !reader.is_live {
                    return Err(format!("client {number} waits for ever"));
                }
                let top = server.top(&reader.topic);
                if !reader
                    .position
                    .zip(top)
                    .is_some_and(|(at, top)| seen.follows(at, next(top)))
                {
                    return Err(format!(
                        "client {number} is at {:?}, the topic at {:?}",
                        reader.position, top
                    ));
                }
            }
            for (topic, present) in &seen.present {
                let members: BTreeSet<_> = server.members(topic, self.now).into_iter().collect();
                if *present != members {
                    return Err(format!(
                        "node {at} thinks {present:?} are in {topic}, {members:?} are"
                    ));
                }
            }
            if !server.has_lost && seen.seen.discontinuities + seen.seen.lost > 0 {
                return Err(format!(
                    "node {at} was told of a loss, and nothing was lost"
                ));
            }
        }
        Ok(())
    }
}

fn next(position: Position) -> Position {
    Position::new(position.epoch, position.offset + 1)
}

fn limits(random: &mut Random) -> Limits {
    let mut limits = Limits::default();
    limits.page = [1, 3, 100][random.below(3)];
    limits.window = [1, 2, 100][random.below(3)];
    limits.linger = Duration::from_millis([0, 300][random.below(2)]);
    limits.outage_wait = Duration::from_millis([0, 500][random.below(2)]);
    limits.held_bytes = [6, 1 << 20][random.below(2)];
    limits.recover_messages = [5, 1000][random.below(2)];
    limits.recover_linger = Duration::from_millis([0, 500][random.below(2)]);
    limits.check_interval = Duration::from_secs(2);
    limits.presence_time = Duration::from_secs(3);
    // A recovery waits through every outage, so that each has its true answer.
    limits.recover_wait = Duration::from_secs(600);
    limits
}

impl Witness {
    fn new(server: &Rc<RefCell<Server>>) -> Self {
        Self {
            server: Rc::clone(server),
            positions: BTreeMap::new(),
            clients: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            next_recovery: 0,
            present: BTreeMap::new(),
            tickets: BTreeMap::new(),
            seen: Seen::default(),
            failure: None,
        }
    }

    fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// Asks for what a client missed.
    fn ask(
        &mut self,
        backplane: &mut Backplane<Line>,
        now: Instant,
        topic: &Arc<str>,
        since: Option<Position>,
        number: usize,
    ) {
        self.recoveries.retain(|_, other| *other != number);
        self.next_recovery += 1;
        let id = RecoverId(self.next_recovery);
        self.recoveries.insert(id, number);
        backplane
            .recover(now, topic, since, id, self)
            .expect("within limits");
    }

    /// Whether `next` is what the engine ordered after `last`.
    fn follows(&self, last: Position, next: Position) -> bool {
        let server = self.server.borrow();
        let mut epoch = next.epoch;
        let mut shared = u64::MAX;
        while epoch != last.epoch {
            let Some(before) = server.inherited.get(&epoch) else {
                return false;
            };
            shared = shared.min(before.offset);
            epoch = before.epoch;
        }
        last.offset <= shared && next.offset == last.offset + 1
    }

    fn check_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        let key = (Arc::clone(topic), position.epoch, position.offset);
        let mut ordered = self.server.borrow().ordered.get(&key).cloned();
        let mut epoch = position.epoch;
        // A message may be from before the epoch that it is told in.
        while ordered.is_none() {
            let Some(before) = self.server.borrow().inherited.get(&epoch).copied() else {
                break;
            };
            epoch = before.epoch;
            let key = (Arc::clone(topic), epoch, position.offset);
            ordered = self.server.borrow().ordered.get(&key).cloned();
        }
        if ordered.as_deref() != Some(payload) {
            self.fail(format!(
                "{topic} has {ordered:?} at {position}, told was {payload:?}"
            ));
        }
    }

    fn read(&mut self, number: usize, position: Position, way: &str) {
        let Some(reader) = self.clients.get(&number) else {
            return;
        };
        let last = reader.position;
        if last.is_some_and(|last| !self.follows(last, position)) {
            self.fail(format!(
                "client {number} gets {position} after {last:?}, {way}"
            ));
        }
        if let Some(reader) = self.clients.get_mut(&number) {
            reader.position = Some(position);
        }
    }

    fn recovery(&mut self, number: usize, topic: &Arc<str>, recovery: &Recovery<'_>) {
        match recovery {
            Recovery::Recovered { messages, position } => {
                for message in *messages {
                    self.seen.recovered += 1;
                    self.check_message(topic, message.position, &message.payload);
                    self.read(number, message.position, "recovered");
                }
                let Some(reader) = self.clients.get_mut(&number) else {
                    return;
                };
                let last = reader.position.unwrap_or(*position);
                reader.is_live = true;
                reader.position = Some(*position);
                if !self.follows(last, next(*position)) {
                    self.fail(format!(
                        "client {number} was recovered up to {last}, not {position}"
                    ));
                }
            }
            Recovery::Lost { why, position } => {
                // Far behind is not lost: it is more than was allowed.
                self.seen.lost += u64::from(*why != Why::Limit);
                let reader = self.clients.get_mut(&number).expect("it is there");
                // It reads anew what the topic stands for, and goes on with what comes.
                reader.position = *position;
                reader.is_live = true;
                if position.is_none() {
                    self.fail(format!("client {number} was given up"));
                }
            }
        }
    }
}

impl Handler for Witness {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        self.seen.messages += 1;
        self.check_message(topic, position, payload);
        let last = self.positions.insert(Arc::clone(topic), position);
        if last.is_some_and(|last| !self.follows(last, position)) {
            self.fail(format!("{topic}: {position} after {last:?}"));
        }
        let readers = self
            .clients
            .iter()
            .filter(|(_, reader)| reader.is_live && reader.topic == *topic);
        let readers: Vec<_> = readers.map(|(number, _)| *number).collect();
        for number in readers {
            self.read(number, position, "live");
        }
    }

    fn on_discontinuity(&mut self, topic: &Arc<str>, discontinuity: &Discontinuity) {
        self.seen.discontinuities += 1;
        let Discontinuity { from, to, .. } = *discontinuity;
        let last = self.positions.insert(Arc::clone(topic), to);
        if last.is_some_and(|last| !self.follows(last, next(from))) {
            self.fail(format!(
                "{topic}: a discontinuity from {from} after {last:?}"
            ));
        }
        for reader in self.clients.values_mut() {
            if reader.is_live && reader.topic == *topic {
                reader.position = Some(to);
            }
        }
    }

    fn on_recovery(&mut self, id: RecoverId, topic: &Arc<str>, recovery: &Recovery<'_>) {
        if let Some(number) = self.recoveries.remove(&id) {
            self.recovery(number, topic, recovery);
        }
    }

    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        let Some((topic, payload)) = self.tickets.remove(&ticket) else {
            self.fail(format!("{ticket:?} was answered twice"));
            return;
        };
        match result {
            Ok(position) => {
                self.seen.published += 1;
                self.check_message(&topic, position, &payload);
            }
            Err(_) => self.seen.unknown += 1,
        }
    }

    fn on_join(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        self.seen.joins += 1;
        let Some(present) = self.present.get_mut(topic) else {
            return self.fail(format!("{topic} is not watched"));
        };
        if !present.insert(Arc::clone(member)) {
            self.fail(format!("{member} joined {topic} twice"));
        }
    }

    fn on_leave(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        let present = self.present.get_mut(topic);
        if !present.is_some_and(|present| present.remove(member)) {
            self.fail(format!("{member} left {topic}, and was not there"));
        }
    }
}
