//! What a connection in somebody else's loop does when the time has come.

use std::time::Instant;

use ws_proto::{Due, Timeout};

use super::{Socket, SocketState, with_scratch};
use crate::{
    Cause, Handler, OpenError, Transport,
    slots::wheel::{TICK, Tick},
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
        let times = self.config.times();
        let timer = self.slot.clock.next(&self.link.busy, &times, self.now);
        let ticks = [
            self.opening.trickles_at(self.tick()),
            self.codecs.next_sweep(),
        ];
        let ticks = ticks.into_iter().flatten().map(|tick| TICK * tick);
        let at = ticks.chain(timer).min()?;
        Some(self.started + at)
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
        if self.opening.is_trickling(tick) {
            return with_scratch(|scratch| self.refuse_late(scratch));
        }
        let times = self.config.times();
        let due = self
            .slot
            .clock
            .handle_timeout(&mut self.link.busy, &times, self.now);
        match due {
            None => return self.go_on(handler),
            Some(Due::Drop(timeout)) => return self.give_up(handler, timeout),
            Some(Due::Ping(payload)) => self.turn(handler).call(|_, peer| {
                peer.ping(&payload);
            }),
            Some(Due::Close(timeout)) => {
                self.turn(handler).call(|_, peer| peer.close_for(timeout));
            }
            Some(Due::Fail(timeout)) => self.link.expired = Some(timeout),
        }
        self.flush(handler)
    }

    /// Goes on if there was more to do than a turn's share.
    fn go_on<H: Handler<Data = D>>(&mut self, handler: &mut H) -> Result<SocketState, OpenError> {
        match self.slot.goes_on {
            true => self.flush(handler),
            false => Ok(self.state()),
        }
    }

    /// Drops a transport whose time is over.
    fn give_up<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
        timeout: Timeout,
    ) -> Result<SocketState, OpenError> {
        if self.slot.is_opening() {
            return with_scratch(|scratch| self.refuse_late(scratch));
        }
        if self.slot.is_open() {
            self.link.outgoing.aborted = true;
            self.turn(handler).closed(Cause::Timeout(timeout));
        }
        let state = self.over();
        self.settle(state)
    }

    pub(super) fn tick(&self) -> Tick {
        (self.now.as_millis() / TICK.as_millis()) as Tick
    }
}
