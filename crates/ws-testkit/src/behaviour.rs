//! How a server behaves over time, the same over each way to drive `ws-proto`: a table of cases,
//! and a trait for whatever serves them.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ws_proto::{EndpointConfig, KeepaliveConfig, PeerAddr, TimeLimits, Timeout};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What serves one connection: it sends messages back, and closes with 1000 after "bye".
pub trait Server: Sync {
    /// Whether [`Settings::unmasked_from_loopback`] can be asked for.
    const HAS_FLAG: bool = true;

    /// Returns the defaults of `handshake_timeout` and `close_timeout`.
    fn default_times(&self) -> [Duration; 2] {
        [
            Duration::from_secs(10),
            EndpointConfig::default().close_timeout,
        ]
    }

    /// Serves a connection until it ends, and returns the name of the
    /// [cause](ws_proto::Cause::name) that the application is told.
    ///
    /// # Errors
    ///
    /// Why it never was open.
    fn serve(&self, stream: TcpStream, settings: &Settings) -> Result<String, String>;
}

/// What a connection is served with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the opening handshake may take.
    pub handshake_timeout: Duration,
    /// Limits and times of the connection.
    pub endpoint: EndpointConfig,
    /// Where the transport says that the peer is.
    pub peer: PeerAddr,
    /// The flag `accept-unmasked-frame` is on for peers on this machine.
    pub unmasked_from_loopback: bool,
}

impl Settings {
    /// Nothing has a limit but the closing handshake and the end.
    fn unlimited() -> Self {
        let mut endpoint = EndpointConfig::default();
        endpoint.keepalive = KeepaliveConfig::OFF;
        endpoint.time_limits = TimeLimits::UNLIMITED;
        endpoint.close_timeout = SHORT;
        endpoint.max_backpressure = usize::MAX;
        Self {
            handshake_timeout: LONG,
            endpoint,
            peer: PeerAddr::Local,
            unmasked_from_loopback: false,
        }
    }
}

/// What a server does to a client that sends `sent` and then waits for the end.
struct Case {
    set: fn(&mut Settings),
    sent: Vec<u8>,
    then: Then,
    cause: &'static str,
    /// What the server writes last.
    last: &'static [u8],
}

/// What a client does after it has sent everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It reads to the end.
    Read,
    /// It reads nothing.
    Wait,
    /// It ends its direction, and reads to the end.
    End,
}

/// Checks each deadline and limit of an open connection, and what the application is told of it.
///
/// # Panics
///
/// For a connection that ends otherwise than it should.
pub fn check<S: Server>(server: &S) {
    assert_eq!(server.default_times(), [Duration::from_secs(10); 2]);
    for case in cases(S::HAS_FLAG) {
        let mut settings = Settings::unlimited();
        (case.set)(&mut settings);
        let sent = [REQUEST, &case.sent].concat();
        let (told, seen) = exchange(server, &settings, &sent, case.then);
        assert_eq!(told.as_deref(), Ok(case.cause), "{}", seen.escape_ascii());
        let is_last = seen.ends_with(case.last);
        assert!(is_last, "{}: {}", case.cause, seen.escape_ascii());
    }
}

/// Checks what is answered to a request that does not come, and to a bad one.
///
/// # Panics
///
/// For any other answer.
pub fn check_handshake<S: Server>(server: &S) {
    let bad = &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..];
    for (sent, status) in [
        (&b"GET /"[..], &b"HTTP/1.1 408 "[..]),
        (bad, b"HTTP/1.1 4"),
        (b"\r\n\r\n\r\n\r\n\r\n", b"HTTP/1.1 400 "),
    ] {
        let mut settings = Settings::unlimited();
        settings.handshake_timeout = SHORT;
        let (told, seen) = exchange(server, &settings, sent, Then::Read);
        assert!(told.is_err(), "{told:?}");
        assert!(seen.starts_with(status), "{}", seen.escape_ascii());
    }
}

fn cases(has_flag: bool) -> Vec<Case> {
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
        then: match timeout {
            Timeout::Write => Then::Wait,
            _ => Then::Read,
        },
        cause: timeout.name(),
        last,
    };
    let mut cases = vec![
        timeout(
            Timeout::Pong,
            |settings| {
                settings.endpoint.keepalive.ping_interval = Some(SHORT);
                settings.endpoint.keepalive.pong_timeout = Some(SHORT);
            },
            Vec::new(),
            b"\x89\x04\0\0\0\x01",
        ),
        timeout(
            Timeout::Idle,
            |settings| settings.endpoint.keepalive.idle_timeout = Some(SHORT),
            Vec::new(),
            b"\x88\x0e\x03\xe9idle_timeout",
        ),
        timeout(
            Timeout::Lifetime,
            |settings| settings.endpoint.time_limits.lifetime = Some(SHORT),
            masked(0x81, b"hi"),
            b"\x81\x02hi\x88\x0a\x03\xe9lifetime",
        ),
        timeout(
            Timeout::Message,
            |settings| settings.endpoint.time_limits.message = Some(SHORT),
            masked(0x01, b"begin"),
            b"\x88\x11\x03\xf0message_timeout",
        ),
        timeout(
            Timeout::Write,
            |settings| settings.endpoint.time_limits.write_progress = Some(SHORT),
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
            set: |settings| settings.endpoint.time_limits.max_control_rate = 10,
            // Too many wherever a second begins.
            sent: masked(0x8a, b"").repeat(21),
            then: Then::Read,
            cause: "control_flood",
            last: b"\x88\x0f\x03\xf0control_flood",
        },
        Case {
            set: |settings| settings.endpoint.limits.max_message = 4,
            sent: masked(0x81, b"12345"),
            then: Then::Read,
            cause: "protocol",
            last: b"message_too_big",
        },
        Case {
            set: |_| {},
            sent: [masked(0x89, b"?"), masked(0x88, b"\x03\xe8")].concat(),
            then: Then::Read,
            cause: "peer",
            last: b"\x8a\x01?\x88\x02\x03\xe8",
        },
    ];
    cases.push(Case {
        set: |_| {},
        sent: masked(0x81, b"hi"),
        then: Then::End,
        cause: "lost",
        last: b"\x81\x02hi",
    });
    if has_flag {
        let unmasked = |set, cause, last| Case {
            set,
            sent: [b"\x81\x02hi", &masked(0x88, b"\x03\xe8")[..]].concat(),
            then: Then::Read,
            cause,
            last,
        };
        cases.push(unmasked(
            |settings| settings.unmasked_from_loopback = true,
            "peer",
            b"\x81\x02hi\x88\x02\x03\xe8",
        ));
        // A peer whose address is not known is in no network.
        cases.push(unmasked(
            |settings| {
                settings.unmasked_from_loopback = true;
                settings.peer = PeerAddr::Unknown;
            },
            "protocol",
            b"unmasked_frame",
        ));
    }
    cases
}

/// Sends bytes to a server, and returns what its application was told and what it wrote.
fn exchange(
    server: &impl Server,
    settings: &Settings,
    sent: &[u8],
    then: Then,
) -> (Result<String, String>, Vec<u8>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(move || server.serve(stream, settings));
        client.write_all(sent).unwrap();
        if then == Then::End {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let mut seen = Vec::new();
        if then != Then::Wait {
            // A reset is an end, too.
            let _ = client.read_to_end(&mut seen);
        }
        let told = serving.join().unwrap();
        (told, seen)
    })
}
