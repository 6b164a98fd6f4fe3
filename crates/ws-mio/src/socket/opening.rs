//! The opening handshake of a connection in somebody else's loop.

use std::{io, ops::Range, sync::Arc};

use tracing::debug;
use ws_handshake::{Agreed, ClientRequest, DeflateParams, HandshakeError, Response};
use ws_proto::{Clock, ControlledNetwork, Times};

use super::{Socket, SocketState};
use crate::{
    Config, Handler, OpenError, Profile, Ready, Transport,
    connection::Link,
    connection::role::Role,
    connection::scratch::Scratch,
    connection::share::{HANDSHAKE_SHARE, Share},
    opening::client::{ClientOpening, Progress},
    opening::{
        flags::decide_zero_mask,
        request::{Admitted, Request, Verdict, Waiting, decide, reject},
    },
    slots::wheel::Tick,
};

/// How far the opening handshake is.
#[derive(Debug)]
pub(super) enum Opening<D> {
    Client(Box<AsClient>),
    Server(Box<AsServer<D>>),
    /// It was made elsewhere.
    Made,
    Done,
}

/// A client's opening handshake.
#[derive(Debug)]
pub(super) struct AsClient {
    opening: ClientOpening,
    set_mask_to_zero: ControlledNetwork,
}

/// A server's opening handshake.
#[derive(Debug)]
pub(super) struct AsServer<D> {
    request: Request,
    /// It is whole, and waits for a decision.
    waiting: Option<Waiting<D>>,
    config: Arc<Config>,
}

/// How an [`Opening`] goes.
enum Step<D> {
    /// It waits for the transport.
    Waiting,
    /// It had its share, and goes on without waiting.
    Again,
    /// The server has agreed, and `rest` was read behind its answer.
    Agreed {
        agreed: Agreed,
        role: Role,
        rest: Range<usize>,
    },
    /// A client was let in, and `rest` was read behind its request.
    Admitted {
        admitted: Admitted<D>,
        rest: Range<usize>,
    },
    /// All was agreed on elsewhere.
    Made,
}

impl<D> Opening<D> {
    pub(super) fn client(request: ClientRequest, set_mask_to_zero: ControlledNetwork) -> Self {
        let opening = ClientOpening::new(request, None);
        Self::Client(Box::new(AsClient {
            opening,
            set_mask_to_zero,
        }))
    }

    pub(super) fn server(config: Arc<Config>) -> Self {
        let request = Request::new(&config);
        let waiting = None;
        Self::Server(Box::new(AsServer {
            request,
            waiting,
            config,
        }))
    }

    /// Tells whether a request comes too slowly.
    pub(super) fn is_trickling(&self, now: Tick) -> bool {
        match self {
            Self::Server(server) => server.request.is_trickling(now),
            Self::Client(_) | Self::Made | Self::Done => false,
        }
    }

    /// Returns when to ask that next.
    pub(super) fn trickles_at(&self, now: Tick) -> Option<Tick> {
        match self {
            Self::Server(server) => server.request.trickles_at(now),
            Self::Client(_) | Self::Made | Self::Done => None,
        }
    }

    /// Returns a profile by its number, of which 0 is the configuration's own.
    fn profile(&self, number: u8) -> Option<Profile> {
        match self {
            Self::Server(server) => {
                let index = usize::from(number).checked_sub(1)?;
                server.config.profiles.get(index).cloned()
            }
            Self::Client(_) | Self::Made | Self::Done => None,
        }
    }

    /// Returns what is answered if the time is over.
    fn late_status(&self) -> Option<u16> {
        match self {
            Self::Server(server) if server.waiting.is_some() => Some(503),
            Self::Server(_) => Some(408),
            Self::Client(_) | Self::Made | Self::Done => None,
        }
    }

    /// Goes on, with a buffer for what comes; an answer is written to `out`.
    fn go_on<H: Handler<Data = D>>(
        &mut self,
        transport: &mut impl Transport,
        buffer: &mut [u8],
        now: Tick,
        handler: &mut H,
        out: &mut Vec<u8>,
    ) -> Result<Step<D>, OpenError> {
        match self {
            Self::Client(client) => client.go_on(transport, buffer),
            Self::Server(server) => server.go_on(transport, buffer, now, handler, out),
            Self::Made => Ok(Step::Made),
            Self::Done => Ok(Step::Waiting),
        }
    }
}

impl AsClient {
    /// Goes on until the server has answered.
    fn go_on<D>(
        &mut self,
        transport: &mut dyn Transport,
        buffer: &mut [u8],
    ) -> Result<Step<D>, OpenError> {
        Ok(match self.opening.go_on(transport, buffer)? {
            Progress::Waiting => Step::Waiting,
            Progress::Again => Step::Again,
            Progress::Agreed {
                agreed,
                read,
                consumed,
            } => Step::Agreed {
                agreed,
                role: Role::client(decide_zero_mask(&self.set_mask_to_zero, transport, None)),
                rest: consumed..read,
            },
        })
    }
}

impl<D> AsServer<D> {
    /// Reads until the client's request is whole, and answers it.
    fn go_on<H: Handler<Data = D>>(
        &mut self,
        transport: &mut impl Transport,
        buffer: &mut [u8],
        now: Tick,
        handler: &mut H,
        out: &mut Vec<u8>,
    ) -> Result<Step<D>, OpenError> {
        transport.flush()?;
        if let Some(waiting) = self.waiting.take() {
            return self.go_on_deciding(waiting, transport, buffer, out);
        }
        let mut share = Share::new(HANDSHAKE_SHARE);
        while !share.is_spent() {
            let buffer = share.window(buffer);
            let len = match Transport::read(transport, buffer) {
                Ok(0) => return Err(HandshakeError::ConnectionLost.into()),
                Ok(len) => len.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Step::Waiting),
                    io::ErrorKind::Interrupted => {
                        share.spend_interrupted();
                        continue;
                    }
                    _ => return Err(error.into()),
                },
            };
            share.spend(len);
            let response = match self.request.receive(&buffer[..len], now) {
                Ok(None) => continue,
                Ok(Some(head)) => {
                    let config = &self.config;
                    match decide(&head, transport, config, false, out, |incoming| {
                        handler.on_request(incoming)
                    }) {
                        Verdict::Admit(admitted) => {
                            let rest = head.consumed()..len;
                            return Ok(Step::Admitted { admitted, rest });
                        }
                        Verdict::Wait(later) => {
                            self.waiting = Some(Waiting::new(later, &head, &buffer[..len]));
                            return Ok(Step::Waiting);
                        }
                        Verdict::Refuse(response) => response,
                    }
                }
                Err(error) => reject(error),
            };
            return Err(answer(&response, out));
        }
        Ok(Step::Again)
    }

    /// Goes on with a request that waits for a decision.
    fn go_on_deciding(
        &mut self,
        waiting: Waiting<D>,
        transport: &impl Transport,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Step<D>, OpenError> {
        let choice = match waiting.later.take() {
            Some(Some(choice)) => choice,
            Some(None) => return Err(answer(&Response::new(503), out)),
            None => {
                self.waiting = Some(waiting);
                return Ok(Step::Waiting);
            }
        };
        let mut reader = self.config.handshake.head_reader();
        let response = match reader.receive(&waiting.bytes) {
            Ok(Some(head)) => match decide(&head, transport, &self.config, false, out, choice) {
                Verdict::Admit(admitted) => {
                    let rest = &waiting.bytes[head.consumed()..];
                    buffer[..rest.len()].copy_from_slice(rest);
                    let rest = 0..rest.len();
                    return Ok(Step::Admitted { admitted, rest });
                }
                Verdict::Wait(later) => {
                    self.waiting = Some(Waiting::new(later, &head, &waiting.bytes));
                    return Ok(Step::Waiting);
                }
                Verdict::Refuse(response) => response,
            },
            // It was whole before.
            Ok(None) => Response::new(400),
            Err(error) => error.rejection(),
        };
        Err(answer(&response, out))
    }
}

/// Writes an answer that ends the connection.
fn answer(response: &Response, out: &mut Vec<u8>) -> OpenError {
    response.write_to(out);
    OpenError::Answered(response.status())
}

impl<D: Default, T: Transport> Socket<D, T> {
    /// Goes on with the opening handshake, and with the connection once it is
    /// open.
    pub(super) fn open<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        ready: Ready,
        handler: &mut H,
    ) -> Result<SocketState, OpenError> {
        self.slot.read_closed |= ready.read_closed;
        let tick = self.tick();
        let step = self.opening.go_on(
            &mut self.slot.transport,
            scratch.as_mut_slice(),
            tick,
            handler,
            &mut self.cork,
        );
        let rest = match step {
            Ok(Step::Waiting) => return Ok(self.state()),
            Ok(Step::Again) => {
                self.slot.goes_on = true;
                return Ok(self.state());
            }
            Ok(Step::Agreed { agreed, role, rest }) => {
                self.agree(role, agreed.deflate);
                self.agreed = Some(agreed);
                rest
            }
            Ok(Step::Admitted { admitted, rest }) => {
                let role = Role::server(admitted.accept_unmasked_frame);
                if let Some(profile) = self.opening.profile(admitted.profile) {
                    self.take_profile(&profile);
                }
                self.agree(role, admitted.deflate);
                self.slot.data = admitted.data;
                rest
            }
            Ok(Step::Made) => 0..0,
            Err(error) => return self.refuse(scratch, error),
        };
        debug!("open");
        self.opening = Opening::Done;
        let times = Times::new(&self.keepalive, &self.time_limits, self.close_timeout);
        self.slot.clock = Clock::open(&times, self.now);
        // Whether the last read took all there was is known for long reads
        // only; the next one tells.
        self.slot.readable = true;
        self.turn(handler)
            .call(|handler, peer| handler.on_open(peer));
        Ok(self.talk(scratch, rest, Ready::default(), handler))
    }

    /// Takes over what differs from one kind of connections to another.
    pub(super) fn take_profile(&mut self, profile: &Profile) {
        (self.limits, self.keepalive) = (profile.limits, profile.keepalive);
        self.chunks = Some(profile.chunks);
        self.max_frame_sent = profile.max_frame_sent.unwrap_or(self.max_frame_sent);
    }

    /// Takes over what both sides agreed on.
    pub(super) fn agree(&mut self, role: Role, deflate: Option<DeflateParams>) {
        self.link = Link::new(
            role.masking(),
            self.limits,
            self.max_frame_sent,
            self.max_backpressure,
            self.slow_consumer,
        )
        .accept_compressed(deflate.is_some());
        (self.slot.role, self.slot.deflate) = (role, deflate);
    }

    /// Ends a connection whose time for that is over.
    pub(super) fn refuse_late(&mut self, scratch: &mut Scratch) -> Result<SocketState, OpenError> {
        if let Some(status) = self.opening.late_status()
            && !self.slot.transport.is_handshaking()
        {
            Response::new(status).write_to(&mut self.cork);
        }
        self.refuse(scratch, OpenError::Timeout)
    }

    /// Ends a connection that never came to be; an answer in the cork leaves
    /// first.
    fn refuse(
        &mut self,
        scratch: &mut Scratch,
        error: OpenError,
    ) -> Result<SocketState, OpenError> {
        debug!(%error, "not opened");
        self.opening = Opening::Done;
        if self.cork.is_empty() {
            let _ = self.over();
            return Err(error);
        }
        self.link
            .outgoing
            .flush_cork(&mut self.cork, &mut self.slot.transport);
        self.refused = Some(error);
        let state = self.begin_end(scratch, true);
        self.settle(state)
    }

    /// Tells at the end why there never was a connection, if so.
    pub(super) fn settle(&mut self, state: SocketState) -> Result<SocketState, OpenError> {
        match self.refused.take_if(|_| state == SocketState::Closed) {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }
}
