//! The name of a server.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

use crate::TlsError;

/// Makes the name that a client asks for (SNI) and verifies, of a host as a URI has it: a DNS name,
/// an IPv4 address, or an IPv6 address with its brackets or without.
///
/// ```
/// use ws_tls::{TlsError, server_name};
///
/// assert_eq!(server_name("intranet.example")?.to_str(), "intranet.example");
/// assert_eq!(server_name("[::1]")?.to_str(), "::1");
/// assert!(matches!(server_name("not a name"), Err(TlsError::BadName { .. })));
/// # Ok::<(), TlsError>(())
/// ```
///
/// # Errors
///
/// [`TlsError::BadName`] if it is none of them.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bad_name = || TlsError::BadName {
        offered: host.chars().take(SHOWN).collect(),
    };
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
        return address
            .map(|address| ServerName::IpAddress(IpAddr::V6(address).into()))
            .ok_or_else(bad_name);
    }
    // A root's dot belongs to a name that is looked up, and to none in a certificate.
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name)
        .map(|name| name.to_owned())
        .map_err(|_| bad_name())
}

/// As much of a name as an error shows.
const SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for (host, is_name) in [
            ("localhost", true),
            ("a.example", true),
            ("a.example.", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
            ("[2001:db8::1]", false),
        ] {
            let name = server_name(host).expect(host);
            assert_eq!(matches!(name, ServerName::DnsName(_)), is_name, "{host}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for host in [
            "",
            " ",
            "a b",
            "[::1",
            "[192.0.2.1]",
            "[]",
            "a..b",
            "é.example",
        ] {
            let error = server_name(host).expect_err(host);
            assert_eq!(
                error,
                TlsError::BadName {
                    offered: host.to_owned()
                }
            );
        }
    }
}
