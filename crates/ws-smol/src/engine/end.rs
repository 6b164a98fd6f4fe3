//! The end: the closing handshake, failures, and the end of the transport.

use std::{
    io, mem,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use futures_io::{AsyncRead, AsyncWrite};
use tracing::debug;
use ws_proto::{CloseCode, CloseFrame, END_WAIT, Masking, ProtocolError};

use super::{Engine, Found, read::Target};
use crate::{
    CloseStatus,
    error::{Error, Failure},
    outgoing::Outgoing,
};

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer may send messages. We may have sent a Close.
    Open,
    /// Nothing more is received; what waits is written.
    Flushing,
    /// Our direction of the transport is being closed.
    ShuttingDown,
    /// The peer's direction is read to its end, and what comes is discarded.
    Draining,
    /// The transport is gone.
    Ended,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Queues our Close.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame<'_>>) -> Result<(), Error> {
        self.queue_unbounded(&Outgoing::Close(frame))?;
        self.deadline = Some(self.close_deadline());
        self.has_progress = true;
        Ok(())
    }

    /// Tells whether a Close was sent, or there is nobody to send one to.
    pub(crate) fn is_closing(&self) -> bool {
        self.sender.is_close_sent() || self.phase != Phase::Open || self.write_error.is_some()
    }

    /// Sends a Close with code 1000, unless one was sent, and waits as
    /// [`poll_closed`](Self::poll_closed).
    pub(crate) fn poll_close(&mut self) -> Poll<Result<(), Error>> {
        if !self.is_closing() {
            let (code, reason) = (CloseCode::NORMAL, "");
            self.start_close(Some(CloseFrame { code, reason }))?;
        }
        self.poll_closed()
    }

    /// Waits until the connection is closed. Data that comes meanwhile is kept
    /// for the application as far as there is room.
    pub(crate) fn poll_closed(&mut self) -> Poll<Result<(), Error>> {
        loop {
            if self.phase == Phase::Ended {
                return Poll::Ready(match &mut self.failure {
                    Some(failure) => Err(failure.tell()),
                    None => Ok(()),
                });
            }
            if self.phase != Phase::Open {
                ready!(self.poll_end());
                continue;
            }
            if self.poll_read_ahead().is_pending() {
                let _ = self.poll_drain();
                ready!(self.poll_time());
            }
        }
    }

    /// Returns what the reader is told once the connection has ended: once why
    /// it did, unless that is normal.
    pub(super) fn take_outcome(&mut self) -> Result<Option<Found>, Error> {
        if mem::replace(&mut self.is_end_told, true) {
            return Ok(None);
        }
        let failure = self.failure.as_mut().map(|failure| failure.tell());
        match failure.or_else(|| self.closed_by_peer()) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Returns what the peer's Close said, unless that is a normal end.
    pub(super) fn closed_by_peer(&self) -> Option<Error> {
        let status = self.close_status.as_deref()?;
        (!status.is_normal()).then(|| Error::ClosedByPeer(status.clone()))
    }

    /// Starts the end, after the peer's Close.
    pub(super) fn begin_end(&mut self) {
        self.input.clear();
        self.phase = Phase::Flushing;
        self.has_progress = true;
        self.deadline = Some(self.close_deadline());
    }

    /// Fails the connection: the peer is told, and then it ends.
    pub(super) fn fail(&mut self, error: ProtocolError) {
        //= RFC6455-7.1.7-1, RFC6455-7.1.7-3, RFC6455-10.7-2
        if let Some(close) = self.sender.fail(&error) {
            self.output.push(&close, 0);
        }
        if let Some(code) = error.received_close_code() {
            let status = Box::new(CloseStatus::broken(code));
            self.close_status.get_or_insert(status);
        }
        self.failure
            .get_or_insert_with(|| Box::new(Failure::Protocol(error)));
        self.begin_end();
    }

    /// Fails the connection because of a limit that the peer has passed, and
    /// tells it which.
    pub(super) fn turn_away(&mut self, reason: &str, failure: Failure) {
        let code = CloseCode::POLICY_VIOLATION;
        // A Close that was sent stands in its way, and needs none.
        let _ = self.queue_unbounded(&Outgoing::Close(Some(CloseFrame { code, reason })));
        self.failure.get_or_insert_with(|| Box::new(failure));
        self.begin_end();
    }

    /// Fails the connection because of time: the peer is told nothing.
    pub(super) fn abandon(&mut self, failure: Failure) {
        self.failure.get_or_insert_with(|| Box::new(failure));
        self.finish();
    }

    /// Drops all that is held, and the transport, if others need the memory.
    pub(super) fn leave_if_told(&mut self) {
        if self.share.as_ref().is_some_and(|share| share.is_leaving()) {
            self.leave();
        }
    }

    #[cold]
    fn leave(&mut self) {
        self.joiner.take();
        while self.backlog.pop().is_some() {}
        self.lent = None;
        self.abandon(Failure::OverMemory(self.config.memory.clone()));
        self.share = None;
    }

    /// Notes that the transport ended, or failed.
    pub(super) fn lose(&mut self, error: Option<io::Error>) {
        //= RFC6455-7.2.1-2
        self.input.clear();
        let failure = match (self.write_error.take(), error, self.receiver.end()) {
            (Some(error), ..) | (None, Some(error), _) => Failure::Io(error),
            (None, None, Err(_)) if fault!("loss-hidden") => return self.finish(),
            (None, None, Err(_)) => Failure::Lost,
            (None, None, Ok(())) => return self.finish(),
        };
        self.abandon(failure);
    }

    /// Returns until when the peer has to do its part, from now.
    pub(super) fn close_deadline(&self) -> Instant {
        self.deadline_after(Duration::MAX)
    }

    /// Returns until when the peer has to do something that has `time` at most.
    fn deadline_after(&self, time: Duration) -> Instant {
        let now = Instant::now();
        if fault!("close-deadline-missing") {
            return now + Duration::from_secs(u32::MAX.into());
        }
        // What is beyond the clock is as good as never.
        now.checked_add(self.config.close_timeout.min(time))
            .unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into()))
    }

    /// Goes on with the end if that has begun, as far as it goes now.
    pub(super) fn end_if_due(&mut self) {
        if self.phase != Phase::Open {
            let _ = self.poll_end();
        }
    }

    /// Ends the transport: writes what waits, closes, and, where the peer is
    /// to close first or has more to say, reads to the end.
    pub(super) fn poll_end(&mut self) -> Poll<()> {
        let is_server = matches!(self.masking(), Masking::Server(_));
        loop {
            let step = match self.phase {
                Phase::Open | Phase::Ended => return Poll::Ready(()),
                Phase::Flushing => self.poll_drain().map(|()| {
                    if self.write_error.is_some() {
                        return Phase::Ended;
                    }
                    //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
                    let waits_for_server = !is_server && self.failure.is_none();
                    if waits_for_server {
                        Phase::Draining
                    } else {
                        //= RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
                        Phase::ShuttingDown
                    }
                }),
                Phase::ShuttingDown => self.with_stream(|stream, cx| stream.poll_close(cx)).map(
                    |closed| match closed {
                        // A peer that still sends would have our Close torn
                        // away by a reset if it were not read.
                        //= RFC6455-7.1.1-1
                        Ok(()) if self.failure.is_some() => Phase::Draining,
                        //= RFC6455-5.5.1-11, RFC6455-7.1.2-2
                        _ => Phase::Ended,
                    },
                ),
                // The server has ended; TLS wants to be told that we do.
                Phase::Draining if self.failure.is_none() => {
                    self.poll_discard().map(|()| Phase::ShuttingDown)
                }
                Phase::Draining => self.poll_discard().map(|()| Phase::Ended),
            };
            match step {
                Poll::Ready(Phase::Ended) => self.finish(),
                Poll::Ready(Phase::Draining) if self.failure.is_none() => {
                    self.deadline = Some(self.deadline_after(END_WAIT));
                    self.phase = Phase::Draining;
                }
                Poll::Ready(next) => self.phase = next,
                Poll::Pending => {
                    if self.phase == Phase::Flushing && self.failure.is_some() {
                        // The peer may be blocked as well.
                        let _ = self.poll_discard();
                    }
                    //= RFC6455-5.5.1-14, RFC6455-7.1.1-4
                    ready!(self.poll_time());
                }
            }
        }
    }

    /// Reads and discards up to the end of the transport.
    fn poll_discard(&mut self) -> Poll<()> {
        loop {
            match ready!(self.poll_read(Target::Next(usize::MAX))) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(len) if self.patience.spend(len) => {}
                Ok(_) => return Poll::Ready(()),
            }
        }
    }

    /// Drops the transport, and all memory with it.
    pub(super) fn finish(&mut self) {
        if self.phase == Phase::Ended {
            return;
        }
        //= RFC6455-7.1.1-2
        self.phase = Phase::Ended;
        self.stream = None;
        self.timer = None;
        self.share = None;
        self.deadline = None;
        self.has_progress = true;
        self.output.give_up();
        self.input.clear();
        self.input.park();
        self.compression.end(self.sender.masking());
        let code = self.close_status().map_or(1006, |status| status.code);
        let error = self.failure.as_ref().map(tracing::field::debug);
        debug!(parent: self.span_id(), code, error, "closed");
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use ws_proto::{ClientMasking, ServerMasking};

    use super::*;
    use crate::{Config, WebSocket, duplex};

    /// Both Closes were seen, and the peer does not end the transport: returns
    /// how long that is waited for, if it is.
    fn wait_for_the_end(masking: impl Into<Masking>, close: &[u8]) -> Option<Duration> {
        let (near, _far) = duplex(1000);
        let config = Config {
            close_timeout: Duration::from_secs(1000),
            ..Config::default()
        };
        let mut websocket =
            WebSocket::after_handshake(near, masking, close.to_vec(), &config).unwrap();
        let closed = {
            let mut closing = std::pin::pin!(websocket.close(CloseCode::NORMAL, ""));
            let cx = &mut Context::from_waker(Waker::noop());
            Future::poll(closing.as_mut(), cx)
        };
        if let Poll::Ready(closed) = closed {
            closed.unwrap();
            return None;
        }
        let deadline = websocket.engine().deadline.unwrap();
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    #[test]
    fn server_ends_at_once_and_a_client_within_a_second() {
        //= RFC6455-7.1.1-3, RFC6455-7.1.1-6
        let masked = b"\x88\x82\0\0\0\0\x03\xe8";
        assert_eq!(wait_for_the_end(ServerMasking::new(), masked), None);
        let wait = wait_for_the_end(ClientMasking::new(), b"\x88\x02\x03\xe8").unwrap();
        assert!(wait <= END_WAIT, "{wait:?}");
    }
}
