//! Connections of `ws-smol`, each in a task of its own.

mod serve;
mod stream;

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use ws_proto::{KeepaliveConfig, TimeLimits};
use ws_smol::{Acceptor, Config, Connector, MemoryBudget, OriginPolicy};

use self::{
    serve::{Book, End, Task},
    stream::{Shared as StreamShared, TaskStream},
};
use crate::{
    Simulation, Size, Totals,
    front::Layer,
    peer::{ModelPeer, Mood, Seen, Shared, Talk},
    plan::Plan,
    random::Random,
    wire::{Net, Stream, Wire},
};

/// What a task may read until it is pending once: its turn, and the read that goes beyond it.
const TURN: usize = 1024 * 1024 + 512 * 1024;
/// How often a task may be polled without doing anything.
const IDLE_POLLS: u32 = 16;
/// How long it may take to come to rest.
const ROUNDS: usize = 100_000;

/// Tasks, their peers, and what is between them. No time goes by.
pub(crate) struct Tasks {
    plan: Rc<Plan>,
    net: Rc<Net>,
    random: Random,
    shared: Shared,
    acceptor: Rc<Acceptor>,
    connector: Rc<Connector>,
    connections: Vec<Connection>,
    seen: Vec<Seen>,
    totals: Totals,
}

/// A connection: the task at one end, and the peer at the other.
struct Connection {
    /// `None` once it has ended.
    task: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    idle: u32,
    book: Rc<RefCell<Book>>,
    stream: Rc<StreamShared>,
    peer: ModelPeer,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn config(plan: &Plan) -> Config {
    let mut config = Config::default();
    config.limits = plan.config.limits;
    config.time_limits = TimeLimits::UNLIMITED;
    config.keepalive = KeepaliveConfig::OFF;
    config.max_backpressure = plan.config.max_backpressure;
    config.max_frame_sent = plan.config.max_frame_sent;
    config.memory = MemoryBudget::new(1 << 30);
    // Nothing here takes as long.
    config.close_timeout = Duration::from_secs(3600);
    config.handshake_timeout = Duration::from_secs(3600);
    config.min_head_rate = 0;
    config
}

impl Simulation for Tasks {
    fn new(mut random: Random, size: Size) -> Self {
        let random = &mut random;
        let mut plan = Plan::new(random, size, Layer::None);
        plan.connections = plan.connections.min(12);
        // A stream of futures says neither.
        (plan.faults.interrupted, plan.faults.over_long) = (0, 0);
        plan.config.time_limits.max_control_rate = u32::MAX;
        let acceptor = Acceptor::new(OriginPolicy::Any)
            .config(config(&plan))
            .accept_unmasked_frame(plan.config.accept_unmasked_frame.clone());
        let acceptor = match &plan.deflate {
            Some(policy) => acceptor.deflate(*policy),
            None => acceptor,
        };
        let connector = Connector::new()
            .config(config(&plan))
            .set_mask_to_zero(plan.config.set_mask_to_zero.clone());
        let plan = Rc::new(plan);
        Self {
            net: Rc::default(),
            shared: Shared::new(&plan, random),
            random: random.fork(),
            plan,
            acceptor: Rc::new(acceptor),
            connector: Rc::new(connector),
            connections: Vec::new(),
            seen: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Takes one step: peers do something, tasks that were woken are polled.
    fn step(&mut self) {
        if self.connections.len() < self.plan.connections || self.random.chance(5) {
            self.open();
        }
        let at = self.random.below(self.connections.len());
        let peer = &mut self.connections[at].peer;
        if !peer.is_over() {
            let most = peer.act(&mut self.random, &mut self.shared);
            self.pull(at, most);
        }
        self.tell(self.plan.faults.prompt);
        self.poll_woken();
        self.totals.steps += 1;
        if self.random.chance(10) {
            self.come_to_rest();
        }
    }

    fn end(mut self) -> Totals {
        self.come_to_rest();
        for connection in &mut self.connections {
            if connection.peer.is_over() {
                continue;
            }
            match self.random.below(3) {
                0 => connection.peer.end(),
                1 => connection.peer.vanish(),
                _ => connection.peer.close(),
            }
        }
        self.come_to_rest();
        self.totals.connections += self.connections.len() as u64;
        for connection in &self.connections {
            let book = connection.book.borrow();
            self.totals.messages += u64::from(book.received) + u64::from(book.sent);
        }
        self.totals
    }
}

impl Tasks {
    fn open(&mut self) {
        let number = self.net.number();
        let stream = Stream::new(number, &self.net, self.plan.faults, &mut self.random);
        let stream = Rc::new(RefCell::new(stream));
        let (task_stream, shared) = TaskStream::new(Wire::new(&stream));
        let book = Rc::new(RefCell::new(Book::new(number)));
        let task = Task {
            stream: task_stream,
            book: Rc::clone(&book),
            plan: Rc::clone(&self.plan),
            random: self.random.fork(),
            text: String::new(),
        };
        let (task, mut peer): (Pin<Box<dyn Future<Output = ()>>>, _) = match self.random.chance(700)
        {
            true => (
                Box::pin(task.accept(Rc::clone(&self.acceptor))),
                ModelPeer::client(stream, &mut self.shared),
            ),
            false => (
                Box::pin(task.connect(Rc::clone(&self.connector))),
                ModelPeer::server(stream, &self.shared, false),
            ),
        };
        if self.random.chance(self.plan.wrongs) {
            peer.exaggerate(&mut self.shared);
        }
        self.connections.push(Connection {
            task: Some(task),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            idle: 0,
            book,
            stream: shared,
            peer,
        });
    }

    /// Has readiness reach tasks, so many of a thousand changes.
    fn tell(&self, prompt: usize) {
        let mut random = self.random.clone();
        for number in self.net.edges.take() {
            let connection = &self.connections[number as usize];
            if !random.chance(prompt) {
                self.net.edges.borrow_mut().push(number);
                continue;
            }
            let ready = connection.peer.stream.borrow_mut().take_ready();
            connection.stream.tell(ready);
        }
    }

    fn poll_woken(&mut self) {
        for connection in &mut self.connections {
            if connection.task.is_some() && connection.woken.0.swap(false, Ordering::Relaxed) {
                let before = self.net.progress.get();
                connection.poll();
                self.totals.turns += 1;
                match self.net.progress.get() == before {
                    true => connection.idle += 1,
                    false => connection.idle = 0,
                }
                assert!(
                    connection.idle < IDLE_POLLS,
                    "the task spins\n{}",
                    connection.peer.sketch()
                );
            }
        }
    }

    fn pull(&mut self, at: usize, most: usize) {
        let connection = &mut self.connections[at];
        let peer = &mut connection.peer;
        peer.pull(most, &mut self.shared, &mut self.seen);
        for seen in self.seen.drain(..) {
            connection.judge(seen);
        }
        connection.peer.hang_up();
    }

    /// Lets everybody go on until nobody can.
    fn come_to_rest(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.net.progress.get();
            for at in 0..self.connections.len() {
                let peer = &mut self.connections[at].peer;
                if peer.mood == Mood::Stalled {
                    peer.mood = Mood::Normal;
                }
                peer.push(usize::MAX);
                self.pull(at, usize::MAX);
            }
            self.tell(1000);
            self.poll_woken();
            let is_woken = |connection: &Connection| {
                connection.task.is_some() && connection.woken.0.load(Ordering::Relaxed)
            };
            let is_idle = self.net.progress.get() == before
                && self.net.edges.borrow().is_empty()
                && !self.connections.iter().any(is_woken);
            if is_idle {
                self.totals.rests += 1;
                return self.connections.iter().for_each(Connection::check_rest);
            }
        }
        panic!("it does not come to rest");
    }
}

impl Connection {
    fn poll(&mut self) {
        let Some(task) = &mut self.task else {
            return;
        };
        let waker = Waker::from(Arc::clone(&self.woken));
        self.stream.take_read();
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        let read = self.stream.take_read();
        assert!(read <= TURN, "a poll reads {read} bytes");
        if polled.is_ready() {
            self.task = None;
            self.check_end();
        }
    }

    /// Looks at what the peer has just seen.
    fn judge(&self, seen: Seen) {
        let (book, peer) = (self.book.borrow(), &self.peer);
        let number = peer.number;
        match seen {
            Seen::Published { .. } => panic!("nobody publishes anything to peer {number}"),
            Seen::Close => {
                let heard = peer.talk().map(Talk::heard);
                let said = book.said();
                assert_eq!(heard, Some(said), "connection {number} is closed");
            }
            Seen::Echo {
                number: echoed,
                direct,
            } => assert!(
                book.echoes.contains(&(echoed, direct)),
                "message {echoed} comes back to peer {number} after {direct} others"
            ),
            Seen::End => {
                let stream = peer.stream.borrow();
                let is_cut = stream.is_torn || stream.is_reset() || book.is_left;
                let Some(talk) = peer.talk().filter(|_| !is_cut) else {
                    return;
                };
                let is_whole = match &book.end {
                    Some(End::Closed | End::Protocol) => talk.is_close_received,
                    _ => true,
                };
                assert!(
                    is_whole,
                    "connection {number} is cut off: {:?} after {:?} of {:?}",
                    book.end,
                    talk.heard(),
                    book.said()
                );
            }
        }
    }

    /// Looks at how a task has ended.
    fn check_end(&self) {
        let (book, peer) = (self.book.borrow(), &self.peer);
        let stream = peer.stream.borrow();
        let (number, end) = (peer.number, &book.end);
        let is_gone = peer.is_ending() || stream.is_reset();
        let Some(talk) = peer.talk().filter(|_| !book.is_left) else {
            return;
        };
        let is_expected = match end {
            Some(End::Closed) => talk.is_close_sent(),
            Some(End::Lost) => is_gone,
            Some(End::Protocol) => peer.is_wrong,
            // The transport fails where the peer is gone.
            Some(End::Other(_)) => is_gone || talk.is_close_sent() || peer.is_wrong,
            // The peer has answered, and taken its answer back with all else.
            Some(End::Never) => stream.is_reset(),
            None => false,
        };
        assert!(
            is_expected,
            "connection {number} ended by {end:?} of nobody's"
        );
        let is_exact = matches!(end, Some(End::Closed | End::Lost | End::Protocol));
        if is_exact && !stream.is_reset() {
            let received = book.received;
            assert_eq!(
                received, talk.sent,
                "messages of connection {number}, which ended by {end:?}"
            );
        }
    }

    /// Nothing is left to do for anybody.
    fn check_rest(&self) {
        let (book, peer) = (self.book.borrow(), &self.peer);
        let stream = peer.stream.borrow();
        if peer.mood != Mood::Normal {
            return;
        }
        let say = |what: &str| {
            let (number, sketch) = (peer.number, peer.sketch());
            format!("connection {number} is stuck: {what}\n{book:#?}\n{sketch}")
        };
        assert!(peer.has_sent_all(), "{}", say("the task does not read"));
        assert!(
            stream.inbound.bytes.is_empty() || stream.is_dropped,
            "{}",
            say("input is left")
        );
        assert!(
            stream.outbound.bytes.is_empty(),
            "{}",
            say("output is left")
        );
        if book.end.is_some() {
            assert!(peer.is_over(), "{}", say("its end was not seen"));
            return;
        }
        if !book.is_open {
            assert!(peer.is_over(), "{}", say("nobody opens it"));
            return;
        }
        let Some(talk) = peer.talk() else {
            panic!("{}", say("it is open on one side"));
        };
        if book.is_left {
            return;
        }
        assert!(!talk.is_close_sent(), "{}", say("the Close was not seen"));
        assert!(!peer.is_ending(), "{}", say("the end was not seen"));
        assert!(!peer.is_wrong, "{}", say("it gets away with it"));
        assert_eq!(book.received, talk.sent, "{}", say("to the application"));
        assert_eq!(
            talk.pong,
            talk.pings,
            "{}",
            say("no Pong for the last Ping")
        );
        assert_eq!(
            talk.heard(),
            book.said(),
            "messages to peer {}",
            peer.number
        );
    }
}
