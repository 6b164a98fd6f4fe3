//! What a connection is opened with, in a loop of ours or of somebody else.

use std::{net::SocketAddr, sync::Once};

use tracing::warn;
use ws_handshake::{HandshakeError, Head, HeadReader, Response};
use ws_proto::ControlledNetwork;

use crate::{
    Accept, Config, Decision, Handler, Incoming, Transport,
    deflate::Terms,
    wheel::{Tick, is_trickle, trickles_at},
};

/// A client's request, as far as it has come.
#[derive(Debug)]
pub(crate) struct Request {
    reader: HeadReader,
    /// When the first part came.
    begun: Tick,
    /// How many bytes have come.
    len: usize,
}

impl Request {
    pub(crate) const fn new(reader: HeadReader) -> Self {
        Self {
            reader,
            begun: 0,
            len: 0,
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

    /// Tells whether it comes with fewer than `rate` bytes in a second.
    pub(crate) fn is_trickling(&self, now: Tick, rate: u32) -> bool {
        self.len > 0 && is_trickle(self.begun, now, self.len, rate)
    }

    /// Returns when to ask that next; `None` if nothing has come.
    pub(crate) fn trickles_at(&self, now: Tick) -> Option<Tick> {
        (self.len > 0).then(|| trickles_at(self.begun, now))
    }
}

/// What is kept of a request that was accepted.
pub(crate) struct Admitted<D> {
    pub(crate) data: D,
    pub(crate) accept_unmasked_frame: bool,
    pub(crate) terms: Option<Terms>,
}

/// Asks the application, and writes the 101 to `out` if it accepts.
pub(crate) fn decide<H: Handler>(
    head: &Head<'_>,
    transport: &dyn Transport,
    config: &Config,
    handler: &mut H,
    out: &mut Vec<u8>,
) -> Result<Admitted<H::Data>, Response> {
    let request = head
        .request()
        .map_err(|error: HandshakeError| error.rejection())?;
    let peer = transport.peer_addr();
    let address = *peer.as_ref().unwrap_or(&None);
    match handler.on_request(Incoming::new(&request, address, transport, config)) {
        Decision::Respond(response) => Err(response),
        Decision::Accept(Accept {
            acceptance,
            data,
            accept_unmasked_frame,
        }) => {
            let acceptance = Terms::admit(acceptance);
            acceptance.write_to(out);
            //= MSWS-1.5-1, MSWS-1.6-3, MSWS-3.2.3-1, MSWS-4-1
            // A peer that is gone has no address, and is not taken for one
            // that never leaves the machine.
            let accept_unmasked_frame = accept_unmasked_frame.unwrap_or(true)
                && peer.is_ok()
                && config
                    .accept_unmasked_frame
                    .allows(address.map(|peer| peer.ip()), transport.is_tls());
            if accept_unmasked_frame && !transport.is_tls() {
                warn_of_flag("accept_unmasked_frame", address);
            }
            Ok(Admitted {
                data,
                accept_unmasked_frame,
                terms: Terms::of_server(acceptance.deflate()),
            })
        }
    }
}

/// Tells whether a client's frames may be masked with zero, over a transport to
/// a server at an address; `None` if it never leaves the machine.
pub(crate) fn may_mask_with_zero(
    network: &ControlledNetwork,
    transport: &dyn Transport,
    address: Option<SocketAddr>,
) -> bool {
    //= MSWS-3.1.3-1, MSWS-4-2
    let is_tls = transport.is_tls();
    let may = network.allows(address.map(|address| address.ip()), is_tls);
    let may = may || fault!("zero-key-unasked");
    if may && !is_tls {
        warn_of_flag("set_mask_to_zero", address);
    }
    may
}

/// Says once that a flag of [MS-WSPE] is used in plaintext with another
/// machine.
fn warn_of_flag(flag: &str, peer: Option<SocketAddr>) {
    static ONCE: Once = Once::new();
    //= MSWS-1.6-2, MSWS-5.1-2, MSWS-5.2-1
    if let Some(peer) = peer
        && !peer.ip().to_canonical().is_loopback()
    {
        ONCE.call_once(|| {
            warn!(
                %peer,
                "{flag} is set for a peer on another machine without TLS: \
                 make sure that no intermediary is on the path"
            );
        });
    }
}
