//! How much is read for one connection in a turn, however much its transport
//! has: the turn belongs to all.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    rc::Rc,
    sync::Arc,
};

use mio::event::Source;
use ws_mio::{
    ClientConfig, ClientRequest, Connect, Handler, Peer, PeerAddr, PeerId, Ready, Socket,
    SocketState, Transport, Uri,
};

use crate::common::{
    Echo, REQUEST,
    bench::{Bench, READY, quiet},
    masked, unmasked,
};

/// Has a beginning, and then the same bytes again and again, without end.
struct Endless {
    beginning: &'static [u8],
    again: Vec<u8>,
    at: usize,
    /// How many bytes were read, for the test.
    read: Rc<Cell<usize>>,
    written: Rc<Cell<usize>>,
}

impl Endless {
    fn new(beginning: &'static [u8], again: &[u8]) -> (Self, Rc<Cell<usize>>) {
        let read = Rc::<Cell<usize>>::default();
        let endless = Self {
            beginning,
            again: again.repeat((1 << 16) / again.len() + 1),
            at: 0,
            read: Rc::clone(&read),
            written: Rc::default(),
        };
        (endless, read)
    }
}

impl Transport for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = self.beginning.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.beginning[..len]);
        self.beginning = &self.beginning[len..];
        while len < buffer.len() {
            let from = &self.again[self.at..];
            let some = from.len().min(buffer.len() - len);
            buffer[len..len + some].copy_from_slice(&from[..some]);
            self.at = (self.at + some) % self.again.len();
            len += some;
        }
        self.read.set(self.read.get() + len);
        Ok(len)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.written.set(self.written.get() + len);
        Ok(len)
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

const HANDSHAKE: usize = 64 * 1024;
const OPEN: usize = 1024 * 1024;

/// Gives a loop turns, and asserts that each reads no more than it may.
fn turns<T: Transport>(bench: &mut Bench<Echo, T>, key: usize, read: &Cell<usize>, most: usize) {
    for turn in 0..20 {
        let before = read.get();
        bench.turn(if turn == 0 { &[0] } else { &[] });
        let came = read.get() - before;
        assert!(came <= most, "{came} in turn {turn}");
        if bench.inner.transport(key).is_none() {
            return;
        }
        assert!(came > 0, "it goes on in turn {turn}");
        assert_eq!(bench.inner.next_timeout(), Some(bench.now));
    }
}

#[test]
fn request_that_never_ends_is_read_in_shares() {
    for again in [&b"\r\n"[..], b"GET / HTTP/1.1\r\nX: 1\r\n", b"a"] {
        let mut bench = Bench::new(Echo, quiet());
        let (endless, read) = Endless::new(b"", again);
        let key = bench.inner.admit(endless).unwrap();
        // One that was refused is read on, so that it gets the answer.
        turns(&mut bench, key, &read, OPEN);
        let mut bench = Bench::new(Echo, quiet());
        let (endless, read) = Endless::new(b"", again);
        let key = bench.inner.admit(endless).unwrap();
        bench.turn(&[key]);
        assert!(read.get() <= HANDSHAKE, "{}", read.get());
    }
}

#[test]
fn reply_that_never_ends_is_read_in_shares() {
    for again in [
        &b"HTTP/1.1 100 Continue\r\n\r\n"[..],
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"\r\n",
    ] {
        let mut bench = Bench::new(Echo, quiet());
        let (endless, read) = Endless::new(b"", again);
        let connect = Connect::new(ClientRequest::new(Uri::parse("ws://h/").unwrap()), ());
        let id = bench.inner.lend().connect_over(endless, connect).unwrap();
        turns(&mut bench, id.key(), &read, HANDSHAKE);
    }
}

#[test]
fn open_connection_reads_its_share() {
    let large = masked(0x82, &vec![0; 3 << 20]);
    for again in [&masked(0x81, b"Hi")[..], &masked(0x89, b""), &large] {
        let mut config = quiet();
        config.time_limits.max_control_rate = u32::MAX;
        config.high_water = usize::MAX;
        let mut bench = Bench::new(Echo, config);
        let (endless, read) = Endless::new(REQUEST, again);
        let key = bench.inner.admit(endless).unwrap();
        turns(&mut bench, key, &read, HANDSHAKE + OPEN);
        assert!(bench.inner.transport(key).is_some());
        assert!(read.get() > 10 * OPEN, "{}", read.get());
    }
}

#[test]
fn connection_that_is_over_reads_its_share() {
    let mut bench = Bench::new(Echo, quiet());
    // An unmasked frame.
    let (endless, read) = Endless::new(REQUEST, &unmasked(0x81, b"Hi"));
    let key = bench.inner.admit(endless).unwrap();
    turns(&mut bench, key, &read, HANDSHAKE + OPEN);
}

/// Tells the test who has connected.
struct Named(Rc<Cell<Option<PeerId>>>);

impl Handler for Named {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        self.0.set(Some(peer.id()));
    }
}

#[test]
fn connection_that_others_send_to_reads_no_more_than_its_share() {
    let name = Rc::<Cell<_>>::default();
    let mut config = quiet();
    config.time_limits.max_control_rate = u32::MAX;
    let mut bench = Bench::new(Named(Rc::clone(&name)), config);
    let (endless, read) = Endless::new(REQUEST, &masked(0x81, b"Hi"));
    let key = bench.inner.admit(endless).unwrap();
    bench.turn(&[key]);
    let id = name.take().unwrap();
    for _ in 0..4 {
        let before = read.get();
        for _ in 0..10 {
            let asked = bench.inner.remote().with_peer(id, |_, peer| {
                peer.send_text("news");
            });
            asked.unwrap();
        }
        bench.turn(&[]);
        let came = read.get() - before;
        assert!(came > 0 && came <= OPEN, "{came}");
    }
}

/// Gives a socket turns, and asserts that each reads no more than it may.
fn socket_turns(socket: &mut Socket<(), Endless>, read: &Cell<usize>, most: usize) {
    let mut ready = READY;
    for turn in 0..20 {
        let before = read.get();
        let state = socket.ready(ready, &mut Echo);
        let came = read.get() - before;
        assert!(came <= most, "{came} in turn {turn}");
        if !matches!(state, Ok(state) if state != SocketState::Closed) {
            return;
        }
        assert!(came > 0, "it goes on in turn {turn}");
        ready = Ready::default();
    }
}

#[test]
fn socket_reads_its_share() {
    for again in [&b"\r\n"[..], b"HTTP/1.1 100 Continue\r\n\r\n"] {
        let (endless, read) = Endless::new(b"", again);
        let request = ClientRequest::new(Uri::parse("ws://h/").unwrap());
        let mut socket = Socket::client(endless, request, &ClientConfig::default()).unwrap();
        socket_turns(&mut socket, &read, HANDSHAKE);
    }
    let (endless, read) = Endless::new(b"", b"\r\n");
    let mut socket = Socket::accept(endless, Arc::new(quiet())).unwrap();
    socket_turns(&mut socket, &read, OPEN);
    let (endless, read) = Endless::new(REQUEST, &masked(0x81, b"Hi"));
    let mut socket = Socket::accept(endless, Arc::new(quiet())).unwrap();
    socket_turns(&mut socket, &read, HANDSHAKE + 4 * OPEN);
    assert!(read.get() > 40 * OPEN);
}

#[cfg(feature = "proxy")]
mod proxies {
    use ws_mio::{Proxied, Proxy, Tunneled};

    use super::*;

    #[test]
    fn header_of_a_proxy_that_never_ends_is_read_in_shares() {
        for again in [&b"PROXY TCP4 "[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
            let mut bench = Bench::new(Echo, quiet());
            let (endless, read) = Endless::new(b"", again);
            let key = bench.inner.admit(Proxied::behind(endless)).unwrap();
            turns(&mut bench, key, &read, OPEN);
        }
    }

    #[test]
    fn reply_of_a_proxy_that_never_ends_is_read_in_shares() {
        for again in [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], b"\r\n", b"X: 1\r\n"] {
            let mut bench = Bench::new(Echo, quiet());
            let (endless, read) = Endless::new(b"", again);
            let proxy: Proxy = "http://proxy.example:3128".parse().unwrap();
            let tunneled = Tunneled::new(endless, &proxy, "h", 80).unwrap();
            let connect = Connect::new(ClientRequest::new(Uri::parse("ws://h/").unwrap()), ());
            let id = bench.inner.lend().connect_over(tunneled, connect).unwrap();
            turns(&mut bench, id.key(), &read, HANDSHAKE + 512);
        }
    }
}
