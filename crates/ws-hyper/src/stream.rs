//! hyper's connection as a stream of `futures-io`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::{
    rt::{Read, ReadBuf, Write},
    upgrade::Upgraded,
};

/// What hyper leaves to us once a request is upgraded: a connection over HTTP/1.1, a
/// stream of one over HTTP/2. Bytes that hyper had read too far come first.
#[derive(Debug)]
pub struct Stream(Upgraded);

impl Stream {
    pub(crate) const fn new(upgraded: Upgraded) -> Self {
        Self(upgraded)
    }

    /// Lends hyper's connection.
    #[must_use]
    pub const fn upgraded(&self) -> &Upgraded {
        &self.0
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let upgraded = Pin::new(&mut self.get_mut().0);
        ready!(upgraded.poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
