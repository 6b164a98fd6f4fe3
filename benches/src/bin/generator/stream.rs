//! A connection's bytes, with or without TLS.

use std::{
    io::{self, Read, Write},
    net,
    sync::Arc,
};

use bench_rig::{
    connect,
    rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName},
};

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

/// A client's side of TLS, with a server on this machine.
pub(crate) fn session(config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)
}
