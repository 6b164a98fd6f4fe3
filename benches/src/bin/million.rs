//! A million open connections in one loop, over transports in memory: what an idle one holds, and
//! what a message costs when there are many.
//!
//! ```sh
//! cargo run --release -p benches --bin million
//! ```
//!
//! `--connections N` takes another number, `--max-bytes N` fails if an idle connection holds more.
//!
//! Counted is everything that the loop allocates: slots with their transports, timers and indexes.
//! A transport is a number, as a descriptor of TCP is; what is behind it, in the kernel there and
//! in this program here, is not counted.

use std::{
    cell::RefCell,
    error::Error,
    io::{self, IoSlice},
    process::{self, ExitCode},
    time::Duration,
};

use allocation_counter::measure;
use bench_rig::{
    Arguments, Masks, OPCODE_BINARY, Usage, append_frame, finish, resident_bytes, upgrade_request,
};
use mio::event::Source;
use ws_mio::{Config, EventLoop, Handler, Message, OriginPolicy, Peer, PeerAddr, Ready, Transport};

/// How many connections are served in a turn, as many as a poll tells of at once.
const TURN: usize = 1024;
/// How many messages are measured for a number of connections.
const MESSAGES: usize = 2_000_000;

/// From one connection to the next, so that they do not lie side by side in memory.
const STRIDE: usize = 611_953;

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    let connections = arguments.value("--connections")?.unwrap_or(1_000_000);
    let max_bytes = arguments.value("--max-bytes")?.unwrap_or(f64::INFINITY);
    arguments.end()?;

    let mut config = Config::new(OriginPolicy::Any);
    config.max_connections = connections;
    let mut echo = EventLoop::new(config, Echo, || Ok(())).unwrap();
    // Resident from the start, and so not taken for the loop's.
    let mut keys = vec![1; connections];
    keys.clear();
    println!("connections  bytes each  resident each  CPU a message");

    let mut idle = (0.0, 0.0);
    for count in [1, 1_000, connections] {
        let more = count - keys.len();
        let resident = resident_bytes(process::id())?;
        let opened = measure(|| open(&mut echo, &mut keys, count));
        if more > 1 {
            let resident = resident_bytes(process::id())?.saturating_sub(resident);
            idle = (
                opened.bytes_current as f64 / more as f64,
                resident as f64 / more as f64,
            );
        }
        let before = Usage::of(process::id())?;
        let talk = measure(|| talk(&mut echo, &keys));
        let cpu = Usage::of(process::id())?.cpu_since(&before).as_nanos() / MESSAGES as u128;
        println!("{count:11}  {:10.1}  {:13.1}  {cpu:10} ns", idle.0, idle.1);
        assert_eq!(talk.bytes_current, 0, "messages left something behind");
    }
    if idle.0 > max_bytes {
        return Err(format!("{:.1} bytes are more than {max_bytes}", idle.0).into());
    }
    Ok(())
}

/// Opens connections, until there are `count`.
fn open(echo: &mut EventLoop<Echo, Handle>, keys: &mut Vec<usize>, count: usize) {
    let request = upgrade_request(80);
    while keys.len() < count {
        echo.start_turn(Duration::ZERO);
        for _ in 0..TURN.min(count - keys.len()) {
            let handle = Handle(keys.len() as u32);
            keys.push(echo.admit(handle).expect("there is room"));
            exchange(echo, keys, keys.len() - 1, &request, |reply| {
                assert!(reply.starts_with(b"HTTP/1.1 101 "));
            });
        }
        assert!(echo.finish_turn());
    }
}

/// Sends messages to all connections, and checks each echo.
fn talk(echo: &mut EventLoop<Echo, Handle>, keys: &[usize]) {
    let payload = [7; 16];
    let mut frame = Vec::new();
    append_frame(&mut frame, true, OPCODE_BINARY, Masks::Random, 1, &payload);
    let mut reply = vec![0x82, 16];
    reply.extend_from_slice(&payload);
    for turn in 0..MESSAGES.div_ceil(TURN) {
        echo.start_turn(Duration::ZERO);
        for message in turn * TURN..MESSAGES.min((turn + 1) * TURN) {
            let which = message * STRIDE % keys.len();
            exchange(echo, keys, which, &frame, |got| assert_eq!(got, reply));
        }
        assert!(echo.finish_turn());
    }
}

/// Puts bytes on a connection's wire, wakes it, and looks at what came back.
fn exchange(
    echo: &mut EventLoop<Echo, Handle>,
    keys: &[usize],
    which: usize,
    bytes: &[u8],
    check: impl FnOnce(&[u8]),
) {
    WIRE.with_borrow_mut(|wire| {
        wire.handle = which as u32;
        wire.there.extend_from_slice(bytes);
        wire.back.clear();
    });
    let readable = Ready {
        readable: true,
        ..Ready::default()
    };
    echo.wake(keys[which], readable);
    WIRE.with_borrow(|wire| check(&wire.back));
}

/// The end of a connection.
struct Handle(u32);

/// The one wire that carries something at a time.
#[derive(Default)]
struct Wire {
    handle: u32,
    there: Vec<u8>,
    back: Vec<u8>,
}

thread_local! {
    static WIRE: RefCell<Wire> = RefCell::new(Wire {
        // Not the loop's, and not counted as such.
        there: Vec::with_capacity(4096),
        back: Vec::with_capacity(4096),
        ..Wire::default()
    });
}

impl Transport for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        WIRE.with_borrow_mut(|wire| {
            if wire.handle != self.0 || wire.there.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let len = wire.there.len().min(buffer.len());
            buffer[..len].copy_from_slice(&wire.there[..len]);
            wire.there.drain(..len);
            Ok(len)
        })
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        WIRE.with_borrow_mut(|wire| {
            assert_eq!(wire.handle, self.0, "only the one that was woken writes");
            let before = wire.back.len();
            for slice in slices {
                wire.back.extend_from_slice(slice);
            }
            Ok(wire.back.len() - before)
        })
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

    fn short_is_all(&self) -> bool {
        true
    }
}
