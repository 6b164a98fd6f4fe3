//! Why a connection ended, and which time limit was passed.

use core::{convert::Infallible, error::Error, fmt};

use crate::{CloseCode, CloseFrame, ProtocolError};

/// A time limit that was passed, by the option that sets it.
///
/// The first five are limits of the opening; the others are kept by
/// [`Clock`](crate::Clock) and end a connection as [`Cause::Timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// `connect_timeout`: the transport was not connected, at none of the
    /// addresses.
    Connect,
    /// `handshake_timeout`: the opening handshake was not complete.
    Handshake,
    /// `handshake_timeout`: the server's application did not decide on the
    /// request. The client is told with status 503.
    Decision,
    /// The header of a trusted proxy did not come.
    ProxyHeader,
    /// `min_head_rate`: a client's request comes too slowly.
    Head,
    /// `close_timeout`: the peer did not answer our Close. During a drain, it
    /// is the time of the drain.
    Close,
    /// `keepalive.pong_timeout`: no sign of life came after a Ping.
    Pong,
    /// `keepalive.idle_timeout`: no data came. The connection is closed with
    /// 1001.
    Idle,
    /// `time_limits.write_progress`: the peer took nothing of the bytes that
    /// wait for it.
    Write,
    /// `time_limits.message`: a message was not finished. The peer is told with
    /// 1008.
    Message,
    /// `time_limits.lifetime`: the connection is as old as it may be. It is
    /// closed with 1001.
    Lifetime,
}

impl Timeout {
    /// Returns a short, stable name in `snake_case`: the reason of the Close
    /// that names the limit, and a label for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::Handshake => "handshake_timeout",
            Self::Decision => "decision_timeout",
            Self::ProxyHeader => "proxy_header_timeout",
            Self::Head => "head_rate",
            Self::Close => "close_timeout",
            Self::Pong => "pong_timeout",
            Self::Idle => "idle_timeout",
            Self::Write => "write_timeout",
            Self::Message => "message_timeout",
            Self::Lifetime => "lifetime",
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection within connect_timeout",
            Self::Handshake => "no opening handshake within handshake_timeout",
            Self::Decision => "no decision on the request within handshake_timeout",
            Self::ProxyHeader => "no header of the PROXY protocol within its timeout",
            Self::Head => "the request comes with fewer bytes in a second than min_head_rate",
            Self::Close => "no reply to the Close within close_timeout",
            Self::Pong => "no sign of life within keepalive.pong_timeout after a Ping",
            Self::Idle => "no data within keepalive.idle_timeout",
            Self::Write => "nothing of what waits was taken within time_limits.write_progress",
            Self::Message => "a message was not finished within time_limits.message",
            Self::Lifetime => "the connection is as old as time_limits.lifetime allows",
        })
    }
}

impl Error for Timeout {}

/// Why a connection ended; `E` is the error of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause<E = Infallible> {
    /// The peer started the closing handshake, and it is complete.
    Peer,
    /// We started the closing handshake, and it is complete.
    Local,
    /// We dropped the connection without a closing handshake.
    Aborted,
    /// We dropped the connection as the peer reads too slowly.
    SlowConsumer,
    /// The peer broke the protocol or a limit; it was told so.
    Protocol(ProtocolError),
    /// The transport ended before the peer sent a Close.
    Lost,
    /// The transport failed.
    Io(E),
    /// A time limit was passed. It stands also where the Close that tells so
    /// was answered, was not answered in time, or found the transport ended.
    Timeout(Timeout),
    /// The peer sent more Pings and Pongs in a second than
    /// `time_limits.max_control_rate`; it was told so with 1008.
    ControlFlood,
    /// We dropped the connection as connections hold too much memory, and this
    /// one holds more than most.
    OverMemory,
    /// A callback of the application panicked for this connection; the peer was
    /// told so with 1011.
    Panicked,
}

impl<E> Cause<E> {
    /// Returns a short, stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Local => "local",
            Self::Aborted => "aborted",
            Self::SlowConsumer => "slow_consumer",
            Self::Protocol(_) => "protocol",
            Self::Lost => "lost",
            Self::Io(_) => "io",
            Self::Timeout(timeout) => timeout.name(),
            Self::ControlFlood => "control_flood",
            Self::OverMemory => "over_memory",
            Self::Panicked => "panicked",
        }
    }

    /// Returns the Close that tells the peer of it; `None` where there is none
    /// to send. That of [`Protocol`](Self::Protocol) is made by
    /// [`Sender::fail`](crate::Sender::fail).
    #[must_use]
    pub const fn close_frame(&self) -> Option<CloseFrame<'static>> {
        let (code, reason) = match self {
            Self::Timeout(Timeout::Idle | Timeout::Lifetime) => {
                (CloseCode::GOING_AWAY, self.name())
            }
            Self::Timeout(Timeout::Message) | Self::ControlFlood => {
                (CloseCode::POLICY_VIOLATION, self.name())
            }
            Self::Panicked => (CloseCode::INTERNAL_ERROR, ""),
            _ => return None,
        };
        Some(CloseFrame { code, reason })
    }
}
