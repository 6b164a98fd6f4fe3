//! Servers behind proxies that speak the PROXY protocol.

use std::{io, net::SocketAddr, sync::Arc};

use mio::event::Source;
use tracing::debug;
use ws_handshake::proxy::{ProxyHeader, ProxyHeaderError, TrustedProxies};

use super::leftover::Leftover;
use crate::{
    Listener, PeerAddr, Transport,
    transport::{handed_on, source_below},
};

/// A listener behind proxies that speak the PROXY protocol, version 1 or 2,
/// such as HAProxy with `send-proxy-v2`: its connections have the address of
/// the client, not that of the proxy.
///
/// - A **trusted** peer must begin with a header; without one, or with one that is malformed, the
///   connection is dropped. A client that the header does not name (`UNKNOWN`, no family, a
///   Unix-domain socket) is [`PeerAddr::Unknown`]: it has none of the proxy's rights. Where the
///   proxy speaks for itself (`LOCAL`), as for health checks, the address is its own; so is that of
///   a client which it names by a loopback address, as that is on the proxy's machine.
/// - **Anybody else** is a client that came directly: it is served with the address that it has,
///   and its bytes are passed on as they are, so that a header from it is a bad request. Nobody can
///   forge an address.
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

    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)> {
        let (transport, peer) = self.listener.accept()?;
        let transport = match peer.listed_ip() {
            Some(address) if self.trusted.contains(address) => Proxied::behind(transport),
            _ => Proxied::direct(transport),
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
    /// Where the client is, once the proxy has spoken for one.
    client: Option<Box<PeerAddr>>,
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

    /// Lends the transport below.
    #[must_use]
    pub const fn get_ref(&self) -> &T {
        &self.inner
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
                if header != ProxyHeader::Local && !fault!("client-forgotten") {
                    let client = self.inner.peer_addr().client_behind(header.source());
                    debug!(%client, "behind a proxy");
                    self.client = Some(Box::new(client));
                }
                let rest = match fault!("request-lost") {
                    true => &[],
                    false => &bytes[consumed..],
                };
                self.preface = Leftover::of(rest).map(Preface::Rest);
                return Ok(());
            }
        }
    }
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

    /// That of the client, if a proxy has spoken for one; [`PeerAddr::Unknown`]
    /// until it has spoken, and otherwise that of the transport.
    fn peer_addr(&self) -> PeerAddr {
        match (&self.client, &self.preface) {
            (Some(client), _) => **client,
            (None, Some(Preface::Header(_))) => PeerAddr::Unknown,
            (None, _) => self.inner.peer_addr(),
        }
    }

    #[inline]
    fn short_is_all(&self) -> bool {
        self.preface.is_none() && self.inner.short_is_all()
    }

    fn begin(&mut self) -> io::Result<bool> {
        self.inner.begin()
    }
}
