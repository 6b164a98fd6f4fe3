//! Requests become connections, or are answered otherwise.

use std::{io, mem, ops::Range, sync::Arc};

use tracing::debug;
use ws_handshake::Response;
use ws_proto::Clock;

use super::{
    EventLoop,
    panics::{catch, report},
};
use crate::{
    Handler, Peer, Ready, Transport,
    connection::new_link,
    connection::role::Role,
    connection::share::{HANDSHAKE_SHARE, Share},
    handler::decider::Decided,
    opening::request::{Admitted, Request, Verdict, Waiting, decide, reject},
    slots::arena::NOWHERE,
    slots::connections_by_address::ConnectionsByAddress,
    slots::wheel::Tick,
};

/// What is kept of a connection that is not open yet.
#[derive(Debug)]
pub(super) struct PendingRequest<D> {
    request: Request,
    /// It is whole, and waits for a decision.
    waiting: Option<Waiting<D>>,
    /// How many bytes the transport holds.
    below: usize,
}

impl<D> PendingRequest<D> {
    /// Returns how many bytes are held for it.
    pub(super) fn held(&self) -> usize {
        let waiting = self.waiting.as_ref();
        let waiting = waiting.map_or(0, |waiting| waiting.bytes.capacity());
        size_of::<Self>() + self.request.held() + waiting + self.below
    }
}

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Takes a request back to go on with it.
    pub(super) fn take_request(&mut self, state: u32) -> Request {
        self.take_pending(state).request
    }

    fn take_pending(&mut self, state: u32) -> PendingRequest<H::Data> {
        let pending = self.requests.remove(state as usize);
        self.held -= pending.held();
        pending
    }

    fn keep_pending(&mut self, key: usize, pending: PendingRequest<H::Data>) {
        self.held += pending.held();
        self.slots[key].state = self.requests.insert(pending) as u32;
    }

    /// Tells whether a request is whole, and waits for a decision.
    pub(super) fn is_waiting(&self, key: usize) -> bool {
        let slot = &self.slots[key];
        let is_request = slot.is_opening() && slot.state != NOWHERE && !slot.role.is_client();
        is_request && self.requests[slot.state as usize].waiting.is_some()
    }

    /// Has a request wait for a decision.
    fn await_decision(&mut self, key: usize, waiting: Waiting<H::Data>) {
        let wake = || self.mailbox().waker();
        let decided = match &self.decided {
            Some(decided) => Arc::clone(decided),
            None => Decided::new(wake()),
        };
        waiting.later.tell(&decided, self.id(key));
        self.decided = Some(decided);
        let pending = PendingRequest {
            request: Request::new(&self.config),
            waiting: Some(waiting),
            below: self.slots[key].transport.held(),
        };
        self.keep_pending(key, pending);
        self.drop_largest();
    }

    /// Goes on with requests that were decided on.
    pub(super) fn take_decisions(&mut self) {
        let Some(decided) = &self.decided else {
            return;
        };
        for id in decided.take() {
            if self.is_current(id) && self.is_waiting(id.key as usize) {
                let _entered = self.enter(id.key as usize);
                self.go_on_deciding(id.key as usize);
            }
        }
    }

    fn go_on_deciding(&mut self, key: usize) {
        let state = mem::replace(&mut self.slots[key].state, NOWHERE);
        let Some(waiting) = self.take_pending(state).waiting else {
            return;
        };
        let choice = match waiting.later.take() {
            Some(Some(choice)) => choice,
            Some(None) => return self.refuse(key, &Response::new(503)),
            None => return self.await_decision(key, waiting),
        };
        let mut reader = self.config.handshake.head_reader();
        let (transport, config) = (&self.slots[key].transport, &self.config);
        let (cork, is_draining) = (&mut self.cork, self.lame_duck.is_some());
        let response = match reader.receive(&waiting.bytes) {
            Ok(Some(head)) => {
                let verdict = catch(|| decide(&head, transport, config, is_draining, cork, choice));
                match verdict {
                    Ok(Verdict::Admit(admitted)) => {
                        let rest = &waiting.bytes[head.consumed()..];
                        self.scratch.as_mut_slice()[..rest.len()].copy_from_slice(rest);
                        // What has come since, nobody says again.
                        return self.admitted(key, admitted, 0..rest.len(), true);
                    }
                    Ok(Verdict::Wait(later)) => {
                        let waiting = Waiting::new(later, &head, &waiting.bytes);
                        return self.await_decision(key, waiting);
                    }
                    Ok(Verdict::Refuse(response)) => response,
                    Err(payload) => {
                        let counters = Some(&*self.counters);
                        report(&mut self.handler, config, counters, None, payload);
                        Response::new(500)
                    }
                }
            }
            // It was whole before.
            Ok(None) => Response::new(400),
            Err(error) => error.rejection(),
        };
        self.refuse(key, &response);
    }

    /// Opens a connection that was accepted.
    fn admitted(
        &mut self,
        key: usize,
        admitted: Admitted<H::Data>,
        rest: Range<usize>,
        is_full: bool,
    ) {
        let slot = &mut self.slots[key];
        let default = mem::replace(&mut slot.data, admitted.data);
        slot.role = Role::server(admitted.accept_unmasked_frame);
        slot.deflate = admitted.deflate;
        slot.profile = admitted.profile;
        self.drop_data(default);
        self.open(key, rest, is_full, |handler, peer| handler.on_open(peer));
    }

    /// Tells whether a request comes too slowly, and otherwise looks again
    /// later.
    pub(super) fn is_trickling(&mut self, key: usize, until: Tick) -> bool {
        let slot = &self.slots[key];
        let request = match slot.state {
            NOWHERE => None,
            _ if slot.role.is_client() => None,
            state => Some(&self.requests[state as usize].request),
        };
        let tick = self.tick();
        if request.is_some_and(|request| request.is_trickling(tick)) {
            return true;
        }
        let next = request.and_then(|request| request.trickles_at(tick));
        self.arm(key, next.map_or(until, |next| until.min(next)));
        false
    }

    pub(super) fn upgrade(&mut self, key: usize, ready: Ready) {
        let slot = &mut self.slots[key];
        slot.read_closed |= ready.read_closed;
        if self.is_waiting(key) {
            // Nothing is read before it is decided on.
            let _ = self.slots[key].transport.flush();
            return;
        }
        let slot = &mut self.slots[key];
        let mut request = match mem::replace(&mut slot.state, NOWHERE) {
            NOWHERE => Request::new(&self.config),
            state => self.take_request(state),
        };
        let now = self.tick();
        let mut share = Share::new(HANDSHAKE_SHARE);
        loop {
            if share.is_spent() {
                self.go_on(key);
                break;
            }
            let buffer = share.window(self.scratch.as_mut_slice());
            let len = match Transport::read(&mut self.slots[key].transport, buffer) {
                Ok(0) => return self.abandon(key),
                Ok(len) => len.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {
                        share.spend_interrupted();
                        continue;
                    }
                    _ => return self.fail_to_upgrade(key, &error),
                },
            };
            share.spend(len);
            let transport = &self.slots[key].transport;
            if !is_within_address_limit(&mut self.by_address, key, transport) {
                return self.refuse_for_address(key);
            }
            let is_full = len == buffer.len() || !transport.short_is_all();
            let response = match request.receive(&buffer[..len], now) {
                Ok(None) if is_full || self.slots[key].read_closed => continue,
                Ok(None) => break,
                Ok(Some(head)) => {
                    let (config, handler) = (&self.config, &mut self.handler);
                    let (cork, is_draining) = (&mut self.cork, self.lame_duck.is_some());
                    let verdict = catch(|| {
                        decide(&head, transport, config, is_draining, cork, |incoming| {
                            handler.on_request(incoming)
                        })
                    });
                    match verdict {
                        Ok(Verdict::Admit(admitted)) => {
                            let rest = head.consumed()..len;
                            return self.admitted(key, admitted, rest, is_full);
                        }
                        Ok(Verdict::Wait(later)) => {
                            let waiting = Waiting::new(later, &head, &buffer[..len]);
                            return self.await_decision(key, waiting);
                        }
                        Ok(Verdict::Refuse(response)) => response,
                        Err(payload) => {
                            report(handler, config, Some(&self.counters), None, payload);
                            Response::new(500)
                        }
                    }
                }
                Err(error) => reject(error),
            };
            return self.refuse(key, &response);
        }
        let below = self.slots[key].transport.held();
        if let Some(soon) = request.trickles_at(now) {
            self.arm(key, soon);
        }
        if !request.is_empty() || below > 0 {
            let pending = PendingRequest {
                request,
                waiting: None,
                below,
            };
            self.keep_pending(key, pending);
        }
        match self.slots[key].transport.flush() {
            Ok(true) => {}
            Ok(false) if !self.register_writable(key) => return,
            Ok(false) => {}
            Err(_) => return self.abandon(key),
        }
        // A proxy may have told the address, and nothing else have come.
        if !is_within_address_limit(&mut self.by_address, key, &self.slots[key].transport) {
            return self.refuse_for_address(key);
        }
        self.drop_largest();
    }

    /// Refuses a connection from an address that has as many as it may.
    #[cold]
    fn refuse_for_address(&mut self, key: usize) {
        debug!("over max_connections_per_address");
        self.counters.over_max_connections_per_address.add(1);
        self.refuse_late(key, &Response::new(503));
    }

    /// Drops a transport that failed before its request was whole. If that was
    /// in a handshake of its own, the peer is given time to read why.
    #[cold]
    fn fail_to_upgrade(&mut self, key: usize, error: &io::Error) {
        if !self.slots[key].transport.is_handshaking() {
            return self.abandon(key);
        }
        let cause = error.get_ref().and_then(|error| error.source());
        let cause = cause.map(tracing::field::display);
        debug!(%error, cause, "the transport's handshake failed");
        self.counters.handshakes_failed.add(1);
        self.begin_end(key, true);
    }

    /// Drops a transport that ended before its request was whole.
    pub(super) fn abandon(&mut self, key: usize) {
        self.counters.abandoned.add(1);
        self.remove(key);
    }

    /// The connection is open; `rest` was read behind the handshake, and
    /// `first` is the application's call for it.
    pub(super) fn open(
        &mut self,
        key: usize,
        rest: Range<usize>,
        is_full: bool,
        first: impl FnOnce(&mut H, &mut Peer<'_, H::Data>),
    ) {
        let clock = Clock::open(&self.times(key), self.now);
        let slot = &mut self.slots[key];
        slot.clock = clock;
        slot.readable = is_full || slot.read_closed;
        debug!("open");
        self.counters.opened.add(1);
        self.counters.bytes_received.add(rest.len() as u64);
        self.look_again(key);
        self.turn(key, Ready::default(), rest, first);
    }

    /// Answers a request that does not become a connection.
    pub(super) fn refuse(&mut self, key: usize, response: &Response) {
        debug!(status = response.status(), "refused");
        self.counters.count_refused(response.status());
        let slot = &mut self.slots[key];
        let mut link = new_link(Role::Server, false, &self.profiles[0].profile, &self.config);
        response.write_to(&mut self.cork);
        link.outgoing
            .flush_cork(&mut self.cork, &mut slot.transport);
        slot.state = self.links.insert(link) as u32;
        self.begin_end(key, true);
    }

    /// Answers a request before it is whole.
    pub(super) fn refuse_late(&mut self, key: usize, response: &Response) {
        match mem::replace(&mut self.slots[key].state, NOWHERE) {
            NOWHERE => {}
            state => drop(self.take_request(state)),
        }
        if self.slots[key].transport.is_handshaking() {
            // There is no way to say anything in HTTP.
            self.counters.handshakes_failed.add(1);
            return self.remove(key);
        }
        self.refuse(key, response);
    }
}

/// Counts a connection, once its client's address is known: behind a proxy that
/// is not so when it is accepted.
fn is_within_address_limit(
    by_address: &mut ConnectionsByAddress,
    key: usize,
    transport: &dyn Transport,
) -> bool {
    if !by_address.is_counting() {
        return true;
    }
    let address = transport.peer_addr().ip();
    address.is_none_or(|address| by_address.take(key, address))
}
