//! permessage-deflate (RFC 7692), on connections that agree on it.

#![cfg(feature = "deflate")]

use std::{cell::RefCell, io::IoSlice, rc::Rc, sync::Arc, time::Duration};

use ws_mio::{
    Backpressure, Chunk, ClientConfig, ClientRequest, Closed, Config, Connect, Decision,
    DeflateOffer, DeflateParams, DeflatePolicy, EventLoop, Handler, Incoming, Message, OpenError,
    Peer, Prepared, Ready, Refused, SlowConsumer, Socket, SocketState, Transport, Uri,
    memory::{self, Duplex},
    ws_proto::{
        Assembler, Chunk as Piece, ClientMasking, DeflatePool, DeflateWindow, Deflater, Event,
        Inbound, InflatePool, Inflater, Limits, Receiver, Sender,
    },
};

mod common;

use common::{CLOSE, config, masked, pattern};

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
        let mut inner = EventLoop::new(config, handler, || Ok(()));
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

/// Bytes that do not compress.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..len).map(step).collect()
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

#[test]
fn only_what_is_asked_for_goes_out_plain() {
    let side = Side::<false>::new(|peer, _, message| {
        let Some(message) = message else { return };
        peer.uncompressed().send(message);
        assert!(peer.uncompressed().deflate().is_some());
        peer.send(message);
        // A message goes one way.
        peer.send_fragment("a", false);
        let mut plain = peer.uncompressed();
        assert!(matches!(
            plain.send_fragment("b", true),
            Backpressure::Refused(Refused::Send(_))
        ));
        peer.send_fragment("b", true);
        let mut plain = peer.uncompressed();
        plain.send_fragment("c", false);
        plain.send_fragment("d", true);
        plain.send_prepared(&Prepared::new(message));
        peer.ping(&[7; 125]);
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let text = prose(1, 5000);
    bench.tell(&text);
    let text = text.into_bytes();
    let expected = [
        text.clone(),
        text.clone(),
        b"ab".to_vec(),
        b"cd".to_vec(),
        text,
    ];
    assert_eq!(bench.client.messages, expected);
    assert_eq!(bench.client.compressed, 2);
    assert!(bench.client.bytes > 10_000);
}

#[test]
fn fragments_are_one_message() {
    for policy in [
        DeflatePolicy::new(),
        DeflatePolicy::new().server_no_context_takeover(true),
    ] {
        let side = Side::<false>::new(|peer, _, message| {
            let Some(Message::Text(text)) = message else {
                return;
            };
            for part in [&text[..1000], "", &text[1000..3000]] {
                peer.send_fragment(part, false);
                peer.ping(b"between");
            }
            peer.send_fragment(&text[3000..], true);
            peer.send(text);
        });
        let mut bench = Bench::new(side, serving(policy), PLAIN_OFFER);
        let (first, second) = (prose(1, 5000), prose(2, 3000));
        bench.tell(&first);
        bench.tell(&second);
        let expected = [&first, &first, &second, &second].map(|text| text.clone().into_bytes());
        assert_eq!(bench.client.messages, expected);
        assert_eq!(bench.client.compressed, 4);
        let metrics = bench.inner.remote().metrics();
        assert_eq!(metrics.compressed_messages_sent, 4);
        assert_eq!(metrics.deflated_bytes, 16_000);
    }
}

#[test]
fn message_that_inflates_to_much_goes_through_in_pieces() {
    // More than may wait for a peer, from less than is read at once.
    let mut config = serving(DeflatePolicy::new());
    config.max_backpressure = 256 * 1024;
    let side = Side::<true>::new(|peer, what, message| {
        if let Some(message) = message {
            let sent = peer.uncompressed().send_fragment(message, what == "last");
            assert!(!matches!(sent, Backpressure::Refused(_)), "{sent:?}");
        }
    });
    let mut bench = Bench::narrow(side, config, PLAIN_OFFER, 100_000);
    let zeros = vec![0; 8 << 20];
    let frame = bench.client.frame(Message::Binary(&zeros));
    assert!(frame.len() < 20_000);
    // With a plain message right behind it, and one more.
    bench.send(&[frame, masked(0x81, b"Hi")].concat());
    bench.tell(&zeros[..1 << 20]);
    let messages = &bench.client.messages;
    assert_eq!(messages.len(), 3);
    assert!(messages[0] == zeros && messages[1] == b"Hi" && messages[2].len() == 1 << 20);
    assert_eq!(bench.client.compressed, 0);
}

#[test]
fn pause_in_the_middle_of_a_message_loses_nothing() {
    let paused = Rc::new(RefCell::new((false, 0)));
    let state = Rc::clone(&paused);
    let side = Side::<true>::new(move |peer, _, message| {
        let Some(message) = message else { return };
        let (is_paused, len) = &mut *state.borrow_mut();
        assert!(!*is_paused, "a chunk while paused");
        *is_paused = true;
        *len += message.len();
        peer.pause();
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let zeros = vec![0; 1_000_000];
    let mut wire = bench.client.frame(Message::Binary(&zeros));
    wire.extend(bench.client.frame(Message::Binary(&zeros[..1000])));
    wire.extend(CLOSE);
    bench.client.end.write(&[IoSlice::new(&wire)]).unwrap();
    bench.run();
    let mut turns = 0;
    while bench.client.closed.is_none() {
        assert!(paused.borrow().0);
        assert!(turns < 100);
        turns += 1;
        let peers: Vec<_> = bench.inner.lend().peers().collect();
        paused.borrow_mut().0 = false;
        for peer in peers {
            bench.inner.lend().with_peer(peer, |_, peer| peer.resume());
        }
        bench.run();
    }
    assert_eq!(paused.borrow().1, 1_001_000);
    assert!(turns >= 16, "{turns}");
}

#[test]
fn one_who_sends_bombs_has_its_share_of_the_turn() {
    let len = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&len);
    let side = Side::<false>::new(move |_, _, message| {
        *counted.borrow_mut() += message.map_or(0, Message::len);
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let zeros = vec![0; 400_000];
    let wire: Vec<u8> = (0..100)
        .flat_map(|_| bench.client.frame(Message::Binary(&zeros)))
        .collect();
    bench.client.end.write(&[IoSlice::new(&wire)]).unwrap();
    let mut turns = 0;
    while *len.borrow() < 40_000_000 {
        let before = *len.borrow();
        bench.turn();
        // One of its own, and one for the connection's readiness.
        assert!(*len.borrow() - before <= 2 * (1 << 20) + 800_000);
        turns += 1;
    }
    assert!(turns >= 15, "{turns}");
}

/// Makes a frame that breaks a rule.
type Wrong = Box<dyn Fn(&mut Client) -> Vec<u8>>;

#[test]
fn what_is_wrong_is_told_behind_what_was_right() {
    let limit = 100_000;
    let stored = |bytes: &[u8]| {
        let mut block = vec![0];
        block.extend((bytes.len() as u16).to_le_bytes());
        block.extend((!bytes.len() as u16).to_le_bytes());
        [&block, bytes, &[0]].concat()
    };
    let bomb = |deflater: &mut Client, len| deflater.frame(Message::Binary(&vec![0; len]));
    let cases: [(&str, u16, Wrong); 5] = [
        ("data", 1007, Box::new(|_| masked(0xc2, b"\xff\xff\xff"))),
        (
            "text",
            1007,
            Box::new(move |_| masked(0xc1, &stored(b"\xff"))),
        ),
        (
            "rest",
            1007,
            Box::new(|_| masked(0xc2, b"\x00\x05\x00\xfa\xffab")),
        ),
        (
            "long",
            1009,
            Box::new(move |client| bomb(client, limit + 1)),
        ),
        ("bits", 1002, Box::new(|_| masked(0xa2, b""))),
    ];
    for (what, code, wrong) in cases {
        let mut config = serving(DeflatePolicy::new());
        config.limits.max_message = limit as u64;
        let side = Side::<false>::echo();
        let notes = Rc::clone(&side.notes);
        let mut bench = Bench::new(side, config, PLAIN_OFFER);
        // As long as is allowed.
        let wire = [bomb(&mut bench.client, limit), wrong(&mut bench.client)].concat();
        bench.send(&[&wire[..], &masked(0x81, b"never seen")].concat());
        assert_eq!(bench.client.closed, Some(code), "{what}");
        assert_eq!(bench.client.messages, [vec![0; limit]], "{what}");
        assert_eq!(
            *notes.borrow(),
            ["offered true", "100000 bytes", "1006 protocol"],
            "{what}"
        );
    }
}

#[test]
fn published_message_reaches_everyone_in_the_form_agreed_on() {
    let side = Side::<false>::new(|peer, what, message| {
        if what == "open" {
            peer.subscribe("news");
        }
        if let Some(message) = message {
            let prepared = Prepared::new(message);
            peer.publish("news", &prepared);
            peer.send_prepared(&prepared);
            peer.send(message);
            peer.broadcast(&Prepared::new(Message::Text("short")));
            // To its neighbour alone, and with its window.
            peer.send(message);
        }
    });
    let offers = [
        PLAIN_OFFER,
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        "x-other",
    ];
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let mut others: Vec<Client> = offers
        .iter()
        .map(|offer| Client::open(&mut bench.inner, offer, 1 << 20))
        .collect();
    let mut expected = Vec::new();
    for number in 0..3 {
        let text = prose(number, 2000);
        bench.tell(&text);
        let remote = bench.inner.remote();
        remote
            .publish("news", &Prepared::new(Message::Text(&text)))
            .unwrap();
        bench.run();
        expected.extend([
            text.clone().into_bytes(),
            b"short".to_vec(),
            text.into_bytes(),
        ]);
        for other in &mut others {
            while other.read() > 0 {}
            assert!(other.messages == expected);
        }
    }
    assert_eq!(bench.client.messages.len(), 3 * 5);
    let plain = others.pop().unwrap();
    assert_eq!(plain.compressed, 0);
    // The forms of one size of window are the same for everyone.
    assert_eq!(others[0].bytes, others[2].bytes);
    assert_eq!(others[1].bytes, others[3].bytes);
    for other in others {
        assert_eq!(other.compressed, 6);
        assert!(other.bytes * 5 < plain.bytes);
    }
}

#[test]
fn what_a_slow_peer_misses_breaks_no_window() {
    let policies = [
        SlowConsumer::DropNewest,
        SlowConsumer::DropOldest,
        SlowConsumer::Conflate,
    ];
    for policy in policies {
        for no_takeover in [false, true] {
            let deflate = DeflatePolicy::new().server_no_context_takeover(no_takeover);
            let mut config = serving(deflate);
            config.slow_consumer = policy;
            config.max_backpressure = 1000;
            let mut bench =
                Bench::narrow(Side::<false>::new(|_, _, _| {}), config, PLAIN_OFFER, 500);
            let mut number = 0;
            let (mut refused, mut sent) = (0, Vec::new());
            for round in 0..8 {
                // More than there is room for: noise, with something to refer
                // to between.
                let peers: Vec<_> = bench.inner.lend().peers().collect();
                for _ in 0..10 * (round % 2) + 5 {
                    number += 1;
                    let mut text = prose(number, 600);
                    text.extend(
                        noise(number as u32, 400)
                            .iter()
                            .map(|byte| char::from(byte >> 1)),
                    );
                    bench.inner.lend().with_peer(peers[0], |_, peer| {
                        let result = match number % 3 {
                            0 => peer.send_keyed(number as u64 % 4, &text),
                            1 => peer.send_prepared(&Prepared::new(Message::Text(&text))),
                            _ => peer.send(&text),
                        };
                        match result {
                            Backpressure::Refused(_) => refused += 1,
                            _ => sent.push(text.clone().into_bytes()),
                        }
                    });
                }
                bench.run();
            }
            let dropped = bench.inner.remote().metrics().dropped as usize;
            let messages = &bench.client.messages;
            assert_eq!(messages.len(), sent.len() - dropped);
            assert!(messages.iter().all(|message| sent.contains(message)));
            match policy {
                SlowConsumer::DropNewest => assert!(
                    refused > 0 && *messages == sent,
                    "{refused} of {number}, {} and {}",
                    messages.len(),
                    sent.len()
                ),
                _ => assert!(dropped > 0 && refused == 0, "{dropped} {refused}"),
            }
            assert!(messages.len() > 20);
        }
    }
}

#[test]
fn fragment_that_is_refused_can_be_sent_again() {
    let text = prose(1, 20_000);
    let noise = noise(1, 20_000);
    let (mut config, whole) = (serving(DeflatePolicy::new()), noise.clone());
    config.max_backpressure = 5000;
    let mut at = 0;
    let side = Side::<false>::new(move |peer, what, _| {
        while what != "close" && at < noise.len() {
            let end = at + 1000;
            match peer.send_fragment(&noise[at..end], end == noise.len()) {
                Backpressure::Refused(Refused::Full(_)) => return,
                Backpressure::Refused(refused) => panic!("{refused}"),
                _ => at = end,
            }
        }
        if what == "drain" {
            peer.send(&text);
        }
    });
    let mut bench = Bench::narrow(side, config, PLAIN_OFFER, 1000);
    bench.run();
    assert!(bench.client.messages[0] == whole);
    assert!(bench.client.messages[1] == prose(1, 20_000).as_bytes());
}

/// Two loops, one the client of the other.
fn connect(
    server: Side,
    policy: DeflatePolicy,
    client: Side,
    request: ClientRequest,
    turns: usize,
) -> [EventLoop<Side, Duplex>; 2] {
    let mut server = EventLoop::new(serving(policy), server, || Ok(()));
    let mut client = EventLoop::new(config(), client, || Ok(()));
    let (near, far) = memory::pair(10_000);
    for inner in [&mut server, &mut client] {
        inner.start_turn(Duration::ZERO);
    }
    let server_key = server.admit(far).unwrap();
    let id = client
        .lend()
        .connect_over(near, Connect::new(request, ()))
        .unwrap();
    for _ in 0..turns {
        for (inner, key) in [(&mut client, id.key()), (&mut server, server_key)] {
            inner.start_turn(Duration::ZERO);
            inner.wake(key, BOTH);
            inner.finish_turn();
        }
    }
    [server, client]
}

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("ws://localhost/").unwrap())
}

#[test]
fn loop_is_the_client_of_another() {
    let offers = [
        DeflateOffer::new().server_max_window_bits(10),
        DeflateOffer::default(),
    ];
    let policy = DeflatePolicy::new().client_no_context_takeover(true);
    let params = DeflateParams {
        client_no_context_takeover: true,
        server_max_window_bits: 10,
        ..DeflateParams::default()
    };
    let client = Side::new(move |peer, what, message| {
        assert_eq!(peer.deflate(), Some(params));
        match message {
            None if what == "open" => {
                for len in [10, 1000, 50_000, 1000] {
                    peer.send(&prose(len, len));
                }
            }
            Some(Message::Text(text)) => assert_eq!(text, prose(text.len(), text.len())),
            _ => {}
        }
    });
    let notes = Rc::clone(&client.notes);
    let [server, client] = connect(Side::echo(), policy, client, request().offers(offers), 200);
    assert_eq!(
        *notes.borrow(),
        ["10 bytes", "1000 bytes", "50000 bytes", "1000 bytes"]
    );
    for inner in [server, client] {
        let metrics = inner.remote().metrics();
        assert_eq!(metrics.compressed_messages_received, 3);
        assert_eq!(metrics.compressed_messages_sent, 3);
    }
}

#[test]
fn client_refuses_what_it_did_not_offer() {
    for (offer, reply) in [
        (None, "permessage-deflate"),
        (
            Some(DeflateOffer::new()),
            "permessage-deflate; client_max_window_bits=10",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate, permessage-deflate",
        ),
    ] {
        let request = request().offers(offer);
        let (near, mut far) = memory::pair(10_000);
        let mut socket: Socket<(), Duplex> =
            Socket::client(near, None, request, &ClientConfig::default());
        let mut side = Side::<false>::echo();
        socket.ready(BOTH, &mut side).unwrap();
        let answer = reply_to(&far_head(&mut far), reply);
        far.write(&[IoSlice::new(&answer)]).unwrap();
        let error = socket.ready(BOTH, &mut side).unwrap_err();
        assert!(matches!(error, OpenError::Handshake(_)), "{reply}: {error}");
        assert_eq!(socket.state(), SocketState::Closed);
    }
}

/// Reads a request.
fn far_head(far: &mut Duplex) -> String {
    let mut buffer = [0; 1000];
    let len = far.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

/// Agrees to a request, and to the extensions named.
fn reply_to(request: &str, extensions: &str) -> Vec<u8> {
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    let key = ws_handshake::accept_key(&key.as_bytes()[..24]);
    let key = str::from_utf8(&key).unwrap();
    format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn sockets_compress_both_ways() {
    for policy in [
        DeflatePolicy::new(),
        DeflatePolicy::new()
            .server_no_context_takeover(true)
            .client_max_window_bits(9),
    ] {
        let (near, far) = memory::pair(5000);
        let request = request().offer(DeflateOffer::default());
        let mut client: Socket<(), Duplex> =
            Socket::client(near, None, request, &ClientConfig::default());
        let mut server = Socket::accept(far, Arc::new(serving(policy)));
        let mut echo = Side::<false>::echo();
        let mut side = Side::<false>::new(|peer, what, _| {
            if what == "open" {
                for len in [100, 1000, 100_000, 3] {
                    peer.send(&prose(len, len));
                }
            }
        });
        for round in 0..200 {
            client.ready(BOTH, &mut side).unwrap();
            server.ready(BOTH, &mut echo).unwrap();
            if round == 100 {
                let mut peer = client.peer().unwrap();
                assert_eq!(peer.deflate(), client_params(&policy));
                peer.send(&prose(1, 2000));
                client.flush(&mut side).unwrap();
            }
        }
        assert_eq!(client.agreed().unwrap().deflate, client_params(&policy));
        let expected = [100, 1000, 100_000, 3, 2000].map(|len| format!("{len} bytes"));
        assert_eq!(*side.notes.borrow(), expected);
        assert_eq!(echo.notes.borrow()[1..], expected);
        // Memory goes when the time has come.
        assert!(client.next_timeout().is_some());
    }
}

/// What is agreed on by default.
fn client_params(policy: &DeflatePolicy) -> Option<DeflateParams> {
    let is_default = *policy == DeflatePolicy::new();
    Some(DeflateParams {
        server_no_context_takeover: !is_default,
        client_max_window_bits: if is_default { 15 } else { 9 },
        ..DeflateParams::default()
    })
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
