//! The stream below a connection, as h2 reads and writes it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;

use crate::meter::{AckSearch, Flood, Meter};

/// A stream of `futures-io` with the traits that h2 asks for, and with an eye on its
/// frames.
#[derive(Debug)]
pub(crate) struct Io<S> {
    stream: S,
    meter: Meter,
    search: Option<AckSearch>,
    news: Arc<News>,
}

/// What has come to light in a connection.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    flood: Option<Flood>,
    has_settings: bool,
    is_over: bool,
    /// Who waits for the peer's SETTINGS.
    waiting: Vec<Waker>,
}

impl News {
    pub(crate) fn flood(&self) -> Option<Flood> {
        self.lock().flood
    }

    /// Notes that the connection is over.
    pub(crate) fn end(&self) {
        self.tell(|state| state.is_over = true);
    }

    /// Waits until the peer's SETTINGS are in force, or the connection is over.
    pub(crate) fn poll_settings(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.has_settings || state.is_over {
            return Poll::Ready(());
        }
        let is_known = |known: &Waker| known.will_wake(cx.waker());
        if !state.waiting.iter().any(is_known) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Io<S> {
    pub(crate) const fn new(
        stream: S,
        meter: Meter,
        search: Option<AckSearch>,
        news: Arc<News>,
    ) -> Self {
        Self {
            stream,
            meter,
            search,
            news,
        }
    }

    fn note_written(&mut self, slices: &[IoSlice<'_>], written: usize) {
        let Some(search) = &mut self.search else {
            return;
        };
        let mut left = written;
        for slice in slices {
            let len = left.min(slice.len());
            left -= len;
            if search.is_in(&slice[..len]) {
                self.search = None;
                return self.news.tell(|state| state.has_settings = true);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> tokio::io::AsyncRead for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.news.flood().is_some() {
            // Nobody listens any more.
            return Poll::Pending;
        }
        let unfilled = buffer.initialize_unfilled();
        let len = ready!(Pin::new(&mut this.stream).poll_read(cx, unfilled))?;
        // A count beyond the buffer is the transport's mistake.
        let len = len.min(unfilled.len());
        let noted = this.meter.note(&unfilled[..len], Instant::now());
        buffer.advance(len);
        if let Err(flood) = noted {
            this.news.tell(|state| state.flood = Some(flood));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> tokio::io::AsyncWrite for Io<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.note_written(&[IoSlice::new(bytes)], written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        this.note_written(slices, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}
