//! What a loop does when the time has come.

use std::time::Duration;

use tracing::debug;
use ws_handshake::Response;
use ws_proto::{CloseCode, Due};

use super::EventLoop;
use crate::{
    Cause, Config, Handler, Orders, Ready, Timeout, Transport,
    arena::NOWHERE,
    connection::Phase,
    timers::Owner,
    wheel::{TICK, Tick, tick_at},
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    pub(crate) fn tick(&self) -> Tick {
        // In 64 bits: this is asked in every turn.
        (self.now.as_millis() as u64 / TICK.as_millis() as u64) as Tick
    }

    /// Returns by when a peer has to answer a Close, or to read the last.
    pub(super) fn close_deadline(&self) -> Tick {
        let close = || self.tick_after(self.config.close_timeout);
        self.stop_by.unwrap_or_else(close)
    }

    pub(crate) fn tick_after(&self, wait: Duration) -> Tick {
        tick_at(self.now.saturating_add(wait))
    }

    /// Returns the time at which the next turn is due, whatever happens before;
    /// now, if something is left to do. `None` is never.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if !self.again.is_empty()
            || !self.due.is_empty()
            || !self.shaking.is_empty()
            || self.has_orders()
        {
            return Some(self.now);
        }
        let ticks = [
            self.wheel.next(),
            self.stop_by,
            self.next_drain(),
            self.lame_duck.as_ref().map(|(at, _)| *at),
            self.codecs.next_sweep(),
            self.next_lookup_timeout(),
        ];
        let tick = ticks.into_iter().flatten().min().map(|tick| TICK * tick);
        [tick, self.timers.next()].into_iter().flatten().min()
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
        self.call_on_timers();
        self.codecs.keep_time(tick);
        self.end_lame_duck();
        self.drain();
        self.end_drain();
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
            | Phase::Lingering { until, .. } => until,
            Phase::Open { until } => return self.time_out_open(key, until),
        };
        let is_request = matches!(slot.phase, Phase::Upgrading { .. });
        if is_request && fault!("handshake-not-timed") {
            return;
        }
        if tick < until && !is_request {
            return self.arm(key, until);
        }
        if tick < until && !self.is_trickling(key, until) {
            return;
        }
        let slot = &self.slots[key];
        if is_request {
            if slot.role.is_client() {
                return self.time_out_call(key);
            }
            let status = match self.is_waiting(key) {
                true => 503,
                false => 408,
            };
            debug!(
                status,
                "the request did not come, or was not decided on, in time"
            );
            return self.refuse_late(key, &Response::new(status));
        }
        if !fault!("slot-kept") {
            self.remove(key);
        }
    }

    /// Tells what a peer has failed to do, and looks again when the next of it
    /// is due.
    fn overdue(&mut self, key: usize) -> Option<Timeout> {
        let tick = self.tick();
        let slot = &self.slots[key];
        if slot.state == NOWHERE {
            return None;
        }
        let link = &mut self.links[slot.state as usize];
        let Config {
            time_limits,
            high_water,
            ..
        } = &self.config;
        let overdue = link.overdue(tick, time_limits, *high_water);
        if overdue.is_none()
            && let Some(at) = link.next_deadline(time_limits)
        {
            self.arm(key, at.max(tick + 1));
        }
        overdue
    }

    fn is_closing(&self, key: usize) -> bool {
        let state = self.slots[key].state;
        state != NOWHERE && self.links[state as usize].deadlines.close.is_some()
    }

    /// Tells the peer that its time is over.
    fn expire(&mut self, key: usize, timeout: Timeout) {
        let state = self.slots[key].state;
        self.links[state as usize].deadlines.expired = Some(timeout);
        self.turn(key, Ready::default(), 0..0, |_, _| {});
    }

    /// Closes a connection whose peer is there, as it is told to.
    fn close_for(&mut self, key: usize, timeout: Timeout) {
        self.turn(key, Ready::default(), 0..0, |_, peer| {
            peer.close(CloseCode::GOING_AWAY, Cause::Timeout(timeout).name());
        });
        // The Close waits for the peer's, so it has a link.
        if let Some(slot) = self.slots.get(key)
            && Self::is_open(slot)
            && let Some(link) = self.links.get_mut(slot.state as usize)
        {
            link.deadlines.closed_for = Some(timeout);
        }
    }

    /// Sets a timer of the application, or takes it back.
    pub(super) fn set_timer(&mut self, owner: Owner, timer: u64, wait: Option<Duration>) {
        let at = wait.map(|wait| self.now.saturating_add(wait));
        self.timers.set(owner, timer, at);
    }

    /// Calls the handler for each timer that is due.
    fn call_on_timers(&mut self) {
        while let Some((owner, timer)) = self.timers.take_due(self.now) {
            let Some(key) = owner else {
                let orders = &mut Orders::new(&mut self.orders);
                self.handler.on_loop_timer(timer, orders);
                continue;
            };
            let key = key as usize;
            if self.slots.get(key).is_some_and(Self::is_open) {
                let _entered = self.enter(key);
                self.turn(key, Ready::default(), 0..0, |handler, peer| {
                    handler.on_timer(peer, timer);
                });
            }
        }
    }

    fn time_out_open(&mut self, key: usize, until: Tick) {
        let tick = self.tick();
        match self.overdue(key) {
            None => {}
            Some(Timeout::Message) => return self.expire(key, Timeout::Message),
            //= RFC6455-7.1.1-2
            Some(timeout) => return self.abort(key, Cause::Timeout(timeout)),
        }
        // After our Close, only the peer's is waited for.
        if self.is_closing(key) {
            return;
        }
        if tick >= until && !fault!("old-age") {
            return self.close_for(key, Timeout::Lifetime);
        }
        let slot = &mut self.slots[key];
        let is_paused = match slot.state {
            NOWHERE => false,
            state => self.links[state as usize].outgoing.paused,
        };
        let keepalive = &self.profiles[usize::from(slot.profile)].profile.keepalive;
        match slot.keepalive.handle_timeout(keepalive, self.now) {
            None => {}
            // What a peer sends while it is paused is not seen.
            Some(Due::PongTimeout | Due::IdleTimeout) if is_paused => {
                slot.keepalive.handle_data(self.now);
            }
            Some(Due::PongTimeout) => return self.abort(key, Cause::Timeout(Timeout::Pong)),
            Some(Due::IdleTimeout) => return self.close_for(key, Timeout::Idle),
            Some(Due::Ping(payload)) => {
                self.turn(key, Ready::default(), 0..0, |_, peer| {
                    peer.ping(&payload);
                });
            }
        }
        if !fault!("keepalive-once") {
            self.look_again(key);
        }
    }

    /// Makes the wheel ask for an open connection when its keepalive, or the
    /// end of its lifetime, is due.
    pub(super) fn look_again(&mut self, key: usize) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let Phase::Open { until } = slot.phase else {
            return;
        };
        let keepalive = &self.profiles[usize::from(slot.profile)].profile.keepalive;
        let due = slot.keepalive.poll_timeout(keepalive);
        let due = due.map(|(at, _)| {
            // The next Ping may be due before `pong_timeout`, if the peer
            // answers: input moves that deadline forward.
            let pings = [keepalive.ping_interval, keepalive.measure_interval];
            let sooner = pings.into_iter().flatten().min();
            let sooner = sooner.map(|wait| self.tick_after(wait));
            tick_at(at).min(sooner.unwrap_or(Tick::MAX))
        });
        let at = due.map_or(until, |due| due.min(until));
        if at < Tick::MAX {
            self.arm(key, at.max(self.tick() + 1));
        }
    }
}
