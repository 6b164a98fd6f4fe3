//! What stands between `//` and the path: user name and password, host, port.

use alloc::{format, string::String, vec::Vec};
use core::{fmt, net::Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use super::{
    error::UriError,
    grammar::{host_name, is_name_byte},
};
use crate::error::Offered;

/// The parts of an authority.
pub(super) struct Authority {
    pub(super) credentials: Option<Credentials>,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

/// A user name and a password, in the form of the `Authorization` header. `Debug` shows none of
/// them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials(String);

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    /// In lower case, an IPv4 address with four numbers, an IPv6 address in its brackets and
    /// without a zone.
    pub(super) name: String,
    /// An IPv6 address with its zone, as a resolver wants it, if there is a zone.
    pub(super) scoped: Option<String>,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Self, UriError> {
        let (user_info, text) = match text.rsplit_once('@') {
            Some((user_info, text)) => (user_info, text),
            None => ("", text),
        };
        let bad = UriError::BadAuthority {
            offered: Offered::new(text.as_bytes()),
        };
        // Who writes a backslash here is understood in several ways, each with another host.
        if user_info.contains('\\') {
            return Err(UriError::UserInfo);
        }
        let host_end = match text.starts_with('[') {
            true => text.find(']').ok_or(bad)? + 1,
            false => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_end);
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => return Err(bad),
            None | Some("") => None,
            // An IPv6 address without its brackets.
            Some(port) if port.contains(':') => return Err(bad),
            Some(port) => Some(read_port(port)?),
        };
        Ok(Self {
            credentials: Credentials::parse(user_info)?,
            host: Host::parse(host)?,
            port,
        })
    }
}

impl Credentials {
    /// Makes Basic credentials (RFC 7617) of a percent-encoded user name and password; `None` if
    /// both are empty.
    fn parse(user_info: &str) -> Result<Option<Self>, UriError> {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let mut pair: Vec<u8> = percent_decode_str(user).collect();
        if pair.contains(&b':') {
            return Err(UriError::UserInfo);
        }
        pair.push(b':');
        pair.extend(percent_decode_str(password));
        if pair.iter().any(u8::is_ascii_control) {
            return Err(UriError::UserInfo);
        }
        Ok((pair != b":").then(|| Self(format!("Basic {}", STANDARD.encode(pair)))))
    }

    /// The value of `Authorization`.
    pub(super) fn header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, UriError> {
        let bad = UriError::BadAuthority {
            offered: Offered::new(text.as_bytes()),
        };
        if let Some(address) = text.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or(bad)?;
            return Self::parse_ipv6(address).ok_or(bad);
        }
        let name = percent_decode_str(text).decode_utf8().map_err(|_| bad)?;
        if !name.is_ascii() {
            return Err(UriError::HostNotAscii {
                offered: Offered::new(name.as_bytes()),
            });
        }
        //= RFC3986-3.2.2-1
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(bad);
        }
        Ok(Self {
            name: host_name(&name).ok_or(bad)?,
            scoped: None,
        })
    }

    /// Reads an address with a zone or without (RFC 6874). A zone is of use on this machine alone,
    /// so that it is not part of the name.
    fn parse_ipv6(text: &str) -> Option<Self> {
        let zoned = text.split_once("%25").or_else(|| text.split_once('%'));
        let (address, zone) = match zoned {
            Some((address, zone)) => (address, Some(zone)),
            None => (text, None),
        };
        let is_zone_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if zone.is_some_and(|zone| zone.is_empty() || !zone.bytes().all(is_zone_byte)) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?;
        let address = address.to_ascii_lowercase();
        Some(Self {
            name: format!("[{address}]"),
            scoped: zone.map(|zone| address + "%" + zone),
        })
    }
}

fn read_port(text: &str) -> Result<u16, UriError> {
    //= RFC3986-3.2.3-1
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok());
    port.filter(|&port| port != 0)
        .ok_or_else(|| UriError::BadPort {
            offered: Offered::new(text.as_bytes()),
        })
}
