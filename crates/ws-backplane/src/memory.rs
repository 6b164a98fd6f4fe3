//! The engine of a single process: for one node, and for tests.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    Answer, Ask, Engine, EngineError, Epoch, History, Incoming, Kept, Opened, Page, Position,
    Request, Token, engine::fresh_epoch,
};

/// Topics in the memory of this process. Nodes that are made of it are
/// connected with one another, and with nobody else.
///
/// Nothing is sent: [`handle_bytes`](crate::Backplane::handle_bytes) with no
/// bytes takes what there is. [`on_answer`](MemoryEngine::on_answer) says when.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Broker>>);

impl Memory {
    /// No topics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine of one node.
    #[must_use]
    pub fn engine(&self) -> MemoryEngine {
        let mut broker = self.lock();
        let node = broker.next_node;
        broker.next_node += 1;
        broker.inboxes.insert(node, Inbox::default());
        MemoryEngine {
            memory: self.clone(),
            node,
        }
    }

    /// Forgets all topics, as a server does that is started again without its
    /// data.
    pub fn clear(&self) {
        self.lock().topics.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Broker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The [`Engine`] of one node of [`Memory`].
#[derive(Debug)]
pub struct MemoryEngine {
    memory: Memory,
    node: u64,
}

impl MemoryEngine {
    /// Calls `wake` from now on when there are answers; from any node, so it
    /// must not call this node.
    pub fn on_answer(&self, wake: impl Fn() + Send + 'static) {
        if let Some(inbox) = self.memory.lock().inboxes.get_mut(&self.node) {
            inbox.wake = Some(Box::new(wake));
        }
    }

    /// Whether there are answers to be taken.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        let broker = self.memory.lock();
        let inbox = broker.inboxes.get(&self.node);
        inbox.is_some_and(|inbox| !inbox.answers.is_empty())
    }
}

/// The connection of a node to [`Memory`] as [`run`](crate::run) wants one:
/// nothing is ever read from it, and it wakes its task when there are answers.
#[cfg(feature = "task")]
#[derive(Debug)]
pub struct MemoryStream {
    memory: Memory,
    node: u64,
}

#[cfg(feature = "task")]
impl MemoryEngine {
    /// The connection of this node.
    #[must_use]
    pub fn stream(&self) -> MemoryStream {
        MemoryStream {
            memory: self.memory.clone(),
            node: self.node,
        }
    }
}

#[cfg(feature = "task")]
impl futures_io::AsyncRead for MemoryStream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        _: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let waker = context.waker().clone();
        let mut broker = self.memory.lock();
        let inbox = broker.inbox(self.node);
        if !inbox.answers.is_empty() {
            waker.wake_by_ref();
        }
        inbox.wake = Some(Box::new(move || waker.wake_by_ref()));
        std::task::Poll::Pending
    }
}

#[cfg(feature = "task")]
impl futures_io::AsyncWrite for MemoryStream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_close(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        self.memory.lock().inboxes.remove(&self.node);
    }
}

#[derive(Debug, Default)]
struct Broker {
    topics: HashMap<Arc<str>, Stored>,
    inboxes: HashMap<u64, Inbox>,
    next_node: u64,
}

/// A topic.
#[derive(Debug)]
struct Stored {
    epoch: Epoch,
    offset: u64,
    kept: VecDeque<Kept>,
    forgotten_at: Option<Instant>,
    keys: HashMap<Arc<str>, (Instant, u64)>,
    /// Until when the members are present, by node.
    members: BTreeMap<Arc<str>, HashMap<u64, Instant>>,
}

#[derive(Default)]
struct Inbox {
    answers: VecDeque<Note>,
    topics: HashSet<Arc<str>>,
    wake: Option<Box<dyn Fn() + Send>>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("answers", &self.answers)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// An answer that waits for its node.
#[derive(Clone, Debug)]
enum Note {
    Done(Token),
    Published(Token, Position),
    Read(Token, Page),
    Members(Token, Vec<Arc<str>>),
    Message(Arc<str>, Position, u64, Bytes),
    Joined(Arc<str>, Arc<str>),
    Left(Arc<str>, Arc<str>),
}

impl Engine for MemoryEngine {
    fn open(&mut self, _: Instant, _: &mut Vec<u8>) {
        if let Some(inbox) = self.memory.lock().inboxes.get_mut(&self.node) {
            inbox.answers.clear();
            inbox.topics.clear();
        }
    }

    fn ask(&mut self, now: Instant, request: Request, _: &mut Vec<u8>) {
        self.memory.lock().answer(now, self.node, request);
    }

    fn receive(
        &mut self,
        _: Instant,
        input: &[u8],
        _: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(usize, Opened), EngineError> {
        let mut broker = self.memory.lock();
        let inbox = broker.inboxes.get_mut(&self.node);
        let notes = inbox.map(|inbox| std::mem::take(&mut inbox.answers));
        drop(broker);
        for note in notes.into_iter().flatten() {
            note.tell(answers);
        }
        Ok((input.len(), Opened::Yes))
    }
}

impl Broker {
    fn answer(&mut self, now: Instant, node: u64, request: Request) {
        let Request { token, topic, what } = request;
        let answer = match what {
            Ask::Subscribe => {
                self.inbox(node).topics.insert(topic);
                Note::Done(token)
            }
            Ask::Unsubscribe => {
                self.inbox(node).topics.remove(&topic);
                Note::Done(token)
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
            Ask::Read { after, most, bytes } => {
                Note::Read(token, self.stored(now, &topic).page(after, most, bytes))
            }
            Ask::Enter { members, time } => {
                self.lapse(now, &topic);
                for member in members {
                    self.enter(now + time, node, &topic, &member);
                }
                Note::Done(token)
            }
            Ask::Leave { member } => {
                self.lapse(now, &topic);
                self.leave(node, &topic, &member);
                Note::Done(token)
            }
            Ask::Members => {
                self.lapse(now, &topic);
                let members = self.stored(now, &topic).members.keys().cloned();
                Note::Members(token, members.collect())
            }
        };
        self.inbox(node).push(answer);
    }

    fn inbox(&mut self, node: u64) -> &mut Inbox {
        self.inboxes.entry(node).or_default()
    }

    /// The topic, which is new if it was not there.
    fn stored(&mut self, now: Instant, topic: &Arc<str>) -> &mut Stored {
        let stored = self.topics.entry(Arc::clone(topic));
        let stored = stored.or_insert_with(Stored::new);
        if stored.forgotten_at.is_some_and(|at| at <= now) {
            stored.kept.clear();
        }
        stored
    }

    fn publish(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        message: Kept,
        history: History,
        key: Option<Arc<str>>,
    ) -> Position {
        let stored = self.stored(now, topic);
        stored.keys.retain(|_, (until, _)| *until > now);
        if let Some((_, offset)) = key.as_ref().and_then(|key| stored.keys.get(key)) {
            return Position::new(stored.epoch, *offset);
        }
        stored.offset += 1;
        if let Some(key) = key {
            stored.keys.insert(key, (now + KEY_TIME, stored.offset));
        }
        let position = Position::new(stored.epoch, stored.offset);
        let note = Note::Message(
            Arc::clone(topic),
            position,
            message.origin,
            message.payload.clone(),
        );
        stored.keep(now, message, history);
        self.tell_subscribers(topic, &note);
        position
    }

    fn enter(&mut self, until: Instant, node: u64, topic: &Arc<str>, member: &Arc<str>) {
        let Some(stored) = self.topics.get_mut(topic) else {
            return;
        };
        let nodes = stored.members.entry(Arc::clone(member)).or_default();
        let is_new = nodes.is_empty();
        nodes.insert(node, until);
        if is_new {
            let note = Note::Joined(Arc::clone(topic), Arc::clone(member));
            self.tell_subscribers(topic, &note);
        }
    }

    fn leave(&mut self, node: u64, topic: &Arc<str>, member: &Arc<str>) {
        let Some(stored) = self.topics.get_mut(topic) else {
            return;
        };
        let Some(nodes) = stored.members.get_mut(member) else {
            return;
        };
        nodes.remove(&node);
        if nodes.is_empty() {
            stored.members.remove(member);
            let note = Note::Left(Arc::clone(topic), Arc::clone(member));
            self.tell_subscribers(topic, &note);
        }
    }

    /// Takes out members whose time is over.
    fn lapse(&mut self, now: Instant, topic: &Arc<str>) {
        let members = &self.stored(now, topic).members;
        let mut over = Vec::new();
        for (member, nodes) in members {
            let nodes = nodes.iter().filter(|(_, until)| **until <= now);
            over.extend(nodes.map(|(node, _)| (*node, Arc::clone(member))));
        }
        for (node, member) in over {
            self.leave(node, topic, &member);
        }
    }

    fn tell_subscribers(&mut self, topic: &Arc<str>, note: &Note) {
        for inbox in self.inboxes.values_mut() {
            if inbox.topics.contains(topic) {
                inbox.push(note.clone());
            }
        }
    }
}

impl Stored {
    fn new() -> Self {
        Self {
            epoch: fresh_epoch(),
            offset: 0,
            kept: VecDeque::new(),
            forgotten_at: None,
            keys: HashMap::new(),
            members: BTreeMap::new(),
        }
    }

    fn keep(&mut self, now: Instant, message: Kept, history: History) {
        let offset = self.offset;
        self.kept.push_back(Kept { offset, ..message });
        let surplus = self.kept.len().saturating_sub(history.messages as usize);
        self.kept.drain(..surplus);
        self.forgotten_at = Some(now + history.age);
    }

    fn page(&self, after: Option<u64>, most: u32, bytes: usize) -> Page {
        let oldest = self
            .kept
            .front()
            .map_or(self.offset, |kept| kept.offset - 1);
        let after = after.unwrap_or(self.offset);
        let later = self.kept.iter().filter(|kept| kept.offset > after);
        let mut sum = 0;
        let later = later.take_while(|kept| {
            let is_first = sum == 0;
            sum += kept.payload.len().max(1);
            is_first || sum <= bytes
        });
        Page {
            top: Position::new(self.epoch, self.offset),
            inherited: None,
            oldest,
            messages: later.take(most as usize).cloned().collect(),
        }
    }
}

impl Inbox {
    fn push(&mut self, note: Note) {
        self.answers.push_back(note);
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

impl Note {
    fn tell(self, answers: &mut dyn FnMut(Answer<'_>)) {
        answers(match &self {
            Self::Done(token) => Answer::Done(*token),
            Self::Published(token, position) => Answer::Published(*token, *position),
            Self::Read(token, page) => Answer::Read(*token, page.clone()),
            Self::Members(token, members) => Answer::Members(*token, members.clone()),
            Self::Message(topic, position, origin, payload) => Answer::Message(Incoming {
                topic,
                position: *position,
                previous: position.offset - 1,
                origin: *origin,
                payload,
            }),
            Self::Joined(topic, member) => Answer::Joined(topic, member),
            Self::Left(topic, member) => Answer::Left(topic, member),
        });
    }
}

/// How long a key is known.
const KEY_TIME: Duration = Duration::from_secs(300);
