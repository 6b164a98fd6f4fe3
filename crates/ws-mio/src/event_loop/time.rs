//! What a loop does when the time has come.

use std::time::Duration;

use tracing::debug;
use ws_handshake::Response;
use ws_proto::{BusyTimers, Due, Times};

use super::EventLoop;
use crate::{
    Cause, Config, Handler, Ready, Transport,
    connection::{Served, Slot},
    event_loop::timers::Owner,
    slots::wheel::{TICK, Tick, tick_at},
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
        if !self.again.is_empty()
            || !self.due.is_empty()
            || !self.handshaking.is_empty()
            || self.has_commands()
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

    /// Returns how long things may take on a connection.
    pub(super) fn times(&self, key: usize) -> Times<'_> {
        times(&self.slots[key], &self.profiles, &self.config, self.stop_by)
    }

    /// Does what the time has come for on a connection, and looks again later.
    fn time_out(&mut self, key: usize) {
        let _entered = self.enter(key);
        if self.slots[key].is_opening() {
            return self.time_out_opening(key);
        }
        let slot = &mut self.slots[key];
        let times = times(slot, &self.profiles, &self.config, self.stop_by);
        let mut idle = BusyTimers::new();
        let busy = match slot.kept.link() {
            None => &mut idle,
            Some(index) => &mut self.links[index].busy,
        };
        let due = slot.clock.handle_timeout(busy, &times, self.now);
        match due {
            None => {}
            Some(Due::Ping(payload)) => self.turn(key, Ready::default(), 0..0, |_, peer| {
                peer.ping(&payload);
            }),
            Some(Due::Close(timeout)) => self.turn(key, Ready::default(), 0..0, |_, peer| {
                peer.close_for(timeout);
            }),
            Some(Due::Fail(timeout)) => {
                if let Some(index) = self.slots[key].kept.link() {
                    self.links[index].expired = Some(timeout);
                }
                self.turn(key, Ready::default(), 0..0, |_, _| {});
            }
            Some(Due::Drop(_)) if fault!("slot-kept") && !self.slots[key].is_open() => {}
            Some(Due::Drop(timeout)) => self.abort(key, Cause::Timeout(timeout)),
        }
        if !(fault!("keepalive-once") && matches!(due, Some(Due::Ping(_)))) {
            self.look_again(key);
        }
    }

    /// Refuses a request, or gives a server up, that took too long.
    fn time_out_opening(&mut self, key: usize) {
        if fault!("handshake-not-timed") {
            return;
        }
        let slot = &self.slots[key];
        let until = slot.until();
        if self.tick() < until && !self.is_trickling(key, until) {
            return;
        }
        if self.slots[key].role.is_client() {
            return self.time_out_connecting(key);
        }
        let status = match self.is_waiting(key) {
            true => 503,
            false => 408,
        };
        debug!(
            status,
            "the request did not come, or was not decided on, in time"
        );
        self.refuse_late(key, &Response::new(status));
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
                self.handler.on_loop_timer(timer, &mut self.commands);
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

    /// Makes the wheel ask for a connection when its clock wants it to.
    pub(super) fn look_again(&mut self, key: usize) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let idle = BusyTimers::new();
        let busy = match slot.kept.link() {
            None => &idle,
            Some(index) => &self.links[index].busy,
        };
        if let Some(at) = slot.clock.next(busy, &self.times(key), self.now) {
            self.arm(key, tick_at(at).max(self.tick() + 1));
        }
    }
}

/// Returns how long things may take on a connection.
pub(super) fn times<'a, T, D>(
    slot: &Slot<T, D>,
    profiles: &'a [Served],
    config: &'a Config,
    stop_by: Option<Tick>,
) -> Times<'a> {
    let keepalive = &profiles[usize::from(slot.profile)].profile.keepalive;
    Times::new(keepalive, &config.time_limits, config.close_timeout)
        .with_end_by(stop_by.map(|tick| TICK * tick))
}
