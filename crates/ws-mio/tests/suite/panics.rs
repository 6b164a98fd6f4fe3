//! A callback of the application panics: its connection ends, and nothing else.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    thread,
    time::Duration,
};

use ws_mio::{
    Chunk, ClientRequest, Closed, Commands, Config, Connect, Decision, Handler, Incoming, Message,
    OnPanic, OpenError, Peer, PeerId, Prepared, Uri,
    memory::{self, Duplex},
};

use crate::common::{
    CLOSE, Probe, REPLY, REQUEST, Running, Seen,
    bench::{Bench, is_gone, quiet, take},
    config, expect, masked,
};

/// Sends messages back, and panics in a callback for connections to `/bad`.
struct Panicky<const CHUNKS: bool = false> {
    /// In which callback.
    at: &'static str,
    told: Told,
}

type Told = Rc<RefCell<Vec<String>>>;

/// What a connection is: bad, or not.
#[derive(Default)]
struct Data {
    is_bad: bool,
}

impl<const CHUNKS: bool> Panicky<CHUNKS> {
    fn on(&self, callback: &str, peer: &Peer<'_, Data>) {
        assert!(
            callback != self.at || !peer.data().is_bad,
            "panic in {callback}"
        );
    }
}

impl<const CHUNKS: bool> Handler for Panicky<CHUNKS> {
    type Data = Data;
    const CHUNKS: bool = CHUNKS;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Data> {
        let is_bad = incoming.request().path() == "/bad";
        assert!(!is_bad || self.at != "on_request", "panic in on_request");
        match incoming.negotiate() {
            Ok(acceptance) => ws_mio::Accept::new(acceptance, Data { is_bad }).into(),
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Data>) {
        self.on("on_open", peer);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Data>, message: Message<'_>) {
        match message {
            Message::Text("timer") => peer.set_timer(0, Some(Duration::ZERO)),
            Message::Text("slow") => drop(peer.send_binary(&[0; 2000])),
            _ => drop(peer.send(message)),
        }
        if message == Message::Text("panic") || message.len() > 100_000 {
            self.on("on_message", peer);
        }
    }

    fn on_chunk(&mut self, peer: &mut Peer<'_, Data>, chunk: Chunk<'_>) {
        peer.send(chunk.data);
        if chunk.data == Message::Text("panic") {
            self.on("on_chunk", peer);
        }
    }

    fn on_ping(&mut self, peer: &mut Peer<'_, Data>, _: &[u8]) {
        self.on("on_ping", peer);
    }

    fn on_pong(&mut self, peer: &mut Peer<'_, Data>, _: &[u8], _: Option<Duration>) {
        self.on("on_pong", peer);
    }

    fn on_drain(&mut self, peer: &mut Peer<'_, Data>) {
        self.on("on_drain", peer);
    }

    fn on_timer(&mut self, peer: &mut Peer<'_, Data>, _: u64) {
        self.on("on_timer", peer);
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Data>, closed: Closed<'_>) {
        self.told.borrow_mut().push(closed.cause.name().into());
        self.on("on_close", peer);
    }

    fn on_connect_failed(&mut self, _: Data, _: OpenError, _: &mut Commands<Data>) {
        assert!(self.at != "on_connect_failed", "panic in on_connect_failed");
    }

    fn on_panic(&mut self, peer: Option<PeerId>, panic: Box<dyn Any + Send>) {
        let text = match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().unwrap().to_string(),
        };
        let whose = if peer.is_some() { "a peer" } else { "nobody" };
        self.told.borrow_mut().push(format!("{text} of {whose}"));
        assert_ne!(self.at, "on_panic");
    }
}

const INTERNAL_ERROR: &[u8] = b"\x88\x02\x03\xf3";

fn request(path: &str) -> Vec<u8> {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    request.replace("/chat", path).into_bytes()
}

struct Test<const CHUNKS: bool = false> {
    bench: Bench<Panicky<CHUNKS>>,
    told: Told,
    good: (Duplex, usize),
}

impl<const CHUNKS: bool> Test<CHUNKS> {
    fn new(at: &'static str, config: Config) -> Self {
        let told = Told::default();
        let handler = Panicky {
            at,
            told: Rc::clone(&told),
        };
        let mut bench = Bench::new(handler, config);
        let good = bench.connect(1 << 20);
        Self { bench, told, good }
    }

    /// Opens a connection for which a callback panics, with what it sends.
    fn bad(&mut self, room: usize, bytes: &[u8]) -> (Duplex, usize) {
        let all = [&request("/bad"), bytes].concat();
        self.bench.dial(room, &all).unwrap()
    }

    /// Asserts that one panic was told, and nobody else noticed.
    fn finish(mut self, told: &[&str]) {
        assert_eq!(*self.told.borrow(), told);
        let metrics = self.bench.inner.remote().metrics();
        assert_eq!(metrics.panics, 1);
        assert_eq!(self.bench.inner.lend().connections(), 1);
        let (client, key) = &mut self.good;
        self.bench.send(client, *key, &masked(0x81, b"Hi"));
        assert_eq!(take(client), b"\x81\x02Hi");
        let text = metrics.to_prometheus();
        assert!(text.contains("\nwebsocket_panics_total 1\n"), "{text}");
    }
}

/// Ends a connection that was told of the panic.
fn end<const CHUNKS: bool>(test: &mut Test<CHUNKS>, client: &mut Duplex, key: usize) {
    test.bench.send(client, key, CLOSE);
    assert!(is_gone(client));
    test.bench.turn(&[key]);
    client.shutdown_for_test();
    test.bench.turn(&[key]);
}

trait Shutdown {
    fn shutdown_for_test(&mut self);
}

impl Shutdown for Duplex {
    fn shutdown_for_test(&mut self) {
        ws_mio::Transport::shutdown(self).unwrap();
    }
}

fn callback_panics<const CHUNKS: bool>(at: &'static str, bytes: &[u8], before: &[u8]) {
    let mut test = Test::<CHUNKS>::new(at, quiet());
    let (mut client, key) = test.bad(10_000, bytes);
    // A timer goes off a little later.
    test.bench.pass(Duration::from_millis(200));
    let got = take(&mut client);
    let expected = [REPLY, before, INTERNAL_ERROR].concat();
    assert_eq!(
        got.escape_ascii().to_string(),
        expected.escape_ascii().to_string(),
        "{at}"
    );
    end(&mut test, &mut client, key);
    let metrics = test.bench.inner.remote().metrics();
    assert_eq!((metrics.closed["panicked"], metrics.open()), (1, 1));
    test.finish(&[&format!("panic in {at} of a peer"), "panicked"]);
}

#[test]
fn panic_in_a_callback_ends_its_connection_with_1011_and_no_other() {
    callback_panics::<false>("on_open", b"", b"");
    let text = masked(0x81, b"panic");
    // What was sent before it leaves, what comes after it is not looked at.
    let texts = [masked(0x81, b"a"), text.clone(), masked(0x81, b"b")].concat();
    callback_panics::<false>("on_message", &texts, b"\x81\x01a\x81\x05panic");
    callback_panics::<true>("on_chunk", &text, b"\x81\x05panic");
    callback_panics::<false>("on_ping", &masked(0x89, b"p"), b"\x8a\x01p");
    callback_panics::<false>("on_pong", &masked(0x8a, b"p"), b"");
    callback_panics::<false>("on_timer", &masked(0x81, b"timer"), b"");
}

#[test]
fn panic_in_on_drain_ends_its_connection_with_1011() {
    let mut test = Test::<false>::new("on_drain", quiet());
    let (mut client, key) = test.bad(1000, &masked(0x81, b"slow"));
    let mut got = Vec::new();
    for _ in 0..5 {
        got.extend(take(&mut client));
        test.bench.turn(&[key]);
    }
    assert!(got.ends_with(INTERNAL_ERROR), "{}", got.len());
    assert_eq!(got.len(), REPLY.len() + 4 + 2000 + INTERNAL_ERROR.len());
    end(&mut test, &mut client, key);
    test.finish(&["panic in on_drain of a peer", "panicked"]);
}

#[test]
fn panic_in_on_close_is_told_and_on_close_is_not_called_again() {
    // By the peer's Close, and by the end of the stream.
    let mut test = Test::<false>::new("on_close", quiet());
    let (mut client, key) = test.bad(1000, CLOSE);
    assert!(take(&mut client).ends_with(b"\x88\x02\x03\xe8"));
    client.shutdown_for_test();
    test.bench.turn(&[key]);
    test.finish(&["peer", "panic in on_close of a peer"]);

    let mut test = Test::<false>::new("on_close", quiet());
    let (mut client, key) = test.bad(1000, b"");
    client.shutdown_for_test();
    test.bench.turn(&[key]);
    drop(client);
    test.bench.turn(&[key]);
    test.finish(&["lost", "panic in on_close of a peer"]);
}

#[test]
fn panic_in_on_close_of_a_connection_that_is_given_up_is_told() {
    let mut config = quiet();
    config.close_timeout = Duration::from_secs(1);
    let mut test = Test::<false>::new("on_close", config);
    let (_client, key) = test.bad(1000, b"");
    let id = test.bench.inner.lend().peers().find(|id| id.key() == key);
    let _ = test.bench.inner.lend().with_peer(id.unwrap(), |_, peer| {
        peer.close(ws_mio::CloseCode::NORMAL, "");
    });
    test.bench.pass(Duration::from_secs(3));
    test.finish(&["close_timeout", "panic in on_close of a peer"]);
}

#[test]
fn panic_in_on_request_is_answered_with_500() {
    let mut test = Test::<false>::new("on_request", quiet());
    let (mut client, key) = test.bad(1000, b"");
    assert!(take(&mut client).starts_with(b"HTTP/1.1 500 "));
    client.shutdown_for_test();
    test.bench.turn(&[key]);
    test.finish(&["panic in on_request of nobody"]);
}

#[test]
fn panic_in_on_connect_failed_is_told() {
    let mut test = Test::<false>::new("on_connect_failed", quiet());
    let (near, mut far) = memory::pair(1000);
    let request = ClientRequest::new(Uri::parse("ws://h/").unwrap());
    let connect = Connect::new(request, Data::default());
    let id = test.bench.inner.lend().connect_over(near, connect).unwrap();
    far.shutdown_for_test();
    test.bench.turn(&[id.key()]);
    test.finish(&["panic in on_connect_failed of nobody"]);
}

#[test]
fn panic_in_a_closure_ends_the_connection_that_it_was_for() {
    let mut test = Test::<false>::new("", quiet());
    let (mut client, key) = test.bad(1000, b"");
    let _ = take(&mut client);
    let id = test.bench.inner.lend().peers().find(|id| id.key() == key);
    let remote = test.bench.inner.remote();
    let task = |_: &mut Panicky, _: &mut Peer<'_, Data>| panic!("panic in a closure");
    remote.with_peer(id.unwrap(), task).unwrap();
    test.bench.turn(&[]);
    assert_eq!(take(&mut client), INTERNAL_ERROR);
    end(&mut test, &mut client, key);
    test.finish(&["panic in a closure of a peer", "panicked"]);

    // One that is for nobody, and what was asked for after it.
    let mut test = Test::<false>::new("", quiet());
    let remote = test.bench.inner.remote();
    remote.run(0, |_| panic!("panic in a task")).unwrap();
    let message = Prepared::new(Message::Text("after"));
    remote.broadcast(&message).unwrap();
    test.bench.turn(&[]);
    assert_eq!(take(&mut test.good.0), b"\x81\x05after");
    test.finish(&["panic in a task of nobody"]);
}

#[test]
fn panic_in_on_panic_is_logged_and_counted() {
    let mut test = Test::<false>::new("on_panic", quiet());
    let remote = test.bench.inner.remote();
    remote.run(0, |_| panic!("panic in a task")).unwrap();
    test.bench.turn(&[]);
    assert_eq!(remote.metrics().panics, 2);
    let (client, key) = &mut test.good;
    test.bench.send(client, *key, &masked(0x81, b"Hi"));
    assert_eq!(take(client), b"\x81\x02Hi");
}

#[test]
fn panic_after_echoes_from_the_read_buffer_leaves_whole_frames_only() {
    let mut test = Test::<false>::new("on_message", quiet());
    let long = vec![7; 3000];
    let all = [
        masked(0x81, b"a"),
        masked(0x82, &long),
        masked(0x81, b"panic"),
    ]
    .concat();
    let (mut client, key) = test.bad(10_000, &all);
    let got = take(&mut client);
    let expected = [REPLY, b"\x81\x01a", INTERNAL_ERROR].concat();
    assert_eq!(
        got.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    end(&mut test, &mut client, key);
    test.finish(&["panic in on_message of a peer", "panicked"]);
}

#[test]
fn panic_for_a_gathered_message_gives_its_memory_back() {
    let mut config = quiet();
    config.read_buffer = 64 * 1024;
    config.gather_buffers = 1 << 20;
    let mut test = Test::<false>::new("on_message", config);
    for round in 0..20 {
        let (mut client, key) = test.bad(1 << 20, b"");
        test.bench
            .send(&mut client, key, &masked(0x82, &[0; 400_000]));
        assert!(take(&mut client).ends_with(INTERNAL_ERROR), "{round}");
        end(&mut test, &mut client, key);
    }
    // The next is gathered as ever: it goes back as it lies, without a copy.
    let (client, key) = &mut test.good;
    test.bench.send(client, *key, &masked(0x82, &[0; 400_000]));
    assert_eq!(take(client).len(), 400_010);
    let metrics = test.bench.inner.remote().metrics();
    assert_eq!((metrics.panics, metrics.held_bytes), (20, 0));
}

#[test]
fn panic_goes_on_where_that_is_asked_for() {
    let mut config = quiet();
    config.on_panic = OnPanic::Propagate;
    let mut test = Test::<false>::new("on_message", config);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        test.bad(1000, &masked(0x81, b"panic"));
    }));
    assert!(caught.is_err());
    assert!(test.told.borrow().is_empty());
}

/// Data that panics when it is made or dropped.
struct Fragile;

thread_local! {
    static IS_WHOLE: RefCell<bool> = const { RefCell::new(true) };
}

impl Default for Fragile {
    fn default() -> Self {
        assert!(IS_WHOLE.with_borrow(|is_whole| *is_whole), "made");
        Self
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(IS_WHOLE.with_borrow(|is_whole| *is_whole), "dropped");
    }
}

#[test]
fn panic_in_default_and_drop_of_data_is_told() {
    let (probe, _log) = Probe::<false, Fragile>::new(|_, _| {});
    let mut bench = Bench::new(probe, quiet());
    let (mut client, key) = bench.connect(1000);
    IS_WHOLE.set(false);
    assert!(bench.dial(1000, b"").is_none());
    client.shutdown_for_test();
    drop(client);
    bench.turn(&[key]);
    IS_WHOLE.set(true);
    assert_eq!(bench.inner.lend().connections(), 0);
    assert_eq!(bench.inner.remote().metrics().panics, 2);
    bench.connect(1000);
}

#[test]
fn panic_on_one_loop_does_not_end_the_server() {
    let mut config = config();
    config.threads = 2;
    let server = Running::start_with(config, |server| {
        server.run_with(|_| {
            Probe::<false>::new(|peer, seen| match seen {
                Seen::Text(text) if text == "panic" => panic!("as asked"),
                Seen::Text(text) => drop(peer.send_text(text)),
                _ => {}
            })
            .0
        })
    });
    let mut others: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for _ in 0..2 {
        let mut bad = server.connect();
        std::io::Write::write_all(&mut bad, &masked(0x81, b"panic")).unwrap();
        expect(&mut bad, INTERNAL_ERROR);
    }
    for other in &mut others {
        std::io::Write::write_all(other, &masked(0x81, b"Hi")).unwrap();
        expect(other, b"\x81\x02Hi");
    }
    assert_eq!(server.remote.metrics().panics, 2);
    assert!(!thread::panicking());
}
