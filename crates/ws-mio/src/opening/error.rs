//! Why a connection never came to be.

use std::io;

use ws_handshake::{HandshakeError, HttpResponse, NoEntropy};
#[cfg(feature = "tls")]
use ws_tls::TlsError;

use crate::ConfigError;
#[cfg(feature = "proxy")]
use crate::TunnelError;

/// Why a connection never came to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The transport failed.
    #[error("the transport failed during the opening handshake: {0}")]
    Io(#[source] io::Error),
    /// There is no way through the proxy.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(TunnelError),
    /// The server could not be trusted, or does not speak TLS.
    #[cfg(feature = "tls")]
    #[error("no TLS connection: {0}")]
    Tls(#[source] TlsError),
    /// The URI is `wss`, and the transport is not TLS: nothing was sent. See
    /// `Connect::tls` and `Tls` of the feature `tls`, and
    /// [`UnderTls`](crate::UnderTls) for what is encrypted already.
    #[error(
        "a wss URI on a transport without TLS: Connect::tls or Tls make it, and UnderTls says \
         that it is there"
    )]
    NoTls,
    /// The addresses of the server could not be found.
    #[error("the server's name could not be looked up: {0}")]
    Lookup(#[source] io::Error),
    /// The other side broke the rules of the opening handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The request asks for what this build does not have: an
    /// [offer](crate::ClientRequest::offer) of permessage-deflate needs the feature
    /// `deflate`. Nothing was sent.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no random bytes for the handshake; nothing was sent.
    #[error(transparent)]
    NoEntropy(NoEntropy),
    /// The server answered otherwise: a redirect, a refusal, a page.
    #[error("the server refused: {0}")]
    Refused(Box<HttpResponse>),
    /// We refused the client's request, and answered with this status.
    #[error("the request was answered with status {0}")]
    Answered(u16),
    /// It took longer than `handshake_timeout`.
    #[error("no opening handshake within handshake_timeout")]
    Timeout,
    /// The loop has `max_connections` already, or holds close to `max_memory`.
    #[error("the loop has max_connections already, or holds close to max_memory")]
    Full,
    /// The loop stops.
    #[error("the loop stops")]
    Stopped,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "proxy")]
        if let Some(error) = error
            .get_ref()
            .and_then(|error| error.downcast_ref::<TunnelError>())
        {
            return Self::Proxy(error.clone());
        }
        #[cfg(feature = "tls")]
        let error = match TlsError::take(error) {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(error)
    }
}
