//! How a connection in somebody else's loop ends.

use super::{Socket, SocketState};
use crate::{
    Cause, Handler, Timeout, Transport,
    connection::{Discarded, Phase, discard, end_wait},
    scratch::Scratch,
    share::Patience,
    wheel::{Tick, tick_at},
};

impl<D: Default, T: Transport> Socket<D, T> {
    /// Writes the last of a connection that is over, and ends the stream.
    pub(super) fn end(&mut self, scratch: &mut Scratch, linger: bool) -> SocketState {
        self.link.outgoing.flush_outbox(&mut self.slot.transport);
        let is_written = self.link.outgoing.outbox.is_empty();
        let is_flushed = is_written && self.slot.transport.flush().unwrap_or(true);
        let until = tick_at(self.now.saturating_add(self.close_timeout));
        if !is_flushed {
            if !matches!(self.slot.phase, Phase::Flushing { .. }) {
                self.slot.phase = Phase::Flushing { until, linger };
            }
            return SocketState::Ending;
        }
        //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
        let is_client = self.slot.role.is_client();
        //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
        if !linger && !is_client {
            if self.slot.transport.is_tls() {
                // Its own last word, which may have left with ours.
                let _ = Transport::shutdown(&mut self.slot.transport);
            }
            return self.over();
        }
        //= RFC6455-7.1.1-1
        if linger && Transport::shutdown(&mut self.slot.transport).is_err() {
            return self.over();
        }
        let wait = end_wait(self.close_timeout, linger);
        let until = tick_at(self.now.saturating_add(wait));
        self.slot.phase = Phase::Lingering {
            until,
            patience: Patience::ALL,
        };
        self.linger(scratch)
    }

    /// Reads what the peer still sends, until it has read that it is over.
    pub(super) fn linger(&mut self, scratch: &mut Scratch) -> SocketState {
        // The end itself may have found no room.
        let _ = self.slot.transport.flush();
        match discard(&mut self.slot, scratch.as_mut_slice()) {
            Discarded::Over => return self.over(),
            Discarded::Share => self.slot.goes_on = true,
            Discarded::All => {}
        }
        SocketState::Ending
    }

    /// Ends a connection whose peer has run out of time.
    pub(super) fn give_up<H: Handler<Data = D>>(
        &mut self,
        handler: &mut H,
        timeout: Timeout,
    ) -> SocketState {
        self.link.outgoing.aborted = true;
        self.turn(handler).closed(Cause::Timeout(timeout));
        self.over()
    }

    pub(super) const fn over(&mut self) -> SocketState {
        // With the handshake done, no other phase stands for it.
        self.slot.phase = Phase::Upgrading { until: Tick::MAX };
        SocketState::Closed
    }
}
