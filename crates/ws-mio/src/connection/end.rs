//! How a connection ends, and what its application is told of it.

use std::{io, time::Duration};

use tracing::debug;
use ws_proto::{CloseCode, CloseFrame, END_WAIT, ProtocolError};

use super::{Fate, Phase, Slot, Turn};
use crate::{
    Cause, Closed, Handler, Peer, Timeout, Transport,
    share::{SHARE, Share},
};

/// Returns how long the end of the transport is waited for: a peer that
/// `lingers` has something to read first, and otherwise both Closes were seen.
pub(crate) fn end_wait(close_timeout: Duration, lingers: bool) -> Duration {
    match lingers {
        true => close_timeout,
        false => close_timeout.min(END_WAIT),
    }
}

/// How far reading came that drops what it reads.
pub(crate) enum Discarded {
    /// There is nothing more for now.
    All,
    /// There may be more, for another turn.
    Share,
    /// The transport ended, or the peer sends without end.
    Over,
}

/// Reads what a peer still sends, and drops it: in a turn no more than a share,
/// and in all no more than [`DISCARD_MAX`](ws_proto::DISCARD_MAX).
pub(crate) fn discard<T: Transport, D>(slot: &mut Slot<T, D>, buffer: &mut [u8]) -> Discarded {
    let Phase::Lingering { patience, .. } = &mut slot.phase else {
        return Discarded::All;
    };
    let mut share = Share::new(SHARE);
    while !share.is_spent() {
        match Transport::read(&mut slot.transport, share.window(buffer)) {
            Ok(0) => return Discarded::Over,
            Ok(len) if patience.spend(len) => share.spend(len),
            Ok(_) => return Discarded::Over,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock if fault!("spin") => return Discarded::Share,
                io::ErrorKind::WouldBlock => return Discarded::All,
                io::ErrorKind::Interrupted => share.spend_interrupted(),
                _ => return Discarded::Over,
            },
        }
    }
    Discarded::Share
}

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Tells the peer what it did wrong, and the application.
    #[cold]
    pub(super) fn fail(&mut self, error: ProtocolError) -> Fate {
        //= RFC6455-7.1.7-4
        debug!(%error, "the peer broke the protocol");
        //= RFC6455-7.1.7-1, RFC6455-7.1.7-3, RFC6455-7.1.7-5
        if let Some(close) = self.link.outgoing.sender.fail(&error) {
            self.link
                .outgoing
                .send(close, self.cork, &mut self.slot.transport);
        }
        self.closed(Cause::Protocol(error));
        Fate::End { linger: true }
    }

    /// Ends a connection that has until now for something.
    #[cold]
    pub(super) fn expire(&mut self, timeout: Timeout) -> Fate {
        let cause = Cause::Timeout(timeout);
        self.turn_away(cause.name(), cause)
    }

    /// Tells the peer which limit it has passed, and the application.
    #[cold]
    pub(super) fn turn_away(&mut self, reason: &str, cause: Cause<'_>) -> Fate {
        debug!(reason, "the peer has passed a limit");
        let code = CloseCode::POLICY_VIOLATION;
        let close = Some(CloseFrame { code, reason });
        if let Ok(close) = self.link.outgoing.sender.close(close) {
            self.link
                .outgoing
                .send(close, self.cork, &mut self.slot.transport);
        }
        self.link.receiver.refuse();
        self.closed(cause);
        Fate::End { linger: true }
    }

    /// Ends a connection in a callback of which the application panicked: with
    /// 1011, behind the frames of this turn that are whole.
    #[cold]
    pub(crate) fn end_after_panic(&mut self) -> Fate {
        let (link, transport) = (&mut *self.link, &mut self.slot.transport);
        link.outgoing.forget_in_place(self.cork);
        link.receiver.refuse();
        let code = CloseCode::INTERNAL_ERROR;
        if let Ok(close) = link
            .outgoing
            .sender
            .close(Some(CloseFrame { code, reason: "" }))
        {
            link.outgoing.send(close, self.cork, transport);
        }
        link.outgoing.flush_last(self.cork, transport);
        let flushed = transport.flush();
        link.outgoing.note_flushed(flushed);
        let is_over = link.outgoing.is_over();
        if !self.is_told {
            self.closed(Cause::Panicked);
        }
        match is_over {
            true => Fate::Drop,
            false => Fate::End { linger: true },
        }
    }

    /// Drops a connection that cannot even be ended.
    #[cold]
    pub(crate) fn drop_after_panic(&mut self) -> Fate {
        self.cork.clear();
        self.link.outgoing.forget_in_place(self.cork);
        self.link.outgoing.aborted = true;
        Fate::Drop
    }

    #[cold]
    pub(super) fn end_of_input(&mut self) -> Fate {
        //= RFC6455-7.1.4-1, RFC6455-7.2.1-2
        // Nothing more can be sent; but the peer may have ended its direction
        // alone, and still read what it was sent.
        self.link.outgoing.aborted = true;
        self.closed(Cause::Lost);
        self.link.outgoing.aborted = false;
        Fate::End { linger: false }
    }

    /// The transport failed, or the application gave it up.
    #[cold]
    pub(super) fn over(&mut self) -> Fate {
        match self.link.outgoing.broken.take() {
            Some(error) => {
                // What is sent now would wait in the cork, which is everybody's.
                self.link.outgoing.aborted = true;
                self.closed(Cause::Io(&error));
                self.link.outgoing.broken = Some(error);
            }
            None if self.link.outgoing.backlog.is_too_slow => self.closed(Cause::SlowConsumer),
            None => self.closed(Cause::Aborted),
        }
        Fate::Drop
    }

    /// Tells the application that the connection is over, without a Close of
    /// the peer's.
    pub(crate) fn closed(&mut self, cause: Cause<'_>) {
        if let Some(counters) = self.counters {
            counters.count_closed(&cause);
        }
        self.is_told = true;
        call!(self, |handler, peer| handler
            .on_close(peer, Closed::abnormal(cause)));
    }
}
