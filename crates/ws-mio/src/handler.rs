//! What an application does with connections.

use std::{any::Any, time::Duration};

use ws_handshake::{Acceptance, Agreed, HandshakeError, Request, Response};
use ws_proto::{Chunk, Message};
#[cfg(feature = "tls")]
use ws_tls::TlsConnection;

use crate::{
    Closed, Config, Decider, Later, OpenError, Orders, Peer, PeerAddr, PeerId, Transport, decider,
};

/// The application's side of a [`Server`](crate::Server): one value for all
/// connections of a loop, called as things happen.
///
/// In every call anything may be done with the [`Peer`], closing it included.
///
/// ```
/// use ws_mio::{Handler, Message, Peer};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
/// ```
pub trait Handler {
    /// What the application keeps for each connection.
    type Data: Default;

    /// Whether pieces of messages are delivered to
    /// [`on_chunk`](Self::on_chunk) as they come, instead of whole messages to
    /// [`on_message`](Self::on_message). Nothing is then held of a message. A
    /// [`Profile`](crate::Profile) decides otherwise for its connections.
    const CHUNKS: bool = false;

    /// The loop begins: the first call, before there are connections. Not
    /// called for a [`Socket`](crate::Socket), which has no loop of ours.
    fn on_start(&mut self, orders: &mut Orders<'_, Self::Data>) {
        let _ = orders;
    }

    /// A request came: decides whether it becomes a connection.
    ///
    /// By default a request that keeps the rules is accepted, and any other is
    /// answered as the rule says that it breaks. Anything else can be looked
    /// at, and decided, for this connection alone:
    ///
    /// ```
    /// use ws_mio::{Accept, Decision, Handler, Incoming, Message, Peer, Response};
    ///
    /// struct Chat;
    ///
    /// /// What is kept for a connection.
    /// #[derive(Default)]
    /// struct Guest {
    ///     room: String,
    /// }
    ///
    /// impl Handler for Chat {
    ///     type Data = Guest;
    ///
    ///     fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Guest> {
    ///         let request = incoming.request();
    ///         let Some(room) = request.path().strip_prefix("/rooms/") else {
    ///             return Response::new(404).into();
    ///         };
    ///         let guest = Guest { room: room.to_owned() };
    ///         // Of the peers that may leave out masking, those that are no
    ///         // browser, which names the page's origin: [MS-WSPE].
    ///         let flag = request.header("Origin").is_none();
    ///         let acceptance = match incoming.negotiate() {
    ///             Ok(acceptance) => acceptance,
    ///             Err(error) => return error.rejection().into(),
    ///         };
    ///         // One of those that the client lists, or none.
    ///         let acceptance = acceptance.clone().subprotocol("v2.chat").unwrap_or(acceptance);
    ///         Accept::new(acceptance, guest).accept_unmasked_frame(flag).into()
    ///     }
    ///
    ///     fn on_message(&mut self, peer: &mut Peer<'_, Guest>, message: Message<'_>) {
    ///         let room = &peer.data().room;
    ///         println!("{} bytes for {room}", message.len());
    ///     }
    /// }
    /// ```
    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Self::Data> {
        incoming.decide()
    }

    /// A connection is open, and its 101 leaves before all that is sent here.
    fn on_open(&mut self, peer: &mut Peer<'_, Self::Data>) {
        let _ = peer;
    }

    /// A connection is open that we asked for, and the server has agreed. By
    /// default [`on_open`](Self::on_open) is called.
    fn on_connected(&mut self, peer: &mut Peer<'_, Self::Data>, agreed: &Agreed) {
        let _ = agreed;
        self.on_open(peer);
    }

    /// A connection that we asked for was not made, or refused by the server;
    /// its data comes back. Of a [`Socket`](crate::Socket) this is told
    /// otherwise.
    fn on_connect_failed(
        &mut self,
        data: Self::Data,
        error: OpenError,
        orders: &mut Orders<'_, Self::Data>,
    ) {
        let _ = (data, error, orders);
    }

    /// A message came, whole; text is valid UTF-8. It is lent for the length
    /// of the call. Not called if [`CHUNKS`](Self::CHUNKS) is set. By default
    /// messages are ignored.
    ///
    /// Messages come in order, also after our own Close, until the peer's.
    fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
        let _ = (peer, message);
    }

    /// A piece of a message came, if [`CHUNKS`](Self::CHUNKS) is set. Text is
    /// cut between characters; the last piece may be empty.
    fn on_chunk(&mut self, peer: &mut Peer<'_, Self::Data>, chunk: Chunk<'_>) {
        let _ = (peer, chunk);
    }

    /// A Ping came, of at most 125 bytes; it is answered already.
    fn on_ping(&mut self, peer: &mut Peer<'_, Self::Data>, payload: &[u8]) {
        let _ = (peer, payload);
    }

    /// A Pong came, with the round-trip time if it answers the loop's own Ping.
    fn on_pong(
        &mut self,
        peer: &mut Peer<'_, Self::Data>,
        payload: &[u8],
        round_trip: Option<Duration>,
    ) {
        let _ = (peer, payload, round_trip);
    }

    /// All that waited for a peer that reads slowly has been taken by the
    /// transport: after [`Backpressure::Queued`](crate::Backpressure::Queued),
    /// unless the connection ended before.
    fn on_drain(&mut self, peer: &mut Peer<'_, Self::Data>) {
        let _ = peer;
    }

    /// The time has come that
    /// [`Peer::set_timer`] asked for, with the
    /// number that it gave. Not called after [`on_close`](Self::on_close).
    fn on_timer(&mut self, peer: &mut Peer<'_, Self::Data>, timer: u64) {
        let _ = (peer, timer);
    }

    /// The time has come that [`Orders::set_timer`] or
    /// [`Loop::set_timer`](crate::Loop::set_timer) asked for, with the number
    /// that it gave. Not called for a [`Socket`](crate::Socket).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ws_mio::{Handler, Message, Orders, Prepared};
    ///
    /// /// Tells everybody ten times a second how many tenths have passed.
    /// struct Clock(u64);
    ///
    /// const TENTH: Option<Duration> = Some(Duration::from_millis(100));
    ///
    /// impl Handler for Clock {
    ///     type Data = ();
    ///
    ///     fn on_start(&mut self, orders: &mut Orders<'_, ()>) {
    ///         orders.set_timer(0, TENTH);
    ///     }
    ///
    ///     fn on_loop_timer(&mut self, timer: u64, orders: &mut Orders<'_, ()>) {
    ///         self.0 += 1;
    ///         orders.broadcast(&Prepared::new(Message::Text(&self.0.to_string())));
    ///         orders.set_timer(timer, TENTH);
    ///     }
    /// }
    /// ```
    fn on_loop_timer(&mut self, timer: u64, orders: &mut Orders<'_, Self::Data>) {
        let _ = (timer, orders);
    }

    /// The connection is over: the last call for it, and called exactly once
    /// for every [`on_open`](Self::on_open). Nothing can be sent any more.
    ///
    /// What was sent before still leaves, up to `close_timeout`, unless the
    /// connection was aborted, failed or timed out.
    fn on_close(&mut self, peer: &mut Peer<'_, Self::Data>, closed: Closed<'_>) {
        let _ = (peer, closed);
    }

    /// A callback panicked: that of `peer`, or one that belongs to no open
    /// connection. Called before [`on_close`](Self::on_close) of that peer; not
    /// called with [`OnPanic::Propagate`](crate::OnPanic::Propagate), and never
    /// of a [`Socket`](crate::Socket).
    ///
    /// `panic` is what [`std::panic::catch_unwind`] returns. The panic is logged
    /// already. One in this method is logged, too.
    fn on_panic(&mut self, peer: Option<PeerId>, panic: Box<dyn Any + Send>) {
        let _ = (peer, panic);
    }
}

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
