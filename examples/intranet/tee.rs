//! A transport that keeps a record of what passes through another.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use smol::io::{AsyncRead, AsyncWrite};

/// Passes everything on to a stream, and keeps the first bytes and the number
/// of all in both directions.
#[derive(Debug)]
pub(crate) struct Tee<S> {
    stream: S,
    record: Arc<Record>,
}

/// What was seen on a stream.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) sent: Direction,
    pub(crate) received: Direction,
}

#[derive(Debug, Default)]
pub(crate) struct Direction {
    start: Mutex<Vec<u8>>,
    total: AtomicU64,
}

/// How many bytes are kept of each direction.
const KEPT: usize = 1024;

impl<S> Tee<S> {
    pub(crate) const fn new(stream: S, record: Arc<Record>) -> Self {
        Self { stream, record }
    }
}

impl Direction {
    /// Returns the first bytes.
    pub(crate) fn start(&self) -> Vec<u8> {
        self.start
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns how many bytes there were.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn note(&self, bytes: &[u8]) {
        let before = self.total.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before < KEPT as u64 {
            let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT - start.len();
            start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tee<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.record.received.note(&buffer[..len]);
        Poll::Ready(Ok(len))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tee<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.record.sent.note(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    /// Without this, a payload could not be written from where it lies.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut rest = len;
        for slice in slices {
            let taken = rest.min(slice.len());
            self.record.sent.note(&slice[..taken]);
            rest -= taken;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
