//! The versions of HTTP.

use core::fmt;

/// An HTTP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The digit before the dot.
    pub major: u8,
    /// The digit after the dot.
    pub minor: u8,
}

impl Version {
    /// HTTP/1.0, which knows no upgrade.
    pub const HTTP_10: Self = Self { major: 1, minor: 0 };
    /// HTTP/1.1.
    pub const HTTP_11: Self = Self { major: 1, minor: 1 };
    /// HTTP/2, where an extended CONNECT opens a WebSocket in a stream (RFC 8441).
    pub const HTTP_2: Self = Self { major: 2, minor: 0 };
    /// HTTP/3, where it does so too (RFC 9220).
    pub const HTTP_3: Self = Self { major: 3, minor: 0 };

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                major @ b'0'..=b'9',
                b'.',
                minor @ b'0'..=b'9',
            ] => Some(Self {
                major: major - b'0',
                minor: minor - b'0',
            }),
            _ => None,
        }
    }

    /// Whether the handshake can be spoken in this version.
    pub(crate) const fn allows_upgrade(self) -> bool {
        //= RFC6455-4.2.1-2
        //= RFC9110-6.2-1
        self.major == 1 && self.minor >= 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/{}.{}", self.major, self.minor)
    }
}
