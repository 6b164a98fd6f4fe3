//! The environment's variables that name proxies.

use alloc::string::String;
use core::net::IpAddr;

use ipnet::IpNet;

use super::url::{Proxy, ProxyUrlError, without_brackets};
use crate::uri::Uri;

impl Proxy {
    /// Looks up which proxy the environment names for a server; `None` for a direct connection.
    ///
    /// Nothing calls this by itself: an environment that decides where bytes go is for the
    /// application to believe or not. `variable` is asked for each name, so a test needs no
    /// process of its own.
    ///
    /// - `https_proxy` is for `wss`, `http_proxy` for `ws`; `all_proxy` is for both where the first
    ///   is not set. Each is asked for in lower case first and then in upper case. An empty one
    ///   counts as not set.
    /// - `HTTP_PROXY` in upper case does not count where `REQUEST_METHOD` is set: in a CGI program
    ///   the client can set it, with a header named `Proxy`.
    /// - `no_proxy` is a list, with commas or blanks, of who is reached directly: names, which
    ///   stand for what is below them as well, with a leading `.` or `*.` or without; addresses;
    ///   networks such as `10.0.0.0/8`; each with a port or without. `*` is everybody.
    ///
    /// ```
    /// use ws_handshake::{Uri, proxy::Proxy};
    ///
    /// let variable = |name: &str| std::env::var(name).ok();
    /// let proxy = Proxy::from_env(&Uri::parse("wss://example.com/")?, variable)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Proxy::parse`], for a variable that counts. The server is then not to be connected to
    /// directly.
    pub fn from_env(
        uri: &Uri,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyUrlError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let either = |lower: &str, upper: &str| set(lower).or_else(|| set(upper));
        let own = match uri.is_secure() {
            true => either("https_proxy", "HTTPS_PROXY"),
            false if variable("REQUEST_METHOD").is_some() => set("http_proxy"),
            false => either("http_proxy", "HTTP_PROXY"),
        };
        let Some(url) = own.or_else(|| either("all_proxy", "ALL_PROXY")) else {
            return Ok(None);
        };
        let exceptions = either("no_proxy", "NO_PROXY").unwrap_or_default();
        if is_excepted(&exceptions, without_brackets(uri.host()), uri.port()) {
            return Ok(None);
        }
        Self::parse(&url).map(Some)
    }
}

/// Whether a host, without brackets, is on the list.
fn is_excepted(exceptions: &str, host: &str, port: u16) -> bool {
    let entries = exceptions
        .split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty());
    let host = host.strip_suffix('.').unwrap_or(host);
    for entry in entries {
        if entry == "*" || matches_host(entry, host) {
            return true;
        }
        if let Some((name, digits)) = entry.rsplit_once(':')
            && digits.parse() == Ok(port)
            && matches_host(name, host)
        {
            return true;
        }
    }
    false
}

fn matches_host(entry: &str, host: &str) -> bool {
    let entry = without_brackets(entry);
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = address.to_canonical();
        let network = entry.parse::<IpNet>();
        return network.is_ok_and(|network| network.contains(&address))
            || entry
                .parse::<IpAddr>()
                .is_ok_and(|known| known.to_canonical() == address);
    }
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let domain = entry.strip_prefix('.').unwrap_or(entry);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let Some(start) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let (below, end) = host.as_bytes().split_at(start);
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain.as_bytes())
        && (below.is_empty() || below.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;

    use super::*;

    /// The port of the proxy that the environment names for a server: 0 for none.
    fn port(uri: &str, variables: &[(&str, &str)]) -> u16 {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let uri = Uri::parse(uri).expect("a URI");
        let proxy = Proxy::from_env(&uri, variable).expect("a proxy or none");
        proxy.map_or(0, |proxy| proxy.port())
    }

    #[test]
    fn each_scheme_has_its_variable_and_lower_case_counts_first() {
        let all = [
            ("HTTP_PROXY", "http://p:1"),
            ("HTTPS_PROXY", "http://p:2"),
            ("https_proxy", "http://p:3"),
            ("ALL_PROXY", "socks5://p:4"),
        ];
        assert_eq!(port("ws://h/", &all), 1);
        assert_eq!(port("wss://h/", &all), 3);
        assert_eq!(port("wss://h/", &all[..2]), 2);
        assert_eq!(port("ws://h/", &all[2..]), 4);
        assert_eq!(
            port("ws://h/", &[("http_proxy", ""), ("all_proxy", "p:5")]),
            5
        );
        assert_eq!(port("ws://h/", &[]), 0);
    }

    #[test]
    fn a_variable_that_a_client_of_cgi_can_set_does_not_count() {
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:1")];
        assert_eq!(port("ws://h/", &cgi), 0);
        let cgi = [("REQUEST_METHOD", "GET"), ("http_proxy", "http://p:1")];
        assert_eq!(port("ws://h/", &cgi), 1);
    }

    #[test]
    fn a_bad_variable_is_an_error_and_no_direct_connection() {
        let uri = Uri::parse("ws://h/").expect("a URI");
        let variable = |name: &str| (name == "http_proxy").then(|| "ftp://p".to_owned());
        assert_eq!(
            Proxy::from_env(&uri, variable),
            Err(ProxyUrlError::BadScheme)
        );
    }

    #[test]
    fn exceptions_are_names_addresses_and_networks() {
        for (list, host, expected) in [
            ("*", "h", true),
            ("example.com", "example.com", true),
            ("example.com", "a.b.Example.com", true),
            (".example.com", "example.com", true),
            (".example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", true),
            ("*.example.com:80", "a.example.com", true),
            ("*.example.com:81", "a.example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.com", "example.com", true),
            ("**", "h", false),
            ("x,*", "127.0.0.1", true),
            ("10.0.0.0/8:80", "10.1.2.3", true),
            ("10.0.0.0/8:81", "10.1.2.3", false),
            ("example.com", "badexample.com", false),
            ("a.example.com", "example.com", false),
            ("example.com", "example.com.", true),
            ("x, example.com ,y", "example.com", true),
            ("example.com:80", "example.com", true),
            ("example.com:81", "example.com", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.1", "127.0.0.1", false),
            ("::1", "::1", true),
            ("[::1]:80", "::1", true),
            ("[::1]:81", "::1", false),
            ("fe80::/10", "fe80::1", true),
            ("2001:db8::/32", "2001:db8::5", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("", "h", false),
            (",.,:", "h", false),
            ("\u{e9}", "h", false),
            ("h", "\u{e9}h", false),
        ] {
            assert_eq!(is_excepted(list, host, 80), expected, "{list} {host}");
        }
    }
}
