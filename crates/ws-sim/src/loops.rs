//! Several loops that serve together: what is published on one reaches the subscribers on all.

mod crowd;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ws_mio::{EventLoop, KeepaliveConfig, Remote, SlowConsumer, TimeLimits};

use self::crowd::{Books, Crowd, TOPIC_NAMES};
use crate::{
    Simulation, Size, Totals,
    app::{EVERYBODY, TOPICS},
    front::Layer,
    peer::{ModelPeer, Mood, Seen, Shared, Talk},
    plan::Plan,
    random::Random,
    wire::{Net, Stream, Wire},
};

/// How long they may take to come to rest.
const ROUNDS: usize = 100_000;
/// How many turns a loop may ask for at once without doing anything in them.
const IDLE_TURNS: usize = 16;

/// Loops, their peers, and the time.
pub(crate) struct Loops {
    plan: Rc<Plan>,
    net: Rc<Net>,
    random: Random,
    shared: Shared,
    sides: Vec<Side>,
    remote: Remote<Crowd, Wire>,
    books: Rc<RefCell<Books>>,
    /// By the numbers of their connections, each with the index of its loop.
    peers: Vec<(usize, ModelPeer)>,
    seen: Vec<Seen>,
    now: Duration,
    totals: Totals,
}

/// One of the loops.
struct Side {
    inner: EventLoop<Crowd, Wire>,
    was_woken: Arc<AtomicBool>,
    goes_on: bool,
    /// Until when it sleeps unless it is woken: what it said at the end of its last turn.
    until: Option<Duration>,
}

/// Nothing is refused or dropped here, and nobody is late.
fn without_limits(plan: &mut Plan) {
    plan.connections = plan.connections.clamp(2, 40);
    plan.longest = plan.longest.min(3000);
    plan.wrongs = 0;
    let config = &mut plan.config;
    config.slow_consumer = SlowConsumer::DropNewest;
    config.max_backpressure = 1 << 30;
    config.max_memory = 1 << 30;
    config.max_connections = 1_000_000;
    config.max_connections_per_address = usize::MAX;
    config.keepalive = KeepaliveConfig::OFF;
    config.time_limits = TimeLimits::UNLIMITED;
    config.handshake_timeout = Duration::from_secs(24 * 60 * 60);
}

impl Simulation for Loops {
    fn new(mut random: Random, size: Size) -> Self {
        let random = &mut random;
        let mut plan = Plan::new(random, size, Layer::None);
        without_limits(&mut plan);
        let plan = Rc::new(plan);
        let net = Rc::<Net>::default();
        let books = Rc::<RefCell<Books>>::default();
        let flags: Vec<_> = (0..random.between(2, 4))
            .map(|_| Arc::new(AtomicBool::new(false)))
            .collect();
        let wakes = flags.iter().map(|flag| {
            let flag = Arc::clone(flag);
            move || {
                flag.store(true, Ordering::Relaxed);
                Ok(())
            }
        });
        let handler = |_| Crowd::new(&plan, &net, &books, random);
        let inners = EventLoop::several(&plan.config, wakes, handler).expect("a configuration");
        let remote = inners[0].remote();
        let sides = inners.into_iter().zip(flags);
        Self {
            shared: Shared::new(&plan, random),
            random: random.fork(),
            net,
            sides: sides
                .map(|(inner, was_woken)| Side {
                    inner,
                    was_woken,
                    goes_on: true,
                    until: None,
                })
                .collect(),
            remote,
            books,
            plan,
            peers: Vec::new(),
            seen: Vec::new(),
            now: Duration::ZERO,
            totals: Totals::default(),
        }
    }

    /// Takes one step: somebody does something, and those loops have a turn that know why.
    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.below(20) as u64);
        if self.peers.len() < self.plan.connections || self.random.chance(5) {
            self.open();
        }
        let at = self.random.below(self.peers.len());
        let peer = &mut self.peers[at].1;
        if !peer.is_over() {
            let most = peer.act(&mut self.random, &mut self.shared);
            self.pull(at, most);
        }
        if self.random.chance(300) {
            self.ask_of_remote();
        }
        let at = self.random.below(self.sides.len());
        self.turn(at, self.plan.faults.prompt);
        self.totals.steps += 1;
        if self.random.chance(10) {
            self.come_to_rest();
        }
    }

    /// Ends everything, and checks what is left.
    fn end(mut self) -> Totals {
        self.come_to_rest();
        self.remote.stop().expect("they are woken");
        self.come_to_rest();
        self.now += self.plan.config.close_timeout + Duration::from_secs(1);
        self.come_to_rest();
        for (index, side) in self.sides.iter_mut().enumerate() {
            let left = side.inner.lend().connections();
            assert!(!side.goes_on && left == 0, "loop {index} does not stop");
        }
        self.totals.connections += self.peers.len() as u64;
        let books = self.books.borrow();
        for book in &books.connections {
            self.totals.messages += u64::from(book.received) + u64::from(book.sent);
        }
        drop(books);
        self.totals
    }
}

impl Loops {
    fn open(&mut self) {
        let number = self.net.number();
        let stream = Stream::new(number, &self.net, self.plan.faults, &mut self.random);
        let stream = Rc::new(RefCell::new(stream));
        let at = self.random.below(self.sides.len());
        let side = &mut self.sides[at];
        let key = side.inner.admit(Wire::new(&stream));
        side.until = side.inner.next_timeout();
        assert!(key.is_some(), "there is room");
        stream.borrow_mut().key = key;
        let peer = ModelPeer::client(stream, &mut self.shared);
        self.peers.push((at, peer));
    }

    /// Asks something of all loops, or of one, from elsewhere.
    fn ask_of_remote(&mut self) {
        let number = self.random.below(self.peers.len()) as u32;
        let mut books = self.books.borrow_mut();
        let asked = match self.random.below(3) {
            0 => {
                let message = books.publication(EVERYBODY, None, &self.plan, &mut self.random);
                self.remote.broadcast(&message)
            }
            1 => {
                let topic = self.random.between(1, TOPICS - 1);
                let message = books.publication(topic, None, &self.plan, &mut self.random);
                self.remote.publish(TOPIC_NAMES[topic], &message)
            }
            _ => match books.of(number).id {
                Some(id) => self
                    .remote
                    .with_peer(id, move |crowd, peer| crowd.send(peer, number)),
                None => Ok(()),
            },
        };
        asked.expect("they are woken");
    }

    /// Gives a loop a turn, if it has a reason to be awake.
    fn turn(&mut self, at: usize, prompt: usize) {
        let side = &mut self.sides[at];
        let mut told = Vec::new();
        let mut later = Vec::new();
        for number in self.net.edges.take() {
            let (of, peer) = &self.peers[number as usize];
            let mut stream = peer.stream.borrow_mut();
            match *of == at && self.random.chance(prompt) {
                false => later.push(number),
                true if stream.is_dropped => {}
                true => {
                    let key = stream.key.expect("it was admitted");
                    told.push((key, stream.take_ready()));
                }
            }
        }
        self.net.edges.borrow_mut().extend(later);
        let is_due = side.until.is_some_and(|until| until <= self.now);
        let was_woken = side.was_woken.swap(false, Ordering::Relaxed);
        if !side.goes_on || told.is_empty() && !is_due && !was_woken {
            return;
        }
        side.inner.start_turn(self.now);
        for (key, ready) in told {
            side.inner.wake(key, ready);
        }
        side.goes_on = side.inner.finish_turn();
        side.until = side.inner.next_timeout();
        self.totals.turns += 1;
    }

    fn pull(&mut self, at: usize, most: usize) {
        let (_, peer) = &mut self.peers[at];
        peer.pull(most, &mut self.shared, &mut self.seen);
        for seen in self.seen.drain(..) {
            self.books.borrow_mut().judge(peer, seen);
        }
        peer.hang_up();
    }

    /// Lets everybody go on until nobody can.
    fn come_to_rest(&mut self) {
        let mut idle = 0;
        for _ in 0..ROUNDS {
            let before = self.net.progress.get();
            for at in 0..self.peers.len() {
                let peer = &mut self.peers[at].1;
                if peer.mood == Mood::Stalled {
                    peer.mood = Mood::Normal;
                }
                peer.push(usize::MAX);
                self.pull(at, usize::MAX);
            }
            for at in 0..self.sides.len() {
                self.turn(at, 1000);
            }
            let wants_turn = |side: &Side| {
                let is_due = side.until.is_some_and(|until| until <= self.now);
                side.goes_on && (is_due || side.was_woken.load(Ordering::Relaxed))
            };
            let is_idle = self.net.progress.get() == before && self.net.edges.borrow().is_empty();
            match (is_idle, self.sides.iter().any(wants_turn)) {
                (true, false) => return self.check_rest(),
                (true, true) => idle += 1,
                (false, _) => idle = 0,
            }
            assert!(idle < IDLE_TURNS, "the loops spin at {:?}", self.now);
        }
        panic!("they do not come to rest");
    }

    /// Nothing is left to do for anybody.
    fn check_rest(&mut self) {
        self.totals.rests += 1;
        let mut books = self.books.borrow_mut();
        let mut subscribers = [0; TOPICS];
        for (_, peer) in &self.peers {
            let number = peer.number;
            let book = books.of(number);
            if !book.is_open {
                continue;
            }
            for (count, since) in subscribers.iter_mut().zip(book.since) {
                *count += usize::from(since.is_some());
            }
            let Some(talk) = peer.talk() else {
                panic!("connection {number} is open on one side");
            };
            let heard = talk.heard();
            assert_eq!(heard, book.said(), "messages to peer {number}");
            let received = book.received;
            assert_eq!(received, talk.sent, "messages to the application");
            for topic in 0..TOPICS {
                let next = talk.topic(topic).map_or(0, |last| last + 1);
                let end = books.published[topic].len() as u32;
                books.check_missed(number, topic, next..end);
            }
        }
        for (topic, count) in subscribers.into_iter().enumerate().skip(1) {
            let told = self.remote.subscriber_count(TOPIC_NAMES[topic]);
            assert_eq!(told, count, "subscribers of topic {topic}");
        }
    }
}

impl Talk {
    /// Returns the last message of a topic that came.
    fn topic(&self, topic: usize) -> Option<u32> {
        self.heard.topics[topic]
    }
}
