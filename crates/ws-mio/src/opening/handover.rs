//! Connections whose opening handshakes were made elsewhere.

use std::io::IoSlice;

use ws_handshake::{Agreed, DeflateParams};
use ws_proto::{CloseCode, CloseFrame, ConfigError, Sender};

use super::{
    flags::{decide_unmasked, decide_zero_mask},
    request,
};
use crate::{Config, Transport, connection::role::Role};

/// An open connection whose opening handshake was made elsewhere, to be handed
/// over to a loop: by an HTTP server such as hyper, over HTTP/2, or by any other
/// program.
///
/// [`Remote::adopt`](crate::Remote::adopt) takes it to the loop of a server that
/// has the fewest connections, from any thread, and so from a
/// [`Handler`](crate::Handler) that keeps a `Remote`;
/// [`Loop::adopt`](crate::Loop::adopt), [`EventLoop::adopt`](crate::EventLoop::adopt)
/// and [`Socket::adopt`](crate::Socket::adopt) take it at once. From then on it is
/// a connection like any other of the loop. Its [`Config`] holds for it, and for a
/// client, too.
///
/// ```
/// use ws_mio::{
///     Config, EventLoop, Handler, Handover, Message, OriginPolicy, Peer, Transport, memory,
///     ws_handshake::{Request, Version},
/// };
///
/// struct Echo;
///
/// impl Handler for Echo {
///     /// The subprotocol.
///     type Data = Option<String>;
///
///     fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
///
/// let config = Config::new(OriginPolicy::Any);
/// let mut echo = EventLoop::new(config.clone(), Echo, || Ok(()))?;
///
/// // An HTTP library has read a request, for HTTP/2 here, and sends the reply.
/// let fields: [(&str, &[u8]); 6] = [
///     (":method", b"CONNECT"),
///     (":protocol", b"websocket"),
///     (":scheme", b"https"),
///     (":path", b"/chat"),
///     (":authority", b"example.com"),
///     ("sec-websocket-version", b"13"),
/// ];
/// let request = Request::from_fields(Version::HTTP_2, fields)?;
/// let acceptance = config.handshake.negotiate(&request)?;
/// let _reply = acceptance.to_fields();
///
/// // It has read the first message already.
/// let (mut client, server) = memory::pair(4096);
/// let subprotocol = acceptance.agreed_subprotocol().map(str::to_owned);
/// let handover = Handover::server(server, subprotocol)
///     .deflate(acceptance.deflate())
///     .leftover(b"\x81\x82\x00\x00\x00\x00Hi".to_vec());
/// echo.adopt(handover)?;
///
/// let mut reply = [0; 16];
/// let len = client.read(&mut reply)?;
/// assert_eq!(&reply[..len], b"\x81\x02Hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Handover<T, D = ()> {
    pub(crate) transport: T,
    pub(crate) data: D,
    pub(crate) side: Side,
    pub(crate) deflate: Option<DeflateParams>,
    /// The choice of the flag of [MS-WSPE] that our side has.
    flag: Option<bool>,
    profile: Option<usize>,
    pub(crate) leftover: Vec<u8>,
}

/// Which side is ours.
#[derive(Debug)]
pub(crate) enum Side {
    Server,
    Client(Box<Agreed>),
}

impl<T, D> Handover<T, D> {
    /// Hands over a connection of which we are the server, once the reply that
    /// accepts it was given to the transport. `data` is kept for the connection:
    /// the place for a subprotocol too, which matters to the application alone.
    /// [`Handler::on_open`](crate::Handler::on_open) is called.
    #[must_use]
    pub const fn server(transport: T, data: D) -> Self {
        Self::new(transport, data, Side::Server)
    }

    /// Hands over a connection of which we are the client, with what the server
    /// has agreed to, compression included.
    /// [`Handler::on_connected`](crate::Handler::on_connected) is called, and for a
    /// [`Socket`](crate::Socket) [`on_open`](crate::Handler::on_open).
    #[must_use]
    pub fn client(transport: T, agreed: Agreed, data: D) -> Self {
        let deflate = agreed.deflate;
        Self::new(transport, data, Side::Client(Box::new(agreed))).deflate(deflate)
    }

    const fn new(transport: T, data: D, side: Side) -> Self {
        Self {
            transport,
            data,
            side,
            deflate: None,
            flag: None,
            profile: None,
            leftover: Vec::new(),
        }
    }

    /// Says what was agreed on about permessage-deflate (RFC 7692), as
    /// [`Acceptance::deflate`](ws_handshake::Acceptance::deflate) tells; nothing
    /// by default.
    #[must_use]
    pub const fn deflate(mut self, agreed: Option<DeflateParams>) -> Self {
        self.deflate = agreed;
        self
    }

    /// Gives the bytes that were read behind the opening handshake. They come
    /// before those that the transport has.
    #[must_use]
    pub fn leftover(mut self, bytes: Vec<u8>) -> Self {
        self.leftover = bytes;
        self
    }

    /// Chooses limits, keepalive and pieces for this connection, as
    /// [`Accept::profile`](crate::Accept::profile).
    #[must_use]
    pub const fn profile(mut self, index: usize) -> Self {
        self.profile = Some(index);
        self
    }

    /// Chooses the flag `accept-unmasked-frame` of [MS-WSPE] for this connection
    /// of a server, among the peers that [`Config::accept_unmasked_frame`] names;
    /// for any other it stays off. The peer is where
    /// [`Transport::peer_addr`] says.
    #[must_use]
    pub const fn accept_unmasked_frame(mut self, flag: bool) -> Self {
        if matches!(self.side, Side::Server) {
            self.flag = Some(flag);
        }
        self
    }

    /// Chooses the flag `set-mask-to-zero` of [MS-WSPE] for this connection of a
    /// client, among the servers that [`Config::set_mask_to_zero`] names; for any
    /// other it stays off.
    #[must_use]
    pub const fn set_mask_to_zero(mut self, flag: bool) -> Self {
        if matches!(self.side, Side::Client(_)) {
            self.flag = Some(flag);
        }
        self
    }

    /// Puts the transport into another: [`UnderTls`](crate::UnderTls) or
    /// [`Either`](crate::Either), where the loop's transports are of that type.
    #[must_use]
    pub fn map_transport<U>(self, map: impl FnOnce(T) -> U) -> Handover<U, D> {
        Handover {
            transport: map(self.transport),
            data: self.data,
            side: self.side,
            deflate: self.deflate,
            flag: self.flag,
            profile: self.profile,
            leftover: self.leftover,
        }
    }

    /// Takes it apart: the transport, the bytes that were read behind the
    /// opening handshake, and the application's data.
    #[must_use]
    pub fn into_parts(self) -> (T, Vec<u8>, D) {
        (self.transport, self.leftover, self.data)
    }
}

impl<T: Transport, D> Handover<T, D> {
    /// Returns the number of its profile, of which 0 is the configuration's own.
    pub(crate) fn check(&self, config: &Config) -> Result<u8, AdoptError> {
        ConfigError::check_deflate("handover.deflate", self.deflate.is_some())?;
        request::number(self.profile, config).ok_or_else(|| {
            let index = self.profile.unwrap_or_default();
            let allowed = "an index of `Config::profiles`";
            ConfigError::new("handover.profile", &index, allowed).into()
        })
    }

    /// Decides the flag of our side.
    pub(crate) fn role(&self, config: &Config) -> Role {
        let transport = &self.transport;
        match self.side {
            Side::Server => {
                let network = &config.accept_unmasked_frame;
                Role::server(decide_unmasked(network, transport, self.flag))
            }
            Side::Client(_) => {
                let network = &config.set_mask_to_zero;
                Role::client(decide_zero_mask(network, transport, self.flag))
            }
        }
    }
}

/// A connection that a loop does not take over, handed back whole.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not adopted: {reason}")]
pub struct NotAdopted<T, D = ()> {
    /// Why it is not.
    #[source]
    pub reason: AdoptError,
    /// The connection, as it was handed over.
    pub handover: Handover<T, D>,
}

impl<T: Transport, D> NotAdopted<T, D> {
    /// Tells the peer with a Close, ends the transport, and returns the
    /// application's data: where no other loop is there to take the connection. The
    /// peer believes it open, so it is to hear why it is not: 1001 (going away) of a
    /// loop that stops, 1013 (try again later) of one that is full, and otherwise
    /// 1011 (internal error).
    ///
    /// Nothing waits: what the transport does not take at once is lost.
    pub fn turn_away(self) -> D {
        let code = match self.reason {
            AdoptError::Stopped => CloseCode::GOING_AWAY,
            AdoptError::Full | AdoptError::FullForAddress => CloseCode::TRY_AGAIN_LATER,
            AdoptError::NoLoop(_) | AdoptError::Config(_) | AdoptError::Io(_) => {
                CloseCode::INTERNAL_ERROR
            }
        };
        let Handover {
            mut transport,
            data,
            side,
            ..
        } = self.handover;
        let role = match side {
            Side::Client(_) => Role::client(false),
            Side::Server => Role::server(false),
        };
        let mut sender = Sender::new(role.masking());
        let close = CloseFrame { code, reason: "" };
        if let Ok(frame) = sender.close(Some(close)) {
            let mut bytes = Vec::new();
            frame.append_to(&mut bytes, 0);
            // It is over, whatever becomes of it.
            let _ = transport.write_last(&[IoSlice::new(&bytes)]);
            let _ = transport.flush();
        }
        let _ = transport.shutdown();
        data
    }
}

/// Why a loop does not take a connection over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The loop has [`Config::max_connections`] already, or holds close to its
    /// share of [`Config::max_memory`].
    #[error("the loop has max_connections already, or holds close to max_memory")]
    Full,
    /// The peer's address has [`Config::max_connections_per_address`] already.
    #[error("the peer's address has max_connections_per_address already")]
    FullForAddress,
    /// The loop stops, or has ended.
    #[error("the loop stops")]
    Stopped,
    /// The server has no loop of that index.
    #[error("there is no loop {0}")]
    NoLoop(usize),
    /// The handover asks for what the loop does not have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The transport could not be registered.
    #[error("the transport could not be registered: {0}")]
    Io(#[from] std::io::Error),
}

impl AdoptError {
    pub(crate) const fn of<T, D>(self, handover: Handover<T, D>) -> NotAdopted<T, D> {
        let reason = self;
        NotAdopted { reason, handover }
    }
}
