//! TLS handshakes, and what their errors mean.

mod accept;
mod turns;

use std::{io, sync::OnceLock};

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use ws_handshake::Uri;
use ws_tls::{ClientTls, TlsConfigError, TlsError, server_name};

use crate::{Error, MaybeTls};

pub use accept::TlsAcceptor;

/// Makes the client's TLS handshake.
pub(crate) async fn connect<S>(tls: &ClientTls, uri: &Uri, stream: S) -> Result<MaybeTls<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = server_name(uri.host()).map_err(Error::Tls)?;
    let connector = TlsConnector::from(tls.config().clone());
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(MaybeTls::over(stream)),
        Err(error) => Err(name_handshake_cause(error).into()),
    }
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

/// Names the cause of an error of a TLS stream.
pub(crate) fn name_cause(error: io::Error) -> io::Error {
    name_cause_or(error, TlsError::Truncated)
}

/// Names the cause of an error of a TLS handshake.
fn name_handshake_cause(error: io::Error) -> io::Error {
    name_cause_or(error, TlsError::EndedInHandshake)
}

fn name_cause_or(error: io::Error, end: TlsError) -> io::Error {
    match TlsError::take(error) {
        Ok(cause) => cause.into(),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => end.into(),
        Err(error) => error,
    }
}
