//! What a loop does when the time has come.

use std::time::Duration;

use tracing::debug;
use ws_proto::Due;

use super::EventLoop;
use crate::{
    Cause, Handler, Ready, Timeout, Transport,
    arena::NOWHERE,
    connection::Phase,
    wheel::{TICK, Tick, tick_at},
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    pub(crate) fn tick(&self) -> Tick {
        // In 64 bits: this is asked in every turn.
        (self.now.as_millis() as u64 / TICK.as_millis() as u64) as Tick
    }

    pub(crate) fn tick_after(&self, wait: Duration) -> Tick {
        tick_at(self.now.saturating_add(wait))
    }

    /// Returns the time at which the next turn is due, whatever happens before;
    /// now, if something is left to do. `None` is never.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() || !self.shaking.is_empty() || !self.orders.is_empty() {
            return Some(self.now);
        }
        let next = [
            self.wheel.next(),
            self.stop_by,
            self.codecs.next_sweep(),
            self.next_lookup_timeout(),
        ];
        next.into_iter().flatten().min().map(|tick| TICK * tick)
    }

    /// Makes the wheel ask for a connection at a tick, if it would not before.
    pub(super) fn arm(&mut self, key: usize, at: Tick) {
        if !self.slots[key].timer.is_set_for(at) {
            self.wheel.set(&mut self.slots, key, at);
        }
    }

    pub(super) fn keep_time(&mut self) {
        let tick = self.tick();
        while let Some(key) = self.wheel.take_due(&mut self.slots, tick) {
            self.time_out(key);
        }
        self.codecs.keep_time(tick);
        if self.lookups.is_some() {
            self.give_up_lookups(false);
        }
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
            if slot.role.is_client() {
                return self.time_out_call(key);
            }
            debug!("the request did not come within handshake_timeout");
            return self.refuse_late(key);
        }
        self.remove(key);
    }

    /// Sets a connection's timer, or takes it back.
    pub(super) fn set_timer(&mut self, key: usize, wait: Option<Duration>) {
        match wait.map(|wait| self.tick_after(wait)) {
            Some(at) => {
                self.timers.insert(key as u32, at);
                self.arm(key, at);
            }
            None => drop(self.timers.remove(&(key as u32))),
        }
    }

    /// Calls a handler whose timer is due; tells whether the connection is
    /// open afterwards.
    fn call_on_timer(&mut self, key: usize) -> bool {
        match self.timers.get(&(key as u32)) {
            None => {}
            Some(&at) if self.tick() < at => self.arm(key, at),
            Some(_) => {
                self.timers.remove(&(key as u32));
                self.turn(key, Ready::default(), 0..0, |handler, peer| {
                    handler.on_timer(peer);
                });
            }
        }
        self.slots.get(key).is_some_and(Self::is_open)
    }

    fn time_out_open(&mut self, key: usize) {
        if !self.timers.is_empty() && !self.call_on_timer(key) {
            return;
        }
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
}
