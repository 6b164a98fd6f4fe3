//! The client's side of the opening handshake.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, Span, debug, info_span};
use ws_handshake::{ClientHandshake, ClientProgress, ClientRequest, HandshakeError, Uri};
use ws_proto::{ClientMasking, ConfigError, KeepaliveConfig, Limits, Masking};

#[cfg(feature = "proxy")]
use crate::proxy::{Route, tunnel};
use crate::{
    AsyncIo, Config, ControlledNetwork, Error, MaybeTls, PeerAddr, Runtime, Timeout, WebSocket,
    engine::{Agreed, Engine},
    eyeballs::{STAGGER, connect_first},
    handshaking::{Deadline, Turn, read, within, write_all},
    peer::warn_if_exposed,
    timer::Timers,
};

/// Connects to a `ws://` URL over TCP, or with the feature `tls` to a `wss://`
/// URL over TLS, with the defaults.
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
pub async fn connect(
    url: &str,
) -> Result<WebSocket<MaybeTls<<AsyncIo as Runtime>::TcpStream>>, Error> {
    //= RFC6455-4.1-8
    let request = ClientRequest::new(Uri::parse(url)?);
    Connector::new().connect(request).await
}

/// Makes the client's opening handshakes on a stream that is connected already,
/// such as one through a proxy or over a Unix domain socket: for a `wss://` URL
/// that of TLS first.
///
/// # Errors
///
/// As [`Connector::connect_over`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn client_on<S>(
    stream: S,
    request: ClientRequest,
) -> Result<WebSocket<MaybeTls<S>>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Connector::new()
        .connect_over(stream, PeerAddr::Unknown, request)
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
/// TCP connections and timers are those of a [`Runtime`]: of [`AsyncIo`] by [`new`](Self::new), and
/// another by [`on`](Self::on).
#[derive(Clone, Debug)]
pub struct Connector<R = AsyncIo> {
    runtime: R,
    timers: Timers,
    config: Arc<Config>,
    connect_timeout: Duration,
    max_redirects: usize,
    zero_mask: ControlledNetwork,
    is_tls: bool,
    #[cfg(feature = "tls")]
    tls: Option<ws_tls::ClientTls>,
    #[cfg(feature = "proxy")]
    route: Route,
}

impl Connector {
    /// Starts with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::with(AsyncIo, Timers::default())
    }
}

impl<R: Runtime> Connector<R> {
    /// Starts with the defaults, on the TCP and the timers of a runtime.
    #[must_use]
    pub fn on(runtime: R) -> Self
    where
        R: 'static,
    {
        let timers = Timers::new(runtime.clone());
        Self::with(runtime, timers)
    }

    fn with(runtime: R, timers: Timers) -> Self {
        Self {
            runtime,
            timers,
            config: Arc::default(),
            connect_timeout: Duration::from_secs(30),
            max_redirects: 0,
            zero_mask: ControlledNetwork::new(),
            is_tls: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "proxy")]
            route: Route::Direct,
        }
    }

    /// Sets limits and times of the connections, and what compression may cost.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Checks what was decided so far, as every handshake does before it
    /// begins; for a program that wants to know when it starts.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed: as
    /// [`Config::check`], and a `connect_timeout` of 0.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.config.check()?;
        ConfigError::check_time("connect_timeout", Some(self.connect_timeout))
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

    /// Sets how long it may take until the transport is connected, with the
    /// look-up of the host, all of its addresses, and what a proxy does; 30 s
    /// by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the opening handshake may take, with that of TLS.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.config).handshake_timeout = timeout;
        self
    }

    /// Sets how many redirects [`connect`](Self::connect) follows one after the
    /// other; none by default, so that a redirect is [`Error::Refused`].
    ///
    /// None is followed from `wss://` to `ws://`, and no header that was added
    /// to the request goes to another origin. See [`ClientRequest::follow`].
    /// Each takes its own time: the limits of time are for one attempt.
    #[must_use]
    pub const fn redirects(mut self, max: usize) -> Self {
        self.max_redirects = max;
        self
    }

    /// Sets whom to trust in TLS, and who we are. By default those servers are
    /// trusted that the platform trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ws_tls::ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects through a proxy, by HTTP CONNECT or SOCKS5. The proxy resolves
    /// the names of servers.
    ///
    /// A server behind a proxy is [`PeerAddr::Unknown`]: in no
    /// [`ControlledNetwork`], as the proxy is on the path.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_smol::{ClientRequest, Connector, Uri};
    ///
    /// let connector = Connector::new().proxy("http://alice:secret@proxy.example:3128".parse()?);
    /// let request = ClientRequest::new(Uri::parse("ws://example.com/feed")?);
    /// let websocket = connector.connect(request).await?;
    /// # drop(websocket);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: ws_handshake::proxy::Proxy) -> Self {
        self.route = Route::Through(Box::new(proxy));
        self
    }

    /// Connects through the proxies that the environment names, which nothing
    /// else asks: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. See
    /// [`Proxy::from_env`](ws_handshake::proxy::Proxy::from_env).
    ///
    /// They are read for each connection.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy_from_env(mut self) -> Self {
        self.route = Route::Environment;
        self
    }

    /// Says that the streams that are given to [`handshake`](Self::handshake)
    /// and [`connect_over`](Self::connect_over) are encrypted already: a TLS
    /// stream of one's own, or one to a program on this machine that adds TLS.
    ///
    /// A `wss://` URL is then asked for on them as they are, and a
    /// [`ControlledNetwork`] that demands TLS believes it.
    /// [`connect`](Self::connect) makes its own streams and is not concerned.
    #[must_use]
    pub const fn under_tls(mut self) -> Self {
        self.is_tls = true;
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

    /// Connects to the server that the request names: over TCP, and for a
    /// `wss://` URL over TLS.
    ///
    /// Its addresses are tried in turns of IPv6 and IPv4, each 250 ms after the
    /// one before or as soon as that fails, and the first connection is taken
    /// (RFC 8305). RFC 6455 section 4.1 wants at most one connection to an
    /// address to be in its handshake at a time: who opens many awaits them in
    /// turn.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake); [`Error::Timeout`] and [`Error::Io`]
    /// if there is no connection, the latter with the error of the last
    /// address; `Error::Tls` if there is no TLS connection, and
    /// [`Error::TlsUnavailable`] for a `wss://` URL without the feature `tls`;
    /// `Error::Proxy` and `Error::ProxyUrl` if there is no way through a proxy;
    /// [`Error::Redirect`] and [`Error::TooManyRedirects`] if redirects are
    /// followed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    pub async fn connect(
        &self,
        request: ClientRequest,
    ) -> Result<WebSocket<MaybeTls<R::TcpStream>>, Error> {
        let mut request = request;
        let mut followed = 0;
        loop {
            let outcome = self.connect_once(request.clone()).await;
            let Err(Error::Refused(response)) = outcome else {
                return outcome;
            };
            let next = match self.max_redirects {
                0 => None,
                _ => request.follow(&response)?,
            };
            request = match next {
                None => return Err(Error::Refused(response)),
                Some(_) if followed == self.max_redirects => {
                    return Err(Error::TooManyRedirects { limit: followed });
                }
                Some(next) => next,
            };
            followed += 1;
            debug!(uri = %request.uri(), "redirected");
        }
    }

    async fn connect_once(
        &self,
        request: ClientRequest,
    ) -> Result<WebSocket<MaybeTls<R::TcpStream>>, Error> {
        check_offers(&request)?;
        check_tls(request.uri())?;
        let (stream, peer) = self.connect_tcp(request.uri()).await?;
        self.open_over(stream, peer, request).await
    }

    /// Connects the transport alone, and returns it with the server's address,
    /// which is [`PeerAddr::Unknown`] behind a proxy. No byte is sent on it but
    /// what a proxy is told.
    ///
    /// With [`encrypt`](Self::encrypt) and [`handshake`](Self::handshake) this is
    /// [`connect`](Self::connect) in its steps, for a program that puts a stream
    /// of its own between two of them:
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_smol::{ClientRequest, Connector, Uri};
    ///
    /// let request = ClientRequest::new(Uri::parse("wss://example.com/feed")?);
    /// let connector = Connector::new();
    /// let (tcp, peer) = connector.connect_tcp(request.uri()).await?;
    /// let tls = connector.encrypt(tcp, request.uri()).await?;
    /// let websocket = connector.under_tls().handshake(tls, peer, request).await?;
    /// # drop(websocket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Lookup`], [`Error::Timeout`] and [`Error::Io`] if there is no
    /// connection within [`connect_timeout`](Self::connect_timeout);
    /// `Error::Proxy` and `Error::ProxyUrl` if there is no way through a proxy;
    /// [`Error::Config`] as [`check`](Self::check) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    pub async fn connect_tcp(&self, uri: &Uri) -> Result<(R::TcpStream, PeerAddr), Error> {
        self.check()?;
        let limit = Deadline::after(self.connect_timeout, &self.timers);
        //= RFC6455-4.1-4, RFC6455-4.1-8
        within(limit, Timeout::Connect, self.reach(uri)).await
    }

    /// Makes the TLS handshake on a stream that is connected already, if the
    /// URL is `wss://`; a `ws://` URL leaves the stream as it is. It has
    /// [`handshake_timeout`](Self::handshake_timeout).
    ///
    /// See [`connect_tcp`](Self::connect_tcp).
    ///
    /// # Errors
    ///
    /// `Error::Tls` if there is no TLS connection, [`Error::TlsUnavailable`]
    /// without the feature `tls`, [`Error::Timeout`], and [`Error::Config`] as
    /// [`check`](Self::check) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn encrypt<S>(&self, stream: S, uri: &Uri) -> Result<MaybeTls<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        check_tls(uri)?;
        self.encrypt_until(self.begin()?, stream, uri).await
    }

    /// Makes the opening handshakes on a stream that is connected already to
    /// the server that the request names: for a `wss://` URL that of TLS first,
    /// by what [`tls`](Self::tls) says, unless the stream is
    /// [under TLS](Self::under_tls) already.
    ///
    /// `peer` is the server's address, or [`PeerAddr::Unknown`]. Both handshakes
    /// together have [`handshake_timeout`](Self::handshake_timeout).
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_smol::{ClientRequest, Connector, PeerAddr, Uri};
    ///
    /// let stream = smol::net::unix::UnixStream::connect("/run/feed.socket").await?;
    /// // The certificate is verified for the host of the URL.
    /// let request = ClientRequest::new(Uri::parse("wss://feed.example/")?);
    /// let websocket = Connector::new().connect_over(stream, PeerAddr::Local, request).await?;
    /// # drop(websocket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake), but for [`Error::NoTls`];
    /// `Error::Tls` if there is no TLS connection, and
    /// [`Error::TlsUnavailable`] for a `wss://` URL without the feature `tls`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn connect_over<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
        request: ClientRequest,
    ) -> Result<WebSocket<MaybeTls<S>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let peer = peer.into();
        if self.is_tls {
            return self
                .handshake_until(self.begin()?, stream.into(), peer, true, request)
                .await;
        }
        check_tls(request.uri())?;
        self.open_over(stream, peer, request).await
    }

    /// Makes the opening handshakes on a stream that is not encrypted.
    async fn open_over<S>(
        &self,
        stream: S,
        peer: PeerAddr,
        request: ClientRequest,
    ) -> Result<WebSocket<MaybeTls<S>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let is_tls = request.uri().is_secure();
        let deadline = self.begin()?;
        let stream = self.encrypt_until(deadline, stream, request.uri()).await?;
        self.handshake_until(deadline, stream, peer, is_tls, request)
            .await
    }

    async fn encrypt_until<S>(
        &self,
        deadline: Deadline<'_>,
        stream: S,
        uri: &Uri,
    ) -> Result<MaybeTls<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaking = self.shake_tls(stream, uri);
        // On the heap, as it is large and soon over.
        Box::pin(within(deadline, Timeout::Handshake, shaking)).await
    }

    /// Makes the TLS handshake if the URI asks for it.
    #[cfg(feature = "tls")]
    async fn shake_tls<S>(&self, stream: S, uri: &Uri) -> Result<MaybeTls<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !uri.is_secure() {
            return Ok(stream.into());
        }
        match &self.tls {
            Some(tls) => crate::tls::connect(tls, uri, stream, &self.config.memory).await,
            None => {
                let tls = crate::tls::platform_roots()?;
                crate::tls::connect(&tls, uri, stream, &self.config.memory).await
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn shake_tls<S>(&self, stream: S, _: &Uri) -> Result<MaybeTls<S>, Error> {
        Ok(stream.into())
    }

    /// Makes the opening handshake on a stream that is connected already, and
    /// no other: a stream for a `wss://` URL is to be
    /// [under TLS](Self::under_tls). [`connect_over`](Self::connect_over) makes
    /// that of TLS too.
    ///
    /// `peer` is the server's address, or [`PeerAddr::Unknown`].
    ///
    /// # Errors
    ///
    /// [`Error::NoTls`] for a `wss://` URL on a stream that is not under TLS,
    /// before a byte is written; [`Error::Refused`] if the server answers with another status than
    /// 101, with its body; [`Error::Handshake`] if its answer breaks a rule;
    /// [`Error::Timeout`] if it did not come in time; [`Error::Io`] if the
    /// transport failed; [`Error::Config`] as [`check`](Self::check) says, and
    /// for an [offer](ClientRequest::offer) of permessage-deflate in a build
    /// without the feature `deflate`, before a byte is written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn handshake<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
        request: ClientRequest,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.check_request(&request)?;
        self.handshake_until(self.begin()?, stream, peer.into(), self.is_tls, request)
            .await
    }

    /// Checks whether a request may be sent on a stream that is connected already, as
    /// [`handshake`](Self::handshake) does; for handshakes that are made elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::NoTls`] for a `wss://` URL, unless the streams are
    /// [under TLS](Self::under_tls).
    pub fn check_request(&self, request: &ClientRequest) -> Result<(), Error> {
        match request.uri().is_secure() && !self.is_tls {
            true => Err(Error::NoTls),
            false => Ok(()),
        }
    }

    /// Begins a handshake, and returns until when it has to be over.
    fn begin(&self) -> Result<Deadline<'_>, Error> {
        self.check()?;
        Ok(Deadline::after(self.config.handshake_timeout, &self.timers))
    }

    async fn handshake_until<S>(
        &self,
        deadline: Deadline<'_>,
        stream: S,
        peer: PeerAddr,
        is_tls: bool,
        request: ClientRequest,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let span = info_span!("websocket", role = "client", %peer);
        check_offers(&request)?;
        let mut handshake = request.start_random()?;
        let opening = self.shake(stream, peer, is_tls, &mut handshake, span.clone());
        // On the heap, as it is large and soon over.
        let opening = within(deadline, Timeout::Handshake, opening).instrument(span);
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
        peer: PeerAddr,
        is_tls: bool,
        handshake: &mut ClientHandshake,
        span: Span,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let asked = write_all(&mut stream, handshake.request_bytes()).await;
        let (agreed, leftover) = match asked {
            Ok(()) => answer(&mut stream, handshake).await?,
            // Who does not want to hear all of it may have said why.
            Err(error) if is_cut_off(&error) => match answer(&mut stream, handshake).await {
                Ok(_) | Err(Error::Io(_) | Error::Handshake(HandshakeError::ConnectionLost)) => {
                    return Err(error.into());
                }
                Err(cause) => return Err(cause),
            },
            Err(error) => return Err(error.into()),
        };
        self.open(stream, agreed, leftover, peer, is_tls, span)
    }

    /// Makes the WebSocket of a stream after an opening handshake that was made
    /// elsewhere, such as in a stream of HTTP/2: with this connector's
    /// [`Config`], its flag of [MS-WSPE], and what was agreed on. `leftover` are the
    /// bytes that were read behind the server's reply.
    ///
    /// `peer` is the server's address, or [`PeerAddr::Unknown`]; whether there is
    /// TLS, [`under_tls`](Self::under_tls) says.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] as [`check`](Self::check) says, and if compression was
    /// agreed on in a build without the feature `deflate`.
    pub fn after_handshake<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
        agreed: ws_handshake::Agreed,
        leftover: Vec<u8>,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.check()?;
        let peer = peer.into();
        let span = info_span!("websocket", role = "client", %peer);
        self.open(stream, agreed, leftover, peer, self.is_tls, span)
    }

    fn open<S>(
        &self,
        stream: S,
        agreed: ws_handshake::Agreed,
        leftover: Vec<u8>,
        peer: PeerAddr,
        is_tls: bool,
        span: Span,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        ConfigError::check_deflate("agreed.deflate", agreed.deflate.is_some())?;
        let flag = self.zero_mask.decide(peer, is_tls, None);
        if flag {
            warn_if_exposed("set_mask_to_zero", peer, is_tls);
        }
        let masking = Masking::Client(client_masking(flag));
        let mut engine = Engine::new(
            stream,
            masking,
            leftover,
            Arc::clone(&self.config),
            self.timers.clone(),
            span,
        );
        engine.compress(agreed.deflate);
        engine.agreed = Some(Box::new(Agreed {
            subprotocol: agreed.subprotocol,
            headers: Some(agreed.headers),
        }));
        debug!("open");
        Ok(WebSocket::from_engine(engine))
    }

    /// Connects the transport.
    async fn reach(&self, uri: &Uri) -> Result<(R::TcpStream, PeerAddr), Error> {
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.route.proxy(uri)? {
            let connecting = self.connect_host(proxy.host_for_connect(), proxy.port());
            let (stream, _) = connecting.await.map_err(Error::of_proxy)?;
            let stream = tunnel(stream, &proxy, uri.host(), uri.port()).await?;
            return Ok((stream, PeerAddr::Unknown));
        }
        let (stream, address) = self
            .connect_host(uri.host_for_connect(), uri.port())
            .await?;
        Ok((stream, address.into()))
    }

    /// Connects to the first address of a host that can be.
    async fn connect_host(
        &self,
        host: &str,
        port: u16,
    ) -> Result<(R::TcpStream, SocketAddr), Error> {
        //= RFC6455-4.1-10
        let addresses = self.runtime.resolve(host, port).await;
        let addresses = addresses.map_err(|error| Error::lookup(host, &error))?;
        let connect = |address| self.runtime.connect(address);
        let wait = || self.timers.sleep(self.timers.now() + STAGGER);
        Ok(connect_first(addresses, connect, wait).await?)
    }

    pub(crate) const fn timers(&self) -> &Timers {
        &self.timers
    }
}

/// Refuses an offer of what this build does not have.
fn check_offers(request: &ClientRequest) -> Result<(), ConfigError> {
    ConfigError::check_deflate("request.offers", request.has_offers())
}

/// Tells whether this build can make the connection that a URL asks for.
fn check_tls(uri: &Uri) -> Result<(), Error> {
    match uri.is_secure() && !cfg!(feature = "tls") {
        true => Err(Error::TlsUnavailable),
        false => Ok(()),
    }
}

/// Reads the server's answer; returns what was agreed on, and what was read
/// behind it.
async fn answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    handshake: &mut ClientHandshake,
) -> Result<(ws_handshake::Agreed, Vec<u8>), Error> {
    let mut turn = Turn::new();
    loop {
        let (progress, leftover) = read(stream, &mut turn, |input| {
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
        .await
        // What refuses and then resets has refused.
        .map_err(|error| match handshake.eof() {
            Ok(response) => Error::Refused(Box::new(response)),
            Err(_) => error.into(),
        })?;
        match progress? {
            ClientProgress::Incomplete => {}
            ClientProgress::Agreed { agreed, .. } => return Ok((agreed, leftover)),
            ClientProgress::Refused { response, .. } => {
                debug!(status = response.status, "refused");
                return Err(Error::Refused(Box::new(response)));
            }
        }
    }
}

/// Tells whether the peer does not take any more.
fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(target_family = "wasm"))]
fn client_masking(set_mask_to_zero: bool) -> ClientMasking {
    //= MSWS-3.1.3-2
    ClientMasking::with_set_mask_to_zero(set_mask_to_zero)
}

#[cfg(target_family = "wasm")]
const fn client_masking(_: bool) -> ClientMasking {
    ClientMasking::new()
}
