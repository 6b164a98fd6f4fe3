//! Connections to servers, from a loop.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ws_handshake::ClientRequest;
use ws_proto::{ClientMasking, Masking, Prepared, ServerMasking};
#[cfg(feature = "tls")]
use ws_tls::ClientTls;

use crate::{
    NoPeer, Peer, PeerId,
    order::{Order, OrderQueue},
};

/// A connection to a server, to be made by a loop: what it asks for, and what
/// is kept for it.
///
/// The loop's [`Config`](crate::Config) says what the server may send and how
/// long it may take, as for every peer. Once it is open,
/// [`Handler::on_connected`](crate::Handler::on_connected) is called, and
/// [`Handler::on_connect_failed`](crate::Handler::on_connect_failed) if it
/// never is.
///
/// ```
/// use ws_mio::{ClientRequest, Connect, Uri};
///
/// let request = ClientRequest::new(Uri::parse("ws://backend.example/feed")?);
/// let connect: Connect<u32> = Connect::new(request, 7).set_mask_to_zero(true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connect<D> {
    pub(crate) request: ClientRequest,
    pub(crate) data: D,
    pub(crate) set_mask_to_zero: Option<bool>,
    #[cfg(feature = "proxy")]
    pub(crate) proxy: Option<crate::Proxy>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
}

impl<D> Connect<D> {
    /// Asks a server, and keeps `data` for the connection.
    #[must_use]
    pub const fn new(request: ClientRequest, data: D) -> Self {
        Self {
            request,
            data,
            set_mask_to_zero: None,
            #[cfg(feature = "proxy")]
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Speaks TLS with the server, whose certificate is to be for the host of
    /// the URI. The loop's transports are to be [`Tls`](crate::Tls) over
    /// something that connects; a transport that is given to
    /// [`Loop::connect_over`](crate::Loop::connect_over) is TLS already, or is
    /// not.
    ///
    /// ```no_run
    /// use ws_mio::{ClientRequest, ClientTls, Connect, Uri};
    ///
    /// let tls = ClientTls::platform_roots()?;
    /// let request = ClientRequest::new(Uri::parse("wss://backend.example/feed")?);
    /// let connect: Connect<()> = Connect::new(request, ()).tls(&tls);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Chooses the flag `set-mask-to-zero` of [MS-WSPE] for this connection,
    /// among the servers that
    /// [`Config::set_mask_to_zero`](crate::Config::set_mask_to_zero) names; for
    /// any other it stays off.
    #[must_use]
    pub const fn set_mask_to_zero(mut self, flag: bool) -> Self {
        self.set_mask_to_zero = Some(flag);
        self
    }

    /// The host and port to connect to: those of the URI, or of the proxy.
    pub(crate) fn destination(&self) -> (&str, u16) {
        #[cfg(feature = "proxy")]
        if let Some(proxy) = &self.proxy {
            return (proxy.host_for_connect(), proxy.port());
        }
        let uri = self.request.uri();
        (uri.host_for_connect(), uri.port())
    }

    /// Copies all but what is kept for the connection.
    pub(crate) fn without_data(&self) -> Connect<()> {
        Connect {
            request: self.request.clone(),
            data: (),
            set_mask_to_zero: self.set_mask_to_zero,
            #[cfg(feature = "proxy")]
            proxy: self.proxy.clone(),
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }

    /// Goes through a proxy: the address to connect to is then that of the
    /// proxy. It takes a loop of [`Tunneled`](crate::Tunneled) transports, or
    /// of a layer over them.
    ///
    /// [`Proxy::from_env`](crate::Proxy::from_env) asks the environment, which
    /// nothing does by itself.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: crate::Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }
}

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

/// Which side of a connection is ours, and its flag of [MS-WSPE]: a masking
/// policy in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    ServerAcceptingUnmasked,
    Client,
    ClientMaskingWithZero,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [
        Self::Server,
        Self::ServerAcceptingUnmasked,
        Self::Client,
        Self::ClientMaskingWithZero,
    ];

    pub(crate) const fn server(accept_unmasked_frame: bool) -> Self {
        match accept_unmasked_frame {
            false => Self::Server,
            true => Self::ServerAcceptingUnmasked,
        }
    }

    pub(crate) const fn client(set_mask_to_zero: bool) -> Self {
        match set_mask_to_zero {
            false => Self::Client,
            true => Self::ClientMaskingWithZero,
        }
    }

    pub(crate) const fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::ClientMaskingWithZero)
    }

    /// Returns its place in [`ALL`](Self::ALL).
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn masking(self) -> Masking {
        match self {
            Self::Server | Self::ServerAcceptingUnmasked => {
                let flag = self == Self::ServerAcceptingUnmasked;
                ServerMasking::with_accept_unmasked_frame(flag).into()
            }
            Self::Client | Self::ClientMaskingWithZero => {
                let flag = self == Self::ClientMaskingWithZero;
                ClientMasking::with_set_mask_to_zero(flag).into()
            }
        }
    }
}
