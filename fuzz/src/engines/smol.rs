//! `ws-smol`'s connections and handshakes, over a stream in memory.

use core::{
    cell::RefCell,
    pin::{Pin, pin},
    task::{Context, Poll},
};
use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use allocation_counter::measure;
use futures_io::{AsyncRead, AsyncWrite};
use ws_smol::{
    Acceptor, ClientMasking, Config, KeepaliveConfig, MemoryBudget, OriginPolicy, PeerAddr,
    ServerMasking, WebSocket,
};

use super::{BUFFERS, Script};

/// What is read until a task is pending: its turn, and one read beyond it.
const TURN: usize = 1024 * 1024 + 512 * 1024;
/// How often it may read for that: each read counts 8 KiB at least.
const READS: usize = TURN / 8192 + 8;
/// The same of a handshake, whose reads count 1 KiB at least.
const HANDSHAKE_TURN: usize = 64 * 1024 + 16 * 1024;
const HANDSHAKE_READS: usize = HANDSHAKE_TURN / 1024 + 8;

/// The script, where the engine reads and we look.
#[derive(Clone)]
struct Wire(Rc<RefCell<Script>>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.0.borrow_mut().read(buffer) {
            Some(len) => Poll::Ready(Ok(len)),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether the task has woken itself.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn config() -> Config {
    let mut config = Config::default();
    // Nothing here waits for a clock but the closing handshake.
    config.keepalive = KeepaliveConfig::OFF;
    config.limits.max_message = 64 * 1024;
    config.max_backpressure = 64 * 1024;
    config.memory = MemoryBudget::new(1024 * 1024);
    config
}

/// Whatever a peer sends, as its request or in its connection, a poll reads a bounded number of
/// bytes, without input nothing is done, and memory stays within the limits.
pub fn polls_are_bounded(input: &[u8], seed: u8) {
    for script in Script::all(b"", input, seed) {
        let info = measure(|| accept(script));
        assert!(info.bytes_max < BUFFERS, "{} bytes", info.bytes_max);
    }
    for is_server in [true, false] {
        for script in Script::all(b"", input, seed) {
            let info = measure(|| converse(script, is_server));
            assert!(info.bytes_max < BUFFERS, "{} bytes", info.bytes_max);
        }
    }
}

fn accept(script: Script) {
    let rounds = rounds(&script, 32);
    let wire = Wire(Rc::new(RefCell::new(script)));
    let acceptor = Acceptor::new(OriginPolicy::Any).config(config());
    let mut accepting = pin!(acceptor.accept(wire.clone(), PeerAddr::Unknown));
    poll_up_to(rounds, &wire, (HANDSHAKE_TURN, HANDSHAKE_READS), |cx| {
        accepting.as_mut().poll(cx).is_ready()
    });
}

fn converse(script: Script, is_server: bool) {
    let rounds = rounds(&script, 64);
    let wire = Wire(Rc::new(RefCell::new(script)));
    let config = config();
    let made = match is_server {
        true => {
            let masking = ServerMasking::with_accept_unmasked_frame(true);
            WebSocket::after_handshake(wire.clone(), masking, Vec::new(), &config)
        }
        false => {
            let masking = <ClientMasking>::new();
            WebSocket::after_handshake(wire.clone(), masking, Vec::new(), &config)
        }
    };
    let Ok(mut connection) = made else {
        unreachable!("the configuration is legal")
    };
    poll_up_to(rounds, &wire, (TURN, READS), |cx| {
        let mut left = 10_000;
        loop {
            let received =
                pin!(connection.receive_with(|message, replies| { replies.queue(message) }));
            match received.poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => return true,
            }
            left -= 1;
            assert!(left > 0, "it is never pending");
        }
    });
}

/// How often a script is polled: to its end, or twice.
fn rounds(script: &Script, piece: usize) -> usize {
    match (script.has_end(), script.piece) {
        (false, _) => 2,
        (true, size) => script.once.len() / size.min(1024) / piece + 8,
    }
}

/// Polls until it is done, waits for input, or was polled so often.
fn poll_up_to(
    rounds: usize,
    wire: &Wire,
    (most_bytes, most_reads): (usize, usize),
    mut poll: impl FnMut(&mut Context<'_>) -> bool,
) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = &mut Context::from_waker(&waker);
    for _ in 0..rounds {
        let is_over = poll(cx);
        let (reads, bytes) = wire.0.borrow_mut().take_counts();
        assert!(
            bytes <= most_bytes && reads <= most_reads,
            "{bytes} bytes in {reads} reads"
        );
        if is_over {
            return;
        }
        if !woken.0.swap(false, Ordering::Relaxed) {
            // It waits for input, and looks for it once more at most.
            assert!(!poll(cx));
            assert_eq!(wire.0.borrow_mut().take_counts().1, 0);
            return;
        }
        assert!(bytes > 0, "it wakes itself though nothing was read");
    }
}
