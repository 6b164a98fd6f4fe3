//! A server behind proxies that speak the PROXY protocol.

use std::{
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use tracing::debug;
use ws_handshake::proxy::{ProxyHeader, ProxyHeaderError, TrustedProxies};

use crate::{
    Error, PeerAddr, Timeout, Timer,
    handshaking::{Deadline, Turn, read, within},
    timer::Timers,
};

/// Reads what proxies tell of their clients by the PROXY protocol, version 1 or
/// 2, such as HAProxy with `send-proxy-v2`.
///
/// - A **trusted** peer must begin with a header: without one, or with one that is malformed, there
///   is no connection. A client that the header does not name (`UNKNOWN`, no family, a Unix-domain
///   socket) is [`PeerAddr::Unknown`]: it has none of the proxy's rights. Where the proxy speaks
///   for itself (`LOCAL`), as for health checks, the address is its own; so is that of a client
///   which it names by a loopback address, as that is on the proxy's machine.
/// - **Anybody else** is a client that came directly: its address is the one it has, and its bytes
///   are passed on as they are, so that a header from it is a bad request. Nobody can forge an
///   address.
///
/// TLS comes after the header. What a proxy writes into the request, such as
/// `X-Forwarded-For`, is read by nobody here: whoever believes it must know that
/// the proxy takes it out of what clients send.
///
/// ```no_run
/// use smol::net::TcpListener;
/// use ws_smol::{Acceptor, OriginPolicy, ProxyProtocol, TrustedProxies};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let proxies = ProxyProtocol::new(TrustedProxies::new().network("10.0.7.0/24".parse()?));
/// let acceptor = Acceptor::new(OriginPolicy::SameHost);
/// let listener = TcpListener::bind("0.0.0.0:9001").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let (proxies, acceptor) = (proxies.clone(), acceptor.clone());
///     smol::spawn(async move {
///         let (stream, client) = proxies.receive(stream, peer).await?;
///         let websocket = acceptor.accept(stream, client).await?;
///         # drop(websocket);
///         Ok::<(), ws_smol::Error>(())
///     })
///     .detach();
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    trusted: TrustedProxies,
    timeout: Duration,
    timers: Timers,
}

impl ProxyProtocol {
    /// Reads a header from those who are trusted.
    #[must_use]
    pub fn new(trusted: TrustedProxies) -> Self {
        Self {
            trusted,
            timeout: Duration::from_secs(10),
            timers: Timers::default(),
        }
    }

    /// Sets how long a header may take; 10 s by default.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whose time that is measured by, such as that of tokio; see [`Timer`].
    #[must_use]
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timers = Timers::new(timer);
        self
    }

    /// Reads the header of a connection that was accepted from `peer`, if that
    /// is a trusted proxy, and returns the connection with its true peer.
    ///
    /// # Errors
    ///
    /// [`Error::ProxyHeader`] if a trusted peer sends no header, or a malformed
    /// one; [`Error::Timeout`] if it did not come in time; [`Error::Io`] if the
    /// transport failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn receive<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
    ) -> Result<(Proxied<S>, PeerAddr), Error>
    where
        S: AsyncRead + Unpin,
    {
        let peer = peer.into();
        let mut stream = Proxied {
            inner: stream,
            leftover: None,
        };
        if !self.is_trusted(peer) {
            return Ok((stream, peer));
        }
        let deadline = Deadline::after(self.timeout, &self.timers);
        let header = within(deadline, Timeout::ProxyHeader, stream.receive()).await?;
        let client = match header {
            ProxyHeader::Local => peer,
            header => peer.client_behind(header.source()),
        };
        debug!(proxy = %peer, %client, "proxied");
        Ok((stream, client))
    }

    fn is_trusted(&self, peer: PeerAddr) -> bool {
        let address = peer.listed_ip();
        address.is_some_and(|address| self.trusted.contains(address))
    }
}

/// A stream that may have begun with a header of the PROXY protocol. See
/// [`ProxyProtocol`].
#[derive(Debug)]
pub struct Proxied<S> {
    inner: S,
    /// What was read beyond the header.
    leftover: Option<Box<io::Cursor<Vec<u8>>>>,
}

impl<S> Proxied<S> {
    /// Lends the stream itself.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> Proxied<S> {
    async fn receive(&mut self) -> Result<ProxyHeader, Error> {
        let mut input = Vec::new();
        let mut turn = Turn::new();
        loop {
            let parsed = read(&mut self.inner, &mut turn, |bytes| {
                if bytes.is_empty() {
                    return Err(ProxyHeaderError::Lost);
                }
                input.extend_from_slice(bytes);
                ProxyHeader::parse(&input)
            });
            if let Some((header, consumed)) = parsed.await?? {
                let rest = &input[consumed..];
                self.leftover =
                    (!rest.is_empty()).then(|| Box::new(io::Cursor::new(rest.to_vec())));
                return Ok(header);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Proxied<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Some(leftover) = &mut self.leftover {
            match leftover.read(buffer) {
                Ok(0) => self.leftover = None,
                len => return Poll::Ready(len),
            }
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Proxied<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
