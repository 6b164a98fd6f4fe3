//! A loop, lent to a task that came to it.

use std::{
    fmt,
    net::SocketAddr,
    ops::{Deref, DerefMut},
};

use mio::net::TcpStream;

use crate::{
    Commands, Connect, EventLoop, Handler, Handover, NoPeer, NotAdopted, Peer, PeerId, Transport,
};

/// A loop of a server, lent to a closure that
/// [`Remote::run`](crate::Remote::run) brought to it.
///
/// It dereferences to the loop's [`Commands`]: publications, timers of the
/// loop, connections by name. Its own methods act at once.
pub struct Loop<'a, H: Handler, T = TcpStream> {
    inner: &'a mut EventLoop<H, T>,
}

impl<'a, H: Handler, T: Transport> Loop<'a, H, T> {
    pub(crate) const fn new(inner: &'a mut EventLoop<H, T>) -> Self {
        Self { inner }
    }

    /// Lends the loop's handler.
    #[must_use]
    pub const fn handler(&self) -> &H {
        self.inner.handler()
    }

    /// Lends the loop's handler, to change it.
    #[must_use]
    pub const fn handler_mut(&mut self) -> &mut H {
        self.inner.handler_mut()
    }

    /// Does something with an open connection. What is sent leaves when `act`
    /// returns.
    ///
    /// # Errors
    ///
    /// [`NoPeer`] if there is no such open connection in this loop; `act` is
    /// not called.
    pub fn with_peer<R>(
        &mut self,
        peer: PeerId,
        act: impl FnOnce(&mut H, &mut Peer<'_, H::Data>) -> R,
    ) -> Result<R, NoPeer> {
        self.inner.commands().check(peer)?;
        self.inner.with_peer(peer, act).ok_or(NoPeer::NotOpen)
    }

    /// Connects to a server, as [`Commands::connect`], at once; returns the name
    /// that the connection will have. `None` if it failed at once:
    /// [`Handler::on_connect_failed`] was called.
    pub fn connect(&mut self, address: SocketAddr, connect: Connect<H::Data>) -> Option<PeerId> {
        self.inner.connect(address, connect)
    }

    /// Starts the opening handshake with a server over a transport that is
    /// connected to it: through a proxy, or in memory. As
    /// [`connect`](Self::connect) otherwise.
    pub fn connect_over(&mut self, transport: T, connect: Connect<H::Data>) -> Option<PeerId> {
        self.inner.connect_over(transport, connect)
    }

    /// Takes over a connection whose opening handshake was made elsewhere, as
    /// [`EventLoop::adopt`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn adopt(
        &mut self,
        handover: Handover<T, H::Data>,
    ) -> Result<PeerId, NotAdopted<T, H::Data>> {
        self.inner.adopt(handover)
    }

    /// Returns the names of the open connections, in no order.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.inner.peers().map(|(peer, _)| peer)
    }

    /// Returns the open connections with what the application keeps for each,
    /// in no order.
    pub fn peers_with_data(&self) -> impl Iterator<Item = (PeerId, &H::Data)> {
        self.inner.peers()
    }

    /// Lends what the application keeps for a connection; `None` if it is not
    /// open, or none of this loop's.
    #[must_use]
    pub fn data(&self, peer: PeerId) -> Option<&H::Data> {
        self.inner.data(peer)
    }

    /// Does something with every open connection, and the handler.
    pub fn for_each(&mut self, mut act: impl FnMut(&mut H, &mut Peer<'_, H::Data>)) {
        let peers: Vec<PeerId> = self.peers().collect();
        for peer in peers {
            // Closed by what was done for another.
            let _ = self.with_peer(peer, &mut act);
        }
    }

    /// Returns the subscribers of a topic that are connections of this loop,
    /// in no order.
    pub fn subscribers(&self, topic: &str) -> impl ExactSizeIterator<Item = PeerId> {
        self.inner.subscribers(topic)
    }

    /// Returns the topics that a connection of this loop is subscribed to, in
    /// no order.
    pub fn topics(&self, peer: PeerId) -> impl Iterator<Item = &str> {
        self.inner.topics_of(peer)
    }

    /// Returns how many connections there are: open ones, and those whose
    /// opening or closing is under way.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.connections()
    }

    /// Tells whether a [drain](crate::Remote::drain) was asked for, its
    /// [`lame_duck`](crate::Drain::lame_duck) included.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.inner.is_draining()
    }

    /// Returns which of the server's loops this is, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.inner.index()
    }
}

impl<H: Handler, T: Transport> Deref for Loop<'_, H, T> {
    type Target = Commands<H::Data>;

    fn deref(&self) -> &Commands<H::Data> {
        self.inner.commands()
    }
}

impl<H: Handler, T: Transport> DerefMut for Loop<'_, H, T> {
    fn deref_mut(&mut self) -> &mut Commands<H::Data> {
        self.inner.commands_mut()
    }
}

impl<H: Handler, T: Transport> fmt::Debug for Loop<'_, H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop")
            .field("index", &self.index())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
