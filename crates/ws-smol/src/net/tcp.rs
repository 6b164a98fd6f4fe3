//! Sockets of the thread's reactor.

use std::{
    fmt,
    future::poll_fn,
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    mem,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::reactor::Reactor;

/// A listener whose connections stay on this thread.
pub struct TcpListener {
    listener: mio::net::TcpListener,
    registration: Registration,
}

/// A TCP connection that stays on this thread.
pub struct TcpStream {
    stream: mio::net::TcpStream,
    registration: Registration,
}

/// A place in the reactor.
struct Registration {
    reactor: Rc<Reactor>,
    key: usize,
}

impl TcpListener {
    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::new(mio::net::TcpListener::bind(address)?)
    }

    /// Takes over a listener that was set up elsewhere.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::new(mio::net::TcpListener::from_std(listener))
    }

    fn new(mut listener: mio::net::TcpListener) -> io::Result<Self> {
        let registration = Registration::new(&mut listener)?;
        Ok(Self {
            listener,
            registration,
        })
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for the next connection.
    ///
    /// What was set on the listener, such as `TCP_NODELAY`, holds for the
    /// connection on most systems.
    ///
    /// # Errors
    ///
    /// Those of the system; most concern one connection, or pass.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = poll_fn(|cx| {
            self.registration
                .poll_read(cx, || self.listener.accept(), |_| false)
        })
        .await?;
        Ok((TcpStream::new(stream)?, address))
    }
}

impl TcpStream {
    /// Takes over a connection that was set up elsewhere.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::new(mio::net::TcpStream::from_std(stream))
    }

    fn new(mut stream: mio::net::TcpStream) -> io::Result<Self> {
        let registration = Registration::new(&mut stream)?;
        Ok(Self {
            stream,
            registration,
        })
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Returns our own address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sets whether what is written leaves at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream.set_nodelay(nodelay)
    }

    fn poll_write_with(
        &mut self,
        cx: &Context<'_>,
        len: usize,
        write: impl Fn(&mut mio::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream,
            registration: Registration { reactor, key },
        } = self;
        let mut socket = reactor.socket(*key);
        while socket.write.is_ready {
            match write(stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    socket.write.is_ready = false;
                }
                Ok(written) => {
                    // It tells when there is room again.
                    if SHORT_IS_ALL && socket.wants_write && written < len {
                        socket.write.is_ready = false;
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let before = socket.write.wait(cx);
        let is_new = !mem::replace(&mut socket.wants_write, true);
        drop(socket);
        drop(before);
        if is_new {
            reactor.want_write(stream, *key)?;
        }
        Poll::Pending
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream,
            registration,
        } = &mut *self;
        let len = buffer.len();
        // A read that leaves room has met the end of what there is; one of
        // nothing, the end of the stream, of which nobody tells again.
        let is_short = |&read: &usize| SHORT_IS_ALL && 0 < read && read < len;
        registration.poll_read(cx, || stream.read(buffer), is_short)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, bytes.len(), |stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.poll_write_with(cx, len, |stream| stream.write_vectored(slices))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

impl Registration {
    fn new(source: &mut impl mio::event::Source) -> io::Result<Self> {
        let reactor = Reactor::of_thread()?;
        let key = reactor.register(source)?;
        Ok(Self { reactor, key })
    }

    /// Reads once, or waits; `is_all` tells of what was read that there is no
    /// more.
    fn poll_read<T>(
        &self,
        cx: &Context<'_>,
        mut read: impl FnMut() -> io::Result<T>,
        is_all: impl Fn(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let mut socket = self.reactor.socket(self.key);
        while socket.read.is_ready {
            match read() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    socket.read.is_ready = false;
                    // Said of a socket that had the key before.
                    socket.has_ended = false;
                }
                Ok(read) => {
                    // An end of the stream behind it is still to be read.
                    socket.read.is_ready = socket.has_ended || !is_all(&read);
                    return Poll::Ready(Ok(read));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let before = socket.read.wait(cx);
        drop(socket);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.reactor.remove(self.key);
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// Whether a read or a write that moves less than it could has met the end of
/// what there is, so that readiness is told again without a `WouldBlock`
/// first.
const SHORT_IS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));
