//! Where a client's TCP connections come from.

use std::{future::Future, io, net::SocketAddr};

use async_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};

use crate::{AsyncIo, Timer};

/// What a [`Connector`](crate::Connector) asks of a runtime: timers, the addresses of a name, and
/// TCP connections.
pub trait Runtime: Timer + Clone {
    /// A TCP connection.
    type TcpStream: AsyncRead + AsyncWrite + Unpin;

    /// Looks the addresses of a host up.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Connects to one address, with `TCP_NODELAY`.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>>;
}

impl Runtime for AsyncIo {
    type TcpStream = TcpStream;

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        async_net::resolve((host, port))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
