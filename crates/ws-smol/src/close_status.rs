//! How a connection was closed (RFC 6455 sections 7.1.5 and 7.1.6).

use std::fmt;

use ws_proto::{CloseCode, CloseFrame};

/// What the peer's Close said, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseStatus {
    /// The code in the peer's Close; 1005 if there was none in it, and 1006 if
    /// the connection ended without a Close from the peer.
    pub code: u16,
    /// The reason in the peer's Close, which may be empty.
    pub reason: String,
    /// We had sent a Close before.
    is_reply: bool,
}

impl CloseStatus {
    /// Tells whether this is how connections end when all went well: the peer
    /// sent code 1000 or 1001, or no code, or it answered a Close of ours.
    ///
    /// Any other end is an error to whoever receives:
    /// [`Error::ClosedByPeer`](crate::Error::ClosedByPeer) if the peer sent a
    /// Close, and what was wrong otherwise.
    #[must_use]
    pub const fn is_normal(&self) -> bool {
        match self.code {
            1000 | 1001 | 1005 => true,
            1006 => false,
            _ => self.is_reply,
        }
    }

    pub(crate) fn received(frame: Option<CloseFrame<'_>>, is_reply: bool) -> Self {
        //= RFC6455-7.1.5-1
        let (code, reason) = match frame {
            Some(CloseFrame { code, reason }) => (code.get(), reason),
            None => (1005, ""),
        };
        Self {
            code,
            reason: reason.to_owned(),
            is_reply,
        }
    }

    /// The code of a Close whose reason is not UTF-8.
    pub(crate) const fn broken(code: CloseCode) -> Self {
        Self {
            code: code.get(),
            reason: String::new(),
            is_reply: false,
        }
    }

    pub(crate) const fn lost() -> Self {
        Self {
            code: 1006,
            reason: String::new(),
            is_reply: false,
        }
    }
}

/// The code, and the reason if there is one.
impl fmt::Display for CloseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}", self.code)?;
        match &self.reason[..] {
            "" => Ok(()),
            reason => write!(f, " ({reason:?})"),
        }
    }
}
