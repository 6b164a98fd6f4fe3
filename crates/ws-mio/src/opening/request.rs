//! What a connection is opened with, in a loop of ours or of somebody else.

use std::time::Duration;

use tracing::{error, info};
use ws_handshake::{DeflateParams, HandshakeError, Head, HeadReader, Response};
use ws_proto::ConfigError;

use super::flags::decide_unmasked;
use crate::{
    Accept, Config, Decision, Incoming, Later, Transport,
    config::PROFILES,
    slots::wheel::{TICK, Tick, tick_at},
};

/// A client's request, as far as it has come.
#[derive(Debug)]
pub(crate) struct Request {
    reader: HeadReader,
    /// When the first part came.
    begun: Tick,
    /// How many bytes have come.
    len: usize,
    /// How many must come in a second.
    least: u32,
    /// For how long it may come at any rate.
    grace: Tick,
}

/// For how long a request may come at any rate, where there is time for that.
const GRACE: Duration = Duration::from_secs(5);

impl Request {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            reader: config.handshake.head_reader(),
            begun: 0,
            len: 0,
            least: config.min_head_rate,
            grace: tick_at(GRACE.min(config.handshake_timeout / 2)),
        }
    }

    /// Takes what has come; returns the head once it is whole.
    pub(crate) fn receive<'a>(
        &'a mut self,
        input: &'a [u8],
        now: Tick,
    ) -> Result<Option<Head<'a>>, HandshakeError> {
        if self.len == 0 {
            self.begun = now;
        }
        self.len += input.len();
        self.reader.receive(input)
    }

    /// Tells whether nothing has come.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes are held for it.
    pub(crate) const fn held(&self) -> usize {
        self.reader.heap_bytes()
    }

    /// Tells whether it comes with fewer bytes in a second than it must.
    pub(crate) fn is_trickling(&self, now: Tick) -> bool {
        let age = now.saturating_sub(self.begun);
        let least = u64::from(age) * TICK.as_millis() as u64 * u64::from(self.least) / 1000;
        let is_slow = age >= self.grace && (self.len as u64) < least;
        self.len > 0 && is_slow && !fault!("trickle-allowed")
    }

    /// Returns when to ask that next; `None` if nothing has come.
    pub(crate) fn trickles_at(&self, now: Tick) -> Option<Tick> {
        let grace = self.begun.saturating_add(self.grace);
        let next = grace.max(now.saturating_add(self.grace / 2).max(now + 1));
        (self.len > 0).then_some(next)
    }
}

/// What is kept of a request that was accepted.
pub(crate) struct Admitted<D> {
    pub(crate) data: D,
    pub(crate) accept_unmasked_frame: bool,
    /// 0 is the configuration's own.
    pub(crate) profile: u8,
    pub(crate) deflate: Option<DeflateParams>,
}

/// Answers a head that is none. A TLS client takes the answer for the end of
/// its handshake, and knows by it that nobody here speaks TLS.
pub(crate) fn reject(error: HandshakeError) -> Response {
    if error == HandshakeError::TlsClientHello {
        info!("{error}");
    }
    error.rejection()
}

/// What was decided on a request.
pub(crate) enum Verdict<D> {
    Admit(Admitted<D>),
    Refuse(Response),
    Wait(Later<D>),
}

/// A request that waits for a decision.
#[derive(Debug)]
pub(crate) struct Waiting<D> {
    pub(crate) later: Later<D>,
    /// Its head, and what has come behind it.
    pub(crate) bytes: Vec<u8>,
}

impl<D> Waiting<D> {
    /// Keeps the head and what came behind it in a read.
    pub(crate) fn new(later: Later<D>, head: &Head<'_>, read: &[u8]) -> Self {
        let bytes = [head.as_bytes(), &read[head.consumed()..]].concat();
        Self { later, bytes }
    }
}

/// Asks the application by `ask`, and writes the 101 to `out` if it accepts.
pub(crate) fn decide<D>(
    head: &Head<'_>,
    transport: &dyn Transport,
    config: &Config,
    is_draining: bool,
    out: &mut Vec<u8>,
    ask: impl for<'r> FnOnce(Incoming<'r>) -> Decision<'r, D>,
) -> Verdict<D> {
    let request = match head.request() {
        Ok(request) => request,
        Err(error) => return Verdict::Refuse(error.rejection()),
    };
    let peer = transport.peer_addr();
    match ask(Incoming::new(
        &request,
        peer,
        transport,
        config,
        is_draining,
    )) {
        Decision::Respond(response) => Verdict::Refuse(response.for_request(&request)),
        Decision::Later(later) => Verdict::Wait(later),
        Decision::Accept(Accept {
            acceptance,
            data,
            accept_unmasked_frame,
            profile,
        }) => {
            let Some(profile) = number(profile, config) else {
                error!(profile, "there is no such profile");
                return Verdict::Refuse(Response::new(500));
            };
            let is_compressed = acceptance.deflate().is_some();
            if let Err(error) = ConfigError::check_deflate("handshake.deflate", is_compressed) {
                error!(%error, "the configuration is not checked");
                return Verdict::Refuse(Response::new(500));
            }
            acceptance.write_to(out);
            let network = &config.accept_unmasked_frame;
            Verdict::Admit(Admitted {
                data,
                accept_unmasked_frame: decide_unmasked(network, transport, accept_unmasked_frame),
                profile,
                deflate: acceptance.deflate(),
            })
        }
    }
}

/// Returns the number of a profile, of which 0 is the configuration's own.
pub(crate) fn number(index: Option<usize>, config: &Config) -> Option<u8> {
    match index {
        None => Some(0),
        Some(index) if index < config.profiles.len().min(PROFILES) => Some(index as u8 + 1),
        Some(_) => None,
    }
}
