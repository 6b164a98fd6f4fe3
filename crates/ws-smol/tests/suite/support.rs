//! An in-memory transport, a way to make it misbehave, and a watchdog.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ws_smol::{ClientMasking, Config, KeepaliveConfig, ServerMasking, WebSocket};

/// Runs a future; a test that hangs fails.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    // With a planted fault that is what many do.
    let limit = match std::env::var_os("WS_FAULT") {
        Some(fault) if !fault.is_empty() => Duration::from_secs(5),
        _ => Duration::from_secs(60),
    };
    let watchdog = async {
        smol::Timer::after(limit).await;
        panic!("the test hangs");
    };
    smol::block_on(smol::future::or(future, watchdog))
}

/// The defaults without keepalive, and with a short deadline to close.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.keepalive = KeepaliveConfig::OFF;
    config.close_timeout = Duration::from_secs(20);
    config
}

pub(crate) fn client<S>(stream: S, config: &Config) -> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocket::after_handshake(stream, ClientMasking::new(), Vec::new(), config).unwrap()
}

pub(crate) fn server<S>(stream: S, config: &Config) -> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocket::after_handshake(stream, ServerMasking::new(), Vec::new(), config).unwrap()
}

/// One end of an in-memory connection.
pub(crate) struct Pipe {
    incoming: Arc<Mutex<Direction>>,
    outgoing: Arc<Mutex<Direction>>,
}

struct Direction {
    bytes: VecDeque<u8>,
    capacity: usize,
    is_closed: bool,
    /// The end that reads is gone.
    is_broken: bool,
    is_reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Makes two ends, between which `capacity` bytes have room either way.
pub(crate) fn pipe(capacity: usize) -> (Pipe, Pipe) {
    let direction = || {
        Arc::new(Mutex::new(Direction {
            bytes: VecDeque::new(),
            capacity,
            is_closed: false,
            is_broken: false,
            is_reset: false,
            reader: None,
            writer: None,
        }))
    };
    let (there, back) = (direction(), direction());
    let near = Pipe {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    let far = Pipe {
        incoming: there,
        outgoing: back,
    };
    (near, far)
}

impl Pipe {
    /// Tears the connection down as a TCP reset does.
    pub(crate) fn reset(self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = direction.lock().unwrap();
            direction.is_reset = true;
            direction.bytes.clear();
            direction.wake();
        }
    }

    /// Reads all that is there until a read has to wait.
    pub(crate) fn take_available(&self) -> Vec<u8> {
        let mut direction = self.incoming.lock().unwrap();
        let bytes = direction.bytes.drain(..).collect();
        direction.wake();
        bytes
    }

    /// Tells whether the other end has closed its direction or is gone.
    pub(crate) fn is_ended(&self) -> bool {
        let direction = self.incoming.lock().unwrap();
        direction.is_closed && direction.bytes.is_empty()
    }

    /// Tells whether the other end is dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.outgoing.lock().unwrap().is_broken
    }
}

impl Direction {
    fn wake(&mut self) {
        let tasks = [self.reader.take(), self.writer.take()];
        for task in tasks.into_iter().flatten() {
            task.wake();
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.lock().unwrap();
        outgoing.is_closed = true;
        outgoing.wake();
        drop(outgoing);
        let mut incoming = self.incoming.lock().unwrap();
        incoming.is_broken = true;
        incoming.wake();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut direction = self.incoming.lock().unwrap();
        if direction.is_reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let len = direction.bytes.len().min(buffer.len());
        if len == 0 && !direction.is_closed {
            // One place, as a real transport has it.
            direction.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (place, byte) in buffer.iter_mut().zip(direction.bytes.drain(..len)) {
            *place = byte;
        }
        if let Some(writer) = direction.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut direction = self.outgoing.lock().unwrap();
        if direction.is_reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if direction.is_broken || direction.is_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(direction.capacity - direction.bytes.len());
        if len == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        direction.bytes.extend(&bytes[..len]);
        if let Some(reader) = direction.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut direction = self.outgoing.lock().unwrap();
        direction.is_closed = true;
        direction.wake();
        Poll::Ready(Ok(()))
    }
}

/// A transport that reads and writes as few bytes as it likes, is not ready at
/// any time, is interrupted, and holds back what is not flushed.
pub(crate) struct Chaotic<S> {
    inner: S,
    random: Random,
    max_len: usize,
    held: Vec<u8>,
}

impl<S> Chaotic<S> {
    pub(crate) fn new(inner: S, seed: u64, max_len: usize) -> Self {
        Self {
            inner,
            random: Random::new(seed),
            max_len,
            held: Vec::new(),
        }
    }

    /// Not ready, or interrupted, or how many bytes.
    fn mood(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match self.random.below(6) {
            0 | 1 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            2 => Poll::Ready(Err(ErrorKind::Interrupted.into())),
            _ => Poll::Ready(Ok(1 + self.random.below(self.max_len))),
        }
    }
}

impl<S: AsyncWrite + Unpin> Chaotic<S> {
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let n = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            self.held.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Chaotic<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = std::task::ready!(self.mood(cx))?.min(buffer.len());
        Pin::new(&mut self.inner).poll_read(cx, &mut buffer[..len])
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Chaotic<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = std::task::ready!(self.mood(cx))?.min(bytes.len());
        if self.held.len() >= 64 {
            std::task::ready!(self.poll_held(cx))?;
        }
        self.held.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.mood(cx))?;
        self.poll_held(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_held(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// A small generator, for tests that are the same every time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// Polls a future once, and drops it.
pub(crate) async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    smol::future::poll_once(future).await
}

/// Writes bytes as a peer of one's own.
pub(crate) async fn put(pipe: &mut Pipe, bytes: &[u8]) {
    pipe.write_all(bytes).await.unwrap();
}

/// Reads exactly as many bytes as expected, and compares them.
pub(crate) async fn expect(pipe: &mut Pipe, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    pipe.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// Waits for the end of what a peer sends.
pub(crate) async fn expect_end(pipe: &mut Pipe) {
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}

/// Reads all that a server has to say in HTTP.
pub(crate) async fn read_all(mut pipe: Pipe) -> String {
    let mut all = Vec::new();
    pipe.read_to_end(&mut all).await.unwrap();
    String::from_utf8(all).unwrap()
}

/// A frame from a client, with a key that is not zero.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(
        payload
            .iter()
            .zip([1, 2, 3, 4].iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}
