//! Servers behind proxies that speak the PROXY protocol.
use std::{
    cell::RefCell,
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
    thread,
    time::Duration,
};

use mio::net::TcpListener;
use ws_mio::{
    Config, ControlledNetwork, Decision, EventLoop, Handler, Incoming, Message, Peer, PeerAddr,
    Proxied, ProxyProtocol, Ready, Remote, Server, Transport, TrustedProxies, memory,
};

use crate::{
    common,
    common::{CLOSE, REPLY, REQUEST, config, dial, expect, head, masked, rest, unmasked},
};

/// Tells a client its address, and echoes.
struct WhoIs;

impl Handler for WhoIs {
    type Data = PeerAddr;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Self::Data> {
        let address = incoming.peer_address();
        match incoming.negotiate() {
            Ok(acceptance) => ws_mio::Accept::new(acceptance, address).into(),
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Self::Data>) {
        assert_eq!(peer.address(), *peer.data());
        let text = peer.address().to_string();
        peer.send_text(&text);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
        peer.send(message);
    }
}

type Behind = ProxyProtocol<TcpListener>;

/// A server behind proxies.
struct Running {
    address: SocketAddr,
    remote: Remote<WhoIs, Proxied<mio::net::TcpStream>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start(trusted: TrustedProxies, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = ProxyProtocol::new(listener, trusted);
        let address = listener.listener().local_addr().unwrap();
        let server: Server<WhoIs, Behind> = Server::with_listener(listener, config).unwrap();
        let remote = server.remote();
        let thread = Some(thread::spawn(move || server.run_with(|_| WhoIs).unwrap()));
        Self {
            address,
            remote,
            thread,
        }
    }

    fn send(&self, pieces: &[&[u8]]) -> TcpStream {
        let mut stream = dial(self.address);
        stream.write_all(&pieces.concat()).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.remote.stop().unwrap();
            self.thread.take().unwrap().join().unwrap();
        }
    }
}

fn trusting() -> TrustedProxies {
    TrustedProxies::new().loopback()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x07\xcb\0\x71\x01\xdc\x04\x01\xbb\
    \x03\0\x04abcd";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const CLIENT: &str = "192.0.2.7:56324";

#[test]
fn client_of_a_trusted_proxy_has_its_own_address() {
    let mut config = config();
    config.threads = 2;
    let server = Running::start(trusting(), config);
    for header in [V1, V2] {
        for _ in 0..4 {
            let mut stream = server.send(&[header, REQUEST, &masked(0x81, b"Hi"), CLOSE]);
            expect(&mut stream, REPLY);
            expect(&mut stream, &unmasked(0x81, CLIENT.as_bytes()));
            assert_eq!(rest(stream), b"\x81\x02Hi\x88\x02\x03\xe8");
        }
    }
    // The header is no part of what was received.
    let metrics = server.remote.metrics();
    assert_eq!(metrics.bytes_received, 8 * 16);
}

#[test]
fn proxy_that_speaks_for_itself_has_its_own_address() {
    let server = Running::start(trusting(), config());
    let mut stream = server.send(&[LOCAL, REQUEST]);
    let own = stream.local_addr().unwrap().to_string();
    expect(&mut stream, REPLY);
    expect(&mut stream, &unmasked(0x81, own.as_bytes()));
}

#[test]
fn client_that_a_proxy_does_not_name_is_unknown_and_gets_no_flag() {
    //= MSWS-1.6-3
    let mut config = config();
    config.accept_unmasked_frame = ControlledNetwork::new().loopback();
    let server = Running::start(trusting(), config);
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[0; 216]].concat();
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x10\0\x01\xbb",
        &unix,
    ] {
        let mut stream = server.send(&[header, REQUEST, b"\x81\x02Hi", CLOSE]);
        expect(&mut stream, REPLY);
        expect(&mut stream, &unmasked(0x81, b"unknown"));
        let answer = rest(stream);
        let what = header.escape_ascii();
        assert_eq!(answer, b"\x88\x10\x03\xeaunmasked_frame", "{what}");
    }
    // The proxy itself has its rights.
    let mut stream = server.send(&[LOCAL, REQUEST, b"\x81\x02Hi", CLOSE]);
    expect(&mut stream, REPLY);
    let own = stream.local_addr().unwrap().to_string();
    expect(&mut stream, &unmasked(0x81, own.as_bytes()));
    assert_eq!(rest(stream), b"\x81\x02Hi\x88\x02\x03\xe8");
}

#[test]
fn trusted_proxy_must_send_a_header() {
    let server = Running::start(trusting(), config());
    for bytes in [
        REQUEST,
        b"\x16\x03\x01\x02\0\x01",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 56324\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &[b'P'; 4096],
    ] {
        let mut stream = server.send(&[bytes]);
        let mut answer = Vec::new();
        // A reset is an end as well: there may be input that nobody read.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{}", bytes.escape_ascii());
    }
    let stream = server.send(&[&V2[..20]]);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), b"");
    // It goes on to serve.
    expect(&mut server.send(&[V1, REQUEST]), REPLY);
    assert_eq!(server.remote.metrics().abandoned, 6);
}

#[test]
fn header_counts_as_a_part_of_the_handshake() {
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(100);
    let server = Running::start(trusting(), config);
    for start in [&b""[..], &V1[..10], V1, &V2[..20]] {
        let answer = rest(server.send(&[start]));
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
    }
}

#[test]
fn header_of_somebody_else_is_a_bad_request() {
    let nobody = TrustedProxies::new().network("192.0.2.0/24".parse().unwrap());
    let server = Running::start(nobody, config());
    let mut stream = server.send(&[V1, REQUEST]);
    assert!(head(&mut stream).starts_with(b"HTTP/1.1 400 "));
    let mut stream = server.send(&[REQUEST]);
    let own = stream.local_addr().unwrap().to_string();
    expect(&mut stream, REPLY);
    expect(&mut stream, &unmasked(0x81, own.as_bytes()));
}

#[test]
fn flag_is_for_the_client_and_not_for_its_proxy() {
    //= MSWS-1.6-3
    let flagged = |network: ControlledNetwork| {
        let mut config = config();
        config.accept_unmasked_frame = network;
        let server = Running::start(trusting(), config);
        let mut stream = server.send(&[V1, REQUEST, b"\x81\x02Hi", CLOSE]);
        expect(&mut stream, REPLY);
        expect(&mut stream, &unmasked(0x81, CLIENT.as_bytes()));
        rest(stream).starts_with(b"\x81\x02Hi")
    };
    assert!(!flagged(ControlledNetwork::new().loopback()));
    let network = "192.0.2.0/24".parse().unwrap();
    assert!(flagged(ControlledNetwork::new().network(network)));
}

#[test]
fn header_may_come_in_any_pieces() {
    let hi = masked(0x81, b"Hi");
    for header in [V1, V2] {
        let all = [header, REQUEST, &hi].concat();
        for size in 1..all.len() {
            let (mut client, server) = memory::pair(4096);
            let mut inner = EventLoop::new(config(), WhoIs, || Ok(())).unwrap();
            let key = inner.admit(Proxied::behind(server)).unwrap();
            for piece in all.chunks(size) {
                client.write(&[IoSlice::new(piece)]).unwrap();
                inner.start_turn(Duration::ZERO);
                // As a poll does: once for each change.
                let ready = Ready {
                    readable: true,
                    ..Ready::default()
                };
                inner.wake(key, ready);
                assert!(inner.finish_turn());
            }
            let mut reply = [0; 4096];
            let len = client.read(&mut reply).unwrap();
            let expected = [REPLY, &unmasked(0x81, CLIENT.as_bytes()), b"\x81\x02Hi"].concat();
            assert_eq!(
                reply[..len].escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn what_follows_the_header_is_read_however_small_the_buffer() {
    for room in [1, 3, 100, 4096] {
        let (mut client, server) = memory::pair(4096);
        let mut server = Proxied::behind(server);
        let payload = common::pattern(600);
        client
            .write(&[IoSlice::new(V2), IoSlice::new(&payload)])
            .unwrap();
        let mut received = Vec::new();
        let mut buffer = vec![0; room];
        loop {
            let len = server.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..len]);
            // What leaves room, and says that this is all, is all.
            if len < room && server.short_is_all() {
                break;
            }
            if received.len() == payload.len() {
                break;
            }
        }
        assert!(received == payload, "room for {room}");
    }
}

#[test]
fn after_its_header_a_connection_owns_the_address_of_the_client_alone() {
    let (mut client, server) = memory::pair(4096);
    let (mut server, mut proxied) = (Some(server), None);
    let used = allocation_counter::measure(|| {
        let mut server = Proxied::behind(server.take().unwrap());
        client
            .write(&[IoSlice::new(V2), IoSlice::new(b"abc")])
            .unwrap();
        let mut buffer = [0; 100];
        assert_eq!(server.read(&mut buffer).unwrap(), 3);
        assert!(server.short_is_all());
        proxied = Some(server);
    });
    assert_eq!(used.bytes_current, size_of::<PeerAddr>() as i64);
}

/// Has the header and half of a request, is interrupted, and has the other half: all before it was
/// told to be readable once.
struct Interrupted {
    reads: Vec<Option<Vec<u8>>>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Transport for Interrupted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reads.pop() {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(None) => Err(io::ErrorKind::Interrupted.into()),
            Some(Some(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = self.written.borrow_mut();
        let before = written.len();
        slices
            .iter()
            .for_each(|slice| written.extend_from_slice(slice));
        Ok(written.len() - before)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn mio::event::Source> {
        None
    }

    fn short_is_all(&self) -> bool {
        true
    }
}

#[test]
fn interrupted_read_behind_the_header_is_made_again() {
    let (first, second) = REQUEST.split_at(REQUEST.len() / 2);
    let first = [b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n", first].concat();
    let written = Rc::<RefCell<Vec<u8>>>::default();
    let transport = Interrupted {
        reads: vec![Some(second.to_vec()), None, Some(first)],
        written: Rc::clone(&written),
    };
    let mut inner = EventLoop::new(config(), WhoIs, || Ok(())).unwrap();
    let key = inner.admit(Proxied::behind(transport)).unwrap();
    inner.start_turn(Duration::ZERO);
    let ready = Ready {
        readable: true,
        writable: true,
        read_closed: false,
    };
    inner.wake(key, ready);
    inner.finish_turn();
    assert!(written.borrow().starts_with(REPLY));
}
