//! Connections that stay open, and what waits for them all.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use ws_handshake::DeflateParams;

use crate::{
    arrivals::{Arrivals, Arrived},
    connection::Connection,
    error::{LoadError, OpenError},
    frames::Masks,
    placed::Placed,
    schedule::Schedule,
    target::Target,
};

/// How long a server may do nothing at all.
pub const PATIENCE: Duration = Duration::from_secs(10);
const READ_BUFFER: usize = 512 * 1024;
/// How many connections are opened at once if nothing else is said: less than servers keep waiting.
pub(crate) const AT_ONCE: usize = 64;

/// Connections that stay open.
pub struct Fleet {
    pub(crate) poll: Poll,
    events: Events,
    /// The tokens that the last [`poll`](Self::poll) found ready: places in `connections`, or
    /// more.
    pub ready: Vec<usize>,
    /// All connections, those that were lost too.
    pub connections: Vec<Connection>,
    /// What a connection sends at once, in rotation.
    pub batches: Vec<Placed>,
    /// For what is read.
    pub buffer: Placed,
    /// When [`poll`](Self::poll) returned last.
    pub now: Instant,
    heard: Instant,
    pub(crate) masks: Masks,
}

impl Fleet {
    /// Makes one without connections.
    pub(crate) fn new(masks: Masks) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            ready: Vec::with_capacity(1024),
            connections: Vec::new(),
            batches: Vec::new(),
            buffer: Placed::new(READ_BUFFER),
            now,
            heard: now,
            masks,
        })
    }

    /// Opens `count` connections, which send these batches of frames. `masks` are for Pongs.
    ///
    /// # Errors
    ///
    /// The first connection that does not open.
    pub fn open(
        target: &Target,
        count: usize,
        masks: Masks,
        batches: &[Vec<u8>],
    ) -> Result<Self, LoadError> {
        let mut fleet = Self::new(masks)?;
        fleet.set_batches(batches);
        let schedule = Schedule::all_at(fleet.now);
        let mut arrivals = Arrivals::new(target.clone(), schedule, count, AT_ONCE);
        let mut arrived = Vec::with_capacity(count);
        while !arrivals.is_done() {
            let (begun, failed) = arrivals.begin_due(fleet.poll.registry(), fleet.now, AT_ONCE);
            if let Some(error) = failed.into_iter().next() {
                return Err(error.into());
            }
            fleet.poll(Some(if begun > 0 { Duration::ZERO } else { PATIENCE }))?;
            for at in 0..fleet.ready.len() {
                if let Some(outcome) = arrivals.advance(fleet.ready[at]) {
                    arrived.push(outcome?);
                }
            }
        }
        arrived.sort_by_key(|arrived| arrived.number);
        for arrived in arrived {
            fleet.adopt(arrived)?;
        }
        Ok(fleet)
    }

    /// Sets what connections send.
    pub(crate) fn set_batches(&mut self, batches: &[Vec<u8>]) {
        self.batches = batches.iter().map(|batch| Placed::of(batch)).collect();
    }

    /// Takes a connection that is open; returns its place.
    pub(crate) fn adopt(&mut self, arrived: Arrived) -> Result<usize, OpenError> {
        let mut stream = arrived.stream;
        let place = self.connections.len();
        self.poll.registry().reregister(
            stream.source(),
            Token(place),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        // Each begins with another batch, lest all send the same at the same time.
        let len = self.batches.len().max(1);
        let current = (place + len - 1) % len;
        let mut connection = Connection::new(stream, self.masks, current);
        connection
            .take_in(&arrived.opened.rest, |_| {})
            .map_err(OpenError::Io)?;
        self.connections.push(connection);
        Ok(place)
    }

    /// Waits until something is ready, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`LoadError::Stalled`] if nothing was for [`PATIENCE`], and those of the system.
    pub fn poll(&mut self, timeout: Option<Duration>) -> Result<(), LoadError> {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        self.now = Instant::now();
        self.ready.clear();
        self.ready
            .extend(self.events.iter().map(|event| event.token().0));
        if !self.ready.is_empty() {
            self.heard = self.now;
        } else if self.now - self.heard >= PATIENCE {
            return Err(LoadError::Stalled);
        }
        Ok(())
    }

    /// Nobody has to say anything for now.
    pub(crate) const fn note_quiet(&mut self) {
        self.heard = self.now;
    }

    /// Sends a Close over each connection, and waits until the server has ended them, for
    /// `patience` at most.
    pub(crate) fn close(&mut self, patience: Duration) -> Result<(), LoadError> {
        let end = self.now + patience;
        let mut open = 0;
        for connection in &mut self.connections {
            connection.queue_close();
            match connection.write(&self.batches) {
                Ok(()) => open += usize::from(connection.is_open()),
                Err(_) => connection.lose(),
            }
        }
        while open > 0 && self.now < end {
            self.poll(Some(end - self.now))?;
            for at in 0..self.ready.len() {
                let Some(connection) = self.connections.get_mut(self.ready[at]) else {
                    continue;
                };
                let buffer = self.buffer.as_mut_slice();
                let is_over = connection.write(&self.batches).is_err()
                    || connection.read(&self.batches, buffer, |_| {}).is_err();
                if connection.is_open() && is_over {
                    connection.lose();
                    open -= 1;
                }
            }
        }
        Ok(())
    }
}

/// Whether a connection compresses as the first did.
pub(crate) fn is_alike(first: Option<DeflateParams>, other: Option<DeflateParams>) -> bool {
    match (first, other) {
        (None, None) => true,
        (Some(first), Some(other)) => first.windows()[1] == other.windows()[1],
        _ => false,
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}
