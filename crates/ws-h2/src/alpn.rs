//! HTTP/2 and HTTP/1.1 on one TLS port.

use futures_io::{AsyncRead, AsyncWrite};
use ws_smol::{Acceptor, ClientRequest, Connector, MaybeTls, PeerAddr, TlsAcceptor, WebSocket};

use crate::{Client, Config, Connection, Error, Server, Stream};

/// The protocols to offer by ALPN on a port of both versions, the one liked best first: for
/// [`ServerTls::protocols`](ws_smol::ServerTls::protocols) and
/// [`ClientTls::protocols`](ws_smol::ClientTls::protocols).
pub const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

const HTTP2: &[u8] = b"h2";

/// A connection of a TLS port, by the version of HTTP that the client has chosen.
#[derive(Debug)]
pub enum Accepted<S: AsyncRead + AsyncWrite + Unpin> {
    /// An HTTP/2 connection, with as many WebSockets as are opened in it.
    Http2(Box<Server<MaybeTls<S>>>),
    /// A WebSocket of its own.
    Http1(Box<WebSocket<MaybeTls<S>>>),
}

/// Makes the TLS handshake of a connection and begins what the client has chosen by ALPN: HTTP/2
/// for `h2`, and otherwise a WebSocket over HTTP/1.1, with an acceptor that is
/// [under TLS](Acceptor::under_tls).
///
/// ```no_run
/// use smol::net::TcpListener;
/// use ws_h2::{Accepted, Config, PROTOCOLS};
/// use ws_smol::{Acceptor, OriginPolicy, ServerTls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let read = std::fs::read;
/// let tls = ServerTls::from_pem(&read("server.pem")?, &read("server-key.pem")?)?;
/// let acceptor = Acceptor::new(OriginPolicy::SameHost).under_tls();
/// let tls = acceptor.clone().tls(tls.protocols(&PROTOCOLS));
/// let listener = TcpListener::bind("0.0.0.0:443").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let (acceptor, tls) = (acceptor.clone(), tls.clone());
///     smol::spawn(async move {
///         let config = Config::default();
///         match ws_h2::accept_tls(&tls, &acceptor, stream, peer, &config).await? {
///             Accepted::Http1(websocket) => drop(websocket),
///             Accepted::Http2(mut server) => {
///                 while let Some(incoming) = server.accept().await? {
///                     drop(incoming.accept(&acceptor, peer)?);
///                 }
///             }
///         }
///         Ok::<(), ws_h2::Error>(())
///     })
///     .detach();
/// }
/// # }
/// ```
///
/// # Errors
///
/// [`Error::WebSocket`] as [`TlsAcceptor::encrypt`] and [`Acceptor::accept`]; otherwise as
/// [`Server::handshake`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept_tls<S>(
    tls: &TlsAcceptor,
    acceptor: &Acceptor,
    stream: S,
    peer: impl Into<PeerAddr>,
    config: &Config,
) -> Result<Accepted<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = tls.encrypt(stream).await?;
    match has_chosen_http2(&stream) {
        true => {
            let server = Server::handshake(stream, config).await?;
            Ok(Accepted::Http2(Box::new(server)))
        }
        false => {
            let websocket = acceptor.accept(stream, peer).await?;
            Ok(Accepted::Http1(Box::new(websocket)))
        }
    }
}

/// A WebSocket that [`connect_tls`] has opened.
#[derive(Debug)]
pub enum Connected<S: AsyncRead + AsyncWrite + Unpin> {
    /// In an HTTP/2 connection, in which further ones can be opened.
    Http2 {
        /// The WebSocket.
        websocket: WebSocket<Stream>,
        /// Opens further ones.
        client: Client,
        /// The work of the connection, for a task of its own.
        connection: Box<Connection<MaybeTls<S>>>,
    },
    /// In a connection of its own, over HTTP/1.1.
    Http1(WebSocket<MaybeTls<S>>),
}

/// Opens a WebSocket over TLS and HTTP/2, or over HTTP/1.1 if told to where the server does
/// not do that.
///
/// `dial` connects to the server of the request. `connector` has a
/// [`ClientTls`](ws_smol::ClientTls) that offers [`PROTOCOLS`]. With a connector as
/// `fallback` the WebSocket is opened over HTTP/1.1 where the server chooses that, and over a
/// second connection, which `fallback` makes, where it chooses HTTP/2 without extended CONNECT (RFC
/// 8441); so its TLS offers HTTP/1.1 alone, as that of [`Connector::new`] does.
///
/// ```no_run
/// use smol::net::TcpStream;
/// use ws_h2::{Config, Connected, PROTOCOLS};
/// use ws_smol::{ClientRequest, ClientTls, Connector, PeerAddr, Uri};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ClientTls::platform_roots()?;
/// let connector = Connector::new().tls(tls.protocols(&PROTOCOLS));
/// let fallback = Connector::new().tls(tls);
/// let request = ClientRequest::new(Uri::parse("wss://example.com/feed")?);
/// let dial = async || TcpStream::connect("example.com:443").await.map_err(ws_smol::Error::from);
/// let config = Config::default();
/// let peer = PeerAddr::Unknown;
/// match ws_h2::connect_tls(dial, &connector, Some(&fallback), peer, request, &config).await? {
///     Connected::Http1(mut websocket) => websocket.send("Hello").await?,
///     Connected::Http2 { mut websocket, client, connection } => {
///         smol::spawn(connection).detach();
///         websocket.send("Hello").await?;
///         drop(client); // opens further ones
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of `dial`; as [`Client::handshake`] and [`Client::connect`]; without a fallback
/// [`Error::Http1Chosen`] and [`Error::ExtendedConnectNotSupported`], and with one
/// [`Error::WebSocket`] as [`Connector::handshake`].
///
/// # Cancel safety
///
/// Dropping the future ends the attempt.
pub async fn connect_tls<S>(
    mut dial: impl AsyncFnMut() -> Result<S, ws_smol::Error>,
    connector: &Connector,
    fallback: Option<&Connector>,
    peer: impl Into<PeerAddr>,
    request: ClientRequest,
    config: &Config,
) -> Result<Connected<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let peer = peer.into();
    let stream = connector.encrypt(dial().await?, request.uri()).await?;
    let over_http1 = async |fallback: &Connector, stream| {
        let connector = fallback.clone().under_tls();
        let websocket = connector.handshake(stream, peer, request.clone()).await?;
        Ok(Connected::Http1(websocket))
    };
    if !has_chosen_http2(&stream) {
        let fallback = fallback.ok_or(Error::Http1Chosen)?;
        return over_http1(fallback, stream).await;
    }
    let (client, mut connection) = Client::handshake(stream, config).await?;
    let connector = connector.clone().under_tls();
    let websocket = {
        let open = client.connect(&connector, peer, request.clone());
        connection.drive(open).await
    };
    match (websocket, fallback) {
        (Ok(websocket), _) => Ok(Connected::Http2 {
            websocket,
            client,
            connection: Box::new(connection),
        }),
        (Err(Error::ExtendedConnectNotSupported), Some(fallback)) => {
            drop((client, connection));
            let stream = fallback.encrypt(dial().await?, request.uri()).await?;
            over_http1(fallback, stream).await
        }
        (Err(error), _) => Err(error),
    }
}

/// Tells whether ALPN has chosen HTTP/2.
fn has_chosen_http2<S>(stream: &MaybeTls<S>) -> bool {
    let chosen = stream.tls().and_then(|tls| tls.state().alpn_protocol());
    chosen == Some(HTTP2)
}
