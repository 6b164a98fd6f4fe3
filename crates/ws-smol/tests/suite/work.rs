//! How much is done in one poll, for streams that always have more: a bounded
//! number of bytes, and then other tasks have their turn and the clock is
//! asked.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Config, Connector, Error, Limits, OriginPolicy, PeerAddr,
    Timeout, Uri,
};

use crate::support::{config, masked, run, server};

/// What a handshake may read in one poll, with the read that goes beyond it.
const HANDSHAKE_MAX: usize = 64 * 1024 + 16 * 1024;
/// What an open connection may read in one poll, with the read that goes beyond
/// it.
const OPEN_MAX: usize = 1024 * 1024 + 512 * 1024;

/// A stream that takes everything, and always has more: some bytes, and then
/// others again and again.
struct Flood {
    once: Vec<u8>,
    again: Vec<u8>,
    at: usize,
    /// How much a read brings.
    piece: usize,
    read: Arc<AtomicUsize>,
}

impl Flood {
    fn new(once: &[u8], again: &[u8]) -> Self {
        Self {
            once: once.to_vec(),
            // So that a read is a copy.
            again: again.repeat(65_536_usize.div_ceil(again.len())),
            at: 0,
            piece: usize::MAX,
            read: Arc::default(),
        }
    }

    /// Brings so many bytes a read.
    fn in_pieces(mut self, piece: usize) -> Self {
        self.piece = piece;
        self
    }

    /// Returns what counts the bytes that were read.
    fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.read)
    }
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wanted = buffer.len().min(this.piece);
        let mut len = 0;
        while len < wanted {
            let rest = match this.once.get(this.at..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => &this.again[(this.at - this.once.len()) % this.again.len()..],
            };
            let more = rest.len().min(wanted - len);
            buffer[len..len + more].copy_from_slice(&rest[..more]);
            (this.at, len) = (this.at + more, len + more);
        }
        this.read.fetch_add(len, Ordering::Relaxed);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls a future up to 50 times, and returns the most that was read in one.
fn most_in_a_poll(future: impl Future, read: &AtomicUsize) -> usize {
    let mut future = pin!(future);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut most = 0;
    for _ in 0..50 {
        let before = read.load(Ordering::Relaxed);
        let is_ready = future.as_mut().poll(cx).is_ready();
        most = most.max(read.load(Ordering::Relaxed) - before);
        if is_ready {
            break;
        }
    }
    most
}

fn acceptor(config: &Config) -> Acceptor {
    Acceptor::new(OriginPolicy::Any).config(config.clone())
}

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("ws://example.com/").unwrap())
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

#[test]
fn handshake_of_a_server_reads_a_bounded_number_of_bytes_in_a_poll() {
    // Blank lines, a head without end, and more behind what is refused.
    for (once, again) in [
        (&b""[..], &b"\r\n"[..]),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n"),
        (b"GET / HTTP/1.1\r\n\r\n", b"x"),
    ] {
        for piece in [usize::MAX, 1000, 2] {
            let flood = Flood::new(once, again).in_pieces(piece);
            let read = flood.counter();
            let acceptor = acceptor(&config());
            let most = most_in_a_poll(acceptor.accept(flood, PeerAddr::Unknown), &read);
            assert!((1..=HANDSHAKE_MAX).contains(&most), "{most} bytes");
            if piece == 2 {
                assert!(most <= 128, "{most} bytes, two at a time");
            }
        }
    }
}

#[test]
fn handshake_of_a_client_reads_a_bounded_number_of_bytes_in_a_poll() {
    for (once, again) in [
        (&b""[..], &b"HTTP/1.1 100 C\r\n\r\n"[..]),
        (b"", b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ] {
        let flood = Flood::new(once, again);
        let read = flood.counter();
        let connector = Connector::new().config(config());
        let most = most_in_a_poll(
            connector.handshake(flood, PeerAddr::Unknown, request()),
            &read,
        );
        assert!((1..=HANDSHAKE_MAX).contains(&most), "{most} bytes");
    }
}

#[test]
fn handshake_that_always_has_more_ends_at_its_time() {
    run(async {
        let mut config = config();
        config.close_timeout = Duration::from_millis(1);
        config.handshake_timeout = Duration::from_millis(20);
        config.min_head_rate = 0;
        // A head of one byte a read, so that no limit of its length is met.
        let line = Flood::new(b"GET / HTTP/1.1\r\nA: ", b"b").in_pieces(1);
        let error = acceptor(&config).accept(line, PeerAddr::Unknown).await;
        assert!(error.is_err());
        let interim = Flood::new(b"", b"HTTP/1.1 100 C\r\n\r\n");
        let connector = Connector::new().config(config.clone());
        let error = connector
            .handshake(interim, PeerAddr::Unknown, request())
            .await;
        assert!(error.is_err());
    });
}

#[test]
fn clock_is_asked_whenever_a_turn_is_over() {
    run(async {
        let mut config = config();
        config.handshake_timeout = Duration::from_nanos(1);
        // A head of one byte a read, so that no limit of its length is met.
        let flood = Flood::new(b"HTTP/1.1 101 C\r\nA: ", b"b").in_pieces(1);
        let read = flood.counter();
        let connector = Connector::new().config(config.clone());
        let outcome = connector
            .handshake(flood, PeerAddr::Unknown, request())
            .await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
        assert!(read.load(Ordering::Relaxed) <= 64);
    });
}

#[cfg(feature = "proxy")]
#[test]
fn proxies_are_read_a_bounded_number_of_bytes_in_a_poll() {
    use ws_smol::{Proxy, ProxyProtocol, TrustedProxies, tunnel};

    let proxy: Proxy = "http://proxy.example:3128".parse().unwrap();
    for again in [&b"HTTP/1.1 100 C\r\n\r\n"[..], b"\r\n"] {
        let flood = Flood::new(b"", again);
        let read = flood.counter();
        let most = most_in_a_poll(tunnel(flood, &proxy, "example.com", 80), &read);
        assert!((1..=HANDSHAKE_MAX).contains(&most), "{most} bytes");
    }
    let trusted = TrustedProxies::new().network("192.0.2.0/24".parse().unwrap());
    let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
    // As long a header as can be.
    let head = b"\r\n\r\n\0\r\nQUIT\n\x20\0\xff\xff";
    for piece in [usize::MAX, 1] {
        let flood = Flood::new(head, b"\0").in_pieces(piece);
        let read = flood.counter();
        let receiving = ProxyProtocol::new(trusted.clone());
        let most = most_in_a_poll(receiving.receive(flood, peer), &read);
        assert!((1..=HANDSHAKE_MAX).contains(&most), "{most} bytes");
    }
}

#[cfg(feature = "tls")]
#[test]
fn handshake_of_tls_reads_a_bounded_number_of_bytes_in_a_poll() {
    let server = ws_testkit::certificates::Ca::new("ca").issue("localhost");
    let tls = ws_smol::ServerTls::from_pem(server.cert.as_bytes(), server.key.as_bytes());
    let tls = tls.unwrap();
    // Records that change nothing, and a message without end.
    for (once, again) in [
        (&b""[..], &b"\x14\x03\x03\0\x01\x01"[..]),
        (b"\x16\x03\x01\x40\0\x01\0\xff\xff", b"\x16\x03\x01\x40\0"),
    ] {
        let flood = Flood::new(once, again);
        let read = flood.counter();
        let acceptor = acceptor(&config()).tls(tls.clone());
        let most = most_in_a_poll(acceptor.accept(flood, PeerAddr::Unknown), &read);
        assert!((1..=HANDSHAKE_MAX).contains(&most), "{most} bytes");
    }
}

/// Calls `receive` until it has to wait, up to 3 times over, and returns the
/// most that was read before it had to.
fn most_in_a_turn(
    read: &AtomicUsize,
    mut receive: impl FnMut(&mut Context<'_>) -> Poll<bool>,
) -> usize {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut most = 0;
    for _ in 0..3 {
        let before = read.load(Ordering::Relaxed);
        while let Poll::Ready(is_open) = receive(cx) {
            if !is_open {
                return most;
            }
            let so_far = read.load(Ordering::Relaxed) - before;
            assert!(so_far <= 2 * OPEN_MAX, "{so_far} bytes without a pause");
        }
        most = most.max(read.load(Ordering::Relaxed) - before);
    }
    most
}

#[test]
fn every_way_to_receive_lets_others_have_their_turn() {
    let mut config = config();
    config.limits = Limits::UNLIMITED;
    config.time_limits.max_control_rate = u32::MAX;
    let fragment = [masked(0x02, b""), masked(0x00, &[7; 1000])].concat();
    // Messages; one that never ends; nothing that is a message.
    for (once, again) in [
        (&b""[..], masked(0x82, &[7; 1000])),
        (&b""[..], masked(0x82, b"")),
        (&fragment[..], masked(0x00, &[7; 1000])),
        (&b""[..], masked(0x8a, b"")),
    ] {
        for piece in [usize::MAX, 1] {
            let flood = || Flood::new(once, &again).in_pieces(piece);
            let start = || {
                let flood = flood();
                (flood.counter(), server(flood, &config))
            };
            let (read, mut far) = start();
            let owned = most_in_a_turn(&read, |cx| {
                let received = pin!(far.receive()).poll(cx);
                received.map(|message| message.unwrap().is_some())
            });
            let (read, mut far) = start();
            let chunks = most_in_a_turn(&read, |cx| {
                let received = pin!(far.receive_chunk()).poll(cx);
                received.map(|chunk| chunk.unwrap().is_some())
            });
            let (read, mut far) = start();
            let handled = most_in_a_turn(&read, |cx| {
                pin!(far.receive_with(|_, _| Ok(())))
                    .poll(cx)
                    .map(Result::unwrap)
            });
            for most in [owned, chunks, handled] {
                assert!((1..=OPEN_MAX).contains(&most), "{most} bytes");
                if piece == 1 {
                    assert!(most <= 128, "{most} bytes, one at a time");
                }
            }
        }
    }
}

#[test]
fn writing_and_closing_read_a_bounded_number_of_bytes_in_a_poll() {
    let mut config = config();
    config.limits = Limits::UNLIMITED;
    for again in [masked(0x82, &[7; 1000]), masked(0x82, b"")] {
        let flood = Flood::new(b"", &again);
        let read = flood.counter();
        let mut far = server(flood, &config);
        let writing = async {
            for _ in 0..100 {
                far.send("more").await.unwrap();
            }
        };
        let most = most_in_a_poll(writing, &read);
        assert!(most <= OPEN_MAX, "{most} bytes");
        let most = most_in_a_poll(far.close(CloseCode::NORMAL, ""), &read);
        assert!((1..=OPEN_MAX).contains(&most), "{most} bytes");
    }
}

#[test]
fn connection_that_always_has_more_is_no_older_than_it_may_be() {
    run(async {
        let mut config = config();
        config.close_timeout = Duration::from_millis(5);
        config.time_limits.lifetime = Some(Duration::from_millis(5));
        let flood = Flood::new(b"", &masked(0x82, &[7; 1000]));
        let mut far = server(flood, &config);
        let error = loop {
            match far.receive().await {
                Ok(message) => assert!(message.is_some()),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, Error::Timeout(Timeout::Lifetime)),
            "{error:?}"
        );
    });
}

#[test]
fn accepted_stream_that_goes_on_is_served_in_turns() {
    run(async {
        let flood = Flood::new(HEAD, &masked(0x82, &[7; 1000]));
        let read = flood.counter();
        let mut far = acceptor(&config())
            .accept(flood, PeerAddr::Unknown)
            .await
            .unwrap();
        assert!(read.load(Ordering::Relaxed) <= HANDSHAKE_MAX);
        assert_eq!(far.receive().await.unwrap().unwrap().len(), 1000);
    });
}

#[test]
fn refused_peer_that_sends_without_end_is_read_up_to_discard_max() {
    const MOST: usize = ws_proto::DISCARD_MAX + OPEN_MAX;
    let mut config = config();
    config.close_timeout = Duration::from_secs(1000);
    let cx = &mut Context::from_waker(Waker::noop());
    // A frame that nothing was agreed on; a request that is none.
    let flood = Flood::new(b"\xff\xff", b"x");
    let read = flood.counter();
    let mut far = server(flood, &config);
    while pin!(far.receive()).poll(cx).is_pending() {
        assert!(read.load(Ordering::Relaxed) <= MOST);
    }
    assert!((1..=MOST).contains(&read.load(Ordering::Relaxed)));
    let flood = Flood::new(b"GET / HTTP/1.1\r\n\r\n", b"x");
    let read = flood.counter();
    let acceptor = acceptor(&config);
    let mut accepting = pin!(acceptor.accept(flood, PeerAddr::Unknown));
    while accepting.as_mut().poll(cx).is_pending() {
        assert!(read.load(Ordering::Relaxed) <= MOST);
    }
    assert!((1..=MOST).contains(&read.load(Ordering::Relaxed)));
}
