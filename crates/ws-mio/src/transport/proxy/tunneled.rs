//! Clients behind proxies.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
};

use ws_handshake::proxy::{Proxy, Tunnel, TunnelError, TunnelProgress};

use crate::{
    PeerAddr, Transport,
    transport::{INTERRUPTED, handed_on},
};

/// A transport to a proxy, through which a way to a server is opened, by HTTP
/// CONNECT or SOCKS5, before the first byte of the connection; or one without a
/// proxy, so that a loop can have both.
///
/// It carries a [`Socket`](crate::Socket) or a connection of a loop, with
/// [`Loop::connect_over`](crate::Loop::connect_over). In a loop whose
/// transports are these, as one of [`NoListener`](crate::NoListener),
/// [`Connect::proxy`](crate::Connect::proxy) makes one.
/// TLS goes around it. If there is no way, the connection fails with
/// [`OpenError::Proxy`](crate::OpenError::Proxy). Opening the way counts as a
/// part of the opening handshake: it has `handshake_timeout`.
///
/// ```no_run
/// use std::net::ToSocketAddrs;
///
/// use mio::net::TcpStream;
/// use ws_mio::{ClientConfig, ClientRequest, Proxy, Socket, Tunneled, Uri};
///
/// let uri = Uri::parse("ws://feed.example/")?;
/// let proxy: Proxy = "http://alice:secret@proxy.example:3128".parse()?;
///
/// let address = (proxy.host_for_connect(), proxy.port()).to_socket_addrs()?.next().unwrap();
/// let stream = TcpStream::connect(address)?;
/// let stream = Tunneled::new(stream, &proxy, uri.host_for_connect(), uri.port())?;
/// let request = ClientRequest::new(uri);
/// let socket: Socket<(), _> = Socket::client(stream, request, &ClientConfig::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tunneled<T> {
    inner: T,
    /// It goes through a proxy.
    is_proxied: bool,
    /// `None` once the way is open.
    way: Option<Box<Tunnel>>,
}

/// How much is read at once from a proxy, at most.
const CHUNK: usize = 512;

impl<T: Transport> Tunneled<T> {
    /// Goes to a server through a proxy, over a transport to that proxy that is
    /// connected or being connected.
    ///
    /// # Errors
    ///
    /// [`TunnelError::BadTarget`] if the proxy cannot be asked for that server.
    pub fn new(transport: T, proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let mut tunneled = Self::direct(transport);
        tunneled.open(Tunnel::new(proxy, host, port)?);
        Ok(tunneled)
    }

    /// Goes without a proxy.
    #[must_use]
    pub const fn direct(transport: T) -> Self {
        Self {
            inner: transport,
            is_proxied: false,
            way: None,
        }
    }

    fn open(&mut self, tunnel: Tunnel) {
        self.is_proxied = true;
        self.way = Some(Box::new(tunnel));
    }

    /// Goes on with the dialogue; `true` once the way is open.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(tunnel) = &mut self.way else {
            return Ok(true);
        };
        let mut taken = 0;
        loop {
            if taken >= INTERRUPTED {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if !send(tunnel, &mut self.inner)? {
                return Ok(false);
            }
            let chunk = &mut [0; CHUNK][..tunnel.room().min(CHUNK)];
            let len = match self.inner.read(chunk) {
                Ok(0) => return Err(io::Error::other(tunnel.eof())),
                Ok(len) => len.min(chunk.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::Interrupted => continue,
                    // What refuses and then resets has refused.
                    _ => match tunnel.eof() {
                        TunnelError::Lost => return Err(error),
                        refused => return Err(io::Error::other(refused)),
                    },
                },
            };
            taken += len;
            let progress = tunnel.receive(&chunk[..len]).map_err(io::Error::other)?;
            if progress != TunnelProgress::Incomplete {
                self.way = None;
                return Ok(true);
            }
        }
    }
}

/// Sends what is to be sent; `false` if the transport takes no more for now.
fn send(tunnel: &mut Tunnel, transport: &mut impl Transport) -> io::Result<bool> {
    while !tunnel.to_send().is_empty() {
        match transport.write(&[IoSlice::new(tunnel.to_send())]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => tunnel.sent(len),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(false),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    transport.flush()
}

impl<T: Transport> Transport for Tunneled<T> {
    handed_on!();

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        T::connect(address).map(Self::direct)
    }

    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    /// [`PeerAddr::Unknown`] behind a proxy: what lies between the proxy and the
    /// server is not known, and allow-lists are for the whole way.
    fn peer_addr(&self) -> PeerAddr {
        match self.is_proxied {
            true => PeerAddr::Unknown,
            false => self.inner.peer_addr(),
        }
    }

    #[inline]
    fn short_is_all(&self) -> bool {
        self.inner.short_is_all()
    }

    fn tunnel(&mut self, proxy: &Proxy, host: &str, port: u16) -> io::Result<()> {
        let tunnel = Tunnel::new(proxy, host, port).map_err(io::Error::other)?;
        self.open(tunnel);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<bool> {
        Ok(self.inner.begin()? && self.advance()?)
    }
}
