//! What a handler asks of the loop beyond its own peer.

use std::{fmt, net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use ws_proto::Prepared;

use crate::{
    Connect, NoPeer, Peer, PeerId,
    orders::publication_log::{Publication, PublicationLog},
    orders::topics::Topics,
};

/// What handlers have asked of a loop, until the end of the turn.
#[derive(Debug)]
pub(crate) struct OrderQueue<D> {
    orders: Vec<Placed<Order<D>>>,
    /// Who is subscribed, as of the last turn.
    pub(crate) topics: Topics,
    log: Arc<PublicationLog>,
    /// Which loop of `loops` this is.
    index: u16,
    /// The numbers of the server's loops among all of the process.
    loops: Range<u32>,
    /// Something was published that the other loops have not been woken for.
    pub(crate) has_published: bool,
}

/// Something that is done after all publications that were there when it was
/// asked for, and before those that came later.
#[derive(Debug)]
pub(crate) struct Placed<O> {
    /// The place of the first publication that comes later.
    pub(crate) place: u64,
    pub(crate) what: O,
}

impl<O> Placed<O> {
    pub(crate) fn new(log: &PublicationLog, what: O) -> Self {
        let place = log.end();
        Self { place, what }
    }
}

impl<D> OrderQueue<D> {
    pub(crate) fn new(
        log: Arc<PublicationLog>,
        topics: Topics,
        index: u16,
        loops: Range<u32>,
    ) -> Self {
        Self {
            orders: Vec::new(),
            topics,
            log,
            index,
            loops,
            has_published: false,
        }
    }

    pub(crate) fn push(&mut self, order: Order<D>) {
        self.orders.push(Placed::new(&self.log, order));
    }

    /// Publishes now: the publication has its place when this returns.
    pub(crate) fn publish(
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
            self.push(Order::Publish(publication));
        }
    }

    /// Does something with a peer of this loop.
    pub(crate) fn with_peer(&mut self, peer: PeerId, act: Act<D>) -> Result<(), NoPeer> {
        self.check(peer)?;
        self.push(Order::With(peer, act));
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

    pub(crate) const fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Returns the place of the first order.
    pub(crate) fn first_place(&self) -> Option<u64> {
        self.orders.first().map(|order| order.place)
    }

    pub(crate) fn take(&mut self) -> Vec<Placed<Order<D>>> {
        std::mem::take(&mut self.orders)
    }

    /// Gives an empty vector back, for its memory.
    pub(crate) fn reuse(&mut self, orders: Vec<Placed<Order<D>>>) {
        if self.orders.is_empty() {
            self.orders = orders;
        }
    }
}

pub(crate) type Act<D> = Box<dyn FnOnce(&mut Peer<'_, D>)>;

/// Done after the turn in which it was asked for, in order.
pub(crate) enum Order<D> {
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

impl<D> fmt::Debug for Order<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}
