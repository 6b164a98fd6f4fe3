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
    connection::{
        Kept, new_link,
        role::Role,
        share::{HANDSHAKE_SHARE, Share},
    },
    handler::decider::Decided,
    opening::{
        request::Admitted,
        server::{Lent, ServerOpening, Step},
    },
    slots::wheel::Tick,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Takes a request out of those that are kept.
    pub(super) fn take_request(&mut self, index: usize) -> ServerOpening<H::Data> {
        let opening = self.requests.remove(index);
        self.held -= opening.held();
        opening
    }

    fn keep_request(&mut self, key: usize, mut opening: ServerOpening<H::Data>) {
        opening.below = self.slots[key].transport.held();
        self.held += opening.held();
        self.slots[key].kept = Kept::request(self.requests.insert(opening));
    }

    /// Tells whether a request is whole, and waits for a decision.
    pub(super) fn is_waiting(&self, key: usize) -> bool {
        let request = self.slots[key].kept.pending_request();
        request.is_some_and(|index| self.requests[index].waiting().is_some())
    }

    /// Goes on with requests that were decided on.
    pub(super) fn take_decisions(&mut self) {
        let Some(decided) = &self.decided else {
            return;
        };
        for id in decided.take() {
            if self.is_current(id) && self.is_waiting(id.key as usize) {
                let _entered = self.enter(id.key as usize);
                self.go_on_upgrading(id.key as usize);
            }
        }
    }

    /// Goes on with a request whose transport became ready.
    pub(super) fn upgrade(&mut self, key: usize, ready: Ready) {
        let slot = &mut self.slots[key];
        slot.read_closed |= ready.read_closed;
        if self.is_waiting(key) {
            // Nothing is read before it is decided on.
            let _ = self.slots[key].transport.flush();
            return;
        }
        self.go_on_upgrading(key);
    }

    fn go_on_upgrading(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let mut opening = match slot.kept.take().pending_request() {
            None => ServerOpening::new(&self.config),
            Some(index) => self.take_request(index),
        };
        let mut share = self.share(key, HANDSHAKE_SHARE);
        let (now, slot) = (self.tick(), &mut self.slots[key]);
        let lent = Lent {
            transport: &mut slot.transport,
            read_closed: slot.read_closed,
            buffer: self.scratch.as_mut_slice(),
            config: &self.config,
            is_draining: self.lame_duck.is_some(),
            out: &mut self.cork,
            now,
            share: &mut share,
        };
        let (handler, by_address) = (&mut self.handler, &mut self.by_address);
        let may_come = |transport: &T| by_address.take(key, || transport.peer_addr());
        match catch(|| opening.go_on(lent, handler, may_come)) {
            Ok(Step::Waiting) => self.await_request(key, opening, share),
            Ok(Step::NextTurn) => {
                self.go_on(key);
                self.await_request(key, opening, share);
            }
            Ok(Step::Undecided) => self.await_decision(key, opening),
            Ok(Step::Admitted {
                admitted,
                rest,
                is_full,
            }) => self.admitted(key, admitted, rest, is_full),
            Ok(Step::Refused(response)) => self.refuse(key, &response, share),
            Ok(Step::OverAddress) => self.refuse_for_address(key, share),
            Ok(Step::Ended) => self.abandon(key),
            Ok(Step::Failed(error)) => self.fail_to_upgrade(key, &error, share),
            Err(payload) => {
                report(handler, &self.config, Some(&self.counters), None, payload);
                self.refuse(key, &Response::new(500), share);
            }
        }
    }

    /// Has a request wait for the rest of it.
    fn await_request(&mut self, key: usize, opening: ServerOpening<H::Data>, share: Share) {
        if let Some(soon) = opening.request().trickles_at(self.tick()) {
            self.arm(key, soon);
        }
        if !opening.request().is_empty() || self.slots[key].transport.held() > 0 {
            self.keep_request(key, opening);
        }
        match self.slots[key].transport.flush() {
            Ok(true) => {}
            Ok(false) if !self.register_writable(key) => return,
            Ok(false) => {}
            Err(_) => return self.abandon(key),
        }
        // A proxy may have told the address, and nothing else have come.
        let transport = &self.slots[key].transport;
        if !self.by_address.take(key, || transport.peer_addr()) {
            return self.refuse_for_address(key, share);
        }
        self.drop_largest();
    }

    /// Has a request wait for a decision.
    fn await_decision(&mut self, key: usize, opening: ServerOpening<H::Data>) {
        let wake = || self.mailbox().waker();
        let decided = match &self.decided {
            Some(decided) => Arc::clone(decided),
            None => Decided::new(wake()),
        };
        if let Some(waiting) = opening.waiting() {
            waiting.later.tell(&decided, self.id(key));
        }
        self.decided = Some(decided);
        self.keep_request(key, opening);
        self.drop_largest();
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
        let request = self.slots[key].kept.pending_request();
        let request = request.map(|index| self.requests[index].request());
        let tick = self.tick();
        if request.is_some_and(|request| request.is_trickling(tick)) {
            return true;
        }
        let next = request.and_then(|request| request.trickles_at(tick));
        self.arm(key, next.map_or(until, |next| until.min(next)));
        false
    }

    /// Refuses a connection from an address that has as many as it may.
    #[cold]
    fn refuse_for_address(&mut self, key: usize, share: Share) {
        debug!("over max_connections_per_address");
        self.counters.over_max_connections_per_address.add(1);
        self.refuse_unread(key, &Response::new(503), share);
    }

    /// Drops a transport that failed before its request was whole. If that was
    /// in a handshake of its own, the peer is given time to read why.
    #[cold]
    fn fail_to_upgrade(&mut self, key: usize, error: &io::Error, share: Share) {
        if !self.slots[key].transport.is_handshaking() {
            return self.abandon(key);
        }
        let cause = error.get_ref().and_then(|error| error.source());
        let cause = cause.map(tracing::field::display);
        debug!(%error, cause, "the transport's handshake failed");
        self.counters.handshakes_failed.add(1);
        self.begin_end(key, true, share);
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

    /// Answers a request that does not become a connection, of which more is read as far as `share`
    /// goes.
    pub(super) fn refuse(&mut self, key: usize, response: &Response, share: Share) {
        debug!(status = response.status(), "refused");
        self.counters.count_refused(response.status());
        let slot = &mut self.slots[key];
        let mut link = new_link(Role::Server, false, &self.profiles[0].profile, &self.config);
        response.write_to(&mut self.cork);
        link.outgoing
            .flush_cork(&mut self.cork, &mut slot.transport);
        slot.kept = Kept::link_at(self.links.insert(link));
        self.begin_end(key, true, share);
    }

    /// Answers a request before it is whole, outside of its turn.
    pub(super) fn refuse_late(&mut self, key: usize, response: &Response) {
        let share = self.share(key, HANDSHAKE_SHARE);
        self.refuse_unread(key, response, share);
    }

    /// Answers a request before it is whole.
    fn refuse_unread(&mut self, key: usize, response: &Response, share: Share) {
        if let Some(index) = self.slots[key].kept.take().pending_request() {
            drop(self.take_request(index));
        }
        if self.slots[key].transport.is_handshaking() {
            // There is no way to say anything in HTTP.
            self.counters.handshakes_failed.add(1);
            return self.remove(key);
        }
        self.refuse(key, response, share);
    }
}
