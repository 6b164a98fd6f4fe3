//! How a connection was closed (RFC 6455 sections 7.1.5 and 7.1.6).

use ws_proto::CloseFrame;

/// What the peer's Close said, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseStatus {
    /// The code in the peer's Close; 1005 if there was none in it, and 1006 if
    /// the connection ended without a Close from the peer.
    pub code: u16,
    /// The reason in the peer's Close, which may be empty.
    pub reason: String,
}

impl CloseStatus {
    pub(crate) fn received(frame: Option<CloseFrame<'_>>) -> Self {
        //= RFC6455-7.1.5-1
        match frame {
            Some(CloseFrame { code, reason }) => Self {
                code: code.get(),
                reason: reason.to_owned(),
            },
            None => Self {
                code: 1005,
                reason: String::new(),
            },
        }
    }

    pub(crate) const fn lost() -> Self {
        Self {
            code: 1006,
            reason: String::new(),
        }
    }
}
