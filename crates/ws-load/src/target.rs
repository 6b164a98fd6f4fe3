//! Which server, and how it is reached.

use std::{io, net::SocketAddr};

use mio::net::TcpStream;
use ws_handshake::{ClientRequest, Uri, UriError};
use ws_tls::{ClientTls, TlsConnection, TlsError, rustls::pki_types::ServerName, server_name};

use crate::{sources::Sources, stream::Stream};

/// The server, and how each connection is opened.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is asked for; `None` for a server of plain TCP, without an opening handshake.
    pub request: Option<ClientRequest>,
    /// What a connection that comes and goes sends a server of plain TCP first; its Close follows
    /// the first bytes that come back. Empty for nothing, and with a `request`.
    pub greeting: Vec<u8>,
    /// TLS, and the name that the certificate has to be for.
    pub tls: Option<(ClientTls, ServerName<'static>)>,
    /// Where connections leave from.
    pub sources: Sources,
    /// Whether a connection that is dropped is reset, so that nothing of it keeps its port.
    pub resets: bool,
}

/// A URL that is none, or whose server has no name for TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no `ws:` or `wss:` URL.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// TLS cannot be begun with this name, or this configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Target {
    /// Describes a WebSocket server without TLS at an address, and what is asked for.
    ///
    /// # Errors
    ///
    /// A URL that is none.
    pub fn websocket(address: SocketAddr, url: &str) -> Result<Self, TargetError> {
        Ok(Self::with_request(
            address,
            ClientRequest::new(Uri::parse(url)?),
        ))
    }

    /// Does the same for a request that was made already.
    #[must_use]
    pub fn with_request(address: SocketAddr, request: ClientRequest) -> Self {
        Self {
            request: Some(request),
            ..Self::raw(address)
        }
    }

    /// Describes a server of plain TCP that answers frames without an opening handshake.
    #[must_use]
    pub fn raw(address: SocketAddr) -> Self {
        Self {
            address,
            request: None,
            greeting: Vec::new(),
            tls: None,
            sources: Sources::for_server(address),
            resets: true,
        }
    }

    /// Has every connection make a TLS handshake first. Sessions are resumed as `tls` is
    /// configured.
    ///
    /// # Errors
    ///
    /// A `host` that no certificate can name, and what rustls refuses.
    pub fn over_tls(mut self, tls: ClientTls, host: &str) -> Result<Self, TargetError> {
        let name = server_name(host)?;
        // Fails now if it always would.
        TlsConnection::client(&tls, name.clone())?;
        self.tls = Some((tls, name));
        Ok(self)
    }

    /// Begins to connect. A `receive_buffer` is how much the kernel may hold, in bytes.
    pub(crate) fn connect(
        &self,
        number: usize,
        receive_buffer: Option<usize>,
    ) -> io::Result<Stream> {
        let socket = self.connect_tcp(number, receive_buffer)?;
        let tls = match &self.tls {
            None => None,
            Some((tls, name)) => {
                Some(TlsConnection::client(tls, name.clone()).map_err(io::Error::from)?)
            }
        };
        Ok(Stream::new(socket, tls))
    }

    #[cfg(unix)]
    fn connect_tcp(&self, number: usize, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
        use rustix::{
            io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio},
            net::{AddressFamily, SocketType, sockopt},
        };

        let family = match self.address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        ioctl_fionbio(&socket, true)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if self.resets {
            sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO))?;
        }
        if let Some(bytes) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        if let Some(source) = self.sources.of_number(number) {
            rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
        }
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    #[cfg(not(unix))]
    fn connect_tcp(&self, _number: usize, _receive_buffer: Option<usize>) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        Ok(stream)
    }
}
