//! The end: the closing handshake, failures, and the end of the transport.

use std::{
    io, mem,
    task::{Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use tracing::debug;
use ws_proto::{CloseCode, CloseFrame, EndOrder, Ending, Masking, ProtocolError, Stage};

use super::{Engine, Found, read::Target};
use crate::{
    CloseStatus,
    error::{Error, Failure, tell},
    outgoing::Outgoing,
};

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Queues our Close.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame<'_>>) -> Result<(), Error> {
        self.queue_unbounded(&Outgoing::Close(frame))?;
        self.begin_closing();
        Ok(())
    }

    /// Gives the peer its time for its Close, unless that has begun.
    pub(super) fn begin_closing(&mut self) {
        let now = self.life.elapsed();
        if self
            .life
            .clock
            .begin_closing(None, &self.config.times(), now)
        {
            self.timer = None;
            self.has_progress = true;
        }
    }

    /// Tells whether messages are received.
    pub(super) const fn is_receiving(&self) -> bool {
        self.life.clock.stage().is_receiving()
    }

    /// Tells whether a Close was sent, or there is nobody to send one to.
    pub(crate) fn is_closing(&self) -> bool {
        self.sender.is_close_sent() || !self.is_receiving() || self.write_error.is_some()
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
            if self.life.clock.stage() == Stage::Ended {
                return Poll::Ready(self.tell_failure().map_or(Ok(()), Err));
            }
            if !self.is_receiving() {
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
        match self.tell_failure().or_else(|| self.closed_by_peer()) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Returns what the peer's Close said, unless that is a normal end.
    pub(super) fn closed_by_peer(&self) -> Option<Error> {
        let status = self.close_status.as_deref()?;
        (!status.is_normal()).then(|| Error::ClosedByPeer(status.clone()))
    }

    /// Makes the error of the failure, if there is one.
    pub(super) fn tell_failure(&mut self) -> Option<Error> {
        let failure = self.failure.as_deref_mut()?;
        Some(tell(failure, &self.config.memory))
    }

    /// Starts the end, after the peer's Close.
    pub(super) fn end_after_close(&mut self) {
        if let cause @ Failure::Timeout(_) = self.life.clock.cause_of_close(true) {
            self.failure.get_or_insert_with(|| Box::new(cause));
        }
        self.begin_end(false);
    }

    /// Begins the end, unless it has begun, or is over: the peer's Close may have been read, and
    /// all ended after it, while the application has not received what came before.
    fn begin_end(&mut self, lingers: bool) {
        if !self.is_receiving() {
            return;
        }
        self.input.clear();
        self.has_progress = true;
        self.timer = None;
        let order = EndOrder::new(matches!(self.masking(), Masking::Client(_)), lingers);
        let now = self.life.elapsed();
        self.life.clock.begin_end(order, &self.config.times(), now);
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
        self.begin_end(true);
    }

    /// Fails the connection because of a limit that the peer has passed, and
    /// tells it which.
    pub(super) fn turn_away(&mut self, failure: Failure) {
        // A Close that was sent stands in its way, and needs none.
        let _ = self.queue_unbounded(&Outgoing::Close(failure.close_frame()));
        self.failure.get_or_insert_with(|| Box::new(failure));
        self.begin_end(true);
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
        self.abandon(Failure::OverMemory);
        self.share = None;
    }

    /// Notes that the transport ended, or failed.
    pub(super) fn lose(&mut self, error: Option<io::Error>) {
        //= RFC6455-7.2.1-2
        self.input.clear();
        let failure = match (self.write_error.take(), error, self.receiver.end()) {
            (Some(error), ..) | (None, Some(error), _) => Failure::Io(error),
            (None, None, Err(_)) if fault!("loss-hidden") => return self.finish(),
            (None, None, Err(_)) => self.life.clock.cause_of_loss(),
            (None, None, Ok(())) => return self.finish(),
        };
        self.abandon(failure);
    }

    /// Goes on with the end if that has begun, as far as it goes now.
    pub(super) fn end_if_due(&mut self) {
        if !self.is_receiving() {
            let _ = self.poll_end();
        }
    }

    /// Ends the transport, step by step.
    pub(super) fn poll_end(&mut self) -> Poll<()> {
        while let Stage::Ending(step) = self.life.clock.stage() {
            let done = match step {
                Ending::Write(_) => self.poll_drain().map(|()| self.write_error.is_none()),
                Ending::Shutdown(_) => {
                    let closed = self.with_stream(|stream, cx| stream.poll_close(cx));
                    //= RFC6455-7.1.2-2
                    closed.map(|closed| closed.is_ok())
                }
                Ending::Discard(_) => self.poll_discard().map(|()| true),
            };
            match done {
                Poll::Ready(true) => {
                    self.timer = None;
                    let now = self.life.elapsed();
                    let next = self.life.clock.end_step(&self.config.times(), now);
                    if next.is_none() {
                        self.finish();
                    }
                }
                Poll::Ready(false) => self.finish(),
                Poll::Pending => {
                    if step == Ending::Write(EndOrder::Linger) {
                        // The peer may be blocked as well.
                        let _ = self.poll_discard();
                    }
                    //= RFC6455-5.5.1-14, RFC6455-7.1.1-4
                    ready!(self.poll_time());
                }
            }
        }
        Poll::Ready(())
    }

    /// Reads and discards up to the end of the transport.
    fn poll_discard(&mut self) -> Poll<()> {
        loop {
            match ready!(self.poll_read(Target::Next(usize::MAX))) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(len) if self.life.clock.note_discarded(len) => {}
                Ok(_) => return Poll::Ready(()),
            }
        }
    }

    /// Drops the transport, and all memory with it.
    pub(super) fn finish(&mut self) {
        if self.stream.is_none() {
            return;
        }
        //= RFC6455-7.1.1-2
        self.life.clock.end();
        self.stream = None;
        self.timer = None;
        self.share = None;
        self.has_progress = true;
        self.output.give_up();
        self.input.clear();
        self.input.park();
        self.compression.end();
        let code = self.close_status().map_or(1006, |status| status.code);
        let error = self.failure.as_ref().map(tracing::field::debug);
        debug!(parent: self.span_id(), code, error, "closed");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        task::{Context, Waker},
        time::Duration,
    };

    use ws_proto::{ClientMasking, END_WAIT, ServerMasking};

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
        websocket.engine().life.clock.until()
    }

    #[test]
    fn server_ends_at_once_and_a_client_within_a_second() {
        //= RFC6455-7.1.1-3, RFC6455-7.1.1-6
        let masked = b"\x88\x82\0\0\0\0\x03\xe8";
        assert_eq!(wait_for_the_end(ServerMasking::new(), masked), None);
        let wait = wait_for_the_end(ClientMasking::new(), b"\x88\x02\x03\xe8").unwrap();
        assert!(wait <= 2 * END_WAIT, "{wait:?}");
    }
}
