//! What connections that agree on compression hold, counted by an allocator.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    time::Duration,
};

use mio::event::Source;
use ws_mio::{Config, DeflatePolicy, EventLoop, PeerAddr, Ready, Transport, ws_proto};
use ws_proto::{DeflateWindow, Deflater};

use crate::common::{Echo, config, masked, pattern};

thread_local! {
    /// What the connection that is woken reads.
    static WIRE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(4 << 20));
    /// The last bytes that it has written.
    static LAST: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(256 * 1024));
}

/// A transport that owns nothing.
struct Handle;

impl Transport for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        WIRE.with_borrow_mut(|wire| match wire.len().min(buffer.len()) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => {
                buffer[..len].copy_from_slice(&wire[..len]);
                wire.drain(..len);
                Ok(len)
            }
        })
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        LAST.with_borrow_mut(|last| {
            last.clear();
            for slice in slices {
                last.extend_from_slice(&slice[..slice.len().min(64 * 1024)]);
            }
        });
        Ok(slices.iter().map(|slice| slice.len()).sum())
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

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Has a connection read, and returns the last that it wrote.
fn exchange(inner: &mut EventLoop<Echo, Handle>, key: usize, bytes: &[u8]) {
    WIRE.with_borrow_mut(|wire| wire.extend_from_slice(bytes));
    let readable = Ready {
        readable: true,
        ..Ready::default()
    };
    inner.wake(key, readable);
    // A bomb takes several turns.
    while !WIRE.with_borrow(Vec::is_empty) && inner.next_timeout() == Some(Duration::ZERO) {
        inner.finish_turn();
    }
}

/// The payload of a compressed message, without context.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut pool = ws_proto::DeflatePool::default();
    let mut deflater = Deflater::new(DeflateWindow::new(true, 15));
    deflater.deflate(message, true, &mut pool).unwrap().to_vec()
}

fn serving(policy: Option<DeflatePolicy>) -> Config {
    let mut config = config();
    config.read_buffer = 16 * 1024;
    if let Some(policy) = policy {
        config.handshake = config.handshake.deflate(policy);
    }
    config
}

/// Bytes that an idle connection holds after a message of 1 KiB both ways.
fn idle_bytes(policy: Option<DeflatePolicy>) -> f64 {
    const COUNT: usize = 5000;
    let message = pattern(1024);
    let frame = match policy {
        Some(_) => masked(0xc2, &compressed(&message)),
        None => masked(0x82, &message),
    };
    let mut inner = EventLoop::new(serving(policy), Echo, || Ok(())).unwrap();
    let open = |inner: &mut EventLoop<_, _>, count: usize| {
        for _ in 0..count {
            inner.start_turn(Duration::ZERO);
            let key = inner.admit(Handle).unwrap();
            exchange(inner, key, REQUEST);
            exchange(inner, key, &frame);
            LAST.with_borrow(|last| assert_eq!(last[0] & 0x40 != 0, policy.is_some()));
            inner.finish_turn();
        }
    };
    // What the loop itself holds is there with the first.
    open(&mut inner, 1);
    let info = allocation_counter::measure(|| open(&mut inner, COUNT));
    info.bytes_current as f64 / COUNT as f64
}

#[test]
fn idle_connection_owns_what_its_peer_may_refer_to_and_no_more() {
    let plain = idle_bytes(None);
    let none = DeflatePolicy::new()
        .server_no_context_takeover(true)
        .client_no_context_takeover(true);
    let forgetful = idle_bytes(Some(none));
    assert!(forgetful <= plain * 1.05, "{plain} and {forgetful} bytes");
    let keeping = idle_bytes(Some(DeflatePolicy::new()));
    assert!(keeping - plain <= 1536.0, "{plain} and {keeping} bytes");
    println!("{plain} {forgetful} {keeping}");
}

/// Each of the attackers sends one byte of a compressed message, and nothing
/// more: a decoder for each would take twice the budget.
#[test]
fn beginnings_of_compressed_messages_keep_nobody_from_being_served() {
    //= RFC6455-10.4-2
    const ATTACKERS: usize = 10_000;
    let config = serving(Some(DeflatePolicy::new()));
    let budget = config.inflate.budget.clone();
    let mut inner = EventLoop::new(config, Echo, || Ok(())).unwrap();
    let open = |inner: &mut EventLoop<_, _>| {
        inner.start_turn(Duration::ZERO);
        let key = inner.admit(Handle).unwrap();
        exchange(inner, key, REQUEST);
        key
    };
    let old = open(&mut inner);
    for _ in 0..ATTACKERS {
        let key = open(&mut inner);
        exchange(&mut inner, key, b"\xc2\xe4\x01\x02\x03\x04\x00");
    }
    assert!(budget.held() < budget.limit() / 100, "{}", budget.held());
    let message = pattern(4096);
    let frame = masked(0xc2, &compressed(&message));
    for _ in 0..100 {
        let new = open(&mut inner);
        for key in [old, new] {
            // In two reads, so that it is not finished in between.
            let (start, rest) = frame.split_at(frame.len() / 2);
            exchange(&mut inner, key, start);
            exchange(&mut inner, key, rest);
            LAST.with_borrow(|last| assert_eq!(last[0], 0xc2));
        }
    }
}

#[test]
fn bomb_costs_less_than_twice_the_longest_message() {
    //= RFC6455-10.4-1
    let zeros = compressed(&vec![0; 64 << 20]);
    let text = compressed(
        &[
            b"It begins as any other. ".repeat(1000),
            vec![b'a'; 64 << 20],
        ]
        .concat(),
    );
    assert!(zeros.len() < 70_000 && text.len() < 70_000);
    for (first, payload) in [(0xc2, zeros), (0xc1, text)] {
        let fragment =
            |(i, byte): (usize, &u8)| masked(if i == 0 { first & 0x7f } else { 0 }, &[*byte]);
        let fragments = payload.iter().enumerate().flat_map(fragment).collect();
        for bomb in [masked(first, &payload), fragments] {
            let mut config = serving(Some(DeflatePolicy::new()));
            config.limits.max_message = 1 << 20;
            let mut inner = EventLoop::new(config, Echo, || Ok(())).unwrap();
            inner.start_turn(Duration::ZERO);
            let key = inner.admit(Handle).unwrap();
            exchange(&mut inner, key, REQUEST);
            let info = allocation_counter::measure(|| exchange(&mut inner, key, &bomb));
            assert!(info.bytes_max < 2 << 20, "{info:?}");
            LAST.with_borrow(|last| assert_eq!(last[..4], *b"\x88\x11\x03\xf1"));
            println!("{info:?}");
        }
    }
}
