//! Transports that others have encrypted.

use std::{io, net::SocketAddr};

use mio::event::Source;

use crate::{
    Listener, PeerAddr, Transport,
    transport::{handed_on, source_below},
};

/// A [`Transport`] that is encrypted already, or a [`Listener`] of such: by a
/// TLS library of one's own below it, or by a program on this machine that adds
/// or ends TLS.
///
/// Nothing is encrypted here. It says [`Transport::is_tls`], so that a client
/// may ask for a `wss` URI over it, and a
/// [`ControlledNetwork`](crate::ControlledNetwork) that demands TLS believes it.
/// A transport of one's own may say so itself.
///
/// ```no_run
/// # #[cfg(unix)] {
/// use mio::net::UnixStream;
/// use ws_mio::{ClientConfig, ClientRequest, Socket, UnderTls, Uri};
///
/// // A program that listens here makes TLS with feed.example.
/// let stream = UnderTls::new(UnixStream::connect("/run/feed.socket")?);
/// let request = ClientRequest::new(Uri::parse("wss://feed.example/")?);
/// let socket: Socket<(), _> = Socket::client(stream, request, &ClientConfig::default())?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnderTls<T> {
    inner: T,
}

impl<T> UnderTls<T> {
    /// Says that a transport, or each one of a listener, is encrypted.
    #[must_use]
    pub const fn new(inner: T) -> Self {
        Self { inner }
    }

    /// Lends what it was made of.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T: Transport> Transport for UnderTls<T> {
    handed_on!();

    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn peer_addr(&self) -> PeerAddr {
        self.inner.peer_addr()
    }

    #[inline]
    fn short_is_all(&self) -> bool {
        self.inner.short_is_all()
    }

    fn is_tls(&self) -> bool {
        true
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        T::connect(address).map(Self::new)
    }

    #[cfg(feature = "proxy")]
    fn tunnel(&mut self, proxy: &crate::Proxy, host: &str, port: u16) -> io::Result<()> {
        self.inner.tunnel(proxy, host, port)
    }

    #[cfg(feature = "tls")]
    fn secure(
        self,
        tls: &ws_tls::ClientTls,
        server: ws_tls::rustls::pki_types::ServerName<'static>,
    ) -> io::Result<Self> {
        self.inner.secure(tls, server).map(Self::new)
    }

    fn begin(&mut self) -> io::Result<bool> {
        self.inner.begin()
    }
}

impl<L: Listener> Listener for UnderTls<L> {
    type Transport = UnderTls<L::Transport>;

    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)> {
        let (transport, peer) = self.inner.accept()?;
        Ok((UnderTls::new(transport), peer))
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.inner.prepare()
    }
}

impl<L: Source> Source for UnderTls<L> {
    source_below!(inner);
}
