//! Close codes and Close frames (RFC 6455 sections 5.5.1 and 7.4).

use core::fmt;

use crate::header::MAX_CONTROL_PAYLOAD;

/// A status code that may stand in a Close frame (section 7.4).
///
/// A value of this type is legal on the wire: 1005, 1006 and 1015, which are
/// for local use only, and unassigned codes cannot be made.
///
/// ```
/// use ws_proto::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
/// assert_eq!(CloseCode::new(4321).unwrap().get(), 4321);
/// assert_eq!(CloseCode::new(1005), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away, such as a server that shuts down.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that cannot be accepted.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data not consistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message that violates a policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension in the server's handshake.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: an unexpected condition at the sender.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Returns the code, or `None` where it must not stand in a Close frame.
    ///
    /// Legal are 1000–1003, 1007–1014 and 3000–4999.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            //= RFC6455-7.4.1-1, RFC6455-7.4.1-8
            1000..=1003 | 1007..=1011 => Some(Self(code)),
            // Registered with IANA after the RFC.
            1012..=1014 => Some(Self(code)),
            //= RFC6455-7.4.2-3, RFC6455-7.4.2-4
            3000..=4999 => Some(Self(code)),
            //= RFC6455-7.4.1-2, RFC6455-7.4.1-3, RFC6455-7.4.1-4
            //= RFC6455-7.4.1-5, RFC6455-7.4.2-1, RFC6455-7.4.2-2
            //= RFC6455-7.4.2-5
            _ => None,
        }
    }

    /// Returns a code of the application's own, of 4000–4999 (section 7.4.2).
    /// Any other does not compile.
    ///
    /// ```
    /// use ws_proto::CloseCode;
    ///
    /// const KICKED: CloseCode = CloseCode::application::<4001>();
    /// assert_eq!(KICKED.get(), 4001);
    /// ```
    ///
    /// ```compile_fail
    /// # use ws_proto::CloseCode;
    /// const KICKED: CloseCode = CloseCode::application::<5001>();
    /// ```
    #[must_use]
    pub const fn application<const CODE: u16>() -> Self {
        const {
            assert!(
                matches!(CODE, 4000..=4999),
                "an application's codes are 4000 to 4999"
            )
        };
        Self(CODE)
    }

    /// Returns the code as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// The body of a Close frame that is not empty (section 5.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// A text for a log, at most [`MAX_REASON`](Self::MAX_REASON) bytes; often
    /// empty.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// The longest reason, in bytes: a control frame has at most 125 (section
    /// 5.5), of which the code takes two.
    pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

    /// Makes the body of a Close frame. A reason over
    /// [`MAX_REASON`](Self::MAX_REASON) bytes is cut, between characters.
    #[must_use]
    pub fn new(code: CloseCode, reason: &'a str) -> Self {
        let mut len = reason.len().min(Self::MAX_REASON);
        while !reason.is_char_boundary(len) {
            len -= 1;
        }
        let reason = &reason[..len];
        Self { code, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_that_is_too_long_is_cut_between_characters() {
        let code = CloseCode::NORMAL;
        let ascii = "x".repeat(200);
        let cut = |reason: &str| CloseFrame::new(code, reason).reason.len();
        assert_eq!([0, 1, 123].map(|len| cut(&ascii[..len])), [0, 1, 123]);
        assert_eq!([124, 200].map(|len| cut(&ascii[..len])), [123; 2]);
        // Characters of two, three and four bytes.
        assert_eq!(cut(&"é".repeat(100)), 122);
        assert_eq!(cut(&"€".repeat(100)), 123);
        assert_eq!(cut(&"😀".repeat(100)), 120);
    }

    #[test]
    fn code_is_a_number_to_whoever_asks() {
        use alloc::{format, string::ToString as _};

        let code = CloseCode::new(4321).unwrap();
        assert_eq!(code.to_string(), "4321");
        assert_eq!(format!("{code:?}"), "CloseCode(4321)");
        assert_eq!(u16::from(code), 4321);
    }

    #[test]
    fn codes_that_never_stand_in_a_frame_cannot_be_made() {
        //= RFC6455-7.4.1-2, RFC6455-7.4.1-3, RFC6455-7.4.1-4, RFC6455-7.4.1-5
        //= RFC6455-7.4.2-1, RFC6455-7.4.2-2, RFC6455-7.4.2-5
        // Miri takes a thousand times as long.
        let step = if cfg!(miri) { 97 } else { 1 };
        for code in (0..=999)
            .chain(1004..=1006)
            .chain(1015..=2999)
            .chain(5000..=u16::MAX)
            .step_by(step)
        {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in (1000..=1003).chain(1007..=1014).chain(3000..=4999) {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }
}
