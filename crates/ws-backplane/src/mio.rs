//! A node on a thread of its own, whose messages are published in a server of
//! `ws-mio`.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use ws_mio::{Prepared, Remote};

use crate::{Connect, Discontinuity, Engine, EngineError, Handler, Limits, Node, Position, run};

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
/// What [`Node::recover`] gives is handed to a connection by
/// [`Remote::with_peer`], which sends it and subscribes the peer to the topic.
/// As that is asked for by the same thread that publishes, the peer gets all of
/// it once: nothing is missed or doubled in between.
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
) -> io::Result<(Node, JoinHandle<()>)>
where
    E: Engine + Send + 'static,
    C: Connect + Send + 'static,
    C::Stream: Send + 'static,
    M: Encode + 'static,
    H: ws_mio::Handler + 'static,
    T: 'static,
    Remote<H, T>: Send,
{
    let (node, task) = run(engine, limits, connect, ToRemote { remote, encode });
    let thread = thread::Builder::new()
        .name("ws-backplane".into())
        .spawn(|| async_io::block_on(task))?;
    Ok((node, thread))
}

struct ToRemote<M, H: ws_mio::Handler, T> {
    remote: Remote<H, T>,
    encode: M,
}

impl<M: Encode, H: ws_mio::Handler, T> ToRemote<M, H, T> {
    fn publish(&self, topic: &Arc<str>, message: &Prepared) {
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
