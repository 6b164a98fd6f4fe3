//! The opening handshake of a connection in somebody else's loop.

use std::{ops::Range, sync::Arc};

use tracing::debug;
use ws_handshake::{ClientRequest, DeflateParams, HandshakeError, Response};
use ws_proto::Clock;

use super::{Socket, SocketState};
use crate::{
    Config, Handler, OpenError, Profile, Ready, Transport,
    connection::{
        Link,
        role::Role,
        scratch::Scratch,
        share::{HANDSHAKE_SHARE, Share},
    },
    opening::{
        client::{ClientOpening, Progress},
        flags::decide_zero_mask,
        server::{Lent, ServerOpening, Step},
    },
    slots::wheel::Tick,
};

/// How far the opening handshake is.
#[derive(Debug)]
pub(super) enum Opening<D> {
    Client(Box<ClientOpening>),
    Server(Box<AsServer<D>>),
    /// It was made elsewhere.
    Made,
    Done,
}

/// A server's opening handshake.
#[derive(Debug)]
pub(super) struct AsServer<D> {
    opening: ServerOpening<D>,
    config: Arc<Config>,
}

impl<D> Opening<D> {
    pub(super) fn client(request: ClientRequest) -> Self {
        Self::Client(Box::new(ClientOpening::new(request, None)))
    }

    pub(super) fn server(config: Arc<Config>) -> Self {
        let opening = ServerOpening::new(&config);
        Self::Server(Box::new(AsServer { opening, config }))
    }

    /// Tells whether a request comes too slowly.
    pub(super) fn is_trickling(&self, now: Tick) -> bool {
        match self {
            Self::Server(server) => server.opening.request().is_trickling(now),
            Self::Client(_) | Self::Made | Self::Done => false,
        }
    }

    /// Returns when to ask that next.
    pub(super) fn trickles_at(&self, now: Tick) -> Option<Tick> {
        match self {
            Self::Server(server) => server.opening.request().trickles_at(now),
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
            Self::Server(server) if server.opening.waiting().is_some() => Some(503),
            Self::Server(_) => Some(408),
            Self::Client(_) | Self::Made | Self::Done => None,
        }
    }
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
        let mut share = Share::new(HANDSHAKE_SHARE);
        let opened = match &mut self.opening {
            Opening::Client(_) => self.open_client(scratch),
            Opening::Server(_) => self.open_server(scratch, handler, &mut share),
            Opening::Made => Ok(Some(0..0)),
            Opening::Done => Ok(None),
        };
        let rest = match opened {
            Ok(Some(rest)) => rest,
            Ok(None) => return Ok(self.state()),
            Err(error) => return self.refuse(scratch, error, share),
        };
        debug!("open");
        self.opening = Opening::Done;
        let times = self.config.times();
        self.slot.clock = Clock::open(&times, self.now);
        // Whether the last read took all there was is known for long reads
        // only; the next one tells.
        self.slot.readable = true;
        self.turn(handler)
            .call(|handler, peer| handler.on_open(peer));
        Ok(self.talk(scratch, rest, Ready::default(), handler))
    }

    /// Goes on as a client; returns what was read behind the server's answer
    /// once that is there.
    fn open_client(&mut self, scratch: &mut Scratch) -> Result<Option<Range<usize>>, OpenError> {
        let Opening::Client(opening) = &mut self.opening else {
            return Ok(None);
        };
        let transport = &mut self.slot.transport;
        match opening.go_on(transport, scratch.as_mut_slice())? {
            Progress::Waiting => Ok(None),
            Progress::Again => {
                self.slot.goes_on = true;
                Ok(None)
            }
            Progress::Agreed {
                agreed,
                read,
                consumed,
            } => {
                let flag = decide_zero_mask(&self.config.set_mask_to_zero, transport, None);
                self.agree(Role::client(flag), agreed.deflate);
                self.agreed = Some(agreed);
                Ok(Some(consumed..read))
            }
        }
    }

    /// Goes on as a server; returns what was read behind the client's request
    /// once it is let in.
    fn open_server<H: Handler<Data = D>>(
        &mut self,
        scratch: &mut Scratch,
        handler: &mut H,
        share: &mut Share,
    ) -> Result<Option<Range<usize>>, OpenError> {
        let now = self.tick();
        let Opening::Server(server) = &mut self.opening else {
            return Ok(None);
        };
        self.slot.transport.flush()?;
        let lent = Lent {
            transport: &mut self.slot.transport,
            read_closed: self.slot.read_closed,
            buffer: scratch.as_mut_slice(),
            config: &server.config,
            is_draining: false,
            out: &mut self.cork,
            now,
            share,
        };
        let response = match server.opening.go_on(lent, handler, |_| true) {
            Step::Waiting | Step::Undecided => return Ok(None),
            Step::NextTurn => {
                self.slot.goes_on = true;
                return Ok(None);
            }
            Step::Admitted { admitted, rest, .. } => {
                let role = Role::server(admitted.accept_unmasked_frame);
                if let Some(profile) = self.opening.profile(admitted.profile) {
                    self.take_profile(&profile);
                }
                self.agree(role, admitted.deflate);
                self.slot.data = admitted.data;
                return Ok(Some(rest));
            }
            Step::Refused(response) => response,
            Step::OverAddress => Response::new(503),
            Step::Ended => return Err(HandshakeError::ConnectionLost.into()),
            Step::Failed(error) => return Err(error.into()),
        };
        response.write_to(&mut self.cork);
        Err(OpenError::Answered(response.status()))
    }

    /// Takes over what differs from one kind of connections to another.
    pub(super) fn take_profile(&mut self, profile: &Profile) {
        let config = &mut self.config;
        (config.limits, config.keepalive) = (profile.limits, profile.keepalive);
        config.max_frame_sent = profile.max_frame_sent.unwrap_or(config.max_frame_sent);
        self.chunks = Some(profile.chunks);
    }

    /// Takes over what both sides agreed on.
    pub(super) fn agree(&mut self, role: Role, deflate: Option<DeflateParams>) {
        self.link = Link::of_socket(role, &self.config).accept_compressed(deflate.is_some());
        (self.slot.role, self.slot.deflate) = (role, deflate);
    }

    /// Ends a connection whose time for that is over.
    pub(super) fn refuse_late(&mut self, scratch: &mut Scratch) -> Result<SocketState, OpenError> {
        if let Some(status) = self.opening.late_status()
            && !self.slot.transport.is_handshaking()
        {
            Response::new(status).write_to(&mut self.cork);
        }
        self.refuse(scratch, OpenError::Timeout, Share::new(HANDSHAKE_SHARE))
    }

    /// Ends a connection that never came to be; an answer in the cork leaves
    /// first.
    fn refuse(
        &mut self,
        scratch: &mut Scratch,
        error: OpenError,
        share: Share,
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
        let state = self.begin_end(scratch, true, share);
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
