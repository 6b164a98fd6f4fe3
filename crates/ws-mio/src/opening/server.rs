//! A server's opening handshake, as far as it has come.

use std::{io, ops::Range};

use ws_handshake::Response;

use super::request::{Admitted, Request, Verdict, Waiting, decide, reject};
use crate::{Config, Handler, Transport, connection::share::Share, slots::wheel::Tick};

/// A client's request that came in part, or waits for a decision.
#[derive(Debug)]
pub(crate) struct ServerOpening<D> {
    request: Request,
    /// It is whole, and waits for a decision.
    waiting: Option<Waiting<D>>,
    /// How many bytes the transport holds, as far as the loop counts them.
    pub(crate) below: usize,
}

/// How a [`ServerOpening`] goes.
pub(crate) enum Step<D> {
    /// It waits for the transport.
    Waiting,
    /// It had its share, and goes on without waiting.
    NextTurn,
    /// The application will decide on it later.
    Undecided,
    /// It becomes a connection. `rest` was read behind it, and there may be
    /// more to read if `is_full`.
    Admitted {
        admitted: Admitted<D>,
        rest: Range<usize>,
        is_full: bool,
    },
    /// It is answered otherwise.
    Refused(Response),
    /// Its client has as many connections as it may.
    OverAddress,
    /// The transport ended before the request was whole.
    Ended,
    /// The transport failed.
    Failed(io::Error),
}

/// What the caller of a [`ServerOpening`] lends.
pub(crate) struct Lent<'a, T> {
    pub(crate) transport: &'a mut T,
    /// An end of the stream, or a failure, stands behind what is to be read.
    pub(crate) read_closed: bool,
    pub(crate) buffer: &'a mut [u8],
    pub(crate) config: &'a Config,
    pub(crate) is_draining: bool,
    /// Takes the 101.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) now: Tick,
    /// How much may be read in this turn.
    pub(crate) share: &'a mut Share,
}

impl<D> ServerOpening<D> {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            request: Request::new(config),
            waiting: None,
            below: 0,
        }
    }

    /// Lends the request, as far as it has come.
    pub(crate) const fn request(&self) -> &Request {
        &self.request
    }

    /// Lends what waits for a decision.
    pub(crate) const fn waiting(&self) -> Option<&Waiting<D>> {
        self.waiting.as_ref()
    }

    /// Returns how many bytes are held for it.
    pub(crate) fn held(&self) -> usize {
        let waiting = self.waiting.as_ref();
        let waiting = waiting.map_or(0, |waiting| waiting.bytes.capacity());
        size_of::<Self>() + self.request.held() + waiting + self.below
    }

    /// Reads until the request is whole, as far as the transport lets it, and
    /// has `handler` decide; or goes on with a request that was decided on.
    ///
    /// `may_come` judges, once something has come, whether the client may have
    /// one connection more.
    pub(crate) fn go_on<T: Transport, H: Handler<Data = D>>(
        &mut self,
        lent: Lent<'_, T>,
        handler: &mut H,
        may_come: impl FnMut(&T) -> bool,
    ) -> Step<D> {
        match self.waiting.take() {
            Some(waiting) => self.go_on_deciding(waiting, lent),
            None => self.read(lent, handler, may_come),
        }
    }

    fn read<T: Transport, H: Handler<Data = D>>(
        &mut self,
        lent: Lent<'_, T>,
        handler: &mut H,
        mut may_come: impl FnMut(&T) -> bool,
    ) -> Step<D> {
        let transport = &mut *lent.transport;
        let share = lent.share;
        while !share.is_spent() {
            let buffer = share.window(lent.buffer);
            let len = match Transport::read(transport, buffer) {
                Ok(0) => return Step::Ended,
                Ok(len) => len.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Step::Waiting,
                    io::ErrorKind::Interrupted => {
                        share.spend_interrupted();
                        continue;
                    }
                    _ => return Step::Failed(error),
                },
            };
            share.spend(len);
            // Behind a proxy, the client's address is known only now.
            if !may_come(transport) {
                return Step::OverAddress;
            }
            let is_full = len == buffer.len() || !transport.short_is_all();
            let read = &buffer[..len];
            let head = match self.request.receive(read, lent.now) {
                Ok(None) if is_full || lent.read_closed => continue,
                Ok(None) => return Step::Waiting,
                Ok(Some(head)) => head,
                Err(error) => return Step::Refused(reject(error)),
            };
            let verdict = decide(
                &head,
                transport,
                lent.config,
                lent.is_draining,
                lent.out,
                |incoming| handler.on_request(incoming),
            );
            return match verdict {
                Verdict::Admit(admitted) => Step::Admitted {
                    admitted,
                    rest: head.consumed()..len,
                    is_full,
                },
                Verdict::Wait(later) => {
                    self.waiting = Some(Waiting::new(later, &head, read));
                    Step::Undecided
                }
                Verdict::Refuse(response) => Step::Refused(response),
            };
        }
        Step::NextTurn
    }

    /// Goes on with a request that waits for a decision.
    fn go_on_deciding<T: Transport>(&mut self, waiting: Waiting<D>, lent: Lent<'_, T>) -> Step<D> {
        let choice = match waiting.later.take() {
            Some(Some(choice)) => choice,
            Some(None) => return Step::Refused(Response::new(503)),
            None => {
                self.waiting = Some(waiting);
                return Step::Undecided;
            }
        };
        let mut reader = lent.config.handshake.head_reader();
        // It was whole before.
        let head = match reader.receive(&waiting.bytes) {
            Ok(Some(head)) => head,
            Ok(None) => return Step::Refused(Response::new(400)),
            Err(error) => return Step::Refused(error.rejection()),
        };
        match decide(
            &head,
            lent.transport,
            lent.config,
            lent.is_draining,
            lent.out,
            choice,
        ) {
            Verdict::Admit(admitted) => {
                let rest = &waiting.bytes[head.consumed()..];
                lent.buffer[..rest.len()].copy_from_slice(rest);
                Step::Admitted {
                    admitted,
                    rest: 0..rest.len(),
                    // What has come since, nobody says again.
                    is_full: true,
                }
            }
            Verdict::Wait(later) => {
                self.waiting = Some(Waiting::new(later, &head, &waiting.bytes));
                Step::Undecided
            }
            Verdict::Refuse(response) => Step::Refused(response),
        }
    }
}
