//! A connection's bytes, with or without TLS, without waiting.

use std::{
    fmt,
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{event::Source, net::TcpStream};
use ws_tls::{RawStream, TlsConnection, rustls::HandshakeKind};

/// A connection that does not block.
pub(crate) struct Stream {
    socket: Raw,
    tls: Option<Box<TlsConnection>>,
}

/// What a read came to.
pub(crate) struct Got {
    /// Bytes at the front of the buffer.
    pub(crate) len: usize,
    /// Whether there may be more.
    pub(crate) more: bool,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, tls: Option<TlsConnection>) -> Self {
        Self {
            socket: Raw(socket),
            tls: tls.map(Box::new),
        }
    }

    pub(crate) const fn source(&mut self) -> &mut impl Source {
        &mut self.socket.0
    }

    /// `WouldBlock` before there is a connection, and what went wrong if there will be none.
    pub(crate) fn check_connected(&self) -> io::Result<()> {
        if let Some(error) = self.socket.0.take_error()? {
            return Err(error);
        }
        match self.socket.0.peer_addr() {
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                Err(ErrorKind::WouldBlock.into())
            }
            outcome => outcome.map(drop),
        }
    }

    /// Goes on with the TLS handshake, if there is one. `WouldBlock` if it takes longer.
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => again(|| tls.handshake(&mut self.socket)),
        }
    }

    /// Whether the session of an earlier connection was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        let kind = self
            .tls
            .as_ref()
            .and_then(|tls| tls.state().handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Reads what fits. The end of the stream is `UnexpectedEof`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let got = match &mut self.tls {
            None => {
                let len = self.socket.0.read(buffer)?;
                Got {
                    len,
                    more: len == buffer.len(),
                }
            }
            Some(tls) => Got {
                len: again(|| tls.read(&mut self.socket, buffer))?,
                more: !tls.is_drained(),
            },
        };
        match got.len {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(got),
        }
    }

    /// Writes as much as is taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => RawStream::write(&mut self.socket, bytes),
            Some(tls) => again(|| tls.write(&mut self.socket, &[IoSlice::new(bytes)])),
        }
    }

    /// Sends what is encrypted and was not taken.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => match again(|| tls.flush(&mut self.socket)) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            },
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("socket", &self.socket.0)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// Calls again what was interrupted.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

struct Raw(TcpStream);

impl RawStream for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        unconnected_waits(self.0.read(buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unconnected_waits(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn short_is_all(&self) -> bool {
        true
    }
}

/// Before it is connected a socket refuses, by one of two errors.
fn unconnected_waits(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        outcome => outcome,
    }
}
