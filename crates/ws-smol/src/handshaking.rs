//! What both opening handshakes do with a transport.

use std::{
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};

use crate::{
    error::{Error, Timeout},
    input::Input,
    timer::{now, sleep},
};

/// Until when something has to be over; never, if there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Sets a time limit from now.
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        // What is beyond the clock is as good as never.
        Self(limit.and_then(|limit| now().checked_add(limit)))
    }
}

/// Runs a future up to a deadline.
pub(crate) async fn within<T>(
    deadline: Deadline,
    timeout: Timeout,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Deadline(Some(at)) = deadline else {
        return future.await;
    };
    let mut future = pin!(future);
    let mut end = pin!(sleep(at));
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        let end = end.as_mut().poll(cx);
        end.map(|()| Err(Error::Timeout(timeout)))
    })
    .await
}

/// Reads once and hands what was read to `take`; nothing at the end.
pub(crate) async fn read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    mut take: impl FnMut(&[u8]) -> T,
) -> io::Result<T> {
    poll_fn(|cx| {
        // The thread's buffer is held for one poll only.
        let mut input = Input::new(Vec::new());
        let buffer = &mut input.buffer()[..READ_LEN];
        loop {
            return match Pin::new(&mut *stream).poll_read(cx, buffer) {
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(Ok(n)) => Poll::Ready(Ok(take(&buffer[..n.min(READ_LEN)]))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
        }
    })
    .await
}

/// Writes all and flushes.
pub(crate) async fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n.min(bytes.len())..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    loop {
        match poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}

/// Closes our direction and reads the other to its end, so that what was
/// written last is not torn away by a reset.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_close(cx)).await?;
    while read(stream, |bytes| !bytes.is_empty()).await? {}
    Ok(())
}

/// A head is short, and no more than this is kept beyond it.
const READ_LEN: usize = 16 * 1024;
