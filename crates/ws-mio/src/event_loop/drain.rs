//! The end of a loop.

use ws_handshake::Response;
use ws_proto::Stage;

use super::EventLoop;
use crate::{Cause, Drain, Handler, OpenError, PeerId, Timeout, Transport, slots::wheel::Tick};

/// Connections that are still to be told.
#[derive(Debug)]
pub(super) struct Draining {
    drain: Drain,
    from: Tick,
    to: Tick,
    /// How many there were at `from`.
    count: usize,
    waiting: Vec<PeerId>,
}

impl Draining {
    /// Returns how many need not be told yet.
    fn left(&self, now: Tick) -> usize {
        if now >= self.to {
            return 0;
        }
        let (left, all) = (self.to - now, self.to - self.from);
        (self.count as u64 * u64::from(left) / u64::from(all)) as usize
    }
}

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Starts to drain, or says that it will. What is asked for later can make
    /// that sooner, and not later.
    pub(super) fn begin_drain(&mut self, drain: Drain) {
        if self.is_stopping() || drain.lame_duck.is_zero() {
            return self.stop(Some(drain));
        }
        let at = self.tick_after(drain.lame_duck);
        if self
            .lame_duck
            .as_ref()
            .is_none_or(|(before, _)| at < *before)
        {
            self.lame_duck = Some((at, drain));
        }
    }

    /// Starts the drain that was said to come.
    pub(super) fn end_lame_duck(&mut self) {
        let tick = self.tick();
        if let Some((_, drain)) = self.lame_duck.take_if(|(at, _)| *at <= tick) {
            self.stop(Some(drain));
        }
    }

    /// Tells whether a drain has begun or will.
    pub(crate) const fn is_draining(&self) -> bool {
        self.lame_duck.is_some() || self.is_stopping()
    }

    /// Serves nobody new, and tells those who are there; `None` is at once, and
    /// up to `close_timeout`. Asked again, it can be over sooner, not later.
    pub(super) fn stop(&mut self, drain: Option<Drain>) {
        self.lame_duck = None;
        let close_timeout = self.config.close_timeout;
        let drain = drain.unwrap_or_else(|| Drain::new(Default::default(), close_timeout));
        let until = self.tick_after(drain.until.max(drain.over));
        self.stop_by = Some(self.stop_by.map_or(until, |at| at.min(until)));
        self.give_up_lookups(true);
        let mut waiting = Vec::new();
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(slot) = self.slots.get(key) else {
                continue;
            };
            let (stage, is_client) = (slot.clock.stage(), slot.role.is_client());
            let _entered = self.enter(key);
            match stage {
                Stage::Open | Stage::Closing(_) => waiting.push(self.id(key)),
                Stage::Opening if is_client => self.give_back(key, OpenError::Stopped),
                Stage::Opening => self.refuse_late(key, &Response::new(503)),
                Stage::Ending(_) | Stage::Ended => {}
            }
        }
        let to = self.tick_after(drain.over);
        self.draining = Some(Draining {
            from: self.tick(),
            to: self.stop_by.map_or(to, |at| at.min(to)),
            drain,
            count: waiting.len(),
            waiting,
        });
        self.drain();
    }

    /// Tells those whose turn it is.
    pub(super) fn drain(&mut self) {
        let now = self.tick();
        let Some(mut draining) = self.draining.take() else {
            return;
        };
        while draining.waiting.len() > draining.left(now).max(usize::from(fault!("drain-forgets")))
        {
            let Some(id) = draining.waiting.pop() else {
                break;
            };
            let Drain { code, reason, .. } = &draining.drain;
            self.with_peer(id, |_, peer| peer.close(*code, reason));
        }
        self.draining = Some(draining);
    }

    /// Returns when to look next.
    pub(super) fn next_drain(&self) -> Option<Tick> {
        let draining = self.draining.as_ref()?;
        (!draining.waiting.is_empty()).then(|| self.tick() + 1)
    }

    /// Drops what is still there when the time is over.
    pub(super) fn end_drain(&mut self) {
        if self.stop_by.is_none_or(|at| self.tick() < at) {
            return;
        }
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            let _entered = self.enter(key);
            self.abort(key, Cause::Timeout(Timeout::Close));
        }
    }
}
