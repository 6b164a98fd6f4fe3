//! The parts of the URI grammar that requests, proxies and origins share.

use alloc::string::{String, ToString as _};

use super::ipv4;

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

/// Writes a host that is no IPv6 address as browsers do: in lower case, and an IPv4 address with
/// four decimal numbers. `None` for what would be such an address and is none.
pub(crate) fn host_name(host: &str) -> Option<String> {
    match ipv4::ends_in_number(host) {
        true => ipv4::parse(host).map(|address| address.to_string()),
        false => Some(host.to_ascii_lowercase()),
    }
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
pub(super) const fn is_name_byte(byte: u8) -> bool {
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
