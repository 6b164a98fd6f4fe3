//! IPv4 addresses in all the forms that a URL may give them (WHATWG URL, sections 3.5 and 3.6).

use core::net::Ipv4Addr;

/// Whether a host is an IPv4 address, well or badly written: its last label is a number.
pub(crate) fn ends_in_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal || number(last).is_some()
}

/// Reads one to four numbers, decimal, octal after `0` or hexadecimal after `0x`; the last stands
/// for all bytes that are left.
pub(super) fn parse(host: &str) -> Option<Ipv4Addr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let (first, last) = match host.rsplit_once('.') {
        Some((first, last)) => (Some(first), last),
        None => (None, host),
    };
    let (mut address, mut bytes) = (0, 0);
    for part in first.into_iter().flat_map(|first| first.split('.')) {
        let byte = u8::try_from(number(part)?).ok()?;
        bytes += 1;
        if bytes > 3 {
            return None;
        }
        address |= u32::from(byte) << (32 - 8 * bytes);
    }
    let rest = number(last)?;
    let fits = u64::from(rest) < 1 << (32 - 8 * bytes);
    fits.then(|| Ipv4Addr::from(address | rest))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` takes a sign, too.
    match digits {
        "" => Some(0),
        _ if digits.starts_with('+') => None,
        _ => u32::from_str_radix(digits, radix).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_one_to_four_numbers_is_read_as_browsers_do() {
        for (text, expected) in [
            ("127.1", [127, 0, 0, 1]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("0X7F.0.0.01", [127, 0, 0, 1]),
            ("2130706433", [127, 0, 0, 1]),
            ("0177.0.1", [127, 0, 0, 1]),
            ("10.0.258", [10, 0, 1, 2]),
            ("1.2.3.4.", [1, 2, 3, 4]),
            ("0x.0x.0", [0, 0, 0, 0]),
            ("4294967295", [255, 255, 255, 255]),
            ("1.0xffffff", [1, 255, 255, 255]),
        ] {
            assert_eq!(parse(text), Some(expected.into()), "{text}");
        }
        for text in [
            "",
            ".",
            "1..2",
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "1.16777216",
            "4294967296",
            "08",
            "1.0xg",
            "+1",
            "0+1",
            "0x+1",
            "a.1",
            "1.2.3.4..",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn host_is_an_address_if_its_last_label_is_a_number() {
        for host in ["1", "a.1", "a.0x1F", "a.0x", "a.09.", "a.99999999999"] {
            assert!(ends_in_number(host), "{host}");
        }
        for host in [
            "", ".", "a", "1.a", "a.0xg", "a.1b", "1.2.-3", "1..", "a.+1",
        ] {
            assert!(!ends_in_number(host), "{host}");
        }
    }
}
