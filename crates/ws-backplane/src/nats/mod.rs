//! The engine NATS.

pub mod client_protocol;
mod names;
mod opening;
mod presence;
mod publish;
mod read;
mod stream;
mod streams;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use client_protocol::{Message, Operation, parse};
use names::Names;
use opening::{Credentials, Info};
use read::Reading;
use streams::{Look, Prepared};

use crate::{
    Answer, Ask, Engine, EngineError, Epoch, Incoming, Opened, Position, Request, Token,
    engine::{fresh_epoch, random},
};

/// NATS from 2.9 with JetStream: one server, over one connection.
///
/// Each topic is a stream of JetStream, which is made with its first message,
/// numbers the messages, and gives them out as it has numbered them. Topics
/// [without history](Self::without_history) are subjects of core NATS. Every
/// node needs the same prefix, the same topics without history, and the same
/// [`Limits::presence_time`](crate::Limits::presence_time).
///
/// - A message of a stream is forgotten by its own age, and at least one is kept. A stream stays
///   until somebody removes it, however old its messages are: `nats stream rm`.
/// - A topic without history has no numbers that two nodes share. After each outage, and for each
///   client that comes back to another node, what may have been missed is reported as lost.
/// - **Not** supported: nkeys and JWT, clusters of NATS servers and replicas of streams, domains of
///   JetStream.
#[derive(Debug)]
pub struct Nats {
    credentials: Credentials,
    names: Names,
    without_history: Vec<String>,
    in_memory: bool,
    key_time: Duration,
    /// Names this node in presence, and where its answers go.
    node: String,
    link: Link,
}

/// What belongs to one connection.
#[derive(Debug)]
struct Link {
    info: Option<Info>,
    is_open: bool,
    /// The epoch of topics without history.
    epoch: Epoch,
    next: u64,
    /// What answers to our inbox are about.
    asked: HashMap<u64, Asked>,
    /// What each `PONG` ends.
    pongs: VecDeque<Pong>,
    subscriptions: HashMap<u64, Subscription>,
    numbers: HashMap<Arc<str>, u64>,
    prepared: Prepared,
    readings: HashMap<Token, Reading>,
    /// Where own messages of topics without history came.
    own: HashMap<u64, Position>,
    present: HashSet<(Arc<str>, Arc<str>)>,
}

/// What an answer is about.
#[derive(Debug)]
enum Asked {
    Publication(Token, Epoch, Arc<str>),
    Look(Box<Look>),
    Get(Token, u64),
    Entered(Token, Duration),
    PresenceStream(Token),
    Left(Token, Arc<str>, Arc<str>),
    StillThere(Token, Arc<str>, Arc<str>),
    Members(Token, Arc<str>),
}

/// What a `PONG` ends.
#[derive(Debug)]
enum Pong {
    Opening,
    Done(Token),
    /// A publication without history, in this subscription if there is one.
    Published(Token),
    /// A read of a topic without history, of which so many messages had come
    /// when it was asked for.
    Read(Token, u64),
    Refused(Token, String),
}

#[derive(Debug)]
struct Subscription {
    topic: Arc<str>,
    /// The epoch of its messages; unknown before the first read.
    epoch: Epoch,
    /// How many messages came, if there is no history.
    count: u64,
}

const UNKNOWN: Epoch = Epoch::new(0);
const INBOX: u64 = 1;

impl Default for Nats {
    fn default() -> Self {
        Self::new()
    }
}

impl Nats {
    /// Without a password; subjects and streams begin with `ws`. A key of a
    /// publication is known for five minutes, and for no longer than the
    /// message. Streams are files of the server.
    #[must_use]
    pub fn new() -> Self {
        Self {
            credentials: Credentials::None,
            names: Names {
                prefix: "ws".into(),
            },
            without_history: Vec::new(),
            in_memory: false,
            key_time: Duration::from_secs(300),
            node: format!("{:016x}", random()),
            link: Link::new(),
        }
    }

    /// A user and its password. It may publish and subscribe to the subjects
    /// that begin with the prefix, and to `$JS.API.>` and `_INBOX.>`.
    #[must_use]
    pub fn password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Credentials::Password(user.into(), password.into());
        self
    }

    /// A token in place of a user and a password.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(token.into());
        self
    }

    /// What subjects and streams begin with. What is not a letter, a digit, `-`
    /// or `_` is written as in topics: `=` and two hexadecimal digits.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.names.prefix = names::word(prefix);
        self
    }

    /// Topics that begin so are subjects of core NATS: nothing of them is kept,
    /// whatever [`Publish::history`](crate::Publish::history) says. It may be
    /// called for several beginnings.
    #[must_use]
    pub fn without_history(mut self, beginning: impl Into<String>) -> Self {
        self.without_history.push(beginning.into());
        self
    }

    /// Streams are in the memory of the server: with its end they are lost,
    /// which is reported.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// How long a key of a publication is known.
    #[must_use]
    pub fn key_time(mut self, time: Duration) -> Self {
        self.key_time = time;
        self
    }

    fn has_history(&self, topic: &str) -> bool {
        !self
            .without_history
            .iter()
            .any(|beginning| topic.starts_with(&**beginning))
    }

    /// The run of the server that this connection is with.
    fn run(&self) -> &str {
        self.link.info.as_ref().map_or("", |info| &info.run)
    }

    /// Where the answer to something is to go.
    fn inbox(&mut self, asked: Asked) -> String {
        self.link.next += 1;
        self.link.asked.insert(self.link.next, asked);
        format!("_INBOX.{}.{}", self.node, self.link.next)
    }

    /// Asks JetStream for something.
    fn api(&mut self, what: &str, stream: &str, body: &[u8], asked: Asked, out: &mut Vec<u8>) {
        let reply = self.inbox(asked);
        let subject = format!("$JS.API.{what}.{stream}");
        client_protocol::publish(out, &subject, &reply, &[], body);
    }

    /// Asks for a `PONG` behind what was sent.
    fn ping(&mut self, pong: Pong, out: &mut Vec<u8>) {
        self.link.pongs.push_back(pong);
        out.extend_from_slice(b"PING\r\n");
    }

    fn subscribe(&mut self, token: Token, topic: Arc<str>, out: &mut Vec<u8>) {
        self.link.next += 1;
        let number = self.link.next;
        let line = format!("SUB {} {number}\r\n", self.names.live(&topic));
        out.extend_from_slice(line.as_bytes());
        let epoch = match self.has_history(&topic) {
            true => UNKNOWN,
            false => self.link.epoch,
        };
        self.link.numbers.insert(Arc::clone(&topic), number);
        let subscription = Subscription {
            topic,
            epoch,
            count: 0,
        };
        self.link.subscriptions.insert(number, subscription);
        self.ping(Pong::Done(token), out);
    }

    fn unsubscribe(&mut self, token: Token, topic: &str, out: &mut Vec<u8>) {
        if let Some(number) = self.link.numbers.remove(topic) {
            self.link.subscriptions.remove(&number);
            out.extend_from_slice(format!("UNSUB {number}\r\n").as_bytes());
        }
        self.ping(Pong::Done(token), out);
    }

    fn take_pong(&mut self, answers: &mut dyn FnMut(Answer<'_>)) -> Result<(), EngineError> {
        match self.link.pongs.pop_front() {
            None => return Err(EngineError::Protocol("a PONG that nothing asked for")),
            Some(Pong::Opening) => self.link.is_open = true,
            Some(Pong::Done(token)) => answers(Answer::Done(token)),
            Some(Pong::Published(token)) => {
                let own = self.link.own.remove(&token.number());
                let position = own.unwrap_or_else(|| Position::new(self.link.epoch, 0));
                answers(Answer::Published(token, position));
            }
            // What came since is held for this answer, and follows on it.
            Some(Pong::Read(token, count)) => {
                let top = Position::new(self.link.epoch, count);
                answers(Answer::Read(token, read::nothing(top)));
            }
            Some(Pong::Refused(token, words)) => answers(Answer::Refused(token, words)),
        }
        Ok(())
    }

    fn take_message(
        &mut self,
        message: &Message<'_>,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(), EngineError> {
        if message.subscription != INBOX {
            self.take_live(message, answers);
            return Ok(());
        }
        let number = message
            .subject
            .rsplit('.')
            .next()
            .and_then(|word| word.parse().ok());
        let asked = number.and_then(|number: u64| self.link.asked.remove(&number));
        match asked.ok_or(EngineError::Protocol("an answer that nothing asked for"))? {
            Asked::Publication(token, epoch, topic) => {
                self.published(token, epoch, &topic, message, answers);
            }
            Asked::Look(look) => self.looked(*look, message, out, answers),
            Asked::Get(token, offset) => self.got(token, offset, message, out, answers),
            Asked::Entered(token, time) => self.entered(token, time, message, out, answers),
            Asked::PresenceStream(token) => presence::stream_made(token, message, answers),
            Asked::Left(token, topic, member) => self.left(token, topic, member, out),
            Asked::StillThere(token, topic, member) => {
                self.still_there(token, &topic, &member, message, out, answers);
            }
            Asked::Members(token, topic) => self.members_are(token, &topic, message, answers),
        }
        Ok(())
    }

    /// A message of a topic, or that somebody has joined or left.
    fn take_live(&mut self, message: &Message<'_>, answers: &mut dyn FnMut(Answer<'_>)) {
        let link = &mut self.link;
        let Some(subscription) = link.subscriptions.get_mut(&message.subscription) else {
            return;
        };
        let (mut origin, mut sequence, mut event, mut publication) = (0, None, None, None);
        for (name, value) in message.headers.iter() {
            match name {
                publish::ORIGIN => origin = value.parse().unwrap_or(0),
                publish::PUBLICATION => publication = value.split_once('.'),
                presence::EVENT => event = Some(value),
                "Nats-Sequence" => sequence = value.parse::<u64>().ok(),
                _ => {}
            }
        }
        let topic = &*subscription.topic;
        if let Some(event) = event {
            match (event, std::str::from_utf8(message.payload)) {
                ("join", Ok(member)) => answers(Answer::Joined(topic, member)),
                ("leave", Ok(member)) => answers(Answer::Left(topic, member)),
                _ => {}
            }
            return;
        }
        let offset = match sequence {
            _ if subscription.epoch == link.epoch => {
                subscription.count += 1;
                subscription.count
            }
            // Others may use the subject, too.
            None | Some(0) => return,
            Some(sequence) => sequence,
        };
        let position = Position::new(subscription.epoch, offset);
        let own = publication.filter(|(node, _)| *node == self.node);
        if let Some(number) = own.and_then(|(_, number)| number.parse().ok()) {
            link.own.insert(number, position);
        }
        answers(Answer::Message(Incoming {
            topic,
            position,
            previous: offset - 1,
            origin,
            payload: message.payload,
        }));
    }

    /// What was read says which epoch the messages of a topic are in.
    fn note_epoch(&mut self, topic: &str, epoch: Epoch) {
        let number = self.link.numbers.get(topic);
        if let Some(number) = number
            && let Some(subscription) = self.link.subscriptions.get_mut(number)
        {
            subscription.epoch = epoch;
        }
    }
}

impl Link {
    fn new() -> Self {
        Self {
            info: None,
            is_open: false,
            epoch: fresh_epoch(),
            next: INBOX,
            asked: HashMap::new(),
            pongs: VecDeque::new(),
            subscriptions: HashMap::new(),
            numbers: HashMap::new(),
            prepared: Prepared::default(),
            readings: HashMap::new(),
            own: HashMap::new(),
            present: HashSet::new(),
        }
    }
}

impl Engine for Nats {
    fn open(&mut self, _: Instant, _: &mut Vec<u8>) {
        // The server has the first word.
        self.link = Link::new();
    }

    fn ask(&mut self, _: Instant, request: Request, out: &mut Vec<u8>) {
        let Request { token, topic, what } = request;
        match what {
            Ask::Subscribe => self.subscribe(token, topic, out),
            Ask::Unsubscribe => self.unsubscribe(token, &topic, out),
            Ask::Publish {
                payload,
                history,
                key,
                origin,
            } => {
                let publication = publish::Publication {
                    token,
                    payload,
                    history,
                    key,
                    origin,
                };
                self.publish(topic, publication, out);
            }
            Ask::Read { .. } if !self.has_history(&topic) => {
                let number = self.link.numbers.get(&topic);
                let subscription = number.and_then(|number| self.link.subscriptions.get(number));
                let count = subscription.map_or(0, |subscription| subscription.count);
                self.ping(Pong::Read(token, count), out);
            }
            Ask::Read { after, most, bytes } => {
                let wanted = read::Wanted {
                    token,
                    after,
                    most,
                    bytes,
                };
                self.look(Look::read(topic, wanted), out);
            }
            Ask::Enter { members, time } => self.enter(token, &topic, members, time, out),
            Ask::Leave { member } => self.leave(token, topic, member, out),
            Ask::Members => self.members(token, topic, out),
        }
    }

    fn receive(
        &mut self,
        _: Instant,
        input: &[u8],
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(usize, Opened), EngineError> {
        let mut used = 0;
        while let Some((operation, length)) = parse(&input[used..])? {
            match operation {
                Operation::Info(info) => self.take_info(info, out)?,
                Operation::Message(message) => self.take_message(&message, out, answers)?,
                Operation::Ping => out.extend_from_slice(b"PONG\r\n"),
                Operation::Pong => self.take_pong(answers)?,
                Operation::Ok => {}
                Operation::Error(words) => return Err(self.failure(words)),
            }
            used += length;
        }
        let opened = match self.link.is_open {
            true => Opened::Yes,
            false => Opened::No,
        };
        Ok((used, opened))
    }
}
