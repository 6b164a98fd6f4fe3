//! Streams that always have more: what they are read in a turn, and in a poll, has a bound.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use mio::event::Source;
use ws_mio::{
    Config, EventLoop, Handler, Message, OriginPolicy, Peer, PeerAddr, Proxied, Ready, Tls,
    Transport,
};
use ws_proto::{ClientMasking, DISCARD_MAX, KeepaliveConfig, ServerMasking, TimeLimits};
use ws_smol::{Acceptor, WebSocket};

use crate::{Simulation, Size, Totals, front::Identity, random::Random};

/// What a connection reads in a turn: its share of a handshake, and that of an open connection.
const TURN: usize = (64 + 1024) * 1024;
/// What lies below TLS counts as it is read; its records have heads.
const TLS_TURN: usize = TURN + 64 * 1024;
/// What a task reads until it is pending once, in a connection and in a handshake: and one read
/// more.
const POLL: usize = (1024 + 512) * 1024;
const HANDSHAKE_POLL: usize = (64 + 16) * 1024;
/// What nothing may read at once; where it is read, there is no more for now.
const ENDED: usize = 8 * 1024 * 1024;
/// How many turns are given.
const TURNS: usize = 24;
/// A stream is played in so many steps.
const EVERY: u64 = 100;

/// A row of streams without end.
pub(crate) struct Floods {
    random: Random,
    identity: Identity,
    totals: Totals,
}

impl Simulation for Floods {
    fn new(random: Random, _: Size) -> Self {
        Self {
            random,
            identity: Identity::new(),
            totals: Totals::default(),
        }
    }

    fn step(&mut self) {
        self.totals.steps += 1;
        if self.totals.steps % EVERY != 1 {
            return;
        }
        self.totals.connections += 1;
        let stream = Endless::new(&mut self.random);
        let identity = &self.identity;
        match self.random.below(6) {
            0 | 1 => self.totals.turns += play(stream, TURN),
            2 => {
                let stream = stream.behind_a_proxy(&mut self.random);
                self.totals.turns += play(Proxied::behind(stream), TURN);
            }
            3 => {
                let stream = stream.in_records(&mut self.random);
                let tls = Tls::server(stream, &identity.server).expect("a configuration");
                self.totals.turns += play(tls, TLS_TURN);
            }
            4 => self.totals.turns += accept(stream),
            _ => self.totals.turns += converse(stream, &mut self.random),
        }
    }

    fn end(self) -> Totals {
        self.totals
    }
}

/// Has a beginning, and then the same bytes again and again.
#[derive(Clone, Debug)]
struct Endless(Rc<RefCell<Bytes>>);

#[derive(Debug)]
struct Bytes {
    once: Vec<u8>,
    again: Vec<u8>,
    at: usize,
    /// How much a read brings at most.
    piece: usize,
    /// How much was read since somebody looked, and in all.
    read: usize,
    read_in_all: usize,
    /// The first bytes that were written.
    written: Vec<u8>,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: simulation\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// What is sent again and again; the last is any bytes.
const AGAIN: [&[u8]; 14] = [
    b"\r\n",
    b"a",
    b"GET / HTTP/1.1\r\nX: 1\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"PROXY TCP4 ",
    b"\x16\x03\x01\0\0",
    b"\x14\x03\x03\0\x01\x01",
    // A Ping, a Pong, an empty fragment, short texts, and a frame of 2^62 bytes.
    b"\x89\x80\0\0\0\0",
    b"\x8a\x80\0\0\0\0",
    b"\0\x80\0\0\0\0",
    b"\x81\x82\0\0\0\0Hi",
    b"\x82\x80\x01\x02\x03\x04",
    b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0",
    b"",
];

impl Endless {
    fn new(random: &mut Random) -> Self {
        let once = match random.chance(600) {
            true => REQUEST,
            false => b"",
        };
        let again = random.choose(&AGAIN);
        let again = match again {
            b"" => (0..random.between(1, 100))
                .map(|_| random.bits() as u8)
                .collect(),
            again => again.to_vec(),
        };
        let again = again.repeat(64 * 1024 / again.len() + 1);
        Self(Rc::new(RefCell::new(Bytes {
            once: once.to_vec(),
            again,
            at: 0,
            piece: random.choose(&[100, 5000, usize::MAX]),
            read: 0,
            read_in_all: 0,
            written: Vec::new(),
        })))
    }

    fn behind_a_proxy(self, random: &mut Random) -> Self {
        if random.chance(700) {
            let header = b"PROXY TCP4 10.0.0.1 10.9.9.9 1024 80\r\n";
            self.0.borrow_mut().once.splice(0..0, *header);
        }
        self
    }

    /// Puts heads of TLS records before what comes.
    fn in_records(self, random: &mut Random) -> Self {
        {
            let bytes = &mut *self.0.borrow_mut();
            bytes.once.clear();
            if random.chance(500) {
                let len = bytes.again.len().min(16 * 1024);
                let mut record = vec![22, 3, 1, (len >> 8) as u8, len as u8];
                record.extend_from_slice(&bytes.again[..len]);
                bytes.again = record;
            }
        }
        self
    }

    /// Reads what comes next; `None` if that is too much at once.
    fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        let bytes = &mut *self.0.borrow_mut();
        if bytes.read >= ENDED {
            return None;
        }
        let rest = match bytes.at.checked_sub(bytes.once.len()) {
            None => &bytes.once[bytes.at..],
            Some(past) => &bytes.again[past % bytes.again.len()..],
        };
        let len = rest.len().min(buffer.len()).min(bytes.piece);
        buffer[..len].copy_from_slice(&rest[..len]);
        bytes.at += len;
        bytes.read += len;
        bytes.read_in_all += len;
        Some(len)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> usize {
        let bytes = &mut *self.0.borrow_mut();
        for slice in slices {
            let room = 16_usize.saturating_sub(bytes.written.len());
            bytes.written.extend(&slice[..slice.len().min(room)]);
        }
        slices.iter().map(|slice| slice.len()).sum()
    }

    fn take_read(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().read)
    }

    /// A peer that is refused, or has failed, is read from no more than so far.
    fn check_all(&self) {
        let bytes = self.0.borrow();
        let most = DISCARD_MAX + 2 * TURN;
        assert!(
            bytes.read_in_all <= most,
            "a peer that has failed is read from for ever: {} bytes",
            bytes.read_in_all
        );
    }
}

impl Transport for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::read(self, buffer).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(Self::write(self, slices))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Self::read(&self, buffer) {
            Some(len) => Poll::Ready(Ok(len)),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(Self::write(&self, &[IoSlice::new(bytes)])))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Tells how many connections are open.
#[derive(Default)]
struct Echo {
    open: usize,
}

impl Handler for Echo {
    type Data = ();

    fn on_open(&mut self, _: &mut Peer<'_, ()>) {
        self.open += 1;
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let _ = peer.send(message);
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, _: ws_mio::Closed<'_>) {
        self.open -= 1;
    }
}

trait Below {
    fn endless(&self) -> &Endless;
}

impl Below for Endless {
    fn endless(&self) -> &Endless {
        self
    }
}

impl Below for Proxied<Endless> {
    fn endless(&self) -> &Endless {
        self.get_ref()
    }
}

impl Below for Tls<Endless> {
    fn endless(&self) -> &Endless {
        self.get_ref()
    }
}

/// Serves a stream in a loop of `ws-mio`; returns how many turns it had.
fn play<T: Transport + Below>(transport: T, most: usize) -> u64 {
    let mut config = Config::new(OriginPolicy::Any);
    config.read_buffer = 16 * 1024;
    config.limits.max_message = 64 * 1024;
    config.time_limits = TimeLimits::UNLIMITED;
    config.keepalive = KeepaliveConfig::OFF;
    let inner = EventLoop::new(config, Echo::default(), || Ok(()));
    let mut inner = inner.expect("a configuration");
    let endless = transport.endless().clone();
    let key = inner.admit(transport).expect("there is room");
    let mut turns = 0;
    for turn in 0..TURNS {
        inner.start_turn(Duration::ZERO);
        if turn == 0 {
            let (readable, writable, read_closed) = (true, true, false);
            inner.wake(
                key,
                Ready {
                    readable,
                    writable,
                    read_closed,
                },
            );
        }
        inner.finish_turn();
        turns += 1;
        let read = endless.take_read();
        assert!(read <= most, "a turn reads {read} bytes");
        if inner.lend().connections() == 0 {
            break;
        }
        let next = inner.next_timeout();
        assert_eq!(next, Some(Duration::ZERO), "the rest is forgotten");
        assert!(read > 0, "a turn is asked for in which nothing was read");
    }
    if inner.lend().handler_mut().open == 0 {
        endless.check_all();
    }
    turns
}

fn config() -> ws_smol::Config {
    let mut config = ws_smol::Config::default();
    config.limits.max_message = 64 * 1024;
    config.keepalive = KeepaliveConfig::OFF;
    config.time_limits = TimeLimits::UNLIMITED;
    config.handshake_timeout = Duration::from_secs(3600);
    config.min_head_rate = 0;
    config
}

/// Makes the opening handshake in a task; returns how often that was polled.
fn accept(stream: Endless) -> u64 {
    let acceptor = Acceptor::new(OriginPolicy::Any).config(config());
    let mut accepting = pin!(acceptor.accept(stream.clone(), PeerAddr::Local));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut polls = 0;
    for _ in 0..10 * TURNS {
        let polled = accepting.as_mut().poll(cx);
        polls += 1;
        let read = stream.take_read();
        assert!(read <= HANDSHAKE_POLL, "a poll reads {read} bytes");
        if polled.is_ready() {
            break;
        }
    }
    stream.check_all();
    polls
}

/// Receives in a task; returns how often that was polled.
fn converse(stream: Endless, random: &mut Random) -> u64 {
    stream.0.borrow_mut().once.clear();
    let config = config();
    let made = match random.chance(500) {
        true => {
            let masking = ServerMasking::with_accept_unmasked_frame(random.chance(500));
            WebSocket::after_handshake(stream.clone(), masking, Vec::new(), &config)
        }
        false => {
            let masking = <ClientMasking>::new();
            WebSocket::after_handshake(stream.clone(), masking, Vec::new(), &config)
        }
    };
    let mut socket = made.expect("a configuration");
    let cx = &mut Context::from_waker(Waker::noop());
    let (mut polls, mut is_over) = (0, false);
    while polls < TURNS as u64 && !is_over {
        polls += 1;
        // A task goes on until it is pending.
        loop {
            let received = pin!(socket.receive_with(|message, replies| replies.queue(message)));
            match received.poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(true)) if stream.0.borrow().read <= POLL => {}
                Poll::Ready(received) => {
                    is_over = !matches!(received, Ok(true));
                    break;
                }
            }
        }
        let read = stream.take_read();
        assert!(read <= POLL, "a poll reads {read} bytes");
    }
    if is_over {
        stream.check_all();
    }
    polls
}
