//! One endpoint of a connection with all that it does over time (RFC 6455
//! sections 5.5, 6 and 7).

use core::{fmt, time::Duration};

use crate::{
    BusyTimers, Cause, Clock, CloseFrame, Connection, Due, EndOrder, Ending, Event, Flow, Inbound,
    KeepaliveConfig, Limits, MaskingPolicy, Message, OutFrame, Outbox, OutboxFull, SendError,
    Sender, Stage, TimeLimits, Times,
};

/// What an [`Endpoint`] is configured with. All limits are finite by default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// How much the peer may send in a frame and in a message.
    pub limits: Limits,
    /// How long the peer may take for what it began.
    pub time_limits: TimeLimits,
    /// When the peer is asked whether it is there, and when it is given up.
    pub keepalive: KeepaliveConfig,
    /// How long the peer has for the answer to our Close, and each step of the
    /// end for itself; 10 s by default.
    pub close_timeout: Duration,
    /// How many bytes of messages may wait for the transport; 1 MiB by default.
    pub max_backpressure: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            time_limits: TimeLimits::default(),
            keepalive: KeepaliveConfig::default(),
            close_timeout: Duration::from_secs(10),
            max_backpressure: 1024 * 1024,
        }
    }
}

/// One endpoint of a connection, whole: it answers Pings, keeps every deadline,
/// runs the closing handshake, and knows why the connection ended. It owns no
/// transport and reads no clock: the caller moves bytes and time.
///
/// A time is a [`Duration`] since any moment that the caller chose, the same at
/// every call, which never runs backwards. In a loop, the caller
///
/// 1. asks for the [`next_action`](Self::next_action), and does it, or waits for it as long as it
///    may;
/// 2. tells what came of it: [`handle_input`](Self::handle_input),
///    [`handle_end`](Self::handle_end), [`note_written`](Self::note_written),
///    [`note_shutdown`](Self::note_shutdown).
///
/// A caller that can wait for input and for room at once does so while
/// something is to be written, if the endpoint [wants
/// input](Self::wants_input).
///
/// ```
/// use core::time::Duration;
/// use ws_proto::{Action, Endpoint, EndpointConfig, ServerMasking};
///
/// let now = Duration::ZERO;
/// let mut endpoint = Endpoint::new(ServerMasking::new(), EndpointConfig::default(), now);
/// let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// endpoint.handle_input(&mut input, now, |message, replies| {
///     let _ = replies.send(message);
/// });
/// assert_eq!(endpoint.action(), Action::Write(b"\x81\x05Hello"));
/// endpoint.note_written(7, now);
/// assert_eq!(endpoint.next_timeout(now), Some(Duration::from_secs(30)));
/// ```
#[derive(Debug)]
pub struct Endpoint<P> {
    connection: Connection<P>,
    outbox: Outbox,
    clock: Clock,
    busy: BusyTimers,
    config: EndpointConfig,
    cause: Option<Cause>,
    has_moved: bool,
    /// The transport refused some of what is to be written.
    has_waited: bool,
    is_client: bool,
}

/// What an [`Endpoint`] wants to be done next with its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Write these bytes, as far as the transport takes them.
    Write(&'a [u8]),
    /// End our direction of the transport.
    Shutdown,
    /// Read.
    Read,
    /// Drop the transport: the connection has ended for this cause.
    End(Cause),
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// More would wait for the peer than [`EndpointConfig::max_backpressure`].
    Full(OutboxFull),
    /// It cannot be sent now, or ever.
    Send(SendError),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => write!(f, "max_backpressure is reached: {full}"),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for QueueError {}

/// The sending side of an [`Endpoint`].
#[derive(Debug)]
pub struct Replies<'a, P> {
    sender: &'a mut Sender<P>,
    outbox: &'a mut Outbox,
}

impl<P: MaskingPolicy> Replies<'_, P> {
    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; nothing was queued.
    pub fn send(&mut self, message: Message<'_>) -> Result<(), QueueError> {
        let frame = self.sender.message(message).map_err(QueueError::Send)?;
        self.outbox.push(&frame, 0).map_err(QueueError::Full)
    }

    /// Starts the closing handshake: nothing can be sent after it. Messages are
    /// received up to the peer's Close.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] if a Close was sent or received before.
    pub fn close(&mut self, close: CloseFrame<'_>) -> Result<(), SendError> {
        let frame = self.sender.close(Some(close))?;
        self.outbox.append(&frame, 0);
        Ok(())
    }
}

impl<P: MaskingPolicy> Endpoint<P> {
    /// Starts right after the opening handshake. The masking policy decides the
    /// role.
    #[must_use]
    pub fn new(masking: P, config: EndpointConfig, now: Duration) -> Self {
        let is_client = masking.inbound() == Inbound::RequireUnmasked;
        Self {
            connection: Connection::new(masking, config.limits),
            outbox: Outbox::with_limit(config.max_backpressure),
            clock: Clock::open(&config.times(), now),
            busy: BusyTimers::new(),
            config,
            cause: None,
            has_moved: false,
            has_waited: false,
            is_client,
        }
    }

    /// Handles bytes that came, and calls `on_message` for each message. After
    /// the peer's Close, and after a failure, bytes are discarded.
    pub fn handle_input(
        &mut self,
        mut input: &mut [u8],
        now: Duration,
        mut on_message: impl FnMut(Message<'_>, &mut Replies<'_, P>),
    ) {
        if !self.clock.stage().is_receiving() {
            if !self.clock.note_discarded(input.len()) {
                self.clock.end();
            }
            return;
        }
        self.clock.note_input(now);
        let max_rate = self.config.time_limits.max_control_rate;
        let (outbox, clock) = (&mut self.outbox, &mut self.clock);
        let (receiver, messages, sender) = self.connection.parts();
        let cause = loop {
            let event = match receiver.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(error) => break Some(Cause::Protocol(error)),
            };
            let is_control = matches!(event, Event::Ping(_) | Event::Pong(_));
            if is_control && clock.note_control(max_rate, now) {
                break Some(Cause::ControlFlood);
            }
            if let Event::Pong(payload) = event {
                clock.note_pong(payload, now);
            }
            let reply = sender.respond(&event);
            if let Event::Close(_) = event {
                self.cause = Some(clock.cause_of_close(reply.is_none()));
            }
            if let Some(reply) = reply {
                outbox.append(&reply, 0);
            }
            if let Event::Data(chunk) = event {
                clock.note_data(now);
                if chunk.last {
                    self.busy.note_finished();
                }
                if let Some(message) = messages.push(chunk) {
                    on_message(message, &mut Replies { sender, outbox });
                }
            }
        };
        let is_unread = !input.is_empty();
        match cause {
            Some(cause) => self.fail(cause, now),
            None if self.cause.is_some() => self.begin_end(is_unread, now),
            None => self.note_flow(now),
        }
    }

    /// Handles the end of the peer's direction of the transport, or a failure of
    /// the transport.
    pub fn handle_end(&mut self, now: Duration) {
        match self.clock.stage() {
            Stage::Ending(Ending::Discard(_)) => {
                self.clock.end_step(&self.config.times(), now);
            }
            _ => {
                let cause = self.clock.cause_of_loss();
                self.drop_for(cause);
            }
        }
    }

    /// Does what the time has come for. Does nothing if it is called too early.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.note_flow(now);
        let config = self.config;
        let times = config.times();
        while let Some(due) = self.clock.handle_timeout(&mut self.busy, &times, now) {
            let (_, _, sender) = self.connection.parts();
            match due {
                Due::Ping(payload) => queue(&mut self.outbox, sender.ping(&payload)),
                Due::Close(timeout) => {
                    let close = Cause::<()>::Timeout(timeout).close_frame();
                    queue(&mut self.outbox, sender.close(close));
                }
                Due::Fail(timeout) => self.fail(Cause::Timeout(timeout), now),
                Due::Drop(timeout) => self.drop_for(Cause::Timeout(timeout)),
            }
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called at
    /// the latest. Every other call may change it.
    #[must_use]
    pub fn next_timeout(&self, now: Duration) -> Option<Duration> {
        self.clock.next(&self.busy, &self.config.times(), now)
    }

    /// Does what the time has come for, and returns what is to be done next with
    /// the transport, and how long to wait for it at most.
    pub fn next_action(&mut self, now: Duration) -> (Action<'_>, Duration) {
        self.handle_timeout(now);
        let wait = self.next_timeout(now);
        let wait = wait.map_or(Duration::MAX, |at| at.saturating_sub(now));
        (self.action(), wait)
    }

    /// Returns what is to be done next with the transport.
    #[must_use]
    pub fn action(&self) -> Action<'_> {
        match (self.clock.stage(), self.cause) {
            (Stage::Ended, cause) => Action::End(cause.unwrap_or(Cause::Lost)),
            (Stage::Ending(Ending::Shutdown(_)), _) => Action::Shutdown,
            _ if !self.outbox.is_empty() => Action::Write(self.outbox.as_slice()),
            _ => Action::Read,
        }
    }

    /// Notes that the transport took the first `len` of the bytes to
    /// [write](Action::Write).
    pub fn note_written(&mut self, len: usize, now: Duration) {
        self.outbox.advance(len);
        self.has_moved |= len > 0;
        if len > 0 && self.has_waited {
            // A peer that takes what waited for it is there. What a transport
            // takes at once says nothing of its peer.
            self.clock.note_input(now);
        }
        self.has_waited = !self.outbox.is_empty();
        self.note_flow(now);
        self.end_writing(now);
    }

    /// Notes that our direction of the transport was ended, as
    /// [`Action::Shutdown`] asks for.
    pub fn note_shutdown(&mut self, now: Duration) {
        if let Stage::Ending(Ending::Shutdown(_)) = self.clock.stage() {
            self.clock.end_step(&self.config.times(), now);
        }
    }

    /// Returns how far the connection is.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.clock.stage()
    }

    /// Returns whether input is to be read: not while more than
    /// [`EndpointConfig::max_backpressure`] waits for the peer, which reads slowly.
    #[must_use]
    pub const fn wants_input(&self) -> bool {
        match self.clock.stage() {
            Stage::Ending(Ending::Discard(_)) => true,
            stage => stage.is_receiving() && self.outbox.len() < self.outbox.limit(),
        }
    }

    /// Returns why the connection ended; `None` until it does.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Lends the sending side.
    pub const fn replies(&mut self) -> Replies<'_, P> {
        let (_, _, sender) = self.connection.parts();
        Replies {
            sender,
            outbox: &mut self.outbox,
        }
    }

    fn note_flow(&mut self, now: Duration) {
        let is_reading = self.wants_input();
        let (receiver, _, sender) = self.connection.parts();
        let flow = Flow {
            is_waiting: !self.outbox.is_empty(),
            has_moved: core::mem::take(&mut self.has_moved),
            is_begun: !receiver.is_idle(),
            received: receiver.message_received(),
            is_reading,
            is_paused: false,
            is_close_sent: sender.is_close_sent(),
        };
        let times = self.config.times();
        self.clock.note_flow(&mut self.busy, &flow, &times, now);
    }

    /// Tells the peer what it did wrong, and starts the end.
    fn fail(&mut self, cause: Cause, now: Duration) {
        let (receiver, _, sender) = self.connection.parts();
        let close = match &cause {
            Cause::Protocol(error) => sender.fail(error),
            cause => sender.close(cause.close_frame()).ok(),
        };
        if let Some(close) = close {
            self.outbox.append(&close, 0);
        }
        receiver.refuse();
        self.cause = Some(cause);
        self.begin_end(true, now);
    }

    fn begin_end(&mut self, lingers: bool, now: Duration) {
        let order = EndOrder::new(self.is_client, lingers);
        self.clock.begin_end(order, &self.config.times(), now);
        self.end_writing(now);
    }

    /// Goes on with the end once all is written.
    fn end_writing(&mut self, now: Duration) {
        if let Stage::Ending(Ending::Write(_)) = self.clock.stage()
            && self.outbox.is_empty()
        {
            self.clock.end_step(&self.config.times(), now);
        }
    }

    fn drop_for(&mut self, cause: Cause) {
        // What ended it before stands.
        self.cause.get_or_insert(cause);
        self.outbox.advance(usize::MAX);
        self.clock.end();
    }
}

impl EndpointConfig {
    const fn times(&self) -> Times<'_> {
        Times::new(&self.keepalive, &self.time_limits, self.close_timeout)
    }
}

/// Queues a frame that the protocol owes. Where a Close was sent before it,
/// there is none.
fn queue(outbox: &mut Outbox, frame: Result<OutFrame<'_>, SendError>) {
    if let Ok(frame) = frame {
        outbox.append(&frame, 0);
    }
}
