//! What can go wrong with a connection, by whose fault it is.

use std::{io, mem};

use thiserror::Error;
use ws_handshake::{
    ClientRequestError, HandshakeError, HeaderError, HttpResponse, SubprotocolError, UriError,
};
use ws_proto::{OutboxFull, ProtocolError, SendError};

/// Why an operation failed.
///
/// A connection that is closed by a closing handshake is no error: receiving
/// ends with `None`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    #[error("the transport failed")]
    Io(#[from] io::Error),
    /// The peer broke a rule of RFC 6455, or a limit.
    ///
    /// It was told by a Close frame, and the transport is closed.
    #[error("the peer broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// What was asked to be sent cannot be sent; nothing was changed.
    #[error("this cannot be sent")]
    Send(#[source] SendError),
    /// [`queue`](crate::WebSocket::queue) would pass
    /// [`Config::max_outbox`](crate::Config::max_outbox); nothing was changed.
    #[error("max_outbox is reached")]
    OutboxFull(#[from] OutboxFull),
    /// Nothing can be sent any more: a Close was sent or received, or the
    /// connection has failed before.
    #[error("the connection is closed, or is closing")]
    Closed,
    /// Something took longer than the configuration allows.
    #[error("{0}")]
    Timeout(Timeout),
    /// The peer sent more Pings and Pongs in a second than it may. It was told
    /// by a Close frame with 1008, and the transport is closed.
    #[error("more Pings and Pongs within a second than time_limits.max_control_rate")]
    ControlFlood,
    /// The opening handshake broke a rule.
    #[error("the opening handshake failed")]
    Handshake(#[from] HandshakeError),
    /// The server answered the handshake with another status than 101: a
    /// redirect, a refusal or a page.
    #[error("the server answered with status {} instead of 101", .0.status)]
    Refused(Box<HttpResponse>),
    /// The server's own hook answered the request with a response, and so
    /// there is no connection. See [`Decision`](crate::Decision).
    #[error("the request was answered with status {status}")]
    Answered {
        /// The status of that response.
        status: u16,
    },
    /// The URL is not one of a WebSocket.
    #[error("the URL cannot be connected to")]
    Uri(#[from] UriError),
    /// A request cannot be made of what was given.
    #[error("the request cannot be made")]
    Request(#[from] ClientRequestError),
    /// A header that a hook wanted to add cannot be sent.
    #[error("a header of the response cannot be sent")]
    Header(#[from] HeaderError),
    /// A hook chose a subprotocol that the client did not list.
    #[error("the subprotocol cannot be chosen")]
    Subprotocol(#[from] SubprotocolError),
    /// The URL is `wss://`, and the crate was built without the feature `tls`.
    #[error("a wss:// URL needs the feature `tls`, which this build of ws-smol does not have")]
    TlsUnavailable,
    /// The request offered permessage-deflate and the server has agreed, but
    /// the crate was built without the feature `deflate`.
    #[error("compression needs the feature `deflate`, which this build of ws-smol does not have")]
    DeflateUnavailable,
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closing => Self::Closed,
            error => Self::Send(error),
        }
    }
}

impl From<Timeout> for Error {
    fn from(timeout: Timeout) -> Self {
        Self::Timeout(timeout)
    }
}

/// What took too long, and which option says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Timeout {
    /// The transport was not connected in time, at none of the addresses.
    #[error("no connection within connect_timeout")]
    Connect,
    /// The opening handshake was not over in time.
    #[error("no opening handshake within handshake_timeout")]
    Handshake,
    /// The peer did not answer a Close in time.
    #[error("no reply to the Close within close_timeout")]
    Close,
    /// The peer did not answer a Ping in time.
    #[error("no sign of life within keepalive.pong_timeout after a Ping")]
    Pong,
    /// The peer sent no data in time.
    #[error("no data within keepalive.idle_timeout")]
    Idle,
    /// A client's request came too slowly.
    #[error("the request comes with fewer bytes in a second than min_head_rate")]
    Head,
    /// The peer took nothing of what waits for it in time.
    #[error("nothing of what waits was taken within time_limits.write_progress")]
    Write,
    /// The peer did not finish what it began in time. It was told by a Close
    /// frame with 1008.
    #[error("a message was not finished within time_limits.message")]
    Message,
}

/// Why a connection failed, for as often as it is asked.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Protocol(ProtocolError),
    Timeout(Timeout),
    ControlFlood,
}

impl Failure {
    /// Makes the error; the original of an I/O error once, its kind later.
    pub(crate) fn tell(&mut self) -> Error {
        match self {
            Self::Io(error) => {
                let kind = io::Error::from(error.kind());
                Error::Io(mem::replace(error, kind))
            }
            Self::Protocol(error) => Error::Protocol(*error),
            Self::Timeout(timeout) => Error::Timeout(*timeout),
            Self::ControlFlood => Error::ControlFlood,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn errors_name_the_option_and_keep_their_source() {
        let error = Error::from(OutboxFull {
            pending: 1,
            len: 2,
            limit: 3,
        });
        assert!(error.to_string().contains("max_outbox"));
        assert!(error.source().unwrap().to_string().contains('3'));
        let error = Error::from(Timeout::Close);
        assert!(error.to_string().contains("close_timeout"));
        let error = Error::from(ProtocolError::TextNotUtf8);
        assert!(error.source().is_some());
    }

    #[test]
    fn io_failure_is_told_more_than_once() {
        let mut failure = Failure::Io(io::Error::new(io::ErrorKind::BrokenPipe, "the first"));
        let Error::Io(first) = failure.tell() else {
            panic!()
        };
        assert_eq!(first.to_string(), "the first");
        let Error::Io(second) = failure.tell() else {
            panic!()
        };
        assert_eq!(second.kind(), io::ErrorKind::BrokenPipe);
    }
}
