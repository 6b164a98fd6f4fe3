//! The application: a handler that keeps book of what it was told and what it
//! has sent, and does anything that a handler may do.

mod connection;
mod handler;

use std::{rc::Rc, time::Duration};

use allocation_counter::opt_out;
use ws_handshake::{ClientRequest, Uri};
use ws_mio::{
    Backpressure, CloseCode, Connect, Incoming, Message, Peer, Prepared, Refused, SlowConsumer,
};

pub(crate) use self::connection::{Connection, End, State};
use crate::{
    dialer::Dialer,
    front::Said,
    message::{Name, Row},
    plan::Plan,
    random::Random,
    wire::{Net, address},
};

pub(crate) const TOPICS: usize = 4;
/// What is sent to everybody is published to this one, which nobody leaves.
pub(crate) const EVERYBODY: usize = 0;
const TOPIC_NAMES: [&str; TOPICS] = ["", "news", "weather", "sports"];
/// How many keys there are of messages that take each other's place.
pub(crate) const KEYS: u32 = 4;

/// What the application knows; with `CHUNKS` it takes messages in pieces.
#[derive(Debug)]
pub(crate) struct App<const CHUNKS: bool> {
    pub(crate) connections: Vec<Connection>,
    pub(crate) published: [Vec<Publication>; TOPICS],
    /// Connections that closed since somebody looked.
    closed: Vec<u32>,
    pub(crate) now: Duration,
    /// Counts turns.
    pub(crate) turn: u64,
    /// The turn in which something was last published.
    pub(crate) published_in: u64,
    /// Something was refused to a subscriber for a reason that no counter
    /// tells: in the middle of a message.
    pub(crate) is_lenient: bool,
    /// Messages that were refused to us, or dropped.
    pub(crate) refused: u64,
    /// Nothing unusual is done any more.
    pub(crate) is_calm: bool,
    plan: Rc<Plan>,
    net: Rc<Net>,
    random: Random,
    buffer: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    pub(crate) turn: u64,
    pub(crate) except: Option<u32>,
}

/// The number of a connection, once it is known.
pub(crate) type Data = Option<u32>;

impl<const CHUNKS: bool> App<CHUNKS> {
    pub(crate) fn new(plan: &Rc<Plan>, net: &Rc<Net>, random: &mut Random) -> Self {
        Self {
            connections: Vec::new(),
            published: Default::default(),
            closed: Vec::new(),
            now: Duration::ZERO,
            turn: 0,
            published_in: 0,
            is_lenient: false,
            refused: 0,
            is_calm: false,
            plan: Rc::clone(plan),
            net: Rc::clone(net),
            random: random.fork(),
            // It never grows within a turn.
            buffer: String::with_capacity(plan.longest + 1024),
        }
    }

    /// Lends what is known of a connection.
    pub(crate) fn of(&mut self, number: u32) -> &mut Connection {
        let number = number as usize;
        if number >= self.connections.len() {
            opt_out(|| {
                self.connections
                    .resize_with(number + 1, Connection::default)
            });
        }
        &mut self.connections[number]
    }

    /// Asks for a new connection to a server.
    pub(crate) fn connect(&mut self) -> (u32, Connect<Data>) {
        let number = self.net.number();
        self.of(number).state = State::Connecting;
        let uri = Uri::parse("ws://simulation/").expect("a URI");
        let request = ClientRequest::new(uri);
        let request = match self.plan.offer(&mut self.random) {
            Some(offer) => request.offer(offer),
            None => request,
        };
        (number, Connect::new(request, Some(number)))
    }

    /// A call came for an open connection: which one?
    pub(super) fn called(&mut self, peer: &Peer<'_, Data>, what: &str) -> u32 {
        self.net.note(1);
        let number = peer.data().expect("a connection that was let in");
        let now = self.now;
        let connection = self.of(number);
        connection.active_at = now;
        assert_eq!(
            connection.state,
            State::Open,
            "{what} for connection {number} that is not open"
        );
        assert_eq!(connection.id, Some(peer.id()), "another name");
        number
    }

    pub(super) fn opened(&mut self, peer: &mut Peer<'_, Data>) {
        self.net.note(1);
        let number = peer.data().expect("a connection that was let in");
        let (now, turn) = (self.now, self.turn);
        let connection = self.of(number);
        let expected = match peer.is_server() {
            true => State::Connecting,
            false => State::Unknown,
        };
        assert_eq!(connection.state, expected, "connection {number} opens");
        connection.state = State::Open;
        connection.is_client = !peer.is_server();
        connection.opened_at = now;
        connection.id = Some(peer.id());
        connection.subscribed[EVERYBODY] = Some(turn);
        if self.random.chance(300) {
            self.send(peer, number);
        }
        if self.random.chance(300) {
            self.subscribe(peer, number);
        }
        self.be_moody(peer, number);
    }

    pub(super) fn received(&mut self, peer: &mut Peer<'_, Data>, message: Message<'_>) {
        let number = self.called(peer, "a message");
        let name =
            Name::read(message).unwrap_or_else(|error| panic!("to the application: {error}"));
        let connection = self.of(number);
        let expected = Name {
            row: Row::Peer,
            connection: number,
            number: connection.received,
        };
        assert_eq!(name, expected, "a message to the application");
        connection.received += 1;
        connection.received_bytes += message.len() as u64;
        if self.plan.is_bulky && !self.is_calm && self.random.chance(50) {
            self.of(number).is_paused = true;
            peer.pause();
        }
        if self.random.chance(self.plan.echoes) {
            self.echo(peer, number, name, message);
        }
        if self.random.chance(self.plan.answers) {
            self.send(peer, number);
        }
        if self.random.chance(5) {
            self.publish(peer, number);
        }
        self.be_moody(peer, number);
    }

    /// Sends a message back just as it came.
    fn echo(&mut self, peer: &mut Peer<'_, Data>, number: u32, name: Name, message: Message<'_>) {
        let turn = self.turn;
        // It would be the rest of another.
        if self.of(number).has_tail() {
            return;
        }
        let waiting = match peer.send(message) {
            Backpressure::Sent => 0,
            Backpressure::Queued(waiting) => waiting,
            Backpressure::Refused(Refused::Full(_)) => return self.refused += 1,
            Backpressure::Refused(_) => return,
        };
        self.check_waiting(waiting);
        let connection = self.of(number);
        opt_out(|| connection.echoes.push((name.number, connection.sent)));
        connection.echoed_in = turn;
    }

    /// Sends the next message to a peer, in one of many ways.
    pub(crate) fn send(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        let name = Name {
            row: Row::Direct,
            connection: number,
            number: self.of(number).sent,
        };
        if let Some(tail) = self.of(number).tail.take() {
            let sent = peer.send_fragment(fragment(name, &tail), true);
            return self.note_tail(number, tail, sent);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        name.write(self.plan.len(&mut self.random), &mut buffer);
        let message = name.message(&buffer);
        let sent = match self.random.below(12) {
            _ if self.plan.config.slow_consumer == SlowConsumer::Conflate => {
                peer.send_keyed((name.number % KEYS).into(), message)
            }
            0 => peer.send_prepared(&Prepared::new(message)),
            1 => peer.uncompressed().send(message),
            2 => {
                let kind = message.kind();
                let mut bytes = std::mem::take(&mut buffer).into_bytes();
                let sent = peer.send_in_place(kind, &mut bytes);
                bytes.clear();
                buffer = String::from_utf8(bytes).unwrap_or_default();
                sent
            }
            3 if !self.plan.is_lossy() => {
                let (head, tail) = buffer.split_at(crate::message::HEAD);
                let mut sent = peer.send_fragment(fragment(name, head), false);
                if !matches!(sent, Backpressure::Refused(_)) {
                    sent = peer.send_fragment(fragment(name, tail), true);
                    let mut copy = None;
                    opt_out(|| copy = Some(tail.to_owned()));
                    self.note_tail(number, copy.unwrap_or_default(), sent);
                    self.buffer = buffer;
                    return;
                }
                sent
            }
            _ => peer.send(message),
        };
        self.note_sent(number, sent);
        self.buffer = buffer;
    }

    fn note_sent(&mut self, number: u32, sent: Backpressure) {
        match sent {
            Backpressure::Sent => {}
            Backpressure::Queued(waiting) => self.check_waiting(waiting),
            Backpressure::Refused(refused) => return self.note_refused(number, refused),
        }
        let turn = self.turn;
        let connection = self.of(number);
        connection.sent += 1;
        connection.sent_in = turn;
    }

    fn note_refused(&mut self, number: u32, refused: Refused) {
        if let Refused::Full(_) = refused {
            self.refused += 1;
            let closes = self.plan.config.slow_consumer == SlowConsumer::Close;
            self.of(number).is_too_slow |= closes;
        }
    }

    /// Counts a Ping or a Pong that was let through.
    pub(super) fn note_control(&mut self, number: u32) {
        let second = self.now.as_secs();
        let most = self.plan.config.time_limits.max_control_rate;
        let controls = &mut self.of(number).controls;
        let count = match controls.0 == second {
            true => controls.1 + 1,
            false => 1,
        };
        *controls = (second, count);
        assert!(
            count <= most,
            "{count} control frames in a second of {most}"
        );
    }

    /// A client that a proxy speaks for is who the proxy says, and has no more connections than it
    /// may.
    fn check_client(&self, number: u32, incoming: &Incoming<'_>) {
        let said = Said::of(number);
        let client = said.client(address(number));
        assert_eq!(
            incoming.peer_address(),
            client,
            "the client of connection {number}"
        );
        let Some(ip) = client.ip() else {
            return;
        };
        let is_there = |(other, connection): &(usize, &Connection)| {
            let other = *other as u32;
            connection.state == State::Open
                && connection.is_client
                && Said::of(other).client(address(other)).ip() == Some(ip)
        };
        let open = self.connections.iter().enumerate().filter(is_there).count();
        let most = self.plan.config.max_connections_per_address;
        assert!(open < most, "one more than {open} connections from {ip}");
    }

    fn check_waiting(&self, waiting: usize) {
        let most = self.plan.config.max_backpressure + 2 * self.plan.longest + 64 * 1024;
        assert!(waiting <= most, "{waiting} bytes wait; {most} may");
    }

    fn note_tail(&mut self, number: u32, tail: String, sent: Backpressure) {
        match sent {
            Backpressure::Refused(Refused::Full(_)) => {
                self.is_lenient = true;
                self.of(number).tail = Some(tail);
            }
            _ => opt_out(|| drop(tail)),
        }
        self.note_sent(number, sent);
    }

    fn subscribe(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        let topic = self.random.between(1, TOPICS - 1);
        let turn = self.turn;
        let connection = self.of(number);
        let subscribed = &mut connection.subscribed[topic];
        match subscribed.take() {
            Some(_) => {
                connection.left[topic] = Some(turn);
                peer.unsubscribe(TOPIC_NAMES[topic]);
            }
            None => {
                *subscribed = Some(turn);
                peer.subscribe(TOPIC_NAMES[topic]);
            }
        }
    }

    /// Makes the next message to a topic.
    pub(crate) fn publication(&mut self, topic: usize, except: Option<u32>) -> Prepared {
        let turn = self.turn;
        let name = Name {
            row: Row::Topic,
            connection: topic as u32,
            number: self.published[topic].len() as u32,
        };
        let publication = Publication { turn, except };
        opt_out(|| self.published[topic].push(publication));
        self.published_in = turn;
        let mut buffer = std::mem::take(&mut self.buffer);
        name.write(self.plan.len(&mut self.random).min(3000), &mut buffer);
        let prepared = Prepared::new(name.message(&buffer));
        self.buffer = buffer;
        prepared
    }

    pub(crate) const fn topic(topic: usize) -> &'static str {
        TOPIC_NAMES[topic]
    }

    fn publish(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        match self.random.below(TOPICS) {
            EVERYBODY => peer.broadcast(&self.publication(EVERYBODY, None)),
            topic => {
                let message = self.publication(topic, Some(number));
                peer.publish(TOPIC_NAMES[topic], &message);
            }
        }
    }

    /// Does something that a handler may do, rarely.
    pub(crate) fn be_moody(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        if self.is_calm || !self.random.chance(self.plan.moods) {
            return;
        }
        match self.random.below(12) {
            0 => self.close(peer, number),
            1 => peer.abort(),
            2 => {
                self.of(number).is_paused = true;
                peer.pause();
            }
            3 | 4 => self.subscribe(peer, number),
            5 | 6 => self.set_timer(peer, number),
            7 => {
                let (number, connect) = self.connect();
                peer.connect(Dialer::address(number), connect);
            }
            8 => {
                let other = self.random.below(self.connections.len());
                if let Some(id) = self.connections[other].id {
                    let _ = peer.with_peer(id, |other| {
                        other.ping(b"hello");
                    });
                }
            }
            9 => {
                peer.ping(b"ping");
            }
            10 => self.publish(peer, number),
            _ => {
                for _ in 0..self.random.below(20) {
                    self.send(peer, number);
                }
            }
        }
    }

    pub(crate) fn close(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        if let Backpressure::Refused(_) = peer.close(CloseCode::NORMAL, "that was it") {
            return;
        }
        let now = self.now;
        self.of(number).closing_at.get_or_insert(now);
    }

    fn set_timer(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        let wait = Duration::from_millis(self.random.below(3000) as u64);
        let due = self.now + wait;
        let takes_back = self.random.chance(100);
        let timer = (!takes_back).then_some(wait);
        peer.set_timer(0, timer);
        let turn = self.turn;
        let connection = self.of(number);
        if connection.timer_set_in != turn {
            connection.timer_before = connection.timer;
        }
        connection.timer = timer.map(|_| due);
        connection.timer_set_in = turn;
    }

    /// Returns the connections that closed since this was last asked, why, and
    /// how many messages had come.
    pub(crate) fn take_closed(&mut self) -> Vec<(u32, Option<End>, u32)> {
        let closed = std::mem::take(&mut self.closed).into_iter();
        closed
            .map(|number| {
                let connection = &self.connections[number as usize];
                (number, connection.end, connection.received)
            })
            .collect()
    }

    /// Drops its books, which are not the loop's.
    pub(crate) fn forget(&mut self) {
        opt_out(|| {
            self.connections = Vec::new();
            self.published = Default::default();
        });
    }

    pub(crate) fn resume(&mut self, peer: &mut Peer<'_, Data>, number: u32) {
        let now = self.now;
        let connection = self.of(number);
        connection.is_paused = false;
        connection.active_at = now;
        peer.resume();
    }
}

fn fragment(name: Name, part: &str) -> Message<'_> {
    name.message(part)
}

/// How exact the loop's timers are.
pub(crate) const TICK: Duration = Duration::from_millis(50);
