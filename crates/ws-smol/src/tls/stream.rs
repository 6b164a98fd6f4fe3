//! A TLS stream over a stream.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use ws_tls::{RawStream, TlsConnection};

use crate::memory::{Layer, MemoryBudget};

/// A [`TlsConnection`] and the stream below it.
#[derive(Debug)]
pub(crate) struct TlsStream<S> {
    inner: S,
    connection: TlsConnection,
    layer: Layer,
}

impl<S> TlsStream<S> {
    pub(super) fn new(inner: S, connection: TlsConnection, memory: &MemoryBudget) -> Self {
        let mut layer = Layer::new(memory);
        layer.count(TlsConnection::FOOTPRINT);
        Self {
            inner,
            connection,
            layer,
        }
    }

    pub(crate) const fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(crate) const fn connection(&self) -> &TlsConnection {
        &self.connection
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Goes on with the TLS handshake until it is over, and what it has to say
    /// is written.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |connection, below| connection.handshake(below))
    }

    /// Does a step of the connection: one that must wait is pending, and one
    /// that was interrupted goes on when the others had their turn.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut TlsConnection, &mut Below<'_, '_, S>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let stream = &mut self.inner;
        let done = step(&mut self.connection, &mut Below { stream, cx });
        self.layer
            .count(TlsConnection::FOOTPRINT + self.connection.held());
        match done {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

/// The stream below TLS, for the length of a poll.
struct Below<'s, 'w, S> {
    stream: &'s mut S,
    cx: &'s mut Context<'w>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RawStream for Below<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_read(self.cx, buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.stream).poll_flush(self.cx))
    }

    fn close(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.stream).poll_close(self.cx))
    }
}

/// What is pending would block.
fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |connection, below| connection.read(below, buffer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |connection, below| connection.write(below, slices))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |connection, below| connection.flush(below))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |connection, below| connection.close(below))
    }
}
