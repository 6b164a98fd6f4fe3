//! A server on a thread of its own with a handler that writes down what
//! happens, and clients of `std` with literal bytes.

#![allow(
    dead_code,
    reason = "every test program and set of features uses its own part of this"
)]

pub(crate) mod bench;
pub(crate) mod counted;
pub(crate) mod located;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use ws_mio::{
    Cause, Chunk, Closed, Config, Connect, Decision, Handler, Incoming, Loop, Message, Metrics,
    OriginPolicy, Peer, PeerId, Remote, Server, Transport,
};

/// Something that a handler was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request(String),
    Open,
    Text(String),
    Binary(Vec<u8>),
    /// A piece of a message, and whether it is the first and the last.
    Chunk(Vec<u8>, bool, bool),
    Ping(Vec<u8>),
    /// A Pong, and whether it answers the loop's own Ping.
    Pong(Vec<u8>, bool),
    Drain,
    Timer,
    /// The code, the reason and the cause.
    Close(u16, String, String),
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Text(text.into())
}

pub(crate) fn closed(code: u16, reason: &str, cause: &str) -> Seen {
    Seen::Close(code, reason.into(), cause.into())
}

type Act<D> = dyn FnMut(&mut Peer<'_, D>, &Seen) + Send;

/// A handler that writes down what it is told, and does as the test says.
pub(crate) struct Probe<const CHUNKS: bool = false, D = ()> {
    seen: Sender<(Option<PeerId>, Seen)>,
    act: Box<Act<D>>,
    decide: Box<dyn for<'r> FnMut(Incoming<'r>) -> Decision<'r, D> + Send>,
}

/// What a [`Probe`] has written down.
pub(crate) struct Log(Receiver<(Option<PeerId>, Seen)>);

impl<const CHUNKS: bool, D: Default + 'static> Probe<CHUNKS, D> {
    /// Makes a probe that does `act` in every call that has a peer.
    pub(crate) fn new(act: impl FnMut(&mut Peer<'_, D>, &Seen) + Send + 'static) -> (Self, Log) {
        let (seen, log) = mpsc::channel();
        let probe = Self {
            seen,
            act: Box::new(act),
            decide: Box::new(|incoming| incoming.decide()),
        };
        (probe, Log(log))
    }

    /// Decides on requests in another way than the default.
    pub(crate) fn deciding(
        mut self,
        decide: impl for<'r> FnMut(Incoming<'r>) -> Decision<'r, D> + Send + 'static,
    ) -> Self {
        self.decide = Box::new(decide);
        self
    }

    fn note(&mut self, peer: &mut Peer<'_, D>, seen: Seen) {
        let _ = self.seen.send((Some(peer.id()), seen.clone()));
        (self.act)(peer, &seen);
    }
}

impl Log {
    /// Waits for what happens next.
    pub(crate) fn next(&self) -> Seen {
        self.next_of().1
    }

    /// Waits for what happens next, and to whom.
    pub(crate) fn next_of(&self) -> (Option<PeerId>, Seen) {
        self.0.recv_timeout(PATIENCE).unwrap()
    }

    /// Returns what is left once the handler is gone.
    pub(crate) fn rest(self) -> Vec<(Option<PeerId>, Seen)> {
        self.0.into_iter().collect()
    }

    /// Waits until the handler is gone and returns everything, of one
    /// connection.
    pub(crate) fn all(self) -> Vec<Seen> {
        self.0.into_iter().map(|(_, seen)| seen).collect()
    }
}

impl<const CHUNKS: bool, D: Default + 'static> Handler for Probe<CHUNKS, D> {
    type Data = D;
    const CHUNKS: bool = CHUNKS;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, D> {
        let target = incoming.request().path().to_owned();
        let _ = self.seen.send((None, Seen::Request(target)));
        (self.decide)(incoming)
    }

    fn on_open(&mut self, peer: &mut Peer<'_, D>) {
        self.note(peer, Seen::Open);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, D>, message: Message<'_>) {
        let seen = match message {
            Message::Text(text) => Seen::Text(text.into()),
            Message::Binary(bytes) => Seen::Binary(bytes.into()),
        };
        self.note(peer, seen);
    }

    fn on_chunk(&mut self, peer: &mut Peer<'_, D>, chunk: Chunk<'_>) {
        let bytes = chunk.data.as_bytes().into();
        self.note(peer, Seen::Chunk(bytes, chunk.first, chunk.last));
    }

    fn on_ping(&mut self, peer: &mut Peer<'_, D>, payload: &[u8]) {
        self.note(peer, Seen::Ping(payload.into()));
    }

    fn on_pong(&mut self, peer: &mut Peer<'_, D>, payload: &[u8], round_trip: Option<Duration>) {
        self.note(peer, Seen::Pong(payload.into(), round_trip.is_some()));
    }

    fn on_drain(&mut self, peer: &mut Peer<'_, D>) {
        self.note(peer, Seen::Drain);
    }

    fn on_timer(&mut self, peer: &mut Peer<'_, D>, _: u64) {
        self.note(peer, Seen::Timer);
    }

    fn on_close(&mut self, peer: &mut Peer<'_, D>, closed: Closed<'_>) {
        let cause = match closed.cause {
            Cause::Peer => "peer".into(),
            Cause::Local => "local".into(),
            Cause::Aborted => "aborted".into(),
            Cause::Protocol(error) => error.kind().into(),
            Cause::Lost => "lost".into(),
            Cause::Io(_) => "io".into(),
            Cause::Timeout(timeout) => format!("{timeout:?} timeout"),
            other => format!("{other:?}"),
        };
        self.note(peer, Seen::Close(closed.code, closed.reason.into(), cause));
    }
}

/// Sends every message back.
#[derive(Debug)]
pub(crate) struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// Sends messages back, for a [`Probe`].
pub(crate) fn echo<D>(peer: &mut Peer<'_, D>, seen: &Seen) {
    match seen {
        Seen::Text(text) => drop(peer.send_text(text)),
        Seen::Binary(bytes) => drop(peer.send_binary(bytes)),
        _ => {}
    }
}

pub(crate) fn config() -> Config {
    Config::new(OriginPolicy::Any)
}

/// Connects to a server from the first loop.
pub(crate) fn connect_to<H, T: Transport>(
    remote: &Remote<H, T>,
    address: SocketAddr,
    connect: Connect<H::Data>,
) where
    H: Handler<Data: Send> + 'static,
{
    let connect = move |context: &mut Loop<'_, H, T>| {
        context.connect(address, connect);
    };
    remote.run(0, connect).unwrap();
}

/// Connects to a server by its name from the first loop.
pub(crate) fn connect_by_name<H, T: Transport>(remote: &Remote<H, T>, connect: Connect<H::Data>)
where
    H: Handler<Data: Send> + 'static,
{
    let connect = move |context: &mut Loop<'_, H, T>| context.connect_by_name(connect);
    remote.run(0, connect).unwrap();
}

/// A server on a thread of its own, which is stopped at the end of the test.
pub(crate) struct Running<H: Handler = Probe> {
    pub(crate) address: SocketAddr,
    pub(crate) remote: Remote<H>,
    thread: Option<thread::JoinHandle<std::io::Result<()>>>,
}

impl<H: Handler + 'static> Running<H> {
    pub(crate) fn start(handler: H, config: Config) -> Self
    where
        H: Send,
    {
        Self::start_with(config, move |server| server.run(handler))
    }

    /// Starts a server that is run in another way.
    pub(crate) fn start_with(
        config: Config,
        run: impl FnOnce(Server<H>) -> std::io::Result<()> + Send + 'static,
    ) -> Self {
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let address = server.local_addr().unwrap();
        Self::of(server, address, run)
    }

    pub(crate) fn of(
        server: Server<H>,
        address: SocketAddr,
        run: impl FnOnce(Server<H>) -> std::io::Result<()> + Send + 'static,
    ) -> Self {
        let remote = server.remote();
        let thread = Some(thread::spawn(move || run(server)));
        Self {
            address,
            remote,
            thread,
        }
    }

    /// Connects, and leaves the opening handshake to the test.
    pub(crate) fn dial(&self) -> TcpStream {
        dial(self.address)
    }

    /// Connects and opens.
    pub(crate) fn connect(&self) -> TcpStream {
        let mut stream = self.dial();
        stream.write_all(REQUEST).unwrap();
        assert_eq!(
            head(&mut stream).escape_ascii().to_string(),
            REPLY.escape_ascii().to_string()
        );
        stream
    }

    /// Reads the counters at the end of a turn: numbers are those of whole
    /// turns.
    pub(crate) fn metrics(&self) -> Metrics {
        let (tell, told) = mpsc::channel();
        // The second comes in a turn after that of the first.
        for _ in 0..2 {
            let tell = tell.clone();
            self.remote.run(0, move |_| tell.send(()).unwrap()).unwrap();
            told.recv().unwrap();
        }
        self.remote.metrics()
    }

    pub(crate) fn stop(&mut self) {
        self.remote.stop().unwrap();
        self.join();
    }
}

impl<H: Handler> Running<H> {
    /// Waits until the server has ended.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl<H: Handler> Drop for Running<H> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.remote.stop().unwrap();
            self.join();
        }
    }
}

pub(crate) fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // What never comes fails a test instead of holding it up for ever.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads a head, and nothing after it; what there is of one at the end of the
/// stream.
pub(crate) fn head(stream: &mut impl Read) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    head
}

/// Reads to the end of the stream, and closes it.
pub(crate) fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

/// Reads exactly what is expected.
#[track_caller]
pub(crate) fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert!(
        bytes == expected,
        "{} instead of {}",
        bytes[..bytes.len().min(100)].escape_ascii(),
        expected[..expected.len().min(100)].escape_ascii()
    );
}

/// Makes the transport end with a reset instead of an end of the stream.
pub(crate) fn reset(stream: TcpStream) {
    let stream = socket2::Socket::from(stream);
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

/// A frame with the key 00 00 00 00, for where a literal would be too long to
/// read.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = unmasked(first, payload);
    frame[1] |= 0x80;
    let at = frame.len() - payload.len();
    frame.splice(at..at, [0; 4]);
    frame
}

/// A frame without a key, for where a literal would be too long to read.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31) >> 3) as u8).collect()
}

/// A Close with 1000, from a client.
pub(crate) const CLOSE: &[u8] = b"\x88\x82\x00\x00\x00\x00\x03\xe8";

pub(crate) const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const REPLY: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// How long to wait before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);
