//! One connection as a state that is polled: what the async methods, the
//! streams and sinks and the halves have in common.
//!
//! Everything that must survive a dropped future is in here, and nothing
//! waits in here.

mod end;
mod read;
mod serve;
mod time;
mod write;

use std::{
    fmt, io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
pub(crate) use read::{Found, Want};
use time::Life;
use tracing::{Span, debug};
use ws_proto::{Masking, MaskingPolicy as _, Receiver, Sender};

use crate::{
    CloseStatus, Config,
    backlog::Backlog,
    compression::Compression,
    error::{Error, Failure},
    input::Input,
    memory::Share,
    message::{Joiner, Message},
    outgoing::Output,
    pings::Pong,
    signals::{Side, Signals},
    timer::{Alarm, Timers},
};

/// The state of one connection.
pub(crate) struct Engine<S> {
    /// Gone once the connection is closed.
    stream: Option<S>,
    signals: Arc<Signals>,
    /// `signals` as the waker that the transport sees.
    waker: Waker,
    /// Which sides returned "pending" when they were polled last.
    waiting: [bool; 2],
    /// Bytes went in or out, or the state has changed, since the other side
    /// was told.
    has_progress: bool,
    receiver: Receiver,
    sender: Sender<Masking>,
    input: Input,
    joiner: Joiner,
    backlog: Backlog,
    output: Output,
    /// Something was written since the application received last.
    is_writing: bool,
    /// How many bytes may be read or inflated before other tasks have their
    /// turn.
    left: u32,
    failure: Option<Box<Failure>>,
    /// The reader was told why the connection has ended.
    is_end_told: bool,
    /// Why writing is over, while reading may go on.
    write_error: Option<io::Error>,
    /// What the peer's Close said.
    close_status: Option<Box<CloseStatus>>,
    compression: Compression,
    config: Arc<Config>,
    life: Life,
    timer: Option<Alarm>,
    /// What is held of the budget, by one who held something lately.
    share: Option<Box<Share>>,
    pub(crate) lent: Option<Box<Message>>,
    pub(crate) agreed: Option<Box<Agreed>>,
    /// None if nobody collects spans.
    span: Option<Box<Span>>,
}

/// What the opening handshake has agreed on.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) subprotocol: Option<String>,
    pub(crate) headers: Option<ws_handshake::Headers>,
}

impl<S> Engine<S> {
    pub(crate) fn new(
        stream: S,
        masking: Masking,
        leftover: Vec<u8>,
        config: Arc<Config>,
        timers: Timers,
        span: Span,
    ) -> Self {
        let signals = Arc::new(Signals::new());
        // The flags are a matter of frames: the transport knows nothing of
        // them.
        //= MSWS-2.1-1
        Self {
            stream: Some(stream),
            waker: Waker::from(Arc::clone(&signals)),
            signals,
            waiting: [false; 2],
            has_progress: false,
            receiver: Receiver::new(masking.inbound(), config.limits),
            sender: Sender::new(masking),
            input: Input::new(leftover),
            joiner: Joiner::new(),
            backlog: Backlog::with_limit(config.max_read_ahead),
            output: Output::new(config.max_backpressure, config.max_frame_sent),
            is_writing: false,
            left: TURN_LEN,
            failure: None,
            is_end_told: false,
            write_error: None,
            close_status: None,
            life: Life::new(&config, timers),
            compression: Compression::none(),
            config,
            timer: None,
            share: None,
            lent: None,
            agreed: None,
            span: (!span.is_none()).then(|| Box::new(span)),
        }
    }

    /// Measures time by another clock, from now on.
    pub(crate) fn set_timers(&mut self, timers: Timers) {
        self.life = Life::new(&self.config, timers);
        self.timer = None;
    }

    /// Compresses from now on, as was agreed on in the opening handshake.
    pub(crate) fn compress(&mut self, agreed: Option<ws_handshake::DeflateParams>) {
        let masking = self.sender.masking();
        let is_client = matches!(masking, Masking::Client(_));
        self.compression = Compression::negotiated(is_client, agreed, &self.config);
        if self.compression.params().is_some() {
            self.receiver =
                Receiver::new(masking.inbound(), self.config.limits).accept_compressed(true);
        }
    }

    pub(crate) fn deflate(&self) -> Option<ws_handshake::DeflateParams> {
        self.compression.params()
    }

    pub(crate) const fn masking(&self) -> &Masking {
        self.sender.masking()
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.output.outbox.len()
    }

    pub(crate) const fn round_trip_time(&self) -> Option<Duration> {
        self.life.round_trip_time()
    }

    pub(crate) fn last_pong(&self) -> Option<Pong> {
        self.life.last_pong()
    }

    pub(crate) const fn take_frame_counts(&mut self) -> ws_proto::FrameCounts {
        self.receiver.take_counts()
    }

    pub(crate) fn close_status(&self) -> Option<CloseStatus> {
        //= RFC6455-7.1.5-1, RFC6455-7.1.6-1
        match &self.close_status {
            Some(status) => Some((**status).clone()),
            None if self.failure.is_some() => Some(CloseStatus::lost()),
            None => None,
        }
    }

    pub(crate) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// Discards what was read and is not received, and what comes from now on.
    pub(crate) fn discard_input(&mut self) {
        self.joiner.take();
        self.backlog.discard_all();
    }

    /// Lends the transport as long as there is one.
    pub(crate) const fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    fn span_id(&self) -> Option<tracing::Id> {
        self.span.as_ref()?.id()
    }

    /// Queues bytes that go out before any frame.
    pub(crate) fn push_head(&mut self, head: &[u8]) {
        self.output.outbox.push_bytes(head);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Runs an operation for a task, so that the task is woken if it has to
    /// wait, and the other side if something has changed for it.
    ///
    /// A task that never had to wait for [`TURN_LEN`] bytes waits once.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        side: Side,
        mut operation: impl FnMut(&mut Self) -> Poll<T>,
    ) -> Poll<T> {
        self.signals.take_event();
        self.leave_if_told();
        let mut result = operation(self);
        if result.is_pending() {
            self.signals.register(side, cx.waker());
            // What became ready before has woken nobody.
            if self.signals.take_event() {
                self.leave_if_told();
                result = operation(self);
            }
        }
        self.waiting[side as usize] = result.is_pending();
        if result.is_pending() {
            self.left = TURN_LEN;
        }
        self.wake_other(side);
        let (held, budget) = (self.held(), &self.config.memory);
        Share::count(&mut self.share, held, budget, &self.waker);
        result
    }

    /// Wakes the other side if something has changed for it.
    pub(crate) fn wake_other(&mut self, side: Side) {
        let other = &mut self.waiting[1 - side as usize];
        if mem::take(&mut self.has_progress) && mem::take(other) {
            self.signals.wake_other(side);
        }
    }

    /// Returns how many bytes are held for the peer.
    fn held(&self) -> usize {
        let incoming = self.input.held() + self.joiner.held() + self.backlog.held();
        incoming + self.output.outbox.capacity() + self.compression.held()
    }

    /// Notes that so many bytes were read or inflated.
    fn spend(&mut self, len: usize) {
        if fault!("turn-unlimited") {
            return;
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(len);
    }

    /// Tells whether something was read ahead.
    const fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Tells whether a task waits to read, which then does all the reading.
    fn has_reader(&self) -> bool {
        self.waiting[Side::Read as usize] && self.signals.is_waiting(Side::Read)
    }

    /// Asks the transport something, with the waker that it is to know.
    fn with_stream<T>(
        &mut self,
        ask: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        ask(Pin::new(stream), &mut Context::from_waker(&self.waker))
    }

    /// Returns the error that ends all sending, if there is one.
    fn check_sendable(&mut self) -> Result<(), Error> {
        if let Some(error) = self.tell_failure() {
            return Err(error);
        }
        if let Some(error) = &self.write_error {
            return Err(Error::Io(error.kind().into()));
        }
        match self.is_receiving() {
            true => Ok(()),
            false => Err(self.closed_by_peer().unwrap_or(Error::Closed)),
        }
    }
}

impl<S> Drop for Engine<S> {
    fn drop(&mut self) {
        if self.stream.is_some() {
            debug!(parent: self.span_id(), "dropped");
        }
    }
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("stage", &self.life.clock.stage())
            .field("masking", self.sender.masking())
            .field("pending_bytes", &self.pending_bytes())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// How many bytes of one connection are read or inflated before its task lets
/// others have their turn. A read counts as at least [`READ_COST`] bytes.
const TURN_LEN: u32 = 1024 * 1024;

/// What a read costs at least, in bytes.
const READ_COST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use ws_proto::ServerMasking;

    use super::*;

    /// Gives some bytes, and takes some, and then is never ready again.
    struct Script {
        input: Vec<u8>,
        room: usize,
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            if self.input.is_empty() {
                return Poll::Pending;
            }
            let len = self.input.len();
            buffer[..len].copy_from_slice(&mem::take(&mut self.input));
            Poll::Ready(Ok(len))
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len().min(self.room);
            self.room -= len;
            if len == 0 {
                Poll::Pending
            } else {
                Poll::Ready(Ok(len))
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn engine(input: &[u8], room: usize) -> Engine<Script> {
        let input = input.to_vec();
        let masking = ServerMasking::new().into();
        let script = Script { input, room };
        Engine::new(
            script,
            masking,
            Vec::new(),
            Arc::default(),
            Timers::default(),
            Span::none(),
        )
    }

    const WIRE: &[u8] = b"\x81\x82\0\0\0\0ab\x89\x81\0\0\0\0?\x82\x84\0\0\0\0cd";

    #[test]
    fn connection_that_waits_owns_no_buffer() {
        let mut engine = engine(WIRE, 1000);
        let cx = &Context::from_waker(Waker::noop());
        for want in [Want::Lend, Want::Message] {
            let found = engine.poll(cx, Side::Read, |engine| engine.poll_receive(want));
            assert_eq!(found.is_ready(), want == Want::Lend);
        }
        assert_eq!(engine.input.take_memory().capacity(), 0);
        assert_eq!(engine.output.outbox.as_slice(), b"");
        assert!(engine.output.is_done());
    }

    #[test]
    fn connection_that_holds_nothing_for_long_has_no_place_in_the_budget() {
        let begin = [&b"\x82\xfe\x08\0\0\0\0\0"[..], &[7; 2000]].concat();
        let mut engine = engine(&begin, 1000);
        let config = Arc::make_mut(&mut engine.config);
        config.keepalive.ping_interval = Some(Duration::from_millis(5));
        config.memory = crate::MemoryBudget::new(1_000_000);
        let budget = config.memory.clone();
        let receive = |engine: &mut Engine<Script>| engine.poll_receive(Want::Message);
        let cx = &Context::from_waker(Waker::noop());
        assert!(engine.poll(cx, Side::Read, receive).is_pending());
        assert!(budget.held() >= 2000);
        engine.stream.as_mut().unwrap().input = vec![7; 48];
        engine.waker.wake_by_ref();
        assert!(engine.poll(cx, Side::Read, receive).is_ready());
        assert_eq!(budget.held(), 0);
        assert!(engine.share.is_some());
        // Until the keepalive's time has come.
        smol::block_on(std::future::poll_fn(|cx| {
            assert!(engine.poll(cx, Side::Read, receive).is_pending());
            match engine.share {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            }
        }));
    }

    #[test]
    fn idle_state_is_small() {
        let size = size_of::<Engine<()>>() + size_of::<Signals>();
        assert!(size <= 640, "{size} bytes");
    }

    #[test]
    fn compression_that_was_not_agreed_on_is_one_word_at_most() {
        assert!(size_of::<Compression>() <= size_of::<usize>());
    }

    #[test]
    fn transport_that_said_not_yet_is_not_asked_again() {
        let mut engine = engine(b"", 0);
        let cx = &Context::from_waker(Waker::noop());
        let receive = |engine: &mut Engine<Script>| engine.poll_receive(Want::Message);
        assert!(engine.poll(cx, Side::Read, receive).is_pending());
        // It never called, so what is there now is not looked for.
        engine.stream.as_mut().unwrap().input = WIRE.to_vec();
        assert!(engine.poll(cx, Side::Read, receive).is_pending());
        engine.waker.wake_by_ref();
        assert!(engine.poll(cx, Side::Read, receive).is_ready());
    }
}
