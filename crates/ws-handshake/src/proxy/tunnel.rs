//! The way through a proxy, as far as it is open.

use alloc::boxed::Box;
use core::fmt;

use super::connect::Connect;
use super::socks::{Socks, SocksReply};
use super::url::{Proxy, ProxyScheme};
use crate::client::HttpResponse;
use crate::error::{HandshakeError, Offered};

/// Opens a way through a proxy to a server: what is to be sent, and what comes back.
///
/// 1. Connect to the proxy.
/// 2. Send what [`to_send`](Self::to_send) shows, and tell [`sent`](Self::sent) how much of it was.
/// 3. Read, and hand over all that comes to [`receive`](Self::receive), and the end of the transport to
///    [`eof`](Self::eof). Then there may be more to send.
/// 4. On [`TunnelProgress::Open`] the connection is one to the server, and starts with the rest of the input.
///
/// The head of a reply has at most 8 KiB, and 4 KiB of the page that comes with a refusal are kept. Time is the caller's to
/// bound.
pub struct Tunnel(Dialogue);

enum Dialogue {
    Http(Connect),
    Socks(Socks),
    Over(TunnelError),
}

impl Tunnel {
    /// Starts to open a way to a host and port.
    ///
    /// The host is a name, for the proxy to resolve, or an address; an IPv6 address may be in brackets.
    ///
    /// # Errors
    ///
    /// [`TunnelError::BadTarget`] if it is neither, or is longer than 255 bytes, or the port is 0.
    pub fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let dialogue = match proxy.scheme() {
            ProxyScheme::Http => Dialogue::Http(Connect::new(proxy, host, port)?),
            ProxyScheme::Socks5 => Dialogue::Socks(Socks::new(proxy, host, port)?),
        };
        Ok(Self(dialogue))
    }

    /// What is to be sent now; empty if the proxy has the next word.
    #[must_use]
    pub fn to_send(&self) -> &[u8] {
        match &self.0 {
            Dialogue::Http(connect) => connect.to_send(),
            Dialogue::Socks(socks) => socks.to_send(),
            Dialogue::Over(_) => &[],
        }
    }

    /// Tells that the first `bytes` of [`to_send`](Self::to_send) were sent. More than there is counts as all.
    pub fn sent(&mut self, bytes: usize) {
        match &mut self.0 {
            Dialogue::Http(connect) => connect.sent(bytes),
            Dialogue::Socks(socks) => socks.sent(bytes),
            Dialogue::Over(_) => {}
        }
    }

    /// Takes the next bytes from the proxy.
    ///
    /// # Errors
    ///
    /// Why there is no way through. The tunnel gives the same error again from then on.
    pub fn receive(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let progress = match &mut self.0 {
            Dialogue::Http(connect) => connect.receive(input),
            Dialogue::Socks(socks) => socks.receive(input),
            Dialogue::Over(error) => Err(error.clone()),
        };
        match &progress {
            Err(error) => self.0 = Dialogue::Over(error.clone()),
            // The bytes of the server are none of ours.
            Ok(TunnelProgress::Open { .. }) => self.0 = Dialogue::Over(TunnelError::Lost),
            Ok(TunnelProgress::Incomplete) => {}
        }
        progress
    }

    /// Tells that the transport has ended, or that its end is not waited for, and returns why there is no way through: a
    /// refusal whose page was still coming, and else [`TunnelError::Lost`].
    pub fn eof(&mut self) -> TunnelError {
        let error = match &mut self.0 {
            Dialogue::Http(connect) => match connect.take_refusal() {
                Some(response) => TunnelError::Refused(Box::new(response)),
                None => TunnelError::Lost,
            },
            Dialogue::Socks(_) => TunnelError::Lost,
            Dialogue::Over(error) => error.clone(),
        };
        self.0 = Dialogue::Over(error.clone());
        error
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialogue = match &self.0 {
            Dialogue::Http(_) => "http",
            Dialogue::Socks(_) => "socks5",
            Dialogue::Over(_) => "over",
        };
        f.debug_tuple("Tunnel").field(&dialogue).finish()
    }
}

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
    /// The proxy answered CONNECT with something else than 2xx: 407 asks for a user name and password, 403 forbids this
    /// server, 502 and 504 could not reach it, and a redirect leads to the page of a captive portal.
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
