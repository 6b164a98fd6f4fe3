//! TLS in memory: loops that are driven by hand, and a wire that is seen.

use std::{cell::RefCell, io::IoSlice, rc::Rc, time::Duration};

use ws_mio::{
    ClientRequest, ClientTls, CloseCode, Closed, Commands, Config, Connect, ControlledNetwork,
    Decision, EventLoop, Handler, Incoming, Message, OpenError, Peer, Ready, ServerTls, Tls,
    TlsError, Transport, Uri,
    memory::{self, Duplex},
    ws_proto::Masking,
    ws_tls::{
        TlsConnection,
        rustls::{
            pki_types::{CertificateDer, pem::PemObject},
            version::{TLS12, TLS13},
        },
        server_name,
    },
};
use ws_testkit::{
    certificates::Ca,
    tls::{FIRST_BYTES, HOST, Side, VERSIONS, client_of, records, server_of, speaking},
};

use crate::{
    common,
    common::{
        Echo, REQUEST, config,
        counted::{Calls, Counted},
        masked, pattern,
    },
};

const ALL: Ready = Ready {
    readable: true,
    writable: true,
    read_closed: false,
};

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse(&format!("wss://{HOST}/chat")).unwrap())
}

// --- two loops ---

/// What a client is to send, and what became of it.
#[derive(Default)]
struct Story {
    messages: Vec<Vec<u8>>,
    fragments: Vec<Vec<u8>>,
    got: Vec<Vec<u8>>,
    masks_with_zero: Option<bool>,
    closed: Option<String>,
    failed: Option<OpenError>,
}

/// Sends everything once it is connected, and closes once it is all back.
struct Client(Rc<RefCell<Story>>);

impl Handler for Client {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        let mut story = self.0.borrow_mut();
        let Masking::Client(masking) = peer.masking() else {
            unreachable!("it is a client")
        };
        story.masks_with_zero = Some(masking.set_mask_to_zero());
        for message in &story.messages {
            peer.send_binary(message);
        }
        let last = story.fragments.len().saturating_sub(1);
        for (i, fragment) in story.fragments.iter().enumerate() {
            peer.send_fragment(&fragment[..], i == last);
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let mut story = self.0.borrow_mut();
        story.got.push(message.as_bytes().to_vec());
        let expected = story.messages.len() + usize::from(!story.fragments.is_empty());
        if story.got.len() == expected {
            peer.close(CloseCode::NORMAL, "");
        }
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        self.0.borrow_mut().closed = Some(closed.cause.name().to_owned());
    }

    fn on_connect_failed(&mut self, (): (), error: OpenError, _: &mut Commands<()>) {
        self.0.borrow_mut().failed = Some(error);
    }
}

fn tell(
    story: Story,
    client_tls: &ClientTls,
    server_tls: &ServerTls,
    capacity: usize,
    adjust: impl Fn(&mut Config),
) -> Story {
    let mut config = config();
    config.max_backpressure = 1 << 30;
    adjust(&mut config);
    let story = Rc::new(RefCell::new(story));
    let mut client = EventLoop::new(config.clone(), Client(story.clone()), || Ok(())).unwrap();
    let mut server = EventLoop::new(config, Echo, || Ok(())).unwrap();
    let (near, far) = memory::pair(capacity);
    let near = Tls::client(near, client_tls, server_name(HOST).unwrap()).unwrap();
    client
        .lend()
        .connect_over(near, Connect::new(request(), ()));
    server.admit(Tls::server(far, server_tls).unwrap()).unwrap();
    let mut turns = 0_u64;
    while client.lend().connections() + server.lend().connections() > 0 {
        let now = Duration::from_nanos(turns);
        client.start_turn(now);
        client.wake(0, ALL);
        client.finish_turn();
        server.start_turn(now);
        server.wake(0, ALL);
        server.finish_turn();
        turns += 1;
        assert!(turns < 20_000_000, "nothing moves");
    }
    drop(client);
    Rc::into_inner(story).unwrap().into_inner()
}

#[test]
fn messages_come_back_in_both_versions_however_little_the_wire_holds() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        let lens = [0, 1, 125, 126, 4096, 16_384, 65_536, 1_000_000];
        for (capacity, max) in [(1, 200), (7, 5000), (4096, 70_000), (1 << 20, usize::MAX)] {
            let lens = lens.iter().filter(|len| **len <= max);
            let messages: Vec<_> = lens.map(|len| pattern(*len)).collect();
            let fragments: Vec<_> = [3, 100, 0, 999.min(max)].map(pattern).to_vec();
            let story = Story {
                messages: messages.clone(),
                fragments: fragments.clone(),
                ..Story::default()
            };
            let story = tell(story, &client, &server, capacity, |_| {});
            let expected = [messages, vec![fragments.concat()]].concat();
            assert!(story.failed.is_none(), "{:?}", story.failed);
            assert!(story.got == expected, "{capacity}");
            assert_eq!(story.closed.as_deref(), Some("local"));
            assert_eq!(story.masks_with_zero, Some(false));
        }
    }
}

#[test]
fn both_flags_are_used_over_tls_where_they_need_it() {
    let (client, server) = speaking(&TLS13);
    let story = Story {
        messages: vec![pattern(100), pattern(100_000)],
        ..Story::default()
    };
    let story = tell(story, &client, &server, 1 << 16, |config| {
        let network = ControlledNetwork::new().loopback().require_tls();
        config.accept_unmasked_frame = network.clone();
        config.set_mask_to_zero = network;
    });
    assert_eq!(story.masks_with_zero, Some(true));
    assert_eq!(story.got, [pattern(100), pattern(100_000)]);
}

#[test]
fn client_is_told_why_there_is_no_tls() {
    let ca = Ca::new("ours");
    for (identity, is_cause) in ca.wrong_for(HOST) {
        let story = tell(
            Story::default(),
            &client_of(&ca),
            &server_of(&identity),
            4096,
            |_| {},
        );
        match story.failed {
            Some(OpenError::Tls(error)) => assert!(is_cause(&error), "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Writes down which certificates clients show.
struct Shown(Rc<RefCell<Vec<CertificateDer<'static>>>>);

impl Handler for Shown {
    type Data = ();

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, ()> {
        let tls = incoming.tls().unwrap().state();
        let shown = tls.peer_certificates().unwrap_or_default();
        self.0.borrow_mut().extend(shown.iter().cloned());
        incoming.decide()
    }

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}
}

#[test]
fn mutual_tls_lets_in_whom_it_knows() {
    let ca = Ca::new("ours");
    let (identity, pem, mine) = (ca.issue(HOST), ca.pem(), ca.issue("client.example"));
    let server = ServerTls::builder()
        .identity(identity.cert.as_bytes(), identity.key.as_bytes())
        .client_ca(pem.as_bytes())
        .build()
        .unwrap();
    let client = ClientTls::builder()
        .ca(pem.as_bytes())
        .identity(mine.cert.as_bytes(), mine.key.as_bytes())
        .build()
        .unwrap();
    let hello = || Story {
        messages: vec![b"Hello".to_vec()],
        ..Story::default()
    };
    let story = tell(hello(), &client, &server, 4096, |_| {});
    assert_eq!(story.got, [b"Hello"]);
    let story = tell(hello(), &client_of(&ca), &server, 4096, |_| {});
    let failed = story.failed.unwrap();
    assert!(
        matches!(failed, OpenError::Tls(TlsError::NoClientCertificate(_))),
        "{failed:?}"
    );

    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut bench = Bench::new(Shown(seen.clone()), 1 << 16, &(client, server));
    bench.open(usize::MAX);
    let mine = CertificateDer::from_pem_slice(mine.cert.as_bytes()).unwrap();
    assert_eq!(*seen.borrow(), [mine]);
}

#[test]
fn wss_is_never_asked_for_in_plaintext() {
    let story = Rc::new(RefCell::new(Story::default()));
    let mut client = EventLoop::new(config(), Client(story.clone()), || Ok(())).unwrap();
    let (near, mut far) = memory::pair(4096);
    let near = Tls::plain(near);
    client
        .lend()
        .connect_over(near, Connect::new(request(), ()));
    client.start_turn(Duration::ZERO);
    client.wake(0, ALL);
    client.finish_turn();
    assert!(matches!(story.borrow().failed, Some(OpenError::NoTls)));
    assert_eq!(far.read(&mut [0; 100]).unwrap(), 0, "nothing was sent");
}

// --- a loop, and a client whose every byte is seen ---

/// A server's loop, and what speaks TLS with it.
struct Bench<H: Handler> {
    inner: EventLoop<H, Tls<Counted>>,
    /// How often the loop has read and written.
    calls: Calls,
    key: usize,
    wire: Duplex,
    side: Side,
}

impl<H: Handler> Bench<H> {
    fn new(handler: H, capacity: usize, tls: &(ClientTls, ServerTls)) -> Self {
        let inner = EventLoop::new(config(), handler, || Ok(())).unwrap();
        Self::over(inner, capacity, tls)
    }

    fn over(
        mut inner: EventLoop<H, Tls<Counted>>,
        capacity: usize,
        tls: &(ClientTls, ServerTls),
    ) -> Self {
        let (wire, server) = memory::pair(capacity);
        let calls = Rc::default();
        let server = Counted::new(server, &calls);
        let key = inner.admit(Tls::server(server, &tls.1).unwrap()).unwrap();
        Self {
            inner,
            calls,
            key,
            wire,
            side: Side::begun(&tls.0),
        }
    }

    fn turn(&mut self) {
        self.inner.start_turn(Duration::ZERO);
        self.inner.wake(self.key, ALL);
        self.inner.finish_turn();
    }

    /// Gives turns until neither side has more to say; so many bytes of ours
    /// at a time.
    fn talk(&mut self, piece: usize) {
        let mut idle = 0;
        while idle < 3 {
            idle += 1;
            for mut piece in self.side.sent().chunks(piece) {
                while !piece.is_empty() {
                    if let Ok(len) = self.wire.write(&[IoSlice::new(piece)]) {
                        piece = &piece[len..];
                    }
                    self.turn();
                    self.listen();
                }
            }
            self.turn();
            if self.listen() {
                idle = 0;
            }
        }
    }

    /// Reads what came; tells whether anything did.
    fn listen(&mut self) -> bool {
        let mut came = false;
        let mut buffer = vec![0; 65_536];
        while let Ok(len @ 1..) = self.wire.read(&mut buffer) {
            came = true;
            self.side.receive(&buffer[..len]).unwrap();
        }
        came
    }

    fn say(&mut self, bytes: &[u8]) {
        self.side.send(bytes);
    }

    /// Opens the WebSocket.
    fn open(&mut self, piece: usize) {
        self.talk(piece);
        self.say(REQUEST);
        self.talk(piece);
        assert!(self.side.plain.starts_with(b"HTTP/1.1 101 "));
        self.side.plain.clear();
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    for version in VERSIONS {
        let mut bench = Bench::new(Echo, 1 << 16, &speaking(version));
        bench.open(1);
        bench.say(&masked(0x81, b"Hi"));
        bench.talk(1);
        assert_eq!(bench.side.plain, b"\x81\x02Hi");
    }
}

#[test]
fn peer_that_stops_reading_within_records_gets_everything_later() {
    for version in VERSIONS {
        let mut bench = Bench::new(Echo, 10_000, &speaking(version));
        bench.open(usize::MAX);
        let message = pattern(300_000);
        bench.say(&masked(0x82, &message));
        let bytes = bench.side.sent();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // It writes, and reads nothing for a while.
            if let Ok(len) = bench.wire.write(&[IoSlice::new(rest)]) {
                rest = &rest[len..];
            }
            bench.turn();
        }
        bench.talk(usize::MAX);
        assert!(bench.side.plain == common::unmasked(0x82, &message));
    }
}

#[test]
fn close_then_close_notify_then_the_end_of_the_stream() {
    // TLS 1.2 shows in a record's header that it is an alert.
    let mut bench = Bench::new(Echo, 1 << 16, &speaking(&TLS12));
    bench.open(usize::MAX);
    bench.say(common::CLOSE);
    let sent = bench.side.sent();
    bench.wire.write(&[IoSlice::new(&sent)]).unwrap();
    bench.turn();
    let mut buffer = vec![0; 1000];
    let len = bench.wire.read(&mut buffer).unwrap();
    let (data, alert) = (23, 21);
    let seen: Vec<_> = records(&buffer[..len])
        .iter()
        .map(|(kind, _)| *kind)
        .collect();
    assert_eq!(seen, [data, alert]);
    let end = bench.wire.read(&mut [0; 100]).unwrap();
    assert_eq!(end, 0, "the end of the stream is behind them");
    assert!(bench.side.receive(&buffer[..len]).unwrap());
    assert_eq!(bench.side.plain, b"\x88\x02\x03\xe8");
    assert_eq!(bench.inner.lend().connections(), 0);
}

/// Writes down how its connection ended.
#[derive(Default)]
struct Ends(Rc<RefCell<Vec<String>>>);

impl Handler for Ends {
    type Data = ();

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        self.0.borrow_mut().push(closed.cause.name().to_owned());
    }
}

#[test]
fn stream_that_ends_without_a_close_is_lost() {
    for says_close_notify in [false, true] {
        let ends = Ends::default();
        let seen = ends.0.clone();
        let mut bench = Bench::new(ends, 1 << 16, &speaking(&TLS13));
        bench.open(usize::MAX);
        if says_close_notify {
            bench.side.close();
            bench.talk(usize::MAX);
        }
        bench.wire.shutdown().unwrap();
        bench.talk(usize::MAX);
        assert_eq!(*seen.borrow(), ["lost"]);
        assert_eq!(bench.inner.lend().connections(), 0);
    }
}

#[test]
fn record_that_was_changed_ends_the_connection() {
    let ends = Ends::default();
    let seen = ends.0.clone();
    let mut bench = Bench::new(ends, 1 << 16, &speaking(&TLS13));
    bench.open(usize::MAX);
    bench.say(&masked(0x81, b"Hi"));
    let mut bytes = bench.side.sent();
    *bytes.last_mut().unwrap() ^= 1;
    bench.wire.write(&[IoSlice::new(&bytes)]).unwrap();
    bench.turn();
    assert_eq!(*seen.borrow(), ["io"]);
    assert_eq!(bench.inner.lend().connections(), 0);
}

/// Sends a server's loop some first bytes and the end of the stream, and
/// returns what it answered, and how many handshakes it counts as failed.
fn first_bytes(tls: &ServerTls, bytes: &[u8]) -> (Vec<u8>, u64) {
    let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let (mut wire, server) = memory::pair(1 << 16);
    let key = inner.admit(Tls::server(server, tls).unwrap()).unwrap();
    wire.write(&[IoSlice::new(bytes)]).ok();
    wire.shutdown().unwrap();
    for _ in 0..4 {
        inner.start_turn(Duration::ZERO);
        inner.wake(key, ALL);
        inner.finish_turn();
    }
    assert_eq!(inner.lend().connections(), 0);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = wire.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..len]);
    }
    (answer, inner.remote().metrics().handshakes_failed)
}

#[test]
fn first_bytes_on_a_port_for_tls_are_answered() {
    let (_, server) = speaking(&TLS13);
    for (bytes, answer) in FIRST_BYTES {
        let (answered, failed) = first_bytes(&server, bytes);
        assert!(answered.starts_with(answer), "{bytes:?}: {answered:?}");
        assert_eq!(answer.is_empty(), answered.is_empty());
        assert_eq!(failed, 1);
    }
}

#[test]
fn tls_on_a_port_for_plaintext_is_refused_at_once() {
    let (client, _) = speaking(&TLS13);
    let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let (mut wire, server) = memory::pair(1 << 16);
    inner.admit(Tls::plain(server)).unwrap();
    let mut side = Side::begun(&client);
    wire.write(&[IoSlice::new(&side.sent())]).unwrap();
    inner.start_turn(Duration::ZERO);
    inner.wake(0, ALL);
    inner.finish_turn();
    let mut answer = vec![0; 4096];
    let len = wire.read(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    let error = side.receive(&answer[..len]).unwrap_err();
    assert!(matches!(error, TlsError::NotTls(_)), "{error:?}");
}

// --- what it costs ---

#[test]
fn turn_makes_one_read_and_one_write() {
    for version in VERSIONS {
        let mut bench = Bench::new(Echo, 1 << 20, &speaking(version));
        bench.open(usize::MAX);
        for (messages, len) in [(1, 16), (1, 20_000), (16, 16), (16, 1024), (10, 5000)] {
            bench.say(&masked(0x82, &pattern(len)).repeat(messages));
            let bytes = bench.side.sent();
            bench.wire.write(&[IoSlice::new(&bytes)]).unwrap();
            bench.calls.set((0, 0));
            bench.turn();
            assert_eq!(bench.calls.get(), (1, 1), "{messages} of {len} bytes");
            bench.listen();
            assert!(bench.side.plain == common::unmasked(0x82, &pattern(len)).repeat(messages));
            bench.side.plain.clear();
        }
    }
}

#[test]
fn idle_connection_has_no_buffer() {
    const COUNT: usize = 200;
    for version in VERSIONS {
        let tls = speaking(version);
        let mut inner = Some(EventLoop::new(config(), Echo, || Ok(())).unwrap());
        let mut wires = Vec::with_capacity(COUNT + 1);
        let mut open = |count| {
            for _ in 0..count {
                let mut bench = Bench::over(inner.take().unwrap(), 1 << 20, &tls);
                bench.open(usize::MAX);
                for len in [100, 16_384, 200_000] {
                    bench.say(&masked(0x82, &pattern(len)));
                    bench.talk(usize::MAX);
                }
                wires.push(bench.wire);
                inner = Some(bench.inner);
            }
        };
        // What threads and loops have once is there with the first.
        open(1);
        let info = allocation_counter::measure(|| open(COUNT));
        let each = info.bytes_current as f64 / COUNT as f64;
        println!("{:?}: {each} bytes", version.version);
        // A buffer of rustls' own would be 4 KiB alone.
        assert!(each <= 4096.0, "{:?}: {each} bytes", version.version);
    }
}

#[test]
fn storm_of_handshakes_leaves_open_connections_their_turn() {
    let tls = speaking(&TLS13);
    let mut bench = Bench::new(Echo, 1 << 16, &tls);
    bench.open(usize::MAX);
    let hello = Side::begun(&tls.0).sent();
    let mut storm: Vec<_> = (0..100)
        .map(|_| {
            let (mut wire, server) = memory::pair(1 << 16);
            let server = Counted::new(server, &bench.calls);
            let server = Tls::server(server, &tls.1).unwrap();
            let key = bench.inner.admit(server).unwrap();
            wire.write(&[IoSlice::new(&hello)]).unwrap();
            (wire, key)
        })
        .collect();
    let mut waiting = storm.len();
    /// Returns how many more were answered.
    fn answered(storm: &mut Vec<(Duplex, usize)>) -> usize {
        let before = storm.len();
        storm.retain_mut(|(wire, _)| wire.read(&mut [0; 8192]).is_err());
        before - storm.len()
    }
    bench.inner.start_turn(Duration::ZERO);
    for (_, key) in &storm {
        bench.inner.wake(*key, ALL);
    }
    let per_turn = config().tls_handshakes_per_turn;
    assert!(bench.inner.finish_turn());
    let mut turns = 1;
    loop {
        let done = answered(&mut storm);
        assert!(done <= per_turn, "{done}");
        waiting -= done;
        if waiting == 0 {
            break;
        }
        // Each turn serves the open connection too.
        assert_eq!(bench.inner.next_timeout(), Some(Duration::ZERO));
        bench.say(&masked(0x81, b"Hi"));
        let bytes = bench.side.sent();
        bench.wire.write(&[IoSlice::new(&bytes)]).unwrap();
        bench.turn();
        assert!(bench.listen());
        assert_eq!(bench.side.plain, b"\x81\x02Hi");
        bench.side.plain.clear();
        turns += 1;
    }
    assert_eq!(turns, 100_usize.div_ceil(per_turn));
}

const MAX_MEMORY: usize = 200_000;

/// A loop that may hold little.
fn narrow() -> EventLoop<Echo, Tls<Counted>> {
    let mut config = config();
    config.max_memory = MAX_MEMORY;
    EventLoop::new(config, Echo, || Ok(())).unwrap()
}

#[test]
fn handshakes_that_come_in_part_are_dropped_when_memory_is_short() {
    let (_, server) = speaking(&TLS13);
    let mut inner = narrow();
    let mut peers: Vec<_> = (0..20)
        .map(|_| {
            let (wire, end) = memory::pair(1 << 16);
            let end = Tls::server(Counted::new(end, &Rc::default()), &server).unwrap();
            (wire, inner.admit(end).unwrap())
        })
        .collect();
    // The first record of a ClientHello of 60,000 bytes.
    let hello = [b"\x16\x03\x01\x3f\xff\x01\x00\xea\x60", &[0; 0x3ffb][..]].concat();
    for (wire, key) in &mut peers {
        wire.write(&[IoSlice::new(&hello)]).unwrap();
        inner.start_turn(Duration::ZERO);
        inner.wake(*key, ALL);
        inner.finish_turn();
    }
    let left = inner.lend().connections();
    assert!((1..=MAX_MEMORY / hello.len()).contains(&left), "{left}");
    assert_eq!(
        inner.remote().metrics().dropped_over_memory,
        20 - left as u64
    );
    // Those that were dropped hold nothing, nor do those that end.
    drop(peers);
    for key in 0..20 {
        for _ in 0..2 {
            inner.start_turn(Duration::ZERO);
            inner.wake(key, ALL);
            inner.finish_turn();
        }
    }
    assert_eq!(inner.lend().connections(), 0);
    let (_wire, end) = memory::pair(1 << 16);
    let end = Tls::server(Counted::new(end, &Rc::default()), &server).unwrap();
    inner.admit(end).unwrap();
}

#[test]
fn records_that_come_in_part_are_dropped_when_memory_is_short() {
    let tls = speaking(&TLS13);
    let mut inner = Some(narrow());
    let mut peers: Vec<_> = (0..20)
        .map(|_| {
            let mut bench = Bench::over(inner.take().unwrap(), 1 << 16, &tls);
            bench.open(usize::MAX);
            bench.say(&masked(0x82, &pattern(16_000)));
            inner = Some(bench.inner);
            (bench.key, bench.wire, bench.side.sent())
        })
        .collect();
    let mut inner = inner.unwrap();
    let turn = |inner: &mut EventLoop<_, _>, key: usize| {
        inner.start_turn(Duration::ZERO);
        inner.wake(key, ALL);
        inner.finish_turn();
    };
    for (key, wire, out) in &mut peers {
        wire.write(&[IoSlice::new(&out[..10_000])]).unwrap();
        turn(&mut inner, *key);
    }
    let left = inner.lend().connections();
    let each = 10_000 + TlsConnection::FOOTPRINT;
    assert!((1..=MAX_MEMORY / each).contains(&left), "{left}");
    assert_eq!(
        inner.remote().metrics().closed["over_memory"],
        20 - left as u64
    );
    // What is whole is held no longer.
    for (key, wire, out) in &mut peers {
        let _ = wire.write(&[IoSlice::new(&out[10_000..])]);
        turn(&mut inner, *key);
    }
    assert_eq!(inner.lend().connections(), left);
    let (_wire, end) = memory::pair(1 << 16);
    let end = Tls::server(Counted::new(end, &Rc::default()), &tls.1).unwrap();
    inner.admit(end).unwrap();
}

#[test]
fn text_is_text_in_both_directions() {
    let mut bench = Bench::new(Echo, 1 << 16, &speaking(&TLS13));
    bench.open(usize::MAX);
    bench.say(
        &[
            masked(0x01, "Grü".as_bytes()),
            masked(0x80, "ße".as_bytes()),
        ]
        .concat(),
    );
    bench.talk(3);
    assert_eq!(bench.side.plain, common::unmasked(0x81, "Grüße".as_bytes()));
}

#[test]
fn state_of_tls_connections_counts_towards_max_memory() {
    const FOOTPRINT: usize = TlsConnection::FOOTPRINT;
    let mut config = config();
    config.max_memory = 8 * FOOTPRINT;
    let tls = speaking(&TLS13);
    let inner = EventLoop::new(config, Echo, || Ok(())).unwrap();
    let mut bench = Bench::over(inner, 1 << 16, &tls);
    let held = |bench: &mut Bench<Echo>| {
        bench.turn();
        bench.inner.remote().metrics().held_bytes as usize
    };
    bench.open(usize::MAX);
    assert_eq!(held(&mut bench), FOOTPRINT);
    // Up to three quarters there is room for more.
    let mut ends = Vec::new();
    loop {
        let (end, server) = memory::pair(1 << 16);
        let server = Counted::new(server, &Rc::default());
        ends.push(end);
        if bench
            .inner
            .admit(Tls::server(server, &tls.1).unwrap())
            .is_none()
        {
            break;
        }
    }
    assert_eq!(held(&mut bench), 7 * FOOTPRINT);
    assert_eq!(bench.inner.remote().metrics().refused_over_memory, 1);
    // It goes with the connection.
    bench.wire = memory::pair(1).0;
    assert_eq!(held(&mut bench), 6 * FOOTPRINT);
}
