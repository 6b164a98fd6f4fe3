//! Sending: from messages to the transport.

use std::{
    io::{self, ErrorKind, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{OutFrame, OutboxFull};

use super::Engine;
use crate::{compression::LentPool, error::Error, input::with_staging, outgoing::Outgoing};

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Queues a frame, or refuses it where that would pass the limit.
    pub(crate) fn queue(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        self.check_sendable()?;
        let len = outgoing.frame_len(&self.sender);
        if !self.output.has_room(len, outgoing.is_control()) && !fault!("outbox-unlimited") {
            return Err(Error::OutboxFull(OutboxFull {
                pending: self.output.outbox.len(),
                len,
                limit: self.output.limit,
            }));
        }
        self.take(outgoing)
    }

    /// Queues a frame whatever the limit; for a caller that has waited for
    /// room.
    pub(crate) fn queue_unbounded(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        self.check_sendable()?;
        self.take(outgoing)
    }

    fn take(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        let mut lent = LentPool::default();
        let frame = outgoing.frame(&mut self.sender, &mut self.compression, &mut lent)?;
        self.output.queue(frame, &mut self.sender)?;
        Ok(())
    }

    /// Sends a frame: waits for room, takes it, and waits until it is written.
    /// `is_taken` tells whether it was taken.
    pub(crate) fn poll_send(
        &mut self,
        outgoing: &Outgoing<'_>,
        is_taken: &mut bool,
    ) -> Poll<Result<(), Error>> {
        if !*is_taken {
            self.end_if_due();
            let len = outgoing.frame_len(&self.sender);
            ready!(self.poll_room(len, outgoing.is_control()))?;
            self.check_sendable()?;
            let mut lent = LentPool::default();
            let frame = outgoing.frame(&mut self.sender, &mut self.compression, &mut lent)?;
            //= RFC6455-6.1-7
            let is_next = self.output.outbox.is_empty() && self.output.held_pong.is_none();
            if is_next && frame.len() <= self.output.max_frame() {
                self.write_frame(&frame);
            } else {
                self.output.queue(frame, &mut self.sender)?;
            }
            *is_taken = true;
            if let Outgoing::Ping(payload) = outgoing {
                self.life.note_ping(payload);
            }
        }
        self.poll_flush()
    }

    /// Waits until `len` more bytes may wait for the transport.
    pub(crate) fn poll_room(&mut self, len: usize, is_control: bool) -> Poll<Result<(), Error>> {
        loop {
            if self.output.outbox.is_empty() || self.output.has_room(len, is_control) {
                return Poll::Ready(Ok(()));
            }
            self.check_sendable()?;
            if self.poll_drain().is_pending() {
                ready!(self.poll_meanwhile());
            }
        }
    }

    /// Waits until one more message may be queued, whatever its length.
    pub(crate) fn poll_ready(&mut self) -> Poll<Result<(), Error>> {
        ready!(self.poll_room(1, false))?;
        Poll::Ready(self.check_sendable())
    }

    /// Waits until all that was queued is written and flushed.
    pub(crate) fn poll_flush(&mut self) -> Poll<Result<(), Error>> {
        loop {
            if self.output.is_lost {
                return Poll::Ready(Err(self.lost_output()));
            }
            if self.output.is_done() {
                break;
            }
            if self.poll_drain().is_pending() {
                ready!(self.poll_meanwhile());
            }
        }
        // Who writes twice without receiving may never receive: then the
        // peer's Pings and its Close are looked for here. Who receives in
        // between is spared the system call.
        if mem::replace(&mut self.is_writing, true) {
            if self.left == 0 {
                // Others have their turn.
                self.waker.wake_by_ref();
                return Poll::Pending;
            }
            while self.poll_read_ahead().is_ready() {}
            let _ = self.poll_drain();
            let _ = self.poll_time();
            self.end_if_due();
        }
        Poll::Ready(Ok(()))
    }

    /// Does what else there is to do while writing is blocked; ready if it
    /// is worth looking again.
    fn poll_meanwhile(&mut self) -> Poll<()> {
        if !self.is_receiving() {
            return self.poll_end();
        }
        while self.poll_read_ahead().is_ready() {}
        if !self.is_receiving() {
            return self.poll_end();
        }
        self.poll_time()
    }

    /// Writes what waits, as far as the transport takes it.
    pub(crate) fn poll_drain(&mut self) -> Poll<()> {
        self.output.has_reply = false;
        loop {
            if self.write_error.is_some() || self.stream.is_none() {
                self.output.give_up();
                return Poll::Ready(());
            }
            if !self.output.outbox.is_empty() {
                match self.poll_write_outbox() {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => self.fail_writing(error),
                    Poll::Pending => {
                        self.output.is_blocked = true;
                        return Poll::Pending;
                    }
                }
            } else if let Some(payload) = self.output.held_pong.take() {
                if let Ok(frame) = self.sender.pong(&payload) {
                    self.output.push(&frame, 0);
                }
            } else if self.output.is_unflushed {
                match ready!(self.with_stream(|stream, cx| stream.poll_flush(cx))) {
                    Ok(()) => self.output.is_unflushed = false,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => self.fail_writing(error),
                }
            } else {
                return Poll::Ready(());
            }
        }
    }

    /// Writes all of the outbox.
    fn poll_write_outbox(&mut self) -> Poll<io::Result<()>> {
        while !self.output.outbox.is_empty() {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            if !self.signals.take_writable() {
                return Poll::Pending;
            }
            let cx = &mut Context::from_waker(&self.waker);
            let bytes = self.output.outbox.as_slice();
            match ready!(Pin::new(stream).poll_write(cx, bytes)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.output.outbox.advance(len);
                    self.note_written();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => self.signals.set_writable(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a frame before which nothing waits, and keeps what the
    /// transport does not take.
    fn write_frame(&mut self, frame: &OutFrame<'_>) {
        match frame.as_slices() {
            Some([head, payload]) if frame.len() > COPY_BELOW => {
                self.write_or_queue(&mut [IoSlice::new(head), IoSlice::new(payload)]);
            }
            _ if frame.len() <= STAGE_BELOW => with_staging(|staging| {
                frame.append_to(&mut staging.cork, 0);
                self.write_or_queue(&mut [IoSlice::new(&staging.cork)]);
            }),
            _ => self.output.push(frame, 0),
        }
    }

    /// Writes slices behind what waits; what the transport does not take waits,
    /// too.
    pub(super) fn write_or_queue(&mut self, mut slices: &mut [IoSlice<'_>]) {
        let mut len = match slices {
            [slice] => slice.len(),
            _ => slices.iter().map(|slice| slice.len()).sum(),
        };
        while len > 0
            && self.output.outbox.is_empty()
            && self.write_error.is_none()
            && self.signals.take_writable()
        {
            let result = self.with_stream(|stream, cx| match slices {
                [slice] => stream.poll_write(cx, slice),
                _ => stream.poll_write_vectored(cx, slices),
            });
            match result {
                Poll::Ready(Ok(0)) => self.fail_writing(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    let written = written.min(len);
                    len -= written;
                    self.note_written();
                    if len == 0 {
                        return;
                    }
                    IoSlice::advance_slices(&mut slices, written);
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                    self.signals.set_writable();
                }
                Poll::Ready(Err(error)) => self.fail_writing(error),
                Poll::Pending => break,
            }
        }
        if len > 0 && !fault!("short-write-lost") {
            for slice in slices {
                self.output.outbox.push_bytes(slice);
            }
        }
    }

    fn note_written(&mut self) {
        self.signals.set_writable();
        self.has_progress = true;
        self.output.is_unflushed = true;
        if mem::replace(&mut self.output.is_blocked, false) {
            // The peer has read, so it is alive.
            self.life.handle_input();
            self.life.has_moved = true;
        }
    }

    /// Notes that nothing can be written any more. What the peer has sent,
    /// perhaps its Close, is still worth reading.
    fn fail_writing(&mut self, error: io::Error) {
        self.write_error.get_or_insert(error);
        self.output.give_up();
        self.output.is_lost = true;
        self.has_progress = true;
        self.begin_closing();
    }

    /// Returns why what was queued was not written.
    fn lost_output(&mut self) -> Error {
        self.check_sendable().err().unwrap_or(Error::Closed)
    }
}

/// Frames up to this many bytes are joined before they are written: cheaper
/// than a write of two slices.
const COPY_BELOW: usize = 8 * 1024;

/// Masked frames up to this many bytes are made in a buffer of the thread's.
const STAGE_BELOW: usize = 256 * 1024;
