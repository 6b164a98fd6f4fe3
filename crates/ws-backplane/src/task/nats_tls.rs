//! TLS to NATS, which begins after the server's first line.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use async_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsConnector, client::TlsStream};
use ws_tls::ClientTls;

/// A connection to a NATS server over TLS, whose first bytes are the line that
/// the server sent before TLS began.
#[derive(Debug)]
pub struct NatsTlsStream {
    line: Vec<u8>,
    stream: TlsStream<TcpStream>,
}

/// Bytes of the first line at most.
const MAX_LINE: usize = 64 << 10;

/// Connects to a NATS server that asks for TLS: what [`run`](crate::run) wants
/// for [`Nats`](crate::Nats) with it. Nothing is said before TLS protects it,
/// whatever the server's first line says. A server with `handshake_first` is
/// reached by [`connect_tls`](crate::connect_tls) instead.
///
/// # Errors
///
/// Those of looking up the name, of connecting, and of TLS: a certificate that
/// is not trusted, or is not of `host`.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind.
pub async fn connect_nats_tls(host: &str, port: u16, tls: &ClientTls) -> io::Result<NatsTlsStream> {
    let name = ws_tls::server_name(host).map_err(io::Error::other)?;
    let mut stream = super::connect_tcp(host, port).await?;
    let line = first_line(&mut stream).await?;
    let connector = TlsConnector::from(tls.config().clone());
    let stream = connector.connect(name, stream).await?;
    Ok(NatsTlsStream { line, stream })
}

/// Reads byte by byte, as what follows belongs to TLS.
async fn first_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') {
        let read =
            std::future::poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut byte));
        if read.await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
        if line.len() > MAX_LINE {
            let words = "the server's first line does not end";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
    }
    Ok(line)
}

impl AsyncRead for NatsTlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.line.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.line[..length]);
        self.line.drain(..length);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for NatsTlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
