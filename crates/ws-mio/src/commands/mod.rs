//! What an application asks of a loop, beyond one connection.

pub(crate) mod audience;
pub(crate) mod publication_log;
pub(crate) mod topic_sizes;
pub(crate) mod topics;

use std::{fmt, mem, net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use tracing::warn;
use ws_proto::Prepared;

use self::{
    publication_log::{Publication, PublicationLog},
    topic_sizes::TopicSizes,
    topics::Topics,
};
use crate::{Connect, NoPeer, Peer, PeerId};

/// What an application asks of a loop, beyond one connection: the methods of
/// every handle that is on the loop's thread. A [`Handler`](crate::Handler) has
/// them where it is called for no peer, a [`Peer`] and a [`Loop`](crate::Loop)
/// by dereferencing.
///
/// Every command is carried out after the turn, in the order of the calls. A
/// publication has its place in [the order of
/// publications](crate#the-order-of-publications) when the call returns.
///
/// A [`Socket`](crate::Socket) is in no loop: there, a command does nothing but
/// log a warning.
pub struct Commands<D> {
    queue: Vec<Placed<Command<D>>>,
    /// Who is subscribed, as of the last turn.
    pub(crate) topics: Topics,
    log: Arc<PublicationLog>,
    /// Which loop of `loops` this is.
    index: u16,
    /// The numbers of the server's loops among all of the process; none for a
    /// [`Socket`](crate::Socket).
    loops: Range<u32>,
    /// Something was published that the other loops have not been woken for.
    pub(crate) has_published: bool,
}

/// Something that is done after all publications that were there when it was
/// asked for, and before those that came later.
#[derive(Debug)]
pub(crate) struct Placed<C> {
    /// The place of the first publication that comes later.
    pub(crate) place: u64,
    pub(crate) what: C,
}

impl<C> Placed<C> {
    pub(crate) fn new(log: &PublicationLog, what: C) -> Self {
        let place = log.end();
        Self { place, what }
    }
}

impl<D> Commands<D> {
    pub(crate) const fn new(
        log: Arc<PublicationLog>,
        topics: Topics,
        index: u16,
        loops: Range<u32>,
    ) -> Self {
        Self {
            queue: Vec::new(),
            topics,
            log,
            index,
            loops,
            has_published: false,
        }
    }

    /// Makes those of a [`Socket`](crate::Socket), which is in no loop.
    pub(crate) fn of_socket() -> Self {
        let topics = Topics::new(Arc::new(TopicSizes::new(0)), 0);
        Self::new(Arc::new(PublicationLog::new(0)), topics, 0, 0..0)
    }

    /// Sends a message to all subscribers of a topic, on all loops. It leaves
    /// at the end of this turn, after all that a handler
    /// [sends](Peer::send) in the same turn.
    ///
    /// A subscriber that reads too slowly misses it: see
    /// [`Config::max_backpressure`](crate::Config::max_backpressure).
    pub fn publish(&mut self, topic: impl Into<Arc<str>>, message: &Prepared) {
        self.publish_to(Some(topic.into()), message, None);
    }

    /// Sends a message to every peer of all loops, as [`publish`](Self::publish).
    pub fn broadcast(&mut self, message: &Prepared) {
        self.publish_to(None, message, None);
    }

    /// Returns how many connections of all loops are subscribed to a topic, as
    /// [`Remote::subscriber_count`](crate::Remote::subscriber_count). What this
    /// turn has asked for does not count yet. [`Loop::subscribers`](crate::Loop::subscribers)
    /// names those of one loop.
    #[must_use]
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.topics.subscriber_count(topic)
    }

    /// Asks for a call of
    /// [`Handler::on_loop_timer`](crate::Handler::on_loop_timer) with the number
    /// `timer` after `wait`; otherwise as [`Peer::set_timer`].
    pub fn set_loop_timer(&mut self, timer: u64, wait: Option<Duration>) {
        self.push(Command::LoopTimer(timer, wait));
    }

    /// Connects to a server at an address, in the same loop.
    ///
    /// [`Handler::on_connected`](crate::Handler::on_connected) follows, or
    /// [`on_connect_failed`](crate::Handler::on_connect_failed).
    pub fn connect(&mut self, address: SocketAddr, connect: Connect<D>) {
        self.push(Command::Connect(address, Box::new(connect)));
    }

    /// Connects to a server by the name in its URI, or through its
    /// [proxy](Connect), in the same loop.
    ///
    /// The name is looked up on a thread of its own, which is there only while
    /// there are names, and its addresses are tried one after the other, each
    /// for its share of `handshake_timeout`, until one can be connected to. The
    /// error of the last is told to
    /// [`on_connect_failed`](crate::Handler::on_connect_failed).
    ///
    /// ```
    /// use ws_mio::{ClientRequest, Connect, Peer, Uri};
    ///
    /// /// Gets a feed for a peer that asked for it.
    /// fn follow(peer: &mut Peer<'_, u64>, feed: Uri) {
    ///     let data = *peer.data();
    ///     peer.connect_by_name(Connect::new(ClientRequest::new(feed), data));
    /// }
    /// ```
    pub fn connect_by_name(&mut self, connect: Connect<D>) {
        self.push(Command::ConnectByName(Box::new(connect)));
    }

    /// Does something with a peer of the same loop, after this turn; nothing
    /// happens if it is gone by then.
    ///
    /// # Errors
    ///
    /// [`NoPeer::OtherLoop`] and [`NoPeer::OtherServer`]: it is none of this
    /// loop's. A [`Socket`](crate::Socket) has no other peers.
    ///
    /// A proxy hands on a message:
    ///
    /// ```
    /// use ws_mio::{Handler, Message, Peer, PeerId, Prepared};
    ///
    /// struct Proxy;
    ///
    /// impl Handler for Proxy {
    ///     /// The other side.
    ///     type Data = Option<PeerId>;
    ///
    ///     fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
    ///         if let Some(other) = *peer.data() {
    ///             let message = Prepared::new(message);
    ///             let sent = peer.with_peer(other, move |other| {
    ///                 other.send_prepared(&message);
    ///             });
    ///             sent.expect("both sides are in one loop");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn with_peer(
        &mut self,
        peer: PeerId,
        act: impl FnOnce(&mut Peer<'_, D>) + 'static,
    ) -> Result<(), NoPeer> {
        self.check(peer)?;
        self.push(Command::With(peer, Box::new(act)));
        Ok(())
    }

    /// Judges whether an id is one of this loop.
    pub(crate) fn check(&self, peer: PeerId) -> Result<(), NoPeer> {
        if !self.loops.contains(&peer.of_loop) {
            Err(NoPeer::OtherServer)
        } else if peer.of_loop != self.loops.start + u32::from(self.index) {
            Err(NoPeer::OtherLoop)
        } else {
            Ok(())
        }
    }

    pub(crate) fn push(&mut self, command: Command<D>) {
        if self.loops.is_empty() {
            return warn_of_no_loop();
        }
        self.queue.push(Placed::new(&self.log, command));
    }

    /// Publishes now: the publication has its place when this returns.
    pub(crate) fn publish_to(
        &mut self,
        topic: Option<Arc<str>>,
        message: &Prepared,
        except: Option<PeerId>,
    ) {
        let publication = Publication {
            topic,
            message: message.clone(),
            except,
        };
        if self.loops.len() > 1 {
            self.log.append(publication);
            self.has_published = true;
        } else {
            self.push(Command::Publish(publication));
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the place of the first command.
    pub(crate) fn first_place(&self) -> Option<u64> {
        self.queue.first().map(|command| command.place)
    }

    pub(crate) fn take(&mut self) -> Vec<Placed<Command<D>>> {
        mem::take(&mut self.queue)
    }

    /// Gives an empty vector back, for its memory.
    pub(crate) fn reuse(&mut self, queue: Vec<Placed<Command<D>>>) {
        if self.queue.is_empty() {
            self.queue = queue;
        }
    }
}

#[cold]
fn warn_of_no_loop() {
    warn!("a Socket is in no loop: it has no topics, timers and connections to make");
}

impl<D> fmt::Debug for Commands<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

pub(crate) type Act<D> = Box<dyn FnOnce(&mut Peer<'_, D>)>;

/// Done after the turn in which it was asked for, in order.
pub(crate) enum Command<D> {
    Subscribe(PeerId, Arc<str>),
    Unsubscribe(PeerId, Arc<str>),
    /// Of a loop that is alone; other publications are in the log.
    Publish(Publication),
    /// A call of `on_timer` for this timer, after this time; `None` takes it
    /// back.
    Timer(PeerId, u64, Option<Duration>),
    /// A call of `on_loop_timer`, likewise.
    LoopTimer(u64, Option<Duration>),
    Connect(SocketAddr, Box<Connect<D>>),
    ConnectByName(Box<Connect<D>>),
    With(PeerId, Act<D>),
}
