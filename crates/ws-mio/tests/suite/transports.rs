//! Transports other than TCP, and loops that are driven by hand.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    rc::Rc,
    time::Duration,
};

use mio::{Interest, Poll, Registry, Token, event::Source};
use ws_mio::{
    Backpressure, ClientRequest, CloseCode, Connect, EventLoop, Message, PeerAddr, Prepared, Ready,
    Transport, Uri,
    memory::{self, Duplex},
};

use crate::{
    common,
    common::{
        CLOSE, Echo, Probe, REQUEST, Seen, closed, config, counted::Counted, masked, text, unmasked,
    },
};

/// A loop, one client of it in memory, and the time.
struct Bench<H: ws_mio::Handler, T: Transport> {
    inner: EventLoop<H, T>,
    client: Duplex,
    key: usize,
    now: Duration,
}

impl<H: ws_mio::Handler, T: Transport> Bench<H, T> {
    fn new(handler: H, capacity: usize, wrap: impl FnOnce(Duplex) -> T) -> Self {
        let (client, server) = memory::pair(capacity);
        let mut inner = EventLoop::new(config(), handler, || Ok(())).unwrap();
        let key = inner.admit(wrap(server)).unwrap();
        Self {
            inner,
            client,
            key,
            now: Duration::ZERO,
        }
    }

    /// Gives the loop a turn for everything that may have changed.
    fn turn(&mut self) -> bool {
        let ready = Ready {
            readable: true,
            writable: true,
            read_closed: false,
        };
        self.inner.start_turn(self.now);
        self.inner.wake(self.key, ready);
        self.inner.finish_turn()
    }

    /// Sends all of it and returns all that comes back, turn by turn.
    fn exchange(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        let mut idle = 0;
        // Some transports do nothing for many turns.
        while idle < 64 {
            idle += 1;
            if !bytes.is_empty()
                && let Ok(len) = self.client.write(&[IoSlice::new(bytes)])
            {
                bytes = &bytes[len..];
                idle = 0;
            }
            self.turn();
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = self.client.read(&mut buffer) {
                replies.extend_from_slice(&buffer[..len]);
                idle = 0;
            }
        }
        replies
    }
}

/// Asserts that a reply is the 101 and returns what follows.
fn after_head(reply: &[u8]) -> &[u8] {
    assert!(reply.starts_with(b"HTTP/1.1 101 "), "{reply:?}");
    let end = reply.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    &reply[end + 4..]
}

#[test]
fn loop_serves_a_connection_in_memory_through_all_of_its_life() {
    let (probe, log) = Probe::<false, ()>::new(|peer, seen| {
        if let Seen::Text(text) = seen {
            assert_eq!(peer.address(), PeerAddr::Local);
            peer.send_text(text);
        }
    });
    let mut bench = Bench::new(probe, 4096, |server| server);
    let reply = bench.exchange(&[REQUEST, &masked(0x81, b"Hi")].concat());
    assert_eq!(after_head(&reply), b"\x81\x02Hi");
    assert_eq!(bench.exchange(CLOSE), b"\x88\x02\x03\xe8");
    let ready = bench.client.take_ready();
    assert!(ready.read_closed, "the loop has dropped its end");
    assert_eq!(bench.inner.lend().connections(), 0);
    drop(bench);
    let request = Seen::Request("/chat".into());
    let end = closed(1000, "", "peer");
    assert_eq!(log.all(), [request, Seen::Open, text("Hi"), end]);
}

#[test]
fn loop_reads_no_clock() {
    let mut bench = Bench::new(Echo, 4096, |server| server);
    after_head(&bench.exchange(REQUEST));
    // The keepalive's Ping, and then its end, come when we say so.
    let mut at = Vec::new();
    while let Some(next) = bench.inner.next_timeout() {
        bench.now = next.max(bench.now);
        let reply = bench.exchange(b"");
        if reply.starts_with(b"\x89") {
            at.push(bench.now);
        }
        if bench.client.take_ready().read_closed {
            at.push(bench.now);
            break;
        }
    }
    assert_eq!(at, [Duration::from_secs(30), Duration::from_secs(50)]);
}

#[test]
fn loop_of_ones_own_is_reached_and_stopped_from_elsewhere() {
    let mut bench = Bench::new(Echo, 4096, |server| server);
    after_head(&bench.exchange(REQUEST));
    let remote = bench.inner.remote();
    let message = Prepared::new(Message::Text("all"));
    std::thread::spawn(move || {
        remote.broadcast(&message).unwrap();
        remote.stop().unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(bench.exchange(b""), b"\x81\x03all\x88\x02\x03\xe9");
    assert!(bench.turn(), "the peer has not answered yet");
    bench.exchange(CLOSE);
    assert!(!bench.turn());
    let (_, late) = memory::pair(1);
    assert_eq!(bench.inner.admit(late), None);
}

#[test]
fn peer_that_reads_slowly_gets_everything_through_a_small_transport() {
    let mut bench = Bench::new(Echo, 3, |server| server);
    let payload = [7; 1000];
    let frame = masked(0x82, &payload);
    let reply = bench.exchange(&[REQUEST, &frame, &frame, CLOSE].concat());
    let echo = unmasked(0x82, &payload);
    assert_eq!(
        after_head(&reply),
        [&echo, &echo, &b"\x88\x02\x03\xe8"[..]].concat()
    );
}

/// Does what a transport may do, at the worst of times, by a random choice.
struct Moody {
    inner: Duplex,
    seed: u64,
    /// Bytes that were taken and not written yet, as a layer of encryption
    /// does.
    held: Vec<u8>,
}

impl Moody {
    fn choose(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005);
        self.seed = self.seed.wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn be_moody(&mut self) -> io::Result<()> {
        match self.choose(4) {
            0 => Err(io::ErrorKind::Interrupted.into()),
            1 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

impl Transport for Moody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.be_moody()?;
        let len = buffer.len().min(1 + self.choose(9) as usize);
        self.inner.read(&mut buffer[..len])
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.be_moody()?;
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let len = bytes.len().min(1 + self.choose(300) as usize);
        self.held.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        assert!(self.held.is_empty());
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        self.inner.peer_addr()
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn flush(&mut self) -> io::Result<bool> {
        while !self.held.is_empty() {
            match self.inner.write(&[IoSlice::new(&self.held)]) {
                Ok(len) => drop(self.held.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[test]
fn whatever_a_transport_does_within_its_contract_nothing_is_lost() {
    for seed in 0..50 {
        let mut bench = Bench::new(Echo, 64, |inner| Moody {
            inner,
            seed,
            held: Vec::new(),
        });
        let mut sent = REQUEST.to_vec();
        let mut expected = Vec::new();
        for len in [0, 1, 125, 126, 5000] {
            let payload = vec![len as u8; len];
            sent.extend(masked(0x82, &payload));
            expected.extend(unmasked(0x82, &payload));
        }
        sent.extend_from_slice(CLOSE);
        expected.extend_from_slice(b"\x88\x02\x03\xe8");
        assert!(
            after_head(&bench.exchange(&sent)) == expected,
            "seed {seed}"
        );
        // The end of the stream was not read yet, for all the loop knows.
        bench.client.shutdown().unwrap();
        bench.exchange(b"");
        assert_eq!(bench.inner.lend().connections(), 0, "seed {seed}");
    }
}

#[test]
fn turn_makes_one_read_and_one_write_however_much_there_is() {
    let calls = Rc::new(Cell::new((0, 0)));
    let mut bench = Bench::new(Echo, 1 << 20, |inner| Counted::new(inner, &calls));
    after_head(&bench.exchange(REQUEST));
    for (messages, len) in [(1, 16), (1, 20_000), (16, 16), (16, 1024), (30, 5000)] {
        let frames = masked(0x82, &vec![7; len]).repeat(messages);
        let slices = [IoSlice::new(&frames)];
        assert_eq!(bench.client.write(&slices).unwrap(), frames.len());
        calls.set((0, 0));
        bench.turn();
        assert_eq!(calls.get(), (1, 1), "{messages} of {len} bytes");
        let replies = bench.exchange(b"");
        assert!(replies == unmasked(0x82, &vec![7; len]).repeat(messages));
    }
}

#[test]
fn publications_of_a_turn_leave_in_one_write_for_each_subscriber() {
    let calls = Rc::new(Cell::new((0, 0)));
    // Every second one is not interested in sports.
    let opened = Cell::new(0);
    let (probe, _log) = Probe::<false, ()>::new(move |peer, seen| match seen {
        Seen::Open => {
            peer.subscribe("news");
            opened.set(opened.get() + 1);
            if opened.get() % 2 == 0 {
                peer.subscribe("sports");
            }
        }
        Seen::Text(text) => {
            for part in text.split(' ') {
                let (topic, text) = part.split_once(':').unwrap();
                peer.publish(topic, &Prepared::new(Message::Text(text)));
            }
        }
        _ => {}
    });
    let mut bench = Bench::new(probe, 4096, |inner| Counted::new(inner, &Rc::default()));
    after_head(&bench.exchange(REQUEST));
    let mut subscribers: Vec<Duplex> = (0..10)
        .map(|_| {
            let (mut client, inner) = memory::pair(4096);
            let key = bench.inner.admit(Counted::new(inner, &calls)).unwrap();
            client.write(&[IoSlice::new(REQUEST)]).unwrap();
            let publisher = std::mem::replace(&mut bench.key, key);
            bench.turn();
            bench.key = publisher;
            let mut head = [0; 4096];
            client.read(&mut head).unwrap();
            client
        })
        .collect();
    let mut receive = |sports: &[u8], others: &[u8]| {
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            let mut frames = [0; 4096];
            let len = subscriber.read(&mut frames).unwrap();
            let expected = if index % 2 == 0 { sports } else { others };
            assert!(frames[..len] == *expected);
        }
    };
    calls.set((0, 0));
    let texts = "news:one news:two sports:goal news:three";
    assert_eq!(bench.exchange(&masked(0x81, texts.as_bytes())), b"");
    assert_eq!(calls.get(), (0, 10));
    receive(
        b"\x81\x03one\x81\x03two\x81\x04goal\x81\x05three",
        b"\x81\x03one\x81\x03two\x81\x05three",
    );

    // So many go together, in order; more take another write.
    for (count, writes) in [(64, 10), (65, 20)] {
        calls.set((0, 0));
        let texts = ["sports:x", "news:y"].iter().cycle().take(count);
        let texts: Vec<_> = texts.copied().collect();
        let frame = masked(0x81, texts.join(" ").as_bytes());
        assert_eq!(bench.exchange(&frame), b"");
        assert!(calls.get().1 <= writes, "{calls:?}");
        let sports: Vec<u8> = texts
            .iter()
            .flat_map(|text| unmasked(0x81, &text.as_bytes()[text.len() - 1..]))
            .collect();
        receive(&sports, &b"\x81\x01y".repeat(count / 2));
    }
}

/// A transport that claims whatever it likes.
struct Liar {
    inner: Duplex,
    reads: Rc<Cell<usize>>,
    claim: usize,
}

impl Transport for Liar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        self.inner.read(buffer)?;
        Ok(self.claim)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(slices)?;
        Ok(self.claim)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Unknown
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn flush(&mut self) -> io::Result<bool> {
        Err(io::ErrorKind::Other.into())
    }
}

#[test]
fn transport_that_lies_ends_its_connection_and_nothing_else() {
    for claim in [0, 1, 1000, 600 * 1024, usize::MAX] {
        let reads = Rc::new(Cell::new(0));
        let mut bench = Bench::new(Echo, 4096, |inner| Liar {
            inner,
            reads: Rc::clone(&reads),
            claim,
        });
        let wire = [REQUEST, &masked(0x81, b"Hi"), CLOSE].concat();
        bench.exchange(&wire);
        assert!(reads.get() > 0);
        // Its request may never be whole; everything has its time.
        bench.now = Duration::from_secs(60);
        bench.turn();
        bench.now = Duration::from_secs(120);
        bench.turn();
        assert_eq!(bench.inner.lend().connections(), 0, "{claim}");
    }
}

/// A layer that takes a part of what it is given, and the rest when it is
/// asked again; its peer may tear it down.
struct Layer {
    inner: Duplex,
    is_torn: Rc<Cell<bool>>,
}

impl Transport for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.is_torn.get() {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => self.inner.read(buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let part = slices.iter().max_by_key(|slice| slice.len()).unwrap();
        match std::ptr::eq(part, &slices[0]) {
            true => self
                .inner
                .write(&[IoSlice::new(&part[..part.len().div_ceil(2)])]),
            false => self.inner.write(&slices[..1]),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

#[test]
fn what_a_layer_takes_at_a_second_try_is_drained_and_more_is_read() {
    let (probe, log) = Probe::<false, ()>::new(|peer, seen| {
        if let Seen::Text(_) = seen {
            peer.send_binary(&[7; 20_000]);
        }
    });
    let mut config = config();
    config.high_water = 1;
    let mut inner = EventLoop::new(config, probe, || Ok(())).unwrap();
    let (mut client, server) = memory::pair(1 << 20);
    let is_torn = Rc::default();
    let layer = Layer {
        inner: server,
        is_torn,
    };
    let key = inner.admit(layer).unwrap();
    let wire = [REQUEST, &masked(0x81, b"1"), &masked(0x81, b"2")].concat();
    client.write(&[IoSlice::new(&wire)]).unwrap();
    // It always has room, so nobody is told of any.
    inner.start_turn(Duration::ZERO);
    let readable = Ready {
        readable: true,
        ..Ready::default()
    };
    inner.wake(key, readable);
    assert!(inner.finish_turn());
    while inner.next_timeout() == Some(Duration::ZERO) {
        inner.start_turn(Duration::ZERO);
        assert!(inner.finish_turn());
    }
    let mut reply = vec![0; 1 << 20];
    let len = client.read(&mut reply).unwrap();
    assert_eq!(after_head(&reply[..len]).len(), 2 * 20_004);
    drop(inner);
    let seen: Vec<Seen> = log.all().into_iter().skip(2).collect();
    assert_eq!(seen, [text("1"), Seen::Drain, text("2"), Seen::Drain]);
}

#[test]
fn nothing_is_sent_to_anybody_at_the_end_of_a_connection_that_failed() {
    let (probe, _log) = Probe::<false, ()>::new(|peer, seen| match seen {
        Seen::Close(..) => assert!(matches!(peer.send("late"), Backpressure::Refused(_))),
        Seen::Text(text) => {
            peer.send(text.as_str());
        }
        _ => {}
    });
    let is_torn = Rc::new(Cell::new(false));
    let mut bench = Bench::new(probe, 4096, |inner| Layer {
        inner,
        is_torn: Rc::clone(&is_torn),
    });
    after_head(&bench.exchange(REQUEST));
    is_torn.set(true);
    bench.turn();
    assert_eq!(bench.inner.lend().connections(), 0);
    // The next one is not to read what was meant for another.
    is_torn.set(false);
    let (client, inner) = memory::pair(4096);
    bench.client = client;
    bench.key = bench.inner.admit(Layer { inner, is_torn }).unwrap();
    after_head(&bench.exchange(REQUEST));
    assert_eq!(bench.exchange(&masked(0x81, b"Hi")), b"\x81\x02Hi");
}

#[test]
fn ten_thousand_connections_in_memory_talk_in_turn() {
    let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let mut clients: Vec<(Duplex, usize)> = (0..10_000)
        .map(|_| {
            let (client, server) = memory::pair(1024);
            (client, inner.admit(server).unwrap())
        })
        .collect();
    let mut buffer = [0; 1024];
    let mut turn = |bytes: &[u8], check: fn(&[u8])| {
        inner.start_turn(Duration::ZERO);
        for (client, key) in &mut clients {
            client.write(&[IoSlice::new(bytes)]).unwrap();
            let ready = inner.transport(*key).unwrap().take_ready();
            assert!(ready.readable);
            inner.wake(*key, ready);
            let len = client.read(&mut buffer).unwrap();
            check(&buffer[..len]);
        }
        assert!(inner.finish_turn());
    };
    turn(REQUEST, |reply| assert_eq!(after_head(reply), b""));
    turn(&masked(0x81, b"Hi"), |reply| {
        assert_eq!(reply, b"\x81\x02Hi")
    });
    let peers = inner.lend().peers().count();
    assert_eq!(peers, 10_000);
}

#[cfg(unix)]
mod unix {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
        thread,
    };

    use mio::net::UnixListener;
    use ws_mio::{ControlledNetwork, Server};

    use super::*;

    #[test]
    fn server_on_a_unix_socket_talks_on_several_threads() {
        let path = std::env::temp_dir().join(format!("ws-mio-{}.socket", std::process::id()));
        let mut config = config();
        config.threads = 2;
        // Whoever can connect is on this machine.
        config.accept_unmasked_frame = ControlledNetwork::new().loopback();
        let server = Server::with_listener(UnixListener::bind(&path).unwrap(), config).unwrap();
        let remote = server.remote();
        let thread = thread::spawn(move || server.run_with(|_| Echo).unwrap());
        for _ in 0..4 {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(REQUEST).unwrap();
            common::head(&mut stream);
            let big = vec![9; 1 << 20];
            let frame = unmasked(0x82, &big);
            let mut writer = stream.try_clone().unwrap();
            let sending = thread::spawn(move || {
                writer.write_all(b"\x81\x02Hi").unwrap();
                writer.write_all(&frame).unwrap();
                writer.write_all(CLOSE).unwrap();
            });
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            sending.join().unwrap();
            let expected = [
                b"\x81\x02Hi",
                &unmasked(0x82, &big)[..],
                b"\x88\x02\x03\xe8",
            ]
            .concat();
            assert!(reply == expected);
        }
        std::fs::remove_file(&path).unwrap();
        remote.stop().unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn close_code_reaches_a_peer_on_a_unix_socket() {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut socket: ws_mio::Socket<(), mio::net::UnixStream> = ws_mio::Socket::accept(
            mio::net::UnixStream::from_std(server),
            std::sync::Arc::new(config()),
        )
        .unwrap();
        let mut client = client;
        client.write_all(REQUEST).unwrap();
        socket.flush(&mut Echo).unwrap();
        common::head(&mut client);
        socket.peer().unwrap().close(CloseCode::NORMAL, "");
        socket.flush(&mut Echo).unwrap();
        let mut close = [0; 4];
        client.read_exact(&mut close).unwrap();
        assert_eq!(&close, b"\x88\x02\x03\xe8");
    }
}

/// Notes what is written as the last of the stream.
struct Last {
    inner: Duplex,
    last: Rc<Cell<u32>>,
}

impl Transport for Last {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(slices)
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.last.set(self.last.get() + 1);
        self.inner.write(slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn short_is_all(&self) -> bool {
        true
    }
}

#[test]
fn close_of_a_client_that_waits_for_the_server_is_not_held_back() {
    let (near, far) = memory::pair(4096);
    let last = Rc::default();
    let [near, far] = [near, far].map(|inner| Last {
        inner,
        last: Rc::clone(&last),
    });
    let mut server = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let mut client = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let request = ClientRequest::new(Uri::parse("ws://localhost/").unwrap());
    client.lend().connect_over(near, Connect::new(request, ()));
    server.admit(far).unwrap();
    let ready = Ready {
        readable: true,
        writable: true,
        read_closed: false,
    };
    let mut turns = 0;
    while client.lend().connections() > 0 {
        turns += 1;
        assert!(turns < 100);
        if turns == 10 {
            // Long after the handshake, so that it comes alone.
            let peer = server.lend().peers().next().unwrap();
            let _ = server.lend().with_peer(peer, |_, peer| {
                peer.close(CloseCode::NORMAL, "");
            });
        }
        client.start_turn(Duration::ZERO);
        client.wake(0, ready);
        client.finish_turn();
        server.start_turn(Duration::ZERO);
        server.wake(0, ready);
        server.finish_turn();
    }
    // The client's answer is read at once: who waits for the server to end the
    // stream would hold it back for as long as the system does.
    assert_eq!(last.get(), 0);
}

/// A source that can be registered, and not again.
struct Once;

impl Source for Once {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

/// A transport of which the source cannot be registered again; it may hold back
/// what was written, and say so when it is flushed.
struct Unwatchable {
    inner: Duplex,
    source: Once,
    holds_back: bool,
}

impl Transport for Unwatchable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&mut self.inner, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Transport::write(&mut self.inner, slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        Some(&mut self.source)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(!self.holds_back)
    }
}

#[test]
fn connection_that_cannot_be_registered_again_ends_and_the_loop_goes_on() {
    let bad_request = b"GET / HTTP/1.1\r\n\r\n";
    let closing = [REQUEST, CLOSE].concat();
    for (sent, room, holds_back) in [
        // While its request comes, is refused, while it is open, and is over.
        (&REQUEST[..9], 1000, true),
        (bad_request, 20, false),
        (bad_request, 1000, true),
        (REQUEST, 1000, false),
        (&closing, 1000, true),
    ] {
        let poll = Poll::new().unwrap();
        let (probe, log) = Probe::<false>::new(|peer, seen| {
            if *seen == Seen::Open {
                peer.send_binary(&[0; 2000]);
            }
        });
        let mut inner = EventLoop::new(config(), probe, || Ok(()))
            .unwrap()
            .with_registry(poll.registry().try_clone().unwrap());
        let (mut client, server) = memory::pair(room);
        client.write(&[IoSlice::new(sent)]).unwrap();
        let transport = Unwatchable {
            inner: server,
            source: Once,
            holds_back,
        };
        let key = inner.admit(transport).unwrap();
        inner.start_turn(Duration::ZERO);
        inner.wake(
            key,
            Ready {
                readable: true,
                ..Ready::default()
            },
        );
        assert!(inner.finish_turn());
        assert_eq!(inner.lend().connections(), 0);
        drop(inner);
        let seen = log.all();
        assert_eq!(
            seen.contains(&Seen::Open),
            seen.iter().any(|seen| matches!(seen, Seen::Close(..)))
        );
    }
}
