//! A socket of the thread's reactor, of whatever kind.

use std::{
    fmt,
    io::{self, ErrorKind, IoSlice, Read, Write},
    mem,
    net::Shutdown,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};
use mio::event::Source;

use super::reactor::Reactor;

/// A listener or a stream that is registered as long as it exists.
pub(super) struct Socket<T> {
    pub(super) inner: T,
    registration: Registration,
}

/// A stream whose direction to the peer can be ended.
pub(super) trait HalfClose {
    fn end_writing(&self) -> io::Result<()>;
}

impl HalfClose for mio::net::TcpStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl HalfClose for mio::net::UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A place in the reactor.
struct Registration {
    reactor: Rc<Reactor>,
    key: usize,
}

impl<T: Source> Socket<T> {
    pub(super) fn new(mut inner: T) -> io::Result<Self> {
        let reactor = Reactor::of_thread()?;
        let key = reactor.register(&mut inner)?;
        Ok(Self {
            inner,
            registration: Registration { reactor, key },
        })
    }

    /// Accepts once, or waits.
    pub(super) fn poll_accept<S>(
        &self,
        cx: &Context<'_>,
        accept: impl Fn(&T) -> io::Result<S>,
    ) -> Poll<io::Result<S>> {
        self.registration
            .poll_read(cx, || accept(&self.inner), |_| false)
    }

    fn poll_write_with(
        &mut self,
        cx: &Context<'_>,
        len: usize,
        write: impl Fn(&mut T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Self {
            inner,
            registration: Registration { reactor, key },
        } = self;
        let mut socket = reactor.socket(*key);
        while socket.write.is_ready {
            match write(inner) {
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
            reactor.want_write(inner, *key)?;
        }
        Poll::Pending
    }
}

impl<T: Source + Read + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            inner,
            registration,
        } = &mut *self;
        let len = buffer.len();
        // A read that leaves room has met the end of what there is; one of
        // nothing, the end of the stream, of which nobody tells again.
        let is_short = |&read: &usize| SHORT_IS_ALL && 0 < read && read < len;
        registration.poll_read(cx, || inner.read(buffer), is_short)
    }
}

impl<T: Source + Write + HalfClose + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, bytes.len(), |inner| inner.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.poll_write_with(cx, len, |inner| inner.write_vectored(slices))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.inner.end_writing())
    }
}

impl Registration {
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

impl<T: fmt::Debug> fmt::Debug for Socket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
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
