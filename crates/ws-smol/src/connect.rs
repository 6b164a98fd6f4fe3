//! The client's side of the opening handshake.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use async_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, Span, debug, info_span};
use ws_handshake::{ClientHandshake, ClientProgress, ClientRequest, Uri};
use ws_proto::{ClientMasking, KeepaliveConfig, Limits, Masking};

use crate::{
    Config, ControlledNetwork, Error, Peer, WebSocket,
    engine::{Agreed, Engine},
    error::Timeout,
    handshaking::{read, within, write_all},
    peer::{decide_flag, warn_if_exposed},
};

/// Connects to a `ws://` URL over TCP, with the defaults.
///
/// For headers, subprotocols, limits and times there is [`Connector`], and for
/// transports of another kind [`client_on`].
///
/// # Errors
///
/// As [`Connector::connect`], and [`Error::Uri`] if that is no WebSocket URL.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt.
pub async fn connect(url: &str) -> Result<WebSocket<TcpStream>, Error> {
    //= RFC6455-4.1-8
    let request = ClientRequest::new(Uri::parse(url)?);
    Connector::new().connect(request).await
}

/// Makes the client's opening handshake on a stream that is connected already,
/// such as one through a proxy or over a Unix domain socket.
///
/// # Errors
///
/// As [`Connector::handshake`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn client_on<S>(stream: S, request: ClientRequest) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Connector::new()
        .handshake(stream, Peer::Unknown, request)
        .await
}

/// Connects WebSockets: what a client has decided before the first of them.
///
/// What is asked of the server (path, headers, subprotocols, origin) is the
/// [`ClientRequest`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ws_smol::{ClientRequest, Connector, Uri};
///
/// let request = ClientRequest::new(Uri::parse("ws://example.com/feed")?)
///     .subprotocol("quotes")?
///     .header("Authorization", "Bearer 1234")?;
/// let websocket = Connector::new().connect(request).await?;
/// assert_eq!(websocket.subprotocol(), Some("quotes"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<Config>,
    connect_timeout: Option<Duration>,
    zero_mask: ControlledNetwork,
}

impl Connector {
    /// Starts with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: Arc::default(),
            connect_timeout: Some(Duration::from_secs(30)),
            zero_mask: ControlledNetwork::new(),
        }
    }

    /// Sets limits and times of the connections, and what compression may cost.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Sets how much a server may send in a frame and in a message.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.config).limits = limits;
        self
    }

    /// Sets when the server is asked whether it is there.
    #[must_use]
    pub fn keepalive(mut self, keepalive: KeepaliveConfig) -> Self {
        Arc::make_mut(&mut self.config).keepalive = keepalive;
        self
    }

    /// Sets how long each address of the server may take to connect; 30 s by
    /// default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets how long the opening handshake may take.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.config).handshake_timeout = Some(timeout);
        self
    }

    /// Sets the flag `set-mask-to-zero` of [MS-WSPE]: for every server with
    /// `true`, or for those in a [`ControlledNetwork`]; for none by default.
    /// Frames then keep the MASK bit, and their key is `00 00 00 00`.
    ///
    /// See [`MaskingPolicy`](ws_proto::MaskingPolicy) for what the flag gives
    /// up.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn set_mask_to_zero(mut self, servers: impl Into<ControlledNetwork>) -> Self {
        //= MSWS-3.1.3-1
        self.zero_mask = servers.into();
        self
    }

    /// Connects to the server that the request names, over TCP.
    ///
    /// Its addresses are tried one after the other. RFC 6455 section 4.1 wants
    /// at most one connection to an address to be in its handshake at a time:
    /// who opens many awaits them in turn.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Timeout`] if no address could be connected
    /// to, the last of them; [`Error::TlsUnavailable`] for a `wss://` URL; and
    /// as [`handshake`](Self::handshake).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    pub async fn connect(&self, request: ClientRequest) -> Result<WebSocket<TcpStream>, Error> {
        if request.uri().is_secure() {
            return Err(Error::TlsUnavailable);
        }
        //= RFC6455-4.1-4, RFC6455-4.1-8
        let (stream, address) = self.connect_tcp(request.uri()).await?;
        self.handshake(stream, address, request).await
    }

    /// Makes the opening handshake on a stream that is connected already.
    ///
    /// `peer` is the server's address, or [`Peer::Unknown`].
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the server answers with another status than 101,
    /// with its body; [`Error::Handshake`] if its answer breaks a rule;
    /// [`Error::Timeout`] if it did not come in time; [`Error::Io`] if the
    /// transport failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn handshake<S>(
        &self,
        stream: S,
        peer: impl Into<Peer>,
        request: ClientRequest,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let peer = peer.into();
        let span = info_span!("websocket", role = "client", ?peer);
        let mut handshake = request.start_random();
        let opening = self.shake(stream, peer, &mut handshake, span.clone());
        let limit = self.config.handshake_timeout;
        // On the heap, as it is large and soon over.
        let opening = within(limit, Timeout::Handshake, opening).instrument(span);
        let outcome = Box::pin(opening).await;
        match (outcome, handshake.response()) {
            // A refusal is one also if its body takes too long.
            (Err(Error::Timeout(_)), Some(response)) => {
                let mut response = Box::new(response.clone());
                response.truncated = true;
                Err(Error::Refused(response))
            }
            (outcome, _) => outcome,
        }
    }

    async fn shake<S>(
        &self,
        mut stream: S,
        peer: Peer,
        handshake: &mut ClientHandshake,
        span: Span,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        write_all(&mut stream, handshake.request_bytes()).await?;
        let (agreed, leftover) = loop {
            let (progress, leftover) = read(&mut stream, |input| {
                if input.is_empty() {
                    let refused = |response| ClientProgress::Refused {
                        response,
                        consumed: 0,
                    };
                    return (handshake.eof().map(refused), Vec::new());
                }
                let progress = handshake.receive(input);
                let leftover = match &progress {
                    Ok(ClientProgress::Agreed { consumed, .. }) => input[*consumed..].to_vec(),
                    _ => Vec::new(),
                };
                (progress, leftover)
            })
            .await?;
            match progress? {
                ClientProgress::Incomplete => {}
                ClientProgress::Agreed { agreed, .. } => break (agreed, leftover),
                ClientProgress::Refused { response, .. } => {
                    debug!(status = response.status, "refused");
                    return Err(Error::Refused(Box::new(response)));
                }
            }
        };
        #[cfg(not(feature = "deflate"))]
        if agreed.deflate.is_some() {
            return Err(Error::DeflateUnavailable);
        }
        let flag = decide_flag(&self.zero_mask, &peer, false, None);
        if flag {
            warn_if_exposed("set_mask_to_zero", &peer, false);
        }
        let masking = Masking::Client(client_masking(flag));
        let mut engine = Engine::new(stream, masking, leftover, Arc::clone(&self.config), span);
        #[cfg(feature = "deflate")]
        if let Some(params) = agreed.deflate {
            engine.compress(params);
        }
        engine.agreed = Some(Box::new(Agreed {
            subprotocol: agreed.subprotocol,
            headers: Some(agreed.headers),
        }));
        debug!("open");
        Ok(WebSocket::from_engine(engine))
    }

    /// Connects to the first address that can be.
    async fn connect_tcp(&self, uri: &Uri) -> Result<(TcpStream, SocketAddr), Error> {
        let host = (uri.host_for_connect(), uri.port());
        let resolve = async { Ok(async_net::resolve(host).await?) };
        let addresses = self.attempt(resolve).await?;
        //= RFC6455-4.1-10
        let mut failure = Error::Io(io::ErrorKind::NotFound.into());
        for address in addresses {
            let connect = async { Ok(TcpStream::connect(address).await?) };
            match self.attempt(connect).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok((stream, address));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn attempt<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        within(self.connect_timeout, Timeout::Connect, future).await
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(target_family = "wasm"))]
const fn client_masking(set_mask_to_zero: bool) -> ClientMasking {
    //= MSWS-3.1.3-2
    ClientMasking::with_set_mask_to_zero(set_mask_to_zero)
}

#[cfg(target_family = "wasm")]
const fn client_masking(_: bool) -> ClientMasking {
    ClientMasking::new()
}
