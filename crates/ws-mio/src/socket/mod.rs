//! One connection in somebody else's loop.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, event::Source, net::TcpStream};
use tracing::{Span, info_span};
use ws_handshake::{Agreed, ClientRequest};
use ws_proto::{ConfigError, EndOrder, Masking, Stage};

use self::opening::Opening;
use crate::{
    AdoptError, ClientConfig, Commands, Config, Handler, Handover, NotAdopted, OpenError, Peer,
    PeerAddr, PeerId, Ready, Transport,
    connection::{
        End, Fate, Link, Slot, Turn,
        deflate::Codecs,
        high_water,
        pool::Pool,
        role::Role,
        scratch::Scratch,
        share::{SHARE, Share},
    },
    opening::handover::Side,
    slots::wheel::tick_at,
};

mod opening;
mod time;

/// A connection as a [`mio::event::Source`], for a loop of one's own; as a
/// client or as a server, over TCP or any other [`Transport`].
///
/// 1. [`connect`](Self::connect), [`accept`](Self::accept) or [`adopt`](Self::adopt), and register
///    it with readable *and* writable interest, once.
/// 2. Hand every event to [`ready`](Self::ready), which calls a [`Handler`] as a
///    [`Server`](crate::Server) does.
/// 3. Poll no longer than until [`next_timeout`](Self::next_timeout), and then call
///    [`handle_timeout`](Self::handle_timeout).
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
/// let mut server = Some(Socket::accept(TcpStream::from_std(stream), config)?);
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
    id: PeerId,
    slot: Slot<T, D>,
    link: Link,
    cork: Vec<u8>,
    /// Lends nothing: a socket alone gathers large messages as they come.
    pool: Pool,
    /// None are carried out: it is in no loop.
    commands: Commands<D>,
    /// Its own alone, and empty unless something is compressed.
    codecs: Codecs,
    opening: Opening<D>,
    agreed: Option<Agreed>,
    /// Why the connection never came to be, until the answer has left.
    refused: Option<OpenError>,
    span: Span,
    config: ClientConfig,
    /// What its profile says.
    chunks: Option<bool>,
    started: Instant,
    now: Duration,
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

/// The key of the only connection that a socket's codecs know.
const ONLY: u32 = 0;
/// How much is read at once.
const READ_BUFFER: usize = 64 * 1024;
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
    /// Those of the system, of which many come with the first event only; and
    /// [`io::ErrorKind::InvalidInput`] with what [`ClientConfig::check`] finds.
    pub fn connect(
        address: SocketAddr,
        request: ClientRequest,
        config: &ClientConfig,
    ) -> io::Result<Self> {
        config.check()?;
        let stream = TcpStream::connect(address)?;
        Ok(Self::client_at(stream, address.into(), request, config))
    }
}

impl<D: Default, T: Transport> Socket<D, T> {
    /// Starts the opening handshake over a stream that is connected, or is
    /// being connected, to a server.
    ///
    /// Whether [`ClientConfig::set_mask_to_zero`] is for this server is decided
    /// when the connection opens, by what the stream says then of
    /// [where it is](Transport::peer_addr).
    ///
    /// # Errors
    ///
    /// What [`ClientConfig::check`] finds.
    pub fn client(
        stream: T,
        request: ClientRequest,
        config: &ClientConfig,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let server = stream.peer_addr();
        Ok(Self::client_at(stream, server, request, config))
    }

    /// Starts as a client; `server` is what the span has of it.
    fn client_at(
        stream: T,
        server: PeerAddr,
        request: ClientRequest,
        config: &ClientConfig,
    ) -> Self {
        let span = info_span!("websocket", role = "client", peer = %server);
        let opening = Opening::client(request);
        Self::new(stream, Role::client(false), opening, span, config)
    }

    /// Waits for a client's opening handshake over a stream that was accepted.
    ///
    /// # Errors
    ///
    /// What [`Config::check`] finds.
    pub fn accept(mut stream: T, config: Arc<Config>) -> Result<Self, ConfigError> {
        config.check()?;
        // One that was accepted is connected; if it failed, reading says so.
        let _ = stream.begin();
        let span = info_span!(
            "websocket",
            role = "server",
            peer = %stream.peer_addr()
        );
        let common = ClientConfig::like(&config);
        let opening = Opening::server(config);
        Ok(Self::new(stream, Role::Server, opening, span, &common))
    }

    /// Takes over a connection whose opening handshake was made elsewhere: what a
    /// [`Handover`] says of it, in either role, with the flags and profiles of
    /// `config`.
    ///
    /// [`next_timeout`](Self::next_timeout) is at once: the first call with a
    /// handler calls [`Handler::on_open`], and hands out what was read before.
    ///
    /// # Errors
    ///
    /// [`NotAdopted`] hands the connection back, with what [`Config::check`] finds, or
    /// what the handover asks for and is not there.
    pub fn adopt(mut handover: Handover<T, D>, config: &Config) -> Result<Self, NotAdopted<T, D>> {
        let checked = config.check().map_err(AdoptError::from);
        let profile = match checked.and_then(|()| handover.check(config)) {
            Ok(number) => usize::from(number).checked_sub(1),
            Err(reason) => return Err(reason.of(handover)),
        };
        // It is connected; if it failed, reading says so.
        let _ = handover.transport.begin();
        let role = handover.role(config);
        let peer = handover.transport.peer_addr();
        let span = match role.is_client() {
            true => info_span!("websocket", role = "client", %peer),
            false => info_span!("websocket", role = "server", %peer),
        };
        let common = ClientConfig::like(config);
        let mut this = Self::new(handover.transport, role, Opening::Done, span, &common);
        if let Some(index) = profile {
            this.take_profile(&config.profiles[index]);
        }
        this.agree(role, handover.deflate);
        this.link = this.link.with_unread(handover.leftover);
        this.slot.data = handover.data;
        if let Side::Client(agreed) = handover.side {
            this.agreed = Some(*agreed);
        }
        this.opening = Opening::Made;
        this.slot.goes_on = true;
        Ok(this)
    }

    /// Starts in either role.
    fn new(stream: T, role: Role, opening: Opening<D>, span: Span, config: &ClientConfig) -> Self {
        let until = tick_at(config.handshake_timeout);
        let mut slot = Slot::new(stream, 0, Duration::ZERO, until, D::default());
        slot.role = role;
        Self {
            id: PeerId::of_socket(),
            slot,
            link: Link::of_socket(role, config),
            cork: Vec::new(),
            pool: Pool::new(READ_BUFFER, 0),
            commands: Commands::of_socket(),
            codecs: Codecs::of_socket(config),
            opening,
            agreed: None,
            refused: None,
            span,
            config: ClientConfig {
                high_water: high_water(config.high_water, config.max_backpressure),
                ..config.clone()
            },
            chunks: None,
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
    /// so that a peer that never stops sending cannot keep the loop: 64 KiB
    /// during the opening handshake, and 4 MiB afterwards. In the last case
    /// [`next_timeout`](Self::next_timeout) is at once.
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
            data: &mut self.slot.data,
            id: self.id,
            transport: &mut self.slot.transport,
            outgoing: &mut self.link.outgoing,
            cork: &mut self.cork,
            deflate: self.slot.deflate,
            deflating: self
                .codecs
                .lend(
                    ONLY,
                    self.slot.role.is_client(),
                    self.slot.deflate,
                    self.config.limits.max_message,
                )
                .1,
            commands: &mut self.commands,
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

    /// Returns the name of the connection in this process.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Returns how far the connection is.
    #[must_use]
    pub const fn state(&self) -> SocketState {
        match self.slot.clock.stage() {
            Stage::Opening => SocketState::Opening,
            Stage::Open | Stage::Closing(_) => SocketState::Open,
            Stage::Ending(_) => SocketState::Ending,
            Stage::Ended => SocketState::Closed,
        }
    }

    /// Returns what a client and its server agreed on, once it is open.
    #[must_use]
    pub const fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Lends the masking policy: the role, and the flag that was chosen when the
    /// connection opened; until then it is off.
    #[must_use]
    pub const fn masking(&self) -> &Masking {
        self.link.outgoing.sender.masking()
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
        match self.slot.clock.stage() {
            Stage::Opening => self.open(scratch, ready, handler),
            Stage::Open | Stage::Closing(_) => Ok(self.talk(scratch, 0..0, ready, handler)),
            Stage::Ending(_) | Stage::Ended => {
                let state = self.go_on_ending(scratch, Share::new(SHARE));
                self.settle(state)
            }
        }
    }

    /// Starts the end of the connection.
    fn begin_end(&mut self, scratch: &mut Scratch, lingers: bool, share: Share) -> SocketState {
        let order = EndOrder::new(self.slot.role.is_client(), lingers);
        let times = self.config.times();
        self.slot.clock.begin_end(order, &times, self.now);
        self.go_on_ending(scratch, share)
    }

    /// Goes on with the end of the connection, as far as the transport lets it.
    fn go_on_ending(&mut self, scratch: &mut Scratch, mut share: Share) -> SocketState {
        let times = self.config.times();
        let (outgoing, buffer) = (&mut self.link.outgoing, scratch.as_mut_slice());
        match self
            .slot
            .go_on_ending(Some(outgoing), buffer, &mut share, &times, self.now)
        {
            End::Waiting { .. } => SocketState::Ending,
            End::Again => {
                self.slot.goes_on = true;
                SocketState::Ending
            }
            End::Over => self.over(),
        }
    }

    const fn over(&mut self) -> SocketState {
        self.slot.clock.end();
        SocketState::Closed
    }

    fn turn<'a, H: Handler<Data = D>>(&'a mut self, handler: &'a mut H) -> Turn<'a, H, T> {
        let (inflating, deflating) = self.codecs.lend(
            ONLY,
            self.slot.role.is_client(),
            self.slot.deflate,
            self.config.limits.max_message,
        );
        Turn {
            handler,
            id: self.id,
            slot: &mut self.slot,
            link: &mut self.link,
            cork: &mut self.cork,
            pool: &mut self.pool,
            inflating,
            deflating,
            commands: &mut self.commands,
            counters: None,
            high_water: self.config.high_water,
            max_control_rate: self.config.time_limits.max_control_rate,
            now: self.now,
            chunks: self.chunks.unwrap_or(H::CHUNKS),
            is_told: false,
        }
    }

    fn talk<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        mut have: Range<usize>,
        mut ready: Ready,
        handler: &mut H,
    ) -> SocketState {
        let mut turns = TURNS;
        loop {
            let mut share = Share::new(SHARE);
            match self.turn(handler).run(scratch, have, ready, &mut share) {
                Fate::NextTurn if turns > 1 => {
                    turns -= 1;
                    (have, ready) = (0..0, Ready::default());
                }
                Fate::NextTurn => {
                    self.slot.goes_on = true;
                    break;
                }
                Fate::Keep => break,
                Fate::End { linger } => return self.begin_end(scratch, linger, share),
                Fate::Drop => return self.over(),
            }
        }
        if self.slot.deflate.is_some() {
            let now = self.tick();
            self.codecs.settle(now);
        }
        let times = self.config.times();
        let flow = self.link.flow(self.config.high_water);
        self.slot
            .clock
            .note_flow(&mut self.link.busy, &flow, &times, self.now);
        SocketState::Open
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
