//! How the dialogue with a proxy ends.

use alloc::boxed::Box;
use core::fmt;

use crate::{
    client::HttpResponse,
    error::{HandshakeError, Offered},
};

/// What a tunnel has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelProgress {
    /// All of the input was taken in. Send what there is to be sent, and read more.
    Incomplete,
    /// The way is open.
    Open {
        /// How many bytes of the input came from the proxy; the rest are the server's.
        consumed: usize,
    },
}

/// Why there is no way through a proxy.
///
/// It never holds a password of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The server is neither a name nor an address, or too long for the proxy to be told.
    #[error("a proxy cannot be asked for \"{offered}\"")]
    BadTarget {
        /// The start of the host.
        offered: Offered,
    },
    /// The proxy answered CONNECT with something else than 2xx: 407 asks for a user name and
    /// password, 403 forbids this server, 502 and 504 could not reach it, and a redirect leads
    /// to the page of a captive portal.
    #[error("the proxy answered {0}")]
    Refused(Box<HttpResponse>),
    /// The proxy's answer to CONNECT breaks the rules of HTTP, or a limit.
    #[error("bad answer of the proxy: {0}")]
    BadReply(HandshakeError),
    /// The proxy speaks another version of SOCKS, or something else altogether.
    #[error("the proxy does not speak SOCKS5: it starts with the byte {offered}")]
    NotSocks5 {
        /// The first byte of the answer.
        offered: u8,
    },
    /// The proxy accepts no method of authentication that was offered (RFC 1928 section 3).
    #[error("the proxy accepts none of the offered methods of authentication")]
    NoMethod,
    /// The proxy does not accept the user name and password (RFC 1929 section 2).
    #[error("the proxy refuses user name and password (status {status})")]
    BadCredentials {
        /// The status; any but 0 is a refusal.
        status: u8,
    },
    /// The proxy did not connect to the server (RFC 1928 section 6).
    #[error("the proxy cannot connect: {0}")]
    Socks(SocksReply),
    /// The proxy's answer is outside the grammar of SOCKS5.
    #[error("malformed answer of the SOCKS5 proxy")]
    BadSocksReply,
    /// The proxy answered a request that it had not been sent whole.
    #[error("the proxy answered before it was asked")]
    TooEarly,
    /// The connection to the proxy ended before the way was open.
    #[error("connection to the proxy lost before the way to the server was open")]
    Lost,
}

impl TunnelError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadTarget { .. } => "bad_target",
            Self::Refused(_) => "refused",
            Self::BadReply(error) => error.kind(),
            Self::NotSocks5 { .. } => "not_socks5",
            Self::NoMethod => "no_method",
            Self::BadCredentials { .. } => "bad_credentials",
            Self::Socks(reply) => reply.kind(),
            Self::BadSocksReply => "bad_socks_reply",
            Self::TooEarly => "too_early",
            Self::Lost => "lost",
        }
    }
}

/// Why a SOCKS5 proxy did not connect (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocksReply {
    /// 1: something else.
    GeneralFailure,
    /// 2: its rules do not allow the connection.
    NotAllowed,
    /// 3: the network cannot be reached.
    NetworkUnreachable,
    /// 4: the host cannot be reached; many proxies say so of a name that they cannot resolve.
    HostUnreachable,
    /// 5: the server refused the connection.
    ConnectionRefused,
    /// 6: the way is too long.
    TtlExpired,
    /// 7: it does not connect at all.
    CommandNotSupported,
    /// 8: it knows no such addresses.
    AddressTypeNotSupported,
    /// Any other code.
    Other(u8),
}

impl SocksReply {
    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::GeneralFailure,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::ConnectionRefused,
            6 => Self::TtlExpired,
            7 => Self::CommandNotSupported,
            8 => Self::AddressTypeNotSupported,
            other => Self::Other(other),
        }
    }

    /// The code in the reply, never 0.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::GeneralFailure => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable => 4,
            Self::ConnectionRefused => 5,
            Self::TtlExpired => 6,
            Self::CommandNotSupported => 7,
            Self::AddressTypeNotSupported => 8,
            Self::Other(code) => *code,
        }
    }

    /// The reason's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::GeneralFailure => "general_failure",
            Self::NotAllowed => "not_allowed",
            Self::NetworkUnreachable => "network_unreachable",
            Self::HostUnreachable => "host_unreachable",
            Self::ConnectionRefused => "connection_refused",
            Self::TtlExpired => "ttl_expired",
            Self::CommandNotSupported => "command_not_supported",
            Self::AddressTypeNotSupported => "address_type_not_supported",
            Self::Other(_) => "other_reply",
        }
    }
}

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::GeneralFailure => "general failure",
            Self::NotAllowed => "not allowed by its rules",
            Self::NetworkUnreachable => "network unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::ConnectionRefused => "connection refused",
            Self::TtlExpired => "TTL expired",
            Self::CommandNotSupported => "command not supported",
            Self::AddressTypeNotSupported => "address type not supported",
            Self::Other(code) => return write!(f, "reply {code}"),
        };
        f.write_str(text)
    }
}

/// No name is longer.
pub(super) const MAX_HOST: usize = 255;
