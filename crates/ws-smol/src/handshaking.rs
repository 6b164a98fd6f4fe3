//! What both opening handshakes do with a transport.

use std::{
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::DISCARD_MAX;

use crate::{Timeout, error::Error, input::Input, timer::Timers};

/// Until when something has to be over; never, if there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline<'t> {
    at: Option<Instant>,
    timers: &'t Timers,
}

impl<'t> Deadline<'t> {
    /// Sets a time limit from now.
    pub(crate) fn after(limit: Duration, timers: &'t Timers) -> Self {
        // What is beyond the clock is as good as never.
        let at = timers.now().checked_add(limit);
        Self { at, timers }
    }

    /// Sets another limit too; what comes first counts.
    pub(crate) fn and_at(self, other: Option<Instant>) -> Self {
        let at = self.at.into_iter().chain(other).min();
        Self { at, ..self }
    }
}

/// Runs a future up to a deadline. The future has one poll in any case; before
/// every other the clock is asked, so that one which is always ready to go on
/// does not outlive the deadline.
pub(crate) async fn within<T>(
    deadline: Deadline<'_>,
    timeout: Timeout,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let timers = deadline.timers;
    let Some(at) = deadline.at else {
        return future.await;
    };
    let mut future = pin!(future);
    let mut end = pin!(timers.sleep(at));
    let mut is_begun = false;
    poll_fn(|cx| {
        if mem::replace(&mut is_begun, true) && timers.now() >= at && !fault!("handshake-not-timed")
        {
            return Poll::Ready(Err(Error::Timeout(timeout)));
        }
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if fault!("handshake-not-timed") {
            return Poll::Pending;
        }
        let end = end.as_mut().poll(cx);
        end.map(|()| Err(Error::Timeout(timeout)))
    })
    .await
}

/// How many bytes a handshake reads before other tasks have their turn. A read
/// counts as at least [`READ_COST`] bytes.
pub(crate) const TURN_LEN: usize = 64 * 1024;

/// What a read costs at least, in bytes.
pub(crate) const READ_COST: usize = 1024;

/// What may still be read of a peer that was told that it is over, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(u16);

impl Patience {
    pub(crate) const ALL: Self = Self((DISCARD_MAX / 1024) as u16);

    /// Counts a read of `len` bytes; `false` if that is more than may be.
    pub(crate) fn spend(&mut self, len: usize) -> bool {
        let len = u16::try_from(len.div_ceil(1024)).unwrap_or(u16::MAX);
        let left = self.0.checked_sub(len);
        self.0 = left.unwrap_or(0);
        left.is_some() || fault!("discarded-without-end")
    }
}

/// What is left of the turn of one handshake.
#[derive(Debug)]
pub(crate) struct Turn {
    left: usize,
}

impl Turn {
    pub(crate) const fn new() -> Self {
        Self { left: TURN_LEN }
    }

    /// Starts where another turn may have ended: with a pause.
    const fn over() -> Self {
        Self { left: 0 }
    }

    /// Notes that so many bytes were read.
    pub(crate) fn note(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len.max(READ_COST));
    }

    /// Notes that others have their turn now, as the task waits.
    pub(crate) const fn end(&mut self) {
        self.left = TURN_LEN;
    }

    /// Lets the others have their turn once this one is over.
    pub(crate) fn poll_goes_on(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.left > 0 || fault!("turn-unlimited") {
            return Poll::Ready(());
        }
        self.end();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How fast a request comes.
pub(crate) struct Pace {
    /// In bytes a second.
    least: u32,
    /// For how long it may come at any rate.
    grace: Duration,
    begun: Option<Instant>,
    len: usize,
}

/// For how long a request may come at any rate, where there is time for that.
const GRACE: Duration = Duration::from_secs(5);

impl Pace {
    pub(crate) fn new(least: u32, handshake_timeout: Duration) -> Self {
        Self {
            least,
            grace: GRACE.min(handshake_timeout / 2),
            begun: None,
            len: 0,
        }
    }

    /// Notes a part of it.
    pub(crate) fn note(&mut self, len: usize, timers: &Timers) {
        self.begun.get_or_insert_with(|| timers.now());
        self.len += len;
    }

    /// Returns until when the next part has to come, and what says so, if all
    /// has to be there at `deadline`.
    pub(crate) fn next_deadline<'t>(&self, deadline: Deadline<'t>) -> (Deadline<'t>, Timeout) {
        let next = self
            .begun
            .filter(|_| self.least > 0 && !fault!("trickle-allowed"))
            .and_then(|begun| {
                let paid = Duration::from_secs_f64(self.len as f64 / f64::from(self.least));
                begun.checked_add(paid.max(self.grace))
            });
        match (next, deadline.at) {
            (Some(next), at) if at.is_none_or(|at| next < at) => {
                let at = Some(next);
                (Deadline { at, ..deadline }, Timeout::Head)
            }
            _ => (deadline, Timeout::Handshake),
        }
    }
}

/// Reads once, within a turn, and hands what was read to `take`; nothing at the
/// end.
pub(crate) async fn read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    turn: &mut Turn,
    take: impl FnMut(&[u8]) -> T,
) -> io::Result<T> {
    read_at_most(READ_LEN, stream, turn, take).await
}

/// Reads as [`read`] does, and at most so many bytes.
pub(crate) async fn read_at_most<S: AsyncRead + Unpin, T>(
    room: usize,
    stream: &mut S,
    turn: &mut Turn,
    mut take: impl FnMut(&[u8]) -> T,
) -> io::Result<T> {
    let room = room.min(READ_LEN);
    poll_fn(|cx| {
        ready!(turn.poll_goes_on(cx));
        // The thread's buffer is held for one poll only.
        let mut input = Input::new(Vec::new());
        let buffer = &mut input.buffer()[..room];
        loop {
            return match Pin::new(&mut *stream).poll_read(cx, buffer) {
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                    turn.note(0);
                    ready!(turn.poll_goes_on(cx));
                    continue;
                }
                Poll::Ready(Ok(n)) => {
                    let len = n.min(room);
                    turn.note(len);
                    Poll::Ready(Ok(take(&buffer[..len])))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    turn.end();
                    Poll::Pending
                }
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
    let (mut turn, mut patience) = (Turn::over(), Patience::ALL);
    let mut goes_on = |bytes: &[u8]| !bytes.is_empty() && patience.spend(bytes.len());
    while read(stream, &mut turn, &mut goes_on).await? {}
    Ok(())
}

/// A head is short, and no more than this is kept beyond it.
const READ_LEN: usize = 16 * 1024;
