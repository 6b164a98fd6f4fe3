//! The steps of a simulation, and what has to hold after each.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allocation_counter::{measure, opt_out};
use ws_mio::{Drain, EventLoop, Ready};
use ws_proto::Budget;

use crate::{
    Size, Totals,
    app::{App, EVERYBODY, End, State, TICK, TOPICS},
    peer::{ModelPeer, Mood, Seen, Shared, Talk},
    plan::Plan,
    random::Random,
    wire::{Dialer, Net, Stream, Wire},
};

/// A loop, its peers, and the time.
pub(crate) struct World<const CHUNKS: bool> {
    plan: Rc<Plan>,
    net: Rc<Net>,
    random: Random,
    /// `None` once it has ended.
    inner: Option<EventLoop<App<CHUNKS>, Wire>>,
    was_woken: Arc<AtomicBool>,
    shared: Shared,
    /// By the numbers of their connections.
    peers: Vec<Option<ModelPeer>>,
    /// Those that are not over.
    live: Vec<u32>,
    seen: Vec<Seen>,
    now: Duration,
    /// When it last had a turn that it wanted earlier.
    woke_at: Duration,
    /// The loop was not stopped, or still waits for its connections.
    goes_on: bool,
    /// What the loop holds, in bytes.
    held: i64,
    /// The most connections that there were.
    most: usize,
    /// A publication that somebody missed; no fault if one was refused.
    missed: Option<String>,
    /// By when the loop has to end.
    stop_by: Option<Duration>,
    totals: Totals,
}

/// How many turns a loop may ask for at once without doing anything in them.
const IDLE_TURNS: usize = 16;
/// How long it may take to come to rest.
const ROUNDS: usize = 200_000;

impl<const CHUNKS: bool> World<CHUNKS> {
    pub(crate) fn new(mut random: Random, size: Size) -> Self {
        let random = &mut random;
        let plan = Rc::new(Plan::new(random, size));
        let net = Rc::new(Net::default());
        Dialer::install(&net, plan.faults, random);
        let was_woken = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&was_woken);
        let mut inner = None;
        let held = measure(|| {
            let wake = move || {
                wake.store(true, Ordering::Relaxed);
                Ok(())
            };
            let app = App::new(&plan, &net, random);
            let mut config = plan.config.clone();
            // What a budget knows of those that it was lent to is not outlived by the plan.
            config.inflate.budget = Budget::new(config.inflate.budget.limit());
            inner = Some(EventLoop::new(config, app, wake).unwrap());
        });
        Self {
            shared: Shared::new(&plan, random),
            random: random.fork(),
            plan,
            net,
            inner,
            was_woken,
            peers: Vec::new(),
            live: Vec::new(),
            seen: Vec::new(),
            now: Duration::ZERO,
            woke_at: Duration::ZERO,
            goes_on: true,
            held: held.bytes_current,
            most: 0,
            missed: None,
            stop_by: None,
            totals: Totals::default(),
        }
    }

    /// Takes one step: time goes by, peers do something, the loop has a turn.
    pub(crate) fn step(&mut self) {
        self.pass_time();
        self.open_some();
        for _ in 0..1 + self.live.len() / 32 {
            if !self.live.is_empty() {
                let at = self.random.below(self.live.len());
                self.have_act(self.live[at]);
            }
        }
        self.ask_of_remote();
        self.turn(self.plan.faults.prompt);
        self.totals.steps += 1;
        if self.random.chance(30) {
            self.check_memory();
        }
        if self.random.chance(3) {
            self.come_to_rest();
        }
    }

    /// Ends everything, and checks what is left.
    pub(crate) fn end(mut self) -> Totals {
        self.with_app(|app| app.is_calm = true);
        self.come_to_rest();
        self.resume_all();
        self.come_to_rest();
        if self.live.len() <= 64 {
            self.wait_for_handshakes();
        }
        if self.live.len() <= 16 && self.random.chance(300) {
            self.wait_for(Duration::from_secs(100));
        }
        if self.random.chance(500) {
            for number in self.live.clone() {
                self.have_end(number);
            }
            self.come_to_rest();
        }
        self.stop();
        self.check_ends();
        self.check_memory();
        self.with_app(App::forget);
        let inner = self.inner.take();
        let freed = measure(|| drop(inner));
        let left = self.held + freed.bytes_current;
        assert_eq!(left, 0, "bytes are left of a loop that ended");
        self.totals.connections += self.peers.len() as u64;
        self.totals
    }

    // --- what happens ---

    fn pass_time(&mut self) {
        let next = self.with_loop(|inner| inner.next_timeout());
        let is_due = next.is_some_and(|next| next <= self.now);
        let wait = match self.random.below(1000) {
            // A loop that asks for a turn at once gets it soon.
            _ if is_due => self.random.below(20),
            0 => self.random.below(30_000),
            1..=4 => self.random.below(2_000),
            5..=20 => {
                self.now = self.now.max(next.unwrap_or_default());
                0
            }
            _ => self.random.below(20),
        };
        self.now += Duration::from_millis(wait as u64);
        if next.is_some_and(|next| next + TICK < self.now) {
            self.woke_at = self.now;
        }
    }

    fn open_some(&mut self) {
        let missing = self.plan.connections.saturating_sub(self.live.len());
        let most = 1 + self.plan.connections / 20;
        // Some come later, for those that have gone.
        if missing == 0 || self.peers.len() > 2 * most && !self.random.chance(100) {
            return;
        }
        for _ in 0..missing.min(most) {
            match self.random.chance(200) {
                true => self.open_by_loop(),
                false => self.open_by_peer(),
            }
        }
    }

    fn new_stream(&mut self, number: u32) -> Rc<RefCell<Stream>> {
        let stream = Stream::new(number, &self.net, self.plan.faults, &mut self.random);
        Rc::new(RefCell::new(stream))
    }

    fn open_by_peer(&mut self) {
        let number = self.net.number();
        let stream = self.new_stream(number);
        self.with_app(|app| app.of(number).state = State::Unknown);
        let wire = Wire::new(&stream);
        let config = &self.plan.config;
        let (max_connections, max_memory) = (config.max_connections, config.max_memory);
        let (connections, held) = self.with_loop(|inner| {
            let held = inner.remote().metrics().held_bytes as usize;
            (inner.lend().connections(), held)
        });
        let key = self.with_loop(|inner| inner.admit(wire));
        stream.borrow_mut().key = key;
        if key.is_some() {
            assert!(
                connections < max_connections,
                "one more than {connections} connections is admitted"
            );
            assert!(
                held <= max_memory / 4 * 3,
                "a connection is admitted while {held} bytes of {max_memory} are held"
            );
            self.check_address(&stream);
        }
        let peer = ModelPeer::client(stream, &mut self.shared);
        self.add(peer);
    }

    /// One address has no more connections than it may.
    fn check_address(&self, stream: &Rc<RefCell<Stream>>) {
        let address = stream.borrow().address();
        let is_there = |peer: &&ModelPeer| {
            let stream = peer.stream.borrow();
            let is_counted = peer.is_client && stream.key.is_some() && !stream.is_dropped;
            is_counted && stream.address() == address
        };
        let before = self.peers.iter().flatten().filter(is_there).count();
        let most = self.plan.config.max_connections_per_address;
        assert!(
            before < most,
            "one more than {before} connections from {address}"
        );
    }

    fn open_by_loop(&mut self) {
        let mut asked = None;
        self.with_app(|app| asked = Some(app.connect()));
        let Some((number, connect)) = asked else {
            return;
        };
        let stream = self.new_stream(number);
        let wire = Wire::new(&stream);
        let id = self.with_loop(|inner| inner.lend().connect_over(wire, connect));
        stream.borrow_mut().key = id.map(|id| id.key());
        let peer = ModelPeer::server(stream, &self.shared);
        self.add(peer);
    }

    /// Makes the peers of connections that the loop began by itself.
    fn answer_dialled(&mut self) {
        for stream in self.net.dialled.take() {
            let number = stream.borrow().number;
            // Keys are given again, so there are no more than connections ever were.
            let keys = number as usize + 1;
            let key = self.with_loop(|inner| {
                (0..keys).find(|&key| {
                    let wire = inner.transport(key);
                    wire.is_some_and(|wire| wire.number() == number)
                })
            });
            assert!(
                key.is_some() || stream.borrow().is_dropped,
                "it is somewhere"
            );
            stream.borrow_mut().key = key;
            let peer = ModelPeer::server(stream, &self.shared);
            self.add(peer);
        }
    }

    fn add(&mut self, mut peer: ModelPeer) {
        if self.random.chance(self.plan.wrongs) {
            peer.mood = Mood::Silent;
        }
        if self.random.chance(self.plan.wrongs) {
            peer.exaggerate(&mut self.shared);
        }
        let number = peer.number as usize;
        if self.peers.len() <= number {
            self.peers.resize_with(number + 1, || None);
        }
        self.live.push(peer.number);
        self.peers[number] = Some(peer);
    }

    /// Lets a peer do something, or nothing.
    fn have_act(&mut self, number: u32) {
        let Some(peer) = &mut self.peers[number as usize] else {
            return;
        };
        let random = &mut self.random;
        if peer.stream.borrow().is_connecting() {
            match random.below(20) {
                0 => peer.vanish(),
                1..=8 => peer.stream.borrow_mut().accept(),
                _ => {}
            }
        }
        if random.chance(self.plan.wrongs) {
            match random.below(8) {
                0 => peer.be_wrong(&mut self.shared),
                1 => peer.vanish(),
                2 => peer.end(),
                3 => peer.mood = Mood::Deaf,
                4 => peer.mood = Mood::Silent,
                5 => peer.dawdle(),
                6 => peer.flood(&self.shared),
                _ => peer.close(),
            }
        }
        match peer.mood {
            Mood::Normal if random.chance(10) => peer.mood = Mood::Stalled,
            Mood::Stalled if random.chance(100) => peer.mood = Mood::Normal,
            _ => {}
        }
        match random.below(100) {
            0..60 => {
                for _ in 0..random.choose(&[1, 1, 2, 10]) {
                    peer.send(&mut self.shared);
                }
            }
            60..63 => peer.ping(),
            63 if random.chance(200) => peer.close(),
            _ => {}
        }
        let [push, pull] = [(); 2].map(|()| random.choose(&[1, 100, 10_000, usize::MAX]));
        peer.push(push);
        self.pull(number, pull);
    }

    fn pull(&mut self, number: u32, most: usize) {
        let Some(peer) = &mut self.peers[number as usize] else {
            return;
        };
        peer.pull(most, &mut self.shared, &mut self.seen);
        self.judge(number);
    }

    fn have_end(&mut self, number: u32) {
        if let Some(peer) = &mut self.peers[number as usize] {
            match self.random.below(4) {
                0 => peer.end(),
                1 => peer.vanish(),
                _ => peer.close(),
            }
        }
    }

    /// Asks something of the loop from elsewhere.
    fn ask_of_remote(&mut self) {
        let random = &mut self.random;
        if !random.chance(150) || self.peers.is_empty() {
            return;
        }
        let number = random.below(self.peers.len()) as u32;
        let what = random.below(40);
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut held = 0;
        let remote = inner.remote();
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        let Some(id) = app.of(number).id else {
            return;
        };
        self.was_woken.store(false, Ordering::Relaxed);
        let measured = measure(|| {
            let asked = match what {
                0 => remote.with_peer(id, move |app, peer| app.close(peer, number)),
                1 => remote.with_peer(id, |_, peer| peer.abort()),
                2 | 3 => remote.with_peer(id, move |app, peer| {
                    app.of(number).is_paused = true;
                    peer.pause();
                }),
                4..=9 => remote.with_peer(id, move |app, peer| app.resume(peer, number)),
                10..=14 => remote.broadcast(&app.publication(EVERYBODY, None)),
                15..=25 => {
                    let topic = 1 + what % (TOPICS - 1);
                    remote.publish(App::<CHUNKS>::topic(topic), &app.publication(topic, None))
                }
                _ => remote.with_peer(id, move |app, peer| app.send(peer, number)),
            };
            asked.expect("it is woken");
        });
        held += measured.bytes_current;
        self.held += held;
        assert!(
            self.was_woken.load(Ordering::Relaxed),
            "nobody wakes the loop"
        );
    }

    /// Gives the loop a turn, in which `prompt` of a thousand changes reach it.
    fn turn(&mut self, prompt: usize) {
        let now = self.now;
        self.net.now.set(now);
        self.with_app(|app| {
            app.now = now;
            app.turn += 1;
        });
        self.with_loop(|inner| inner.start_turn(now));
        let mut edges = self.net.edges.take();
        self.random.shuffle(&mut edges);
        for number in edges {
            let stream = &self.peers[number as usize].as_ref().expect("a peer").stream;
            let key = stream.borrow().key;
            if !self.random.chance(prompt) {
                self.net.edges.borrow_mut().push(number);
            } else if let Some(key) = key
                && !stream.borrow().is_dropped
            {
                let ready = stream.borrow_mut().take_ready();
                self.with_loop(|inner| inner.wake(key, ready));
            }
        }
        if self.random.chance(100) {
            self.wake_without_cause();
        }
        self.goes_on = self.with_loop(|inner| inner.finish_turn());
        let connections = self.with_loop(|inner| inner.lend().connections());
        self.most = self.most.max(connections);
        self.answer_dialled();
        self.judge_ends();
        self.totals.turns += 1;
    }

    /// As a poll does for a key that another connection had before.
    fn wake_without_cause(&mut self) {
        let key = self.random.below(self.most + 2);
        let mut flag = || self.random.chance(500);
        let ready = Ready {
            readable: flag(),
            writable: flag(),
            read_closed: flag(),
        };
        self.with_loop(|inner| inner.wake(key, ready));
    }

    /// Lets everybody go on until nobody can.
    fn come_to_rest(&mut self) {
        let mut idle = 0;
        for _ in 0..ROUNDS {
            let before = self.net.progress.get();
            for at in 0..self.live.len() {
                let number = self.live[at];
                if let Some(peer) = &mut self.peers[number as usize] {
                    if peer.mood == Mood::Stalled {
                        peer.mood = Mood::Normal;
                    }
                    peer.push(usize::MAX);
                    self.pull(number, usize::MAX);
                }
            }
            self.turn(1000);
            let next = self.with_loop(|inner| inner.next_timeout());
            let is_due = next.is_some_and(|next| next <= self.now) && self.goes_on;
            let is_idle = self.net.progress.get() == before && self.net.edges.borrow().is_empty();
            match (is_idle, is_due) {
                (true, false) => {
                    self.live.retain(|number| {
                        let peer = self.peers[*number as usize].as_ref();
                        peer.is_some_and(|peer| !peer.is_over())
                    });
                    return self.check_rest();
                }
                (true, true) => idle += 1,
                _ => idle = 0,
            }
            assert!(
                idle < IDLE_TURNS,
                "the loop spins: {next:?} at {:?}",
                self.now
            );
        }
        let busy = self.net.edges.borrow().first().copied();
        let busy = busy.map(|number| &self.peers[number as usize]);
        panic!("it does not come to rest: {busy:#?}");
    }

    fn resume_all(&mut self) {
        for number in 0..self.peers.len() as u32 {
            self.with_loop(|inner| {
                let mut lent = inner.lend();
                if let Some(id) = lent.handler_mut().of(number).id {
                    let _ = lent.with_peer(id, |app, peer| app.resume(peer, number));
                }
            });
        }
    }

    /// Nobody may be left that has not asked, or not been answered, in time.
    fn wait_for_handshakes(&mut self) {
        let mut open = self.live.clone();
        self.wait_for(self.plan.config.handshake_timeout + 2 * TICK);
        // One that was refused for being late is given some time to read so.
        self.wait_for(self.plan.config.close_timeout + 2 * TICK);
        let Some(inner) = &mut self.inner else {
            return;
        };
        open.retain(|number| {
            let state = inner.lend().handler_mut().of(*number).state;
            let peer = self.peers[*number as usize].as_ref();
            matches!(state, State::Unknown | State::Connecting)
                && peer.is_some_and(|peer| !peer.stream.borrow().is_dropped)
        });
        assert_eq!(open, [], "these opening handshakes go on for ever");
    }

    fn wait_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.jump(until);
        }
    }

    /// Lets the time go by until the loop asks for a turn.
    fn jump(&mut self, until: Duration) {
        let next = self.with_loop(|inner| inner.next_timeout());
        let next = next.unwrap_or(until).min(until);
        assert!(
            next > self.now,
            "a turn at {next:?} is overdue at {:?}",
            self.now
        );
        self.now = next;
        self.come_to_rest();
    }

    fn stop(&mut self) {
        let random = &mut self.random;
        let drains = random.chance(500);
        let over = Duration::from_millis(random.below(5000) as u64);
        let until = over + Duration::from_millis(random.below(5000) as u64);
        let stopped = self.with_loop(|inner| match drains {
            true => inner.remote().drain(&Drain::new(over, until)),
            false => inner.remote().stop(),
        });
        stopped.expect("it is woken");
        let wait = match drains {
            true => until,
            false => self.plan.config.close_timeout,
        };
        self.stop_by = Some(self.now + wait);
        let deadline = self.now + wait + 2 * TICK;
        self.turn(1000);
        // Until they are told, connections are served as ever.
        for _ in 0..self.random.below(50) {
            if drains && self.goes_on {
                self.step();
            }
        }
        self.come_to_rest();
        while self.goes_on {
            assert!(self.now < deadline, "the loop does not stop in time");
            let next = self.with_loop(|inner| inner.next_timeout());
            self.now = next
                .expect("a loop that stops has a deadline")
                .max(self.now);
            self.come_to_rest();
        }
        if self.random.chance(500) {
            let stream = self.new_stream(u32::MAX);
            let late = self.with_loop(|inner| inner.admit(Wire::new(&stream)));
            assert_eq!(late, None, "admitted after the end");
        }
    }

    // --- what has to hold ---

    /// Looks at what a peer has just seen.
    fn judge(&mut self, number: u32) {
        if self.seen.is_empty() {
            return;
        }
        let shed = self.with_loop(|inner| inner.remote().metrics().dropped_over_memory);
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        for seen in self.seen.drain(..) {
            match seen {
                Seen::Published {
                    topic,
                    before,
                    number: published,
                } => {
                    let publication = app.published[topic][published as usize];
                    assert!(
                        publication.except != Some(number),
                        "connection {number} gets its own publication"
                    );
                    assert!(
                        app.of(number).may_hear(topic, publication.turn),
                        "connection {number} did not subscribe to topic {topic}, and gets \
                         message {published}"
                    );
                    let from = before.map_or(0, |before| before + 1);
                    if let Some(missed) = missed(app, number, topic, from..published) {
                        self.missed.get_or_insert(missed);
                    }
                }
                Seen::Close => {
                    let peer = self.peers[number as usize].as_ref();
                    let heard = peer.and_then(ModelPeer::talk).map(Talk::heard);
                    let sent = app.of(number).said();
                    let is_exact = !self.plan.is_lossy();
                    assert!(
                        !is_exact || heard == Some(sent),
                        "connection {number} is closed after {heard:?} messages of {sent:?}"
                    );
                }
                Seen::Echo {
                    number: echoed,
                    direct,
                } => {
                    let is_in_place = app.of(number).echoes.contains(&(echoed, direct));
                    assert!(
                        is_in_place || self.plan.is_lossy(),
                        "message {echoed} comes back to peer {number} after {direct} others"
                    );
                }
                Seen::End => {
                    let peer = self.peers[number as usize].as_ref().expect("a peer");
                    let until = app.of(number).closed_at + self.plan.config.close_timeout;
                    let until = until.min(self.stop_by.unwrap_or(until));
                    let stream = peer.stream.borrow();
                    let is_early = stream.ended_at.is_some_and(|at| at < until)
                        && !stream.is_torn
                        && !stream.is_reset()
                        && !app.of(number).is_aborted
                        && shed == 0;
                    let Some(talk) = peer.talk().filter(|_| is_early) else {
                        continue;
                    };
                    let is_whole = match app.of(number).end {
                        Some(End::Close | End::Protocol) => talk.is_close_received,
                        Some(End::Lost) => {
                            self.plan.is_lossy() || talk.heard() == app.of(number).said()
                        }
                        _ => true,
                    };
                    let connection = app.of(number);
                    assert!(
                        is_whole,
                        "connection {number} is cut off: closed at {:?} by {:?}, ended at {:?}, \
                         not {until:?}, after {:?} of {:?}",
                        connection.closed_at,
                        connection.end,
                        stream.ended_at,
                        talk.heard(),
                        connection.said(),
                    );
                }
            }
        }
    }

    /// Looks at connections that the application was told the end of.
    fn judge_ends(&mut self) {
        let mut closed = Vec::new();
        self.with_app(|app| opt_out(|| closed = app.take_closed()));
        for (number, end, received) in closed {
            let peer = self.peers[number as usize].as_ref().expect("a peer");
            let Some(talk) = peer.talk() else {
                let is_expected = match end {
                    Some(End::Lost) => peer.is_ending(),
                    end => matches!(end, Some(End::Other | End::Unanswered)),
                };
                assert!(
                    is_expected,
                    "connection {number} ended by {end:?}, unknown to its peer"
                );
                continue;
            };
            let (sent, is_expected) = match end {
                Some(End::Close) => (talk.sent, talk.is_close_sent()),
                Some(End::Lost) => (talk.sent, peer.is_ending()),
                Some(End::Protocol) => (talk.sent, peer.is_wrong),
                Some(End::Unanswered) => {
                    let stream = peer.stream.borrow();
                    let is_told = talk.is_close_received
                        || peer.mood != Mood::Normal
                        || stream.is_busy()
                        || stream.is_torn
                        || self.stop_by.is_none();
                    assert!(
                        is_told,
                        "connection {number} was not told of the drain\n{}",
                        peer.sketch()
                    );
                    continue;
                }
                _ => continue,
            };
            assert!(
                is_expected,
                "connection {number} ended by {end:?} of nobody's"
            );
            assert_eq!(
                received, sent,
                "messages of connection {number}, which ended by {end:?}"
            );
        }
    }

    /// Nothing is left to do for anybody.
    fn check_rest(&mut self) {
        let (refused, dropped) = self.with_loop(|inner| {
            let metrics = inner.remote().metrics();
            (metrics.refused, metrics.dropped)
        });
        let (now, woke_at, plan) = (self.now, self.woke_at, Rc::clone(&self.plan));
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        let is_strict =
            refused == app.refused && dropped == 0 && !app.is_lenient && !plan.is_lossy();
        for number in self.live.iter().copied() {
            let peer = self.peers[number as usize].as_mut().expect("a peer");
            if peer.has_sent_all() && peer.stream.borrow().inbound.bytes.is_empty() {
                peer.note_all_read(now);
            }
            let peer = &*peer;
            let published_in = app.published_in;
            let connection = app.of(number);
            let stream = peer.stream.borrow();
            if connection.state == State::Open
                && let Some(timer) = connection.timer
            {
                assert!(
                    now < timer + 3 * TICK,
                    "a timer for {timer:?} is late at {now:?}"
                );
            }
            // A drain has a deadline of its own, for all that is not over by then.
            let late = match self.stop_by {
                None => plan.overdue(connection, &stream, now, woke_at, peer.dawdles_since),
                Some(_) => None,
            };
            assert!(
                late.is_none(),
                "connection {number} is overdue at {now:?}: {late:?}
{connection:#?}
{}",
                peer.sketch()
            );
            if peer.mood != Mood::Normal || connection.is_paused || stream.is_connecting() {
                continue;
            }
            let say = |what: &str| {
                let peer = peer.sketch();
                format!("connection {number} is stuck: {what}\n{connection:#?}\n{peer}")
            };
            assert!(peer.has_sent_all(), "{}", say("the loop does not read"));
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
            match connection.state {
                State::Closed | State::Failed => assert!(
                    peer.is_over() || !stream.outbound.is_ended,
                    "{}",
                    say("its end was not seen")
                ),
                State::Unknown | State::Connecting => {
                    assert!(
                        !peer.is_ending() || stream.is_dropped,
                        "{}",
                        say("nobody opens it")
                    );
                    assert!(stream.outbound.is_ended, "{}", say("it does not open"));
                }
                State::Open => {
                    let talk = peer.talk().expect("open on both sides");
                    assert!(!talk.is_close_sent(), "{}", say("the Close was not seen"));
                    assert!(!peer.is_ending(), "{}", say("the end was not seen"));
                    assert!(!peer.is_wrong, "{}", say("it gets away with it"));
                    assert!(!connection.is_too_slow, "{}", say("it is too slow"));
                    // The newest of all that was sent is not dropped.
                    if connection.sent_in > connection.echoed_in.max(published_in + 2) {
                        let newest = talk.heard.last_direct;
                        assert_eq!(
                            newest,
                            connection.sent.checked_sub(1),
                            "{}",
                            say("the newest message")
                        );
                    }
                    assert_eq!(
                        connection.received,
                        talk.sent,
                        "{}",
                        say("to the application")
                    );
                    assert_eq!(
                        talk.pong,
                        talk.pings,
                        "{}",
                        say("no Pong for the last Ping")
                    );
                    if !plan.is_lossy() && !app.of(number).has_tail() {
                        let said = app.of(number).said();
                        assert_eq!(talk.heard(), said, "messages to peer {number}");
                    }
                    if is_strict {
                        for topic in 0..TOPICS {
                            let from = talk.heard.topics[topic].map_or(0, |last| last + 1);
                            let to = app.published[topic].len() as u32;
                            let missed = missed(app, number, topic, from..to);
                            assert_eq!(missed, None);
                        }
                    }
                }
            }
        }
        if is_strict && let Some(missed) = &self.missed {
            panic!("{missed}");
        }
        self.totals.rests += 1;
    }

    /// Every connection that was opened has closed, once.
    fn check_ends(&mut self) {
        let mut totals = self.totals;
        self.with_app(|app| {
            for (number, connection) in app.connections.iter().enumerate() {
                let is_over = !matches!(connection.state, State::Open | State::Connecting);
                assert!(is_over, "nobody was told the end of connection {number}");
                totals.messages += u64::from(connection.received) + u64::from(connection.sent);
            }
        });
        self.totals = totals;
        let connections = self.with_loop(|inner| inner.lend().connections());
        // A loop that stops does not wait for those that read the rest slowly.
        self.totals.left += connections as u64;
        for peer in self.peers.iter().flatten() {
            let mut stream = peer.stream.borrow_mut();
            stream.inbound.bytes.clear();
        }
    }

    /// The loop holds what it was told to, and what is on its way.
    fn check_memory(&mut self) {
        let config = &self.plan.config;
        // The buffers of the loop, its codecs, and what vectors have grown to.
        let mut most = 3 * config.read_buffer + config.gather_buffers + 1024 * 1024;
        if self.plan.longest > 20_000 {
            most += 2 * 1024 * 1024;
        }
        if self.plan.offers_deflate {
            most += 5 * 512 * 1024;
        }
        most += 4 * 1024 * self.most;
        let message = 2 * self.plan.longest + 200;
        let mut limit = most + config.max_memory + message;
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        for number in self.live.iter().copied() {
            let peer = self.peers[number as usize].as_ref().expect("a peer");
            let Some(talk) = peer.talk() else {
                continue;
            };
            let stream = peer.stream.borrow();
            let received = app.of(number).received_bytes;
            let unread = (talk.sent_bytes - received) as usize;
            // What is read may wait parsed or unparsed, in a vector that doubles.
            most += 2 * unread.min(2 * message + config.read_buffer);
            if stream.is_full() {
                most += 2 * (config.max_backpressure + message + 8 * 1024);
            }
            // What the peer may refer to.
            let history = 33 * 1024 * usize::from(talk.is_compressed());
            most += history;
            limit += history;
        }
        let most = most.min(limit);
        assert!(
            self.held <= most as i64,
            "the loop holds {} bytes; {most} would do for {} connections",
            self.held,
            self.live.len()
        );
        self.totals.most_held = self.totals.most_held.max(self.held as u64);
    }

    // --- the loop ---

    /// Does something with the loop, and counts what it allocates.
    fn with_loop<R>(&mut self, act: impl FnOnce(&mut EventLoop<App<CHUNKS>, Wire>) -> R) -> R {
        let inner = self.inner.as_mut().expect("it has not ended");
        let mut result = None;
        let measured = measure(|| result = Some(act(inner)));
        self.held += measured.bytes_current;
        result.expect("it was called")
    }

    fn with_app(&mut self, act: impl FnOnce(&mut App<CHUNKS>)) {
        self.with_loop(|inner| act(inner.lend().handler_mut()));
    }
}

/// Returns what a subscriber has missed of a topic.
fn missed<const CHUNKS: bool>(
    app: &mut App<CHUNKS>,
    number: u32,
    topic: usize,
    numbers: std::ops::Range<u32>,
) -> Option<String> {
    let connection = app.of(number);
    let since = connection.subscribed[topic]?;
    if connection.state != State::Open || connection.closing_at.is_some() {
        return None;
    }
    numbers.into_iter().find_map(|at| {
        let publication = app.published[topic][at as usize];
        // What was asked for in an earlier turn is done; in the same it may come later.
        let is_due = publication.turn > since
            && publication.turn + 1 < app.turn
            && publication.except != Some(number);
        is_due.then(|| {
            format!(
                "connection {number} subscribed to topic {topic} in turn {since} and misses \
                 message {at} of turn {}",
                publication.turn
            )
        })
    })
}
