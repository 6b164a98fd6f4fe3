//! What a handler asks of its loop where it is called for no peer.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ws_proto::Prepared;

use crate::{
    Connect, NoPeer, Peer, PeerId,
    orders::queue::{Order, OrderQueue},
};

/// What a handler asks of its loop where it is called for no peer; done after
/// the turn, in order.
pub struct Orders<'a, D> {
    queue: &'a mut OrderQueue<D>,
}

impl<'a, D> Orders<'a, D> {
    pub(crate) const fn new(queue: &'a mut OrderQueue<D>) -> Self {
        Self { queue }
    }

    /// Connects to a server, as [`Peer::connect`].
    pub fn connect(&mut self, address: SocketAddr, connect: Connect<D>) {
        self.queue.push(Order::Connect(address, Box::new(connect)));
    }

    /// Connects to a server by its name, as [`Peer::connect_by_name`].
    pub fn connect_by_name(&mut self, connect: Connect<D>) {
        self.queue.push(Order::ConnectByName(Box::new(connect)));
    }

    /// Does something with a peer of this loop, as [`Peer::with_peer`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_peer(
        &mut self,
        peer: PeerId,
        act: impl FnOnce(&mut Peer<'_, D>) + 'static,
    ) -> Result<(), NoPeer> {
        self.queue.with_peer(peer, Box::new(act))
    }

    /// Asks for a call of
    /// [`Handler::on_loop_timer`](crate::Handler::on_loop_timer) with the number
    /// `timer` after `wait`; otherwise as
    /// [`Peer::set_timer`].
    pub fn set_timer(&mut self, timer: u64, wait: Option<Duration>) {
        self.queue.push(Order::LoopTimer(timer, wait));
    }

    /// Sends a message to every peer of all loops.
    pub fn broadcast(&mut self, message: &Prepared) {
        self.queue.publish(None, message, None);
    }

    /// Sends a message to all subscribers of a topic.
    pub fn publish(&mut self, topic: impl Into<Arc<str>>, message: &Prepared) {
        self.queue.publish(Some(topic.into()), message, None);
    }
}

impl<D> fmt::Debug for Orders<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").finish_non_exhaustive()
    }
}
