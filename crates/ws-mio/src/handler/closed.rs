//! Who ended a connection, and why.

use std::io;

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

/// Why a connection ended: see [`ws_proto::Cause`].
pub type Cause<'a> = ws_proto::Cause<&'a io::Error>;

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
