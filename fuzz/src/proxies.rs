//! What proxies say: in front of a client's first byte, and as answers to ours.

use core::fmt::Debug;

use ws_handshake::proxy::{Proxy, ProxyHeader, Tunnel, TunnelError, TunnelProgress};

/// A header of the PROXY protocol is decided on by the same byte whatever follows, within its
/// longest form.
pub fn header_is_decided_on_by_its_own_bytes(input: &[u8]) {
    let whole = ProxyHeader::parse(input);
    let decided_at = (0..=input.len()).find(|&len| ProxyHeader::parse(&input[..len]) != Ok(None));
    let Some(at) = decided_at else {
        assert_eq!(whole, Ok(None));
        assert!(input.len() < ProxyHeader::MAX_V2);
        return;
    };
    let decided = ProxyHeader::parse(&input[..at]);
    assert_eq!(decided, whole, "what follows changes it");
    let Ok(Some((header, len))) = decided else {
        return;
    };
    assert_eq!(len, at, "it ends where it is decided on");
    let most = match input.first() {
        Some(b'P') => ProxyHeader::MAX_V1,
        _ => ProxyHeader::MAX_V2,
    };
    assert!(len <= most);
    if let ProxyHeader::Inet {
        source,
        destination,
    } = header
    {
        assert_eq!(header.source(), Some(source));
        assert_eq!(source.is_ipv4(), destination.is_ipv4());
    } else {
        assert_eq!((header.source(), header.destination()), (None, None));
    }
}

/// The answers of every kind of proxy come to the same in any chunking, and what follows them is
/// the server's.
pub fn replies_come_to_the_same_in_any_chunking(input: &[u8], seed: u8) {
    for url in [
        "http://proxy.example:3128",
        "http://user:password@proxy.example:3128",
        "socks5://proxy.example:1080",
        "socks5://user:password@proxy.example:1080",
    ] {
        let Ok(proxy) = Proxy::parse(url) else {
            unreachable!("the URL is legal")
        };
        let expected = outcome(&proxy, input, 1);
        for size in [usize::from(seed % 61) + 2, input.len().max(1)] {
            let got = outcome(&proxy, input, size);
            // What comes before we asked for it is seen only where it comes in one piece.
            if !matches!(got, Some((_, Err(TunnelError::TooEarly)))) {
                assert_same(&got, &expected, size);
            }
        }
    }
}

type Outcome = Option<(usize, Result<(), TunnelError>)>;

/// Feeds a tunnel in pieces of a size; returns after how many bytes it came to what.
fn outcome(proxy: &Proxy, input: &[u8], size: usize) -> Outcome {
    let Ok(mut tunnel) = Tunnel::new(proxy, "example.com", 443) else {
        unreachable!("the host is legal")
    };
    let mut fed = 0;
    for piece in input.chunks(size) {
        let waiting = tunnel.to_send().len();
        tunnel.sent(waiting);
        assert!(tunnel.to_send().is_empty());
        match tunnel.receive(piece) {
            Ok(TunnelProgress::Incomplete) => fed += piece.len(),
            Ok(TunnelProgress::Open { consumed }) => {
                assert!((1..=piece.len()).contains(&consumed));
                assert_eq!(tunnel.receive(b"more"), Err(TunnelError::Lost));
                return Some((fed + consumed, Ok(())));
            }
            Err(error) => {
                assert_eq!(tunnel.receive(piece), Err(error.clone()));
                assert_eq!(tunnel.eof(), error);
                return Some((fed + piece.len(), Err(error)));
            }
        }
    }
    None
}

fn assert_same(got: &Outcome, expected: &Outcome, size: usize) {
    let result = |outcome: &Outcome| outcome.as_ref().map(|(_, result)| kind(result));
    assert_eq!(result(got), result(expected));
    if let (Some((at, Ok(()))), Some((expected, _))) = (got, expected) {
        assert_eq!(at, expected, "the server's bytes begin elsewhere");
    }
    if let (Some((at, Err(_))), Some((expected, _))) = (got, expected) {
        assert_eq!(at.div_ceil(size), expected.div_ceil(size));
    }
}

/// Pages of refusals are kept as far as they came, which differs.
fn kind(result: &Result<(), TunnelError>) -> impl Debug + PartialEq + use<> {
    result.as_ref().map_err(TunnelError::kind).copied()
}
