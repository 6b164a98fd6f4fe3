//! The engine Redis.

pub mod resp;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use resp::{Scanner, Value, argument, begin, command, parse};

use crate::{
    Answer, Ask, Engine, EngineError, Epoch, Incoming, Kept, Opened, Page, Position, Request,
    Token,
    engine::{fresh_epoch, random},
};

/// Redis from 6.2, and what is compatible with it, such as Valkey: one server,
/// over one connection in RESP3.
///
/// A script appends, numbers and publishes in one step. A topic is the keys
/// `PREFIX:{TOPIC}:…` and the channel `PREFIX:TOPIC`; the braces keep the keys
/// of a topic on one server should a cluster ever be used. Redis Cluster and
/// Sentinel are **not** supported: nothing asks either where a topic is.
///
/// What is guaranteed depends on the server's persistence as it is set up.
/// Whatever it loses is reported: after each restart the topics are in a new
/// epoch, which goes on where the data of the server ends.
#[derive(Debug)]
pub struct Redis {
    user: String,
    password: Option<Password>,
    prefix: String,
    topic_time: Duration,
    key_time: Duration,
    /// Names this node in presence.
    node: String,
    /// Which run of the server this connection is with.
    run: String,
    scanner: Scanner,
    expected: VecDeque<Expected>,
    scripts: [String; 3],
    /// How many replies there are until the server can be asked.
    opening: usize,
    /// How many loads of scripts are under way.
    loading: usize,
}

struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What the next reply is about.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Hello,
    Info,
    Load(usize),
    Publish(Token),
    Read(Token, Option<u64>),
    Members(Token),
    Presence(Token),
    Subscription(Token),
}

const PUBLISH: usize = 0;
const READ: usize = 1;
const PRESENCE: usize = 2;

const SCRIPTS: [&str; 3] = [
    concat!(include_str!("head.lua"), include_str!("publish.lua")),
    concat!(include_str!("head.lua"), include_str!("read.lua")),
    include_str!("presence.lua"),
];

impl Default for Redis {
    fn default() -> Self {
        Self::new()
    }
}

impl Redis {
    /// Without a password; keys begin with `ws`. A topic that nobody uses is
    /// forgotten after a day, a key of a publication after five minutes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            user: "default".into(),
            password: None,
            prefix: "ws".into(),
            topic_time: Duration::from_secs(24 * 60 * 60),
            key_time: Duration::from_secs(300),
            node: format!("{:016x}", random()),
            run: String::new(),
            scanner: Scanner::default(),
            expected: VecDeque::new(),
            scripts: Default::default(),
            opening: 0,
            loading: 0,
        }
    }

    /// The password of the user `default`.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Password(password.into()));
        self
    }

    /// Another user than `default`. It needs the commands `HELLO`, `INFO`,
    /// `SCRIPT|LOAD`, `EVALSHA`, `SUBSCRIBE`, `UNSUBSCRIBE`, those in the
    /// scripts, and the keys and channels that begin with the prefix.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// What keys and channels begin with, before a colon.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long the numbering of a topic is known that nobody publishes to or
    /// subscribes to. A client that comes back later is told that messages may
    /// be lost.
    #[must_use]
    pub fn topic_time(mut self, time: Duration) -> Self {
        self.topic_time = time;
        self
    }

    /// How long a key of a publication is known.
    #[must_use]
    pub fn key_time(mut self, time: Duration) -> Self {
        self.key_time = time;
        self
    }

    fn load(&mut self, out: &mut Vec<u8>) {
        for (index, script) in SCRIPTS.iter().enumerate() {
            command(out, &[b"SCRIPT", b"LOAD", script.as_bytes()]);
            self.expected.push_back(Expected::Load(index));
            self.loading += 1;
        }
    }

    fn channel(&self, topic: &str) -> String {
        format!("{}:{topic}", self.prefix)
    }

    fn key(&self, topic: &str, part: &str) -> String {
        format!("{}:{{{topic}}}:{part}", self.prefix)
    }

    fn evaluate(&self, script: usize, keys: &[&str], arguments: &[&[u8]], out: &mut Vec<u8>) {
        begin(out, 3 + keys.len() + arguments.len());
        argument(out, b"EVALSHA");
        argument(out, self.scripts[script].as_bytes());
        argument(out, keys.len().to_string().as_bytes());
        for key in keys {
            argument(out, key.as_bytes());
        }
        for word in arguments {
            argument(out, word);
        }
    }

    fn publish(&self, topic: &str, what: &Publication<'_>, out: &mut Vec<u8>) {
        let (meta, history) = (self.key(topic, "m"), self.key(topic, "s"));
        let key = what.key.map(|key| self.key(topic, &format!("k:{key}")));
        let mut keys = vec![&*meta, &*history];
        keys.extend(key.as_deref());
        // A server keeps nothing for no time at all.
        let kept = if what.history.age.is_zero() {
            0
        } else {
            what.history.messages
        };
        let arguments: [&[u8]; 9] = [
            self.run.as_bytes(),
            &fresh_epoch().to_string().into_bytes(),
            &millis(self.topic_time.max(what.history.age)),
            &self.channel(topic).into_bytes(),
            what.payload,
            &kept.to_string().into_bytes(),
            &millis(what.history.age),
            &what.origin.to_string().into_bytes(),
            &millis(self.key_time),
        ];
        self.evaluate(PUBLISH, &keys, &arguments, out);
    }

    fn read(
        &self,
        topic: &str,
        after: Option<u64>,
        (most, bytes): (u32, usize),
        out: &mut Vec<u8>,
    ) {
        let (meta, history) = (self.key(topic, "m"), self.key(topic, "s"));
        let after = after.map_or_else(String::new, |after| after.to_string());
        let arguments: [&[u8]; 6] = [
            self.run.as_bytes(),
            &fresh_epoch().to_string().into_bytes(),
            &millis(self.topic_time),
            after.as_bytes(),
            &most.to_string().into_bytes(),
            &bytes.to_string().into_bytes(),
        ];
        self.evaluate(READ, &[&meta, &history], &arguments, out);
    }

    fn presence(
        &self,
        topic: &str,
        (what, time): (&str, Duration),
        members: &[Arc<str>],
        out: &mut Vec<u8>,
    ) {
        let (until, counts) = (self.key(topic, "p"), self.key(topic, "c"));
        let (channel, time) = (self.channel(topic), millis(time));
        let mut arguments: Vec<&[u8]> = vec![
            channel.as_bytes(),
            what.as_bytes(),
            &time,
            self.node.as_bytes(),
        ];
        arguments.extend(members.iter().map(|member| member.as_bytes()));
        self.evaluate(PRESENCE, &[&until, &counts], &arguments, out);
    }

    fn take(
        &mut self,
        reply: &[u8],
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(), EngineError> {
        let value = parse(reply)?;
        if let Value::Push(values) = &value {
            return self.take_push(values, answers);
        }
        let expected = self.expected.pop_front().ok_or(UNASKED)?;
        match (expected, value) {
            (Expected::Hello | Expected::Info | Expected::Load(_), Value::Error(words)) => {
                return Err(EngineError::Refused(text(words)));
            }
            (Expected::Hello, _) => self.opening -= 1,
            (Expected::Info, Value::Text(info)) => {
                self.run = run_of(info)?;
                self.opening -= 1;
            }
            (Expected::Load(index), Value::Text(digest)) => {
                self.scripts[index] = text(digest);
                self.loading -= 1;
            }
            (expected, Value::Error(words)) => {
                let token = expected.token().ok_or(UNASKED)?;
                if !words.starts_with(b"NOSCRIPT") {
                    answers(Answer::Refused(token, text(words)));
                } else {
                    if self.loading == 0 {
                        self.load(out);
                    }
                    answers(Answer::Again(token));
                }
            }
            (Expected::Publish(token), Value::Text(position)) => {
                let position = std::str::from_utf8(position).ok();
                let position = position.and_then(|position| position.parse().ok());
                answers(Answer::Published(token, position.ok_or(BAD_REPLY)?));
            }
            (Expected::Read(token, after), Value::Array(values)) => {
                answers(Answer::Read(token, page(&values, after).ok_or(BAD_REPLY)?));
            }
            (Expected::Members(token), Value::Array(values)) => {
                let members = values.iter().filter_map(as_str).map(Arc::from);
                answers(Answer::Members(token, members.collect()));
            }
            (Expected::Presence(token), _) => answers(Answer::Done(token)),
            _ => return Err(BAD_REPLY),
        }
        Ok(())
    }

    fn take_push(
        &mut self,
        values: &[Value<'_>],
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(), EngineError> {
        match values {
            [Value::Text(b"message"), channel, Value::Text(payload)] => {
                let topic = as_str(channel)
                    .and_then(|channel| channel.strip_prefix(&*self.prefix)?.strip_prefix(':'));
                // Others may use the channel, too.
                if let Some(answer) = topic.and_then(|topic| message(topic, payload)) {
                    answers(answer);
                }
            }
            [Value::Text(b"subscribe" | b"unsubscribe"), ..] => {
                let Some(Expected::Subscription(token)) = self.expected.pop_front() else {
                    return Err(UNASKED);
                };
                answers(Answer::Done(token));
            }
            _ => {}
        }
        Ok(())
    }

    fn opened(&self) -> Opened {
        match self.opening == 0 && !self.scripts[PRESENCE].is_empty() {
            true => Opened::Yes,
            false => Opened::No,
        }
    }
}

struct Publication<'a> {
    payload: &'a [u8],
    history: crate::History,
    key: Option<&'a str>,
    origin: u64,
}

impl Engine for Redis {
    fn open(&mut self, _: Instant, out: &mut Vec<u8>) {
        self.scanner = Scanner::default();
        self.expected.clear();
        self.scripts = Default::default();
        self.loading = 0;
        self.opening = 2;
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(Password(password)) = &self.password {
            hello.extend([b"AUTH", self.user.as_bytes(), password.as_bytes()]);
        }
        hello.extend([&b"SETNAME"[..], b"ws-backplane"]);
        command(out, &hello);
        command(out, &[b"INFO", b"server"]);
        self.expected.extend([Expected::Hello, Expected::Info]);
        self.load(out);
    }

    fn ask(&mut self, _: Instant, request: Request, out: &mut Vec<u8>) {
        let Request { token, topic, what } = request;
        let expected = match what {
            Ask::Subscribe => {
                command(out, &[b"SUBSCRIBE", self.channel(&topic).as_bytes()]);
                Expected::Subscription(token)
            }
            Ask::Unsubscribe => {
                command(out, &[b"UNSUBSCRIBE", self.channel(&topic).as_bytes()]);
                Expected::Subscription(token)
            }
            Ask::Publish {
                payload,
                history,
                key,
                origin,
            } => {
                let publication = Publication {
                    payload: &payload,
                    history,
                    key: key.as_deref(),
                    origin,
                };
                self.publish(&topic, &publication, out);
                Expected::Publish(token)
            }
            Ask::Read { after, most, bytes } => {
                self.read(&topic, after, (most, bytes), out);
                Expected::Read(token, after)
            }
            Ask::Enter { members, time } => {
                self.presence(&topic, ("enter", time), &members, out);
                Expected::Presence(token)
            }
            Ask::Leave { member } => {
                self.presence(&topic, ("leave", Duration::ZERO), &[member], out);
                Expected::Presence(token)
            }
            Ask::Members => {
                self.presence(&topic, ("members", Duration::ZERO), &[], out);
                Expected::Members(token)
            }
        };
        self.expected.push_back(expected);
    }

    fn receive(
        &mut self,
        _: Instant,
        input: &[u8],
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(usize, Opened), EngineError> {
        let mut used = 0;
        while used < input.len() {
            let Some(length) = self.scanner.scan(&input[used..])? else {
                break;
            };
            self.take(&input[used..used + length], out, answers)?;
            used += length;
        }
        Ok((used, self.opened()))
    }
}

impl Expected {
    fn token(self) -> Option<Token> {
        match self {
            Self::Hello | Self::Info | Self::Load(_) => None,
            Self::Publish(token)
            | Self::Read(token, _)
            | Self::Members(token)
            | Self::Presence(token)
            | Self::Subscription(token) => Some(token),
        }
    }
}

/// What is published in a channel.
fn message<'a>(topic: &'a str, text: &'a [u8]) -> Option<Answer<'a>> {
    let (kind, rest) = text.split_first()?;
    Some(match kind {
        b'm' => {
            let (epoch, rest) = field(rest)?;
            let (offset, rest) = field(rest)?;
            let (origin, payload) = field(rest)?;
            let offset: u64 = offset.parse().ok()?;
            Answer::Message(Incoming {
                topic,
                position: Position::new(epoch.parse().ok()?, offset),
                previous: offset.checked_sub(1)?,
                origin: origin.parse().ok()?,
                payload,
            })
        }
        b'j' => Answer::Joined(topic, std::str::from_utf8(rest).ok()?),
        b'l' => Answer::Left(topic, std::str::from_utf8(rest).ok()?),
        _ => return None,
    })
}

/// The text before the first colon, and what is behind it.
fn field(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().take(24).position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]))
}

/// The reply of the script that reads.
fn page(values: &[Value<'_>], after: Option<u64>) -> Option<Page> {
    let [
        epoch,
        offset,
        inherited,
        shared,
        oldest,
        Value::Array(entries),
    ] = values
    else {
        return None;
    };
    let offset: u64 = as_str(offset)?.parse().ok()?;
    let inherited = match as_str(inherited)? {
        "" => None,
        epoch => Some(Position::new(
            epoch.parse().ok()?,
            as_str(shared)?.parse().ok()?,
        )),
    };
    let oldest = match as_str(oldest)? {
        "" => offset,
        id => offset_of(id)?.checked_sub(1)?,
    };
    let mut messages = Vec::with_capacity(entries.len());
    for entry in entries {
        messages.push(kept(entry)?);
    }
    debug_assert!(after.is_some() || messages.is_empty());
    Some(Page {
        top: Position::new(as_str(epoch)?.parse::<Epoch>().ok()?, offset),
        inherited,
        oldest,
        messages,
    })
}

fn kept(entry: &Value<'_>) -> Option<Kept> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [id, Value::Array(fields)] = &entry[..] else {
        return None;
    };
    let [origin, Value::Text(payload)] = &fields[..] else {
        return None;
    };
    Some(Kept {
        offset: offset_of(as_str(id)?)?,
        origin: as_str(origin)?.parse().ok()?,
        payload: Bytes::copy_from_slice(payload),
    })
}

/// The offset is the first part of an entry's id.
fn offset_of(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok()
}

fn as_str<'a>(value: &Value<'a>) -> Option<&'a str> {
    match value {
        Value::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

fn run_of(info: &[u8]) -> Result<String, EngineError> {
    let info = String::from_utf8_lossy(info);
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    let run = run.ok_or(EngineError::Protocol("`INFO server` has no run_id"))?;
    Ok(run.trim().into())
}

fn text(words: &[u8]) -> String {
    String::from_utf8_lossy(words).into_owned()
}

fn millis(time: Duration) -> Vec<u8> {
    // Longer than a server can count is as good as for ever.
    let most = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    time.min(most).as_millis().to_string().into_bytes()
}

const UNASKED: EngineError = EngineError::Protocol("a reply that nothing asked for");
const BAD_REPLY: EngineError = EngineError::Protocol("a reply of another kind than asked for");
