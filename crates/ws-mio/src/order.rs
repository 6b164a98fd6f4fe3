//! What a handler asks of the loop beyond its own peer.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ws_proto::Prepared;

use crate::{Connect, Peer, PeerId, publication_log::PublicationLog};

/// What handlers have asked of a loop, until the end of the turn.
#[derive(Debug)]
pub(crate) struct OrderQueue<D> {
    orders: Vec<Placed<Order<D>>>,
    log: Arc<PublicationLog>,
    /// Other loops have subscribers too.
    has_other_loops: bool,
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
    pub(crate) const fn new(log: Arc<PublicationLog>, has_other_loops: bool) -> Self {
        Self {
            orders: Vec::new(),
            log,
            has_other_loops,
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
        if self.has_other_loops {
            self.log.append(publication);
            self.has_published = true;
        } else {
            self.push(Order::Publish(publication));
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

/// Done after the turn in which it was asked for, in order.
pub(crate) enum Order<D> {
    Subscribe(PeerId, Arc<str>),
    Unsubscribe(PeerId, Arc<str>),
    /// Of a loop that is alone; other publications are in the log.
    Publish(Publication),
    /// A call of `on_timer` after this time; `None` takes it back.
    Timer(PeerId, Option<Duration>),
    Connect(SocketAddr, Box<Connect<D>>),
    ConnectByName(Box<Connect<D>>),
    #[expect(clippy::type_complexity, reason = "it is said once")]
    With(PeerId, Box<dyn FnOnce(&mut Peer<'_, D>)>),
}

/// A message to the subscribers of a topic, or to everybody, but not to one
/// peer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) message: Prepared,
    pub(crate) except: Option<PeerId>,
}

impl<D> fmt::Debug for Order<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}
