//! A node on a thread of its own, whose messages are published in a server of
//! `ws-mio`.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use ws_mio::{Peer, PeerId, Prepared, Remote, Transport};

use crate::{
    Connect, Discontinuity, Engine, EngineError, Handler, Limits, Node, Position, Recovery,
    SubscribeError, run,
};

/// Makes of what a topic carries what its subscribers get. It is called once
/// for a message, however many connections and loops there are.
pub trait Encode: Send {
    /// A message. What a client needs to come back, its position, belongs into
    /// it.
    fn message(&mut self, topic: &str, position: Position, payload: &[u8]) -> Prepared;

    /// Messages are lost: what tells a client to read anew what the topic stands
    /// for.
    fn discontinuity(&mut self, topic: &str, discontinuity: &Discontinuity) -> Prepared;

    /// A member is present that was not; not told to anybody by default.
    fn join(&mut self, topic: &str, member: &str) -> Option<Prepared> {
        let _ = (topic, member);
        None
    }

    /// A member is gone; not told to anybody by default.
    fn leave(&mut self, topic: &str, member: &str) -> Option<Prepared> {
        let _ = (topic, member);
        None
    }

    /// The engine is there, or is away.
    fn on_engine(&mut self, is_up: Result<(), &EngineError>) {
        let _ = is_up;
    }
}

/// Runs a node on a thread of its own. Its messages go to the subscribers of
/// the topics of the same names, on all loops of the server of `remote`,
/// encoded once. It ends with [`Node::stop`], or with the last handle.
///
/// # Errors
///
/// When the system gives no thread.
pub fn spawn<E, C, M, H, T>(
    engine: E,
    limits: Limits,
    connect: C,
    remote: Remote<H, T>,
    encode: M,
) -> io::Result<(Hub<H, T>, JoinHandle<()>)>
where
    E: Engine + Send + 'static,
    C: Connect + Send + 'static,
    C::Stream: Send + 'static,
    M: Encode + 'static,
    H: ws_mio::Handler + 'static,
    T: 'static,
    Remote<H, T>: Send,
{
    let joining = Arc::new(Joining::default());
    let handler = ToRemote {
        remote: remote.clone(),
        encode,
        joining: Arc::clone(&joining),
    };
    let (node, task) = run(engine, limits, connect, handler);
    let thread = thread::Builder::new()
        .name("ws-backplane".into())
        .spawn(|| async_io::block_on(task))?;
    let hub = Hub {
        node,
        remote,
        joining,
    };
    Ok((hub, thread))
}

/// A node, and the server that it publishes in; cheap to clone.
pub struct Hub<H: ws_mio::Handler, T> {
    node: Node,
    remote: Remote<H, T>,
    joining: Arc<Joining>,
}

impl<H: ws_mio::Handler, T> Hub<H, T> {
    /// The node, for all but joining.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Subscribes a peer to a topic, after it was sent what `encode` makes of
    /// the recovery: what it missed since its last position, or that this is
    /// lost. The peer misses nothing in between, and gets nothing twice.
    ///
    /// A peer that is gone by then gets nothing. Whichever it is,
    /// [`leave`](Self::leave) has to be called once for each call, at the latest
    /// in `ws_mio::Handler::on_close`.
    pub fn join(
        &self,
        peer: PeerId,
        topic: impl Into<Arc<str>>,
        since: Option<Position>,
        encode: impl FnOnce(Result<&Recovery<'_>, SubscribeError>) -> Vec<Prepared> + Send + 'static,
    ) where
        H: 'static,
        T: Transport + 'static,
        Remote<H, T>: Send,
    {
        let topic = topic.into();
        self.node.subscribe(Arc::clone(&topic));
        let (remote, joining) = (self.remote.clone(), Arc::clone(&self.joining));
        self.node
            .recover(Arc::clone(&topic), since, move |recovery| {
                let missed = encode(recovery);
                // What the thread publishes from now on is kept for the peer, until its loop gets
                // to it.
                let join = Join::begin(joining, topic);
                let _ = remote.with_peer(peer, move |_, peer| join.finish(peer, &missed));
            });
    }

    /// Ends [`join`](Self::join) for the node. The peer itself is unsubscribed by
    /// `Peer::unsubscribe`, or when it is gone.
    pub fn leave(&self, topic: impl Into<Arc<str>>) {
        self.node.unsubscribe(topic);
    }
}

impl<H: ws_mio::Handler, T> Clone for Hub<H, T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            remote: self.remote.clone(),
            joining: Arc::clone(&self.joining),
        }
    }
}

impl<H: ws_mio::Handler, T> fmt::Debug for Hub<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// What was published while peers are about to subscribe. Whoever publishes
/// adds to it and publishes under the lock; whoever joins copies it and
/// subscribes under the lock.
#[derive(Debug, Default)]
struct Joining(Mutex<HashMap<Arc<str>, Log>>);

/// The publications to one topic since the first of those joins began.
#[derive(Debug, Default)]
struct Log {
    joins: usize,
    published: Vec<Prepared>,
}

/// A peer that joins.
struct Join {
    joining: Arc<Joining>,
    topic: Arc<str>,
    /// How many publications of the log came before.
    from: usize,
}

impl Joining {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Log>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Join {
    fn begin(joining: Arc<Joining>, topic: Arc<str>) -> Self {
        let mut logs = joining.lock();
        let log = logs.entry(Arc::clone(&topic)).or_default();
        log.joins += 1;
        let from = log.published.len();
        drop(logs);
        Self {
            joining,
            topic,
            from,
        }
    }

    /// On the peer's loop.
    fn finish<D>(self, peer: &mut Peer<'_, D>, missed: &[Prepared]) {
        for message in missed {
            peer.send_prepared(message);
        }
        let logs = self.joining.lock();
        let published = logs.get(&self.topic).map(|log| &log.published[self.from..]);
        for message in published.into_iter().flatten() {
            peer.send_prepared(message);
        }
        peer.subscribe(Arc::clone(&self.topic));
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        let mut logs = self.joining.lock();
        if let Some(log) = logs.get_mut(&self.topic) {
            log.joins -= 1;
            if log.joins == 0 {
                logs.remove(&self.topic);
            }
        }
    }
}

struct ToRemote<M, H: ws_mio::Handler, T> {
    remote: Remote<H, T>,
    encode: M,
    joining: Arc<Joining>,
}

impl<M: Encode, H: ws_mio::Handler, T> ToRemote<M, H, T> {
    fn publish(&self, topic: &Arc<str>, message: &Prepared) {
        let mut logs = self.joining.lock();
        if let Some(log) = logs.get_mut(topic) {
            log.published.push(message.clone());
        }
        // A loop that could not be woken does it with the next wake.
        let _ = self.remote.publish(Arc::clone(topic), message);
    }
}

impl<M: Encode, H: ws_mio::Handler, T> Handler for ToRemote<M, H, T> {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        let message = self.encode.message(topic, position, payload);
        self.publish(topic, &message);
    }

    fn on_discontinuity(&mut self, topic: &Arc<str>, discontinuity: &Discontinuity) {
        let message = self.encode.discontinuity(topic, discontinuity);
        self.publish(topic, &message);
    }

    fn on_join(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        if let Some(message) = self.encode.join(topic, member) {
            self.publish(topic, &message);
        }
    }

    fn on_leave(&mut self, topic: &Arc<str>, member: &Arc<str>) {
        if let Some(message) = self.encode.leave(topic, member) {
            self.publish(topic, &message);
        }
    }

    fn on_up(&mut self) {
        self.encode.on_engine(Ok(()));
    }

    fn on_down(&mut self, why: &EngineError) {
        self.encode.on_engine(Err(why));
    }
}
