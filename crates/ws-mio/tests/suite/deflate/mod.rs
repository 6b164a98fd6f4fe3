//! permessage-deflate (RFC 7692), on connections that agree on it.

mod client;
mod receiving;
mod sending;

use std::{cell::RefCell, io::IoSlice, rc::Rc, time::Duration};

use ws_mio::{
    Chunk, ClientRequest, Closed, Config, Decision, DeflateParams, DeflatePolicy, EventLoop,
    Handler, Incoming, Message, Peer, Ready, Transport, Uri,
    memory::{self, Duplex},
    ws_proto::{
        Assembler, Chunk as Piece, ClientMasking, DeflatePool, DeflateWindow, Deflater, Event,
        Inbound, InflatePool, Inflater, Limits, Receiver, Sender,
    },
};

use crate::common::{config, masked, pattern};

/// What happened to one side, in words.
type Notes = Rc<RefCell<Vec<String>>>;

/// What a side does in a call.
type Act = Box<dyn FnMut(&mut Peer<'_, ()>, &str, Option<Message<'_>>)>;

/// A handler that does as the test says, and writes down what happens.
struct Side<const CHUNKS: bool = false> {
    act: Act,
    notes: Notes,
    refuses: bool,
}

impl<const CHUNKS: bool> Side<CHUNKS> {
    fn new(act: impl FnMut(&mut Peer<'_, ()>, &str, Option<Message<'_>>) + 'static) -> Self {
        Self {
            act: Box::new(act),
            notes: Notes::default(),
            refuses: false,
        }
    }

    fn echo() -> Self {
        Self::new(|peer, _, message| {
            if let Some(message) = message {
                peer.send(message);
            }
        })
    }

    fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }
}

impl<const CHUNKS: bool> Handler for Side<CHUNKS> {
    type Data = ();
    const CHUNKS: bool = CHUNKS;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, ()> {
        let acceptance = incoming.negotiate().unwrap();
        let acceptance = match self.refuses {
            true => acceptance.without_deflate(),
            false => acceptance,
        };
        self.note(format!("offered {}", acceptance.deflate().is_some()));
        ws_mio::Accept::new(acceptance, ()).into()
    }

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        (self.act)(peer, "open", None);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        self.note(format!("{} bytes", message.len()));
        (self.act)(peer, "message", Some(message));
    }

    fn on_chunk(&mut self, peer: &mut Peer<'_, ()>, chunk: Chunk<'_>) {
        let what = if chunk.last { "last" } else { "chunk" };
        (self.act)(peer, what, Some(chunk.data));
    }

    fn on_drain(&mut self, peer: &mut Peer<'_, ()>) {
        (self.act)(peer, "drain", None);
    }

    fn on_close(&mut self, peer: &mut Peer<'_, ()>, closed: Closed<'_>) {
        self.note(format!("{} {}", closed.code, closed.cause.name()));
        (self.act)(peer, "close", None);
    }
}

fn serving(policy: DeflatePolicy) -> Config {
    let mut config = config();
    config.handshake = config.handshake.deflate(policy);
    config
}

const BOTH: Ready = Ready {
    readable: true,
    writable: true,
    read_closed: false,
};

/// A loop with a server's connection, and a peer that is made of the parts of
/// `ws-proto`.
struct Bench<H: Handler> {
    inner: EventLoop<H, Duplex>,
    client: Client,
    now: Duration,
}

/// A client by hand.
struct Client {
    key: usize,
    end: Duplex,
    sender: Sender<ClientMasking>,
    receiver: Receiver,
    assembler: Assembler,
    deflater: Deflater,
    inflater: Inflater,
    pools: (DeflatePool, InflatePool),
    /// What came.
    messages: Vec<Vec<u8>>,
    /// How many bytes came since this was last asked.
    bytes: usize,
    /// All bytes that came.
    wire: Vec<u8>,
    /// The code of the server's Close.
    closed: Option<u16>,
    /// How much of its message is compressed, by the frames' headers.
    compressed: usize,
}

impl<H: Handler> Bench<H> {
    fn new(handler: H, config: Config, offer: &str) -> Self {
        Self::narrow(handler, config, offer, 1 << 20)
    }

    fn narrow(handler: H, config: Config, offer: &str, capacity: usize) -> Self {
        let mut inner = EventLoop::new(config, handler, || Ok(())).unwrap();
        inner.start_turn(Duration::ZERO);
        let client = Client::open(&mut inner, offer, capacity);
        Self {
            inner,
            client,
            now: Duration::ZERO,
        }
    }

    /// Gives the loop turns until nothing more comes.
    fn run(&mut self) {
        let mut idle = 0;
        while idle < 4 {
            idle += 1;
            self.turn();
            if self.client.read() > 0 {
                idle = 0;
            }
        }
    }

    fn turn(&mut self) {
        self.inner.start_turn(self.now);
        self.inner.wake(self.client.key, BOTH);
        self.inner.finish_turn();
    }

    /// Sends a compressed message, and has all come that it brings about.
    fn tell<'m>(&mut self, message: impl Into<Message<'m>>) {
        let frame = self.client.frame(message.into());
        self.send(&frame);
        self.run();
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.client.end.write(&[IoSlice::new(rest)]).unwrap_or(0)..];
            self.run();
        }
    }
}

impl Client {
    fn open<H: Handler>(inner: &mut EventLoop<H, Duplex>, offer: &str, capacity: usize) -> Self {
        let (mut end, server) = memory::pair(capacity);
        let key = inner.admit(server).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        end.write(&[IoSlice::new(request.as_bytes())]).unwrap();
        inner.wake(key, BOTH);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(end.read(&mut byte).unwrap(), 1);
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let bits = |name: &str| {
            let rest = head.split(&format!("{name}=")).nth(1);
            rest.map_or(15, |rest| {
                rest.split(|c: char| !c.is_ascii_digit())
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
        };
        let receives = DeflateWindow::new(
            head.contains("server_no_context_takeover"),
            bits("server_max_window_bits"),
        );
        let sends = DeflateWindow::new(
            head.contains("client_no_context_takeover"),
            bits("client_max_window_bits"),
        );
        let accepts = head.contains("permessage-deflate");
        Self {
            key,
            end,
            sender: Sender::new(ClientMasking::new()),
            receiver: Receiver::new(Inbound::RequireUnmasked, Limits::UNLIMITED)
                .accept_compressed(accepts),
            assembler: Assembler::new(),
            deflater: Deflater::new(sends),
            inflater: Inflater::new(receives),
            pools: Default::default(),
            messages: Vec::new(),
            bytes: 0,
            wire: Vec::new(),
            closed: None,
            compressed: 0,
        }
    }

    /// The frame of a compressed message.
    fn frame(&mut self, message: Message<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = self
            .deflater
            .message(&mut self.sender, message, &mut self.pools.0);
        frame.unwrap().append_to(&mut bytes, 0);
        bytes
    }

    /// Reads what there is, once.
    fn read(&mut self) -> usize {
        let mut buffer = vec![0; 64 * 1024];
        let Ok(len) = self.end.read(&mut buffer) else {
            return 0;
        };
        self.bytes += len;
        self.wire.extend_from_slice(&buffer[..len]);
        let mut input = &mut buffer[..len];
        while let Some(event) = self.receiver.receive(&mut input).unwrap() {
            let mut take = |chunk: Piece<'_>| {
                if let Some(message) = self.assembler.push(chunk) {
                    self.messages.push(message.as_bytes().to_vec());
                }
            };
            match event {
                Event::Data(chunk) => take(chunk),
                Event::Compressed(mut piece) => {
                    self.compressed += usize::from(piece.first);
                    let pool = &mut self.pools.1;
                    while let Some(chunk) =
                        self.inflater.inflate(&mut piece, u64::MAX, pool).unwrap()
                    {
                        take(chunk);
                    }
                }
                Event::Close(frame) => self.closed = frame.map(|frame| frame.code.get()),
                _ => {}
            }
        }
        len
    }
}

/// Text that compresses, and differs from number to number.
fn prose(number: usize, len: usize) -> String {
    let text = format!("message {number}: so it goes, and so it went; ");
    text.repeat(len / text.len() + 1)[..len].to_owned()
}

const PLAIN_OFFER: &str = "permessage-deflate; client_max_window_bits";

#[test]
fn every_agreement_serves_messages_of_all_sizes_and_forms() {
    for flags in 0..4 {
        for (server_bits, client_bits) in [(15, 15), (9, 12), (8, 10), (13, 9)] {
            let policy = DeflatePolicy::new()
                .server_no_context_takeover(flags & 1 != 0)
                .client_no_context_takeover(flags & 2 != 0)
                .server_max_window_bits(server_bits)
                .client_max_window_bits(client_bits);
            let params = DeflateParams {
                server_no_context_takeover: flags & 1 != 0,
                client_no_context_takeover: flags & 2 != 0,
                server_max_window_bits: server_bits,
                client_max_window_bits: client_bits,
            };
            let side = Side::<false>::new(move |peer, _, message| {
                assert_eq!(peer.deflate(), Some(params));
                if let Some(message) = message {
                    peer.send(message);
                }
            });
            let mut bench = Bench::new(side, serving(policy), PLAIN_OFFER);
            let mut sent = Vec::new();
            for (number, len) in [0, 1, 127, 128, 1000, 40_000, 70_000, 300_000, 5]
                .into_iter()
                .cycle()
                .take(18)
                .enumerate()
            {
                let text = prose(number, len);
                let bytes = pattern(len);
                for message in [Message::Text(&text), Message::Binary(&bytes)] {
                    let frame = bench.client.frame(message);
                    sent.push(message.as_bytes().to_vec());
                    // At once, and byte by byte where that is not for ever.
                    match frame.len() {
                        0..200 => frame.iter().for_each(|byte| bench.send(&[*byte])),
                        _ => bench.send(&frame),
                    }
                    bench.run();
                }
            }
            assert!(bench.client.messages == sent);
            let metrics = bench.inner.remote().metrics();
            assert_eq!(metrics.messages_received, 36);
            // Those of 128 bytes and more, unless they grew.
            let compressed = metrics.compressed_messages_sent;
            assert!((18..=20).contains(&compressed), "{compressed}");
            assert_eq!(bench.client.compressed as u64, compressed);
            assert_eq!(metrics.compressed_messages_received, compressed);
            assert_eq!(metrics.inflated_bytes, metrics.deflated_bytes);
            assert!(metrics.compressed_bytes_sent * 4 < metrics.deflated_bytes);
        }
    }
}

#[test]
fn handler_refuses_compression_for_a_connection() {
    for (policy, refuses) in [(Some(DeflatePolicy::new()), true), (None, false)] {
        let mut side = Side::<false>::new(|peer, _, _| assert_eq!(peer.deflate(), None));
        side.refuses = refuses;
        let notes = Rc::clone(&side.notes);
        let config = policy.map_or_else(config, serving);
        let mut bench = Bench::new(side, config, PLAIN_OFFER);
        // It was not agreed on: RSV1 breaks the protocol.
        bench.send(&masked(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"));
        assert_eq!(bench.client.closed, Some(1002));
        assert_eq!(*notes.borrow(), ["offered false", "1006 protocol"]);
    }
}

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("ws://localhost/").unwrap())
}

#[test]
fn memory_that_nobody_uses_is_given_back_in_time() {
    let mut bench = Bench::new(
        Side::<false>::echo(),
        serving(DeflatePolicy::new()),
        PLAIN_OFFER,
    );
    let before = allocation_counter::measure(|| bench.tell(&prose(1, 5000)));
    assert!(before.bytes_current > 400_000);
    let text = prose(2, 5000);
    let after = allocation_counter::measure(|| {
        for _ in 0..2 {
            bench.now = bench.inner.next_timeout().unwrap();
            assert!(bench.now <= Duration::from_secs(20));
            bench.inner.start_turn(bench.now);
            bench.inner.finish_turn();
        }
    });
    assert!(after.bytes_current < -400_000, "{after:?}");
    // It is forgotten on our side alone.
    bench.tell(&text);
    assert_eq!(bench.client.messages[1], text.as_bytes());
}
