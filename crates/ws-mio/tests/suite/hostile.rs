//! Peers and transports that are meant to hurt. `crates/ws-conformance/HOSTILE.md` says which
//! attack each is.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    rc::Rc,
    time::Duration,
};

use mio::event::Source;
use ws_mio::{
    Config, EventLoop, Handler, PeerAddr, Ready, Transport,
    memory::{self, Duplex},
};

use crate::common::{CLOSE, Echo, REPLY, REQUEST, config, masked};

const READY: Ready = Ready {
    readable: true,
    writable: true,
    read_closed: false,
};

fn turn<H: Handler, T: Transport>(inner: &mut EventLoop<H, T>, key: usize) {
    inner.start_turn(Duration::ZERO);
    inner.wake(key, READY);
    inner.finish_turn();
}

/// A loop with one open connection.
fn open(config: Config) -> (EventLoop<Echo, Duplex>, Duplex, usize) {
    let mut inner = EventLoop::new(config, Echo, || Ok(())).unwrap();
    let (mut client, server) = memory::pair(64 * 1024);
    let key = inner.admit(server).unwrap();
    client.write(&[IoSlice::new(REQUEST)]).unwrap();
    turn(&mut inner, key);
    let mut reply = [0; 1024];
    let len = client.read(&mut reply).unwrap();
    assert_eq!(&reply[..len], REPLY);
    (inner, client, key)
}

fn send(inner: &mut EventLoop<Echo, Duplex>, client: &mut Duplex, key: usize, bytes: &[u8]) {
    assert_eq!(client.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
    turn(inner, key);
    while let Ok(1..) = client.read(&mut [0; 4096]) {}
}

/// The most that a loop holds while a peer sends something very often.
fn held(config: Config, first: &[u8], again: &[u8], times: usize) -> u64 {
    let (mut inner, mut client, key) = open(config);
    send(&mut inner, &mut client, key, first);
    let many = again.repeat(1000);
    let info = allocation_counter::measure(|| {
        for _ in 0..times / 1000 {
            send(&mut inner, &mut client, key, &many);
        }
    });
    info.bytes_max
}

#[test]
fn million_unsolicited_pongs_leave_nothing_behind() {
    let mut config = config();
    config.time_limits.max_control_rate = u32::MAX;
    let most = held(config, b"", &masked(0x8a, b"x"), 1_000_000);
    assert!(most < 100_000, "{most} bytes");
}

#[test]
fn million_tiny_fragments_are_held_in_little_memory() {
    for payload in [&b""[..], b"x"] {
        let first = masked(0x02, payload);
        let most = held(config(), &first, &masked(0x00, payload), 1_000_000);
        // Up to `max_fragments` bytes, in a buffer that doubles, and the pipe.
        assert!(most < 1_000_000, "{most} bytes");
    }
}

#[test]
fn million_empty_messages_leave_nothing_behind() {
    for first in [0x81, 0x82] {
        let most = held(config(), b"", &masked(first, b""), 1_000_000);
        assert!(most < 200_000, "{most} bytes");
    }
}

/// Something that happens to a transport after so many bytes or calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    End,
    Reset,
    EndOfWriting,
    ResetOfWriting,
}

/// A transport that reads a script byte by byte, and then has a mishap.
struct Doomed {
    script: Vec<u8>,
    at: usize,
    mishap: Mishap,
    calls: Rc<Cell<usize>>,
}

impl Transport for Doomed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls.set(self.calls.get() + 1);
        match self.script.get(self.at) {
            Some(byte) => {
                self.at += 1;
                buffer[0] = *byte;
                Ok(1)
            }
            None if self.mishap == Mishap::End => Ok(0),
            None if self.mishap == Mishap::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls.set(self.calls.get() + 1);
        let is_over = self.at == self.script.len();
        match self.mishap {
            Mishap::EndOfWriting if is_over => Ok(0),
            Mishap::ResetOfWriting if is_over => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(slices.iter().map(|slice| slice.len()).sum()),
        }
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

#[test]
fn end_or_reset_at_any_byte_is_seen_once_and_never_spun_on() {
    let script = [
        REQUEST,
        &masked(0x81, b"Hi"),
        &masked(0x02, b"fragment"),
        &masked(0x89, b"ping"),
        &masked(0x80, &[0; 200]),
        CLOSE,
    ]
    .concat();
    for at in 0..=script.len() {
        for mishap in [
            Mishap::End,
            Mishap::Reset,
            Mishap::EndOfWriting,
            Mishap::ResetOfWriting,
        ] {
            let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
            let calls = Rc::new(Cell::new(0));
            let doomed = Doomed {
                script: script[..at].to_vec(),
                at: 0,
                mishap,
                calls: Rc::clone(&calls),
            };
            let key = inner.admit(doomed).unwrap();
            for _ in 0..10 {
                turn(&mut inner, key);
            }
            // A byte a read and a few more, and then nothing.
            let asked = calls.get();
            assert!(asked < 3 * at + 100, "{at} {mishap:?}: {asked}");
            let is_gone = inner.lend().connections() == 0;
            let ends = matches!(mishap, Mishap::End | Mishap::Reset);
            assert!(is_gone || !ends, "{at} {mishap:?}");
            // Whoever is left is waited for, and not asked again at once.
            inner.start_turn(Duration::ZERO);
            inner.finish_turn();
            let next = inner.next_timeout();
            assert!(next.is_none_or(|next| next > Duration::ZERO));
            // And gone when its time is over.
            for _ in 0..200 {
                let Some(next) = inner.next_timeout() else {
                    break;
                };
                inner.start_turn(next);
                inner.finish_turn();
            }
            assert_eq!(inner.lend().connections(), 0, "{at} {mishap:?}");
        }
    }
}

#[test]
fn readiness_that_is_not_there_costs_a_read_and_no_more() {
    let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
    let calls = Rc::new(Cell::new(0));
    let script = [REQUEST, &masked(0x81, b"Hi")].concat();
    let doomed = Doomed {
        script,
        at: 0,
        mishap: Mishap::EndOfWriting,
        calls: Rc::clone(&calls),
    };
    let key = inner.admit(doomed).unwrap();
    turn(&mut inner, key);
    calls.set(0);
    for _ in 0..1000 {
        turn(&mut inner, key);
        // Of keys that are gone, or never were.
        inner.wake(key + 1000, READY);
    }
    assert!(calls.get() <= 1000, "{}", calls.get());
}

#[test]
fn connection_that_is_dropped_in_any_state_takes_all_of_its_state_along() {
    let script = [
        REQUEST,
        &masked(0x02, &[1; 300]),
        &masked(0x80, &[1; 9000]),
        CLOSE,
    ]
    .concat();
    let run = |rounds: usize| {
        let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
        let mut now = Duration::ZERO;
        for round in 0..rounds * script.len() / 7 {
            let at = round * 7 % script.len();
            let (mut client, server) = memory::pair(20_000);
            inner.start_turn(now);
            let key = inner.admit(server).unwrap();
            if at > 0 {
                client.write(&[IoSlice::new(&script[..at])]).unwrap();
            }
            inner.wake(key, READY);
            inner.finish_turn();
            // Without a goodbye, and with what it did not read.
            drop(client);
            for _ in 0..2 {
                now += Duration::from_secs(10);
                inner.start_turn(now);
                inner.wake(key, READY);
                inner.finish_turn();
            }
            assert_eq!(inner.lend().connections(), 0, "{at}");
        }
        inner
    };
    let held = |rounds| {
        let mut inner = None;
        let info = allocation_counter::measure(|| inner = Some(run(rounds)));
        drop(inner);
        info.bytes_current
    };
    // Buffers that grew once, and nothing for each of thousands.
    let (few, many) = (held(1), held(5));
    assert!(many < few + 20_000, "{few} and then {many} bytes");
}
