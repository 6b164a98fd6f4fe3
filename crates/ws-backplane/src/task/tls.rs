//! TLS to an engine.

use std::io;

use futures_rustls::{TlsConnector, client::TlsStream};
use ws_tls::ClientTls;

/// Connects to a server over TLS: what [`run`](crate::run) wants for an engine
/// behind it.
///
/// # Errors
///
/// Those of looking up the name, of connecting, and of TLS: a certificate that
/// is not trusted, or is not of `host`.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind.
pub async fn connect_tls(
    host: &str,
    port: u16,
    tls: &ClientTls,
) -> io::Result<TlsStream<async_net::TcpStream>> {
    let name = ws_tls::server_name(host).map_err(io::Error::other)?;
    let stream = super::connect_tcp(host, port).await?;
    let connector = TlsConnector::from(tls.config().clone());
    connector.connect(name, stream).await
}
