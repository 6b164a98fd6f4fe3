//! The transport.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    task::Waker,
};

use mio::event::Source;
use ws_tls::{
    ClientTls, RawStream, ServerTls, TlsConnection, TlsError, rustls::pki_types::ServerName,
};

use crate::{PeerAddr, Transport};

/// TLS over any other [`Transport`], in either role; or that transport as it
/// is, so that one loop serves `ws://` and `wss://`.
///
/// A server is bound with [`Server::bind_tls`](crate::Server::bind_tls), or
/// takes a [`TlsListener`](crate::TlsListener). Connections to servers are made
/// with [`Connect::tls`](crate::Connect::tls) in a loop, and with
/// [`client`](Self::client) under a [`Socket`](crate::Socket).
///
/// Here is what is recommended within a company's network: TLS, and both flags
/// of [MS-WSPE]. TLS keeps intermediaries out, so masking has nothing left to
/// do, and nothing is masked that does not leave over TLS.
///
/// ```no_run
/// use std::fs::read;
///
/// use ws_mio::{
///     ClientRequest, ClientTls, Config, Connect, ControlledNetwork, Handler, Message,
///     OriginPolicy, Peer, Server, ServerTls, Uri,
/// };
///
/// struct Relay;
///
/// impl Handler for Relay {
///     type Data = ();
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
///
/// let network = || -> Result<_, Box<dyn std::error::Error>> {
///     Ok(ControlledNetwork::new().network("10.0.0.0/8".parse()?).require_tls())
/// };
/// let mut config = Config::new(OriginPolicy::list(["https://intranet.example"])?);
/// config.accept_unmasked_frame = network()?;
/// config.set_mask_to_zero = network()?;
///
/// let tls = ServerTls::from_pem(&read("server.pem")?, &read("server-key.pem")?)?;
/// let server = Server::bind_tls("10.0.0.1:443", &tls, config)?;
///
/// // The same loop speaks to another server.
/// let request = ClientRequest::new(Uri::parse("wss://backend.example/feed")?);
/// let tls = ClientTls::with_ca(&read("ca.pem")?)?;
/// let connect = Connect::new(request, ()).tls(&tls);
/// let backend = "10.0.0.2:443".parse()?;
/// server.remote().run(0, move |context| {
///     context.connect(backend, connect);
/// })?;
/// server.run(Relay)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What TLS refuses is an [`io::Error`] that holds a [`TlsError`], which
/// [`TlsError::of`] finds, and [`OpenError::Tls`](crate::OpenError::Tls) for a
/// client. The end of the stream is the same with `close_notify` and without:
/// after the closing handshake of WebSocket nothing can be missing, and before
/// it the connection is [`Lost`](crate::Cause::Lost). The rules that hold for
/// both adapters are those of [`TlsConnection`].
///
/// An idle connection keeps what rustls keeps, and no buffer: a thread's
/// connections share one to decrypt in and one to encrypt into.
#[derive(Debug)]
pub struct Tls<T> {
    below: T,
    /// `None` if it is not TLS.
    connection: Option<Box<TlsConnection>>,
}

impl<T: Transport> Tls<T> {
    /// Takes the transport as it is, without TLS.
    #[must_use]
    pub const fn plain(below: T) -> Self {
        let connection = None;
        Self { below, connection }
    }

    /// Speaks TLS as a server, over a transport that was accepted.
    ///
    /// # Errors
    ///
    /// What rustls has against the configuration.
    pub fn server(below: T, tls: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::new(below, TlsConnection::server(tls)?))
    }

    /// Speaks TLS as a client, over a transport that is connected, or being
    /// connected, to `server`: see [`server_name`](crate::ws_tls::server_name).
    ///
    /// ```no_run
    /// use mio::net::TcpStream;
    /// use ws_mio::{
    ///     ClientConfig, ClientRequest, ClientTls, Socket, Tls, Uri, ws_tls::server_name,
    /// };
    ///
    /// let address = "192.0.2.1:443".parse()?;
    /// let tls = ClientTls::platform_roots()?;
    /// let stream = TcpStream::connect(address)?;
    /// let stream = Tls::client(stream, &tls, server_name("feed.example")?)?;
    /// let request = ClientRequest::new(Uri::parse("wss://feed.example/")?);
    /// let config = ClientConfig::default();
    /// let socket: Socket<(), _> = Socket::client(stream, request, &config)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What rustls has against the configuration.
    pub fn client(
        below: T,
        tls: &ClientTls,
        server: ServerName<'static>,
    ) -> Result<Self, TlsError> {
        Ok(Self::new(below, TlsConnection::client(tls, server)?))
    }

    fn new(below: T, connection: TlsConnection) -> Self {
        let connection = Some(Box::new(connection));
        Self { below, connection }
    }

    /// Lends the transport below.
    #[must_use]
    pub const fn get_ref(&self) -> &T {
        &self.below
    }

    /// Lends the transport below. Nothing is to be read from it or written to
    /// it.
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.below
    }
}

impl<T: Transport> Transport for Tls<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.connection {
            None => self.below.read(buffer),
            Some(connection) => connection.read(lower(&mut self.below), buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.connection {
            None => self.below.write(slices),
            Some(connection) => connection.write(lower(&mut self.below), slices),
        }
    }

    /// The Close, `close_notify` and the end of the stream leave together.
    fn write_last(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.connection {
            None => self.below.write_last(slices),
            Some(connection) => connection.write_last(lower(&mut self.below), slices),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.connection {
            None => self.below.shutdown(),
            Some(connection) => is_done(connection.close(lower(&mut self.below))).map(drop),
        }
    }

    fn peer_addr(&self) -> PeerAddr {
        self.below.peer_addr()
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        self.below.source()
    }

    fn waker(&mut self) -> Option<&mut Waker> {
        self.below.waker()
    }

    fn short_is_all(&self) -> bool {
        match &self.connection {
            None => self.below.short_is_all(),
            Some(connection) => connection.is_drained(),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        if let Some(connection) = &mut self.connection {
            let flushed = connection.flush(lower(&mut self.below));
            if !is_done(flushed)? {
                return Ok(false);
            }
        }
        self.below.flush()
    }

    fn held(&self) -> usize {
        let own = self.connection.as_ref();
        own.map_or(0, |connection| connection.held()) + self.below.held()
    }

    fn footprint(&self) -> usize {
        let own = match &self.connection {
            Some(_) => TlsConnection::FOOTPRINT,
            None => 0,
        };
        own + self.below.footprint()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_some() || self.below.is_tls()
    }

    fn tls(&self) -> Option<&TlsConnection> {
        self.connection.as_deref().or_else(|| self.below.tls())
    }

    fn is_handshaking(&self) -> bool {
        match &self.connection {
            None => self.below.is_handshaking(),
            Some(connection) => connection.is_handshaking(),
        }
    }

    /// Connects without TLS; [`secure`](Transport::secure) adds it.
    fn connect(address: SocketAddr) -> io::Result<Self> {
        T::connect(address).map(Self::plain)
    }

    #[cfg(feature = "proxy")]
    fn tunnel(&mut self, proxy: &crate::Proxy, host: &str, port: u16) -> io::Result<()> {
        self.below.tunnel(proxy, host, port)
    }

    fn secure(self, tls: &ClientTls, server: ServerName<'static>) -> io::Result<Self> {
        Ok(Self::client(self.below, tls, server)?)
    }

    fn begin(&mut self) -> io::Result<bool> {
        match &mut self.connection {
            None => self.below.begin(),
            Some(connection) if !connection.has_begun() && !self.below.begin()? => Ok(false),
            Some(connection) => is_done(connection.handshake(lower(&mut self.below))),
        }
    }
}

/// A transport carries ciphertext as it carries payload.
impl RawStream for dyn Transport + '_ {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(self, buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Transport::write(self, &[IoSlice::new(bytes)])
    }

    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Transport::write_last(self, &[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        match Transport::flush(self)? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.shutdown()
    }

    fn short_is_all(&self) -> bool {
        Transport::short_is_all(self)
    }
}

/// One copy of TLS serves all transports.
fn lower<'t>(below: &'t mut (impl Transport + 't)) -> &'t mut (dyn Transport + 't) {
    below
}

fn is_done(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
