//! The server's side of the opening handshake.

use std::{
    future::{Future, poll_fn},
    io,
    sync::Arc,
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, Span, debug, info, info_span};
use ws_handshake::{
    Acceptance, DeflatePolicy, HandshakeError, HeadLimits, OriginPolicy, Request, Response,
    ServerConfig,
};
use ws_proto::{ConfigError, KeepaliveConfig, Limits, ServerMasking};

#[cfg(feature = "tls")]
use crate::TlsAcceptor;
use crate::{
    Config, ControlledNetwork, Decision, Error, Gate, NotAdmitted, Opening, PeerAddr, Rejection,
    Timeout, Timer, WebSocket,
    decision::Kind,
    engine::Engine,
    handshaking::{Deadline, Pace, Turn, close, read, within, write_all},
    peer::warn_if_exposed,
    signals::Side,
    timer::Timers,
};

/// Accepts a WebSocket on a stream, with the defaults: every path, no
/// subprotocol, and of browsers only pages of the same host
/// ([`OriginPolicy::SameHost`]).
///
/// For anything else there is [`Acceptor`].
///
/// # Errors
///
/// As [`Acceptor::accept`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept<S>(stream: S) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Acceptor::new(OriginPolicy::SameHost)
        .accept(stream, PeerAddr::Unknown)
        .await
}

/// Accepts WebSockets: what a server has decided before the first of them.
///
/// ```
/// use ws_smol::{Acceptor, ControlledNetwork, OriginPolicy};
///
/// let acceptor = Acceptor::new(OriginPolicy::list(["https://example.com"])?)
///     .subprotocols(["chat"])
///     .accept_unmasked_frame(ControlledNetwork::new().loopback());
/// # let _ = acceptor;
/// # Ok::<(), ws_smol::OriginError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Acceptor {
    handshake: ServerConfig,
    config: Arc<Config>,
    unmasked: ControlledNetwork,
    is_tls: bool,
    gate: Option<Gate>,
    timers: Timers,
}

impl Acceptor {
    /// Starts with the defaults, and with whose pages may connect: no default
    /// is right for all servers. See [`OriginPolicy`].
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self {
            handshake: ServerConfig::new(origins),
            config: Arc::default(),
            unmasked: ControlledNetwork::new(),
            is_tls: false,
            gate: None,
            timers: Timers::default(),
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
    /// ```
    /// use ws_smol::{Acceptor, OriginPolicy};
    ///
    /// let acceptor = Acceptor::new(OriginPolicy::SameHost).subprotocols(["chat v2"]);
    /// let error = acceptor.check().unwrap_err();
    /// assert_eq!(error.field, "subprotocols");
    /// assert_eq!(error.value, "chat v2");
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed: as
    /// [`Config::check`], limits of the head that are 0, subprotocols that are
    /// no tokens (RFC 6455 section 4.1), as no client can list them, and a
    /// policy for [compression](Self::deflate) without the feature `deflate`.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.config.check()?;
        let head = self.handshake.head_limits();
        ConfigError::check_number("head_limits.max_head", head.max_head as u64)?;
        ConfigError::check_number("head_limits.max_headers", head.max_headers as u64)?;
        let is_compressed = self.handshake.deflate_policy().is_some();
        ConfigError::check_deflate("deflate", is_compressed)?;
        match self.handshake.invalid_subprotocol() {
            Some(name) => Err(ConfigError::new("subprotocols", &name, "a token")),
            None => Ok(()),
        }
    }

    /// Sets how much a client may send in a frame and in a message.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.config).limits = limits;
        self
    }

    /// Sets when a client is asked whether it is there.
    #[must_use]
    pub fn keepalive(mut self, keepalive: KeepaliveConfig) -> Self {
        Arc::make_mut(&mut self.config).keepalive = keepalive;
        self
    }

    /// Sets how long the opening handshake may take.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.config).handshake_timeout = timeout;
        self
    }

    /// Sets how large the head of a request may be.
    #[must_use]
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.handshake = self.handshake.limits(limits);
        self
    }

    /// Sets the subprotocols that the server speaks; of those that the client
    /// lists too, the one that the client likes best is agreed on.
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.handshake = self.handshake.subprotocols(names);
        self
    }

    /// Agrees to compress with clients that offer permessage-deflate, by this
    /// policy; without it every offer is declined.
    ///
    /// [`Config::deflate`] and [`Config::inflate`] say what it may cost. See
    /// [the crate](crate#compression) for when not to compress.
    #[must_use]
    pub fn deflate(mut self, policy: DeflatePolicy) -> Self {
        self.handshake = self.handshake.deflate(policy);
        self
    }

    /// Sets the flag `accept-unmasked-frame` of [MS-WSPE]: for every client
    /// with `true`, or for those in a [`ControlledNetwork`]; for none by
    /// default. See [`MaskingPolicy`](ws_proto::MaskingPolicy) for what the
    /// flag gives up.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn accept_unmasked_frame(mut self, clients: impl Into<ControlledNetwork>) -> Self {
        //= MSWS-3.2.3-1
        self.unmasked = clients.into();
        self
    }

    /// Says that the streams are under TLS already: TLS streams of one's own,
    /// or those of a proxy on this machine that ends TLS. A
    /// [`ControlledNetwork`] that demands TLS believes it.
    #[must_use]
    pub const fn under_tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Answers with 503 from when a [`Gate`] is [drained](Gate::drain): the
    /// requests that are not whole or not decided then, and those that come
    /// later. A TLS
    /// handshake is broken off, as there is no way to say anything in it.
    #[must_use]
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Lends the memory of connections.
    #[cfg(feature = "tls")]
    pub(crate) fn memory(&self) -> &crate::MemoryBudget {
        &self.config.memory
    }

    /// Sets whose time deadlines and keepalive are measured by, such as that of tokio;
    /// see [`Timer`].
    #[must_use]
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timers = Timers::new(timer);
        self
    }

    /// Goes on over TLS: the last word of the server's decisions.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(self, tls: ws_tls::ServerTls) -> TlsAcceptor {
        let turns = self.config.tls_handshakes_per_turn;
        TlsAcceptor::new(self, tls, turns)
    }

    /// Accepts a WebSocket on a stream. A request that is not a correct
    /// opening handshake is refused with the HTTP status that says why.
    ///
    /// `peer` is the client's address, such as the listener told it, or
    /// [`PeerAddr::Unknown`].
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] if the request was refused, [`Error::Timeout`] if
    /// it did not come in time, which is answered with 408,
    /// [`Error::Config`] as [`check`](Self::check) says,
    /// [`Error::NotAdmitted`] if the [gate](Self::gate) is drained,
    /// [`Error::OverMemory`] if there is little left of [`Config::memory`],
    /// and [`Error::Io`] if the transport failed. Who was answered is given
    /// [`Config::close_timeout`] to read that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_with(stream, peer, async |_, _| Decision::accept())
            .await
    }

    /// Accepts a WebSocket on a stream if `decide` says so.
    ///
    /// `decide` sees every request whose HTTP syntax is sound, also one that
    /// is not an opening handshake, and can answer each with a [`Response`]: a
    /// 404 by its path, a 401, or a page for a browser. What it accepts is
    /// still checked by the rules of RFC 6455 and the [`OriginPolicy`].
    ///
    /// It may wait, such as to look a token up elsewhere. That is a part of the
    /// handshake: it counts into [`Config::handshake_timeout`], and a request
    /// that is not decided by then is answered with 503.
    ///
    /// ```no_run
    /// # use ws_smol::{Acceptor, Decision, Error, OriginPolicy, Response};
    /// # async fn serve(stream: smol::net::TcpStream, peer: std::net::SocketAddr) -> Result<(), Error> {
    /// # async fn is_known(token: Option<&[u8]>) -> bool { token.is_some() }
    /// let acceptor = Acceptor::new(OriginPolicy::SameHost);
    /// let websocket = acceptor
    ///     .accept_with(stream, peer, async |request, _peer| match request.path() {
    ///         "/chat" if is_known(request.header("Authorization")).await => Decision::accept(),
    ///         "/chat" => Decision::respond(Response::new(401)),
    ///         _ => Decision::respond(Response::new(404)),
    ///     })
    ///     .await?;
    /// # drop(websocket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept); [`Error::Answered`] if `decide` answered
    /// with a response, and [`Timeout::Decision`] if it did not in time;
    /// [`Error::Header`], [`Error::Subprotocol`] and [`Error::Config`] if what
    /// it wanted cannot be sent or used, which the client sees as a 500.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept_with<S, F>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
        decide: F,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision,
    {
        let deadline = self.begin()?;
        self.accept_until(deadline, stream, peer.into(), self.is_tls, decide)
            .await
    }

    /// Begins a handshake, if there is memory for its connection, and returns
    /// until when it has to be over.
    pub(crate) fn begin(&self) -> Result<Deadline<'_>, Error> {
        self.check()?;
        self.config.memory.check_room()?;
        Ok(Deadline::after(self.config.handshake_timeout, &self.timers))
    }

    /// Runs a part of a handshake, as long as the server goes on.
    pub(crate) async fn unless_draining<T>(
        &self,
        part: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match &self.gate {
            Some(gate) => gate.unless_draining(part).await,
            None => part.await,
        }
    }

    /// Does the last for a client that is refused, as far as there is time;
    /// how that goes is no matter.
    pub(crate) async fn part(&self, last: impl Future<Output = io::Result<()>>) {
        let ends_at = self.gate.as_ref().and_then(Gate::ends_at);
        let limit = Deadline::after(self.config.close_timeout, &self.timers).and_at(ends_at);
        let _ = within(limit, Timeout::Close, async { Ok(last.await?) }).await;
    }

    pub(crate) async fn accept_until<S, F>(
        &self,
        deadline: Deadline<'_>,
        stream: S,
        peer: PeerAddr,
        is_tls: bool,
        decide: F,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision,
    {
        let span = info_span!("websocket", role = "server", %peer);
        // On the heap, as it is large and soon over: the future of a task is as
        // long as the longest that it ever waits for.
        let opening = self.handshake(deadline, stream, peer, is_tls, decide);
        Box::pin(opening.instrument(span)).await
    }

    async fn handshake<S, F>(
        &self,
        deadline: Deadline<'_>,
        mut stream: S,
        peer: PeerAddr,
        is_tls: bool,
        decide: F,
    ) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision,
    {
        let answer = match self.read_request(deadline, &mut stream).await? {
            Ok(received) => {
                self.decide(deadline, received, &peer, is_tls, decide)
                    .await?
            }
            Err(answer) => answer,
        };
        match answer.outcome {
            Err(error) => {
                match &error {
                    Error::Handshake(HandshakeError::TlsClientHello) => info!("{error}"),
                    _ => debug!(%error, "refused"),
                }
                self.part(async {
                    write_all(&mut stream, &answer.head).await?;
                    close(&mut stream).await
                })
                .await;
                Err(error)
            }
            Ok(accepted) => {
                if accepted.opening.masking.accept_unmasked_frame() {
                    warn_if_exposed("accept_unmasked_frame", peer, is_tls);
                }
                let opening = self.open(stream, &answer.head, accepted);
                within(deadline, Timeout::Handshake, opening).await
            }
        }
    }

    /// Reads a request, or answers what keeps it from coming.
    async fn read_request<S: AsyncRead + Unpin>(
        &self,
        deadline: Deadline<'_>,
        stream: &mut S,
    ) -> Result<Result<Received, Answer>, Error> {
        let mut reader = self.handshake.head_reader();
        let mut pace = Pace::new(self.config.min_head_rate, self.config.handshake_timeout);
        let mut turn = Turn::new();
        loop {
            let (deadline, timeout) = pace.next_deadline(deadline);
            let held = reader.heap_bytes();
            let reading = read(stream, &mut turn, |input| {
                pace.note(input.len(), &self.timers);
                if input.is_empty() {
                    return Some(Err(Answer::lost()));
                }
                match reader.receive(input) {
                    Ok(None) => None,
                    Ok(Some(head)) => Some(Ok(Received {
                        head: head.as_bytes().to_vec(),
                        leftover: input[head.consumed()..].to_vec(),
                    })),
                    Err(error) => Some(Err(Answer::reject(error))),
                }
            });
            let reading = async { Ok(reading.await?) };
            let reading = self.config.memory.holding(held, reading);
            let reading = within(deadline, timeout, self.unless_draining(reading));
            match reading.await {
                Ok(None) => {}
                Ok(Some(received)) => return Ok(received),
                Err(error) => return Answer::cut_short(error).map(Err),
            }
        }
    }

    /// Has a request decided, and makes the answer to it.
    async fn decide<F>(
        &self,
        deadline: Deadline<'_>,
        received: Received,
        peer: &PeerAddr,
        is_tls: bool,
        decide: F,
    ) -> Result<Answer, Error>
    where
        F: AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision,
    {
        let Received { head, leftover } = received;
        let request = match Request::parse(&head, &self.handshake.head_limits()) {
            Ok(request) => request,
            Err(error) => return Ok(Answer::reject(error)),
        };
        let held = head.capacity() + leftover.capacity();
        let deciding = async { Ok(decide(&request, peer).await) };
        let deciding = self.config.memory.holding(held, deciding);
        let deciding = self.unless_draining(deciding);
        match within(deadline, Timeout::Decision, deciding).await {
            Ok(decision) => Ok(self.answer(&request, leftover, peer, is_tls, decision)),
            Err(error) => Answer::cut_short(error),
        }
    }

    /// Sends what accepts the request; there is a connection then.
    async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        head: &[u8],
        accepted: Accepted,
    ) -> Result<WebSocket<S>, Error> {
        let Accepted { opening, leftover } = accepted;
        let mut engine = opening.into_engine(stream, leftover);
        engine.push_head(head);
        let mut websocket = WebSocket::from_engine(engine);
        poll_fn(|cx| {
            let engine = websocket.engine();
            engine.poll(cx, Side::Write, Engine::poll_flush)
        })
        .await?;
        debug!("open");
        Ok(websocket)
    }

    /// Answers a request: what is sent, and what comes of it.
    fn answer(
        &self,
        request: &Request<'_>,
        leftover: Vec<u8>,
        peer: &PeerAddr,
        is_tls: bool,
        decision: Decision,
    ) -> Answer {
        match self.judge_peer(request, *peer, is_tls, decision, Span::current()) {
            Ok((acceptance, opening)) => {
                let mut head = Vec::with_capacity(160);
                acceptance.write_to(&mut head);
                let outcome = Ok(Accepted { opening, leftover });
                Answer { head, outcome }
            }
            Err(rejection) => Answer::respond(&rejection.response, rejection.error),
        }
    }

    /// Judges an opening handshake that an HTTP library has read, over HTTP/1.1,
    /// HTTP/2 or HTTP/3, and whose answer that library sends: by the decision, the
    /// rules of the handshake, the [`OriginPolicy`], subprotocols and compression,
    /// and whether the [gate](Self::gate) is drained.
    ///
    /// What the [`Acceptance`] says is to be sent. Then [`Opening::open`] makes the
    /// WebSocket of the stream. How long the request may take, and how large it
    /// may be, is that library's.
    ///
    /// `peer` is the client's address, as the connection tells it, and never as a
    /// header of the request does; or [`PeerAddr::Unknown`]. The flag of [MS-WSPE]
    /// is decided by it.
    ///
    /// ```
    /// use ws_smol::{Acceptor, Decision, Error, OriginPolicy, PeerAddr, Request, Version, duplex};
    ///
    /// # fn main() -> Result<(), Error> {
    /// // What an HTTP/2 library has read.
    /// let fields: [(&str, &[u8]); 6] = [
    ///     (":method", b"CONNECT"),
    ///     (":protocol", b"websocket"),
    ///     (":scheme", b"https"),
    ///     (":path", b"/chat"),
    ///     (":authority", b"example.com"),
    ///     ("sec-websocket-version", b"13"),
    /// ];
    /// let request = Request::from_fields(Version::HTTP_2, fields)?;
    /// let acceptor = Acceptor::new(OriginPolicy::SameHost);
    /// match acceptor.judge(&request, PeerAddr::Unknown, Decision::accept()) {
    ///     Ok((acceptance, opening)) => {
    ///         let _reply = acceptance.to_fields(); // send it
    ///         let (stream, _) = duplex(1024); // the stream of that request
    ///         let _websocket = opening.open(stream, Vec::new());
    ///     }
    ///     Err(rejection) => {
    ///         let _reply = rejection.response.to_fields(); // send it, and end the stream
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection`]: what to answer instead, and why. Its errors are those of
    /// [`accept_with`](Self::accept_with).
    pub fn judge<'r>(
        &self,
        request: &'r Request<'_>,
        peer: impl Into<PeerAddr>,
        decision: Decision,
    ) -> Result<(Acceptance<'r>, Opening), Box<Rejection>> {
        let peer = peer.into();
        let span = info_span!("websocket", role = "server", %peer);
        let _entered = span.enter();
        let judged = self
            .check_room()
            .and_then(|()| self.judge_peer(request, peer, self.is_tls, decision, span.clone()));
        match judged {
            Ok((acceptance, opening)) => {
                if opening.masking.accept_unmasked_frame() {
                    warn_if_exposed("accept_unmasked_frame", peer, self.is_tls);
                }
                Ok((acceptance, opening))
            }
            Err(mut rejection) => {
                debug!(error = %rejection.error, "refused");
                rejection.response = rejection.response.clone().for_request(request);
                Err(rejection)
            }
        }
    }

    /// Tells whether there is room for one more.
    fn check_room(&self) -> Result<(), Box<Rejection>> {
        if self.gate.as_ref().and_then(Gate::ends_at).is_some() {
            return Err(Rejection::with_status(503, NotAdmitted::Draining));
        }
        self.begin().map(drop).map_err(|error| {
            let status = match error {
                Error::OverMemory { .. } => 503,
                _ => 500,
            };
            Rejection::with_status(status, error)
        })
    }

    fn judge_peer<'r>(
        &self,
        request: &'r Request<'_>,
        peer: PeerAddr,
        is_tls: bool,
        decision: Decision,
        span: Span,
    ) -> Result<(Acceptance<'r>, Opening), Box<Rejection>> {
        let accept = match decision.0 {
            Kind::Accept(accept) => accept,
            Kind::Respond(response) => {
                let status = response.status();
                return Err(Rejection::new(
                    response.for_request(request),
                    Error::Answered { status },
                ));
            }
        };
        let acceptance = self.handshake.negotiate(request).map_err(|error| {
            let response = error.rejection().for_request(request);
            Rejection::new(response, error.into())
        })?;
        let flag = self.unmasked.decide(peer, is_tls, accept.unmasked);
        let acceptance = accept
            .apply(acceptance)
            .map_err(|error| Rejection::with_status(500, error))?;
        let config = accept
            .configure(&self.config)
            .map_err(|error| Rejection::with_status(500, error))?;
        let opening = Opening {
            masking: server_masking(flag),
            subprotocol: acceptance.agreed_subprotocol().map(str::to_owned),
            deflate: acceptance.deflate(),
            config,
            timers: self.timers.clone(),
            span,
        };
        Ok((acceptance, opening))
    }
}

#[cfg(not(target_family = "wasm"))]
const fn server_masking(accept_unmasked_frame: bool) -> ServerMasking {
    //= MSWS-3.2.3-2
    ServerMasking::with_accept_unmasked_frame(accept_unmasked_frame)
}

#[cfg(target_family = "wasm")]
const fn server_masking(_: bool) -> ServerMasking {
    ServerMasking::new()
}

/// A request, and what was read behind it.
struct Received {
    head: Vec<u8>,
    leftover: Vec<u8>,
}

/// What is sent to a client, and what comes of it.
struct Answer {
    head: Vec<u8>,
    outcome: Result<Accepted, Error>,
}

struct Accepted {
    opening: Opening,
    leftover: Vec<u8>,
}

impl Answer {
    fn respond(response: &Response, error: Error) -> Self {
        let mut head = Vec::new();
        response.write_to(&mut head);
        Self {
            head,
            outcome: Err(error),
        }
    }

    fn reject(error: HandshakeError) -> Self {
        Self::respond(&error.rejection(), Error::Handshake(error))
    }

    /// The request does not come, or the server does not wait for it; fails if
    /// there is nothing to say to that.
    fn cut_short(error: Error) -> Result<Self, Error> {
        let status = match error {
            Error::Timeout(Timeout::Decision) => 503,
            Error::Timeout(_) => 408,
            Error::NotAdmitted(_) => 503,
            error => return Err(error),
        };
        Ok(Self::respond(&Response::new(status), error))
    }

    /// The client went away before its request was complete.
    fn lost() -> Self {
        Self {
            head: Vec::new(),
            outcome: Err(Error::Handshake(HandshakeError::IncompleteHead)),
        }
    }
}
