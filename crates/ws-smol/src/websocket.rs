//! A connection, whole.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use tracing::Span;
use ws_handshake::{DeflateParams, Headers};
use ws_proto::{
    Chunk, CloseCode, CloseFrame, ConfigError, FrameCounts, Masking, Message as MessageRef,
    Prepared,
};

use crate::{
    AsOutbound, CloseStatus, Config, Error, Message, Pong, Replies, Timer,
    engine::{Engine, Found, Want},
    outgoing::Outgoing,
    signals::Side,
    split::{self, ReadHalf, WriteHalf},
    timer::Timers,
};

/// A WebSocket over any [`futures_io`] stream, as client or as server.
///
/// [`connect`](crate::connect) and [`accept`](crate::accept) make one.
///
/// # What goes on by itself
///
/// Pings are answered, and so is the peer's Close, by whatever operation is
/// waiting: `receive` also writes, and writing also reads. What writing reads
/// beside control frames is kept for the next `receive`, up to
/// [`Config::max_read_ahead`]. Nothing happens while no operation runs; there
/// is no background task.
///
/// # How much is done in one poll
///
/// Once 1 MiB of a connection was read or inflated without a wait, its task lets
/// others have their turn: the operation is pending once, and has its task woken
/// at once. A read counts as at least 8 KiB, so there are at most 128 of them. An
/// opening handshake, a proxy's header or reply, and a TLS handshake let others
/// have their turn after 64 KiB, and a read counts as at least 1 KiB. The time
/// limits are looked at in each turn, so that a peer which always has more to say
/// does not outlive them.
///
/// # Cancel safety
///
/// All state is in here and none in a future: any future of this type may be
/// dropped at any time, for instance by `select!`, and nothing that was
/// received or taken to be sent is lost. Dropping a future never closes the
/// connection. Dropping the `WebSocket` does, without a Close.
pub struct WebSocket<S> {
    engine: Engine<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Starts after an opening handshake that was made elsewhere, such as in
    /// an HTTP server.
    ///
    /// The masking policy decides the role: a
    /// [`ServerMasking`](ws_proto::ServerMasking) or a
    /// [`ClientMasking`](ws_proto::ClientMasking). `leftover` are the bytes
    /// that were read after the head of the handshake.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as [`Config::check`].
    pub fn after_handshake(
        stream: S,
        masking: impl Into<Masking>,
        leftover: Vec<u8>,
        config: &Config,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let config = Arc::new(config.clone());
        let timers = Timers::default();
        let masking = masking.into();
        let engine = Engine::new(stream, masking, leftover, config, timers, Span::current());
        Ok(Self { engine })
    }

    /// Compresses, as the opening handshake that was made elsewhere has agreed
    /// on; before anything is sent or received.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, params: DeflateParams) -> Self {
        self.engine.compress(Some(params));
        self
    }

    /// Measures all times of this connection by another [`Timer`], such as that of tokio; before
    /// anything is sent or received.
    #[must_use]
    pub fn with_timer(mut self, timer: impl Timer + 'static) -> Self {
        self.engine.set_timers(Timers::new(timer));
        self
    }

    pub(crate) const fn from_engine(engine: Engine<S>) -> Self {
        Self { engine }
    }

    pub(crate) const fn engine(&mut self) -> &mut Engine<S> {
        &mut self.engine
    }

    /// Receives the next message, or `None` once the connection has ended as it
    /// should: the peer closed it with code 1000 or 1001, or with no code, or
    /// answered our Close. Any other end is an error, once.
    ///
    /// A message that came in several pieces was joined in the buffer that is
    /// handed out; one that came whole is copied once. While it waits, what
    /// was queued is written.
    ///
    /// # Errors
    ///
    /// [`Error::ClosedByPeer`] if the peer closed with another code;
    /// [`Error::ConnectionLost`] if the transport ended without a Close;
    /// [`Error::Protocol`] if the peer broke a rule or a limit; [`Error::Io`]
    /// if the transport failed; [`Error::Timeout`] by [`Config::keepalive`] or
    /// while closing. Messages
    /// that were complete before are received first, and after the error there
    /// is only `None`. So that the peer gets to know, an error of its own is
    /// returned after it was told and has closed, or
    /// [`Config::close_timeout`] has passed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.engine.lent = None;
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Receives the next message without a copy: it lies in the buffer that
    /// was read into, or in the one where its pieces were joined.
    ///
    /// The buffer is the thread's, and is with the connection until the next
    /// call, so do not keep many messages waiting.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive_ref(&mut self) -> Result<Option<MessageRef<'_>>, Error> {
        let found = self.find(Want::Lend).await?;
        Ok(found.map(|found| self.engine.lend(found).data))
    }

    /// Receives the next piece of a message, as much as came, so that a large
    /// message need not fit in memory.
    ///
    /// A message that was begun so can also be left to
    /// [`receive`](Self::receive), which then gives the rest of it.
    /// [`Limits::max_message`](ws_proto::Limits::max_message) holds here too;
    /// raise it for streams without end.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn receive_chunk(&mut self) -> Result<Option<Chunk<'_>>, Error> {
        let found = self.find(Want::Chunk).await?;
        Ok(found.map(|found| self.engine.lend(found)))
    }

    /// Receives all messages that are there, and waits until there is one:
    /// hands each to `handler`, and then writes all the replies at once.
    /// `false` once the connection has ended as it should, as
    /// [`receive`](Self::receive) says.
    ///
    /// This is the fastest way to answer messages. None is copied but those
    /// that came in several frames, and one that goes back as it came is
    /// written from where it was read to. While [`Config::max_backpressure`] bytes
    /// wait for the transport, nothing more is read.
    ///
    /// ```
    /// # use ws_smol::{Error, WebSocket};
    /// # async fn example(mut websocket: WebSocket<smol::net::TcpStream>) -> Result<(), Error> {
    /// while websocket
    ///     .receive_with(|message, replies| replies.queue(message))
    ///     .await?
    /// {}
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), and what `handler` returns. After that
    /// the connection goes on: the message that the handler was given is gone,
    /// and those behind it come with the next call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: what was handed out was answered,
    /// and what was not is still there.
    pub async fn receive_with(
        &mut self,
        mut handler: impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.engine.lent = None;
        poll_fn(|cx| {
            let engine = &mut self.engine;
            engine.poll(cx, Side::Read, |engine| {
                engine.poll_receive_with(&mut handler)
            })
        })
        .await
    }

    /// Sends a message: queues it when there is room, and waits until the
    /// transport has taken it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once a Close was sent or received, or
    /// [`Error::ClosedByPeer`] if that is no normal end; [`Error::Send`]
    /// between the fragments of another message, and what ended the
    /// connection if something did.
    ///
    /// # Cancel safety
    ///
    /// A message is taken whole or not at all: not while there is no room, and
    /// whole from then on, so that dropping the future later leaves it to be
    /// written by the next operation. Who must know which waits for
    /// [`room`](Self::room) and then [queues](Self::queue).
    pub async fn send(&mut self, message: impl AsOutbound) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Message(message.as_outbound()))
            .await
    }

    /// Sends the next fragment of a message; the first call begins the message
    /// and the one with `last` ends it.
    ///
    /// Text is cut between characters. In between, nothing else can be sent
    /// but Pings and a Close.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`Error::Send`] if text and binary
    /// fragments are mixed, or an [`Uncompressed`](crate::Uncompressed) one
    /// comes in a message that was begun compressed.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_fragment(
        &mut self,
        fragment: impl AsOutbound,
        last: bool,
    ) -> Result<(), Error> {
        let fragment = fragment.as_outbound();
        self.send_outgoing(Outgoing::Fragment(fragment, last)).await
    }

    /// Sends a message that was encoded before, for many to get the same.
    ///
    /// Where compression was agreed on, it is compressed once on each thread
    /// for all that get it or a clone of it, one after the other, with the same
    /// size of window.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Prepared(message)).await
    }

    /// Sends a Ping. Once its Pong has come, [`last_pong`](Self::last_pong)
    /// tells so, and [`round_trip_time`](Self::round_trip_time) how long that
    /// took. Pongs come between messages, by whatever operation is waiting; so
    /// that the latency of a connection which is never silent is known, send a
    /// Ping now and then. [`Config::keepalive`] sends them in silence alone.
    ///
    /// The Pings of which the Pong is waited for are the last 8.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`Error::Send`] for a payload over 125
    /// bytes.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Ping(payload)).await
    }

    /// Sends a Pong that nobody asked for. Pings are answered without this.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_outgoing(Outgoing::Pong(payload)).await
    }

    /// Queues a message without writing it. The next operation that waits
    /// writes it, so that replies to many messages leave together.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`Error::OutboxFull`] where more than
    /// [`Config::max_backpressure`] bytes would wait; the length of the message
    /// counts before it is compressed.
    pub fn queue(&mut self, message: impl AsOutbound) -> Result<(), Error> {
        self.engine.queue(&Outgoing::Message(message.as_outbound()))
    }

    /// Queues a message that was encoded before. See [`queue`](Self::queue).
    ///
    /// # Errors
    ///
    /// As [`queue`](Self::queue).
    pub fn queue_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.engine.queue(&Outgoing::Prepared(message))
    }

    /// Queues our Close: from now on nothing else can be sent, and the peer
    /// has [`Config::close_timeout`] to answer. [`receive`](Self::receive)
    /// still gives what it sends until then, and [`close`](Self::close) waits.
    /// What [`flush`](Self::flush) reads meanwhile is kept as with `close`.
    ///
    /// A reason over 123 bytes is cut, between characters; 1010 from a server,
    /// which is for clients alone, goes out as 1011 (RFC 6455 section 7.4.1).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if a Close was sent or received before.
    pub fn queue_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.engine.start_close(Some(CloseFrame { code, reason }))
    }

    /// Waits until all that was queued is written.
    ///
    /// # Errors
    ///
    /// What ended the connection if something did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.engine.poll(cx, Side::Write, Engine::poll_flush)).await
    }

    /// Waits until a message of `len` bytes can be [queued](Self::queue), or
    /// nothing waits for the transport.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn room(&mut self, len: usize) -> Result<(), Error> {
        let len = len.saturating_add(ws_proto::MAX_HEADER_LEN);
        poll_fn(|cx| {
            let engine = &mut self.engine;
            engine.poll(cx, Side::Write, |engine| engine.poll_room(len, false))
        })
        .await
    }

    /// Closes the connection: sends a Close, waits for the peer's, and ends
    /// the transport, all within [`Config::close_timeout`].
    ///
    /// Messages that come meanwhile are kept for [`receive`](Self::receive) as
    /// far as [`Config::max_read_ahead`] reaches; the one that goes beyond it
    /// is discarded, and so are all behind that. Any code and reason close, as
    /// with [`queue_close`](Self::queue_close). If a Close was sent or received
    /// before, this waits for the
    /// rest alone.
    ///
    /// The server ends the transport first, and the client waits for that, so
    /// that it is the server's to give the port free.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if the peer did not answer, and what else ended the
    /// connection instead; a Close of the peer's is no error, whatever its code
    /// ([`close_status`](Self::close_status) tells it). The transport is gone in
    /// all cases.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled the Close is on its way; dropping it leaves
    /// the rest to the next operation.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if !self.engine.is_closing() {
            self.engine.start_close(Some(CloseFrame { code, reason }))?;
        }
        poll_fn(|cx| self.engine.poll(cx, Side::Write, Engine::poll_closed)).await
    }

    /// Splits into halves, for two tasks or for two variables in one.
    ///
    /// Neither half needs the other: Pings and Closes are answered by the one
    /// that is used.
    #[must_use]
    pub fn split(self) -> (ReadHalf<S>, WriteHalf<S>) {
        split::split(self.engine)
    }

    async fn find(&mut self, want: Want) -> Result<Option<Found>, Error> {
        self.engine.lent = None;
        poll_fn(|cx| {
            let engine = &mut self.engine;
            engine.poll(cx, Side::Read, |engine| engine.poll_receive(want))
        })
        .await
    }

    async fn send_outgoing(&mut self, outgoing: Outgoing<'_>) -> Result<(), Error> {
        let mut is_taken = false;
        poll_fn(|cx| {
            let engine = &mut self.engine;
            engine.poll(cx, Side::Write, |engine| {
                engine.poll_send(&outgoing, &mut is_taken)
            })
        })
        .await
    }

    fn poll_receive(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        let engine = &mut self.engine;
        let found = engine.poll(cx, Side::Read, |engine| engine.poll_receive(Want::Message));
        found.map_ok(|found| found.and_then(Found::into_message))
    }
}

impl<S> WebSocket<S> {
    /// Returns the last Pong that answered a [`ping`](Self::ping), if one did.
    #[must_use]
    pub fn last_pong(&self) -> Option<Pong> {
        self.engine.last_pong()
    }

    /// Returns how the connection was closed: what the peer's Close said, or
    /// code 1006 if it failed without one. `None` as long as neither is so.
    ///
    /// A Close whose reason is not UTF-8 fails the connection with
    /// [`Error::Protocol`], and its code is told here without the reason.
    #[must_use]
    pub fn close_status(&self) -> Option<CloseStatus> {
        self.engine.close_status()
    }

    /// Returns how many bytes wait for the transport.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.engine.pending_bytes()
    }

    /// Returns how long the last Ping that was answered took there and back:
    /// one of [`ping`](Self::ping), or one of [`Config::keepalive`].
    #[must_use]
    pub const fn round_trip_time(&self) -> Option<Duration> {
        self.engine.round_trip_time()
    }

    /// Returns the subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.engine.agreed.as_deref()?.subprotocol.as_deref()
    }

    /// Returns the headers of the server's response to a client.
    #[must_use]
    pub fn response_headers(&self) -> Option<&Headers> {
        self.engine.agreed.as_deref()?.headers.as_ref()
    }

    /// Returns the parameters of permessage-deflate that were agreed on; `None`
    /// if messages are not compressed.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.engine.deflate()
    }

    /// Lends the role and the flags of [MS-WSPE], as they were decided when
    /// the connection was made.
    #[must_use]
    pub const fn masking(&self) -> &Masking {
        self.engine.masking()
    }

    /// Returns how many frames of which form the peer sent since this was last
    /// asked.
    #[must_use = "what is returned is not counted again"]
    pub const fn take_frame_counts(&mut self) -> FrameCounts {
        self.engine.take_frame_counts()
    }

    /// Lends the transport; `None` once the connection is closed.
    #[must_use]
    pub const fn stream(&self) -> Option<&S> {
        self.engine.stream()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(cx).map(Result::transpose)
    }
}

/// Items are queued while less than [`Config::max_backpressure`] bytes wait, so that
/// at most one message goes beyond it. Closing sends code 1000.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let engine = &mut self.engine;
        engine.poll(cx, Side::Write, Engine::poll_ready)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let outgoing = Outgoing::Message(message.as_outbound());
        self.engine.queue_unbounded(&outgoing)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.engine.poll(cx, Side::Write, Engine::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.engine.poll(cx, Side::Write, Engine::poll_close)
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocket").field(&self.engine).finish()
    }
}
