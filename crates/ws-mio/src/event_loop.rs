//! The loop: polls, accepts, upgrades, gives connections their turns, and
//! keeps time.

use std::{
    collections::HashMap,
    io, mem,
    net::SocketAddr,
    ops::Range,
    sync::Once,
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use tracing::{Span, debug, info_span, span::EnteredSpan, warn};
use ws_handshake::{HandshakeError, Head, HeadReader, Response};
use ws_proto::{CloseCode, Due, Keepalive, ServerMasking};

use crate::{
    Accept, Cause, Config, Decision, Handler, Incoming, Peer, PeerId, Remote, Timeout, Transport,
    connection::{Fate, Link, NOWHERE, Phase, Ready, Slot, Turn, high_water},
    pool::Pool,
    remote::Command,
    scratch::Scratch,
    server::{LISTENER, WAKER},
    transport::SHORT_IS_ALL,
    wheel::{Entry, TICK, Tick, Wheel, tick_at},
};

pub(crate) struct EventLoop<H: Handler> {
    poll: Poll,
    /// `None` once the loop stops.
    listener: Option<TcpListener>,
    remote: Remote,
    config: Config,
    handler: H,
    slots: Slab<Slot<H::Data>>,
    /// The state of connections that are in the middle of something.
    links: Slab<Link>,
    /// What an idle connection is served with, without and with
    /// `accept_unmasked_frame`.
    spares: [Link; 2],
    /// Requests that came in part.
    requests: Slab<HeadReader>,
    scratch: Scratch,
    /// Buffers for connections that are in the middle of a large message.
    pool: Pool,
    cork: Vec<u8>,
    /// Connections that had their share and go on in the next turn.
    again: Vec<PeerId>,
    wheel: Wheel,
    due: Vec<Entry>,
    started: Instant,
    /// The time of this turn, since `started`.
    now: Duration,
    generation: u32,
    /// Accepting failed for want of resources, and is tried again then.
    accept_at: Option<Tick>,
    stop_by: Option<Tick>,
    /// Spans of connections, where somebody listens to them.
    spans: HashMap<PeerId, Span>,
}

/// How many connections are accepted in a turn, so that open ones get theirs.
const ACCEPTS: usize = 256;
/// How long to wait before accepting again when the system is out of
/// descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<H: Handler> EventLoop<H> {
    pub(crate) fn new(
        poll: Poll,
        listener: TcpListener,
        remote: Remote,
        mut config: Config,
        handler: H,
    ) -> Self {
        config.high_water = high_water(config.high_water, config.max_backpressure);
        let spares = [false, true].map(|flag| new_link(flag, &config));
        let read_buffer = config.read_buffer.max(1024);
        let pool = Pool::new(read_buffer, config.gather_buffers);
        Self {
            poll,
            listener: Some(listener),
            remote,
            config,
            handler,
            slots: Slab::new(),
            links: Slab::new(),
            spares,
            requests: Slab::new(),
            scratch: Scratch::with_len(read_buffer),
            pool,
            cork: Vec::new(),
            again: Vec::new(),
            wheel: Wheel::new(),
            due: Vec::new(),
            started: Instant::now(),
            now: Duration::ZERO,
            generation: 0,
            accept_at: None,
            stop_by: None,
            spans: HashMap::new(),
        }
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = self.started.elapsed();
            for event in &events {
                match event.token() {
                    // Otherwise it is tried again when its time comes.
                    LISTENER if self.accept_at.is_none() => self.accept(),
                    LISTENER => {}
                    WAKER => self.obey(),
                    Token(key) => self.serve(key, event.into()),
                }
            }
            for id in mem::take(&mut self.again) {
                if self.is_current(id) {
                    self.slots[id.key as usize].goes_on = false;
                    self.serve(id.key as usize, Ready::default());
                }
            }
            self.keep_time();
            if self
                .stop_by
                .is_some_and(|at| self.slots.is_empty() || self.tick() >= at)
            {
                return Ok(());
            }
        }
    }

    // --- accepting ---

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((transport, peer)) => self.admit(transport, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The peer gave up before it was accepted.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        warn!(%error, "cannot accept; trying again");
                        self.accept_at = Some(self.tick_after(ACCEPT_PAUSE));
                        return;
                    }
                },
            }
        }
        // More may wait, and nobody will say so again.
        self.accept_at = Some(self.tick());
    }

    fn admit(&mut self, mut transport: TcpStream, peer: SocketAddr) {
        if self.slots.len() >= self.config.max_connections {
            debug!(%peer, "over max_connections");
            return;
        }
        let until = self.tick_after(self.config.handshake_timeout);
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        if let Err(error) =
            self.poll
                .registry()
                .register(&mut transport, Token(key), Interest::READABLE)
        {
            warn!(%error, "cannot register a connection");
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        let data = H::Data::default();
        entry.insert(Slot::new(transport, self.generation, self.now, until, data));
        self.arm(key, until);
        let span = info_span!("websocket", role = "server", %peer);
        if !span.is_disabled() {
            self.spans.insert(self.id(key), span);
        }
    }

    // --- connections ---

    fn serve(&mut self, key: usize, ready: Ready) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let phase = slot.phase;
        let _entered = self.enter(key);
        match phase {
            Phase::Open => self.turn(key, ready, 0..0, |_, _| {}),
            Phase::Upgrading { .. } => self.upgrade(key, ready),
            Phase::Flushing { linger, .. } => self.flush(key, linger),
            Phase::Lingering { .. } => self.linger(key),
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

    /// Gives an open connection its turn, after `first` was done for it.
    fn turn(
        &mut self,
        key: usize,
        ready: Ready,
        have: Range<usize>,
        first: impl FnOnce(&mut H, &mut Peer<'_, H::Data>),
    ) {
        let id = self.id(key);
        let slot = &mut self.slots[key];
        let spare = &mut self.spares[usize::from(slot.accept_unmasked_frame)];
        let link = match slot.state {
            NOWHERE => spare,
            state => &mut self.links[state as usize],
        };
        let mut turn = Turn {
            handler: &mut self.handler,
            id,
            slot,
            link,
            cork: &mut self.cork,
            pool: &mut self.pool,
            high_water: self.config.high_water,
            now: self.now,
        };
        turn.call(first);
        let fate = turn.run(&mut self.scratch, have, ready);
        match fate {
            Fate::Keep => {}
            Fate::Again => self.go_on(key),
            Fate::End { linger } => {
                self.store(key);
                return self.flush(key, linger);
            }
            Fate::Drop => {
                self.store(key);
                return self.remove(key);
            }
        }
        self.store(key);
        self.want_writable(key);
    }

    /// Keeps the link of a connection that is in the middle of something, and
    /// drops that of one that is idle.
    fn store(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        match slot.state {
            NOWHERE => {
                let spare = &mut self.spares[usize::from(slot.accept_unmasked_frame)];
                if !spare.is_idle() {
                    let link =
                        mem::replace(spare, new_link(slot.accept_unmasked_frame, &self.config));
                    slot.state = self.links.insert(link) as u32;
                }
            }
            state if self.links[state as usize].is_idle() => {
                self.links.remove(state as usize);
                slot.state = NOWHERE;
            }
            _ => {}
        }
        self.await_close(key);
    }

    /// Starts the clock for the peer's Close once ours was sent.
    fn await_close(&mut self, key: usize) {
        let slot = &self.slots[key];
        if slot.state == NOWHERE || slot.phase != Phase::Open {
            return;
        }
        let link = &mut self.links[slot.state as usize];
        if link.outgoing.sender.is_close_sent() && link.close_by.is_none() {
            let until = tick_at(self.now.saturating_add(self.config.close_timeout));
            link.close_by = Some(until);
            self.arm(key, until);
        }
    }

    /// Asks for writable readiness, from the first time on that a transport
    /// was full.
    fn want_writable(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let waits =
            slot.state != NOWHERE && !self.links[slot.state as usize].outgoing.outbox.is_empty();
        if !waits || slot.wants_write {
            return;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self
            .poll
            .registry()
            .reregister(&mut slot.transport, Token(key), interest)
        {
            Ok(()) => slot.wants_write = true,
            Err(error) => {
                warn!(%error, "cannot register a connection");
                self.abort(key, Cause::Io(&error));
            }
        }
    }

    /// Writes the last of a connection that is over.
    fn flush(&mut self, key: usize, linger: bool) {
        let slot = &mut self.slots[key];
        let is_flushed = match slot.state {
            NOWHERE => true,
            state => {
                let outgoing = &mut self.links[state as usize].outgoing;
                outgoing.flush_outbox(&mut slot.transport);
                outgoing.outbox.is_empty()
            }
        };
        let until = tick_at(self.now.saturating_add(self.config.close_timeout));
        if !is_flushed {
            if !matches!(slot.phase, Phase::Flushing { .. }) {
                slot.phase = Phase::Flushing { until, linger };
                self.arm(key, until);
                self.want_writable(key);
            }
        //= RFC6455-7.1.1-1
        } else if linger && Transport::shutdown(&mut slot.transport).is_ok() {
            slot.phase = Phase::Lingering { until };
            self.arm(key, until);
            self.linger(key);
        } else {
            //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
            self.remove(key);
        }
    }

    /// Reads what a peer still sends, until it has read that it is over.
    fn linger(&mut self, key: usize) {
        let buffer = self.scratch.as_mut_slice();
        let slot = &mut self.slots[key];
        // Bounded within a turn by the count, and in all by the deadline.
        for _ in 0..4 {
            match Transport::read(&mut slot.transport, buffer) {
                Ok(0) => return self.remove(key),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted => {}
                    _ => return self.remove(key),
                },
            }
        }
        self.go_on(key);
    }

    /// Ends an open connection at once.
    fn abort(&mut self, key: usize, cause: Cause<'_>) {
        let id = self.id(key);
        let slot = &mut self.slots[key];
        if slot.phase == Phase::Open {
            let link = match slot.state {
                NOWHERE => &mut self.spares[usize::from(slot.accept_unmasked_frame)],
                state => &mut self.links[state as usize],
            };
            link.outgoing.aborted = true;
            Turn {
                handler: &mut self.handler,
                id,
                slot,
                link,
                cork: &mut self.cork,
                pool: &mut self.pool,
                high_water: self.config.high_water,
                now: self.now,
            }
            .closed(cause);
            self.store(key);
        }
        self.remove(key);
    }

    /// Drops a connection and what was kept for it.
    fn remove(&mut self, key: usize) {
        let id = self.id(key);
        let mut slot = self.slots.remove(key);
        if slot.state != NOWHERE {
            match slot.phase {
                Phase::Upgrading { .. } => drop(self.requests.remove(slot.state as usize)),
                _ => {
                    let link = self.links.remove(slot.state as usize);
                    if let Some(gather) = link.gather {
                        self.pool.give(gather.scratch);
                    }
                }
            }
        }
        // Dropping the socket would do on epoll and kqueue; not everywhere.
        let _ = self.poll.registry().deregister(&mut slot.transport);
        if !self.spans.is_empty() {
            self.spans.remove(&id);
        }
    }

    // --- the opening handshake ---

    fn upgrade(&mut self, key: usize, ready: Ready) {
        let slot = &mut self.slots[key];
        let mut reader = match slot.state {
            NOWHERE => self.config.handshake.head_reader(),
            state => self.requests.remove(state as usize),
        };
        slot.state = NOWHERE;
        slot.read_closed |= ready.read_closed;
        loop {
            let buffer = self.scratch.as_mut_slice();
            let len = match Transport::read(&mut self.slots[key].transport, buffer) {
                Ok(0) => return self.remove(key),
                Ok(len) => len.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => continue,
                    _ => return self.remove(key),
                },
            };
            let is_full = len == buffer.len() || !SHORT_IS_ALL;
            let peer = self.slots[key].transport.peer_addr().ok();
            let decision = match reader.receive(&buffer[..len]) {
                Ok(None) if is_full || self.slots[key].read_closed => continue,
                Ok(None) => break,
                Ok(Some(head)) => {
                    decide(&head, peer, &self.config, &mut self.handler, &mut self.cork)
                        .map(|admitted| (admitted, head.consumed()))
                }
                Err(error) => Err(error.rejection()),
            };
            return match decision {
                Ok((admitted, consumed)) => {
                    self.open(key, admitted, consumed..len, is_full);
                }
                Err(response) => self.refuse(key, &response),
            };
        }
        self.slots[key].state = self.requests.insert(reader) as u32;
    }

    /// The 101 is in the cork: the connection is open.
    fn open(&mut self, key: usize, admitted: Admitted<H::Data>, rest: Range<usize>, is_full: bool) {
        let slot = &mut self.slots[key];
        slot.phase = Phase::Open;
        slot.data = admitted.data;
        slot.accept_unmasked_frame = admitted.accept_unmasked_frame;
        slot.keepalive = Keepalive::new(self.now);
        slot.readable = is_full || slot.read_closed;
        debug!("open");
        if let Some((at, _)) = slot.keepalive.poll_timeout(&self.config.keepalive) {
            self.arm(key, tick_at(at));
        }
        self.turn(key, Ready::default(), rest, |handler, peer| {
            handler.on_open(peer)
        });
    }

    /// Answers a request that does not become a connection.
    fn refuse(&mut self, key: usize, response: &Response) {
        debug!(status = response.status(), "refused");
        let slot = &mut self.slots[key];
        let mut link = new_link(false, &self.config);
        response.write_to(&mut self.cork);
        link.outgoing
            .flush_cork(&mut self.cork, &mut slot.transport);
        slot.phase = Phase::Open;
        slot.state = self.links.insert(link) as u32;
        self.flush(key, true);
    }

    // --- time ---

    fn tick(&self) -> Tick {
        (self.now.as_millis() / TICK.as_millis()) as Tick
    }

    fn tick_after(&self, wait: Duration) -> Tick {
        tick_at(self.now.saturating_add(wait))
    }

    fn poll_timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.wheel.next(), self.accept_at, self.stop_by]
            .into_iter()
            .flatten()
            .min()?;
        Some((TICK * next).saturating_sub(self.started.elapsed()))
    }

    /// Makes the wheel ask for a connection at a tick, if it would not before.
    fn arm(&mut self, key: usize, at: Tick) {
        let slot = &mut self.slots[key];
        if slot.armed_at == 0 || at < slot.armed_at {
            let entry = Entry {
                key: key as u32,
                generation: slot.generation,
                at,
            };
            slot.armed_at = self.wheel.insert(entry);
        }
    }

    fn keep_time(&mut self) {
        let tick = self.tick();
        if self.accept_at.is_some_and(|at| tick >= at) {
            self.accept_at = None;
            self.accept();
        }
        let mut due = mem::take(&mut self.due);
        self.wheel.advance(tick, &mut due);
        for entry in due.drain(..) {
            let id = PeerId {
                key: entry.key,
                generation: entry.generation,
            };
            let key = entry.key as usize;
            if self.is_current(id) && self.slots[key].armed_at == entry.at {
                self.slots[key].armed_at = 0;
                self.time_out(key);
            }
        }
        self.due = due;
    }

    /// Looks at what a connection waits for, and gives it up or asks again.
    fn time_out(&mut self, key: usize) {
        let _entered = self.enter(key);
        let slot = &self.slots[key];
        let tick = self.tick();
        let until = match slot.phase {
            Phase::Upgrading { until }
            | Phase::Flushing { until, .. }
            | Phase::Lingering { until } => until,
            Phase::Open => return self.time_out_open(key),
        };
        if tick < until {
            return self.arm(key, until);
        }
        if matches!(slot.phase, Phase::Upgrading { .. }) {
            debug!("the request did not come within handshake_timeout");
            return self.refuse_late(key);
        }
        self.remove(key);
    }

    fn refuse_late(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        if slot.state != NOWHERE {
            self.requests.remove(slot.state as usize);
            slot.state = NOWHERE;
        }
        self.refuse(key, &Response::new(408));
    }

    fn time_out_open(&mut self, key: usize) {
        let tick = self.tick();
        let slot = &mut self.slots[key];
        let close_by = match slot.state {
            NOWHERE => None,
            state => self.links[state as usize].close_by,
        };
        let is_paused = match slot.state {
            NOWHERE => false,
            state => self.links[state as usize].outgoing.paused,
        };
        // After our Close, only the peer's is waited for.
        if let Some(at) = close_by {
            return match tick >= at {
                //= RFC6455-7.1.1-2
                true => self.abort(key, Cause::Timeout(Timeout::Close)),
                false => self.arm(key, at),
            };
        }
        let keepalive = &self.config.keepalive;
        match slot.keepalive.handle_timeout(keepalive, self.now) {
            None => {}
            // What a peer sends while it is paused is not seen.
            Some(Due::PongTimeout | Due::IdleTimeout) if is_paused => {
                slot.keepalive.handle_data(self.now);
            }
            Some(Due::PongTimeout) => return self.abort(key, Cause::Timeout(Timeout::Pong)),
            Some(Due::IdleTimeout) => return self.abort(key, Cause::Timeout(Timeout::Idle)),
            Some(Due::Ping(payload)) => {
                self.turn(key, Ready::default(), 0..0, |_, peer| {
                    peer.ping(&payload);
                });
            }
        }
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let keepalive = &self.config.keepalive;
        if let Some((at, _)) = slot.keepalive.poll_timeout(keepalive) {
            // The next Ping may be due before `pong_timeout`, if the peer
            // answers: input moves that deadline forward.
            let sooner = keepalive.ping_interval.map(|wait| self.tick_after(wait));
            let at = tick_at(at).min(sooner.unwrap_or(Tick::MAX));
            self.arm(key, at.max(tick + 1));
        }
    }

    // --- orders from elsewhere ---

    fn obey(&mut self) {
        for command in self.remote.take() {
            match command {
                Command::Stop => self.stop(),
            }
        }
    }

    fn stop(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(self.tick_after(self.config.close_timeout));
        if let Some(mut listener) = self.listener.take() {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            let _entered = self.enter(key);
            match self.slots[key].phase {
                Phase::Open => self.turn(key, Ready::default(), 0..0, |_, peer| {
                    peer.close(CloseCode::GOING_AWAY, "");
                }),
                Phase::Upgrading { .. } => self.remove(key),
                Phase::Flushing { .. } | Phase::Lingering { .. } => {}
            }
        }
    }

    fn id(&self, key: usize) -> PeerId {
        PeerId {
            key: key as u32,
            generation: self.slots[key].generation,
        }
    }

    fn is_current(&self, id: PeerId) -> bool {
        self.slots
            .get(id.key as usize)
            .is_some_and(|slot| slot.generation == id.generation)
    }
}

/// What is kept of a request that was accepted.
pub(crate) struct Admitted<D> {
    pub(crate) data: D,
    pub(crate) accept_unmasked_frame: bool,
}

/// Asks the application, and writes the 101 to `out` if it accepts.
pub(crate) fn decide<H: Handler>(
    head: &Head<'_>,
    peer: Option<SocketAddr>,
    config: &Config,
    handler: &mut H,
    out: &mut Vec<u8>,
) -> Result<Admitted<H::Data>, Response> {
    let request = head
        .request()
        .map_err(|error: HandshakeError| error.rejection())?;
    match handler.on_request(Incoming::new(&request, peer, config)) {
        Decision::Respond(response) => Err(response),
        Decision::Accept(Accept {
            acceptance,
            data,
            accept_unmasked_frame,
        }) => {
            acceptance.write_to(out);
            //= MSWS-1.5-1, MSWS-1.6-3, MSWS-3.2.3-1, MSWS-4-1
            let accept_unmasked_frame = accept_unmasked_frame.unwrap_or_else(|| {
                // A peer that is gone has no address either, and is not taken
                // for one that never leaves the machine.
                peer.is_some_and(|peer| config.accept_unmasked_frame.allows(Some(peer.ip()), false))
            });
            if accept_unmasked_frame {
                warn_of_flag("accept_unmasked_frame", peer);
            }
            Ok(Admitted {
                data,
                accept_unmasked_frame,
            })
        }
    }
}

fn new_link(accept_unmasked_frame: bool, config: &Config) -> Link {
    let masking = ServerMasking::with_accept_unmasked_frame(accept_unmasked_frame);
    Link::new(masking.into(), config.limits, config.max_backpressure)
}

/// Says once that a flag of [MS-WSPE] is used in plaintext with another
/// machine.
pub(crate) fn warn_of_flag(flag: &str, peer: Option<SocketAddr>) {
    static ONCE: Once = Once::new();
    //= MSWS-1.6-2, MSWS-5.1-2, MSWS-5.2-1
    if let Some(peer) = peer
        && !peer.ip().to_canonical().is_loopback()
    {
        ONCE.call_once(|| {
            warn!(
                %peer,
                "{flag} is set for a peer on another machine without TLS: \
                 make sure that no intermediary is on the path"
            );
        });
    }
}
