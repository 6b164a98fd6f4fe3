//! A connection's bytes, with or without TLS.

use std::io::{self, Read, Write};
use std::net;
use std::sync::Arc;

use bench_rig::connect;
use bench_rig::rustls::pki_types::ServerName;
use bench_rig::rustls::{ClientConfig, ClientConnection, StreamOwned};
use mio::event::Source;
use mio::net::TcpStream;

use crate::Options;

/// A connection that blocks.
pub(crate) enum Blocking {
    Plain(net::TcpStream),
    Tls(Box<StreamOwned<ClientConnection, net::TcpStream>>),
}

impl Blocking {
    /// Connects; the handshake of TLS is made with the first bytes.
    pub(crate) fn open(options: &Options, number: usize) -> io::Result<Self> {
        let stream = connect(options.port, number)?;
        Ok(match &options.tls {
            None => Self::Plain(stream),
            Some(config) => Self::Tls(Box::new(StreamOwned::new(session(config)?, stream))),
        })
    }

    pub(crate) fn into_nonblocking(self) -> io::Result<Stream> {
        let nonblocking = |stream: net::TcpStream| {
            stream.set_nonblocking(true)?;
            Ok::<_, io::Error>(TcpStream::from_std(stream))
        };
        Ok(match self {
            Self::Plain(stream) => Stream {
                socket: nonblocking(stream)?,
                session: None,
            },
            Self::Tls(stream) => Stream {
                socket: nonblocking(stream.sock)?,
                session: Some(Box::new(stream.conn)),
            },
        })
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection that does not block.
pub(crate) struct Stream {
    socket: TcpStream,
    session: Option<Box<ClientConnection>>,
}

/// What a read came to.
pub(crate) struct Got {
    /// Bytes at the front of the buffer; none is no end.
    pub(crate) len: usize,
    /// Whether there may be more.
    pub(crate) more: bool,
}

impl Stream {
    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.socket
    }

    /// Reads what fits, all of it with one call of the system. Half of the buffer is for what is
    /// encrypted.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let Some(session) = &mut self.session else {
            let len = read_some(&mut self.socket, buffer)?;
            let more = len == buffer.len();
            return Ok(Got { len, more });
        };
        // Most of a record may be there from before.
        let (plain, sealed) = buffer.split_at_mut(buffer.len() / 2 + RECORD);
        let read = read_some(&mut self.socket, sealed)?;
        let more = read == sealed.len();
        let (mut rest, mut len) = (&sealed[..read], 0);
        while !rest.is_empty() {
            session.read_tls(&mut rest)?;
            session.process_new_packets().map_err(io::Error::other)?;
            loop {
                match session.reader().read(&mut plain[len..]) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(some) => len += some,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Got { len, more })
    }

    /// Writes as much as is taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.socket.write(bytes);
        };
        if !send(session, &mut self.socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = session.writer().write(bytes)?;
        send(session, &mut self.socket)?;
        Ok(len)
    }

    /// Sends what is encrypted and was not taken; `false` if it is not taken now.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.session {
            None => Ok(true),
            Some(session) => send(session, &mut self.socket),
        }
    }
}

/// As long as any record is, and longer.
const RECORD: usize = 32 * 1024;

fn read_some(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match socket.read(buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        len => Ok(len),
    }
}

fn send(session: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// A client's side of TLS, with a server on this machine.
pub(crate) fn session(config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)
}
