//! A request that came, and what is decided on it.

use ws_handshake::{Acceptance, HandshakeError, Request, Response};
#[cfg(feature = "tls")]
use ws_tls::TlsConnection;

use super::decider;
use crate::{Config, Decider, Later, PeerAddr, Transport};

/// A request that came, before it is decided on.
#[derive(Debug)]
pub struct Incoming<'r> {
    request: &'r Request<'r>,
    peer: PeerAddr,
    config: &'r Config,
    is_draining: bool,
    #[cfg(feature = "tls")]
    tls: Option<&'r TlsConnection>,
}

impl<'r> Incoming<'r> {
    pub(crate) fn new(
        request: &'r Request<'r>,
        peer: PeerAddr,
        transport: &'r dyn Transport,
        config: &'r Config,
        is_draining: bool,
    ) -> Self {
        #[cfg(not(feature = "tls"))]
        let _ = transport;
        Self {
            request,
            peer,
            config,
            is_draining,
            #[cfg(feature = "tls")]
            tls: transport.tls(),
        }
    }

    /// Returns the request, which need not ask for a WebSocket.
    #[must_use]
    pub const fn request(&self) -> &'r Request<'r> {
        self.request
    }

    /// Returns where the peer is; [`PeerAddr::Unknown`] if it has left already.
    ///
    /// Behind a reverse proxy it is that of the proxy, unless the proxy speaks
    /// the PROXY protocol to a `ProxyProtocol` listener (feature `proxy`).
    /// `Forwarded` and `X-Forwarded-For` are headers of the
    /// [`request`](Self::request) like others, and nothing here believes them:
    /// every client can send them. Who does must know that the proxy overwrites
    /// what the client has sent, and that nobody comes past the proxy.
    #[must_use]
    pub const fn peer_address(&self) -> PeerAddr {
        self.peer
    }

    /// Tells whether the server is about to end: in the
    /// [`lame_duck`](crate::Drain::lame_duck) of a drain. A health check is to be
    /// answered with 503 then, and all else is served as ever:
    ///
    /// ```
    /// use ws_mio::{Decision, Incoming, Response};
    ///
    /// fn on_request(incoming: Incoming<'_>) -> Decision<'_, ()> {
    ///     match (incoming.request().path(), incoming.is_draining()) {
    ///         ("/healthz", false) => Response::new(200).into(),
    ///         ("/healthz", true) => Response::new(503).into(),
    ///         _ => incoming.decide(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Lends what is known of the TLS connection, above all the certificate of
    /// the client, if it had to show one; `None` if it is not TLS.
    ///
    /// ```
    /// # use ws_mio::{Decision, Incoming, Response};
    /// fn on_request(incoming: Incoming<'_>) -> Decision<'_, Vec<u8>> {
    ///     let shown = incoming.tls().and_then(|tls| tls.state().peer_certificates());
    ///     match shown.and_then(|certificates| certificates.first()) {
    ///         None => Decision::Respond(Response::new(403)),
    ///         Some(_certificate) => incoming.decide(),
    ///     }
    /// }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn tls(&self) -> Option<&'r TlsConnection> {
        self.tls
    }

    /// Checks the request by the rules of RFC 6455 section 4.2.1 and the
    /// server's [`Config`], and agrees on a subprotocol and on compression:
    /// [`Acceptance::deflate`] tells its parameters, and
    /// [`Acceptance::without_deflate`] does without it for this connection.
    /// In a build without the feature `deflate`, a configuration that agrees is
    /// [refused](Config::check), and a request that is accepted with it is
    /// answered with 500.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn negotiate(&self) -> Result<Acceptance<'r>, HandshakeError> {
        self.config.handshake.negotiate(self.request)
    }

    /// Accepts a request that keeps the rules, and answers any other as the
    /// rule says that it breaks.
    #[must_use]
    pub fn decide<D: Default>(self) -> Decision<'r, D> {
        match self.negotiate() {
            Ok(acceptance) => Decision::Accept(Accept::new(acceptance, D::default())),
            Err(error) => Decision::Respond(error.rejection()),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision<'r, D> {
    /// It becomes a WebSocket connection.
    Accept(Accept<'r, D>),
    /// It is answered, and the transport is closed.
    Respond(Response),
    /// It waits for a [`Decider`]: see [`later`](Self::later).
    Later(Later<D>),
}

impl<D> Decision<'_, D> {
    /// Has the request wait, and makes what decides on it, on any thread: where a
    /// decision takes time, as when a token is looked up elsewhere. The loop
    /// serves others meanwhile.
    ///
    /// A request that waits is a part of the opening handshake: it counts against
    /// `max_connections`, its head against `max_memory`, and it is answered with
    /// 503 after `handshake_timeout`, counted from when the connection came.
    ///
    /// ```
    /// use std::thread;
    /// use ws_mio::{Decision, Handler, Incoming, Message, Peer, Response};
    ///
    /// struct Chat;
    ///
    /// /// Asks a server for the name of a token's user. Takes long.
    /// fn look_up(token: Option<Vec<u8>>) -> Option<String> {
    ///     # token.map(|_| "Alice".to_owned())
    /// }
    ///
    /// impl Handler for Chat {
    ///     /// The name of the user.
    ///     type Data = String;
    ///
    ///     fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, String> {
    ///         let token = incoming.request().header("Authorization").map(<[u8]>::to_vec);
    ///         let (decider, decision) = Decision::later();
    ///         // A server has a few threads for this, and a queue of its own.
    ///         thread::spawn(move || match look_up(token) {
    ///             Some(name) => decider.accept(name),
    ///             None => decider.respond(Response::new(401)),
    ///         });
    ///         decision
    ///     }
    ///
    ///     fn on_message(&mut self, peer: &mut Peer<'_, String>, message: Message<'_>) {
    ///         peer.send(message);
    ///     }
    /// }
    /// ```
    ///
    /// A [`Socket`](crate::Socket) has no loop of ours that could be woken: it
    /// looks for the decision when it is called, so its owner calls
    /// [`Socket::flush`](crate::Socket::flush) once it was made.
    #[must_use]
    pub fn later() -> (Decider<D>, Self) {
        let (decider, later) = decider::pair();
        (decider, Self::Later(later))
    }
}

/// A connection to be: what the client is told, and what is kept for it.
#[derive(Debug)]
pub struct Accept<'r, D> {
    pub(crate) acceptance: Acceptance<'r>,
    pub(crate) data: D,
    pub(crate) accept_unmasked_frame: Option<bool>,
    pub(crate) profile: Option<usize>,
}

impl<'r, D> Accept<'r, D> {
    /// Accepts, and keeps `data` for the connection.
    #[must_use]
    pub const fn new(acceptance: Acceptance<'r>, data: D) -> Self {
        Self {
            acceptance,
            data,
            accept_unmasked_frame: None,
            profile: None,
        }
    }

    /// Chooses limits, keepalive and pieces for this connection: those at `index`
    /// of [`Config::profiles`]. With an index that is not there the request is
    /// answered with 500, and an error is logged.
    #[must_use]
    pub const fn profile(mut self, index: usize) -> Self {
        self.profile = Some(index);
        self
    }

    /// Chooses the flag `accept-unmasked-frame` of [MS-WSPE] for this
    /// connection, among the peers that
    /// [`Config::accept_unmasked_frame`] names; for any other it stays off.
    #[must_use]
    pub const fn accept_unmasked_frame(mut self, flag: bool) -> Self {
        self.accept_unmasked_frame = Some(flag);
        self
    }
}

impl<'r, D> From<Accept<'r, D>> for Decision<'r, D> {
    fn from(accept: Accept<'r, D>) -> Self {
        Self::Accept(accept)
    }
}

impl<D> From<Response> for Decision<'_, D> {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}
