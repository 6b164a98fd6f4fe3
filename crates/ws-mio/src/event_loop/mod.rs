//! The loop, but for the waiting: admits, upgrades, gives connections their
//! turns, and keeps time.

mod accept;
mod adopt;
mod connect;
mod drain;
mod end;
mod lookup;
mod memory;
mod panics;
mod publish;
mod resolver;
mod tasks;
mod time;
mod timers;
mod upgrade;
mod waking;

use std::{
    collections::{HashMap, VecDeque},
    fmt, io, mem,
    ops::Range,
    sync::Arc,
    time::Duration,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use slab::Slab;
use tracing::{Span, span::EnteredSpan, warn};
use ws_proto::Stage;

use self::{
    drain::Draining,
    lookup::Lookups,
    panics::{catch, end_turn},
    time::times,
};
use crate::{
    Cause, Commands, Config, ConfigError, Drain, Handler, Loop, Peer, PeerId, Ready, Remote,
    Transport,
    commands::{
        audience::Audience,
        publication_log::{Publication, PublicationLog},
        topics::Topics,
    },
    connection::{
        Fate, Kept, Link, Served, Slot, Turn,
        deflate::Codecs,
        high_water, new_link,
        pool::Pool,
        scratch::Scratch,
        share::{SHARE, Share},
    },
    event_loop::{timers::Timers, waking::Wakings},
    handler::decider::Decided,
    handles::mailbox::{Mailbox, Tasks, Wake},
    metrics::Counters,
    opening::{client::ClientOpening, server::ServerOpening},
    slots::{
        arena::Arena,
        connections_by_address::ConnectionsByAddress,
        wheel::{Tick, Wheel},
    },
};

/// What a [`Server`](crate::Server) runs on a thread, without what waits: for
/// a loop of one's own, or a simulation, that serves very many connections.
///
/// It polls nothing, listens to nothing and reads no clock. Whoever owns it
/// says what happened and what time it is, turn by turn:
///
/// 1. [`start_turn`](Self::start_turn) with the time.
/// 2. [`admit`](Self::admit) what was accepted, and [`wake`](Self::wake) every connection whose
///    transport became ready.
/// 3. [`finish_turn`](Self::finish_turn).
/// 4. Wait for the next event, but not beyond [`next_timeout`](Self::next_timeout).
///
/// # The share of a connection
///
/// The work of a turn is bounded for each connection, however much its transport
/// has. A connection reads at most 64 KiB in a turn during its opening handshake,
/// as a server and as a client, at most 1 MiB once it is open, and at most 1 MiB
/// of compressed messages comes out. A read counts at least 4 KiB. Under TLS and
/// behind proxies the bytes below them count, too, up to 64 KiB later. What is
/// left is read in the next turn, which [`next_timeout`](Self::next_timeout)
/// puts at once.
///
/// For one connection there is [`Socket`](crate::Socket). Here is a loop that
/// serves a connection in memory:
///
/// ```
/// use std::{io::IoSlice, time::Duration};
///
/// use ws_mio::{Config, EventLoop, Handler, Message, OriginPolicy, Peer, Transport, memory};
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
///
/// let mut echo = EventLoop::new(Config::new(OriginPolicy::Any), Echo, || Ok(()))?;
/// let (mut client, server) = memory::pair(4096);
/// let key = echo.admit(server).unwrap();
/// client.write(&[IoSlice::new(
///     b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
///     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
///     \x81\x82\x00\x00\x00\x00Hi",
/// )])?;
/// echo.start_turn(Duration::from_millis(1));
/// let ready = echo.transport(key).unwrap().take_ready();
/// echo.wake(key, ready);
/// assert!(echo.finish_turn());
///
/// let mut reply = [0; 1024];
/// let len = client.read(&mut reply)?;
/// assert!(reply[..len].starts_with(b"HTTP/1.1 101"));
/// assert!(reply[..len].ends_with(b"\x81\x02Hi"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop<H: Handler, T = TcpStream> {
    /// Where transports are registered; `None` if that is no business of ours.
    registry: Option<Registry>,
    remote: Remote<H, T>,
    counters: Arc<Counters>,
    /// Which of the server's loops this is.
    index: u16,
    /// Its number among all loops of the process.
    number: u32,
    config: Config,
    handler: H,
    slots: Arena<Slot<T, H::Data>>,
    /// The state of connections that are in the middle of something.
    links: Slab<Link>,
    /// What an idle connection is served with, by its role and by whether the
    /// peer may send compressed messages.
    profiles: Box<[Served]>,
    /// What those need that agreed on compression.
    codecs: Codecs,
    /// Requests that came in part.
    requests: Slab<ServerOpening<H::Data>>,
    /// Opening handshakes of our own.
    client_openings: Slab<ClientOpening>,
    scratch: Scratch,
    /// Buffers for connections that are in the middle of a large message.
    pool: Pool,
    cork: Vec<u8>,
    /// Connections that had their share and go on in the next turn.
    again: Vec<PeerId>,
    /// Those that go on in this one.
    due: Vec<PeerId>,
    /// Connections whose transports wait for a step of their handshake.
    handshaking: VecDeque<PeerId>,
    /// Empty but for its memory, between turns.
    tasks: Tasks<H, T>,
    /// What handlers ask for, until the end of the turn.
    commands: Commands<H::Data>,
    log: Arc<PublicationLog>,
    /// The place in the log of the publication that is taken next.
    next_place: u64,
    /// Publications that were not delivered yet, at most
    /// [`MOST`](crate::commands::audience::MOST).
    run: Vec<Publication>,
    /// Empty but for its memory, unless something is being delivered.
    audience: Audience,
    /// When the handler is called for what timer.
    timers: Timers,
    /// Where connections come from, if that is counted.
    by_address: ConnectionsByAddress,
    /// How many bytes are held for connections.
    held: usize,
    /// Requests on which another thread has decided; `None` until one waited.
    decided: Option<Arc<Decided>>,
    /// Connections whose transports wake the loop; `None` until there was one.
    wakings: Option<Arc<Wakings>>,
    /// Names of servers that are being looked up; `None` until there was one.
    lookups: Option<Box<Lookups<H::Data>>>,
    wheel: Wheel,
    /// The time of this turn, since the loop began.
    now: Duration,
    generation: u32,
    stop_by: Option<Tick>,
    draining: Option<Draining>,
    /// When a drain begins that was asked for.
    lame_duck: Option<(Tick, Drain)>,
    /// Spans of connections, where somebody listens to them.
    spans: HashMap<PeerId, Span>,
}

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Makes a loop on its own.
    ///
    /// `wake` is called, from any thread, when something was asked of the
    /// [`remote`](Self::remote): it sees to it that a turn is started soon, as a
    /// [`mio::Waker`] does. What is registered, and where, is up to the caller.
    /// `config.threads` and `config.accepting` do not apply.
    ///
    /// # Errors
    ///
    /// What [`Config::check`] finds.
    pub fn new(
        config: Config,
        handler: H,
        wake: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let remote = Remote::new(vec![Arc::new(wake)]);
        Ok(Self::of_server(None, remote, 0, config, handler))
    }

    /// Makes loops that serve together, as those of a [`Server`](crate::Server)
    /// on several threads do: each is driven by whoever has it, and each
    /// [`Remote`] reaches all of them. What is published on one reaches the
    /// subscribers on all, in one order.
    ///
    /// There is a loop for each of `wakes`, which are called as `wake` of
    /// [`new`](Self::new). `handler` is called with the index of each loop, from
    /// 0. Each has an equal share of `config.max_memory`.
    ///
    /// # Errors
    ///
    /// What [`Config::check`] finds.
    pub fn several<W>(
        config: &Config,
        wakes: impl IntoIterator<Item = W>,
        mut handler: impl FnMut(usize) -> H,
    ) -> Result<Vec<Self>, ConfigError>
    where
        W: Fn() -> io::Result<()> + Send + Sync + 'static,
    {
        config.check()?;
        let wakes = wakes.into_iter().map(|wake| Arc::new(wake) as Wake);
        let remote = Remote::new(wakes.collect());
        let make = |index| {
            let (remote, handler) = (remote.clone(), handler(index));
            Self::of_server(None, remote, index as u16, config.clone(), handler)
        };
        Ok((0..remote.loops()).map(make).collect())
    }

    /// Has the loop register its transports itself: what is
    /// [admitted](Self::admit), and what [connects](Commands::connect) to servers,
    /// of which its owner would not know otherwise.
    ///
    /// The token of a connection is its key, by which it is
    /// [woken](Self::wake). Keys count from 0; so the owner's own tokens are
    /// best those that count down from the largest.
    ///
    /// ```no_run
    /// use std::{sync::Arc, time::Instant};
    ///
    /// use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};
    /// use ws_mio::{Config, EventLoop, Handler};
    ///
    /// const LISTENER: Token = Token(usize::MAX);
    /// const WAKER: Token = Token(usize::MAX - 1);
    ///
    /// fn serve(handler: impl Handler, config: Config) -> std::io::Result<()> {
    ///     let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    ///     let mut listener = TcpListener::bind("127.0.0.1:9001".parse().unwrap())?;
    ///     poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ///     let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    ///     let mut inner = EventLoop::new(config, handler, move || waker.wake())?
    ///         .with_registry(poll.registry().try_clone()?);
    ///     let started = Instant::now();
    ///     loop {
    ///         let next = inner.next_timeout();
    ///         let wait = next.map(|at| at.saturating_sub(started.elapsed()));
    ///         poll.poll(&mut events, wait)?;
    ///         inner.start_turn(started.elapsed());
    ///         for event in &events {
    ///             match event.token() {
    ///                 LISTENER => while let Ok((stream, _)) = listener.accept() {
    ///                     inner.admit(stream);
    ///                 }
    ///                 WAKER => {}
    ///                 Token(key) => inner.wake(key, event.into()),
    ///             }
    ///         }
    ///         if !inner.finish_turn() {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Makes one of a server's loops.
    pub(crate) fn of_server(
        registry: Option<Registry>,
        remote: Remote<H, T>,
        index: u16,
        mut config: Config,
        handler: H,
    ) -> Self {
        config.high_water = high_water(config.high_water, config.max_backpressure);
        config.max_memory /= remote.mailboxes().len();
        let profiles = Served::all::<H>(&config);
        let counters = Arc::clone(&remote.mailboxes()[usize::from(index)].counters);
        let codecs = Codecs::of_loop(&config, &counters);
        let log = Arc::clone(remote.log());
        let topics = Topics::new(Arc::clone(remote.topic_sizes()), index);
        let commands = Commands::new(Arc::clone(&log), topics, index, remote.loop_numbers());
        let address_counts = Arc::clone(remote.address_counts());
        let by_address =
            ConnectionsByAddress::new(address_counts, config.max_connections_per_address);
        let read_buffer = config.read_buffer;
        let pool = Pool::new(read_buffer, config.gather_buffers);
        let mut this = Self {
            registry,
            counters,
            number: remote.first_loop() + u32::from(index),
            remote,
            index,
            config,
            handler,
            slots: Arena::new(),
            links: Slab::new(),
            profiles,
            codecs,
            requests: Slab::new(),
            client_openings: Slab::new(),
            scratch: Scratch::with_len(read_buffer),
            pool,
            cork: Vec::new(),
            again: Vec::new(),
            due: Vec::new(),
            handshaking: VecDeque::new(),
            tasks: Vec::new(),
            commands,
            log,
            next_place: 0,
            run: Vec::new(),
            audience: Audience::default(),
            timers: Timers::default(),
            by_address,
            held: 0,
            decided: None,
            wakings: None,
            lookups: None,
            wheel: Wheel::new(),
            now: Duration::ZERO,
            generation: 0,
            stop_by: None,
            draining: None,
            lame_duck: None,
            spans: HashMap::new(),
        };
        this.handler.on_start(&mut this.commands);
        this
    }

    /// Starts a turn: takes over the time, since any moment that the caller
    /// chose, which never runs backwards; and does what was asked of the
    /// [`remote`](Self::remote).
    pub fn start_turn(&mut self, now: Duration) {
        self.begin_turn(now);
        self.run_tasks();
    }

    /// Serves a transport that a client has connected to, and returns its key,
    /// by which it is woken. `None`, and the transport is dropped, over
    /// `config.max_connections` and once the loop stops.
    ///
    /// Whoever owns the loop registers the transport, with readable and
    /// writable interest, once: see [`transport`](Self::transport); or leaves
    /// that to the loop, see [`with_registry`](Self::with_registry). Keys of
    /// connections that are gone are given again.
    pub fn admit(&mut self, transport: T) -> Option<usize> {
        let peer = transport.peer_addr();
        self.admit_from(transport, peer)
    }

    /// Lends the transport of a connection, to register it.
    pub fn transport(&mut self, key: usize) -> Option<&mut T> {
        self.slots.get_mut(key).map(|slot| &mut slot.transport)
    }

    /// Serves a connection whose transport became ready.
    ///
    /// Readiness is edge-triggered: it is told when it changes. It may be told
    /// too often, and for keys that are gone.
    pub fn wake(&mut self, key: usize, ready: Ready) {
        match self.slots.get_mut(key) {
            // It has its turn without being told, one for each of the loop's.
            Some(slot) if slot.goes_on => {
                slot.readable |= ready.readable;
                slot.read_closed |= ready.read_closed;
            }
            Some(_) => self.serve(key, ready),
            None => {}
        }
    }

    /// Ends a turn: has connections go on that had their share, calls those
    /// whose time has come, and does what handlers have asked for. `false` once
    /// the loop was [stopped](Remote::drain) and all connections are closed.
    pub fn finish_turn(&mut self) -> bool {
        self.serve_due();
        self.step_handshakes();
        self.keep_time();
        self.carry_out();
        self.count();
        !(self.is_stopping() && self.slots.is_empty())
    }

    /// Notes how long a turn took, for [`Metrics::longest_turn`](crate::Metrics)
    /// and [`Config::slow_turn`](crate::Config::slow_turn): a
    /// [`Server`](crate::Server) does it after each.
    pub fn note_turn(&mut self, took: Duration) {
        self.counters.note_turn(took);
        if took >= self.config.slow_turn {
            self.counters.slow_turns.add(1);
            warn!(
                ?took,
                "a slow turn of the loop: does a callback block, or compute for long?"
            );
        }
    }

    /// Returns what reaches the loop from other threads.
    #[must_use]
    pub fn remote(&self) -> Remote<H, T> {
        self.remote.clone()
    }

    /// Lends the loop to do something with its peers; between turns, or within
    /// one.
    pub const fn lend(&mut self) -> Loop<'_, H, T> {
        Loop::new(self)
    }

    /// Takes over the time, and who goes on in this turn.
    pub(crate) fn begin_turn(&mut self, now: Duration) {
        self.now = now;
        self.due.append(&mut self.again);
    }

    pub(crate) const fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    /// Has connections go on that had their share of the last turn.
    fn serve_due(&mut self) {
        // Whether there is room to write was told to nobody.
        let ready = Ready {
            writable: true,
            ..Ready::default()
        };
        let mut due = mem::take(&mut self.due);
        for id in due.drain(..) {
            if self.is_current(id) {
                self.slots[id.key as usize].goes_on = false;
                self.serve(id.key as usize, ready);
            }
        }
        self.due = due;
    }

    /// Gives a connection its turn, by its stage.
    fn serve(&mut self, key: usize, ready: Ready) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let (stage, is_client) = (slot.clock.stage(), slot.role.is_client());
        if stage == Stage::Opening && slot.transport.is_handshaking() {
            slot.read_closed |= ready.read_closed;
            return self.queue_handshake(key);
        }
        let _entered = self.enter(key);
        match stage {
            Stage::Open | Stage::Closing(_) => self.turn(key, ready, 0..0, |_, _| {}),
            Stage::Opening if is_client => self.go_on_connecting(key, ready),
            Stage::Opening => self.upgrade(key, ready),
            Stage::Ending(_) | Stage::Ended => {
                let share = self.share(key, SHARE);
                self.go_on_ending(key, share);
            }
        }
    }

    /// Has a connection wait for a step of its transport's handshake.
    fn queue_handshake(&mut self, key: usize) {
        if !mem::replace(&mut self.slots[key].goes_on, true) {
            let id = self.id(key);
            self.handshaking.push_back(id);
        }
    }

    /// Makes the steps of handshakes that this turn has time for.
    fn step_handshakes(&mut self) {
        let mut left = self.config.tls_handshakes_per_turn.max(1);
        while left > 0
            && let Some(id) = self.handshaking.pop_front()
        {
            if self.is_current(id) {
                left -= 1;
                self.step_handshake(id.key as usize);
            }
        }
    }

    fn step_handshake(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        slot.goes_on = false;
        let is_client = slot.role.is_client();
        if !slot.is_opening() {
            return self.serve(key, Ready::default());
        }
        let _entered = self.enter(key);
        match is_client {
            true => self.go_on_connecting(key, Ready::default()),
            false => self.upgrade(key, Ready::default()),
        }
    }

    /// Enters the span of a connection, where somebody listens.
    fn enter(&self, key: usize) -> Option<EnteredSpan> {
        match self.spans.is_empty() {
            true => None,
            false => self.spans.get(&self.id(key)).cloned().map(Span::entered),
        }
    }

    /// Has a connection go on in the next turn, though no event will say so.
    fn go_on(&mut self, key: usize) {
        if !mem::replace(&mut self.slots[key].goes_on, true) {
            let id = self.id(key);
            self.again.push(id);
        }
    }

    /// Returns what a connection may read in this turn: nothing more if it waits for the next.
    fn share(&self, key: usize, bytes: usize) -> Share {
        Share::new(match self.slots[key].goes_on {
            true => 0,
            false => bytes,
        })
    }

    /// Gives an open connection its turn, after `first` was done for it.
    fn turn(
        &mut self,
        key: usize,
        ready: Ready,
        have: Range<usize>,
        first: impl FnOnce(&mut H, &mut Peer<'_, H::Data>),
    ) {
        let mut share = self.share(key, SHARE);
        let (mut turn, scratch, config) = self.lend_turn(key);
        if share.is_spent()
            && let Some(inflating) = turn.inflating.as_deref_mut()
        {
            inflating.spend_share();
        }
        let fate = match catch(|| {
            turn.call(first);
            turn.run(scratch, have, ready, &mut share)
        }) {
            Ok(fate) => fate,
            Err(payload) => {
                let fate = end_turn(&mut turn, config, payload);
                return self.end_panicked(key, fate, share);
            }
        };
        match fate {
            Fate::Keep => {}
            Fate::NextTurn if fault!("next-turn-lost") => {}
            Fate::NextTurn => self.go_on(key),
            Fate::End { linger } => {
                self.store(key);
                return self.begin_end(key, linger, share);
            }
            Fate::Drop => {
                self.store(key);
                return self.remove(key);
            }
        }
        self.store(key);
        self.want_writable(key);
        self.drop_largest();
    }

    /// Lends a connection what it needs for a turn, with its own link or a spare
    /// one, and the loop's read buffer and configuration.
    ///
    /// It is inlined, so that no turn is copied.
    #[inline(always)]
    fn lend_turn(&mut self, key: usize) -> (Turn<'_, H, T>, &mut Scratch, &Config) {
        let id = self.id(key);
        let slot = &mut self.slots[key];
        let Served { profile, spares } = &mut self.profiles[usize::from(slot.profile)];
        let spare = &mut spares[slot.role.index()][usize::from(slot.deflate.is_some())];
        let link = match slot.kept.link() {
            None => spare,
            Some(index) => &mut self.links[index],
        };
        let (inflating, deflating) = self.codecs.lend(
            id.key,
            slot.role.is_client(),
            slot.deflate,
            profile.limits.max_message,
        );
        let turn = Turn {
            handler: &mut self.handler,
            id,
            slot,
            link,
            cork: &mut self.cork,
            pool: &mut self.pool,
            inflating,
            deflating,
            commands: &mut self.commands,
            counters: Some(&self.counters),
            high_water: self.config.high_water,
            max_control_rate: self.config.time_limits.max_control_rate,
            now: self.now,
            chunks: profile.chunks,
            is_told: false,
        };
        (turn, &mut self.scratch, &self.config)
    }

    /// Keeps the link of a connection that is in the middle of something, and
    /// drops that of one that is idle.
    fn store(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let is_compressed = slot.deflate.is_some();
        let mut below = slot.transport.held();
        if is_compressed {
            below += self.codecs.held(key as u32);
        }
        match slot.kept.link() {
            None => {
                let Served { profile, spares } = &mut self.profiles[usize::from(slot.profile)];
                let spare = &mut spares[slot.role.index()][usize::from(is_compressed)];
                if !spare.is_idle() || below > 0 {
                    let fresh = new_link(slot.role, is_compressed, profile, &self.config);
                    let mut link = mem::replace(spare, fresh);
                    link.add_counts_to(&self.counters);
                    self.held += link.count_held(below);
                    slot.kept = Kept::link_at(self.links.insert(link));
                }
            }
            Some(index) => {
                let link = &mut self.links[index];
                link.add_counts_to(&self.counters);
                self.held -= link.counted;
                self.held += link.count_held(below);
                if link.is_idle() && below == 0 {
                    let link = self.links.remove(index);
                    self.held -= link.counted;
                    slot.kept = Kept::NOTHING;
                }
            }
        }
        if is_compressed {
            let now = self.tick();
            self.codecs.settle(now);
        }
        self.note_flow(key);
    }

    /// Starts and stops the clocks for what the peer owes us.
    fn note_flow(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let Some(index) = slot.kept.link().filter(|_| slot.is_open()) else {
            return;
        };
        let times = times(slot, &self.profiles, &self.config, self.stop_by);
        let link = &mut self.links[index];
        let flow = link.flow(self.config.high_water);
        let has_changed = slot
            .clock
            .note_flow(&mut link.busy, &flow, &times, self.now);
        if has_changed {
            self.look_again(key);
        }
    }

    /// Asks for writable readiness, from the first time on that a transport
    /// was full.
    fn want_writable(&mut self, key: usize) {
        let link = self.slots[key].kept.link();
        if link.is_some_and(|index| self.links[index].outgoing.is_waiting()) {
            // The caller is done with the connection.
            let _ = self.register_writable(key);
        }
    }

    /// Asks for writable readiness. If that fails the connection is dropped, as
    /// nothing would say that it goes on: `false` then.
    #[must_use]
    fn register_writable(&mut self, key: usize) -> bool {
        let slot = &mut self.slots[key];
        if mem::replace(&mut slot.wants_write, true) {
            return true;
        }
        let Some((registry, source)) = self.registry.as_ref().zip(slot.transport.source()) else {
            return true;
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let Err(error) = registry.reregister(source, Token(key), interest) else {
            return true;
        };
        warn!(%error, "cannot register a connection");
        match slot.is_opening() {
            true if slot.role.is_client() => self.give_back(key, error.into()),
            true => self.abandon(key),
            false => self.abort(key, Cause::Io(&error)),
        }
        false
    }

    fn id(&self, key: usize) -> PeerId {
        PeerId {
            of_loop: self.number,
            key: key as u32,
            generation: self.slots[key].generation,
        }
    }

    /// Adds up the frames of idle connections in this turn, and tells what is
    /// held after it.
    fn count(&mut self) {
        self.counters.held_bytes.set(self.held as u64);
        for served in &mut self.profiles {
            for spare in served.spares.as_flattened_mut() {
                spare.add_counts_to(&self.counters);
            }
        }
    }

    fn is_open_still(&self, id: PeerId) -> bool {
        self.is_current(id) && Self::is_open(&self.slots[id.key as usize])
    }

    fn is_open(slot: &Slot<T, H::Data>) -> bool {
        slot.is_open()
    }

    fn mailbox(&self) -> &Mailbox<H, T> {
        &self.remote.mailboxes()[self.index()]
    }

    fn is_current(&self, id: PeerId) -> bool {
        self.slots
            .get(id.key as usize)
            .is_some_and(|slot| slot.generation == id.generation && self.number == id.of_loop)
    }
}

impl<H: Handler, T> Drop for EventLoop<H, T> {
    fn drop(&mut self) {
        self.remote.mailboxes()[usize::from(self.index)].end();
        if let Some(wakings) = &self.wakings {
            wakings.end();
        }
        self.log.end_loop(self.index.into());
        self.remote.topic_sizes().end_loop(self.index.into());
    }
}

impl<H: Handler, T> fmt::Debug for EventLoop<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("index", &self.index)
            .field("connections", &self.slots.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
