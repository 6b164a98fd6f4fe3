//! How a connection ends, and what its application is told of it.

use std::{io, time::Duration};

use tracing::debug;
use ws_proto::{EndOrder, Ending, ProtocolError, Stage, Times};

use super::{Fate, Slot, Turn};
use crate::{
    Cause, Closed, Handler, Peer, Transport,
    connection::{outgoing::Outgoing, share::Share},
};

/// How far the [end](Ending) of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It waits for the transport, to be readable or also to be writable.
    Waiting { wants_write: bool },
    /// It had its share, and goes on without waiting.
    Again,
    /// The transport is to be dropped.
    Over,
}

impl<T: Transport, D> Slot<T, D> {
    /// Takes the steps of the end, as far as the transport lets it. `outgoing`
    /// has what was written last, and what comes is read into `buffer`, as far as
    /// `share` goes.
    pub(crate) fn go_on_ending(
        &mut self,
        mut outgoing: Option<&mut Outgoing>,
        buffer: &mut [u8],
        share: &mut Share,
        times: &Times<'_>,
        now: Duration,
    ) -> End {
        while let Stage::Ending(step) = self.clock.stage() {
            let is_waiting = match step {
                Ending::Write(_) => {
                    let is_written = match outgoing.as_deref_mut() {
                        None => true,
                        Some(outgoing) => {
                            outgoing.flush_outbox(&mut self.transport);
                            fault!("end-cut-off") || outgoing.outbox.is_empty()
                        }
                    };
                    let is_flushed = is_written && self.transport.flush().unwrap_or(true);
                    (!is_flushed).then_some(End::Waiting { wants_write: true })
                }
                Ending::Shutdown(EndOrder::Linger) => {
                    let is_shut_down = Transport::shutdown(&mut self.transport).is_ok();
                    (!is_shut_down).then_some(End::Over)
                }
                // Dropping it does the same; TLS has a last word of its own.
                Ending::Shutdown(_) => {
                    if self.transport.is_tls() {
                        let _ = Transport::shutdown(&mut self.transport);
                    }
                    None
                }
                Ending::Discard(_) => {
                    Some(self.discard(buffer, share)).filter(|end| *end != End::Over)
                }
            };
            if let Some(end) = is_waiting {
                return end;
            }
            self.clock.end_step(times, now);
        }
        End::Over
    }

    /// Reads what the peer still sends, up to the end of the stream, and no more
    /// than [`DISCARD_MAX`](ws_proto::DISCARD_MAX).
    fn discard(&mut self, buffer: &mut [u8], share: &mut Share) -> End {
        // The end itself may have found no room. If it never does, the deadline
        // ends it all.
        let wants_write = !self.transport.flush().unwrap_or(true);
        while !share.is_spent() {
            match Transport::read(&mut self.transport, share.window(buffer)) {
                Ok(0) => return End::Over,
                Ok(len) if self.clock.note_discarded(len) => share.spend(len),
                Ok(_) => return End::Over,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock if fault!("spin") => break,
                    io::ErrorKind::WouldBlock => return End::Waiting { wants_write },
                    io::ErrorKind::Interrupted => share.spend_interrupted(),
                    _ => return End::Over,
                },
            }
        }
        End::Again
    }
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

    /// Tells the peer which limit it has passed, and the application.
    #[cold]
    pub(super) fn turn_away(&mut self, cause: Cause<'_>) -> Fate {
        debug!(cause = cause.name(), "the peer has passed a limit");
        let close = cause.close_frame();
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
        link.outgoing.forget_echoes(self.cork);
        link.receiver.refuse();
        let close = Cause::Panicked.close_frame();
        if let Ok(close) = link.outgoing.sender.close(close) {
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
        self.link.outgoing.forget_echoes(self.cork);
        self.link.outgoing.aborted = true;
        Fate::Drop
    }

    #[cold]
    pub(super) fn end_of_input(&mut self) -> Fate {
        //= RFC6455-7.1.4-1, RFC6455-7.2.1-2
        // Nothing more can be sent; but the peer may have ended its direction
        // alone, and still read what it was sent.
        self.link.outgoing.aborted = true;
        self.closed(self.slot.clock.cause_of_loss());
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
