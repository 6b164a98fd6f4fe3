//! Why a text is no WebSocket URI.

use crate::error::Offered;

/// Why a text is no WebSocket URI. Each names the part at fault and says what to write instead.
///
/// None shows a user name, a password or a fragment, as these may be secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is none of `ws`, `wss`, `http` and `https`, or there is none (RFC 6455 section
    /// 3).
    #[error("a WebSocket URI begins with ws:// or wss://, not with \"{offered:#}\"")]
    BadScheme {
        /// The start of the text, up to what ends a scheme.
        offered: Offered,
    },
    /// There is a fragment; a `#` that starts none is written `%23` (RFC 6455 section 3).
    #[error(
        "a WebSocket URI has no fragment: leave out the # and what follows it, or write # as %23"
    )]
    Fragment,
    /// There is a user name or password that Basic authentication cannot carry (RFC 7617 section
    /// 2), or any in the target of a redirect.
    #[error(
        "the user name or password before the host cannot be sent: control characters, and a colon in the user \
         name, have no place in Basic credentials, and a redirect has none at all"
    )]
    UserInfo,
    /// The host is empty, or neither a name nor an address (RFC 3986 section 3.2.2).
    #[error(
        "\"{offered:#}\" is no host: write a name, an IPv4 address, or an IPv6 address in brackets"
    )]
    BadAuthority {
        /// The start of the host.
        offered: Offered,
    },
    /// The host has characters outside ASCII.
    #[error(
        "host \"{offered:#}\" is not ASCII: write its IDNA form, in which such a label begins with xn--"
    )]
    HostNotAscii {
        /// The start of the host.
        offered: Offered,
    },
    /// The port is not in 1 to 65535 (RFC 3986 section 3.2.3).
    #[error("port \"{offered:#}\" is not a number in 1 to 65535")]
    BadPort {
        /// The start of the port.
        offered: Offered,
    },
    /// The path or query has a control character.
    #[error(
        "path or query holds a control character at \"{offered:#}\": percent-encode it, a line feed as %0A"
    )]
    BadPath {
        /// What begins with the control character.
        offered: Offered,
    },
}

impl UriError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadScheme { .. } => "bad_scheme",
            Self::Fragment => "fragment",
            Self::UserInfo => "userinfo",
            Self::BadAuthority { .. } => "bad_authority",
            Self::HostNotAscii { .. } => "host_not_ascii",
            Self::BadPort { .. } => "bad_port",
            Self::BadPath { .. } => "bad_path",
        }
    }
}
