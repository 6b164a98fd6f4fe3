//! What is said on a connection until it ends.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use ws_smol::{CloseCode, CloseStatus, Error, Message, ReadHalf, WebSocket, WriteHalf};

use super::input::Order;
use crate::{
    console::Console,
    exit::{Exit, Failure},
    json,
    runtime::{
        Timer,
        channel::Receiver,
        future,
        io::{AsyncRead, AsyncWrite},
    },
    signal::Interrupts,
};

/// What is to be said, and when it is over; goes on over several connections.
pub(crate) struct Talk {
    input: Receiver<Result<Order, Failure>>,
    /// What was read and has not been sent.
    pending: Option<Order>,
    /// The end of the input, or the message that came last if that is later.
    quiet_since: Option<Instant>,
    received: u64,
    pub(crate) count: Option<u64>,
    /// How long to wait after the end of the input; `None` for ever.
    pub(crate) idle: Option<Duration>,
    /// The end of the input closes.
    pub(crate) closes_at_end: bool,
    pub(crate) ping: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
}

/// How a connection ended.
pub(crate) struct End {
    pub(crate) outcome: Ended,
    pub(crate) status: Option<CloseStatus>,
}

/// Who ended it.
pub(crate) enum Ended {
    /// We did, and that is what the program ends with.
    Ours(Exit),
    Theirs(Result<(), Error>),
}

/// What happens next.
enum Step {
    Received(Result<Option<Message>, Error>),
    Fed(Result<Fed, Failure>),
    Ping,
    Over(Exit),
}

/// Why nothing more is sent for now.
enum Fed {
    /// The input has ended.
    End,
    Close(CloseCode, String),
    /// The connection takes nothing more.
    Stuck,
}

impl Talk {
    pub(crate) const fn new(input: Receiver<Result<Order, Failure>>) -> Self {
        Self {
            input,
            pending: None,
            quiet_since: None,
            received: 0,
            count: None,
            idle: None,
            closes_at_end: false,
            ping: None,
            deadline: None,
        }
    }

    /// Sends what is to be sent and shows what comes, until either side closes.
    pub(crate) async fn run<S>(
        &mut self,
        websocket: WebSocket<S>,
        console: &Rc<RefCell<Console>>,
        interrupts: &mut Interrupts,
    ) -> Result<End, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut read, mut write) = websocket.split();
        let mut is_stuck = false;
        let mut next_ping = self
            .ping
            .and_then(|every| Instant::now().checked_add(every));
        let mut pings = 0u64;
        loop {
            let received = async { Step::Received(read.receive().await) };
            let interrupted = async {
                interrupts.next().await;
                Step::Over(Exit::Interrupted)
            };
            let pinged = until(next_ping, || Step::Ping);
            let quiet_at = self.quiet_at();
            let quiet = until(quiet_at, || Step::Over(Exit::Success));
            let late = until(self.deadline, || Step::Over(Exit::TimedOut));
            let fed = async {
                match is_stuck {
                    false => Step::Fed(self.feed(&mut write, console).await),
                    true => future::pending().await,
                }
            };
            let timed = future::or(pinged, future::or(quiet, late));
            let step = future::or(received, future::or(fed, future::or(timed, interrupted)));
            match step.await {
                Step::Received(Ok(Some(message))) => {
                    console.borrow_mut().message(message.as_ref());
                    self.received += 1;
                    if self.quiet_since.is_some() {
                        self.quiet_since = Some(Instant::now());
                    }
                    let written = console.borrow_mut().take_failure();
                    if let Err(error) = written {
                        // Nobody reads what we write any more.
                        let closing =
                            close(read, write, None, interrupts, CloseCode::GOING_AWAY, "");
                        closing.await;
                        return match error.kind() {
                            io::ErrorKind::BrokenPipe => Ok(End::ours(Exit::Success, None)),
                            _ => Err(error.into()),
                        };
                    }
                    if self.count.is_some_and(|count| self.received >= count) {
                        let code = CloseCode::NORMAL;
                        let status = close(read, write, None, interrupts, code, "").await;
                        return Ok(End::ours(Exit::Success, status));
                    }
                }
                Step::Received(outcome) => {
                    let status = read.close_status();
                    return Ok(End {
                        outcome: Ended::Theirs(outcome.map(drop)),
                        status,
                    });
                }
                Step::Fed(Err(failure)) => {
                    let code = CloseCode::GOING_AWAY;
                    close(read, write, Some(console), interrupts, code, "").await;
                    return match failure.exit {
                        Exit::Interrupted => Ok(End::ours(Exit::Interrupted, None)),
                        _ => Err(failure),
                    };
                }
                Step::Fed(Ok(Fed::Close(code, reason))) => {
                    let console = Some(console);
                    let status = close(read, write, console, interrupts, code, &reason).await;
                    return Ok(End::ours(Exit::Success, status));
                }
                Step::Fed(Ok(Fed::End)) if self.closes_at_end => {
                    let (console, code) = (Some(console), CloseCode::NORMAL);
                    let status = close(read, write, console, interrupts, code, "").await;
                    return Ok(End::ours(Exit::Success, status));
                }
                Step::Fed(Ok(Fed::End)) => {
                    self.quiet_since.get_or_insert_with(Instant::now);
                    is_stuck = true;
                }
                Step::Fed(Ok(Fed::Stuck)) => is_stuck = true,
                Step::Ping => {
                    pings += 1;
                    next_ping = self
                        .ping
                        .and_then(|every| Instant::now().checked_add(every));
                    // What keeps it from being sent ends the connection, too.
                    let _ = write.ping(pings.to_string().as_bytes()).await;
                }
                Step::Over(exit) => {
                    let (console, code) = (Some(console), CloseCode::NORMAL);
                    let status = close(read, write, console, interrupts, code, "").await;
                    return Ok(End::ours(exit, status));
                }
            }
        }
    }

    /// Says whether the program did what it was to do.
    pub(crate) fn finish(&self, exit: Exit) -> Result<Exit, Failure> {
        let missing = |what: &str| {
            let count = self.count.unwrap_or_default();
            format!("{what} after {} of {count} messages", self.received)
        };
        let is_short = self.count.is_some_and(|count| self.received < count);
        match exit {
            Exit::TimedOut => Err(Failure::new(exit, "--timeout has passed")),
            Exit::Success if is_short && self.quiet_since.is_some() && self.idle.is_some() => {
                Err(Failure::new(Exit::TimedOut, missing("nothing more came")))
            }
            Exit::Success if is_short => Err(Failure::new(
                Exit::Closed,
                missing("the connection was closed"),
            )),
            exit => Ok(exit),
        }
    }

    fn tell_sent(&self, console: &RefCell<Console>) {
        let Some(Order::Send(message)) = &self.pending else {
            return;
        };
        let kind = match message {
            Message::Text(_) => "text",
            Message::Binary(_) => "binary",
        };
        let fields = [
            ("type", json::string(kind)),
            ("len", message.len().to_string()),
        ];
        console.borrow_mut().event("sent", &fields);
    }

    /// Returns when it has been quiet for long enough.
    fn quiet_at(&self) -> Option<Instant> {
        self.quiet_since?.checked_add(self.idle?)
    }

    /// Sends what the input has, until it ends or asks for something else. If
    /// the future is dropped, nothing is lost or sent twice.
    async fn feed<S>(
        &mut self,
        write: &mut WriteHalf<S>,
        console: &RefCell<Console>,
    ) -> Result<Fed, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match &self.pending {
                None => {}
                Some(Order::Send(message)) => {
                    // How it ended is told to who receives.
                    if write.room(message.len()).await.is_err() {
                        return Ok(Fed::Stuck);
                    }
                    self.tell_sent(console);
                    match write.queue(message) {
                        Ok(()) => self.pending = None,
                        // It is longer than all that may wait, and goes alone.
                        Err(Error::OutboxFull(_)) => {
                            let message = self.pending.take();
                            if let Some(Order::Send(message)) = message
                                && write.send(message).await.is_err()
                            {
                                return Ok(Fed::Stuck);
                            }
                        }
                        Err(_) => return Ok(Fed::Stuck),
                    }
                }
                Some(_) => {
                    // With nothing in front of it, it is taken at once.
                    if write.flush().await.is_err() {
                        return Ok(Fed::Stuck);
                    }
                    let sent = match self.pending.take() {
                        Some(Order::Ping(payload)) => write.ping(&payload).await,
                        Some(Order::Pong(payload)) => write.pong(&payload).await,
                        Some(Order::Close(code, reason)) => return Ok(Fed::Close(code, reason)),
                        _ => Ok(()),
                    };
                    if sent.is_err() {
                        return Ok(Fed::Stuck);
                    }
                }
            }
            let order = match self.input.try_recv() {
                Ok(order) => Ok(order),
                // All that was there is queued.
                Err(_) => match write.flush().await {
                    Ok(()) => self.input.recv().await,
                    Err(_) => return Ok(Fed::Stuck),
                },
            };
            match order {
                Ok(order) => self.pending = Some(order?),
                Err(_) => return Ok(Fed::End),
            }
        }
    }
}

/// Closes, and shows what still comes if somebody wants it; an interruption ends
/// the wait for the peer. Returns what the peer's Close said.
async fn close<S>(
    mut read: ReadHalf<S>,
    mut write: WriteHalf<S>,
    console: Option<&Rc<RefCell<Console>>>,
    interrupts: &mut Interrupts,
    code: CloseCode,
    reason: &str,
) -> Option<CloseStatus>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // If it is closed already, the rest comes all the same.
    let _ = write.queue_close(code, reason);
    let rest = async {
        while let Ok(Some(message)) = read.receive().await {
            if let Some(console) = console {
                console.borrow_mut().message(message.as_ref());
            }
        }
    };
    future::or(rest, interrupts.next()).await;
    read.close_status()
}

impl End {
    const fn ours(exit: Exit, status: Option<CloseStatus>) -> Self {
        Self {
            outcome: Ended::Ours(exit),
            status,
        }
    }
}

/// Waits until a time, or for ever.
pub(crate) async fn until<T>(at: Option<Instant>, then: impl FnOnce() -> T) -> T {
    match at {
        Some(at) => {
            Timer::at(at).await;
            then()
        }
        None => future::pending().await,
    }
}
