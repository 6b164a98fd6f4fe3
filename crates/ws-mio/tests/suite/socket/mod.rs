//! `Socket`s in a loop of the test's own, on one thread: clients, servers,
//! and both at once.

use crate::common;
mod ending;
mod masking;
mod opening;
mod server;

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use ws_mio::{
    Cause, ClientConfig, ClientRequest, CloseCode, Closed, Config, Handler, Message, MessageKind,
    OpenError, Peer, Socket, SocketState, TimeLimits, Uri, ws_handshake::HeadLimits,
};

use crate::common::{Echo, Running, config, head, pattern, unmasked};

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
    Socket::accept(mio::net::TcpStream::from_std(stream), Arc::clone(config)).unwrap()
}

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
        // However slowly this machine runs.
        config.close_timeout = Duration::from_secs(300);
        config.time_limits = TimeLimits::UNLIMITED;
        config.set_mask_to_zero = flag.into();
        let stream = mio::net::TcpStream::from_std(stream);
        sockets.add(Socket::client(stream, request(address), &config).unwrap());
        let (stream, _) = listener.accept().unwrap();
        narrow(&stream);
        stream.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        sockets.add(Socket::accept(stream, Arc::new(common::config())).unwrap());
    }
    // Both sides send 2 MiB at once, and neither waits for the other to read.
    let mut handlers = [(); 4].map(|()| Big::default());
    // The transports close when the servers are dropped.
    sockets.run_until(&mut handlers, |_, handlers| {
        handlers.iter().all(|handler| handler.got == 1)
    });
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
