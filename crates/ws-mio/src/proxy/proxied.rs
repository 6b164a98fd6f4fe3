//! Servers behind proxies that speak the PROXY protocol.

use std::{io, net::SocketAddr, sync::Arc};

use mio::event::Source;
use tracing::debug;
use ws_handshake::proxy::{ProxyHeader, ProxyHeaderError, TrustedProxies};

use super::leftover::Leftover;
use crate::{
    Listener, Transport,
    transport::{handed_on, source_below},
};

/// A listener behind proxies that speak the PROXY protocol, version 1 or 2,
/// such as HAProxy with `send-proxy-v2`: its connections have the address of
/// the client, not that of the proxy.
///
/// - A **trusted** peer must begin with a header; without one, or with one that
///   is malformed, the connection is dropped. A header that names no client, as
///   those of health checks, or one on the proxy's own machine, leaves the
///   proxy's own address.
/// - **Anybody else** is a client that came directly: it is served with the
///   address that it has, and its bytes are passed on as they are, so that a
///   header from it is a bad request. Nobody can forge an address.
///
/// What counts is the address that is found here, for
/// [`Incoming::peer_address`](crate::Incoming::peer_address) and
/// [`Peer::address`](crate::Peer::address) as for the allow-lists of
/// [`Config`](crate::Config). The span of a connection has that of the proxy,
/// and an event in it that of the client. TLS goes around it, as the header
/// comes before it. The header counts as a part of the opening handshake: it
/// has to come within `handshake_timeout`.
///
/// ```no_run
/// use mio::net::TcpListener;
/// use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, ProxyProtocol, Server, TrustedProxies};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
///
/// let trusted = TrustedProxies::new().network("10.0.7.0/24".parse()?);
/// let listener = ProxyProtocol::new(TcpListener::bind("0.0.0.0:9001".parse()?)?, trusted);
/// Server::with_listener(listener, Config::new(OriginPolicy::Any))?.run(Echo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProxyProtocol<L> {
    listener: L,
    trusted: Arc<TrustedProxies>,
}

impl<L: Listener> ProxyProtocol<L> {
    /// Reads a header from those who are trusted.
    #[must_use]
    pub fn new(listener: L, trusted: TrustedProxies) -> Self {
        Self {
            listener,
            trusted: trusted.into(),
        }
    }

    /// Lends the listener itself.
    pub const fn listener(&self) -> &L {
        &self.listener
    }
}

impl<L: Listener> Listener for ProxyProtocol<L> {
    type Transport = Proxied<L::Transport>;

    fn accept(&mut self) -> io::Result<(Self::Transport, Option<SocketAddr>)> {
        let (transport, peer) = self.listener.accept()?;
        let transport = match self.trusted.contains(peer.map(|peer| peer.ip())) {
            true => Proxied::behind(transport),
            false => Proxied::direct(transport),
        };
        Ok((transport, peer))
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.listener.prepare()
    }
}

impl<L: Source> Source for ProxyProtocol<L> {
    source_below!(listener);
}

/// A connection of a [`ProxyProtocol`]: it may begin with a header of the PROXY
/// protocol, which is read before its first byte.
///
/// Once the header was read it costs a comparison for each read, and a client
/// that was named, its address.
#[derive(Debug)]
pub struct Proxied<T> {
    inner: T,
    /// The client, once the proxy has told.
    client: Option<Box<SocketAddr>>,
    /// `None` once nothing is to be read but what the transport has.
    preface: Option<Preface>,
}

/// What is read before the bytes of the transport.
#[derive(Debug)]
enum Preface {
    /// A header, of which this is the start.
    #[expect(clippy::box_collection, reason = "it is one word, and rarely there")]
    Header(Box<Vec<u8>>),
    Rest(Box<Leftover>),
}

/// How much is read at once before the header is whole. Most are shorter.
const CHUNK: usize = 256;

impl<T: Transport> Proxied<T> {
    /// A connection from a proxy that is trusted: a header is required.
    #[must_use]
    pub fn behind(transport: T) -> Self {
        Self {
            preface: Some(Preface::Header(Box::default())),
            ..Self::direct(transport)
        }
    }

    /// A connection that begins with no header.
    #[must_use]
    pub const fn direct(transport: T) -> Self {
        Self {
            inner: transport,
            client: None,
            preface: None,
        }
    }

    /// Reads the header, if it is not read yet, and then what follows it.
    #[cold]
    fn read_preface(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(Preface::Header(_)) = &self.preface {
            self.read_header()?;
        }
        let Some(Preface::Rest(leftover)) = &mut self.preface else {
            return self.inner.read(buffer);
        };
        let read = leftover.read(&mut self.inner, buffer);
        if leftover.is_empty() {
            self.preface = None;
        }
        read
    }

    fn read_header(&mut self) -> io::Result<()> {
        let Some(Preface::Header(bytes)) = &mut self.preface else {
            return Ok(());
        };
        // Bounded by the length of a header.
        loop {
            let start = bytes.len();
            bytes.resize(start + CHUNK, 0);
            let read = self.inner.read(&mut bytes[start..]);
            let len = *read.as_ref().unwrap_or(&0);
            bytes.truncate(start + len.min(CHUNK));
            if read? == 0 {
                return Err(refuse(ProxyHeaderError::Lost));
            }
            if let Some((header, consumed)) = ProxyHeader::parse(bytes).map_err(refuse)? {
                let proxy = self.inner.peer_addr();
                self.client = client_of(&header, proxy.as_ref().ok()).map(Box::new);
                debug!(
                    client = self.client.as_ref().map(tracing::field::display),
                    "behind a proxy"
                );
                self.preface = Leftover::of(&bytes[consumed..]).map(Preface::Rest);
                return Ok(());
            }
        }
    }
}

/// The client that a proxy at an address names, if it can be believed.
fn client_of(header: &ProxyHeader, proxy: Option<&Option<SocketAddr>>) -> Option<SocketAddr> {
    let is_loopback = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    // What is on the proxy's machine is on ours only if the proxy is.
    let is_here = proxy.is_some_and(|proxy| proxy.as_ref().is_none_or(is_loopback));
    header
        .source()
        .filter(|client| is_here || !is_loopback(client))
}

fn refuse(error: ProxyHeaderError) -> io::Error {
    debug!(%error, "a trusted proxy does not say where its client is");
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<T: Transport> Transport for Proxied<T> {
    handed_on!();

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        T::connect(address).map(Self::direct)
    }

    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.preface {
            None => self.inner.read(buffer),
            Some(_) => self.read_preface(buffer),
        }
    }

    /// The client's address, if the proxy told it; until then, and otherwise,
    /// that of the transport.
    fn peer_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.client {
            Some(client) => Ok(Some(**client)),
            None => self.inner.peer_addr(),
        }
    }

    /// Not before the proxy has told.
    fn is_peer_known(&self) -> bool {
        !matches!(self.preface, Some(Preface::Header(_))) && self.inner.is_peer_known()
    }

    #[inline]
    fn short_is_all(&self) -> bool {
        self.preface.is_none() && self.inner.short_is_all()
    }

    fn begin(&mut self) -> io::Result<bool> {
        self.inner.begin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(addresses: &str) -> ProxyHeader {
        let header = format!("PROXY {addresses} 1 2\r\n");
        ProxyHeader::parse(header.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn client_on_the_proxys_machine_is_on_ours_only_if_the_proxy_is() {
        let client = |addresses: &str, proxy: Option<&str>| {
            let proxy = proxy.map(|proxy| proxy.parse().unwrap());
            client_of(&header(addresses), Some(&proxy)).map(|client| client.ip().to_string())
        };
        let (near, far) = ("TCP4 127.0.0.1 127.0.0.1", "TCP4 192.0.2.7 192.0.2.8");
        for proxy in [None, Some("127.0.0.1:9"), Some("[::1]:9")] {
            assert_eq!(client(near, proxy).as_deref(), Some("127.0.0.1"));
            assert_eq!(client(far, proxy).as_deref(), Some("192.0.2.7"));
        }
        let elsewhere = Some("10.0.0.1:9");
        assert_eq!(client(far, elsewhere).as_deref(), Some("192.0.2.7"));
        assert_eq!(client(near, elsewhere), None);
        assert_eq!(client("TCP6 ::ffff:127.0.0.1 ::1", elsewhere), None);
        // One that is gone has no address.
        assert_eq!(client_of(&header(near), None), None);
    }
}
