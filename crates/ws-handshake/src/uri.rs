//! `ws` and `wss` URIs, and the URI grammar that requests share with them.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// A `ws://` or `wss://` URI (RFC 6455 section 3).
///
/// ```
/// use ws_handshake::Uri;
///
/// let uri: Uri = "wss://[2001:db8::1]:8443/chat?room=1".parse()?;
/// assert!(uri.is_secure());
/// assert_eq!(uri.host(), "[2001:db8::1]");
/// assert_eq!(uri.host_for_connect(), "2001:db8::1");
/// assert_eq!(uri.port(), 8443);
/// assert_eq!(uri.resource_name(), "/chat?room=1");
/// # Ok::<(), ws_handshake::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    secure: bool,
    host: String,
    port: u16,
    resource_name: String,
}

impl Uri {
    /// Reads a URI. The host is lower-cased, an absent port becomes 80 or 443, an absent path `/`.
    ///
    /// Nothing is encoded on the way: a host outside ASCII must come in its IDNA form, a path percent-encoded.
    ///
    /// # Errors
    ///
    /// One [`UriError`] a rule; with any of them there is nothing to connect to.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        //= RFC6455-3-1
        //= RFC6455-4.1-3
        let (scheme, rest) = text.split_once("://").ok_or(UriError::BadScheme)?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(UriError::BadScheme),
        };
        //= RFC6455-3-5
        //= RFC3986-3.5-1
        if text.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        //= RFC9112-3.2-2
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        //= RFC3986-3.2.2-1
        //= RFC6455-11.1.1-1
        let (host, port) = split_authority(authority).ok_or(UriError::BadAuthority)?;
        let port = match port {
            None | Some("") => default_port(secure),
            //= RFC3986-3.2.3-1
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or(UriError::BadPort)?,
        };
        //= RFC3986-3.3-1
        //= RFC6455-3-6
        if !is_path_and_query(tail.as_bytes()) {
            return Err(UriError::BadPath);
        }
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port,
            resource_name: resource_name(tail),
        })
    }

    /// Whether the scheme is `wss`: the WebSocket runs over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host in lower case, an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as a resolver or a TLS library wants it: an IPv6 address without brackets.
    #[must_use]
    pub fn host_for_connect(&self) -> &str {
        self.host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&self.host)
    }

    /// The port; 80 for `ws` and 443 for `wss` where the URI names none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path and, if it is not empty, `?` and the query: the target of the request.
    #[must_use]
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }

    /// The value of the `Host` header: the host, and the port if it is not the scheme's own.
    #[must_use]
    pub fn host_header(&self) -> String {
        //= RFC6455-4.1-20
        //= RFC9110-7.2-1
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Resolves the `Location` of a redirect against this URI (RFC 3986 section 5.2).
    ///
    /// `http` and `https` locations become `ws` and `wss`, relative ones keep scheme and host, and a fragment is dropped.
    /// Whether to follow a redirect, above all from `wss` to `ws` or to another host, is for the caller to decide, who
    /// must then also decide which headers go along.
    ///
    /// # Errors
    ///
    /// As [`Uri::parse`] for the resolved URI.
    pub fn join(&self, location: &str) -> Result<Self, UriError> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "wss" } else { "ws" };
        if let Some((scheme, rest)) = split_scheme(location) {
            let scheme = match scheme {
                _ if scheme.eq_ignore_ascii_case("http") => "ws",
                _ if scheme.eq_ignore_ascii_case("https") => "wss",
                _ => scheme,
            };
            return Self::parse(&format!("{scheme}:{rest}"));
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        if !is_path_and_query(location.as_bytes()) {
            return Err(UriError::BadPath);
        }
        let (base_path, base_query) = split_query(&self.resource_name);
        let (path, query) = split_query(location);
        let (path, query) = if path.is_empty() {
            (base_path.to_owned(), query.or(base_query))
        } else if path.starts_with('/') {
            (remove_dot_segments(path), query)
        } else {
            let folder = &base_path[..base_path.rfind('/').map_or(0, |slash| slash + 1)];
            (remove_dot_segments(&format!("{folder}{path}")), query)
        };
        let tail = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        Ok(Self {
            resource_name: resource_name(&tail),
            ..self.clone()
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.resource_name)
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

/// Why a text is no WebSocket URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is neither `ws` nor `wss`, or there is none (RFC 6455 section 3).
    #[error("scheme of a WebSocket URI is not ws:// or wss://")]
    BadScheme,
    /// There is a fragment; a `#` that starts none is written `%23` (RFC 6455 section 3).
    #[error("a WebSocket URI has no fragment (write # as %23)")]
    Fragment,
    /// There is a user name or password before the host (RFC 9110 section 4.2.4).
    #[error("a WebSocket URI names no user (send an Authorization header)")]
    UserInfo,
    /// The host is empty or has characters that a URI does not allow (RFC 3986 section 3.2.2).
    #[error("malformed host or port (a host outside ASCII must be in its IDNA form)")]
    BadAuthority,
    /// The port is not in 1 to 65535 (RFC 3986 section 3.2.3).
    #[error("port is not in 1 to 65535")]
    BadPort,
    /// The path or query has characters that a URI does not allow (RFC 3986 section 3.3).
    #[error("malformed path or query (percent-encode what is not allowed in a URI)")]
    BadPath,
}

impl UriError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadScheme => "bad_scheme",
            Self::Fragment => "fragment",
            Self::UserInfo => "userinfo",
            Self::BadAuthority => "bad_authority",
            Self::BadPort => "bad_port",
            Self::BadPath => "bad_path",
        }
    }
}

/// Cuts `host [":" *DIGIT]`, `None` if it is neither a registered name nor a bracketed address.
pub(crate) fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    let host_end = if authority.starts_with('[') {
        let end = authority.find(']')?;
        let address = &authority[1..end];
        if address.is_empty()
            || !address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
        {
            return None;
        }
        end + 1
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        if end == 0 || !all_encoded(&authority.as_bytes()[..end], is_name_byte) {
            return None;
        }
        end
    };
    let (host, port) = authority.split_at(host_end);
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(digits)))
        }
        None if port.is_empty() => Some((host, None)),
        _ => None,
    }
}

/// Whether the bytes are pchars, `/`, `?` and percent triplets only (RFC 3986 sections 3.3 and 3.4).
pub(crate) fn is_path_and_query(bytes: &[u8]) -> bool {
    all_encoded(bytes, |byte| {
        is_name_byte(byte) || matches!(byte, b':' | b'@' | b'/' | b'?')
    })
}

/// Cuts at the first `?`.
pub(crate) fn split_query(resource: &str) -> (&str, Option<&str>) {
    match resource.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (resource, None),
    }
}

fn all_encoded(mut bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> bool {
    loop {
        bytes = match bytes {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if is_plain(*byte) => rest,
            _ => return false,
        }
    }
}

/// `unreserved` and `sub-delims` of RFC 3986.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'-'
        )
}

const fn default_port(secure: bool) -> u16 {
    //= RFC6455-3-2
    if secure { 443 } else { 80 }
}

/// Makes the resource name of a path and query (RFC 6455 section 3).
fn resource_name(tail: &str) -> String {
    //= RFC6455-3-4
    let slash = if tail.starts_with('/') { "" } else { "/" };
    let tail = match split_query(tail) {
        (path, Some("")) => path,
        _ => tail,
    };
    format!("{slash}{tail}")
}

/// Cuts `scheme ":"` off a URI reference.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let starts_well = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let goes_well = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'));
    (starts_well && goes_well).then_some((scheme, rest))
}

/// Resolves `.` and `..` in an absolute path (RFC 3986 section 5.2.4).
fn remove_dot_segments(path: &str) -> String {
    let mut output = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    output.truncate(output.rfind('/').unwrap_or(0));
                }
                if is_last {
                    output.push('/');
                }
            }
            _ => {
                output.push('/');
                output.push_str(segment);
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn kind(text: &str) -> &'static str {
        Uri::parse(text).map_or_else(|error| error.kind(), |_| "ok")
    }

    #[test]
    fn a_uri_has_scheme_host_port_path_and_query() {
        //= RFC6455-3-1
        //= RFC6455-3-2
        //= RFC6455-4.1-3
        let uri = Uri::parse("WSS://Example.COM:8443/Chat?a=B").expect("a URI");
        assert!(uri.is_secure());
        assert_eq!(
            (uri.host(), uri.port(), uri.resource_name()),
            ("example.com", 8443, "/Chat?a=B")
        );
        assert_eq!(uri.to_string(), "wss://example.com:8443/Chat?a=B");
        assert!(!Uri::parse("ws://h").expect("a URI").is_secure());
        assert_eq!(Uri::parse("ws://h").map(|uri| uri.port()), Ok(80));
        assert_eq!(Uri::parse("wss://h").map(|uri| uri.port()), Ok(443));
        for text in [
            "",
            "h/p",
            "//h/",
            "http://h/",
            "wsx://h/",
            "ws:/h/",
            "ws:h",
            " ws://h/",
            "\u{212a}ws://h/",
        ] {
            assert_eq!(kind(text), "bad_scheme", "{text}");
        }
    }

    #[test]
    fn the_resource_name_is_path_and_query() {
        //= RFC6455-3-4
        //= RFC6455-3-6
        for (text, name) in [
            ("ws://h", "/"),
            ("ws://h/", "/"),
            ("ws://h?x=1", "/?x=1"),
            ("ws://h/p?q", "/p?q"),
            ("ws://h/?", "/"),
            ("ws://h?", "/"),
            ("ws://h/p??", "/p??"),
            ("ws://h/p%23x", "/p%23x"),
            ("ws://h//x", "//x"),
        ] {
            assert_eq!(Uri::parse(text).expect(text).resource_name(), name);
        }
    }

    #[test]
    fn a_fragment_is_refused() {
        //= RFC6455-3-5
        //= RFC3986-3.5-1
        for text in ["ws://h/#", "ws://h#f", "ws://h/p#f", "ws://#"] {
            assert_eq!(kind(text), "fragment");
        }
    }

    #[test]
    fn the_host_is_a_name_or_a_bracketed_address() {
        //= RFC3986-3.2.2-1
        //= RFC6455-11.1.1-1
        //= RFC9112-3.2-2
        for text in [
            "ws:///",
            "ws://:80/",
            "ws://[::1/",
            "ws://[]/",
            "ws://[::1]x/",
            "ws://a b/",
            "ws://caf\u{e9}/",
            "ws://h%zz/",
        ] {
            assert_eq!(kind(text), "bad_authority", "{text}");
        }
        for text in ["ws://u:p@h/", "ws://@h/", "ws://u@"] {
            assert_eq!(kind(text), "userinfo");
        }
        assert_eq!(
            Uri::parse("ws://[::1]:9/")
                .expect("a URI")
                .host_for_connect(),
            "::1"
        );
        assert_eq!(
            Uri::parse("ws://xn--caf-dma.example/")
                .expect("a URI")
                .host_for_connect(),
            "xn--caf-dma.example"
        );
    }

    #[test]
    fn the_port_is_digits_from_1_to_65535() {
        //= RFC3986-3.2.3-1
        for text in ["ws://h:0/", "ws://h:65536/", "ws://h:99999999999999999999/"] {
            assert_eq!(kind(text), "bad_port");
        }
        assert_eq!(kind("ws://h:-1/"), "bad_authority");
        assert_eq!(kind("ws://h:x/"), "bad_authority");
        assert_eq!(Uri::parse("ws://h:/").map(|uri| uri.port()), Ok(80));
        assert_eq!(
            Uri::parse("ws://h:0080/")
                .map(|uri| uri.host_header())
                .as_deref(),
            Ok("h")
        );
    }

    #[test]
    fn path_and_query_hold_only_what_a_uri_allows() {
        //= RFC3986-3.3-1
        //= RFC6455-11.1.1-1
        for text in [
            "ws://h/a b",
            "ws://h/%zz",
            "ws://h/%4",
            "ws://h/%4z",
            "ws://h/%z4",
            "ws://h/\r\nX: y",
            "ws://h/caf\u{e9}",
            "ws://h/?\"",
            "ws://h/\\",
        ] {
            assert_eq!(kind(text), "bad_path", "{text}");
        }
    }

    #[test]
    fn a_location_is_resolved_as_rfc_3986_section_5_4_shows() {
        let base = Uri::parse("ws://a/b/c/d;p?q").expect("a URI");
        for (location, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g/"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            (";x", "ws://a/b/c/;x"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("https://h:1/x", "wss://h:1/x"),
            ("HTTP://h/x", "ws://h/x"),
            ("wss://h", "wss://h/"),
            // No scheme has such a name, so the colon is one of the path.
            ("1g:h", "ws://a/b/c/1g:h"),
            ("g_:h", "ws://a/b/c/g_:h"),
        ] {
            assert_eq!(
                base.join(location).expect(location).to_string(),
                expected,
                "{location}"
            );
        }
        for location in [
            "g:h",
            "mailto:a@b",
            "ftp://h/",
            "/a b",
            "/a\r\nb",
            "http://u@h/",
            "//",
        ] {
            assert!(base.join(location).is_err(), "{location}");
        }
    }
}
