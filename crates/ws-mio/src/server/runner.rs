//! A loop that waits: the poll, the listener and the clock.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker};
use tracing::warn;

use crate::{
    Accepting, Config, EventLoop, Handler, Listener, PeerAddr, Remote,
    handles::mailbox::{Task, Wake},
};

/// Where a loop will wait.
#[derive(Debug)]
pub(crate) struct ListeningPoll<L> {
    poll: Poll,
    pub(crate) listener: Option<L>,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

impl<L: Listener> ListeningPoll<L> {
    pub(crate) fn new(mut listener: Option<L>) -> io::Result<Self> {
        let poll = Poll::new()?;
        if let Some(listener) = &mut listener {
            listener.prepare()?;
            let registry = poll.registry();
            registry.register(listener, LISTENER, Interest::READABLE)?;
        }
        Ok(Self { poll, listener })
    }

    /// Makes what wakes the loop from other threads; once.
    pub(crate) fn waker(&self) -> io::Result<Wake> {
        let waker = Waker::new(self.poll.registry(), WAKER)?;
        Ok(Arc::new(move || waker.wake()))
    }
}

/// A loop of a server.
pub(crate) struct Runner<H: Handler, L: Listener> {
    poll: Poll,
    /// `None` once the loop stops.
    listener: Option<L>,
    inner: EventLoop<H, L::Transport>,
    remote: Remote<H, L::Transport>,
    index: usize,
    accepting: Accepting,
    /// The loop that gets the next connection.
    next_loop: usize,
    /// More connections may wait, or accepting failed for want of resources:
    /// it is tried again then, and not before.
    accept_at: Option<Duration>,
    started: Instant,
}

/// How many connections are accepted in a turn, so that open ones get theirs.
const ACCEPTS: usize = 256;
/// How long to wait before accepting again when the system is out of
/// descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<H: Handler, L: Listener> Runner<H, L> {
    pub(crate) fn new(
        listening: ListeningPoll<L>,
        remote: Remote<H, L::Transport>,
        index: u16,
        config: Config,
        handler: H,
    ) -> io::Result<Self> {
        let ListeningPoll { poll, listener } = listening;
        let registry = Some(poll.registry().try_clone()?);
        let accepting = config.accepting;
        Ok(Self {
            poll,
            listener,
            inner: EventLoop::of_server(registry, remote.clone(), index, config, handler),
            remote,
            index: index.into(),
            accepting,
            next_loop: 0,
            accept_at: None,
            started: Instant::now(),
        })
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut now = Duration::ZERO;
        loop {
            match self.poll.poll(&mut events, self.wait(now)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            now = self.started.elapsed();
            self.inner.begin_turn(now);
            for event in &events {
                match event.token() {
                    // Otherwise it is tried again when its time comes.
                    LISTENER if self.accept_at.is_none() => self.accept(now),
                    LISTENER => {}
                    WAKER => self.run_tasks(),
                    Token(key) => self.inner.wake(key, event.into()),
                }
            }
            if self.accept_at.take_if(|at| *at <= now).is_some() {
                self.accept(now);
            }
            if !self.inner.finish_turn() {
                return Ok(());
            }
            self.stop_listening();
            // One look at the clock for the turn that was and for the wait.
            let end = self.started.elapsed();
            self.inner.note_turn(end.saturating_sub(now));
            now = end;
        }
    }

    /// Returns how long to wait for events; `None` for as long as it takes.
    fn wait(&self, now: Duration) -> Option<Duration> {
        let next = [self.inner.next_timeout(), self.accept_at];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_sub(now))
    }

    /// Does what came through the mailbox.
    fn run_tasks(&mut self) {
        self.inner.run_tasks();
        self.stop_listening();
    }

    /// Gives the listener up once the loop stops.
    fn stop_listening(&mut self) {
        if self.inner.is_stopping()
            && let Some(mut listener) = self.listener.take()
        {
            self.accept_at = None;
            let _ = self.poll.registry().deregister(&mut listener);
        }
    }

    fn accept(&mut self, now: Duration) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &mut self.listener else {
                return;
            };
            match listener.accept() {
                Ok((transport, peer)) => self.deal(transport, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The peer gave up before it was accepted.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        warn!(%error, "cannot accept; trying again");
                        if !fault!("accepting-given-up") {
                            self.accept_at = Some(now + ACCEPT_PAUSE);
                        }
                        return;
                    }
                },
            }
        }
        // More may wait, and nobody will say so again.
        self.accept_at = Some(now);
    }

    /// Hands a connection to the loop whose turn it is.
    fn deal(&mut self, transport: L::Transport, peer: PeerAddr) {
        let index = match self.accepting {
            Accepting::Deal => self.next_loop,
            Accepting::ReusePort => self.index,
        };
        if index == self.index {
            self.inner.admit_from(transport, peer);
        } else if let Err(error) = self.remote.mailboxes()[index].push(Task::Admit(transport, peer))
        {
            warn!(%error, "cannot hand a connection to another loop");
        }
        self.next_loop = (self.next_loop + 1) % self.remote.loops();
    }
}
