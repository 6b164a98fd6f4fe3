//! Heads of HTTP/2 and HTTP/3: lists of fields, of which the first are pseudo-headers (RFC 9113
//! section 8.3).

use alloc::vec::Vec;

use crate::{
    error::{HandshakeError, Offered},
    headers::{is_token, is_value, trim},
};

/// A list that was read.
pub(crate) struct FieldList<'a, const N: usize> {
    /// The values of the pseudo-headers that the message may have.
    pub(crate) pseudo: [Option<&'a [u8]>; N],
    /// The fields behind them, as name and value.
    pub(crate) regular: Vec<(&'a str, &'a [u8])>,
}

/// Reads the list of a message that may have the pseudo-headers `known`.
pub(crate) fn read<'a, const N: usize>(
    known: [&'static str; N],
    list: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<FieldList<'a, N>, HandshakeError> {
    let mut pseudo = [None; N];
    let mut regular = Vec::new();
    for (name, value) in list {
        if !is_value(value) {
            return Err(bad_header(name));
        }
        let value = trim(value);
        if !name.starts_with(':') {
            check_regular(name, value)?;
            regular.push((name, value));
            continue;
        }
        //= RFC9113-8.3-1
        //= RFC9113-8.3-2
        //= RFC9113-8.3-3
        let place = known.iter().position(|one| *one == name);
        match place.map(|at| &mut pseudo[at]) {
            Some(place @ None) if regular.is_empty() => *place = Some(value),
            _ => return Err(bad_pseudo_header(name)),
        }
    }
    Ok(FieldList { pseudo, regular })
}

fn check_regular(name: &str, value: &[u8]) -> Result<(), HandshakeError> {
    //= RFC9113-8.2.1-1
    //= RFC8441-5-6
    if !is_token(name.as_bytes()) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(bad_header(name));
    }
    //= RFC8441-5-3
    //= RFC9113-8.2.2-1
    let is_of_connection = CONNECTION_FIELDS.contains(&name)
        || (name == "te" && !value.eq_ignore_ascii_case(b"trailers"));
    if is_of_connection {
        return Err(HandshakeError::ConnectionHeader {
            offered: Offered::new(name.as_bytes()),
        });
    }
    Ok(())
}

pub(crate) const fn missing(name: &'static str) -> HandshakeError {
    HandshakeError::MissingPseudoHeader { name }
}

pub(crate) fn bad_pseudo_header(name: &str) -> HandshakeError {
    HandshakeError::BadPseudoHeader {
        offered: Offered::new(name.as_bytes()),
    }
}

fn bad_header(name: &str) -> HandshakeError {
    HandshakeError::BadHeader {
        offered: Offered::new(name.as_bytes()),
    }
}

/// Fields that speak of one connection of HTTP/1.1, where HTTP/2 and HTTP/3 have frames.
const CONNECTION_FIELDS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];
