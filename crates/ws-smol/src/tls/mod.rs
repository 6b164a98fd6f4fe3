//! TLS: its handshakes, and its stream.

mod accept;
mod stream;
mod turns;

use std::{future::poll_fn, sync::OnceLock};

pub use accept::TlsAcceptor;
use futures_io::{AsyncRead, AsyncWrite};
pub(crate) use stream::TlsStream;
use ws_handshake::Uri;
use ws_tls::{ClientTls, TlsConfigError, TlsConnection, server_name};

use crate::{Error, MaybeTls, MemoryBudget};

/// Makes the client's TLS handshake.
pub(crate) async fn connect<S>(
    tls: &ClientTls,
    uri: &Uri,
    stream: S,
    memory: &MemoryBudget,
) -> Result<MaybeTls<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = server_name(uri.host()).and_then(|name| TlsConnection::client(tls, name));
    let connection = connection.map_err(Error::Tls)?;
    let mut stream = Box::new(TlsStream::new(stream, connection, memory));
    poll_fn(|cx| stream.poll_handshake(cx)).await?;
    Ok(stream.into())
}

/// Returns the configuration of those clients that have none of their own.
///
/// The platform's roots are read once.
pub(crate) fn platform_roots() -> Result<ClientTls, TlsConfigError> {
    static PLATFORM: OnceLock<ClientTls> = OnceLock::new();
    if let Some(tls) = PLATFORM.get() {
        return Ok(tls.clone());
    }
    let tls = ClientTls::platform_roots()?;
    Ok(PLATFORM.get_or_init(|| tls).clone())
}
