//! `ws-mio`'s loop, over a transport in memory.

use core::{cell::RefCell, time::Duration};
use std::{
    io::{self, IoSlice},
    rc::Rc,
};

use allocation_counter::measure;
use ws_mio::{
    Config, EventLoop, Handler, Message, OriginPolicy, Peer, PeerAddr, Ready, Transport,
    mio::event::Source,
};

use super::{BUFFERS, REQUEST, Script};

/// What a connection may read in a turn: its share of an opening handshake, and that of an open
/// connection, of which one that fails has the rest.
const TURN: usize = (64 + 1024) * 1024;
/// How often it may read for that: each read counts 4 KiB at least.
const READS: usize = TURN / 4096 + 8;
const READ_BUFFER: usize = 16 * 1024;

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let _ = peer.send(message);
    }
}

/// The script, where the loop reads and we look.
#[derive(Clone)]
struct Wire(Rc<RefCell<Script>>);

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.borrow_mut().read(buffer);
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Unknown
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

fn config() -> Config {
    let mut config = Config::new(OriginPolicy::Any);
    config.read_buffer = READ_BUFFER;
    config.gather_buffers = 64 * 1024;
    config.limits.max_message = 64 * 1024;
    config.max_backpressure = 64 * 1024;
    config.accept_unmasked_frame = true.into();
    config
}

/// Whatever a peer sends, as its request or behind one, a turn reads a bounded number of bytes,
/// without input nothing is done, and memory stays within the limits.
pub fn turns_are_bounded(input: &[u8], seed: u8) {
    for before in [&b""[..], REQUEST] {
        for script in Script::all(before, input, seed) {
            let info = measure(|| play(script));
            assert!(info.bytes_max < BUFFERS, "{} bytes", info.bytes_max);
        }
    }
}

fn play(script: Script) {
    let has_end = script.has_end();
    // Each turn that is asked for reads something.
    let most = script.once.len() + 8;
    let wire = Wire(Rc::new(RefCell::new(script)));
    let Ok(mut inner) = EventLoop::new(config(), Echo, || Ok(())) else {
        unreachable!("the configuration is legal")
    };
    let Some(key) = inner.admit(wire.clone()) else {
        unreachable!("there is room")
    };
    let mut ready = true;
    for _ in 0..if has_end { most } else { 2 } {
        inner.start_turn(Duration::ZERO);
        if ready {
            inner.wake(
                key,
                Ready {
                    readable: true,
                    writable: true,
                    read_closed: false,
                },
            );
        }
        inner.finish_turn();
        let (reads, bytes) = wire.0.borrow_mut().take_counts();
        assert!(
            bytes <= TURN && reads <= READS,
            "{bytes} bytes in {reads} reads"
        );
        let asks = inner
            .next_timeout()
            .is_some_and(|next| next == Duration::ZERO);
        ready = false;
        if !asks {
            break;
        }
        assert!(bytes > 0, "a turn is asked for in which nothing was read");
    }
    if has_end && inner.lend().connections() > 0 {
        // All was read, or nothing more is.
        let asks = inner
            .next_timeout()
            .is_some_and(|next| next == Duration::ZERO);
        assert!(!asks, "a turn is asked for though nothing comes");
    }
    // Nobody is there for ever.
    let mut now = Duration::ZERO;
    for _ in 0..1000 {
        let Some(next) = inner.next_timeout().filter(|_| has_end) else {
            break;
        };
        now = now.max(next);
        inner.start_turn(now);
        inner.finish_turn();
    }
    assert!(
        !has_end || inner.lend().connections() == 0,
        "the peer is kept"
    );
}
