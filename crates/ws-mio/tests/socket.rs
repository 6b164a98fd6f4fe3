//! `Socket`s in a loop of the test's own, on one thread: clients, servers,
//! and both at once.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use ws_mio::{
    Cause, ClientConfig, ClientRequest, CloseCode, Closed, Config, ControlledNetwork, Decision,
    Handler, Incoming, Message, MessageKind, OpenError, Peer, Response, Socket, SocketState, Uri,
    ws_handshake::HeadLimits, ws_proto,
};

mod common;

use common::{
    CLOSE, Echo, REPLY, REQUEST, Running, config, expect, head, masked, pattern, rest, unmasked,
};

/// Several sockets in one poll, until all of them are over.
struct Loop {
    poll: Poll,
    sockets: Vec<Socket>,
    /// How each of them ended, if it never opened.
    errors: Vec<Option<OpenError>>,
}

impl Loop {
    fn new() -> Self {
        Self {
            poll: Poll::new().unwrap(),
            sockets: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn add(&mut self, mut socket: Socket) -> usize {
        let key = self.sockets.len();
        self.poll
            .registry()
            .register(
                &mut socket,
                Token(key),
                Interest::READABLE | Interest::WRITABLE,
            )
            .unwrap();
        self.sockets.push(socket);
        self.errors.push(None);
        key
    }

    fn note(&mut self, key: usize, result: Result<SocketState, OpenError>) {
        match result {
            Ok(state) => assert_eq!(state, self.sockets[key].state()),
            Err(error) => {
                assert_eq!(self.sockets[key].state(), SocketState::Closed);
                assert!(self.errors[key].replace(error).is_none(), "two errors");
            }
        }
    }

    /// Polls until `done`, with a handler for each.
    fn run_until<H: Handler<Data = ()>>(
        &mut self,
        handlers: &mut [H],
        done: impl Fn(&Self, &[H]) -> bool,
    ) {
        let mut events = Events::with_capacity(64);
        while !done(self, handlers) {
            let next = self.sockets.iter().filter_map(Socket::next_timeout).min();
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            self.poll.poll(&mut events, wait).unwrap();
            for event in &events {
                let key = event.token().0;
                let result = self.sockets[key].ready(event, &mut handlers[key]);
                self.note(key, result);
            }
            for (key, handler) in handlers.iter_mut().enumerate() {
                if self.sockets[key]
                    .next_timeout()
                    .is_some_and(|at| at <= Instant::now())
                {
                    let result = self.sockets[key].handle_timeout(handler);
                    self.note(key, result);
                }
            }
        }
    }

    fn run<H: Handler<Data = ()>>(&mut self, handlers: &mut [H]) {
        self.run_until(handlers, |this, _| {
            this.sockets
                .iter()
                .all(|socket| socket.state() == SocketState::Closed)
        });
        for (socket, handler) in self.sockets.iter_mut().zip(handlers) {
            // Nothing more comes of one that is over.
            assert!(socket.peer().is_none());
            assert_eq!(socket.next_timeout(), None);
            assert_eq!(socket.flush(handler).unwrap(), SocketState::Closed);
            assert_eq!(socket.handle_timeout(handler).unwrap(), SocketState::Closed);
        }
    }
}

/// What a socket was told, in words.
#[derive(Debug, Default)]
struct Notes {
    notes: Vec<String>,
    /// Sent when it is open.
    greeting: Option<&'static str>,
    /// Closes after so many messages.
    close_after: usize,
}

impl Notes {
    fn greeting(text: &'static str) -> Self {
        Self {
            greeting: Some(text),
            close_after: 1,
            ..Self::default()
        }
    }

    fn has_closed(&self) -> bool {
        self.notes
            .last()
            .is_some_and(|note| note.starts_with("close"))
    }
}

impl Handler for Notes {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        self.notes.push("open".into());
        if let Some(greeting) = self.greeting {
            peer.send_text(greeting);
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        self.notes.push(match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => format!("{} bytes", bytes.len()),
        });
        self.close_after = self.close_after.wrapping_sub(1);
        if self.close_after == 0 {
            peer.close(CloseCode::NORMAL, "enough");
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, ()>, closed: Closed<'_>) {
        assert!(!self.has_closed(), "told twice");
        let cause = match closed.cause {
            Cause::Protocol(error) => error.kind().into(),
            Cause::Io(_) => "Io".into(),
            cause => format!("{cause:?}"),
        };
        self.notes.push(format!("close {} {cause}", closed.code));
        peer.send_text("late");
    }
}

fn request(address: SocketAddr) -> ClientRequest {
    ClientRequest::new(Uri::parse(&format!("ws://{address}/chat")).unwrap())
}

fn connect(address: SocketAddr, config: &ClientConfig) -> Socket {
    Socket::connect(address, request(address), config).unwrap()
}

fn quick() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.close_timeout = Duration::from_millis(100);
    config.handshake_timeout = Duration::from_millis(100);
    config
}

/// A server of literal bytes: accepts once, and talks on a thread.
fn script(
    talk: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        talk(&mut stream);
    });
    (address, thread)
}

/// Reads a request and answers with the 101 that it asks for.
fn upgrade(stream: &mut TcpStream) {
    let request = head(stream);
    let request = ws_mio::Request::parse(&request, &HeadLimits::default()).unwrap();
    let config = ws_mio::ServerConfig::new(ws_mio::OriginPolicy::Any);
    let mut reply = Vec::new();
    config.negotiate(&request).unwrap().write_to(&mut reply);
    stream.write_all(&reply).unwrap();
}

/// Accepts one connection as a socket.
fn accept(listener: &TcpListener, config: &Arc<Config>) -> Socket {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    Socket::accept(mio::net::TcpStream::from_std(stream), Arc::clone(config))
}

// --- clients ---

#[test]
fn client_talks_with_a_server_and_waits_for_it_to_close_the_transport() {
    //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
    let server = Running::start(Echo, config());
    let mut sockets = Loop::new();
    for _ in 0..3 {
        sockets.add(connect(server.address, &ClientConfig::default()));
    }
    let mut handlers = [(); 3].map(|()| Notes::greeting("Hello"));
    sockets.run(&mut handlers);
    for handler in handlers {
        assert_eq!(handler.notes, ["open", "Hello", "close 1000 Local"]);
    }
    assert!(sockets.errors.iter().all(Option::is_none));
}

#[test]
fn client_sends_zero_keys_with_the_flag_and_random_ones_without() {
    //= MSWS-3.1.1-1, MSWS-3.1.3-1, MSWS-3.1.4-3, MSWS-4-2, RFC6455-5.3-2
    for flag in [true, false] {
        let (address, server) = script(move |stream| {
            upgrade(stream);
            let mut frames = [[0; 10]; 2];
            stream.read_exact(&mut frames[0]).unwrap();
            stream.write_all(b"\x81\x04more").unwrap();
            stream.read_exact(&mut frames[1]).unwrap();
            for frame in frames {
                // The MASK bit is set in any case.
                assert_eq!(frame[..2], *b"\x81\x84");
                let mut payload = [frame[6], frame[7], frame[8], frame[9]];
                if flag {
                    assert_eq!(frame[2..], *b"\x00\x00\x00\x00ping");
                }
                payload
                    .iter_mut()
                    .zip(&frame[2..6])
                    .for_each(|(byte, key)| *byte ^= key);
                assert_eq!(payload, *b"ping");
            }
            assert_eq!(frames[0][2..6] == frames[1][2..6], flag);
        });
        let mut config = ClientConfig::default();
        config.set_mask_to_zero = flag.into();
        let socket = connect(address, &config);
        let mut sockets = Loop::new();
        sockets.add(socket);
        let mut handlers = [Pinger];
        sockets.run(&mut handlers);
        server.join().unwrap();
    }
}

#[test]
fn client_with_the_flag_echoes_what_came_in_one_read() {
    //= MSWS-3.1.4-3, MSWS-3.1.4-4, MSWS-3.1.4-6
    let payloads = [4_000, 4_096, 10_000, 70_000].map(pattern);
    let expected: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| {
            // As a server would send it, with the MASK bit and a key of zeros.
            let mut frame = unmasked(0x82, payload);
            let head = frame.len() - payload.len();
            frame[1] |= 0x80;
            frame.splice(head..head, [0; 4]);
            frame
        })
        .collect();
    let (address, server) = script(move |stream| {
        let wire: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| unmasked(0x82, payload))
            .collect();
        upgrade(stream);
        stream.write_all(&wire).unwrap();
        expect(stream, &expected);
    });
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = true.into();
    let mut sockets = Loop::new();
    sockets.add(connect(address, &config));
    let mut handlers = [Echo];
    sockets.run(&mut handlers);
    server.join().unwrap();
}

/// Sends "ping" at the start and for every message.
struct Pinger;

impl Handler for Pinger {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        peer.send_text("ping");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, _: Message<'_>) {
        peer.send_text("ping");
    }
}

#[test]
fn allow_list_decides_for_the_client_by_the_server() {
    //= MSWS-1.6-3, MSWS-3.1.3-1, MSWS-5.1-2
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for (network, flag) in [
        (ControlledNetwork::new().loopback(), true),
        (ControlledNetwork::new().loopback().require_tls(), false),
        (
            ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap()),
            false,
        ),
        (ControlledNetwork::new(), false),
    ] {
        let mut config = ClientConfig::default();
        config.set_mask_to_zero = network;
        let socket = connect(address, &config);
        let ws_proto::Masking::Client(masking) = socket.masking() else {
            panic!("it is a client")
        };
        assert_eq!(masking.set_mask_to_zero(), flag);
    }
}

#[test]
fn refused_connection_is_an_io_error() {
    //= RFC6455-4.1-10
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut sockets = Loop::new();
    match Socket::connect(address, request(address), &ClientConfig::default()) {
        // Some systems say so at once.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
        Ok(socket) => {
            sockets.add(socket);
            let mut handlers = [Notes::default()];
            sockets.run(&mut handlers);
            let Some(OpenError::Io(error)) = &sockets.errors[0] else {
                panic!("{:?}", sockets.errors)
            };
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            assert_eq!(handlers[0].notes, [""; 0]);
        }
    }
}

#[test]
fn answer_other_than_101_is_handed_over_with_its_body() {
    //= RFC6455-4.1-34
    for (answer, status, body) in [
        (&b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nWWW-Authenticate: Basic\r\n\r\nsecret"[..], 401, &b"secret"[..]),
        (b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", 302, b""),
        // Its body ends with the stream.
        (b"HTTP/1.1 200 OK\r\n\r\na page", 200, b"a page"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\nno", 503, b"no"),
    ] {
        let (address, server) = script(move |stream| {
            head(stream);
            stream.set_nodelay(true).unwrap();
            for byte in answer {
                stream.write_all(&[*byte]).unwrap();
            }
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        server.join().unwrap();
        let Some(OpenError::Refused(response)) = &sockets.errors[0] else {
            panic!("{:?}", sockets.errors)
        };
        assert_eq!(response.status, status);
        assert_eq!(response.body, body);
        assert_eq!(handlers[0].notes, [""; 0]);
    }
}

#[test]
fn wrong_answers_are_handshake_errors() {
    //= RFC6455-7.2.1-1, RFC6455-7.2.1-2
    for (answer, kind) in [
        (&b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"[..], "bad_accept"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_status_line"),
        (b"HTTP/1.1 101", "connection_lost"),
        (b"", "connection_lost"),
    ] {
        let (address, server) = script(move |stream| {
            head(stream);
            stream.write_all(answer).unwrap();
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        sockets.run(&mut [Notes::default()]);
        server.join().unwrap();
        let Some(OpenError::Handshake(error)) = &sockets.errors[0] else {
            panic!("{:?}", sockets.errors)
        };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn server_that_does_not_answer_the_request_is_given_up() {
    let (address, server) = script(|stream| {
        head(stream);
        // Until the client leaves.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut sockets = Loop::new();
    sockets.add(connect(address, &quick()));
    sockets.run(&mut [Notes::default()]);
    assert!(matches!(sockets.errors[0], Some(OpenError::Timeout)));
    drop(sockets);
    server.join().unwrap();
}

#[test]
fn frames_may_come_with_the_101_and_byte_by_byte() {
    for step in [1, 2, usize::MAX] {
        let (address, server) = script(move |stream| {
            let request = head(stream);
            let request = ws_mio::Request::parse(&request, &HeadLimits::default()).unwrap();
            let config = ws_mio::ServerConfig::new(ws_mio::OriginPolicy::Any);
            let mut wire = Vec::new();
            config.negotiate(&request).unwrap().write_to(&mut wire);
            wire.extend(b"\x81\x05Hello\x89\x00\x01\x02ye\x80\x01s\x88\x02\x03\xe9");
            stream.set_nodelay(true).unwrap();
            for piece in wire.chunks(step) {
                stream.write_all(piece).unwrap();
            }
            // The Pong and the answer to the Close, masked.
            let mut replies = [0; 6 + 8];
            stream.read_exact(&mut replies).unwrap();
            assert_eq!((replies[0], replies[1]), (0x8a, 0x80));
            assert_eq!((replies[6], replies[7]), (0x88, 0x82));
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        server.join().unwrap();
        assert_eq!(
            handlers[0].notes,
            ["open", "Hello", "yes", "close 1001 Peer"]
        );
    }
}

#[test]
fn masked_frame_from_a_server_fails_the_connection() {
    //= RFC6455-5.1-5, RFC6455-7.1.7-1, MSWS-3.1.5-1
    let (address, server) = script(|stream| {
        upgrade(stream);
        stream.write_all(&masked(0x81, b"no")).unwrap();
        let mut close = Vec::new();
        stream.read_to_end(&mut close).unwrap();
        assert_eq!(close[..6], *b"\x88\x8e\x00\x00\x00\x00");
        assert_eq!(close[6..], *b"\x03\xeamasked_frame");
    });
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = true.into();
    let mut sockets = Loop::new();
    sockets.add(connect(address, &config));
    let mut handlers = [Notes::default()];
    sockets.run(&mut handlers);
    server.join().unwrap();
    assert_eq!(handlers[0].notes, ["open", "close 1006 masked_frame"]);
}

#[test]
fn server_that_does_not_close_the_transport_is_left_after_close_timeout() {
    //= RFC6455-5.5.1-14, RFC6455-7.1.1-4
    let (address, server) = script(|stream| {
        upgrade(stream);
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        // Holds on until the client leaves.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut sockets = Loop::new();
    sockets.add(connect(address, &quick()));
    let mut handlers = [Notes::default()];
    sockets.run(&mut handlers);
    assert_eq!(handlers[0].notes, ["open", "close 1000 Peer"]);
    drop(sockets);
    server.join().unwrap();
}

#[test]
fn server_that_does_not_answer_a_close_or_a_ping_is_dropped() {
    //= RFC6455-7.1.1-2
    for (is_close, told) in [(true, "Timeout(Close)"), (false, "Timeout(Pong)")] {
        let (address, server) = script(|stream| {
            upgrade(stream);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut config = quick();
        config.keepalive.ping_interval = (!is_close).then_some(Duration::from_millis(50));
        config.keepalive.pong_timeout = Some(Duration::from_millis(50));
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        let mut handlers = [Notes::default()];
        sockets.run_until(&mut handlers, |_, handlers| !handlers[0].notes.is_empty());
        if is_close {
            let mut peer = sockets.sockets[0].peer().unwrap();
            peer.close(CloseCode::NORMAL, "");
            sockets.sockets[0].flush(&mut handlers[0]).unwrap();
        }
        sockets.run(&mut handlers);
        assert_eq!(handlers[0].notes, ["open", &format!("close 1006 {told}")]);
        drop(sockets);
        server.join().unwrap();
    }
}

#[test]
fn limits_with_time_hold_for_a_socket_too() {
    let flood = unmasked(0x89, b"").repeat(2001); // too many wherever a second begins
    for (sent, told) in [
        (&b"\x81\x05He"[..], "close 1006 Timeout(Message)"),
        (b"\x88\x02\x03\xe8", "close 1000 Timeout(Lifetime)"),
        (&flood, "close 1006 ControlFlood"),
    ] {
        let is_lifetime = told.ends_with("(Lifetime)");
        let sent = sent.to_vec();
        let (address, server) = script(move |stream| {
            upgrade(stream);
            if is_lifetime {
                // The Close, and its answer.
                let mut close = [0; 2 + 4 + 10];
                stream.read_exact(&mut close).unwrap();
            }
            stream.write_all(&sent).unwrap();
            if !is_lifetime {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let mut config = quick();
        let short = Duration::from_millis(100);
        config.time_limits.message = Some(short);
        config.time_limits.lifetime = is_lifetime.then_some(short);
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        let last = handlers[0].notes.last().unwrap();
        assert_eq!(last, told);
        drop(sockets);
        server.join().unwrap();
    }
}

#[test]
fn peer_can_send_pause_resume_and_abort_from_outside() {
    let server = Running::start(Echo, config());
    let mut sockets = Loop::new();
    sockets.add(connect(server.address, &ClientConfig::default()));
    let mut handlers = [Notes::default()];
    assert!(sockets.sockets[0].peer().is_none());
    sockets.run_until(&mut handlers, |_, handlers| !handlers[0].notes.is_empty());
    let mut peer = sockets.sockets[0].peer().unwrap();
    peer.pause();
    peer.send_text("one");
    peer.send_binary(&pattern(3 << 20));
    sockets.sockets[0].flush(&mut handlers[0]).unwrap();
    // The echo is there, and not read.
    let mut events = Events::with_capacity(8);
    let mut is_readable = false;
    while !is_readable {
        sockets.poll.poll(&mut events, None).unwrap();
        for event in &events {
            is_readable |= event.is_readable();
            sockets.sockets[0].ready(event, &mut handlers[0]).unwrap();
        }
    }
    assert_eq!(handlers[0].notes, ["open"]);
    sockets.sockets[0].peer().unwrap().resume();
    sockets.sockets[0].flush(&mut handlers[0]).unwrap();
    sockets.run_until(&mut handlers, |_, handlers| handlers[0].notes.len() == 3);
    assert_eq!(handlers[0].notes, ["open", "one", "3145728 bytes"]);
    sockets.sockets[0].peer().unwrap().abort();
    let state = sockets.sockets[0].flush(&mut handlers[0]).unwrap();
    assert_eq!(state, SocketState::Closed);
    assert_eq!(handlers[0].notes[3], "close 1006 Aborted");
}

#[test]
fn big_messages_go_both_ways_through_small_buffers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = Loop::new();
    let narrow = |stream: &TcpStream| {
        let socket = socket2::SockRef::from(stream);
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.set_send_buffer_size(32 * 1024).unwrap();
    };
    for flag in [true, false] {
        let stream = TcpStream::connect(address).unwrap();
        narrow(&stream);
        stream.set_nonblocking(true).unwrap();
        let mut config = ClientConfig::default();
        // The servers are not dropped, which would close their transports.
        config.close_timeout = Duration::from_millis(100);
        config.set_mask_to_zero = flag.into();
        let stream = mio::net::TcpStream::from_std(stream);
        sockets.add(Socket::client(
            stream,
            Some(address),
            request(address),
            &config,
        ));
        let (stream, _) = listener.accept().unwrap();
        narrow(&stream);
        stream.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        sockets.add(Socket::accept(stream, Arc::new(common::config())));
    }
    // Both sides send 2 MiB at once, and neither waits for the other to read.
    let mut handlers = [(); 4].map(|()| Big::default());
    sockets.run(&mut handlers);
    for handler in handlers {
        assert_eq!(handler.got, 1);
    }
}

/// Sends something big, and closes when it has got the same.
#[derive(Default)]
struct Big {
    got: usize,
}

impl Handler for Big {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        // A client masks it where it lies.
        peer.send_in_place(MessageKind::Binary, &mut pattern(2 << 20));
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        assert!(message.as_bytes() == pattern(2 << 20));
        self.got += 1;
        peer.close(CloseCode::NORMAL, "");
    }
}

#[test]
fn socket_that_is_flooded_gives_the_loop_back() {
    //= RFC6455-10.1-1
    let (address, server) = script(|stream| {
        upgrade(stream);
        let frames = unmasked(0x82, &[0; 60_000]).repeat(16);
        // Until the client has had enough.
        while stream.write_all(&frames).is_ok() {}
    });
    let mut config = quick();
    config.keepalive.ping_interval = None;
    let mut sockets = Loop::new();
    sockets.add(connect(address, &config));
    let mut handlers = [Notes::default()];
    // The loop gets to look again and again, and its timeouts hold.
    sockets.run_until(&mut handlers, |_, handlers| handlers[0].notes.len() > 2000);
    sockets.sockets[0]
        .peer()
        .unwrap()
        .close(CloseCode::NORMAL, "");
    sockets.sockets[0].flush(&mut handlers[0]).unwrap();
    sockets.run_until(&mut handlers, |this, _| {
        this.sockets[0].state() == SocketState::Closed
    });
    assert_eq!(
        handlers[0].notes.last().unwrap(),
        "close 1006 Timeout(Close)"
    );
    drop(sockets);
    server.join().unwrap();
}

// --- servers ---

#[test]
fn socket_is_a_server_as_well() {
    //= RFC6455-5.5.1-12, RFC6455-7.1.1-3
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = common::dial(address);
        stream.set_nodelay(true).unwrap();
        for byte in REQUEST {
            stream.write_all(&[*byte]).unwrap();
        }
        expect(&mut stream, REPLY);
        stream
            .write_all(&[masked(0x81, b"Hello"), CLOSE.into()].concat())
            .unwrap();
        assert_eq!(rest(stream), b"\x81\x05Hello\x88\x02\x03\xe8");
    });
    let mut sockets = Loop::new();
    sockets.add(accept(&listener, &Arc::new(config())));
    sockets.run_until(&mut [Echo], |this, _| {
        this.sockets[0].state() == SocketState::Closed
    });
    // The transport closes when the socket is dropped.
    drop(sockets);
    client.join().unwrap();
}

#[test]
fn server_socket_answers_what_it_refuses_to_the_last_byte() {
    //= RFC6455-7.1.1-1
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = common::dial(address);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let answer = head(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(rest(stream) == pattern(8 << 20));
        // And one that sends nonsense.
        let mut stream = common::dial(address);
        stream.write_all(b"nonsense\n").unwrap();
        assert!(rest(stream).starts_with(b"HTTP/1.1 400 "));
        // And one that sends nothing.
        assert!(rest(common::dial(address)).starts_with(b"HTTP/1.1 408 "));
    });
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(100);
    let config = Arc::new(config);
    let mut sockets = Loop::new();
    let mut handlers = Vec::new();
    for status in [200, 400, 408] {
        let key = sockets.add(accept(&listener, &config));
        handlers.push(Page);
        sockets.run_until(&mut handlers, |this, _| {
            this.sockets[key].state() == SocketState::Closed
        });
        match sockets.errors[key].as_ref().unwrap() {
            OpenError::Answered(answered) => assert_eq!(*answered, status),
            OpenError::Timeout => assert_eq!(status, 408),
            other => panic!("{other}"),
        }
    }
    client.join().unwrap();
}

/// Answers every request with a page that no transport takes at once.
struct Page;

impl Handler for Page {
    type Data = ();

    fn on_request<'r>(&mut self, _: Incoming<'r>) -> Decision<'r, ()> {
        Response::new(200).body(pattern(8 << 20)).into()
    }

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}
}

#[test]
fn both_ends_may_be_in_one_loop_and_one_handler_may_serve_another_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = Running::start(Echo, config());
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(16);
    let both = Interest::READABLE | Interest::WRITABLE;
    // The client of the test, in the same loop.
    let mut client = connect(address, &ClientConfig::default());
    poll.registry()
        .register(&mut client, Token(0), both)
        .unwrap();
    let mut door = accept(&listener, &Arc::new(config()));
    poll.registry().register(&mut door, Token(1), both).unwrap();
    let mut back = connect(upstream.address, &ClientConfig::default());
    poll.registry().register(&mut back, Token(2), both).unwrap();
    // Open the way to the upstream first.
    let mut answers = Notes::default();
    while back.state() != SocketState::Open {
        poll.poll(&mut events, None).unwrap();
        for event in events.iter().filter(|event| event.token() == Token(2)) {
            back.ready(event, &mut answers).unwrap();
        }
    }
    // What was missed is looked at now: readiness is told once.
    poll.registry()
        .reregister(&mut client, Token(0), both)
        .unwrap();
    poll.registry()
        .reregister(&mut door, Token(1), both)
        .unwrap();
    let mut notes = Notes::greeting("through");
    let mut proxy = Proxy { back, answers };
    while client.state() != SocketState::Closed {
        let timeout = [client.next_timeout(), door.next_timeout()]
            .into_iter()
            .flatten()
            .min();
        let wait = timeout.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            match event.token() {
                Token(0) => drop(client.ready(event, &mut notes).unwrap()),
                Token(1) => drop(door.ready(event, &mut proxy).unwrap()),
                _ => {
                    proxy.back.ready(event, &mut proxy.answers).unwrap();
                    for answer in proxy.answers.notes.drain(..).filter(|note| note != "open") {
                        if let Some(mut peer) = door.peer() {
                            peer.send_text(&answer);
                        }
                    }
                    door.flush(&mut proxy).unwrap();
                }
            }
        }
        if door.state() == SocketState::Closed {
            // As its owner should: it closes the transport.
            poll.registry().deregister(&mut door).unwrap();
            door = connect(upstream.address, &ClientConfig::default());
        }
    }
    assert_eq!(notes.notes, ["open", "through", "close 1000 Local"]);
}

/// Hands messages on to another socket, from within the call for one.
struct Proxy {
    back: Socket,
    answers: Notes,
}

impl Handler for Proxy {
    type Data = ();

    fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
        self.back.peer().unwrap().send(message);
        self.back.flush(&mut self.answers).unwrap();
    }
}
