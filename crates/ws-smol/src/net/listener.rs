//! Listeners of the thread's reactor.

#[cfg(unix)]
use std::path::Path;
use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, ToSocketAddrs},
};

#[cfg(unix)]
use super::UnixStream;
use super::{TcpStream, socket::Socket};
#[cfg(unix)]
use crate::PeerAddr;

/// A listener whose connections stay on this thread.
#[derive(Debug)]
pub struct TcpListener(Socket<mio::net::TcpListener>);

/// A listener of a Unix-domain socket, whose connections stay on this thread.
#[cfg(unix)]
#[derive(Debug)]
pub struct UnixListener(Socket<mio::net::UnixListener>);

impl TcpListener {
    /// Listens on an address. A name is looked up before this returns.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::from_std(std::net::TcpListener::bind(address)?)
    }

    /// Takes over a listener that was set up elsewhere. A
    /// [clone](std::net::TcpListener::try_clone) of one may be on each of several threads.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Socket::new(mio::net::TcpListener::from_std(listener)).map(Self)
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.inner.local_addr()
    }

    /// Waits for the next connection, on which what is written leaves at once
    /// (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of the system; most concern one connection, or pass.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept = mio::net::TcpListener::accept;
        let (stream, address) = poll_fn(|cx| self.0.poll_accept(cx, accept)).await?;
        // Of a client that is gone already, nothing is to wait.
        let _ = stream.set_nodelay(true);
        Ok((TcpStream::new(stream)?, address))
    }
}

#[cfg(unix)]
impl UnixListener {
    /// Listens on a path, at which there must be nothing. The file stays there afterwards.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_std(std::os::unix::net::UnixListener::bind(path)?)
    }

    /// Takes over a listener that was set up elsewhere. A
    /// [clone](std::os::unix::net::UnixListener::try_clone) of one may be on each of several
    /// threads.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Socket::new(mio::net::UnixListener::from_std(listener)).map(Self)
    }

    /// Waits for the next connection, whose peer is [`PeerAddr::Local`].
    ///
    /// # Errors
    ///
    /// Those of the system; most concern one connection, or pass.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<(UnixStream, PeerAddr)> {
        let accept = mio::net::UnixListener::accept;
        let (stream, _) = poll_fn(|cx| self.0.poll_accept(cx, accept)).await?;
        Ok((UnixStream::new(stream)?, PeerAddr::Local))
    }
}
