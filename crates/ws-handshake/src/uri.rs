//! `ws` and `wss` URIs, and the URI grammar that requests share with them.

mod authority;
mod error;
mod grammar;
pub(crate) mod ipv4;
mod target;

use alloc::{borrow::ToOwned as _, format, string::String};
use core::{fmt, str::FromStr};

use authority::{Authority, Credentials, Host};
pub use error::UriError;
#[cfg(feature = "proxy")]
pub(crate) use grammar::host_name;
pub(crate) use grammar::{split_authority, split_query};
use target::resource_name;

use crate::error::Offered;

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
    credentials: Option<Credentials>,
    host: Host,
    port: u16,
    resource_name: String,
}

impl Uri {
    /// Reads a URI, as a browser reads the URL of a `WebSocket`.
    ///
    /// - `http` and `https` stand for `ws` and `wss`. Blanks around the URI are dropped.
    /// - An absent port becomes 80 or 443, an absent path `/`. The host is lower-cased.
    /// - A host whose last label is a number is an IPv4 address: `127.1`, `0x7f.1` and `2130706433`
    ///   are `127.0.0.1`, and `1.2.3.256` is refused (WHATWG URL section 3.5).
    /// - Path and query are percent-encoded where browsers do it: blanks, quotes, `<`, `>`,
    ///   everything outside ASCII, and in a path `^`, `` ` ``, `{` and `}`. `[`, `]`, `|`, and a
    ///   `%` that begins no triplet, stay as they are. In a path `\` becomes `/`, and `.` and `..`
    ///   are resolved.
    /// - A user name and a password before the host are sent as Basic credentials (RFC 7617),
    ///   unless the request has an `Authorization` header. They are shown by neither `Display` nor
    ///   `Debug`.
    /// - An IPv6 address may have a zone, as in `[fe80::1%25eth0]` (RFC 6874): to connect with, and
    ///   for nothing else.
    ///
    /// A host outside ASCII must come in its IDNA form. A browser would take line breaks and tabs
    /// out of the text; here they are refused, as any control character, and so is a backslash
    /// before the path.
    ///
    /// # Errors
    ///
    /// One [`UriError`] a rule, which names the part at fault; with any of them there is nothing to
    /// connect to.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        //= RFC6455-3-1
        //= RFC6455-4.1-3
        let text = text.trim_matches(|char: char| char <= ' ');
        let bad_scheme = || {
            let end = text.find([':', '/', '?', '#', '@']).unwrap_or(text.len());
            UriError::BadScheme {
                offered: Offered::new(&text.as_bytes()[..end]),
            }
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(bad_scheme)?;
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        let secure = match () {
            () if is("ws") || is("http") => false,
            () if is("wss") || is("https") => true,
            () => return Err(bad_scheme()),
        };
        //= RFC6455-3-5
        //= RFC3986-3.5-1
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        //= RFC9112-3.2-2
        //= RFC6455-11.1.1-1
        let authority = Authority::parse(authority)?;
        //= RFC6455-3-6
        let (path, query) = split_query(tail);
        Ok(Self {
            secure,
            credentials: authority.credentials,
            host: authority.host,
            port: authority.port.unwrap_or_else(|| default_port(secure)),
            resource_name: resource_name(path, query)?,
        })
    }

    /// Whether the scheme is `wss`: the WebSocket runs over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host in lower case, an IPv6 address in its brackets and without a zone.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host.name
    }

    /// The host as a resolver wants it: an IPv6 address without brackets, and with its zone.
    #[must_use]
    pub fn host_for_connect(&self) -> &str {
        let name = self.host();
        let address = name
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        self.host.scoped.as_deref().or(address).unwrap_or(name)
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
            self.host().to_owned()
        } else {
            format!("{}:{}", self.host(), self.port)
        }
    }

    /// The value of `Authorization` for the user name and password of the URI, if it has any.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.credentials.as_ref().map(Credentials::header)
    }

    /// Whether both have the same scheme, host and port.
    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.host == other.host && self.port == other.port
    }

    /// Resolves the `Location` of a redirect against this URI (RFC 3986 section 5.2).
    ///
    /// `http` and `https` locations become `ws` and `wss`, relative ones keep scheme and host, and
    /// a fragment is dropped. User name and password stay where scheme, host and port do.
    /// Whether to follow a redirect, above all from `wss` to `ws` or to another host, is for the
    /// caller to decide, who must then also decide which headers go along.
    ///
    /// # Errors
    ///
    /// As [`Uri::parse`] for the resolved URI, and [`UriError::UserInfo`] for a location with a
    /// user name or password.
    pub fn join(&self, location: &str) -> Result<Self, UriError> {
        let location = location.split('#').next().unwrap_or_default();
        let location = location.trim_matches(|char: char| char <= ' ');
        if split_scheme(location).is_some() {
            return self.join_absolute(location);
        }
        if location.starts_with("//") {
            let scheme = if self.secure { "wss" } else { "ws" };
            return self.join_absolute(&format!("{scheme}:{location}"));
        }
        let (base_path, base_query) = split_query(&self.resource_name);
        let (path, query) = split_query(location);
        let resource_name = if path.is_empty() {
            resource_name(base_path, query.or(base_query))
        } else if path.starts_with(['/', '\\']) {
            resource_name(path, query)
        } else {
            let folder = &base_path[..base_path.rfind('/').map_or(0, |slash| slash + 1)];
            resource_name(&format!("{folder}{path}"), query)
        };
        Ok(Self {
            resource_name: resource_name?,
            ..self.clone()
        })
    }

    fn join_absolute(&self, location: &str) -> Result<Self, UriError> {
        let mut uri = Self::parse(location)?;
        if uri.credentials.is_some() {
            return Err(UriError::UserInfo);
        }
        if uri.is_same_origin(self) {
            uri.credentials.clone_from(&self.credentials);
        }
        Ok(uri)
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

const fn default_port(secure: bool) -> u16 {
    //= RFC6455-3-2
    if secure { 443 } else { 80 }
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
            "ftp://h/",
            "wsx://h/",
            "ws:/h/",
            "ws:h",
            "localhost:9001",
            "\u{212a}ws://h/",
        ] {
            assert_eq!(kind(text), "bad_scheme", "{text}");
        }
    }

    #[test]
    fn http_schemes_stand_for_those_of_web_sockets_and_blanks_around_for_nothing() {
        for (text, expected) in [
            ("http://h/x", "ws://h/x"),
            ("HTTPS://h", "wss://h/"),
            (" \t\r\nws://h/ \n", "ws://h/"),
            ("\u{0}\u{1f}ws://h", "ws://h/"),
        ] {
            assert_eq!(Uri::parse(text).expect(text).to_string(), expected);
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
            "ws://h%zz/",
            "ws://h%ff/",
            "ws://h%00/",
            "ws://a%2fb/",
            "ws://h\\p",
            "ws://::1/",
            "ws://[1:2]/",
            "ws://[fe80::1%25]/",
            "ws://[fe80::1%25a/b]/",
            "ws://[fe80::1%25a b]/",
            "ws://u@",
            "ws://1.2.3.256/",
            "ws://a.0x1/",
            "ws://1.2.3.4.5/",
        ] {
            assert_eq!(kind(text), "bad_authority", "{text}");
        }
        for text in ["ws://caf\u{e9}/", "ws://caf%C3%A9/"] {
            assert_eq!(kind(text), "host_not_ascii", "{text}");
        }
        for text in [
            "ws://127.1/",
            "ws://0x7F.1/",
            "ws://2130706433./",
            "ws://%3127.1",
        ] {
            let uri = Uri::parse(text).expect(text);
            assert_eq!(
                (uri.host(), uri.host_header()),
                ("127.0.0.1", "127.0.0.1".to_owned())
            );
        }
        assert_eq!(
            Uri::parse("ws://EX%41mple/").expect("a URI").host(),
            "example"
        );
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
    fn user_name_and_password_become_basic_credentials_that_nothing_shows() {
        //= RFC9112-3.2-2
        for (text, pair) in [
            (
                "ws://Aladdin:open%20sesame@h/",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            (
                "ws://Aladdin:open sesame@h/",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            ("ws://u@h/", "Basic dTo="),
            ("ws://:p@h/", "Basic OnA="),
            ("ws://u:p@q@h/", "Basic dTpwQHE="),
        ] {
            let uri = Uri::parse(text).expect(text);
            assert_eq!(uri.authorization(), Some(pair), "{text}");
            assert_eq!(uri.to_string(), "ws://h/");
            let debug = format!("{uri:?}");
            assert!(
                !debug.contains("Basic") && !debug.contains("open"),
                "{debug}"
            );
        }
        for text in ["ws://@h/", "ws://:@h/", "ws://h/u:p@h"] {
            assert_eq!(Uri::parse(text).expect(text).authorization(), None);
        }
        for text in [
            "ws://a%3Ab:p@h/",
            "ws://u:p%0d%0aX:y@h/",
            "ws://u:p\u{7f}@h/",
            "ws://DOMAIN\\u:p@h/",
        ] {
            assert_eq!(kind(text), "userinfo", "{text}");
        }
    }

    #[test]
    fn a_zone_is_for_connecting_alone() {
        for text in ["ws://[fe80::1%25eth0]:9/x", "ws://[FE80::1%eth0]:9/x"] {
            let uri = Uri::parse(text).expect(text);
            assert_eq!(uri.host_for_connect(), "fe80::1%eth0");
            assert_eq!((uri.host(), uri.port()), ("[fe80::1]", 9));
            assert_eq!(uri.host_header(), "[fe80::1]:9");
        }
        let other = Uri::parse("ws://[fe80::1%25eth1]:9/x").expect("a URI");
        assert!(!other.is_same_origin(&Uri::parse("ws://[fe80::1%25eth0]:9/x").expect("a URI")));
    }

    #[test]
    fn errors_name_the_part_and_what_to_write_instead() {
        for (text, words) in [
            ("localhost:9001", &["ws://", "\"localhost\""][..]),
            ("redis://u:secret@h", &["ws://", "\"redis\""]),
            ("ws://h/#token=secret", &["fragment", "%23"]),
            ("ws://u:secret\u{1}@h/", &["password", "control character"]),
            (
                "ws://b\u{fc}cher.example/",
                &["\"b\u{fc}cher.example\"", "xn--"],
            ),
            ("ws://::1/", &["\"::1\"", "brackets"]),
            ("ws://h:99999/", &["\"99999\"", "65535"]),
            ("ws://h/a\nb", &["\"\\nb\"", "%0A"]),
        ] {
            let message = Uri::parse(text).expect_err(text).to_string();
            for word in words {
                assert!(message.contains(word), "{message} lacks {word}");
            }
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn the_port_is_digits_from_1_to_65535() {
        //= RFC3986-3.2.3-1
        for text in ["ws://h:0/", "ws://h:65536/", "ws://h:99999999999999999999/"] {
            assert_eq!(kind(text), "bad_port");
        }
        assert_eq!(kind("ws://h:-1/"), "bad_port");
        assert_eq!(kind("ws://h:x/"), "bad_port");
        assert_eq!(kind("ws://h:+1/"), "bad_port");
        assert_eq!(Uri::parse("ws://h:/").map(|uri| uri.port()), Ok(80));
        assert_eq!(
            Uri::parse("ws://h:0080/")
                .map(|uri| uri.host_header())
                .as_deref(),
            Ok("h")
        );
    }

    #[test]
    fn path_and_query_are_encoded_as_browsers_do() {
        //= RFC3986-3.3-1
        //= RFC6455-11.1.1-1
        for (tail, name) in [
            ("/?ids[]=1", "/?ids[]=1"),
            ("/room/[42]", "/room/[42]"),
            ("/a|b", "/a|b"),
            ("/?q={\"a\":1}", "/?q={%22a%22:1}"),
            ("/{a}", "/%7Ba%7D"),
            ("/?re=^x$", "/?re=^x$"),
            ("/^", "/%5E"),
            ("/`?`", "/%60?`"),
            ("/it's?it's", "/it's?it%27s"),
            ("/?d=50%", "/?d=50%"),
            ("/%zz%4", "/%zz%4"),
            ("/a b?c d", "/a%20b?c%20d"),
            ("/<>\"?<>\"", "/%3C%3E%22?%3C%3E%22"),
            ("/caf\u{e9}?\u{20ac}", "/caf%C3%A9?%E2%82%AC"),
            ("/a\\b?c\\d", "/a/b?c\\d"),
            ("/ethusdt@kline_15m", "/ethusdt@kline_15m"),
            ("/?Token=Bearer JwtToken", "/?Token=Bearer%20JwtToken"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2E%2e/b/%2e", "/b/"),
            ("/..", "/"),
            ("/...", "/..."),
            ("/?a/../b", "/?a/../b"),
        ] {
            let uri = Uri::parse(&format!("ws://h{tail}")).expect(tail);
            assert_eq!(uri.resource_name(), name);
            assert_eq!(Uri::parse(&uri.to_string()).as_ref(), Ok(&uri));
        }
    }

    #[test]
    fn no_control_character_is_let_through() {
        for byte in (0..32).chain([127]) {
            let control = char::from(byte);
            for text in [
                format!("ws://h/a{control}b"),
                format!("ws://h/?a{control}b"),
                format!("ws://h/\r\nX:{control}b"),
            ] {
                assert_eq!(kind(&text), "bad_path", "{text:?}");
            }
            assert_ne!(kind(&format!("ws://a{control}b/")), "ok");
            assert_ne!(kind(&format!("ws://h:8{control}0/")), "ok");
            assert_ne!(kind(&format!("ws://u{control}:p@h/")), "ok");
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
            ("/a b?\u{e9}", "ws://a/a%20b?%C3%A9"),
            (" /g ", "ws://a/g"),
            ("/\\evil.example/", "ws://a//evil.example/"),
            ("\\\\evil.example/", "ws://a//evil.example/"),
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
            "/a\r\nb",
            "//u:p@a/",
            "http://u@h/",
            "//",
        ] {
            assert!(base.join(location).is_err(), "{location}");
        }
    }
}
