//! A connection in two halves.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake as _},
    time::Duration,
};

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use ws_proto::{Chunk, CloseCode, CloseFrame, Message as MessageRef, Prepared};

use crate::{
    AsOutbound, CloseStatus, Error, Message, Pong, WebSocket,
    engine::{Engine, Found, Want},
    message::Piece,
    outgoing::Outgoing,
    signals::{Side, Signals},
};

/// The half of a [`WebSocket`] that receives.
///
/// It answers Pings and the peer's Close itself, whatever the other half does.
/// Its methods are those of [`WebSocket`], with the same cancel safety.
///
/// Once it is dropped, the messages that the peer sends are discarded, so that
/// the other half never waits for somebody to receive them.
pub struct ReadHalf<S> {
    shared: Arc<Shared<S>>,
    lent: Option<Piece>,
}

/// The half of a [`WebSocket`] that sends.
///
/// It answers Pings and the peer's Close itself unless the other half is
/// waiting to receive, which then does that. Its methods are those of
/// [`WebSocket`], with the same cancel safety.
pub struct WriteHalf<S> {
    shared: Arc<Shared<S>>,
}

/// The state of both halves.
///
/// It is locked for one poll at a time and never while anything waits, so a
/// plain mutex does: the halves meet in it only if two threads poll at the same
/// moment, and then for as long as a system call. Who waits for the transport
/// waits in [`Signals`](crate::signals::Signals), where each half has a place.
struct Shared<S> {
    engine: Mutex<Engine<S>>,
    /// Beside the engine, as a half may be dropped while that is locked: by a
    /// waker that is called meanwhile.
    signals: Arc<Signals>,
    is_reader_gone: AtomicBool,
}

pub(crate) fn split<S>(engine: Engine<S>) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Arc::new(Shared {
        signals: engine.signals(),
        engine: Mutex::new(engine),
        is_reader_gone: AtomicBool::new(false),
    });
    let write = WriteHalf {
        shared: Arc::clone(&shared),
    };
    (ReadHalf { shared, lent: None }, write)
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Engine<S>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReadHalf<S> {
    /// Receives the next message. See [`WebSocket::receive`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::receive`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Receives the next message and lends it. See [`WebSocket::receive_ref`].
    ///
    /// The message is moved out of the connection first, as the other half may
    /// use that meanwhile.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::receive`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive_ref(&mut self) -> Result<Option<MessageRef<'_>>, Error> {
        let found = self.find(Want::Message).await?;
        Ok(found.map(|chunk| chunk.data))
    }

    /// Receives the next piece of a message and lends it. See
    /// [`WebSocket::receive_chunk`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::receive`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive_chunk(&mut self) -> Result<Option<Chunk<'_>>, Error> {
        self.find(Want::Chunk).await
    }

    /// Puts the halves together again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], which gives them back, if they are not of one
    /// connection.
    pub fn reunite(self, write: WriteHalf<S>) -> Result<WebSocket<S>, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.shared, &write.shared) {
            return Err(ReuniteError { read: self, write });
        }
        drop(self);
        let Some(shared) = Arc::into_inner(write.shared) else {
            // INVARIANT: there are two halves, and this was the other.
            unreachable!("a connection has two halves");
        };
        let engine = shared.engine.into_inner();
        let engine = engine.unwrap_or_else(PoisonError::into_inner);
        Ok(WebSocket::from_engine(engine))
    }

    async fn find(&mut self, want: Want) -> Result<Option<Chunk<'_>>, Error> {
        self.lent = None;
        let piece = poll_fn(|cx| {
            let mut engine = self.shared.lock();
            let found = engine.poll(cx, Side::Read, |engine| engine.poll_receive(want));
            found.map_ok(|found| {
                found.map(|found| match found {
                    Found::Owned(piece) => piece,
                    in_place => engine.lend(in_place).into(),
                })
            })
        })
        .await?;
        Ok(piece.map(|piece| self.lent.insert(piece).as_chunk()))
    }

    fn poll_receive(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.lent = None;
        let mut engine = self.shared.lock();
        let found = engine.poll(cx, Side::Read, |engine| engine.poll_receive(Want::Message));
        found.map_ok(|found| found.and_then(Found::into_message))
    }
}

impl<S> ReadHalf<S> {
    /// Returns the last Pong that answered a Ping of the application's. See
    /// [`WebSocket::last_pong`].
    #[must_use]
    pub fn last_pong(&self) -> Option<Pong> {
        self.shared.lock().last_pong()
    }

    /// Returns how the connection was closed. See
    /// [`WebSocket::close_status`].
    #[must_use]
    pub fn close_status(&self) -> Option<CloseStatus> {
        self.shared.lock().close_status()
    }

    /// Returns how long the last Ping took there and back. See
    /// [`WebSocket::round_trip_time`].
    #[must_use]
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.shared.lock().round_trip_time()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WriteHalf<S> {
    /// Sends a message. See [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::send`].
    pub async fn send(&mut self, message: impl AsOutbound) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Message(message.as_outbound()))
            .await
    }

    /// Sends the next fragment of a message. See
    /// [`WebSocket::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_fragment`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::send`].
    pub async fn send_fragment(
        &mut self,
        fragment: impl AsOutbound,
        last: bool,
    ) -> Result<(), Error> {
        let fragment = fragment.as_outbound();
        self.send_outgoing(Outgoing::Fragment(fragment, last)).await
    }

    /// Sends a message that was encoded before.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::send`].
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Prepared(message)).await
    }

    /// Sends a Ping. See [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::ping`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::send`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Ping(payload)).await
    }

    /// Sends a Pong that nobody asked for.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::ping`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::send`].
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Pong(payload)).await
    }

    /// Queues a message without writing it. See [`WebSocket::queue`].
    ///
    /// A reader that waits already does not write it: [`flush`](Self::flush)
    /// when the batch is complete.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::queue`].
    pub fn queue(&mut self, message: impl AsOutbound) -> Result<(), Error> {
        let outgoing = Outgoing::Message(message.as_outbound());
        self.shared.lock().queue(&outgoing)
    }

    /// Queues a message that was encoded before.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::queue`].
    pub fn queue_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.shared.lock().queue(&Outgoing::Prepared(message))
    }

    /// Queues our Close. See [`WebSocket::queue_close`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::queue_close`].
    pub fn queue_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let mut engine = self.shared.lock();
        engine.start_close(Some(CloseFrame { code, reason }))?;
        // A reader that waits already has a deadline from now on.
        engine.wake_other(Side::Write);
        Ok(())
    }

    /// Waits until all that was queued is written.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_engine(cx, Engine::poll_flush)).await
    }

    /// Waits until a message of `len` bytes can be queued. See
    /// [`WebSocket::room`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn room(&mut self, len: usize) -> Result<(), Error> {
        let len = len.saturating_add(ws_proto::MAX_HEADER_LEN);
        poll_fn(|cx| self.poll_engine(cx, |engine| engine.poll_room(len, false))).await
    }

    /// Closes the connection. See [`WebSocket::close`].
    ///
    /// Messages that come meanwhile go to the other half if that is receiving,
    /// and are kept for it otherwise.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebSocket::close`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        {
            let mut engine = self.shared.lock();
            if !engine.is_closing() {
                engine.start_close(Some(CloseFrame { code, reason }))?;
            }
        }
        poll_fn(|cx| self.poll_engine(cx, Engine::poll_closed)).await
    }

    async fn send_outgoing(&self, outgoing: Outgoing<'_>) -> Result<(), Error> {
        let mut is_taken = false;
        poll_fn(|cx| self.poll_engine(cx, |engine| engine.poll_send(&outgoing, &mut is_taken)))
            .await
    }

    fn poll_engine<T>(
        &self,
        cx: &Context<'_>,
        operation: impl FnMut(&mut Engine<S>) -> Poll<T>,
    ) -> Poll<T> {
        let mut engine = self.shared.lock();
        if self.shared.is_reader_gone.load(Ordering::Acquire) {
            engine.discard_input();
        }
        engine.poll(cx, Side::Write, operation)
    }
}

impl<S> Drop for ReadHalf<S> {
    fn drop(&mut self) {
        self.shared.is_reader_gone.store(true, Ordering::Release);
        // The other half may wait for what is discarded from now on.
        self.shared.signals.wake_by_ref();
    }
}

impl<S> WriteHalf<S> {
    /// Returns the last Pong that answered a Ping of the application's. See
    /// [`WebSocket::last_pong`].
    #[must_use]
    pub fn last_pong(&self) -> Option<Pong> {
        self.shared.lock().last_pong()
    }

    /// Returns how long the last Ping took there and back. See
    /// [`WebSocket::round_trip_time`].
    #[must_use]
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.shared.lock().round_trip_time()
    }

    /// Returns how the connection was closed. See
    /// [`WebSocket::close_status`].
    #[must_use]
    pub fn close_status(&self) -> Option<CloseStatus> {
        self.shared.lock().close_status()
    }

    /// Returns how many bytes wait for the transport.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.shared.lock().pending_bytes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for ReadHalf<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(cx).map(Result::transpose)
    }
}

/// As for [`WebSocket`].
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WriteHalf<S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_engine(cx, Engine::poll_ready)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let outgoing = Outgoing::Message(message.as_outbound());
        self.shared.lock().queue_unbounded(&outgoing)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_engine(cx, Engine::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_engine(cx, Engine::poll_close)
    }
}

impl<S> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

/// Two halves that are not of one connection, given back.
pub struct ReuniteError<S> {
    /// The half that receives.
    pub read: ReadHalf<S>,
    /// The half that sends.
    pub write: WriteHalf<S>,
}

impl<S> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one connection")
    }
}

impl<S> std::error::Error for ReuniteError<S> {}
