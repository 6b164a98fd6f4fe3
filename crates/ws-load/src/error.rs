//! What can go wrong.

use std::io;

use ws_handshake::HandshakeError;
use ws_tls::TlsError;

use crate::replies::UnexpectedFrame;

/// Why a connection did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system refused, or the server did: no route, no port, a reset.
    #[error("{0}")]
    Io(io::Error),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(TlsError),
    /// The answer to the opening handshake breaks a rule of RFC 6455 section 4.1.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// The server answered with another status than 101.
    #[error("the server answered with status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The server agreed to other parameters of permessage-deflate than on the first connection, or
    /// to none: messages are compressed beforehand.
    #[error("the server did not agree to compress as on the first connection")]
    OtherDeflate,
    /// The server sent a frame that is none of a message behind its answer.
    #[error("{0}")]
    Unexpected(#[from] UnexpectedFrame),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match TlsError::take(error) {
            Ok(error) => Self::Tls(error),
            Err(error) => Self::Io(error),
        }
    }
}

/// Why a run ended without a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The operating system refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No connection opened; the first failure of all.
    #[error("no connection opened: {0}")]
    NoConnection(OpenError),
    /// A connection that is needed did not open.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// Every connection was lost; why the last one was.
    #[error("every connection was lost: {0}")]
    AllLost(io::Error),
    /// The server did nothing for [`PATIENCE`](crate::PATIENCE).
    #[error("the server stalls")]
    Stalled,
    /// The plan cannot be carried out.
    #[error("{0}")]
    Plan(&'static str),
}
