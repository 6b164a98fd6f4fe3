//! Who may come in, and how all go.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use thiserror::Error;
use tracing::warn;

use crate::{Error, PeerAddr, Timer, timer::Timers};

/// Counts a server's connections, refuses those that are too many, and ends all
/// of them in order.
///
/// Tasks and the loop that accepts are the application's, so it asks: for the
/// next stream, for a [`Pass`] when it has accepted one, and with the pass
/// whether the time to close has come. An [`Acceptor`](crate::Acceptor) that
/// [knows the gate](crate::Acceptor::gate) answers requests with 503 from then
/// on.
///
/// ```
/// use std::{net::SocketAddr, time::Duration};
/// use smol::{future, net::{TcpListener, TcpStream}};
/// use ws_smol::{Acceptor, CloseCode, Error, Gate, OriginPolicy, Pass};
///
/// /// `acceptor` was made with `Acceptor::gate(gate)`.
/// async fn serve(listener: TcpListener, acceptor: &'static Acceptor, gate: &Gate) {
///     while let Some((stream, peer)) = gate.accept(|| listener.accept()).await {
///         // Who is too many is dropped as it comes.
///         if let Ok(pass) = gate.admit(peer) {
///             smol::spawn(echo(stream, peer, acceptor, pass)).detach();
///         }
///     }
/// }
///
/// async fn echo(
///     stream: TcpStream,
///     peer: SocketAddr,
///     acceptor: &Acceptor,
///     pass: Pass,
/// ) -> Result<(), Error> {
///     let mut websocket = acceptor.accept(stream, peer).await?;
///     let talk = async {
///         while websocket.receive_with(|message, replies| replies.queue(message)).await? {}
///         Ok::<_, Error>(false)
///     };
///     let drained = async {
///         pass.drained().await;
///         Ok(true)
///     };
///     if future::or(talk, drained).await? {
///         websocket.close(CloseCode::GOING_AWAY, "").await?;
///     }
///     Ok(())
/// }
///
/// /// On SIGTERM.
/// async fn stop(gate: &Gate) {
///     gate.drain(Duration::from_secs(20), Duration::from_secs(30));
///     gate.gone().await;
/// }
/// # let _ = (serve, stop, Acceptor::new(OriginPolicy::SameHost));
/// ```
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<State>>);

/// A connection that a [`Gate`] has let in; it is counted until this is
/// dropped.
#[derive(Debug)]
pub struct Pass {
    watch: DrainWatch,
    /// Those that were let in one after the other have numbers in a row.
    number: u64,
    place: Option<IpAddr>,
}

/// A task that is woken when the server begins to end.
#[derive(Debug)]
struct DrainWatch {
    gate: Gate,
    number: u64,
}

/// Why a [`Gate`] refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// There are as many connections as there may be.
    #[error("over max_connections = {0}")]
    MaxConnections(usize),
    /// There are as many from this address as there may be.
    #[error("over max_per_address = {0}")]
    MaxPerAddress(usize),
    /// The server ends. An [`Acceptor`](crate::Acceptor) that knows the gate
    /// answers with 503.
    #[error("the server ends")]
    Draining,
}

#[derive(Debug)]
struct State {
    timers: Timers,
    max_connections: usize,
    max_per_address: usize,
    open: usize,
    by_place: HashMap<IpAddr, usize>,
    passes: u64,
    watches: u64,
    draining: Option<Draining>,
    /// A drain was said to come.
    is_lame: bool,
    /// Who waits for the drain, by number.
    waiting: HashMap<u64, Waker>,
    /// Who waits for the last connection to go.
    leaving: Vec<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Draining {
    from: Instant,
    over: Duration,
    until: Instant,
}

impl Gate {
    /// Lets at most so many connections in, over all and from one address; as
    /// an IPv6 peer has many of those, from one /64 network. Behind a proxy
    /// all connections have its address: use `usize::MAX` there, or say with
    /// [`Pass::comes_from`] where each is from.
    #[must_use]
    pub fn new(max_connections: usize, max_per_address: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            timers: Timers::default(),
            max_connections,
            max_per_address,
            open: 0,
            by_place: HashMap::new(),
            passes: 0,
            watches: 0,
            draining: None,
            is_lame: false,
            waiting: HashMap::new(),
            leaving: Vec::new(),
        })))
    }

    /// Sets whose time drains and pauses are measured by, such as that of tokio; see
    /// [`Timer`]. Clones share it.
    #[must_use]
    pub fn timer(self, timer: impl Timer + 'static) -> Self {
        self.lock().timers = Timers::new(timer);
        self
    }

    /// Accepts the next stream by `accept`; `None` once the server ends.
    ///
    /// Where accepting fails it is tried again: at once if a client gave up
    /// before it was accepted, and after 100 ms otherwise, as without file
    /// descriptors. Those who are connected are served meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As that of `accept`. Those of smol's listeners lose nothing.
    pub async fn accept<T>(&self, mut accept: impl AsyncFnMut() -> io::Result<T>) -> Option<T> {
        let accepting = async {
            loop {
                let error = match accept().await {
                    Ok(accepted) => return Ok(accepted),
                    Err(error) => error,
                };
                if let ErrorKind::Interrupted | ErrorKind::ConnectionAborted = error.kind() {
                    continue;
                }
                warn!(%error, "cannot accept; trying again");
                if fault!("accepting-given-up") {
                    std::future::pending::<()>().await;
                }
                let timers = self.timers();
                timers.sleep(timers.now() + ACCEPT_PAUSE).await;
            }
        };
        self.unless_draining(accepting).await.ok()
    }

    /// Lets a connection in, and counts it.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`]: drop the stream.
    pub fn admit(&self, peer: impl Into<PeerAddr>) -> Result<Pass, NotAdmitted> {
        let place = peer.into().counted_ip();
        let mut state = self.lock();
        if state.draining.is_some() {
            return Err(NotAdmitted::Draining);
        }
        if state.open >= state.max_connections && !fault!("connections-unlimited") {
            return Err(NotAdmitted::MaxConnections(state.max_connections));
        }
        state.take_place(place)?;
        state.open += 1;
        state.passes += 1;
        let number = state.passes;
        drop(state);
        Ok(Pass {
            watch: self.watch(),
            number,
            place,
        })
    }

    /// Returns how many connections there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// Lets nobody in any more, and tells each connection when to close, spread
    /// `over` a time, so that the peers do not all come back at once. `until`
    /// is when [`gone`](Self::gone) gives up. Both count from now.
    ///
    /// Asked again it can be over sooner, and not later.
    pub fn drain(&self, over: Duration, until: Duration) {
        let from = self.timers().now();
        // What is beyond the clock is as good as never.
        let mut until = from
            .checked_add(until)
            .unwrap_or_else(|| from + Duration::from_secs(u32::MAX.into()));
        let mut state = self.lock();
        if let Some(before) = state.draining {
            until = until.min(before.until);
        }
        let over = over.min(until.saturating_duration_since(from));
        state.draining = Some(Draining { from, over, until });
        let waiting = std::mem::take(&mut state.waiting);
        let leaving = std::mem::take(&mut state.leaving);
        drop(state);
        let told = waiting.into_values().chain(leaving);
        told.skip(usize::from(fault!("drain-forgets")))
            .for_each(Waker::wake);
    }

    /// Has everything go on as ever for `lame_duck`, new connections included, and
    /// then [drains](Self::drain): `over` and `until` count from there. Meanwhile
    /// [`is_draining`](Self::is_draining) is true, so that a health check can be
    /// answered with 503 and a load balancer sends nobody any more.
    ///
    /// ```
    /// use ws_smol::{Decision, Gate, Request, Response};
    ///
    /// /// For `Acceptor::accept_with`.
    /// fn decide(request: &Request<'_>, gate: &Gate) -> Decision {
    ///     match (request.path(), gate.is_draining()) {
    ///         ("/healthz", false) => Decision::respond(Response::new(200)),
    ///         ("/healthz", true) => Decision::respond(Response::new(503)),
    ///         _ => Decision::accept(),
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before the time is over nothing is drained, and
    /// `is_draining` stays true.
    pub async fn drain_after(&self, lame_duck: Duration, over: Duration, until: Duration) {
        self.lock().is_lame = true;
        // What is beyond the clock never comes.
        let timers = self.timers();
        if let Some(at) = timers.now().checked_add(lame_duck) {
            timers.sleep(at).await;
            self.drain(over, until);
        } else {
            std::future::pending().await
        }
    }

    /// Tells whether a drain was asked for, also one that is
    /// [still to begin](Self::drain_after).
    #[must_use]
    pub fn is_draining(&self) -> bool {
        let state = self.lock();
        state.is_lame || state.draining.is_some()
    }

    /// Waits until all connections are gone, or the drain's time is over;
    /// tells whether they are gone. Whoever is left is dropped with its task.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again.
    pub async fn gone(&self) -> bool {
        let (timers, mut alarm) = (self.timers(), None);
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.open == 0 {
                return Poll::Ready(true);
            }
            if !state
                .leaving
                .iter()
                .any(|known| known.will_wake(cx.waker()))
            {
                state.leaving.push(cx.waker().clone());
            }
            let draining = state.draining;
            drop(state);
            match draining {
                None => Poll::Pending,
                Some(draining) => timers
                    .poll_until(&mut alarm, draining.until, cx)
                    .map(|()| false),
            }
        })
        .await
    }

    /// Runs a future as long as the server goes on.
    pub(crate) async fn unless_draining<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let watch = self.watch();
        let mut future = pin!(future);
        poll_fn(|cx| match watch.poll_draining(cx) {
            Some(_) if !fault!("drain-serves-on") => Poll::Ready(Err(NotAdmitted::Draining.into())),
            _ => future.as_mut().poll(cx),
        })
        .await
    }

    /// Returns when the server has ended, if it ends.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.lock().draining.map(|draining| draining.until)
    }

    fn watch(&self) -> DrainWatch {
        let mut state = self.lock();
        state.watches += 1;
        DrainWatch {
            gate: self.clone(),
            number: state.watches,
        }
    }

    fn timers(&self) -> Timers {
        self.lock().timers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_place(&mut self, place: Option<IpAddr>) -> Result<(), NotAdmitted> {
        let Some(place) = place else {
            return Ok(());
        };
        let max = self.max_per_address;
        let count = self.by_place.entry(place).or_default();
        if *count >= max && !fault!("address-unlimited") {
            return Err(NotAdmitted::MaxPerAddress(max));
        }
        *count += 1;
        Ok(())
    }

    fn leave_place(&mut self, place: Option<IpAddr>) {
        if let Some(place) = place
            && let Some(count) = self.by_place.get_mut(&place)
        {
            *count -= 1;
            if *count == 0 {
                self.by_place.remove(&place);
            }
        }
    }
}

impl Pass {
    /// Counts the connection by another address from now on, once a proxy has
    /// told whose it is. The proxy's own is [admitted](Gate::admit) as
    /// [`PeerAddr::Unknown`], which is not counted by address.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted::MaxPerAddress`], and nothing is changed: drop the stream,
    /// or answer with 503 by [`Acceptor::accept_with`](crate::Acceptor::accept_with).
    pub fn comes_from(&mut self, peer: impl Into<PeerAddr>) -> Result<(), NotAdmitted> {
        let place = peer.into().counted_ip();
        if place == self.place {
            return Ok(());
        }
        let mut state = self.watch.gate.lock();
        state.take_place(place)?;
        state.leave_place(self.place);
        drop(state);
        self.place = place;
        Ok(())
    }

    /// Waits until the connection is to be closed, by [`Gate::drain`]; send a
    /// Close with 1001 then.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again.
    pub async fn drained(&self) {
        let (timers, mut alarm) = (self.watch.gate.timers(), None);
        poll_fn(|cx| match self.watch.poll_draining(cx) {
            None => Poll::Pending,
            Some(draining) => timers.poll_until(&mut alarm, draining.turn_of(self.number), cx),
        })
        .await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.watch.gate.lock();
        state.open -= 1;
        state.leave_place(self.place);
        if state.open == 0 {
            let leaving = std::mem::take(&mut state.leaving);
            drop(state);
            leaving.into_iter().for_each(Waker::wake);
        }
    }
}

impl DrainWatch {
    /// Returns how the server ends, if it does, and has the task woken when
    /// that changes: a drain that is asked for again may be sooner.
    fn poll_draining(&self, cx: &Context<'_>) -> Option<Draining> {
        let mut state = self.gate.lock();
        let before = state.waiting.insert(self.number, cx.waker().clone());
        let draining = state.draining;
        // To drop a waker may drop a task, and with that another pass.
        drop(state);
        drop(before);
        draining
    }
}

impl Drop for DrainWatch {
    fn drop(&mut self) {
        let waker = self.gate.lock().waiting.remove(&self.number);
        // The lock is free again.
        drop(waker);
    }
}

impl Draining {
    /// Returns when the connection of a number is to be closed: those in a row
    /// are as far apart as can be.
    fn turn_of(&self, number: u64) -> Instant {
        // The golden ratio, as a fraction of 2^32.
        let part = (number as u32).wrapping_mul(0x9e37_79b9);
        self.from + self.over.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

/// How long to wait before accepting again when the system is out of
/// descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
