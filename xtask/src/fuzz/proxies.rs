//! Seeds of the fuzz targets that read what proxies say.

/// A seed: its name, and its bytes.
type Seed = (&'static str, &'static [u8]);

/// By target.
pub(super) const SEEDS: [(&str, &[Seed]); 2] =
    [("proxy_header", HEADERS), ("proxy_reply", REPLIES)];

/// Headers of the PROXY protocol, and a request behind some.
const HEADERS: &[Seed] = &[
    ("v1_tcp4", b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n"),
    ("v1_tcp6", b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"),
    ("v1_unknown", b"PROXY UNKNOWN\r\n"),
    ("v1_unknown_with_more", b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"),
    ("v1_port_too_large", b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n"),
    ("v1_without_cr", b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"),
    ("v2_local", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ("v2_tcp4", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb"),
    (
        "v2_tcp6",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\x01\xbb",
    ),
    (
        "v2_tcp4_with_tlv",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb\x01\0\x03h/1GET",
    ),
    ("v2_unspecified", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"),
    ("v2_address_too_short", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x07"),
    ("v2_unknown_version", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"),
    ("something_else", b"GET / HTTP/1.1\r\n"),
];

/// Answers to CONNECT, and those of a SOCKS5 proxy in all its steps.
const REPLIES: &[Seed] = &[
    ("connect_200", b"HTTP/1.1 200 Connection established\r\n\r\n"),
    ("connect_200_and_bytes", b"HTTP/1.0 200 OK\r\nVia: 1.1 proxy\r\n\r\nHTTP/1.1 101"),
    ("connect_interim", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("connect_403", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
    (
        "connect_407",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n",
    ),
    ("connect_nothing", b"HTTP/1.1 200"),
    ("socks_open_ipv4", b"\x05\0\x05\0\0\x01\x7f\0\0\x01\x04\x38"),
    (
        "socks_open_ipv6",
        b"\x05\0\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x38",
    ),
    ("socks_open_name", b"\x05\0\x05\0\0\x03\x05proxy\x04\x38HTTP"),
    ("socks_password", b"\x05\x02\x01\0\x05\0\0\x01\x7f\0\0\x01\x04\x38"),
    ("socks_password_refused", b"\x05\x02\x01\x01"),
    ("socks_no_method", b"\x05\xff"),
    ("socks_refused", b"\x05\0\x05\x05\0\x01\0\0\0\0\0\0"),
    ("socks_4", b"\0\x5a\0\0\0\0\0\0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_names_of_their_own() {
        for (target, seeds) in SEEDS {
            for (at, (name, _)) in seeds.iter().enumerate() {
                let others = &seeds[..at];
                assert!(
                    others.iter().all(|(other, _)| other != name),
                    "{target}: {name}"
                );
            }
        }
    }
}
