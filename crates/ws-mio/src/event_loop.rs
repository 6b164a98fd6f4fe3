//! The loop: polls, accepts, upgrades, gives connections their turns, and
//! keeps time.

mod accept;
mod end;
mod orders;
mod publish;
mod time;
mod upgrade;

use std::{
    collections::HashMap,
    io, mem,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpListener};
use slab::Slab;
use tracing::{Span, span::EnteredSpan, warn};
use ws_handshake::HeadReader;
use ws_proto::ServerMasking;

use crate::{
    Cause, Config, Handler, Peer, PeerId, Remote,
    connection::{Fate, Link, NOWHERE, Phase, Ready, Slot, Turn, high_water},
    metrics::Counters,
    order::{Order, Publication},
    pool::Pool,
    remote::{Mailbox, Task},
    scratch::Scratch,
    server::{LISTENER, WAKER},
    topics::Topics,
    wheel::{Entry, Tick, Wheel, tick_at},
};

pub(crate) struct EventLoop<H: Handler> {
    poll: Poll,
    /// `None` once the loop stops.
    listener: Option<TcpListener>,
    remote: Remote<H>,
    counters: Arc<Counters>,
    /// Which of the server's loops this is.
    index: u16,
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
    /// Empty but for its memory, between turns.
    tasks: Vec<Task<H>>,
    /// What handlers ask for, until the end of the turn.
    orders: Vec<Order>,
    topics: Topics,
    /// Publications to one topic that were not delivered yet.
    run: Vec<Publication>,
    /// Empty but for its memory, unless something is being delivered.
    audience: Vec<u32>,
    /// When connections that asked for it are called.
    timers: HashMap<u32, Tick>,
    /// The loop that gets the next connection.
    next_loop: usize,
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

impl<H: Handler> EventLoop<H> {
    pub(crate) fn new(
        poll: Poll,
        listener: Option<TcpListener>,
        remote: Remote<H>,
        index: u16,
        mut config: Config,
        handler: H,
    ) -> Self {
        config.high_water = high_water(config.high_water, config.max_backpressure);
        let spares = [false, true].map(|flag| new_link(flag, &config));
        let read_buffer = config.read_buffer.max(1024);
        let pool = Pool::new(read_buffer, config.gather_buffers);
        Self {
            poll,
            listener,
            counters: Arc::clone(&remote.mailboxes()[usize::from(index)].counters),
            remote,
            index,
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
            tasks: Vec::new(),
            orders: Vec::new(),
            topics: Topics::default(),
            run: Vec::new(),
            audience: Vec::new(),
            timers: HashMap::new(),
            next_loop: 0,
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
            self.carry_out();
            self.count_frames();
            if self
                .stop_by
                .is_some_and(|at| self.slots.is_empty() || self.tick() >= at)
            {
                return Ok(());
            }
        }
    }

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
            orders: Some(&mut self.orders),
            counters: Some(&self.counters),
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
                    let mut link =
                        mem::replace(spare, new_link(slot.accept_unmasked_frame, &self.config));
                    link.add_counts_to(&self.counters);
                    slot.state = self.links.insert(link) as u32;
                }
            }
            state => {
                let link = &mut self.links[state as usize];
                link.add_counts_to(&self.counters);
                if link.is_idle() {
                    self.links.remove(state as usize);
                    slot.state = NOWHERE;
                }
            }
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

    fn id(&self, key: usize) -> PeerId {
        PeerId {
            index: self.index,
            key: key as u32,
            generation: self.slots[key].generation,
        }
    }

    /// Adds up the frames of idle connections in this turn.
    fn count_frames(&mut self) {
        for spare in &mut self.spares {
            spare.add_counts_to(&self.counters);
        }
    }

    fn is_open_still(&self, id: PeerId) -> bool {
        self.is_current(id) && Self::is_open(&self.slots[id.key as usize])
    }

    fn is_open(slot: &Slot<H::Data>) -> bool {
        slot.phase == Phase::Open
    }

    fn mailbox(&self) -> &Mailbox<H> {
        &self.remote.mailboxes()[self.index()]
    }

    fn is_current(&self, id: PeerId) -> bool {
        self.slots
            .get(id.key as usize)
            .is_some_and(|slot| slot.generation == id.generation && self.index == id.index)
    }
}

impl<H: Handler> Drop for EventLoop<H> {
    fn drop(&mut self) {
        self.mailbox().end();
    }
}

fn new_link(accept_unmasked_frame: bool, config: &Config) -> Link {
    let masking = ServerMasking::with_accept_unmasked_frame(accept_unmasked_frame);
    Link::new(
        masking.into(),
        config.limits,
        config.max_backpressure,
        config.slow_consumer,
    )
}
