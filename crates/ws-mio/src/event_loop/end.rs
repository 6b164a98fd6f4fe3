//! Connections end.

use ws_proto::{EndOrder, Ending, Stage};

use super::{
    EventLoop,
    panics::{catch, report},
    time::times,
};
use crate::{
    Cause, Handler, Transport,
    connection::{End, Place, share::Share},
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Starts the end of a connection, which may read what is left of its share of the turn.
    pub(super) fn begin_end(&mut self, key: usize, lingers: bool, share: Share) {
        let slot = &mut self.slots[key];
        let order = EndOrder::new(slot.role.is_client(), lingers);
        let times = times(slot, &self.profiles, &self.config, self.stop_by);
        slot.clock.begin_end(order, &times, self.now);
        self.go_on_ending(key, share);
    }

    /// Goes on with the end of a connection, as far as its transport lets it.
    pub(super) fn go_on_ending(&mut self, key: usize, mut share: Share) {
        let slot = &mut self.slots[key];
        let link = slot.kept.link().map(|index| &mut self.links[index]);
        let outgoing = link.map(|link| &mut link.outgoing);
        let times = times(slot, &self.profiles, &self.config, self.stop_by);
        let buffer = self.scratch.as_mut_slice();
        let end = slot.go_on_ending(outgoing, buffer, &mut share, &times, self.now);
        if end == End::Over {
            return self.remove(key);
        }
        let until = slot.until();
        self.arm(key, until);
        match end {
            // If that fails, there is nothing more to do.
            End::Waiting { wants_write: true } => drop(self.register_writable(key)),
            End::Waiting { .. } | End::Over => {}
            End::Again => self.go_on(key),
        }
    }

    /// Ends an open connection at once.
    pub(super) fn abort(&mut self, key: usize, cause: Cause<'_>) {
        let slot = &self.slots[key];
        if slot.is_open()
            || fault!("told-twice") && matches!(slot.clock.stage(), Stage::Ending(Ending::Write(_)))
        {
            let (mut turn, _, config) = self.lend_turn(key);
            turn.link.outgoing.aborted = true;
            if let Err(payload) = catch(|| turn.closed(cause)) {
                report(turn.handler, config, turn.counters, Some(turn.id), payload);
            }
            self.store(key);
        }
        self.remove(key);
    }

    /// Drops a connection and what was kept for it.
    pub(super) fn remove(&mut self, key: usize) {
        if let Some(data) = self.take_out(key) {
            self.drop_data(data);
        }
    }

    /// Drops a connection but for the application's data.
    pub(super) fn take_out(&mut self, key: usize) -> Option<H::Data> {
        let id = self.id(key);
        self.wheel.take(&mut self.slots, key);
        let mut slot = self.slots.remove(key)?;
        self.held -= slot.transport.footprint();
        match slot.kept.place() {
            Place::Nothing => {}
            Place::Request(index) => drop(self.take_request(index)),
            Place::ClientOpening(index) => drop(self.client_openings.remove(index)),
            Place::Link(index) => {
                let link = self.links.remove(index);
                self.held -= link.counted;
                if let Some(gather) = link.gather {
                    match fault!("buffer-leaked") {
                        true => std::mem::forget(gather.scratch),
                        false => self.pool.give(gather.scratch),
                    }
                }
            }
        }
        // Dropping the socket would do on epoll and kqueue; not everywhere.
        if let Some((registry, source)) = self.registry.as_ref().zip(slot.transport.source()) {
            let _ = registry.deregister(source);
        }
        if !self.spans.is_empty() {
            self.spans.remove(&id);
        }
        self.codecs.remove(id.key);
        if !self.commands.topics.is_empty() && !fault!("subscription-kept") {
            self.commands.topics.remove(id.key);
        }
        if !fault!("timer-kept") {
            self.timers.remove(Some(id.key));
        }
        self.by_address.leave(id.key);
        Some(slot.data)
    }
}
