//! Whose pages may open a WebSocket: the `Origin` of a request, and what a server makes of it.

use alloc::{string::String, vec::Vec};
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    error::{HandshakeError, Offered},
    request::Request,
    uri::{ipv4::ends_in_number, split_authority},
};

/// Whose pages may open a WebSocket.
///
/// A browser lets any page on the internet open a WebSocket to any server, and sends along the
/// cookies it has for that server. A server that takes the cookie for consent lets every page that
/// its user visits act in the user's name: cross-site WebSocket hijacking (RFC 6455 section 10.2).
/// Being on a loopback address or behind a firewall is no shield, since the browser is on the
/// inside too. What the page cannot do is lie about `Origin`, so the server must look at it.
///
/// Clients that are no browsers send no `Origin`, or any they like; unless one is required they are
/// let in without. This is a protection for users of browsers, not an authentication of clients.
///
/// Origins are compared by scheme, host and port: ASCII letters without regard to case, and no port
/// is the scheme's own. Some libraries of mobile devices send the scheme of the WebSocket: `ws`
/// counts as `http`, and `wss` as `https`, as no page has such an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Every page. Right where nothing depends on who the user is, or where the user is known by
    /// what a foreign page does not have, such as a token in the first message.
    Any,
    /// Pages of the host that the request is addressed to, and clients without `Origin`.
    ///
    /// It compares host and port, since behind a TLS proxy the scheme cannot be seen. It needs
    /// `Host` to arrive as the browser sent it.
    SameHost,
    /// Pages of the listed origins, and clients without `Origin`.
    List(OriginList),
    /// As [`SameHost`](Self::SameHost), but refuses clients without `Origin`.
    RequireSameHost,
    /// As [`List`](Self::List), but refuses clients without `Origin`.
    RequireList(OriginList),
}

impl OriginPolicy {
    /// Lists origins, as browsers send them: `scheme://host` or `scheme://host:port`.
    ///
    /// - `https://*.example.com` is each host below `example.com`, at any depth, and not
    ///   `example.com` itself.
    /// - A `/` at the end is taken for none.
    /// - `null` is what a browser sends for pages of no origin: sandboxed frames, and in some
    ///   browsers files. Every page can put another into a sandbox, so listing it is as good as
    ///   [`Any`](Self::Any).
    ///
    /// ```
    /// use ws_handshake::OriginPolicy;
    ///
    /// let policy = OriginPolicy::list(["https://example.com", "https://*.example.com"])?;
    /// # let _ = policy;
    /// assert!(OriginPolicy::list(["example.com"]).is_err(), "there is no scheme");
    /// assert!(OriginPolicy::list(["https://example.com/chat"]).is_err(), "an origin has no path");
    /// # Ok::<(), ws_handshake::OriginError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OriginError`] for what no browser sends, and so would never match.
    pub fn list<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, OriginError> {
        let mut listed = Vec::new();
        for origin in origins {
            listed.push(Listed::parse(origin.as_ref())?);
        }
        Ok(Self::List(OriginList(listed)))
    }

    /// The same policy, but refusing clients without `Origin`. [`Any`](Self::Any) stays what it is.
    #[must_use]
    pub fn require(self) -> Self {
        match self {
            Self::SameHost => Self::RequireSameHost,
            Self::List(origins) => Self::RequireList(origins),
            other => other,
        }
    }

    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), HandshakeError> {
        //= RFC6455-4.2.2-5
        //= RFC6455-10.2-1
        let is_let_in = |origin: &[u8]| match self {
            _ if fault!("origin-unchecked") => true,
            Self::Any => true,
            Self::SameHost | Self::RequireSameHost => request
                .authority()
                .is_some_and(|authority| is_same_host(origin, authority)),
            Self::List(list) | Self::RequireList(list) => list.contains(origin),
        };
        let is_required = matches!(self, Self::RequireSameHost | Self::RequireList(_));
        let mut origins = request.origins().peekable();
        //= RFC6455-4.2.1-8
        if is_required && origins.peek().is_none() {
            return Err(HandshakeError::OriginMissing);
        }
        //= RFC6455-4.2.2-6
        match origins.find(|origin| !is_let_in(origin)) {
            Some(refused) => Err(HandshakeError::OriginRefused {
                offered: Offered::new(refused),
            }),
            None => Ok(()),
        }
    }
}

/// Origins that were read by [`OriginPolicy::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginList(Vec<Listed>);

impl OriginList {
    fn contains(&self, origin: &[u8]) -> bool {
        str::from_utf8(origin).is_ok_and(|origin| self.0.iter().any(|one| one.is(origin)))
    }
}

/// An origin that a server lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listed {
    /// One that has no host.
    Whole(&'static str),
    Host {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
    /// All hosts that end in a suffix, which starts with a dot.
    Below {
        scheme: String,
        suffix: String,
        port: Option<u16>,
    },
}

impl Listed {
    fn parse(text: &str) -> Result<Self, OriginError> {
        let offered = Offered::new(text.as_bytes());
        for whole in ["null", "file://"] {
            if text.eq_ignore_ascii_case(whole) {
                return Ok(Self::Whole(whole));
            }
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(match text.contains('*') {
                true => OriginError::BadWildcard { offered },
                false => OriginError::BadScheme { offered },
            });
        };
        if !is_scheme(scheme) || is_websocket(scheme) {
            return Err(OriginError::BadScheme { offered });
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::HasPath { offered });
        }
        let (is_below, authority) = match authority.strip_prefix("*.") {
            Some(authority) => (true, authority),
            None => (false, authority),
        };
        if authority.contains('*') {
            return Err(OriginError::BadWildcard { offered });
        }
        let bad_host = OriginError::BadHost { offered };
        let (host, port) = split_authority(authority).ok_or(bad_host)?;
        let is_address = check_host(host).ok_or(bad_host)?;
        if is_below && is_address {
            return Err(OriginError::BadWildcard { offered });
        }
        let port = parse_port(scheme, port).ok_or(OriginError::BadPort { offered })?;
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        Ok(if is_below {
            let suffix = [".", &host].concat();
            Self::Below {
                scheme,
                suffix,
                port,
            }
        } else {
            Self::Host { scheme, host, port }
        })
    }

    /// Whether it is the origin that came.
    fn is(&self, origin: &str) -> bool {
        let (scheme, port) = match self {
            Self::Whole(whole) => return origin.eq_ignore_ascii_case(whole),
            Self::Host { scheme, port, .. } | Self::Below { scheme, port, .. } => (scheme, *port),
        };
        let Some(came) = Came::parse(origin) else {
            return false;
        };
        let is_host = match self {
            Self::Whole(_) => false,
            Self::Host { host, .. } => is_host(host, came.host),
            Self::Below { suffix, .. } => is_below(suffix, came.host),
        };
        is_host && port == came.port && scheme.eq_ignore_ascii_case(came.scheme)
    }
}

/// An origin that came, `http` or `https` where it is that of the WebSocket.
struct Came<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Came<'a> {
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => "http",
            _ if scheme.eq_ignore_ascii_case("wss") => "https",
            _ => scheme,
        };
        let (host, port) = split_authority(rest)?;
        let port = parse_port(scheme, port)?;
        Some(Self { scheme, host, port })
    }
}

/// Whether an origin's host and port are those of an authority, the scheme's own port being the
/// same as none.
fn is_same_host(origin: &[u8], authority: &str) -> bool {
    let came = str::from_utf8(origin).ok().and_then(Came::parse);
    let Some(came) = came.filter(|came| own_port(came.scheme).is_some()) else {
        return false;
    };
    split_authority(authority).is_some_and(|(host, port)| {
        is_host(came.host, host) && parse_port(came.scheme, port) == Some(came.port)
    })
}

fn is_host(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || ipv6(one).is_some_and(|address| ipv6(other) == Some(address))
}

/// Whether a host ends in a suffix that starts with a dot, and has something before it.
fn is_below(suffix: &str, host: &str) -> bool {
    let start = host.len().checked_sub(suffix.len());
    start.is_some_and(|start| start > 0 && host[start..].eq_ignore_ascii_case(suffix))
}

/// Checks that a host is one that a browser sends, and says whether it is an address.
fn check_host(host: &str) -> Option<bool> {
    if host.starts_with('[') {
        return ipv6(host).map(|_| true);
    }
    // Browsers write an IPv4 address with four numbers.
    match ends_in_number(host) {
        true => host.parse::<Ipv4Addr>().ok().map(|_| true),
        false => Some(false),
    }
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Reads a port; the scheme's own is the same as none. `None` if it is no port.
fn parse_port(scheme: &str, port: Option<&str>) -> Option<Option<u16>> {
    let port = match port {
        None | Some("") => return Some(None),
        Some(digits) => digits.parse().ok().filter(|port| *port != 0)?,
    };
    Some(Some(port).filter(|_| own_port(scheme) != Some(port)))
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Some(80),
        _ if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    }
}

fn is_websocket(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
}

/// Whether a text is a scheme (RFC 3986 section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
}

/// Why a text is no origin of a page, and would never match one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// There is no scheme, or it is `ws` or `wss`: pages are of `http://` and `https://`, or of an application's own.
    #[error("origin \"{offered}\" has no scheme of a page, such as https://")]
    BadScheme {
        /// The start of the text.
        offered: Offered,
    },
    /// A path, a query or a fragment follows.
    #[error(
        "origin \"{offered}\" has a path, query or fragment: an origin ends with its host or port"
    )]
    HasPath {
        /// The start of the text.
        offered: Offered,
    },
    /// The host is not one that a browser sends: it is in IDNA form, an address in its usual form,
    /// and names no user.
    #[error(
        "origin \"{offered}\" has a host that no browser sends (write a name outside ASCII in its IDNA form)"
    )]
    BadHost {
        /// The start of the text.
        offered: Offered,
    },
    /// The port is not in 1 to 65535.
    #[error("origin \"{offered}\" has a port that is not in 1 to 65535")]
    BadPort {
        /// The start of the text.
        offered: Offered,
    },
    /// A `*` stands for something else than the subdomains of a host.
    #[error(
        "origin \"{offered}\": a wildcard is written as in https://*.example.com (OriginPolicy::Any lets every page in)"
    )]
    BadWildcard {
        /// The start of the text.
        offered: Offered,
    },
}

impl OriginError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadScheme { .. } => "bad_scheme",
            Self::HasPath { .. } => "has_path",
            Self::BadHost { .. } => "bad_host",
            Self::BadPort { .. } => "bad_port",
            Self::BadWildcard { .. } => "bad_wildcard",
        }
    }
}
