//! What can go wrong with a connection and its streams.

use ws_smol::ConfigError;

/// Why there is no connection, or no WebSocket in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection or the stream failed.
    #[error("the HTTP/2 connection failed: {0}")]
    Http2(#[from] h2::Error),
    /// The server's SETTINGS do not allow an extended CONNECT (RFC 8441 section 3).
    /// Nothing was asked for; a connection over HTTP/1.1 may do.
    #[error("the server does not announce SETTINGS_ENABLE_CONNECT_PROTOCOL")]
    ExtendedConnectNotSupported,
    /// The server has chosen HTTP/1.1 by ALPN, and nothing was said of a fallback. Nothing was
    /// asked for.
    #[error("the server has chosen HTTP/1.1")]
    Http1Chosen,
    /// The peer sends more of a kind of frame in a second than a limit of
    /// [`Config`](crate::Config) allows. The connection was ended, by a server
    /// with `ENHANCE_YOUR_CALM`.
    #[error("the peer floods the connection: {limit} is {value} frames a second")]
    Flood {
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        value: u32,
    },
    /// The WebSocket was refused, by either side.
    #[error(transparent)]
    WebSocket(#[from] ws_smol::Error),
    /// A field of the configuration has a value that is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl From<ws_smol::HandshakeError> for Error {
    fn from(error: ws_smol::HandshakeError) -> Self {
        Self::WebSocket(error.into())
    }
}
