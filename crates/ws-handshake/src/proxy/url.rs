//! A proxy: how it is spoken to, where it is, and as whom.

use alloc::{borrow::ToOwned as _, string::String};
use core::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

use crate::{
    headers::HeaderError,
    request_fields::RequestFields,
    uri::{host_name, split_authority},
};

/// A proxy through which a client reaches its servers.
///
/// It is read from a URL:
///
/// | URL | spoken | port |
/// |---|---|---|
/// | `http://host:port`, or `host:port` alone | HTTP CONNECT (RFC 9110 section 9.3.6) | 80 |
/// | `socks5://host:port`, `socks5h://host:port`, `socks://host:port` | SOCKS5 (RFC 1928) | 1080 |
///
/// A user name and password stand before the host, percent-encoded: `http://user:p%40ss@host`. With every scheme of SOCKS
/// the names of servers are resolved by the proxy. What `Debug` shows has no password and no header
/// in it.
///
/// The proxy itself is spoken to in plaintext. A stream to it that is under TLS, for a proxy of `https://`, is for the
/// caller to make; what is said on it is that of `http://`.
///
/// ```
/// use ws_handshake::proxy::{Proxy, ProxyScheme};
///
/// let proxy: Proxy = "socks5h://alice:s%3Acret@[2001:db8::1]:9050".parse()?;
/// assert_eq!(proxy.scheme(), ProxyScheme::Socks5);
/// assert_eq!((proxy.host_for_connect(), proxy.port()), ("2001:db8::1", 9050));
/// assert!(!format!("{proxy:?}").contains("s:cret"));
/// # Ok::<(), ws_handshake::proxy::ProxyUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    fields: RequestFields,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// The method CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6), with basic authentication (RFC
    /// 7617).
    Http,
    /// SOCKS version 5 (RFC 1928), without authentication or with user name and password (RFC
    /// 1929).
    Socks5,
}

/// A user name and a password, both without control characters.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Proxy {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// One [`ProxyUrlError`] a rule; none of them shows what it found, as it may be a password.
    pub fn parse(url: &str) -> Result<Self, ProxyUrlError> {
        let url = url.trim_matches(|char: char| char <= ' ');
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = ProxyScheme::parse(scheme)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(tail, "" | "/") {
            return Err(ProxyUrlError::Path);
        }
        let (user_info, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, authority),
        };
        let (host, port) = split_authority(authority).ok_or(ProxyUrlError::BadAuthority)?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or(ProxyUrlError::BadPort)?,
        };
        let host = host_name(host).ok_or(ProxyUrlError::BadAuthority)?;
        let proxy = Self {
            scheme,
            host,
            port,
            credentials: None,
            fields: RequestFields::new(),
        };
        let Some(user_info) = user_info else {
            return Ok(proxy);
        };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        proxy.credentials(&decode(user)?, &decode(password)?)
    }

    /// Sets user name and password, as they are: nothing is decoded.
    ///
    /// # Errors
    ///
    /// [`ProxyUrlError::BadCredentials`] if the protocol cannot carry them.
    pub fn credentials(mut self, user: &str, password: &str) -> Result<Self, ProxyUrlError> {
        let fits = match self.scheme {
            // A colon would end the user name.
            ProxyScheme::Http => !user.contains(':'),
            // Lengths are one byte.
            ProxyScheme::Socks5 => (1..=255).contains(&user.len()) && password.len() <= 255,
        };
        if !fits
            || [user, password]
                .iter()
                .any(|text| text.contains(char::is_control))
        {
            return Err(ProxyUrlError::BadCredentials);
        }
        self.credentials = Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        Ok(self)
    }

    /// Adds a header to the CONNECT request, such as `Proxy-Authorization` for a scheme other than
    /// Basic, which then takes the place of user name and password. `User-Agent` replaces the
    /// one that is sent by default, `ws-handshake/` and the version. SOCKS has no headers.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if the name is not a token, the value has a control character, or the header
    /// is `Host`, `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding` or
    /// `Sec-WebSocket-*`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.fields.add(name, value.as_ref())?;
        Ok(self)
    }

    /// Leaves `User-Agent` out of the CONNECT request.
    #[must_use]
    pub fn without_user_agent(mut self) -> Self {
        self.fields.remove_user_agent();
        self
    }

    /// How the proxy is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// The proxy's host in lower case, an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's host as a resolver wants it: an IPv6 address without brackets.
    #[must_use]
    pub fn host_for_connect(&self) -> &str {
        without_brackets(&self.host)
    }

    /// The proxy's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether a user name and password are sent to the proxy: in plaintext, as both protocols have
    /// it.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub(super) const fn its_credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The headers of the CONNECT request.
    pub(super) const fn fields(&self) -> &RequestFields {
        &self.fields
    }
}

impl FromStr for Proxy {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        Self::parse(url)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|known| known.user.as_str());
        f.debug_struct("Proxy")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

impl ProxyScheme {
    fn parse(scheme: &str) -> Result<Self, ProxyUrlError> {
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(Self::Http),
            // Desktops name their SOCKS proxies so, and browsers speak version 5 with them.
            "socks5" | "socks5h" | "socks" => Ok(Self::Socks5),
            "socks4" | "socks4a" => Err(ProxyUrlError::Socks4),
            "https" => Err(ProxyUrlError::Https),
            _ => Err(ProxyUrlError::BadScheme),
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Socks5 => 1080,
        }
    }
}

/// Why a text names no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// The scheme is none of `http`, `socks5`, `socks5h` and `socks`.
    #[error("the scheme of a proxy is http://, socks5://, socks5h:// or socks://")]
    BadScheme,
    /// The scheme is `https`: a proxy that is to be spoken to under TLS.
    #[error(
        "TLS to a proxy (https://) is not spoken: write http:// if it takes CONNECT in plaintext, or give a stream to \
         it that is under TLS already"
    )]
    Https,
    /// The scheme is `socks4` or `socks4a`, an older version.
    #[error(
        "SOCKS4 (socks4://, socks4a://) is not spoken: write socks5:// if the proxy speaks version 5"
    )]
    Socks4,
    /// The host is empty or has characters that a URL does not allow (RFC 3986 section 3.2.2).
    #[error("malformed host or port of a proxy")]
    BadAuthority,
    /// The port is not in 1 to 65535.
    #[error("port of a proxy is not in 1 to 65535")]
    BadPort,
    /// There is a path, a query or a fragment.
    #[error("URL of a proxy goes on after the host and port")]
    Path,
    /// User name or password hold a control character, are not UTF-8, or are such that the protocol
    /// cannot carry them: a user name with a colon for HTTP, one that is empty or more than 255
    /// bytes for SOCKS5.
    #[error("user name or password cannot be sent to a proxy (percent-encode it in a URL)")]
    BadCredentials,
}

impl ProxyUrlError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadScheme => "bad_scheme",
            Self::Https => "https_proxy",
            Self::Socks4 => "socks4_proxy",
            Self::BadAuthority => "bad_authority",
            Self::BadPort => "bad_port",
            Self::Path => "path",
            Self::BadCredentials => "bad_credentials",
        }
    }
}

fn decode(text: &str) -> Result<String, ProxyUrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_or(Err(ProxyUrlError::BadCredentials), |text| {
        Ok(text.into_owned())
    })
}

pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn kind(url: &str) -> &'static str {
        Proxy::parse(url).map_or_else(|error| error.kind(), |_| "ok")
    }

    #[test]
    fn a_proxy_has_scheme_host_port_and_credentials() {
        let proxy = Proxy::parse("HTTP://us%65r:p%40s:s@Proxy.Example:3128/").expect("a proxy");
        assert_eq!(proxy.scheme(), ProxyScheme::Http);
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        let credentials = proxy.its_credentials().expect("credentials");
        assert_eq!(
            (&*credentials.user, &*credentials.password),
            ("user", "p@s:s")
        );

        let proxy = Proxy::parse("socks5h://[::1]").expect("a proxy");
        assert_eq!((proxy.host(), proxy.host_for_connect()), ("[::1]", "::1"));
        assert_eq!(proxy.port(), 1080);
        assert!(!proxy.has_credentials());
        let proxy = Proxy::parse(" socks://127.0.0.1/\n").expect("a proxy");
        assert_eq!((proxy.scheme(), proxy.port()), (ProxyScheme::Socks5, 1080));
        let proxy = Proxy::parse("socks://127.1").expect("a proxy");
        assert_eq!(proxy.host(), "127.0.0.1");
        let proxy = Proxy::parse("http://DOMAIN\\user:p@proxy:8080").expect("a proxy");
        let credentials = proxy.its_credentials().expect("credentials");
        assert_eq!(&*credentials.user, "DOMAIN\\user");
        assert_eq!(
            Proxy::parse("proxy:8080"),
            Proxy::parse("http://proxy:8080")
        );
        assert_eq!(
            Proxy::parse("http://proxy").map(|proxy| proxy.port()),
            Ok(80)
        );
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_rule() {
        for (url, expected) in [
            ("ftp://proxy", "bad_scheme"),
            ("https://proxy", "https_proxy"),
            ("SOCKS4://proxy", "socks4_proxy"),
            ("socks4a://proxy", "socks4_proxy"),
            ("http://", "bad_authority"),
            ("", "bad_authority"),
            ("http://a b", "bad_authority"),
            ("http://a\r\nX: y", "bad_authority"),
            ("http://a\0b", "bad_authority"),
            ("http://u@", "bad_authority"),
            ("http://1.2.3.256", "bad_authority"),
            ("http://h:0", "bad_port"),
            ("http://h:65536", "bad_port"),
            ("http://h:1/path", "path"),
            ("http://h?x", "path"),
            ("http://u%0d%0aX:p@h", "bad_credentials"),
            ("http://u:p\0@h", "bad_credentials"),
            ("http://u:%ff@h", "bad_credentials"),
            ("http://a%3Ab:p@h", "bad_credentials"),
            ("socks5://:p@h", "bad_credentials"),
        ] {
            assert_eq!(kind(url), expected, "{url:?}");
        }
        let long = "x".repeat(256);
        assert_eq!(kind(&format!("socks5://{long}:p@h")), "bad_credentials");
        assert_eq!(kind(&format!("socks5://u:{long}@h")), "bad_credentials");
        assert_eq!(kind(&format!("http://u:{long}@h")), "ok");
    }

    #[test]
    fn debug_shows_no_password() {
        for url in ["http://user:secret@h", "socks5://user:secret@h"] {
            let shown = format!("{:?}", Proxy::parse(url));
            assert!(
                shown.contains("user") && !shown.contains("secret"),
                "{shown}"
            );
        }
    }
}
