//! What a connection in somebody else's loop does when the time has come.

use std::time::Instant;

use ws_proto::{CloseCode, Due};

use super::{Socket, SocketState, with_scratch};
use crate::{
    Cause, Handler, OpenError, Timeout, Transport,
    connection::Phase,
    wheel::{TICK, Tick, tick_at},
};

impl<D: Default, T: Transport> Socket<D, T> {
    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called,
    /// which may be at once. It changes with every call of the others.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.state() == SocketState::Closed {
            return None;
        }
        if self.slot.goes_on {
            return Some(self.started + self.now);
        }
        let keepalive = || {
            self.slot
                .keepalive
                .poll_timeout(&self.keepalive)
                .map(|(at, _)| tick_at(at))
        };
        let tick = match self.slot.phase {
            Phase::Upgrading { until }
            | Phase::Flushing { until, .. }
            | Phase::Lingering { until, .. } => {
                let soon = self.opening.trickles_at(self.tick());
                soon.into_iter().chain([until]).min()
            }
            Phase::Open { until } => {
                // After our Close, only the peer's is waited for.
                let is_closing = self.link.deadlines.close.is_some();
                let lifetime = (until < Tick::MAX).then_some(until);
                let due = || keepalive().into_iter().chain(lifetime).min();
                let due = if is_closing { None } else { due() };
                let deadlines = [
                    due,
                    self.link.next_deadline(&self.time_limits),
                    self.codecs.next_sweep(),
                ];
                deadlines.into_iter().flatten().min()
            }
        };
        tick.map(|tick| self.started + TICK * tick)
    }

    /// Does what the time has come for: a Ping, giving the peer up, or going on
    /// to read. Does nothing if it is called too early.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready); [`OpenError::Timeout`] if the opening
    /// handshake took too long.
    pub fn handle_timeout<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.now = self.started.elapsed();
        let _entered = self.span.clone().entered();
        let tick = self.tick();
        self.codecs.keep_time(tick);
        match self.slot.phase {
            Phase::Upgrading { until } if tick >= until || self.opening.is_trickling(tick) => {
                with_scratch(|scratch| self.refuse_late(scratch))
            }
            //= RFC6455-5.5.1-14, RFC6455-7.1.1-2
            Phase::Flushing { until, .. } | Phase::Lingering { until, .. } if tick >= until => {
                let state = self.over();
                self.settle(state)
            }
            Phase::Open { until } => self.keep_time(tick, until, handler),
            _ => self.go_on(handler),
        }
    }

    /// Goes on if there was more to do than a turn's share.
    fn go_on<H: Handler<Data = D>>(&mut self, handler: &mut H) -> Result<SocketState, OpenError> {
        match self.slot.goes_on {
            true => self.flush(handler),
            false => Ok(self.state()),
        }
    }

    /// Looks at what an open connection waits for.
    fn keep_time<H: Handler<Data = D>>(
        &mut self,
        tick: Tick,
        until: Tick,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        match self.link.overdue(tick, &self.time_limits, self.high_water) {
            None => {}
            Some(Timeout::Message) => {
                self.link.deadlines.expired = Some(Timeout::Message);
                return self.flush(handler);
            }
            //= RFC6455-7.1.1-2
            Some(timeout) => return Ok(self.give_up(handler, timeout)),
        }
        if self.link.deadlines.close.is_some() {
            return self.go_on(handler);
        }
        if tick >= until {
            return self.close_for(handler, Timeout::Lifetime);
        }
        match self
            .slot
            .keepalive
            .handle_timeout(&self.keepalive, self.now)
        {
            None => self.go_on(handler),
            // What a peer sends while it is paused is not seen.
            Some(Due::PongTimeout | Due::IdleTimeout) if self.link.outgoing.paused => {
                self.slot.keepalive.handle_data(self.now);
                Ok(self.state())
            }
            Some(Due::PongTimeout) => Ok(self.give_up(handler, Timeout::Pong)),
            Some(Due::IdleTimeout) => self.close_for(handler, Timeout::Idle),
            Some(Due::Ping(payload)) => {
                self.turn(handler).call(|_, peer| {
                    peer.ping(&payload);
                });
                self.flush(handler)
            }
        }
    }

    /// Closes a connection whose peer is there, as it is told to.
    fn close_for<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
        timeout: Timeout,
    ) -> Result<SocketState, OpenError> {
        self.turn(handler).call(|_, peer| {
            peer.close(CloseCode::GOING_AWAY, Cause::Timeout(timeout).name());
        });
        self.link.deadlines.closed_for = Some(timeout);
        self.flush(handler)
    }

    pub(super) fn tick(&self) -> Tick {
        (self.now.as_millis() / TICK.as_millis()) as Tick
    }
}
