//! Who ended a connection, and why.

use std::io;

use ws_proto::ProtocolError;

/// How a connection ended (RFC 6455 sections 7.1.5 and 7.1.6).
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed<'a> {
    /// The code in the peer's Close frame, 1005 if it had none, and 1006 if no
    /// Close frame came. A Close frame whose reason is not UTF-8 breaks the
    /// protocol, and its code stands here all the same.
    pub code: u16,
    /// The reason in the peer's Close frame, often empty.
    pub reason: &'a str,
    /// Who ended it, and why.
    pub cause: Cause<'a>,
}

/// Who ended a connection, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause<'a> {
    /// The peer started the closing handshake, and it is complete.
    Peer,
    /// We started the closing handshake, and it is complete.
    Local,
    /// We dropped the connection without a closing handshake.
    Aborted,
    /// We dropped the connection as the peer reads too slowly, by
    /// [`SlowConsumer::Close`](crate::SlowConsumer::Close).
    SlowConsumer,
    /// The peer broke the protocol or a limit; it was told so.
    Protocol(ProtocolError),
    /// The transport ended before a Close frame came.
    Lost,
    /// The transport failed.
    Io(&'a io::Error),
    /// The peer took too long.
    Timeout(Timeout),
    /// The peer sent more Pings and Pongs in a second than
    /// `time_limits.max_control_rate`; it was told so with 1008.
    ControlFlood,
    /// We dropped the connection as the loop held more than its share of
    /// `max_memory`, and most of it for such as this one.
    OverMemory,
    /// A callback of the application panicked for this connection; the peer was
    /// told so with 1011. See [`Config::on_panic`](crate::Config::on_panic).
    Panicked,
}

/// What the peer took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The answer to a Ping (`keepalive.pong_timeout`).
    Pong,
    /// Any data (`keepalive.idle_timeout`); the connection was closed with 1001.
    Idle,
    /// The answer to our Close (`close_timeout`), or to that of a
    /// [drain](crate::Remote::drain).
    Close,
    /// Any of what waits for it (`time_limits.write_progress`).
    Write,
    /// The end of what it began (`time_limits.message`); it was told so with
    /// 1008.
    Message,
    /// Nothing: the connection is as old as it may be (`time_limits.lifetime`),
    /// and was closed with 1001.
    Lifetime,
}

impl<'a> Closed<'a> {
    /// No Close frame came, or a broken one.
    pub(crate) const fn abnormal(cause: Cause<'a>) -> Self {
        //= RFC6455-7.1.5-1
        let received = match &cause {
            Cause::Protocol(error) => error.received_close_code(),
            _ => None,
        };
        let code = match received {
            Some(code) => code.get(),
            None => 1006,
        };
        Self {
            code,
            reason: "",
            cause,
        }
    }
}
