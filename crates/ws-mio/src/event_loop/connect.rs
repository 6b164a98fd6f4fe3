//! Connections to servers are made.

#[cfg(feature = "tls")]
use std::io;
use std::{net::SocketAddr, ops::Range};

use mio::{Interest, Token};
use tracing::{debug, info_span};
use ws_handshake::Agreed;
#[cfg(feature = "tls")]
use ws_tls::server_name;

use super::EventLoop;
use crate::{
    Connect, Handler, OpenError, PeerAddr, PeerId, Ready, Transport,
    connection::{Kept, Place, Slot, role::Role},
    opening::{
        client::{ClientOpening, Progress},
        flags::decide_zero_mask,
    },
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Connects to a server at an address.
    pub(crate) fn connect(
        &mut self,
        address: SocketAddr,
        connect: Connect<H::Data>,
    ) -> Option<PeerId> {
        match start_connecting(address, &connect) {
            Ok((transport, server)) => self.begin_opening(transport, server, connect),
            Err(error) => self.not_connected(connect.data, error),
        }
    }

    /// Starts the opening handshake over a transport that is connected, or
    /// being connected.
    pub(crate) fn connect_over(
        &mut self,
        transport: T,
        connect: Connect<H::Data>,
    ) -> Option<PeerId> {
        let server = transport.peer_addr();
        let id = self.begin_opening(transport, server, connect)?;
        // There may be nothing that says that it can be written to.
        self.go_on(id.key());
        Some(id)
    }

    pub(super) fn begin_opening(
        &mut self,
        mut transport: T,
        server: PeerAddr,
        connect: Connect<H::Data>,
    ) -> Option<PeerId> {
        let Connect {
            request,
            data,
            set_mask_to_zero,
            ..
        } = connect;
        if self.is_stopping() {
            return self.not_connected(data, OpenError::Stopped);
        }
        let is_full = self.slots.len() >= self.config.max_connections;
        if is_full && !fault!("connections-unlimited") || self.is_near_max_memory() {
            return self.not_connected(data, OpenError::Full);
        }
        let key = self.slots.next_key();
        let watched = self.registry.as_ref().zip(transport.source());
        if let Some((registry, source)) = watched
            && let Err(error) =
                registry.register(source, Token(key), Interest::READABLE | Interest::WRITABLE)
        {
            return self.not_connected(data, error.into());
        }
        let until = self.tick_after(self.config.handshake_timeout);
        self.generation = self.generation.wrapping_add(1);
        self.held += transport.footprint();
        let mut slot = Slot::new(transport, self.generation, self.now, until, data);
        slot.role = Role::client(false);
        slot.wants_write = true;
        let opening = ClientOpening::new(request, set_mask_to_zero);
        slot.kept = Kept::client_opening(self.client_openings.insert(opening));
        self.slots.insert(slot);
        self.give_waker(key);
        self.counters.connects.add(1);
        self.arm(key, until);
        let span = info_span!("websocket", role = "client", peer = %server);
        if !span.is_disabled() {
            self.spans.insert(self.id(key), span);
        }
        Some(self.id(key))
    }

    /// Goes on with an opening handshake.
    pub(super) fn go_on_connecting(&mut self, key: usize, ready: Ready) {
        let slot = &mut self.slots[key];
        slot.read_closed |= ready.read_closed;
        let Place::ClientOpening(index) = slot.kept.place() else {
            return;
        };
        let opening = &mut self.client_openings[index];
        match opening.go_on(&mut slot.transport, self.scratch.as_mut_slice()) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Again) => self.go_on(key),
            Ok(Progress::Agreed {
                agreed,
                read,
                consumed,
            }) => {
                slot.kept = Kept::NOTHING;
                let asked = self.client_openings.remove(index).set_mask_to_zero;
                self.open_client(key, asked, &agreed, consumed..read);
            }
            Err(error) => self.fall_back(key, error),
        }
    }

    fn open_client(
        &mut self,
        key: usize,
        asked: Option<bool>,
        agreed: &Agreed,
        rest: Range<usize>,
    ) {
        let slot = &mut self.slots[key];
        let network = &self.config.set_mask_to_zero;
        slot.role = Role::client(decide_zero_mask(network, &slot.transport, asked));
        slot.deflate = agreed.deflate;
        // Whether the last read took all there was, the next one tells.
        self.open(key, rest, true, |handler, peer| {
            handler.on_connected(peer, agreed);
        });
    }

    /// Drops a connection that never came to be, and gives its data back.
    pub(super) fn give_back(&mut self, key: usize, error: OpenError) {
        if let Some(data) = self.take_out(key) {
            self.not_connected(data, error);
        }
    }

    /// Tells the application that there will be no connection.
    pub(super) fn not_connected(&mut self, data: H::Data, error: OpenError) -> Option<PeerId> {
        debug!(%error, "not connected");
        self.counters.connects_failed.add(1);
        self.guard(None, |inner| {
            let commands = &mut inner.commands;
            inner.handler.on_connect_failed(data, error, commands);
        });
        None
    }
}

/// Starts to connect, with TLS and through a proxy if that is asked for, and
/// tells where the server is.
pub(super) fn start_connecting<T: Transport, D>(
    address: SocketAddr,
    connect: &Connect<D>,
) -> Result<(T, PeerAddr), OpenError> {
    #[cfg(feature = "tls")]
    let server = match &connect.tls {
        Some(tls) => {
            let host = connect.request.uri().host();
            Some((tls, server_name(host).map_err(OpenError::Tls)?))
        }
        None => None,
    };
    let (transport, address) = (T::connect(address)?, PeerAddr::Socket(address));
    #[cfg(feature = "proxy")]
    let (transport, address) = through(transport, address, connect)?;
    #[cfg(feature = "tls")]
    let transport = match server {
        Some((tls, server)) => transport.secure(tls, server).map_err(no_tls)?,
        None => transport,
    };
    let _ = connect;
    Ok((transport, address))
}

/// Goes through a proxy if that is asked for. Where the server is then, is not
/// known.
#[cfg(feature = "proxy")]
fn through<T: Transport, D>(
    mut transport: T,
    address: PeerAddr,
    connect: &Connect<D>,
) -> Result<(T, PeerAddr), OpenError> {
    let Some(proxy) = &connect.proxy else {
        return Ok((transport, address));
    };
    let uri = connect.request.uri();
    transport.tunnel(proxy, uri.host(), uri.port())?;
    Ok((transport, PeerAddr::Unknown))
}

#[cfg(feature = "tls")]
fn no_tls(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::Unsupported => OpenError::NoTls,
        _ => error.into(),
    }
}
