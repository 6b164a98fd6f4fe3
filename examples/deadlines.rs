//! Cases that show that a server keeps every deadline and limit, for the tests
//! of the examples that embed `ws-proto`.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ws_proto::{Cause, EndpointConfig, KeepaliveConfig, ProtocolError, TimeLimits, Timeout};

use crate::Failure;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server for one connection: a stream, the time for the opening handshake,
/// and what the connection is configured with.
pub type Serve<'a> =
    &'a (dyn Fn(TcpStream, Duration, EndpointConfig) -> Result<Cause, Failure> + Sync);

/// What a server does to a client that sends `sent` and then waits for the end.
struct Case {
    set: fn(&mut EndpointConfig),
    sent: Vec<u8>,
    /// The client reads to the end.
    reads: bool,
    cause: Cause,
    /// What the server writes last.
    last: &'static [u8],
}

/// Checks each deadline and limit of an open connection.
///
/// # Panics
///
/// For a connection that ends otherwise than it should.
pub fn check(serve: Serve<'_>) {
    for case in cases() {
        let mut config = EndpointConfig::default();
        config.keepalive = KeepaliveConfig::OFF;
        config.time_limits = TimeLimits::UNLIMITED;
        config.close_timeout = SHORT;
        config.max_outbox = usize::MAX;
        (case.set)(&mut config);
        let sent = [REQUEST, &case.sent].concat();
        let (outcome, seen) = exchange(serve, LONG, config, &sent, case.reads);
        assert_eq!(outcome.unwrap(), case.cause);
        let mut seen = &seen[..];
        if case.cause == Cause::Timeout(Timeout::Pong) {
            // On a slow machine the next Ping is due before the deadline of the first.
            while let Some(earlier) = seen.strip_suffix(b"\x89\x04\0\0\0\x02") {
                seen = earlier;
            }
        }
        assert!(
            seen.ends_with(case.last),
            "{:?}: {}",
            case.cause,
            seen.escape_ascii()
        );
    }
}

/// Checks what is answered to a request that does not come, and to a bad one.
///
/// # Panics
///
/// For any other answer.
pub fn check_handshake(serve: Serve<'_>) {
    let bad = &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..];
    for (sent, status) in [
        (&b"GET /"[..], &b"HTTP/1.1 408 "[..]),
        (bad, b"HTTP/1.1 4"),
        (b"\r\n\r\n\r\n\r\n\r\n", b"HTTP/1.1 400 "),
    ] {
        let config = EndpointConfig::default();
        let (outcome, seen) = exchange(serve, SHORT, config, sent, true);
        assert!(outcome.is_err());
        assert!(seen.starts_with(status), "{}", seen.escape_ascii());
    }
}

fn cases() -> Vec<Case> {
    let masked = |first, payload: &[u8]| {
        let len = payload.len() as u8;
        [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
    };
    let long = [
        &b"\x82\xff\0\0\0\0\x01\0\0\0\0\0\0\0"[..],
        &vec![0; 1 << 24],
    ]
    .concat();
    let timeout = |timeout, set, sent, last| Case {
        set,
        sent,
        reads: timeout != Timeout::Write,
        cause: Cause::Timeout(timeout),
        last,
    };
    vec![
        timeout(
            Timeout::Pong,
            |config| {
                config.keepalive.ping_interval = Some(SHORT);
                config.keepalive.pong_timeout = Some(SHORT);
            },
            Vec::new(),
            b"\x89\x04\0\0\0\x01",
        ),
        timeout(
            Timeout::Idle,
            |config| config.keepalive.idle_timeout = Some(SHORT),
            Vec::new(),
            b"\x88\x0e\x03\xe9idle_timeout",
        ),
        timeout(
            Timeout::Lifetime,
            |config| config.time_limits.lifetime = Some(SHORT),
            masked(0x81, b"hi"),
            b"\x81\x02hi\x88\x0a\x03\xe9lifetime",
        ),
        timeout(
            Timeout::Message,
            |config| config.time_limits.message = Some(SHORT),
            masked(0x01, b"begin"),
            b"\x88\x11\x03\xf0message_timeout",
        ),
        timeout(
            Timeout::Write,
            |config| config.time_limits.write_progress = Some(SHORT),
            long,
            b"",
        ),
        timeout(
            Timeout::Close,
            |_| {},
            masked(0x81, b"bye"),
            b"\x81\x03bye\x88\x02\x03\xe8",
        ),
        Case {
            set: |config| config.time_limits.max_control_rate = 10,
            // Too many wherever a second begins.
            sent: masked(0x8a, b"").repeat(21),
            reads: true,
            cause: Cause::ControlFlood,
            last: b"\x88\x0f\x03\xf0control_flood",
        },
        Case {
            set: |config| config.limits.max_message = 4,
            sent: masked(0x81, b"12345"),
            reads: true,
            cause: Cause::Protocol(ProtocolError::MessageTooBig { len: 5, limit: 4 }),
            last: b"message_too_big",
        },
        Case {
            set: |_| {},
            sent: [masked(0x89, b"?"), masked(0x88, b"\x03\xe8")].concat(),
            reads: true,
            cause: Cause::Peer,
            last: b"\x8a\x01?\x88\x02\x03\xe8",
        },
    ]
}

/// Sends bytes to a server, and returns how its connection ended and what it
/// wrote.
fn exchange(
    serve: Serve<'_>,
    time: Duration,
    config: EndpointConfig,
    sent: &[u8],
    reads: bool,
) -> (Result<Cause, Failure>, Vec<u8>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(move || serve(server, time, config));
        client.write_all(sent).unwrap();
        let mut seen = Vec::new();
        if reads {
            // A reset is an end, too.
            let _ = client.read_to_end(&mut seen);
        }
        let outcome = server.join().unwrap();
        (outcome, seen)
    })
}
