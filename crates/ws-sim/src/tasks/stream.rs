//! A stream of a task, over a [`Wire`].

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_mio::{Ready, Transport as _};

use crate::wire::Wire;

/// What a task has of its connection.
#[derive(Debug)]
pub(super) struct TaskStream {
    wire: Wire,
    shared: Rc<Shared>,
}

/// What the world has of it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Who waits to read, and to write.
    wakers: RefCell<[Option<Waker>; 2]>,
    /// How many bytes were read since somebody looked.
    read: Cell<usize>,
}

impl TaskStream {
    pub(super) fn new(wire: Wire) -> (Self, Rc<Shared>) {
        let shared = Rc::<Shared>::default();
        let stream = Self {
            wire,
            shared: Rc::clone(&shared),
        };
        (stream, shared)
    }

    fn wait<T>(&self, side: usize, cx: &Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.shared.wakers.borrow_mut()[side] = Some(cx.waker().clone());
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl Shared {
    /// Wakes who waits for what has become possible.
    pub(super) fn tell(&self, ready: Ready) {
        let mut wakers = self.wakers.take();
        if ready.readable
            && let Some(waker) = wakers[0].take()
        {
            waker.wake();
        }
        if ready.writable
            && let Some(waker) = wakers[1].take()
        {
            waker.wake();
        }
        let mut now = self.wakers.borrow_mut();
        for (place, before) in now.iter_mut().zip(wakers) {
            *place = place.take().or(before);
        }
    }

    pub(super) fn take_read(&self) -> usize {
        self.read.take()
    }
}

impl AsyncRead for TaskStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.wire.read(buffer);
        let read_before = self.shared.read.get();
        self.shared
            .read
            .set(read_before + *read.as_ref().unwrap_or(&0));
        self.wait(0, cx, read)
    }
}

impl AsyncWrite for TaskStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.wire.write(slices);
        self.wait(1, cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match self.wire.flush() {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        };
        self.wait(1, cx, flushed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.as_mut().poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(self.wire.shutdown()),
            other => other,
        }
    }
}
