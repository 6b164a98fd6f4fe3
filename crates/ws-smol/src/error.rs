//! What can go wrong with a connection, by whose fault it is.

use std::{io, mem};

use thiserror::Error;
#[cfg(feature = "proxy")]
use ws_handshake::proxy::{ProxyHeaderError, ProxyUrlError, SocksReply, TunnelError};
use ws_handshake::{
    ClientRequestError, HandshakeError, HeaderError, HttpResponse, NoEntropy, RedirectError,
    SubprotocolError, UriError,
};
use ws_proto::{Cause, ConfigError, OutboxFull, ProtocolError, SendError, Timeout};
#[cfg(feature = "tls")]
use ws_tls::{TlsConfigError, TlsError};

use crate::{CloseStatus, MemoryBudget, NotAdmitted};

/// Why an operation failed.
///
/// A normal end is no error: receiving ends with `None` if the peer closed with
/// code 1000 or 1001, with no code, or in answer to our Close. Any other code is
/// [`ClosedByPeer`](Self::ClosedByPeer).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed, or could not be connected.
    #[error("the transport failed: {0}")]
    Io(#[source] io::Error),
    /// The addresses of the server, or of the proxy, could not be found.
    #[error("the host could not be looked up: {0}")]
    Lookup(#[source] io::Error),
    /// The peer broke a rule of RFC 6455, or a limit.
    ///
    /// It was told by a Close frame, and the transport is closed.
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The peer closed the connection, and its code says that something is
    /// wrong: another than 1000 and 1001. Whatever came before was received.
    #[error("the peer closed the connection with {0}")]
    ClosedByPeer(CloseStatus),
    /// The transport ended before the peer sent a Close: the peer is gone, or
    /// something on the way is. That is code 1006 in
    /// [`CloseStatus`].
    #[error("the connection ended without a Close frame from the peer")]
    ConnectionLost,
    /// What was asked to be sent cannot be sent; nothing was changed.
    #[error("this cannot be sent: {0}")]
    Send(#[source] SendError),
    /// [`queue`](crate::WebSocket::queue) would pass
    /// [`Config::max_backpressure`](crate::Config::max_backpressure); nothing was changed.
    #[error("max_backpressure is reached: {0}")]
    OutboxFull(#[from] OutboxFull),
    /// Nothing can be sent any more: a Close was sent or received, or the
    /// connection has failed before.
    #[error("the connection is closed, or is closing")]
    Closed,
    /// Something took longer than the configuration allows.
    #[error("{0}")]
    Timeout(#[from] Timeout),
    /// The peer sent more Pings and Pongs in a second than it may. It was told
    /// by a Close frame with 1008, and the transport is closed.
    #[error("more Pings and Pongs within a second than time_limits.max_control_rate")]
    ControlFlood,
    /// Connections hold more than the [budget](crate::Config::memory) that this
    /// one shares, and most of it for such as this one; or it came when there
    /// was little left. What it held is dropped.
    #[error("dropped, as connections hold too much of Config::memory, {limit} bytes")]
    OverMemory {
        /// How many bytes all may hold.
        limit: usize,
    },
    /// A field of the configuration has a value that is not allowed.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The [`Gate`](crate::Gate) does not let the connection in.
    #[error("not admitted: {0}")]
    NotAdmitted(#[from] NotAdmitted),
    /// The opening handshake broke a rule.
    #[error("the opening handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The system gave no random bytes for the opening handshake.
    #[error("the opening handshake cannot begin")]
    NoEntropy(#[from] NoEntropy),
    /// The server answered the handshake with another status than 101: a
    /// redirect, a refusal or a page.
    #[error("the server refused: {0}")]
    Refused(Box<HttpResponse>),
    /// The server's own hook answered the request with a response, and so
    /// there is no connection. See [`Decision`](crate::Decision).
    #[error("the request was answered with status {status}")]
    Answered {
        /// The status of that response.
        status: u16,
    },
    /// The URL is not one of a WebSocket.
    #[error("the URL cannot be connected to: {0}")]
    Uri(#[from] UriError),
    /// A request cannot be made of what was given.
    #[error("the request cannot be made: {0}")]
    Request(#[from] ClientRequestError),
    /// A header that a hook wanted to add cannot be sent.
    #[error("a header of the response cannot be sent: {0}")]
    Header(#[from] HeaderError),
    /// A hook chose a subprotocol that the client did not list.
    #[error("the subprotocol cannot be chosen: {0}")]
    Subprotocol(#[from] SubprotocolError),
    /// A redirect leads where the client does not go.
    #[error("the redirect is not followed: {0}")]
    Redirect(#[from] RedirectError),
    /// There were more redirects than
    /// [`Connector::redirects`](crate::Connector::redirects) allows.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// How many are followed.
        limit: usize,
    },
    /// TLS could not be agreed on, or broke off. It names the cause.
    #[cfg(feature = "tls")]
    #[error("TLS failed: {0}")]
    Tls(#[source] TlsError),
    /// The platform's certificates, which stand for servers by default, cannot
    /// be used.
    #[cfg(feature = "tls")]
    #[error("TLS cannot be configured: {0}")]
    TlsConfig(#[from] TlsConfigError),
    /// The proxy does not open the way to the server.
    #[cfg(feature = "proxy")]
    #[error("there is no way through the proxy: {0}")]
    Proxy(#[from] TunnelError),
    /// The environment names a proxy by what is no URL of one. The server is
    /// not connected to directly instead.
    #[cfg(feature = "proxy")]
    #[error("the environment names no usable proxy: {0}")]
    ProxyUrl(#[from] ProxyUrlError),
    /// A trusted proxy did not tell, by the PROXY protocol, who its client is.
    #[cfg(feature = "proxy")]
    #[error("the proxy does not say who the client is: {0}")]
    ProxyHeader(#[from] ProxyHeaderError),
    /// The URL is `wss://`, and the crate was built without the feature `tls`.
    #[error("a wss:// URL needs the feature `tls`, which this build of ws-smol does not have")]
    TlsUnavailable,
    /// The URL is `wss://`, and the stream that was given to
    /// [`Connector::handshake`](crate::Connector::handshake) is not under TLS.
    /// Nothing was sent.
    #[error(
        "a wss:// URL on a stream without TLS: Connector::connect_over makes TLS on it, and \
         Connector::under_tls says that it is there"
    )]
    NoTls,
}

impl Error {
    /// The addresses of a host could not be found.
    pub(crate) fn lookup(host: &str, error: &io::Error) -> Self {
        let text = format!("{host}: {error}");
        Self::Lookup(io::Error::new(error.kind(), text))
    }

    /// What kept us from reaching a proxy says that it was the proxy.
    #[cfg(feature = "proxy")]
    pub(crate) fn of_proxy(self) -> Self {
        let of_proxy = |error: io::Error| {
            io::Error::new(error.kind(), format!("on the way to the proxy: {error}"))
        };
        match self {
            Self::Io(error) => Self::Io(of_proxy(error)),
            Self::Lookup(error) => Self::Lookup(of_proxy(error)),
            error => error,
        }
    }

    /// Tells whether a client that tries the same again may be luckier.
    ///
    /// So it is if the server could not be reached or did not answer in time,
    /// if the connection broke off or was dropped for want of memory, for the
    /// Close codes 1011 to 1014, for the statuses 408, 425, 429 and those from
    /// 500, and for any status with `Retry-After`. It is not for other codes,
    /// such as 1008 or an application's, for other statuses, such as 401 or
    /// 404, for certificates that are not accepted, nor for what is wrong with
    /// the request or with the server's answer, such as that it is TLS.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Io(_)
            | Self::Lookup(_)
            | Self::Timeout(_)
            | Self::Closed
            | Self::ConnectionLost
            | Self::OverMemory { .. } => true,
            Self::ClosedByPeer(status) => matches!(status.code, 1011..=1014),
            Self::Handshake(error) => matches!(error, HandshakeError::ConnectionLost),
            Self::Refused(response) => is_temporary(response),
            #[cfg(feature = "tls")]
            Self::Tls(error) => *error == TlsError::EndedInHandshake,
            #[cfg(feature = "proxy")]
            Self::Proxy(error) => match error {
                TunnelError::Refused(response) => is_temporary(response),
                TunnelError::Socks(reply) => !matches!(
                    reply,
                    SocksReply::NotAllowed
                        | SocksReply::CommandNotSupported
                        | SocksReply::AddressTypeNotSupported
                ),
                error => matches!(error, TunnelError::Lost),
            },
            _ => false,
        }
    }
}

/// Tells whether a refusal is about this time and not about this request.
fn is_temporary(response: &HttpResponse) -> bool {
    matches!(response.status, 408 | 425 | 429 | 500..)
        || response.headers.get("Retry-After").is_some()
}

/// The cause, if that is a layer above the transport.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match TlsError::take(error) {
            Ok(cause) => return Self::Tls(cause),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

/// For what works on streams of bytes; the error is the source of that which is
/// made, unless it is one of the transport's.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Io(error) | Error::Lookup(error) => return error,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::ClosedByPeer(_) => io::ErrorKind::ConnectionAborted,
            Error::ConnectionLost => io::ErrorKind::UnexpectedEof,
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::OverMemory { .. } => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closing => Self::Closed,
            error => Self::Send(error),
        }
    }
}

/// Why a connection failed, for as often as it is asked.
pub(crate) type Failure = Cause<io::Error>;

/// Makes the error of a failure; the original of an I/O error once, its kind
/// later.
pub(crate) fn tell(failure: &mut Failure, memory: &MemoryBudget) -> Error {
    match failure {
        Cause::Io(error) => {
            let kind = io::Error::from(error.kind());
            mem::replace(error, kind).into()
        }
        Cause::Lost => Error::ConnectionLost,
        Cause::Protocol(error) => Error::Protocol(*error),
        Cause::Timeout(timeout) => Error::Timeout(*timeout),
        Cause::ControlFlood => Error::ControlFlood,
        Cause::OverMemory => memory.over(),
        // No failures.
        _ => Error::Closed,
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
        assert!(error.to_string().contains("max_backpressure"));
        assert!(error.source().unwrap().to_string().contains('3'));
        let error = Error::from(Timeout::Close);
        assert!(error.to_string().contains("close_timeout"));
        let error = Error::from(ProtocolError::TextNotUtf8);
        assert!(error.source().is_some());
    }

    #[test]
    fn errors_name_their_cause() {
        for (error, cause) in [
            (
                Error::Io(io::ErrorKind::ConnectionRefused.into()),
                "connection refused",
            ),
            (
                Error::Lookup(io::Error::other("Name or service not known")),
                "not known",
            ),
            (Error::from(ProtocolError::TextNotUtf8), "UTF-8"),
            (
                Error::from(HandshakeError::MissingAccept),
                "Sec-WebSocket-Accept",
            ),
            (Error::from(UriError::Fragment), "fragment"),
            (Error::from(RedirectError::Insecure), "wss://"),
            (Error::from(HandshakeError::TlsReply), "wss://"),
            #[cfg(feature = "tls")]
            (Error::Tls(TlsError::EndedInHandshake), "handshake"),
            #[cfg(feature = "proxy")]
            (Error::from(TunnelError::NoMethod), "authentication"),
            #[cfg(feature = "proxy")]
            (Error::from(ProxyUrlError::Socks4), "SOCKS4"),
        ] {
            assert!(error.to_string().contains(cause), "{error} lacks {cause}");
        }
    }

    #[test]
    fn an_io_error_has_a_kind_and_the_error_inside() {
        for (error, kind) in [
            (
                Error::Io(io::ErrorKind::ConnectionRefused.into()),
                io::ErrorKind::ConnectionRefused,
            ),
            (Error::Closed, io::ErrorKind::BrokenPipe),
            (Error::ConnectionLost, io::ErrorKind::UnexpectedEof),
            (Timeout::Pong.into(), io::ErrorKind::TimedOut),
            (
                Error::from(ProtocolError::TextNotUtf8),
                io::ErrorKind::InvalidData,
            ),
            (Error::OverMemory { limit: 1 }, io::ErrorKind::OutOfMemory),
            (Error::NoTls, io::ErrorKind::Other),
        ] {
            let text = error.to_string();
            let error = io::Error::from(error);
            assert_eq!(error.kind(), kind);
            assert!(text.ends_with(&error.to_string()), "{text}");
        }
    }

    #[test]
    fn io_failure_is_told_more_than_once() {
        let mut failure = Failure::Io(io::Error::new(io::ErrorKind::BrokenPipe, "the first"));
        let Error::Io(first) = tell(&mut failure, &MemoryBudget::of_process()) else {
            panic!()
        };
        assert_eq!(first.to_string(), "the first");
        let Error::Io(second) = tell(&mut failure, &MemoryBudget::of_process()) else {
            panic!()
        };
        assert_eq!(second.kind(), io::ErrorKind::BrokenPipe);
    }
}
