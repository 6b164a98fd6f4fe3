//! Connections whose opening handshakes were made elsewhere.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    task::Waker,
    thread,
    time::Duration,
};

use mio::event::Source;
use ws_mio::{
    AdoptError, ClientRequest, CloseCode, Config, Drain, EventLoop, Handler, Handover, Message,
    NoListener, NotAdopted, OriginPolicy, Peer, PeerAddr, PeerId, Prepared, Profile, Remote,
    Server, Socket, SocketState, Transport, Uri,
    memory::{self, Duplex},
    ws_handshake::{ConnectProgress, Request, Version},
};

use crate::common::{
    self, CLOSE, Echo, Log, Probe, Running, Seen,
    bench::{Bench, READY, is_gone, quiet, take},
    closed, config, echo, expect,
    located::Located,
    masked, text, unmasked,
};

const HI: &[u8] = b"\x81\x82\x00\x00\x00\x00Hi";
/// A Close with 1001 from a server.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// A loop with an echo, and what it has seen.
fn bench(config: Config) -> (Bench<Probe>, Log) {
    let (probe, log) = Probe::new(echo);
    (Bench::new(probe, config), log)
}

/// Has a loop adopt a server's end; returns the client's.
fn adopt<H: Handler>(bench: &mut Bench<H>, data: H::Data) -> (Duplex, PeerId) {
    let (client, server) = memory::pair(4096);
    let handover = Handover::server(server, data);
    let id = bench.inner.adopt(handover).map_err(drop).unwrap();
    (client, id)
}

fn write(end: &mut Duplex, bytes: &[u8]) {
    assert_eq!(end.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
}

/// Judges a request over HTTP/2 by a configuration, and tells what it agrees to.
fn negotiate(config: &Config, extensions: &[u8]) -> Option<ws_mio::DeflateParams> {
    let fields: [(&str, &[u8]); 7] = [
        (":method", b"CONNECT"),
        (":protocol", b"websocket"),
        (":scheme", b"https"),
        (":path", b"/"),
        (":authority", b"localhost"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-extensions", extensions),
    ];
    let request = Request::from_fields(Version::HTTP_2, fields).unwrap();
    config.handshake.negotiate(&request).unwrap().deflate()
}

/// What a client agreed on with a server over HTTP/2.
fn agreed(reply: &[(&str, &[u8])]) -> ws_mio::Agreed {
    let uri = Uri::parse("ws://localhost/").unwrap();
    let request = ClientRequest::new(uri).subprotocol("chat").unwrap();
    match request.extended_connect().receive(reply.iter().copied()) {
        Ok(ConnectProgress::Agreed(agreed)) => agreed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn adopted_connection_is_open_at_once_and_what_was_read_before_comes_first() {
    let (mut bench, log) = bench(config());
    let (mut client, server) = memory::pair(4096);
    write(&mut client, b"\x81\x85\x00\x00\x00\x00there");
    let leftover = [
        HI,
        b"\x01\x85\x00\x00\x00\x00Well,\x80\x81\x00\x00\x00\x00 ",
    ]
    .concat();
    let handover = Handover::server(server, ()).leftover(leftover);
    let id = bench.inner.adopt(handover).unwrap();
    assert_eq!(take(&mut client), b"\x81\x02Hi\x81\x06Well, \x81\x05there");
    write(&mut client, CLOSE);
    bench.turn(&[id.key()]);
    assert_eq!(take(&mut client), b"\x88\x02\x03\xe8");
    drop(bench);
    let seen = [
        Seen::Open,
        text("Hi"),
        text("Well, "),
        text("there"),
        closed(1000, "", "peer"),
    ];
    assert_eq!(log.all(), seen);
}

#[test]
fn leftover_may_be_longer_than_the_read_buffer_and_end_anywhere() {
    let mut config = config();
    config.read_buffer = 1024;
    let wire = masked(0x82, &common::pattern(10_000));
    for cut in [1, 5, 9, 1024, 1033, 9_999, wire.len()] {
        let (mut bench, log) = bench(config.clone());
        let (mut client, server) = memory::pair(1 << 20);
        let handover = Handover::server(server, ()).leftover(wire[..cut].to_vec());
        let id = bench.inner.adopt(handover).unwrap();
        write(&mut client, &wire[cut..]);
        bench.turn(&[id.key()]);
        assert!(
            take(&mut client) == unmasked(0x82, &common::pattern(10_000)),
            "cut at {cut}"
        );
        // Whatever was held for it is not held any more.
        assert_eq!(bench.inner.remote().metrics().held_bytes, 0);
        drop(log);
    }
}

#[test]
fn full_loop_hands_the_connection_back_whole() {
    let mut config = config();
    config.max_connections = 1;
    let (mut bench, _log) = bench(config);
    let (_first, id) = adopt(&mut bench, ());
    let (mut client, server) = memory::pair(4096);
    let handover = Handover::server(server, ()).leftover(HI.to_vec());
    let NotAdopted { reason, handover } = bench.inner.adopt(handover).unwrap_err();
    assert!(matches!(reason, AdoptError::Full), "{reason:?}");
    assert!(!is_gone(&mut client));
    let metrics = bench.inner.remote().metrics();
    assert_eq!((metrics.adopted, metrics.over_max_connections), (1, 1));
    // It is adopted as if nothing had been, once there is room.
    bench
        .inner
        .lend()
        .with_peer(id, |_, peer| peer.abort())
        .unwrap();
    bench.turn(&[]);
    bench.inner.adopt(handover).unwrap();
    assert_eq!(take(&mut client), b"\x81\x02Hi");
}

#[test]
fn adopted_connections_count_for_their_address() {
    let mut config = config();
    config.max_connections_per_address = 1;
    let mut inner = EventLoop::new(config, Echo, || Ok(())).unwrap();
    let mut clients = Vec::new();
    let mut located = |address: &str| {
        let (client, server) = memory::pair(64);
        clients.push(client);
        Located(server, PeerAddr::Socket(address.parse().unwrap()))
    };
    let mut adopt = |inner: &mut EventLoop<_, _>, address| {
        let adopted = inner.adopt(Handover::server(located(address), ()));
        adopted.map_err(|refused| refused.reason)
    };
    let first = adopt(&mut inner, "192.0.2.1:1").unwrap();
    let refused = adopt(&mut inner, "192.0.2.1:2");
    assert!(matches!(refused, Err(AdoptError::FullForAddress)));
    adopt(&mut inner, "192.0.2.2:1").unwrap();
    inner
        .lend()
        .with_peer(first, |_, peer| peer.abort())
        .unwrap();
    adopt(&mut inner, "192.0.2.1:2").unwrap();
    let metrics = inner.remote().metrics();
    assert_eq!(metrics.over_max_connections_per_address, 1);
    assert!(inner.admit(located("192.0.2.1:3")).is_none());
}

#[test]
fn memory_of_adopted_connections_counts_and_a_loop_near_its_limit_takes_none() {
    let mut config = quiet();
    config.max_memory = 1 << 20;
    let (mut bench, _log) = bench(config);
    let mut clients = Vec::new();
    let mut frame = masked(0x82, &[0; 40_000]);
    frame.pop();
    let refused = loop {
        let (client, server) = memory::pair(64);
        clients.push(client);
        let handover = Handover::server(server, ()).leftover(frame.clone());
        if let Err(refused) = bench.inner.adopt(handover) {
            break refused;
        }
        bench.turn(&[]);
        assert!(clients.len() < 40, "what is held for them is not counted");
    };
    assert!(
        matches!(refused.reason, AdoptError::Full),
        "{:?}",
        refused.reason
    );
    let metrics = bench.inner.remote().metrics();
    assert!(metrics.held_bytes > (1 << 20) / 4 * 3);
    assert_eq!(
        (metrics.refused_over_memory, metrics.dropped_over_memory),
        (1, 0)
    );
}

#[test]
fn loop_that_drains_hands_back_and_one_that_will_drain_adopts() {
    let (mut bench, log) = bench(quiet());
    let mut drain = Drain::new(Duration::ZERO, Duration::from_secs(10));
    drain.lame_duck = Duration::from_secs(5);
    bench.inner.remote().drain(&drain).unwrap();
    bench.turn(&[]);
    let (mut client, id) = adopt(&mut bench, ());
    bench.pass(Duration::from_secs(6));
    assert_eq!(take(&mut client), GOING_AWAY);
    let (mut late, server) = memory::pair(64);
    let refused = bench.inner.adopt(Handover::server(server, ())).unwrap_err();
    assert!(matches!(refused.reason, AdoptError::Stopped));
    assert!(!is_gone(&mut late));
    // The one that was adopted says what it had to say, and the loop ends.
    write(
        &mut client,
        &[HI, b"\x88\x82\x00\x00\x00\x00\x03\xe9"].concat(),
    );
    bench.turn(&[id.key()]);
    assert!(is_gone(&mut client));
    drop(client);
    bench.turn(&[id.key()]);
    assert!(!bench.goes_on);
    drop(bench);
    assert_eq!(
        log.all(),
        [Seen::Open, text("Hi"), closed(1001, "", "local")]
    );
}

#[test]
fn adopted_connection_has_topics_timers_and_metrics() {
    let (probe, log) = Probe::<false, ()>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.subscribe("news");
            peer.set_timer(0, Some(Duration::from_secs(1)));
        }
    });
    let mut bench = Bench::new(probe, quiet());
    let (mut accepted, _) = bench.connect(4096);
    let (mut adopted, _) = adopt(&mut bench, ());
    bench.turn(&[]);
    bench
        .inner
        .remote()
        .publish("news", &Prepared::new(Message::Text("new")))
        .unwrap();
    bench.pass(Duration::from_secs(2));
    for client in [&mut accepted, &mut adopted] {
        assert_eq!(take(client), b"\x81\x03new");
    }
    let metrics = bench.inner.remote().metrics();
    assert_eq!((metrics.accepted, metrics.adopted), (1, 1));
    assert_eq!((metrics.opened, metrics.open()), (2, 2));
    drop(bench);
    let timers = log.all().into_iter().filter(|seen| *seen == Seen::Timer);
    assert_eq!(timers.count(), 2);
}

#[test]
fn adopted_connection_is_asked_with_pings_and_given_up() {
    let (mut bench, log) = bench(config());
    let (mut client, _) = adopt(&mut bench, ());
    bench.pass(Duration::from_secs(60));
    assert_eq!(take(&mut client)[0], 0x89);
    assert!(is_gone(&mut client));
    drop(bench);
    assert_eq!(log.all(), [Seen::Open, closed(1006, "", "Pong timeout")]);
}

#[test]
fn flag_of_a_server_is_for_the_peers_that_the_configuration_names() {
    let network = |networks: &str| {
        let mut config = config();
        let network = networks.parse().unwrap();
        config.accept_unmasked_frame = ws_mio::ControlledNetwork::new().network(network);
        config
    };
    for (named, choice, takes) in [
        ("192.0.2.0/24", None, true),
        ("192.0.2.0/24", Some(true), true),
        ("192.0.2.0/24", Some(false), false),
        ("198.51.100.0/24", Some(true), false),
    ] {
        let mut inner = EventLoop::new(network(named), Echo, || Ok(())).unwrap();
        let (mut client, server) = memory::pair(64);
        let peer = PeerAddr::Socket("192.0.2.7:1".parse().unwrap());
        let mut handover = Handover::server(Located(server, peer), ());
        if let Some(flag) = choice {
            handover = handover.accept_unmasked_frame(flag).set_mask_to_zero(!flag);
        }
        let handover = handover.leftover(b"\x81\x02Hi".to_vec());
        inner.adopt(handover).map_err(drop).unwrap();
        let reply = take(&mut client);
        match takes {
            true => assert_eq!(reply, b"\x81\x02Hi"),
            false => assert_eq!(reply[2..4], [0x03, 0xea], "{named} {choice:?}"),
        }
    }
}

/// Says hello as a client, and writes down what the server has agreed to.
struct Hello(Sender<Option<String>>);

impl Handler for Hello {
    type Data = ();

    fn on_connected(&mut self, peer: &mut Peer<'_, ()>, agreed: &ws_mio::Agreed) {
        assert!(peer.is_server());
        self.0.send(agreed.subprotocol.clone()).unwrap();
        peer.send_text("Hi");
    }
}

#[test]
fn adopted_client_masks_and_is_told_what_was_agreed() {
    let (tell, told) = mpsc::channel();
    let mut config = config();
    config.set_mask_to_zero = ws_mio::ControlledNetwork::new().loopback();
    let mut inner = EventLoop::new(config, Hello(tell), || Ok(())).unwrap();
    let reply: [(&str, &[u8]); 2] = [(":status", b"200"), ("sec-websocket-protocol", b"chat")];
    let mut open = |flag: bool| {
        let (mut server, client) = memory::pair(64);
        let handover = Handover::client(client, agreed(&reply), ()).set_mask_to_zero(flag);
        inner.adopt(handover).unwrap();
        assert_eq!(told.recv().unwrap().as_deref(), Some("chat"));
        take(&mut server)
    };
    assert_eq!(open(true), HI);
    let (frame, other) = (open(false), open(false));
    assert_eq!(frame[..2], *b"\x81\x82");
    assert_ne!(frame, other, "each has a key of its own");
}

#[cfg(feature = "deflate")]
#[test]
fn compression_that_was_agreed_on_elsewhere_is_spoken() {
    let mut config = config();
    config.handshake = config.handshake.deflate(ws_mio::DeflatePolicy::new());
    let params = negotiate(&config, b"permessage-deflate");
    assert!(params.is_some());
    let (mut bench, log) = bench(config);
    let (_client, server) = memory::pair(64);
    // The example of RFC 7692 section 7.2.3.1.
    let hello = b"\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00";
    let handover = Handover::server(server, ())
        .deflate(params)
        .leftover(hello.to_vec());
    bench.inner.adopt(handover).unwrap();
    assert_eq!((log.next(), log.next()), (Seen::Open, text("Hello")));
}

#[cfg(not(feature = "deflate"))]
#[test]
fn compression_is_not_adopted_without_the_feature() {
    let mut config = config();
    config.handshake = config.handshake.deflate(ws_mio::DeflatePolicy::new());
    let params = negotiate(&config, b"permessage-deflate");
    let (mut bench, _log) = bench(common::config());
    let handover = Handover::server(memory::pair(64).1, ()).deflate(params);
    let refused = bench.inner.adopt(handover).unwrap_err();
    assert!(
        matches!(refused.reason, AdoptError::Config(_)),
        "{refused:?}"
    );
}

#[test]
fn profile_is_chosen_by_its_index_and_one_that_is_not_there_is_named() {
    let mut config = config();
    let mut small = Profile::default();
    small.limits.max_message = 1;
    config.profiles = vec![small];
    let (mut bench, log) = bench(config.clone());
    let made = |index| {
        let (client, server) = memory::pair(64);
        let handover = Handover::server(server, ())
            .profile(index)
            .leftover(HI.to_vec());
        (client, handover)
    };
    let (mut client, handover) = made(0);
    bench.inner.adopt(handover).unwrap();
    assert_eq!(take(&mut client)[2..4], [0x03, 0xf1]);
    let (_client, handover) = made(1);
    let refused = bench.inner.adopt(handover).unwrap_err();
    let named = "the connection is not adopted: handover.profile = 1; \
        allowed is an index of `Config::profiles`";
    assert_eq!(refused.to_string(), named);
    assert!(Socket::adopt(refused.handover, &config).is_err());
    drop(log);
}

#[test]
fn handler_that_panics_on_open_ends_that_connection_alone() {
    let (probe, _log) = Probe::<false, ()>::new(|_, seen| assert_ne!(*seen, Seen::Open));
    let mut bench = Bench::new(probe, config());
    let (mut client, _) = adopt(&mut bench, ());
    assert_eq!(take(&mut client), b"\x88\x02\x03\xf3");
    assert_eq!(bench.inner.remote().metrics().panics, 1);
}

/// Connected sockets, of which the second is for a loop.
fn tcp() -> (TcpStream, mio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = common::dial(listener.local_addr().unwrap());
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    (client, mio::net::TcpStream::from_std(stream))
}

/// Hands a connection over, and waits until that is told.
fn hand_over<H>(remote: &Remote<H>, index: Option<usize>) -> (TcpStream, Result<PeerId, AdoptError>)
where
    H: Handler<Data = ()> + 'static,
{
    let (client, stream) = tcp();
    let (tell, told) = mpsc::channel();
    let told_by = move |adopted: Result<PeerId, NotAdopted<_>>| {
        tell.send(adopted.map_err(|refused| refused.reason))
            .unwrap();
    };
    let handover = Handover::server(stream, ());
    match index {
        None => remote.adopt(handover, told_by).unwrap(),
        Some(index) => remote.adopt_on(index, handover, told_by).unwrap(),
    }
    (client, told.recv_timeout(PATIENCE).unwrap())
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs an echo on some loops that accept nothing.
fn loops(threads: usize) -> Running<Echo> {
    let mut config = config();
    config.threads = threads;
    let server = Server::without_listener(config).unwrap();
    let nowhere = "127.0.0.1:0".parse().unwrap();
    Running::of(server, nowhere, |server| server.run_with(|_| Echo))
}

#[test]
fn remote_hands_connections_to_the_loop_with_the_fewest() {
    let server = loops(3);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (client, adopted) = hand_over(&server.remote, Some(1));
        adopted.unwrap();
        clients.push(client);
    }
    for _ in 0..8 {
        let (client, adopted) = hand_over(&server.remote, None);
        adopted.unwrap();
        clients.push(client);
    }
    for index in 0..3 {
        let (tell, told) = mpsc::channel();
        let count = move |context: &mut ws_mio::Loop<'_, Echo>| {
            tell.send(context.connections()).unwrap();
        };
        server.remote.run(index, count).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 4, "of loop {index}");
    }
    for mut client in clients {
        client.write_all(HI).unwrap();
        expect(&mut client, b"\x81\x02Hi");
    }
}

#[test]
fn burst_of_handovers_is_spread_before_the_loops_have_looked() {
    let mut config = config();
    config.threads = 2;
    let server: Server<Echo> = Server::without_listener(config).unwrap();
    let remote = server.remote();
    let (tell, told) = mpsc::channel();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let (client, stream) = tcp();
        let tell = tell.clone();
        let told_by = move |adopted: Result<PeerId, NotAdopted<_>>| {
            tell.send(adopted.is_ok()).unwrap();
        };
        remote.adopt(Handover::server(stream, ()), told_by).unwrap();
        clients.push(client);
    }
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let running = Running::of(server, nowhere, |server| server.run_with(|_| Echo));
    for _ in 0..10 {
        assert!(told.recv_timeout(PATIENCE).unwrap());
    }
    for index in 0..2 {
        let (tell, told) = mpsc::channel();
        let count = move |context: &mut ws_mio::Loop<'_, Echo>| {
            tell.send(context.connections()).unwrap();
        };
        running.remote.run(index, count).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 5, "of loop {index}");
    }
}

#[test]
fn what_no_loop_takes_is_handed_back_and_told_once() {
    let mut server = loops(1);
    let (_client, adopted) = hand_over(&server.remote, Some(7));
    assert!(matches!(adopted, Err(AdoptError::NoLoop(7))), "{adopted:?}");
    server.stop();
    let (_client, adopted) = hand_over(&server.remote, None);
    assert!(matches!(adopted, Err(AdoptError::Stopped)), "{adopted:?}");
    let (_client, adopted) = hand_over(&server.remote, Some(0));
    assert!(matches!(adopted, Err(AdoptError::Stopped)), "{adopted:?}");

    // A server that never runs drops what was handed over to it.
    let server: Server<Echo> = Server::without_listener(config()).unwrap();
    let (tell, told) = mpsc::channel();
    let (_client, stream) = tcp();
    let told_by = move |adopted: Result<PeerId, NotAdopted<_>>| {
        tell.send(adopted.map_err(|refused| refused.reason))
            .unwrap();
    };
    let remote = server.remote();
    remote.adopt(Handover::server(stream, ()), told_by).unwrap();
    drop(remote);
    drop(server);
    assert!(matches!(
        told.recv_timeout(PATIENCE).unwrap(),
        Err(AdoptError::Stopped)
    ));
}

#[test]
fn remote_drain_tells_adopted_connections() {
    let mut server = loops(1);
    let (mut client, adopted) = hand_over(&server.remote, None);
    adopted.unwrap();
    let drain = Drain::new(Duration::ZERO, PATIENCE);
    server.remote.drain(&drain).unwrap();
    expect(&mut client, GOING_AWAY);
    client
        .write_all(b"\x88\x82\x00\x00\x00\x00\x03\xe9")
        .unwrap();
    assert_eq!(common::rest(client), b"");
    server.join();
}

/// Hands over, from a handler, what another thread has made.
struct Site {
    remote: Remote<Self>,
    from_elsewhere: Receiver<mio::net::TcpStream>,
}

impl Handler for Site {
    type Data = u32;

    fn on_message(&mut self, peer: &mut Peer<'_, u32>, message: Message<'_>) {
        if let Ok(stream) = self.from_elsewhere.try_recv() {
            let number = *peer.data() + 1;
            let id = peer.id();
            let remote = self.remote.clone();
            let told = move |adopted: Result<PeerId, NotAdopted<_, u32>>| {
                let name = Prepared::new(Message::Text(match adopted {
                    Ok(_) => "adopted",
                    Err(_) => "refused",
                }));
                remote.send(id, &name).unwrap();
            };
            self.remote
                .adopt(Handover::server(stream, number), told)
                .unwrap();
        }
        peer.send_text(&format!("{} {message:?}", peer.data()));
    }
}

#[test]
fn handler_hands_over_through_its_remote() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let (send, from_elsewhere) = mpsc::channel();
    let site = Site {
        remote: server.remote(),
        from_elsewhere,
    };
    let address = server.local_addr().unwrap();
    let running = Running::of(server, address, |server| server.run(site));
    let mut first = running.connect();
    let (mut second, stream) = tcp();
    send.send(stream).unwrap();
    first.write_all(HI).unwrap();
    expect(&mut first, b"\x81\x0c0 Text(\"Hi\")\x81\x07adopted");
    second.write_all(HI).unwrap();
    expect(&mut second, b"\x81\x0c1 Text(\"Hi\")");
}

/// A stream that no poll watches, and that wakes whoever waits for it.
#[derive(Clone)]
struct Pipe(Arc<Mutex<Pipes>>);

struct Pipes {
    came: VecDeque<u8>,
    went: Vec<u8>,
    room: usize,
    waker: Waker,
}

struct PipeEnd {
    pipe: Pipe,
    waker: Waker,
}

impl Pipe {
    fn new(room: usize) -> (Self, PipeEnd) {
        let pipe = Self(Arc::new(Mutex::new(Pipes {
            came: VecDeque::new(),
            went: Vec::new(),
            room,
            waker: Waker::noop().clone(),
        })));
        let waker = Waker::noop().clone();
        (pipe.clone(), PipeEnd { pipe, waker })
    }

    /// Does something to the stream, and wakes the other end from this thread.
    fn act(&self, act: impl FnOnce(&mut Pipes)) {
        let mut pipes = self.0.lock().unwrap();
        act(&mut pipes);
        let waker = pipes.waker.clone();
        drop(pipes);
        waker.wake();
    }

    /// Waits until so many bytes went out in all.
    fn wait_for(&self, len: usize) -> Vec<u8> {
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            let went = self.0.lock().unwrap().went.clone();
            if went.len() >= len {
                return went;
            }
            thread::yield_now();
        }
        panic!("nothing comes");
    }
}

impl Transport for PipeEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipes = self.pipe.0.lock().unwrap();
        if pipes.came.is_empty() {
            pipes.waker = self.waker.clone();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipes.came.read(buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipes = self.pipe.0.lock().unwrap();
        let taken = slices[0].len().min(pipes.room);
        if taken == 0 {
            pipes.waker = self.waker.clone();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipes.room -= taken;
        pipes.went.extend(&slices[0][..taken]);
        Ok(taken)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Unknown
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn waker(&mut self) -> Option<&mut Waker> {
        Some(&mut self.waker)
    }

    fn footprint(&self) -> usize {
        10_000
    }
}

#[test]
fn transport_without_a_source_wakes_the_loop_from_any_thread() {
    let server = Server::with_listener(NoListener::new(), config()).unwrap();
    let remote = server.remote();
    let running = thread::spawn(move || server.run(Echo));
    let (pipe, end) = Pipe::new(6);
    remote
        .adopt(Handover::server(end, ()), |adopted| {
            assert!(adopted.is_ok())
        })
        .unwrap();
    pipe.act(|pipes| pipes.came.extend(HI));
    assert_eq!(pipe.wait_for(4), b"\x81\x02Hi");
    // The next echo has room for half of it, and then for the rest.
    pipe.act(|pipes| pipes.came.extend(HI));
    assert_eq!(pipe.wait_for(6), b"\x81\x02Hi\x81\x02");
    pipe.act(|pipes| pipes.room = 100);
    assert_eq!(pipe.wait_for(8), b"\x81\x02Hi\x81\x02Hi");
    remote.stop().unwrap();
    assert_eq!(pipe.wait_for(12)[8..], *GOING_AWAY);
    pipe.act(|pipes| pipes.came.extend(b"\x88\x82\x00\x00\x00\x00\x03\xe9"));
    running.join().unwrap().unwrap();
    // Nobody is there to be woken.
    pipe.act(|_| {});
}

#[test]
fn waker_of_a_connection_that_is_gone_wakes_nobody_else() {
    let mut inner = EventLoop::new(quiet(), Echo, || Ok(())).unwrap();
    let (first, end) = Pipe::new(100);
    let id = inner
        .adopt(Handover::server(end, ()))
        .map_err(drop)
        .unwrap();
    let stale = first.0.lock().unwrap().waker.clone();
    inner.lend().with_peer(id, |_, peer| peer.abort()).unwrap();
    let (second, end) = Pipe::new(100);
    let next = inner
        .adopt(Handover::server(end, ()))
        .map_err(drop)
        .unwrap();
    assert_eq!(id.key(), next.key());
    // It has come, and nothing has said so.
    second.0.lock().unwrap().came.extend(HI);
    stale.wake();
    inner.start_turn(Duration::from_millis(1));
    inner.finish_turn();
    assert_eq!(second.0.lock().unwrap().went, b"");
    second.act(|_| {});
    inner.start_turn(Duration::from_millis(2));
    inner.finish_turn();
    assert_eq!(second.0.lock().unwrap().went, b"\x81\x02Hi");
}

#[test]
fn footprint_of_an_adopted_transport_counts_until_it_is_gone() {
    let mut inner = EventLoop::new(quiet(), Echo, || Ok(())).unwrap();
    let held = |inner: &mut EventLoop<_, _>| {
        inner.start_turn(Duration::from_millis(1));
        inner.finish_turn();
        inner.remote().metrics().held_bytes
    };
    let (_pipe, end) = Pipe::new(100);
    let adopted = inner.adopt(Handover::server(end, ()));
    let id = adopted.map_err(drop).unwrap();
    assert_eq!(held(&mut inner), 10_000);
    let aborted = inner.lend().with_peer(id, |_, peer| peer.abort());
    aborted.unwrap();
    assert_eq!(held(&mut inner), 0);
}

#[test]
fn accepted_transport_without_a_source_has_a_waker_too() {
    let mut inner = EventLoop::new(quiet(), Echo, || Ok(())).unwrap();
    let (pipe, end) = Pipe::new(1000);
    let key = inner.admit(end).unwrap();
    inner.wake(key, READY);
    pipe.act(|pipes| pipes.came.extend(common::REQUEST));
    inner.start_turn(Duration::from_millis(1));
    inner.finish_turn();
    assert_eq!(pipe.0.lock().unwrap().went, common::REPLY);
}

#[test]
fn socket_adopts_in_either_role() {
    let reply: [(&str, &[u8]); 2] = [(":status", b"200"), ("sec-websocket-protocol", b"chat")];
    let (near, far) = memory::pair(4096);
    let config = config();
    let (mut said, log) = Probe::<false, String>::new(|peer, seen| {
        assert_eq!(peer.data(), "of the client");
        if *seen == Seen::Open {
            peer.send_text("Hello");
        }
        if let Seen::Text(_) = seen {
            peer.close(CloseCode::NORMAL, "");
        }
    });
    let data = "of the client".to_owned();
    let handover = Handover::client(near, agreed(&reply), data);
    let mut client = Socket::adopt(handover, &config).unwrap();
    assert_eq!(
        client.agreed().unwrap().subprotocol.as_deref(),
        Some("chat")
    );
    let handover = Handover::server(far, ()).leftover(HI.to_vec());
    let mut server = Socket::adopt(handover, &config).unwrap();
    // Both want to be called at once, for the application to hear of them.
    let (mut echo, server_log) = Probe::<false, ()>::new(echo);
    assert!(
        client
            .next_timeout()
            .is_some_and(|at| at <= std::time::Instant::now())
    );
    assert_eq!(client.handle_timeout(&mut said).unwrap(), SocketState::Open);
    assert_eq!(server.handle_timeout(&mut echo).unwrap(), SocketState::Open);
    for _ in 0..4 {
        client.ready(READY, &mut said).unwrap();
        server.ready(READY, &mut echo).unwrap();
    }
    drop((said, echo));
    // The echo of its own message came behind its Close.
    let seen = [
        Seen::Open,
        text("Hi"),
        text("Hello"),
        closed(1000, "", "local"),
    ];
    assert_eq!(log.all(), seen);
    let seen = [
        Seen::Open,
        text("Hi"),
        text("Hello"),
        closed(1000, "", "peer"),
    ];
    assert_eq!(server_log.all(), seen);
}

#[test]
fn peer_that_no_loop_takes_is_told_with_a_close() {
    let mut config = config();
    config.max_connections = 1;
    let (mut bench, _log) = bench(config);
    let _first = adopt(&mut bench, ());
    let (mut client, server) = memory::pair(64);
    let refused = bench.inner.adopt(Handover::server(server, ())).unwrap_err();
    refused.turn_away();
    assert_eq!(take(&mut client), b"\x88\x02\x03\xf5");
    assert!(is_gone(&mut client));
    let (mut server, client) = memory::pair(64);
    let handover = Handover::client(client, agreed(&[(":status", b"200")]), ());
    let refused = bench.inner.adopt(handover).unwrap_err();
    refused.turn_away();
    let frame = take(&mut server);
    assert_eq!(frame[..2], *b"\x88\x82");
}

#[test]
fn socket_does_not_adopt_with_a_configuration_that_is_wrong() {
    let mut config = Config::new(OriginPolicy::Any);
    config.close_timeout = Duration::ZERO;
    let handover = Handover::server(memory::pair(64).1, ());
    let refused = Socket::adopt(handover, &config).unwrap_err();
    assert!(
        matches!(refused.reason, AdoptError::Config(_)),
        "{refused:?}"
    );
}

/// Bytes that an idle connection of a loop holds.
fn idle_bytes(mut open: impl FnMut(&mut EventLoop<Echo, Duplex>, Duplex)) -> f64 {
    let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let mut ends = Vec::with_capacity(2001);
    let mut more = |inner: &mut EventLoop<Echo, Duplex>, count| {
        for _ in 0..count {
            inner.start_turn(Duration::ZERO);
            let (mut client, server) = memory::pair(1024);
            open(inner, server);
            take(&mut client);
            ends.push(client);
            inner.finish_turn();
        }
    };
    more(&mut inner, 1);
    let info = allocation_counter::measure(|| more(&mut inner, 2000));
    info.bytes_current as f64 / 2000.0
}

#[test]
fn idle_adopted_connection_holds_what_an_accepted_one_does() {
    let adopted = idle_bytes(|inner, server| {
        let handover = Handover::server(server, ()).leftover(HI.to_vec());
        inner.adopt(handover).unwrap();
    });
    let accepted = idle_bytes(|inner, server| {
        inner.admit(server).unwrap();
    });
    assert!(adopted <= accepted + 1.0, "{adopted} and {accepted} bytes");
}
