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
    Connect, Handler, OpenError, Orders, PeerId, Ready, Transport,
    arena::NOWHERE,
    call::{Answer, Call},
    connect::Role,
    connection::Slot,
    deflate::Terms,
    opening::may_mask_with_zero,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Connects to a server at an address.
    pub(crate) fn connect(
        &mut self,
        address: SocketAddr,
        connect: Connect<H::Data>,
    ) -> Option<PeerId> {
        match dial(address, &connect) {
            Ok((transport, server)) => self.call(transport, server, connect),
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
        let id = match transport.peer_addr() {
            Ok(address) => self.call(transport, address, connect),
            Err(error) => self.not_connected(connect.data, error.into()),
        }?;
        // There may be nothing that says that it can be written to.
        self.go_on(id.key());
        Some(id)
    }

    pub(super) fn call(
        &mut self,
        mut transport: T,
        address: Option<SocketAddr>,
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
        let set_mask_to_zero = set_mask_to_zero.unwrap_or(true)
            && may_mask_with_zero(&self.config.set_mask_to_zero, &transport, address);
        let until = self.tick_after(self.config.handshake_timeout);
        self.generation = self.generation.wrapping_add(1);
        let mut slot = Slot::new(transport, self.generation, self.now, until, data);
        slot.role = Role::client(set_mask_to_zero);
        slot.wants_write = true;
        slot.state = self.calls.insert(Call::new(request)) as u32;
        self.slots.insert(slot);
        self.counters.connects.add(1);
        self.arm(key, until);
        let peer = address.map(tracing::field::display);
        let span = info_span!("websocket", role = "client", peer);
        if !span.is_disabled() {
            self.spans.insert(self.id(key), span);
        }
        Some(self.id(key))
    }

    /// Goes on with an opening handshake.
    pub(super) fn go_on_calling(&mut self, key: usize, ready: Ready) {
        let slot = &mut self.slots[key];
        slot.read_closed |= ready.read_closed;
        let call = &mut self.calls[slot.state as usize];
        match call.go_on(&mut slot.transport, self.scratch.as_mut_slice()) {
            Ok(Answer::Waiting) => {}
            Ok(Answer::Again) => self.go_on(key),
            Ok(Answer::Agreed {
                agreed,
                read,
                consumed,
            }) => self.open_client(key, &agreed, consumed..read),
            Err(error) => self.fall_back(key, error),
        }
    }

    fn open_client(&mut self, key: usize, agreed: &Agreed, rest: Range<usize>) {
        let slot = &mut self.slots[key];
        self.calls.remove(slot.state as usize);
        slot.state = NOWHERE;
        slot.terms = Terms::of_client(agreed.deflate);
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
            let orders = &mut Orders::new(&mut inner.orders);
            inner.handler.on_connect_failed(data, error, orders);
        });
        None
    }
}

/// Starts to connect, with TLS and through a proxy if that is asked for, and
/// tells where the server is.
pub(super) fn dial<T: Transport, D>(
    address: SocketAddr,
    connect: &Connect<D>,
) -> Result<(T, Option<SocketAddr>), OpenError> {
    #[cfg(feature = "tls")]
    let server = match &connect.tls {
        Some(tls) => {
            let host = connect.request.uri().host();
            Some((tls, server_name(host).map_err(OpenError::Tls)?))
        }
        None => None,
    };
    let transport = T::connect(address)?;
    #[cfg(feature = "proxy")]
    let (transport, address) = through(transport, address, connect)?;
    #[cfg(feature = "tls")]
    let transport = match server {
        Some((tls, server)) => transport.secure(tls, server).map_err(no_tls)?,
        None => transport,
    };
    let _ = connect;
    Ok((transport, Some(address)))
}

/// Goes through a proxy if that is asked for. Where the server is then, is not
/// known.
#[cfg(feature = "proxy")]
fn through<T: Transport, D>(
    mut transport: T,
    address: SocketAddr,
    connect: &Connect<D>,
) -> Result<(T, SocketAddr), OpenError> {
    let Some(proxy) = &connect.proxy else {
        return Ok((transport, address));
    };
    let uri = connect.request.uri();
    transport.tunnel(proxy, uri.host(), uri.port())?;
    Ok((transport, crate::proxy::unknown(uri.port())))
}

#[cfg(feature = "tls")]
fn no_tls(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::Unsupported => OpenError::NoTls,
        _ => error.into(),
    }
}
