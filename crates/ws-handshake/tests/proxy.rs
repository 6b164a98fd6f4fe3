//! What is said to proxies: dialogues at every split, and headers at every truncation.
#![cfg(feature = "proxy")]

use std::{collections::BTreeSet, net::SocketAddr};

use ws_handshake::proxy::{
    Proxy, ProxyHeader, ProxyHeaderError, SocksReply, TrustedProxies, Tunnel, TunnelError,
    TunnelProgress,
};

fn tunnel(proxy: &str, host: &str) -> Tunnel {
    let proxy = Proxy::parse(proxy).expect("a proxy");
    Tunnel::new(&proxy, host, 443).expect("a target")
}

/// Sends all, and returns it.
fn send(tunnel: &mut Tunnel) -> Vec<u8> {
    let bytes = tunnel.to_send().to_vec();
    tunnel.sent(bytes.len());
    assert!(tunnel.to_send().is_empty());
    bytes
}

/// Answers a dialogue in pieces of one size; what is said in it, and how it ends.
fn converse(
    mut tunnel: Tunnel,
    answers: &[&[u8]],
    piece: usize,
) -> (Vec<Vec<u8>>, Result<TunnelProgress, TunnelError>) {
    let mut said = vec![send(&mut tunnel)];
    let mut progress = Ok(TunnelProgress::Incomplete);
    for answer in answers {
        for piece in answer.chunks(piece) {
            progress = tunnel.receive(piece);
            if progress != Ok(TunnelProgress::Incomplete) {
                return (said, progress);
            }
        }
        if !tunnel.to_send().is_empty() {
            said.push(send(&mut tunnel));
        }
    }
    (said, progress)
}

/// How a dialogue ends, however the answers are cut.
fn outcome(proxy: &str, answers: &[&[u8]]) -> Result<(), TunnelError> {
    let ends = |piece| match converse(tunnel(proxy, "example.com"), answers, piece).1 {
        Ok(TunnelProgress::Open { .. }) => Ok(()),
        Ok(TunnelProgress::Incomplete) => panic!("unfinished"),
        Err(error) => Err(error),
    };
    for piece in 1..20 {
        assert_eq!(ends(piece), ends(1000), "pieces of {piece}");
    }
    ends(1000)
}

#[test]
fn connect_names_the_server_and_the_credentials() {
    let agent = format!("User-Agent: ws-handshake/{}\r\n", env!("CARGO_PKG_VERSION"));
    let plain = send(&mut tunnel("http://p", "example.com"));
    assert_eq!(
        String::from_utf8_lossy(&plain),
        format!("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n{agent}\r\n")
    );
    let request = send(&mut tunnel("http://Aladdin:open%20sesame@p", "::1"));
    assert_eq!(
        String::from_utf8_lossy(&request),
        format!(
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n{agent}\
            Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        )
    );
    assert_eq!(
        send(&mut tunnel("http://Aladdin:open%20sesame@p", "[::1]")),
        request
    );
}

#[test]
fn headers_of_the_users_are_in_the_request() {
    let proxy = Proxy::parse("http://u:p@p").expect("a proxy");
    let sent = |proxy: &Proxy| {
        let bytes = send(&mut Tunnel::new(proxy, "h", 443).expect("a target"));
        String::from_utf8(bytes).expect("ASCII")
    };
    let own = proxy.clone().header("user-agent", "a/1");
    let own = own.and_then(|proxy| proxy.header("Proxy-Authorization", "Bearer x"));
    let own = own
        .and_then(|proxy| proxy.header("X-Tenant", "7"))
        .expect("fine");
    assert_eq!(
        sent(&own),
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nuser-agent: a/1\r\n\
        Proxy-Authorization: Bearer x\r\nX-Tenant: 7\r\n\r\n"
    );
    assert!(!sent(&proxy.clone().without_user_agent()).contains("User-Agent"));
    for (name, value) in [
        ("X", "a\r\nb"),
        ("X:", "a"),
        ("Host", "h"),
        ("User-Agent", "\n"),
    ] {
        let refused = proxy.clone().header(name, value).map(drop);
        assert_eq!(refused.expect_err("refused").kind(), "bad_header");
    }
}

#[test]
fn the_bytes_after_the_head_are_the_servers() {
    let input = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\nserver";
    let whole = input.len() - b"server".len();
    for split in 0..whole {
        let mut tunnel = tunnel("http://p", "example.com");
        send(&mut tunnel);
        assert_eq!(
            tunnel.receive(&input[..split]),
            Ok(TunnelProgress::Incomplete)
        );
        let consumed = whole - split;
        assert_eq!(
            tunnel.receive(&input[split..]),
            Ok(TunnelProgress::Open { consumed })
        );
    }
}

#[test]
fn a_refusal_of_connect_has_its_status() {
    let refused = |answer: &[u8]| outcome("http://p", &[answer]).expect_err("refused");
    for status in [101, 301, 403, 407, 502] {
        let answer =
            format!("HTTP/1.1 {status} Some reason\r\nContent-Length: 4\r\n\r\nbody and more");
        let TunnelError::Refused(response) = refused(answer.as_bytes()) else {
            panic!("not refused");
        };
        assert_eq!(
            (response.status, &*response.reason),
            (status, "Some reason")
        );
        assert_eq!(response.body, b"body");
    }
    assert_eq!(refused(b"SSH-2.0-x\r\n\r\n").kind(), "bad_status_line");
    assert_eq!(
        refused(b"HTTP/2.0 200 OK\r\n\r\n").kind(),
        "bad_http_version"
    );
    assert_eq!(refused(b"HTTP/1.1 200 OK\n\n").kind(), "bad_line_ending");
    assert_eq!(refused(&[b'x'; 9000]).kind(), "head_too_large");
    assert_eq!(refused(b"\x15\x03\x01\0\x02\x02\x46").kind(), "tls_reply");
    let for_ever = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    assert_eq!(refused(&for_ever).kind(), "too_many_interim");
}

#[test]
fn a_refusal_names_status_challenge_and_the_first_line_of_its_page() {
    let page = "<html><title>Cache Access Denied</title><p>Sorry</html>";
    let answer = format!(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n\
        Proxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    assert_eq!(
        outcome("http://p", &[answer.as_bytes()])
            .expect_err("refused")
            .to_string(),
        "the proxy answered 407 Proxy Authentication Required; it asks for Negotiate; \
        it asks for Basic realm=\"corp\"; its page begins \"Cache Access Denied\""
    );
    let portal =
        b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        outcome("http://p", &[portal])
            .expect_err("refused")
            .to_string(),
        "the proxy answered 302 Found; it leads to http://portal.example/"
    );
}

#[test]
fn a_page_that_the_end_of_the_stream_ends_is_told_then() {
    let mut tunnel = tunnel("http://p", "example.com");
    send(&mut tunnel);
    let answer = b"HTTP/1.1 403 Forbidden\r\n\r\nBlocked by policy\n";
    assert_eq!(tunnel.receive(answer), Ok(TunnelProgress::Incomplete));
    let error = tunnel.eof();
    assert_eq!(
        error.to_string(),
        "the proxy answered 403 Forbidden; its page begins \"Blocked by policy\""
    );
    assert_eq!(tunnel.receive(b"more"), Err(error));
    let mut silent = crate::tunnel("http://p", "example.com");
    assert_eq!(silent.eof(), TunnelError::Lost);
    assert_eq!(crate::tunnel("socks5://p", "h").eof(), TunnelError::Lost);
}

#[test]
fn of_a_page_without_end_no_more_than_its_start_is_kept() {
    let mut tunnel = tunnel("http://p", "example.com");
    send(&mut tunnel);
    let head = b"HTTP/1.1 403 Forbidden\r\n\r\n";
    assert_eq!(tunnel.receive(head), Ok(TunnelProgress::Incomplete));
    let Err(TunnelError::Refused(response)) = tunnel.receive(&[b'x'; 5000]) else {
        panic!("not refused");
    };
    assert_eq!((response.body.len(), response.truncated), (4096, true));
}

#[test]
fn interim_answers_are_together_no_longer_than_one_head() {
    let ends = |len: usize| {
        let interim = |len: usize| {
            let (start, end) = ("HTTP/1.1 103 Early Hints\r\nA: ", "\r\n\r\n");
            let value = "x".repeat(len - start.len() - end.len());
            format!("{start}{value}{end}")
        };
        let answer = [interim(4096), interim(len - 4096)].concat() + "HTTP/1.1 200 OK\r\n\r\n";
        outcome("http://p", &[answer.as_bytes()])
    };
    assert_eq!(ends(8192), Ok(()));
    assert_eq!(
        ends(8193).map_err(|error| error.kind()),
        Err("head_too_large")
    );
}

#[test]
fn debug_tells_what_is_spoken_and_no_password() {
    for (proxy, shown) in [
        ("http://user:secret@p", "Tunnel(\"http\")"),
        ("socks5://user:secret@p", "Tunnel(\"socks5\")"),
    ] {
        assert_eq!(format!("{:?}", tunnel(proxy, "h")), shown);
        let proxy = Proxy::parse(proxy).expect("a proxy");
        assert!(proxy.has_credentials());
        let shown = format!("{proxy:?}");
        assert!(
            shown.contains("user") && !shown.contains("secret"),
            "{shown}"
        );
    }
    assert!(!Proxy::parse("http://p").expect("a proxy").has_credentials());
    let mut over = tunnel("socks5://p", "h");
    over.receive(b"\x04").expect_err("another version");
    assert_eq!(format!("{over:?}"), "Tunnel(\"over\")");
}

#[test]
fn a_proxy_that_answers_before_it_is_asked_opens_nothing() {
    let mut tunnel = tunnel("http://p", "h");
    tunnel.sent(3);
    assert_eq!(
        tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\n"),
        Err(TunnelError::TooEarly)
    );
    // It may well refuse.
    let mut tunnel = self::tunnel("http://p", "h");
    let refused = tunnel.receive(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(refused.map_err(|error| error.kind()), Err("refused"));
    let mut tunnel = self::tunnel("socks5://p", "h");
    assert_eq!(tunnel.receive(b"\x05\0"), Err(TunnelError::TooEarly));
    let mut tunnel = self::tunnel("socks5://p", "h");
    send(&mut tunnel);
    assert_eq!(
        tunnel.receive(b"\x05\0\x05\0\0\x01\x7f\0\0\x01\0\x50"),
        Err(TunnelError::TooEarly)
    );
}

#[test]
fn an_error_stays_and_the_servers_bytes_are_refused() {
    let mut tunnel = tunnel("http://p", "h");
    send(&mut tunnel);
    let error = tunnel
        .receive(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        .expect_err("refused");
    assert_eq!(tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\n"), Err(error));
    let mut tunnel = self::tunnel("http://p", "h");
    send(&mut tunnel);
    tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\n").expect("open");
    assert_eq!(
        tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\n"),
        Err(TunnelError::Lost)
    );
}

#[test]
fn targets_that_would_break_the_request_are_refused() {
    let long = "x".repeat(256);
    for proxy in ["http://p", "socks5://p"] {
        let proxy = Proxy::parse(proxy).expect("a proxy");
        for host in [
            "",
            "a b",
            "h\r\nX: y",
            "h\0",
            "h:1",
            "a/b",
            "u@h",
            "[::1",
            &long,
        ] {
            let error = Tunnel::new(&proxy, host, 443).expect_err(host);
            assert_eq!(error.kind(), "bad_target");
        }
        assert!(Tunnel::new(&proxy, "h", 0).is_err());
        assert!(Tunnel::new(&proxy, &long[1..], 1).is_ok());
    }
}

#[test]
fn socks_sends_names_as_names_and_addresses_as_addresses() {
    let opened = b"\x05\0\0\x01\x7f\0\0\x01\0\x50";
    let said = |proxy, host| converse(tunnel(proxy, host), &[b"\x05\0", opened], 1).0;
    let [greeting, request] = &said("socks5://p", "example.com")[..] else {
        panic!("two messages");
    };
    assert_eq!(greeting, b"\x05\x01\0");
    assert_eq!(request, b"\x05\x01\0\x03\x0bexample.com\x01\xbb");
    assert_eq!(
        said("socks5://p", "192.0.2.1")[1],
        b"\x05\x01\0\x01\xc0\0\x02\x01\x01\xbb"
    );
    let v6 = b"\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb";
    assert_eq!(said("socks5://p", "::1")[1], v6);
    assert_eq!(said("socks5://p", "[::1]")[1], v6);
    assert_eq!(said("socks5://u:p@p", "h")[0], b"\x05\x02\0\x02");
}

#[test]
fn socks_authenticates_when_it_is_asked_to() {
    let opened = b"\x05\0\0\x01\x7f\0\0\x01\0\x50";
    let answers: [&[u8]; 3] = [b"\x05\x02", b"\x01\0", opened];
    for piece in 1..12 {
        let tunnel = tunnel("socks5://user:pass@p", "h");
        let (said, progress) = converse(tunnel, &answers, piece);
        assert!(matches!(progress, Ok(TunnelProgress::Open { .. })));
        assert_eq!(said[1], b"\x01\x04user\x04pass");
        assert_eq!(said[2], b"\x05\x01\0\x03\x01h\x01\xbb");
    }
    assert_eq!(
        outcome("socks5://user:pass@p", &[b"\x05\x02", b"\x01\x07"]),
        Err(TunnelError::BadCredentials { status: 7 })
    );
    assert_eq!(
        outcome("socks5://p", &[b"\x05\xff"]),
        Err(TunnelError::NoMethod)
    );
    // A method that was not offered.
    for answer in [b"\x05\x02", b"\x05\x01"] {
        assert_eq!(
            outcome("socks5://p", &[answer]),
            Err(TunnelError::BadSocksReply)
        );
    }
}

#[test]
fn socks_replies_have_any_kind_of_address_and_nothing_is_read_beyond() {
    let replies: [&[u8]; 4] = [
        b"\x05\0\0\x01\0\0\0\0\0\0",
        b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x05\0\0\x03\x04host\0\0",
        b"\x05\0\0\x03\0\0\0",
    ];
    for reply in replies {
        for split in 0..reply.len() {
            let mut tunnel = tunnel("socks5://p", "h");
            send(&mut tunnel);
            assert_eq!(tunnel.receive(b"\x05\0"), Ok(TunnelProgress::Incomplete));
            send(&mut tunnel);
            assert_eq!(
                tunnel.receive(&reply[..split]),
                Ok(TunnelProgress::Incomplete)
            );
            let rest = [&reply[split..], b"server"].concat();
            let consumed = reply.len() - split;
            assert_eq!(tunnel.receive(&rest), Ok(TunnelProgress::Open { consumed }));
        }
    }
}

#[test]
fn socks_failures_are_told_apart() {
    let mut names = BTreeSet::new();
    let mut texts = BTreeSet::new();
    for code in 1..=255 {
        let reply = [5, code];
        let Err(TunnelError::Socks(reply)) = outcome("socks5://p", &[b"\x05\0", &reply]) else {
            panic!("not refused");
        };
        assert_eq!(reply.code(), code);
        assert_eq!(matches!(reply, SocksReply::Other(_)), code > 8);
        names.insert(reply.kind());
        texts.insert(reply.to_string());
    }
    assert_eq!((names.len(), texts.len()), (9, 255));
    assert!(names.contains("ttl_expired") && texts.contains("reply 9"));
    for (answers, kind) in [
        (&[&b"HTTP/1.1 400"[..]][..], "not_socks5"),
        (&[b"\x04\x5a"], "not_socks5"),
        (&[b"\x05\0", b"\x05\0\0\x02"], "bad_socks_reply"),
        (&[b"\x05\0", b"\0"], "not_socks5"),
    ] {
        let error = outcome("socks5://p", answers).expect_err("refused");
        assert_eq!(error.kind(), kind);
    }
    let refused = outcome("socks5://u:p@p", &[b"\x05\x02", b"\x05\0"]);
    assert_eq!(refused, Err(TunnelError::BadSocksReply));
}

/// A header of version 2.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

/// Headers that are whole, and the client in them.
fn headers() -> Vec<(Vec<u8>, Option<SocketAddr>)> {
    let address = |text: &str| Some(text.parse().expect("an address"));
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let v4 = [192, 0, 2, 7, 203, 0, 113, 1, 0x30, 0x39, 0, 80];
    let with_additions = [
        &v4[..],
        &[0x03, 0, 4, 1, 2, 3, 4],
        &[0x04, 0, 200],
        &[0; 200],
    ]
    .concat();
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    v6[16..32].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    v6[32..34].copy_from_slice(&443_u16.to_be_bytes());
    v6[34..].copy_from_slice(&8443_u16.to_be_bytes());
    vec![
        (
            b"PROXY TCP4 192.0.2.7 203.0.113.1 12345 80\r\n".to_vec(),
            address("192.0.2.7:12345"),
        ),
        (
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n".to_vec(),
            address("255.255.255.255:65535"),
        ),
        (
            b"PROXY TCP6 ::1 2001:db8::2 1 2\r\n".to_vec(),
            address("[::1]:1"),
        ),
        (
            format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").into_bytes(),
            address(&format!("[{longest}]:65535")),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (
            format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").into_bytes(),
            None,
        ),
        (v2(0x20, 0, &[]), None),
        (v2(0x20, 0xff, &[1, 2, 3]), None),
        (v2(0x21, 0, &[1, 2, 3]), None),
        (v2(0x21, 0x11, &v4), address("192.0.2.7:12345")),
        (v2(0x21, 0x11, &with_additions), address("192.0.2.7:12345")),
        (v2(0x21, 0x21, &v6), address("[2001:db8::1]:443")),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x20, 0, &[0; 4096 - 16]), None),
    ]
}

#[test]
fn a_proxy_header_is_read_whole_and_every_part_of_it_waits_for_more() {
    for (header, source) in headers() {
        for end in 0..header.len() {
            assert_eq!(ProxyHeader::parse(&header[..end]), Ok(None), "{end} bytes");
        }
        for more in [&b""[..], b"GET / HTTP/1.1\r\n", &[0xff; 5000]] {
            let input = [&header, more].concat();
            let (parsed, consumed) = ProxyHeader::parse(&input).expect("valid").expect("whole");
            assert_eq!((parsed.source(), consumed), (source, header.len()));
        }
    }
}

#[test]
fn a_proxy_header_names_what_the_client_connected_to() {
    let destinations: Vec<_> = headers()
        .into_iter()
        .filter_map(|(header, _)| ProxyHeader::parse(&header).ok().flatten()?.0.destination())
        .map(|destination| destination.to_string())
        .collect();
    let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    assert_eq!(
        destinations,
        [
            "203.0.113.1:80",
            "0.0.0.0:0",
            "[2001:db8::2]:2",
            longest,
            "203.0.113.1:80",
            "203.0.113.1:80",
            "[2001:db8::2]:8443",
        ]
    );
}

#[test]
fn a_proxy_is_trusted_for_its_address() {
    let peers = [
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "10.1.2.3",
        "11.1.2.3",
    ];
    let network = "10.0.0.0/8".parse().expect("a network");
    for (trusted, of_peers) in [
        (TrustedProxies::new(), [false; 5]),
        (
            TrustedProxies::new().loopback(),
            [true, true, true, false, false],
        ),
        (
            TrustedProxies::new().network(network),
            [false, false, false, true, false],
        ),
        (
            TrustedProxies::new().loopback().network(network),
            [true, true, true, true, false],
        ),
    ] {
        let told = peers.map(|peer| trusted.contains(peer.parse().expect("an address")));
        assert_eq!(told, of_peers);
    }
}

#[test]
fn a_proxy_speaks_for_itself_by_local_alone() {
    let parse = |header: &[u8]| ProxyHeader::parse(header).expect("valid").expect("whole").0;
    for family in [0, 0x11, 0x31, 0xff] {
        assert_eq!(parse(&v2(0x20, family, &[0; 216])), ProxyHeader::Local);
    }
    for unnamed in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(),
        v2(0x21, 0, &[]),
        v2(0x21, 0, &[127, 0, 0, 1]),
    ] {
        assert_eq!(parse(&unnamed), ProxyHeader::Unknown);
    }
}

#[test]
fn a_unix_header_has_paths() {
    let mut body = [0; 216];
    body[..5].copy_from_slice(b"/a/b\0");
    body[108..111].copy_from_slice(b"\0ab");
    let header = v2(0x21, 0x31, &body);
    let (header, _) = ProxyHeader::parse(&header).expect("valid").expect("whole");
    let ProxyHeader::Unix {
        source,
        destination,
    } = header
    else {
        panic!("another family");
    };
    assert_eq!(
        (source.as_bytes(), destination.as_bytes()),
        (&b"/a/b"[..], &b"\0ab"[..])
    );
    assert_eq!(format!("{source:?} {destination:?}"), r#""/a/b" "\x00ab""#);
}

#[test]
fn what_is_no_proxy_header_is_told_by_rule() {
    let kind = |input: &[u8]| match ProxyHeader::parse(input) {
        Ok(_) => panic!("taken: {}", input.escape_ascii()),
        Err(error) => error.kind(),
    };
    // At the first byte that shows it.
    for input in [
        &b"GET"[..],
        b"POST",
        b"\x16\x03\x01",
        b"PROXX",
        b"\r\n\r\nx",
        b"proxy ",
        b"\0",
    ] {
        assert_eq!(kind(input), "no_header");
    }
    for text in [
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX",
        "PROXY TCP4\t",
        "PROXY TCP4 \u{e9}",
    ] {
        assert_eq!(kind(text.as_bytes()), "bad_text", "{text:?}");
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!(long.len(), ProxyHeader::MAX_V1);
    assert_eq!(kind(long.as_bytes()), "too_long");
    assert_eq!(ProxyHeader::parse(&long.as_bytes()[..106]), Ok(None));
    // Its line feed would be one byte too many, so there is nothing to wait for.
    let ends_late = format!("{}\r", &long[..106]);
    assert_eq!(kind(ends_late.as_bytes()), "bad_text");
    assert_eq!(kind(format!("{ends_late}\n").as_bytes()), "bad_text");
    assert_eq!(kind(&v2(0x11, 0x11, &[0; 12])), "bad_command");
    assert_eq!(kind(&v2(0x22, 0x11, &[0; 12])), "bad_command");
    for family in [0x01, 0x02, 0x10, 0x12, 0x22, 0x32, 0x41, 0xff] {
        assert_eq!(
            ProxyHeader::parse(&v2(0x21, family, &[0; 216])),
            Err(ProxyHeaderError::BadFamily { offered: family })
        );
    }
    assert_eq!(kind(&v2(0x21, 0x11, &[0; 11])), "too_short");
    assert_eq!(kind(&v2(0x21, 0x21, &[0; 35])), "too_short");
    assert_eq!(kind(&v2(0x21, 0x31, &[0; 215])), "too_short");
    // Its fixed part alone says so.
    assert_eq!(kind(&v2(0x20, 0x11, &[0; 4081])[..16]), "too_long");
    assert_eq!(kind(&v2(0x21, 0x11, &[0; 65535])[..16]), "too_long");
}

#[test]
fn random_bytes_never_do_harm() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let headers = headers();
    let answers: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
        b"\x05\0",
        b"\x05\0\0\x03\x04host\0\0",
    ];
    for _ in 0..20_000 {
        let mut bytes = headers[random() % headers.len()].0.clone();
        for _ in 0..random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        // What is taken once is taken so, whatever follows.
        if let Ok(Some((header, consumed))) = ProxyHeader::parse(&bytes) {
            assert!(consumed <= bytes.len());
            bytes.push(random() as u8);
            assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((header, consumed))));
        } else if ProxyHeader::parse(&bytes).is_err() {
            bytes.push(random() as u8);
            assert!(ProxyHeader::parse(&bytes).is_err());
        }

        let proxy = ["http://p", "socks5://p", "socks5://u:p@p"][random() % 3];
        let mut tunnel = tunnel(proxy, "h");
        for _ in 0..4 {
            send(&mut tunnel);
            let mut answer = answers[random() % 3].to_vec();
            if random() % 2 == 0 {
                let at = random() % answer.len();
                answer[at] = random() as u8;
            }
            match tunnel.receive(&answer) {
                Ok(TunnelProgress::Open { consumed }) => assert!(consumed <= answer.len()),
                Ok(TunnelProgress::Incomplete) => {}
                Err(_) => break,
            }
        }
    }
}

#[test]
fn nothing_is_read_behind_the_last_word_of_a_proxy() {
    let server = b"the server's";
    for (proxy, answers) in [
        (
            "http://p",
            &[&b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: p\r\n\r\n"[..]][..],
        ),
        ("http://p", &[b"HTTP/1.0 200\r\n\r\n"]),
        (
            "socks5://p",
            &[b"\x05\0", b"\x05\0\0\x01\x7f\0\0\x01\0\x50"],
        ),
        (
            "socks5://u:p@p",
            &[b"\x05\x02", b"\x01\0", b"\x05\0\0\x03\x02ab\0\x50"],
        ),
        (
            "socks5://p",
            &[b"\x05\0", &[&b"\x05\0\0\x04"[..], &[0; 18]].concat()],
        ),
    ] {
        let stream = [&answers.concat()[..], server].concat();
        let (mut tunnel, mut rest) = (tunnel(proxy, "example.com"), &stream[..]);
        loop {
            tunnel.sent(usize::MAX);
            let (piece, behind) = rest.split_at(tunnel.room().min(rest.len()));
            rest = behind;
            let consumed = piece.len();
            match tunnel.receive(piece).unwrap() {
                TunnelProgress::Incomplete => {}
                open => {
                    assert_eq!(open, TunnelProgress::Open { consumed });
                    break;
                }
            }
        }
        assert_eq!(rest, server, "{proxy}");
    }
}
