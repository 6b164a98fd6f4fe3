//! A stream with TLS or without.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};

/// A stream with TLS or without, so that `ws://` and `wss://` are one type.
///
/// Without the feature `tls` it is the stream alone.
///
/// Closing it sends `close_notify` before the stream itself is closed. The
/// peer's end is the same with `close_notify` and without: what is missing at
/// the end of a connection is known by the Close frame.
#[derive(Debug)]
pub struct MaybeTls<S>(Kind<S>);

#[derive(Debug)]
enum Kind<S> {
    Plain(S),
    #[cfg(feature = "tls")]
    Tls(Box<crate::tls::TlsStream<S>>),
}

impl<S> MaybeTls<S> {
    /// Lends the stream below TLS.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        match &self.0 {
            Kind::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => stream.get_ref(),
        }
    }

    /// Tells whether there is TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        match &self.0 {
            Kind::Plain(_) => false,
            #[cfg(feature = "tls")]
            Kind::Tls(_) => true,
        }
    }

    /// Returns the TLS connection, which knows the version, the cipher, and the
    /// peer's certificates. `None` if there is no TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn tls(&self) -> Option<&ws_tls::TlsConnection> {
        match &self.0 {
            Kind::Plain(_) => None,
            Kind::Tls(stream) => Some(stream.connection()),
        }
    }
}

#[cfg(feature = "tls")]
impl<S> From<Box<crate::tls::TlsStream<S>>> for MaybeTls<S> {
    fn from(stream: Box<crate::tls::TlsStream<S>>) -> Self {
        Self(Kind::Tls(stream))
    }
}

/// Goes without TLS.
impl<S> From<S> for MaybeTls<S> {
    fn from(stream: S) -> Self {
        Self(Kind::Plain(stream))
    }
}

/// Asks the stream something, whichever it is.
macro_rules! ask {
    ($this:expr, $stream:ident => $asked:expr) => {
        match &mut $this.get_mut().0 {
            Kind::Plain($stream) => {
                let $stream = Pin::new($stream);
                $asked
            }
            #[cfg(feature = "tls")]
            Kind::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $asked
            }
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ask!(self, stream => stream.poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        ask!(self, stream => stream.poll_read_vectored(cx, buffers))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ask!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ask!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ask!(self, stream => stream.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ask!(self, stream => stream.poll_close(cx))
    }
}
