//! What a handler asks of the loop beyond its own peer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ws_proto::Prepared;

use crate::{Connect, Peer, PeerId};

/// Done after the turn in which it was asked for, in order.
pub(crate) enum Order<D> {
    Subscribe(PeerId, Arc<str>),
    Unsubscribe(PeerId, Arc<str>),
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
