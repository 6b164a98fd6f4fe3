//! One connection in somebody else's loop.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, event::Source, net::TcpStream};
use tracing::{Span, debug, info_span};
use ws_handshake::{Agreed, ClientRequest, HandshakeError, HeadReader, Response};
use ws_proto::{Due, Keepalive, KeepaliveConfig, Limits, Masking};

use crate::{
    Cause, ClientConfig, Config, Handler, OpenError, Peer, PeerId, Ready, SlowConsumer, Timeout,
    Transport,
    call::{Answer, Call},
    connect::Role,
    connection::{Fate, Link, Phase, Slot, Turn, high_water},
    deflate::{Codecs, Terms},
    opening::{Admitted, decide, may_mask_with_zero},
    pool::Pool,
    scratch::Scratch,
    wheel::{TICK, Tick, tick_at},
};

/// A connection as a [`mio::event::Source`], for a loop of one's own; as a
/// client or as a server, over TCP or any other [`Transport`].
///
/// 1. [`connect`](Self::connect) or [`accept`](Self::accept), and register it
///    with readable *and* writable interest, once.
/// 2. Hand every event to [`ready`](Self::ready), which calls a [`Handler`] as
///    a [`Server`](crate::Server) does.
/// 3. Poll no longer than until [`next_timeout`](Self::next_timeout), and then
///    call [`handle_timeout`](Self::handle_timeout).
/// 4. Drop it once either returns [`SocketState::Closed`] or an error.
///
/// Between events it owns no read buffer; all sockets of a thread share one.
///
/// ```
/// use std::{net::TcpListener, sync::Arc, time::Instant};
///
/// use mio::{Events, Interest, Poll, Token, net::TcpStream};
/// use ws_mio::{
///     ClientConfig, ClientRequest, CloseCode, Config, Handler, Message, OriginPolicy, Peer,
///     Socket, SocketState, Uri,
/// };
///
/// /// The server sends messages back.
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
///
/// /// The client says hello, and goodbye after the answer.
/// struct Hello;
///
/// impl Handler for Hello {
///     type Data = ();
///     fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
///         peer.send_text("Hello");
///     }
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         assert_eq!(message, Message::Text("Hello"));
///         peer.close(CloseCode::NORMAL, "");
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let request = ClientRequest::new(Uri::parse(&format!("ws://{address}/"))?);
/// let mut client = Socket::connect(address, request, &ClientConfig::default())?;
///
/// let (stream, _) = listener.accept()?;
/// stream.set_nonblocking(true)?;
/// let config = Arc::new(Config::new(OriginPolicy::Any));
/// let mut server = Some(Socket::accept(TcpStream::from_std(stream), config));
///
/// let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
/// let both = Interest::READABLE | Interest::WRITABLE;
/// poll.registry().register(&mut client, Token(0), both)?;
/// poll.registry().register(server.as_mut().unwrap(), Token(1), both)?;
/// while client.state() != SocketState::Closed {
///     let next = [client.next_timeout(), server.as_ref().and_then(Socket::next_timeout)];
///     let next = next.into_iter().flatten().min();
///     poll.poll(&mut events, next.map(|at| at.saturating_duration_since(Instant::now())))?;
///     for event in &events {
///         if event.token() == Token(0) {
///             client.ready(event, &mut Hello)?;
///         } else if let Some(socket) = &mut server {
///             if socket.ready(event, &mut Echo)? == SocketState::Closed {
///                 server = None; // closes the transport, which the client waits for
///             }
///         }
///     }
///     client.handle_timeout(&mut Hello)?;
///     if let Some(socket) = &mut server {
///         socket.handle_timeout(&mut Echo)?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Socket<D = (), T = TcpStream> {
    slot: Slot<T, D>,
    link: Link,
    cork: Vec<u8>,
    /// Lends nothing: a socket alone gathers large messages as they come.
    pool: Pool,
    /// Its own alone, and empty unless something is compressed.
    codecs: Codecs,
    opening: Opening,
    agreed: Option<Agreed>,
    /// Why the connection never came to be, until the answer has left.
    refused: Option<OpenError>,
    span: Span,
    keepalive: KeepaliveConfig,
    close_timeout: Duration,
    high_water: usize,
    limits: Limits,
    max_backpressure: usize,
    slow_consumer: SlowConsumer,
    started: Instant,
    now: Duration,
}

/// How far the opening handshake is.
#[derive(Debug)]
enum Opening {
    Client(Box<Call>),
    Server(Box<(HeadReader, Arc<Config>)>),
    Done,
}

/// How far a [`Socket`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// The opening handshake is under way.
    Opening,
    /// Messages go both ways, or the closing handshake is under way.
    Open,
    /// It is over: [`Handler::on_close`] was called, or the client's request
    /// was refused. The last bytes are still on their way: go on with events
    /// and timeouts.
    Ending,
    /// It is over: drop the socket.
    Closed,
}

/// A socket is in no loop of ours, and has no name there.
const NOBODY: PeerId = PeerId {
    index: 0,
    key: 0,
    generation: 0,
};
/// How much is read at once.
const READ_BUFFER: usize = 64 * 1024;
/// How many reads there are in a row before and after a connection is open.
const READS: usize = 16;
/// How many turns a connection gets in a row, of a MiB each.
const TURNS: usize = 4;

impl<D: Default> Socket<D, TcpStream> {
    /// Starts to connect to a server, directly.
    ///
    /// `address` is that of the request's host, which the caller looked up:
    /// that can take long.
    ///
    /// # Errors
    ///
    /// Those of the system; many come with the first event only.
    pub fn connect(
        address: SocketAddr,
        request: ClientRequest,
        config: &ClientConfig,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self::client(stream, Some(address), request, config))
    }
}

impl<D: Default, T: Transport> Socket<D, T> {
    /// Starts the opening handshake over a stream that is connected, or is
    /// being connected, to a server at `address`; `None` if it never leaves
    /// the machine.
    #[must_use]
    pub fn client(
        stream: T,
        address: Option<SocketAddr>,
        request: ClientRequest,
        config: &ClientConfig,
    ) -> Self {
        let set_mask_to_zero = may_mask_with_zero(&config.set_mask_to_zero, &stream, address);
        let span = info_span!("websocket", role = "client", peer = address.map(display));
        let opening = Opening::Client(Box::new(Call::new(request)));
        Self::new(
            stream,
            Role::client(set_mask_to_zero),
            opening,
            span,
            config,
        )
    }

    /// Waits for a client's opening handshake over a stream that was accepted.
    #[must_use]
    pub fn accept(mut stream: T, config: Arc<Config>) -> Self {
        // One that was accepted is connected; if it failed, reading says so.
        let _ = stream.begin();
        let span = info_span!(
            "websocket",
            role = "server",
            peer = stream.peer_addr().ok().flatten().map(display)
        );
        let common = ClientConfig::like(&config);
        let opening = Opening::Server(Box::new((config.handshake.head_reader(), config)));
        Self::new(stream, Role::Server, opening, span, &common)
    }

    /// Starts in either role.
    fn new(stream: T, role: Role, opening: Opening, span: Span, config: &ClientConfig) -> Self {
        let until = tick_at(config.handshake_timeout);
        let mut slot = Slot::new(stream, 0, Duration::ZERO, until, D::default());
        slot.role = role;
        Self {
            slot,
            link: Link::new(
                role.masking(),
                config.limits,
                config.max_backpressure,
                config.slow_consumer,
            ),
            cork: Vec::new(),
            pool: Pool::new(READ_BUFFER, 0),
            codecs: Codecs::of_socket(config),
            opening,
            agreed: None,
            refused: None,
            span,
            keepalive: config.keepalive,
            close_timeout: config.close_timeout,
            high_water: high_water(config.high_water, config.max_backpressure),
            limits: config.limits,
            max_backpressure: config.max_backpressure,
            slow_consumer: config.slow_consumer,
            started: Instant::now(),
            now: Duration::ZERO,
        }
    }

    /// Does what an event of [`mio`] makes possible, or another sign that the
    /// transport is [`Ready`]: connects, shakes hands, writes what waits, and
    /// reads and dispatches what came.
    ///
    /// It reads until there is nothing more to read, until nothing more is to
    /// be read from a peer that reads slowly, or until it has read its share,
    /// so that a peer that never stops sending cannot keep the loop. In the
    /// last case [`next_timeout`](Self::next_timeout) is at once.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the connection never came to be. Once it is open,
    /// everything is told to [`Handler::on_close`].
    pub fn ready<H: Handler<Data = D>>(
        &mut self,
        event: impl Into<Ready>,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.progress_now(event.into(), handler)
    }

    /// Lends the peer, to send outside of a handler's call; [`flush`](Self::flush)
    /// afterwards. `None` unless the connection is open.
    pub fn peer(&mut self) -> Option<Peer<'_, D>> {
        (self.state() == SocketState::Open).then_some(Peer {
            id: NOBODY,
            data: &mut self.slot.data,
            transport: &mut self.slot.transport,
            outgoing: &mut self.link.outgoing,
            cork: &mut self.cork,
            terms: self.slot.terms,
            deflating: self.codecs.lend(NOBODY.key, self.slot.terms).1,
            orders: None,
        })
    }

    /// Writes what was sent through [`peer`](Self::peer), as much as the
    /// transport takes; the rest goes out by the next events. Goes on reading
    /// if it was resumed.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub fn flush<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.progress_now(Ready::default(), handler)
    }

    /// Returns how far the connection is.
    #[must_use]
    pub const fn state(&self) -> SocketState {
        match (&self.opening, self.slot.phase) {
            (Opening::Done, Phase::Open) => SocketState::Open,
            (Opening::Done, Phase::Upgrading { .. }) => SocketState::Closed,
            (Opening::Done, _) => SocketState::Ending,
            _ => SocketState::Opening,
        }
    }

    /// Returns what a client and its server agreed on, once it is open.
    #[must_use]
    pub const fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Lends the masking policy: the role, and the flag that was chosen.
    #[must_use]
    pub const fn masking(&self) -> &Masking {
        self.link.outgoing.sender.masking()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called,
    /// which may be at once. It changes with every call of the others.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.state() == SocketState::Closed {
            return None;
        }
        if self.slot.goes_on {
            return Some(self.started + self.now);
        }
        let keepalive = || {
            self.slot
                .keepalive
                .poll_timeout(&self.keepalive)
                .map(|(at, _)| tick_at(at))
        };
        let tick = match self.slot.phase {
            Phase::Upgrading { until }
            | Phase::Flushing { until, .. }
            | Phase::Lingering { until } => Some(until),
            // After our Close, only the peer's is waited for.
            Phase::Open => {
                let due = self.link.close_by.or_else(keepalive);
                due.into_iter().chain(self.codecs.next_sweep()).min()
            }
        };
        tick.map(|tick| self.started + TICK * tick)
    }

    /// Does what the time has come for: a Ping, giving the peer up, or going on
    /// to read. Does nothing if it is called too early.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready); [`OpenError::Timeout`] if the opening
    /// handshake took too long.
    pub fn handle_timeout<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.now = self.started.elapsed();
        let _entered = self.span.clone().entered();
        let tick = self.tick();
        self.codecs.keep_time(tick);
        match self.slot.phase {
            Phase::Upgrading { until } if tick >= until => {
                let is_handshaking = self.slot.transport.is_handshaking();
                if let (Opening::Server(_), false) = (&self.opening, is_handshaking) {
                    Response::new(408).write_to(&mut self.cork);
                }
                return with_scratch(|scratch| self.refuse(scratch, OpenError::Timeout));
            }
            //= RFC6455-5.5.1-14, RFC6455-7.1.1-2
            Phase::Flushing { until, .. } | Phase::Lingering { until } if tick >= until => {
                let state = self.over();
                return self.settle(state);
            }
            Phase::Open => {}
            _ if self.slot.goes_on => return self.flush(handler),
            _ => return Ok(self.state()),
        }
        match self.link.close_by {
            //= RFC6455-7.1.1-2
            Some(at) if tick >= at => return Ok(self.give_up(handler, Timeout::Close)),
            Some(_) if self.slot.goes_on => return self.flush(handler),
            Some(_) => return Ok(self.state()),
            None => {}
        }
        match self
            .slot
            .keepalive
            .handle_timeout(&self.keepalive, self.now)
        {
            None if self.slot.goes_on => self.flush(handler),
            None => Ok(self.state()),
            // What a peer sends while it is paused is not seen.
            Some(Due::PongTimeout | Due::IdleTimeout) if self.link.outgoing.paused => {
                self.slot.keepalive.handle_data(self.now);
                Ok(self.state())
            }
            Some(Due::PongTimeout) => Ok(self.give_up(handler, Timeout::Pong)),
            Some(Due::IdleTimeout) => Ok(self.give_up(handler, Timeout::Idle)),
            Some(Due::Ping(payload)) => {
                self.turn(handler).call(|_, peer| {
                    peer.ping(&payload);
                });
                self.flush(handler)
            }
        }
    }

    fn progress_now<H: Handler<Data = D>>(
        &mut self,
        ready: Ready,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        if self.state() == SocketState::Closed {
            return Ok(SocketState::Closed);
        }
        self.now = self.started.elapsed();
        let _entered = self.span.clone().entered();
        with_scratch(|scratch| self.progress(scratch, ready, handler))
    }

    fn progress<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        ready: Ready,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.slot.goes_on = false;
        let state = match self.slot.phase {
            Phase::Upgrading { .. } => return self.open(scratch, ready, handler),
            Phase::Open => return Ok(self.talk(scratch, 0..0, ready, handler)),
            Phase::Flushing { linger, .. } => self.end(scratch, linger),
            Phase::Lingering { .. } => self.linger(scratch),
        };
        self.settle(state)
    }

    // --- the opening handshake ---

    fn open<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        ready: Ready,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.slot.read_closed |= ready.read_closed;
        let (len, consumed) = match self.shake_hands(scratch, handler) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(self.state()),
            Err(error) => return self.refuse(scratch, error),
        };
        debug!("open");
        self.opening = Opening::Done;
        self.slot.phase = Phase::Open;
        self.slot.keepalive = Keepalive::new(self.now);
        // Whether the last read took all there was is known for long reads
        // only; the next one tells.
        self.slot.readable = true;
        self.turn(handler)
            .call(|handler, peer| handler.on_open(peer));
        Ok(self.talk(scratch, consumed..len, Ready::default(), handler))
    }

    /// Goes on with the opening handshake; once that is complete, tells how
    /// much was read last and how much of that it took.
    fn shake_hands<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        handler: &mut H,
    ) -> Result<Option<(usize, usize)>, OpenError> {
        let Opening::Client(call) = &mut self.opening else {
            return self.wait_for_request(scratch, handler);
        };
        match call.go_on(&mut self.slot.transport, scratch.as_mut_slice())? {
            Answer::Waiting => Ok(None),
            Answer::Again => {
                self.slot.goes_on = true;
                Ok(None)
            }
            Answer::Agreed {
                agreed,
                read,
                consumed,
            } => {
                self.agree(self.slot.role, Terms::of_client(agreed.deflate));
                self.agreed = Some(agreed);
                Ok(Some((read, consumed)))
            }
        }
    }

    /// Reads until a client's request is whole.
    fn wait_for_request<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        handler: &mut H,
    ) -> Result<Option<(usize, usize)>, OpenError> {
        self.slot.transport.flush()?;
        for _ in 0..READS {
            let buffer = scratch.as_mut_slice();
            let len = match Transport::read(&mut self.slot.transport, buffer) {
                Ok(0) => return Err(HandshakeError::ConnectionLost.into()),
                Ok(len) => len.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(error.into()),
                },
            };
            if let Some(consumed) = self.receive_request(&buffer[..len], handler)? {
                return Ok(Some((len, consumed)));
            }
        }
        self.slot.goes_on = true;
        Ok(None)
    }

    /// Answers a client's request once it is whole.
    fn receive_request<H: Handler<Data = D>>(
        &mut self,
        input: &[u8],
        handler: &mut H,
    ) -> Result<Option<usize>, OpenError> {
        let Opening::Server(opening) = &mut self.opening else {
            return Ok(None);
        };
        let (reader, config) = &mut **opening;
        let decision = match reader.receive(input) {
            Ok(None) => return Ok(None),
            Ok(Some(head)) => decide(&head, &self.slot.transport, config, handler, &mut self.cork)
                .map(|admitted| (admitted, head.consumed())),
            Err(error) => Err(error.rejection()),
        };
        match decision {
            Ok((
                Admitted {
                    data,
                    accept_unmasked_frame,
                    terms,
                },
                consumed,
            )) => {
                let role = Role::server(accept_unmasked_frame);
                self.agree(role, terms);
                self.slot.data = data;
                Ok(Some(consumed))
            }
            Err(response) => {
                response.write_to(&mut self.cork);
                Err(OpenError::Answered(response.status()))
            }
        }
    }

    /// Takes over what both sides agreed on.
    fn agree(&mut self, role: Role, terms: Option<Terms>) {
        self.link = Link::new(
            role.masking(),
            self.limits,
            self.max_backpressure,
            self.slow_consumer,
        )
        .accept_compressed(terms.is_some());
        (self.slot.role, self.slot.terms) = (role, terms);
    }

    /// Ends a connection that never came to be; an answer in the cork leaves
    /// first.
    fn refuse(
        &mut self,
        scratch: &mut Scratch,
        error: OpenError,
    ) -> Result<SocketState, OpenError> {
        debug!(%error, "not opened");
        self.opening = Opening::Done;
        if self.cork.is_empty() {
            let _ = self.over();
            return Err(error);
        }
        self.link
            .outgoing
            .flush_cork(&mut self.cork, &mut self.slot.transport);
        self.refused = Some(error);
        let state = self.end(scratch, true);
        self.settle(state)
    }

    /// Tells at the end why there never was a connection, if so.
    fn settle(&mut self, state: SocketState) -> Result<SocketState, OpenError> {
        match self.refused.take_if(|_| state == SocketState::Closed) {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }

    // --- the open connection ---

    fn turn<'a, H: Handler<Data = D>>(&'a mut self, handler: &'a mut H) -> Turn<'a, H, T> {
        let (inflating, deflating) = self.codecs.lend(NOBODY.key, self.slot.terms);
        Turn {
            handler,
            id: NOBODY,
            slot: &mut self.slot,
            link: &mut self.link,
            cork: &mut self.cork,
            pool: &mut self.pool,
            inflating,
            deflating,
            orders: None,
            counters: None,
            high_water: self.high_water,
            now: self.now,
        }
    }

    fn talk<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        mut have: std::ops::Range<usize>,
        mut ready: Ready,
        handler: &mut H,
    ) -> SocketState {
        let mut turns = TURNS;
        loop {
            match self.turn(handler).run(scratch, have, ready) {
                Fate::Again if turns > 1 => {
                    turns -= 1;
                    (have, ready) = (0..0, Ready::default());
                }
                Fate::Again => {
                    self.slot.goes_on = true;
                    break;
                }
                Fate::Keep => break,
                Fate::End { linger } => return self.end(scratch, linger),
                Fate::Drop => return self.over(),
            }
        }
        if self.slot.terms.is_some() {
            let now = self.tick();
            self.codecs.settle(now);
        }
        if self.link.outgoing.sender.is_close_sent() && self.link.close_by.is_none() {
            self.link.close_by = Some(tick_at(self.now.saturating_add(self.close_timeout)));
        }
        SocketState::Open
    }

    // --- the end ---

    fn end(&mut self, scratch: &mut Scratch, linger: bool) -> SocketState {
        self.link.outgoing.flush_outbox(&mut self.slot.transport);
        let is_written = self.link.outgoing.outbox.is_empty();
        let is_flushed = is_written && self.slot.transport.flush().unwrap_or(true);
        let until = tick_at(self.now.saturating_add(self.close_timeout));
        if !is_flushed {
            if !matches!(self.slot.phase, Phase::Flushing { .. }) {
                self.slot.phase = Phase::Flushing { until, linger };
            }
            return SocketState::Ending;
        }
        //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
        let is_client = self.slot.role.is_client();
        //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
        if !linger && !is_client {
            if self.slot.transport.is_tls() {
                // Its own last word, which may have left with ours.
                let _ = Transport::shutdown(&mut self.slot.transport);
            }
            return self.over();
        }
        //= RFC6455-7.1.1-1
        if linger && Transport::shutdown(&mut self.slot.transport).is_err() {
            return self.over();
        }
        self.slot.phase = Phase::Lingering { until };
        self.linger(scratch)
    }

    fn linger(&mut self, scratch: &mut Scratch) -> SocketState {
        // The end itself may have found no room.
        let _ = self.slot.transport.flush();
        // Bounded here by the count, and in all by the deadline.
        for _ in 0..READS {
            match Transport::read(&mut self.slot.transport, scratch.as_mut_slice()) {
                Ok(0) => return self.over(),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return SocketState::Ending,
                    io::ErrorKind::Interrupted => {}
                    _ => return self.over(),
                },
            }
        }
        self.slot.goes_on = true;
        SocketState::Ending
    }

    fn give_up<H: Handler<Data = D>>(&mut self, handler: &mut H, timeout: Timeout) -> SocketState {
        self.link.outgoing.aborted = true;
        self.turn(handler).closed(Cause::Timeout(timeout));
        self.over()
    }

    const fn over(&mut self) -> SocketState {
        // With the handshake done, no other phase stands for it.
        self.slot.phase = Phase::Upgrading { until: Tick::MAX };
        SocketState::Closed
    }

    fn tick(&self) -> Tick {
        (self.now.as_millis() / TICK.as_millis()) as Tick
    }
}

impl<D, T: Transport> Source for Socket<D, T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self.slot.transport.source() {
            Some(source) => source.register(registry, token, interests),
            None => Ok(()),
        }
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self.slot.transport.source() {
            Some(source) => source.reregister(registry, token, interests),
            None => Ok(()),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self.slot.transport.source() {
            Some(source) => source.deregister(registry),
            None => Ok(()),
        }
    }
}

/// Lends the thread's read buffer.
fn with_scratch<T>(use_it: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
    }
    SCRATCH.with(|shared| {
        // A handler that serves another socket within its call gets a buffer
        // of its own.
        let taken = shared.take();
        let mut scratch = taken.unwrap_or_else(|| Scratch::with_len(READ_BUFFER));
        let result = use_it(&mut scratch);
        shared.replace(Some(scratch));
        result
    })
}
