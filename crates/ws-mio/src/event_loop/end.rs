//! Connections end.

use super::{
    EventLoop,
    panics::{catch, report},
};
use crate::{
    Cause, Handler, Transport,
    arena::NOWHERE,
    connection::{Discarded, Phase, Turn, discard, end_wait},
    share::Patience,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Writes the last of a connection that is over.
    pub(super) fn flush(&mut self, key: usize, linger: bool) {
        let slot = &mut self.slots[key];
        let is_written = match slot.state {
            NOWHERE => true,
            state => {
                let outgoing = &mut self.links[state as usize].outgoing;
                outgoing.flush_outbox(&mut slot.transport);
                fault!("end-cut-off") || outgoing.outbox.is_empty()
            }
        };
        let is_flushed = is_written && slot.transport.flush().unwrap_or(true);
        if !is_flushed {
            if !matches!(slot.phase, Phase::Flushing { .. }) {
                let until = self.close_deadline();
                self.slots[key].phase = Phase::Flushing { until, linger };
                self.arm(key, until);
                // Whether it is there or not, there is nothing more to do.
                let _ = self.register_writable(key);
            }
            return;
        }
        //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
        let lingers = match linger {
            //= RFC6455-7.1.1-1
            true => Transport::shutdown(&mut slot.transport).is_ok(),
            //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
            false => slot.role.is_client(),
        };
        if !lingers {
            if slot.transport.is_tls() {
                // Its own last word, which may have left with ours.
                let _ = Transport::shutdown(&mut slot.transport);
            }
            return self.remove(key);
        }
        if !slot.transport.flush().unwrap_or(true) && !self.register_writable(key) {
            return;
        }
        // A drain may take long. All of ours has left, so it is not waited for.
        let wait = end_wait(self.config.close_timeout, linger);
        let soon = self.tick_after(wait);
        let until = soon.min(self.close_deadline());
        self.slots[key].phase = Phase::Lingering {
            until,
            patience: Patience::ALL,
        };
        self.arm(key, until);
        self.linger(key);
    }

    /// Reads what a peer still sends, until it has read that it is over.
    pub(super) fn linger(&mut self, key: usize) {
        let buffer = self.scratch.as_mut_slice();
        let slot = &mut self.slots[key];
        // The end itself may have found no room. If it never does, the
        // deadline ends it all.
        let _ = slot.transport.flush();
        match discard(slot, buffer) {
            Discarded::All => {}
            Discarded::Share => self.go_on(key),
            Discarded::Over => self.remove(key),
        }
    }

    /// Ends an open connection at once.
    pub(super) fn abort(&mut self, key: usize, cause: Cause<'_>) {
        let id = self.id(key);
        let slot = &mut self.slots[key];
        if slot.phase.is_open()
            || fault!("told-twice") && matches!(slot.phase, Phase::Flushing { .. })
        {
            let link = match slot.state {
                NOWHERE => {
                    let spares = &mut self.profiles[usize::from(slot.profile)].spares;
                    &mut spares[slot.role.index()][usize::from(slot.terms.is_some())]
                }
                state => &mut self.links[state as usize],
            };
            link.outgoing.aborted = true;
            let mut turn = Turn {
                handler: &mut self.handler,
                id,
                slot,
                link,
                cork: &mut self.cork,
                pool: &mut self.pool,
                inflating: None,
                deflating: None,
                orders: Some(&mut self.orders),
                counters: Some(&self.counters),
                high_water: self.config.high_water,
                max_control_rate: self.config.time_limits.max_control_rate,
                now: self.now,
                // Nothing more is received.
                chunks: false,
                is_told: false,
            };
            if let Err(payload) = catch(|| turn.closed(cause)) {
                report(turn.handler, &self.config, turn.counters, Some(id), payload);
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
        if slot.state != NOWHERE {
            match slot.phase {
                Phase::Upgrading { .. } if slot.role.is_client() => {
                    self.calls.remove(slot.state as usize);
                }
                Phase::Upgrading { .. } => drop(self.take_request(slot.state)),
                _ => {
                    let link = self.links.remove(slot.state as usize);
                    self.held -= link.counted;
                    if let Some(gather) = link.gather {
                        match fault!("buffer-leaked") {
                            true => std::mem::forget(gather.scratch),
                            false => self.pool.give(gather.scratch),
                        }
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
        if !self.orders.topics.is_empty() && !fault!("subscription-kept") {
            self.orders.topics.remove(id.key);
        }
        if !fault!("timer-kept") {
            self.timers.remove(Some(id.key));
        }
        self.seats.leave(id.key);
        Some(slot.data)
    }
}
