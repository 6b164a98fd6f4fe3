//! A transport that does whatever a transport may do, at the worst of times.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    rc::Rc,
    time::Duration,
};

use allocation_counter::opt_out;
use mio::event::Source;
use ws_mio::{PeerAddr, Ready, Transport};

use crate::{dialer, faults::Faults, random::Random};

/// What all streams of a simulation share.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// The connections whose readiness has changed and was not told yet.
    pub(crate) edges: RefCell<Vec<u32>>,
    /// Bytes that were moved, ends and failures that were told, and faults:
    /// what a loop may go on about without being idle.
    pub(crate) progress: Cell<u64>,
    /// Connections that the loop has begun by an address.
    pub(crate) dialled: RefCell<Vec<Rc<RefCell<Stream>>>>,
    pub(crate) now: Cell<Duration>,
    next_number: Cell<u32>,
}

impl Net {
    /// Returns the number of the next connection.
    pub(crate) fn number(&self) -> u32 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    pub(crate) fn note(&self, progress: usize) {
        self.progress.set(self.progress.get() + progress as u64);
    }
}

/// A stream between the loop and a peer.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) number: u32,
    /// Its key in the loop.
    pub(crate) key: Option<usize>,
    net: Rc<Net>,
    /// To the loop, and from it.
    pub(crate) inbound: Pipe,
    pub(crate) outbound: Pipe,
    /// Bytes that were taken from the loop and not passed on, as by a layer of
    /// encryption; `None` if this one does no such thing.
    held: Option<Vec<u8>>,
    short_is_all: bool,
    /// Not connected yet.
    pub(crate) connecting: bool,
    /// The peer has torn it down.
    is_reset: bool,
    /// The loop has dropped its end.
    pub(crate) is_dropped: bool,
    /// It was torn down by what the loop had not read: what was on its way to
    /// the peer is lost.
    pub(crate) is_torn: bool,
    /// When bytes moved last, in either direction.
    pub(crate) moved_at: Duration,
    /// When the loop wrote its end.
    pub(crate) ended_at: Option<Duration>,
    /// Since when the loop has waited to write the rest of something, without
    /// being able to write any of it.
    owed_since: Option<Duration>,
    /// As that, for what is held back.
    held_since: Option<Duration>,
    is_queued: bool,
    faults: Faults,
    random: Random,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) is_ended: bool,
    /// The loop was told that there is nothing for now, and waits to be woken.
    pub(crate) is_awaited: bool,
}

impl Stream {
    pub(crate) fn new(number: u32, net: &Rc<Net>, faults: Faults, random: &mut Random) -> Self {
        let mut random = random.fork();
        let short_is_all = random.chance(500);
        Self {
            number,
            key: None,
            net: Rc::clone(net),
            inbound: Pipe {
                is_awaited: true,
                ..Pipe::default()
            },
            outbound: Pipe::default(),
            held: (!short_is_all && random.chance(400)).then(Vec::new),
            short_is_all,
            connecting: false,
            is_reset: false,
            is_dropped: false,
            is_torn: false,
            moved_at: net.now.get(),
            ended_at: None,
            owed_since: None,
            held_since: None,
            is_queued: false,
            faults,
            random,
        }
    }

    /// Returns where the peer is.
    pub(crate) fn address(&self) -> SocketAddr {
        address(self.number)
    }

    // --- the peer's side ---

    /// Puts bytes on their way to the loop, as many as there is room for.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.is_dropped || self.is_reset {
            // Nobody reads them, and the answer to that tears the rest down.
            if !bytes.is_empty() {
                self.tear();
            }
            return bytes.len();
        }
        let len = bytes.len().min(
            self.faults
                .capacity
                .saturating_sub(self.inbound.bytes.len()),
        );
        self.inbound.bytes.extend(&bytes[..len]);
        self.arrived(len);
        len
    }

    /// Takes up to `most` bytes from the loop; `None` is the end.
    pub(crate) fn pull(&mut self, most: usize, out: &mut Vec<u8>) -> Option<usize> {
        let len = most.min(self.outbound.bytes.len());
        out.extend(self.outbound.bytes.drain(..len));
        self.net.note(len);
        if len > 0 {
            self.outbound.is_awaited |= self.faults.is_eager;
            self.tell();
        }
        match len {
            0 if self.outbound.is_ended || self.is_reset => None,
            len => Some(len),
        }
    }

    /// The peer sends nothing more.
    pub(crate) fn end(&mut self) {
        self.inbound.is_ended = true;
        self.arrived(1);
    }

    /// The peer is gone, and what was on its way with it.
    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
        self.inbound.bytes.clear();
        self.outbound.bytes.clear();
        self.outbound.is_awaited |= self.faults.is_eager;
        self.arrived(1);
    }

    /// The peer's system takes the connection.
    pub(crate) fn accept(&mut self) {
        self.connecting = false;
        self.arrived(1);
    }

    /// Tells whether something may wait in the loop, as it was not taken.
    pub(crate) fn is_full(&self) -> bool {
        self.outbound.is_awaited || self.is_queued || self.held.is_some()
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Tells whether bytes are on their way to the peer, or find no room.
    pub(crate) fn is_busy(&self) -> bool {
        let has_refused = self.owed_since.is_some() || self.held_since.is_some();
        !self.outbound.bytes.is_empty() || has_refused
    }

    /// Tells since when the peer takes nothing of what waits for it.
    pub(crate) fn blocked_since(&self) -> Option<Duration> {
        match self.held {
            Some(_) => self.held_since.map(|at| at.max(self.moved_at)),
            None => self.owed_since,
        }
    }

    pub(crate) const fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// Notes that something goes on.
    pub(crate) fn note(&self, progress: usize) {
        self.net.note(progress);
    }

    fn arrived(&mut self, progress: usize) {
        self.net.note(progress);
        self.inbound.is_awaited |= self.faults.is_eager;
        self.tell();
    }

    fn tear(&mut self) {
        self.is_torn = true;
        self.outbound.bytes.clear();
    }

    // --- readiness ---

    fn is_readable(&self) -> bool {
        !self.inbound.bytes.is_empty() || self.inbound.is_ended || self.is_reset
    }

    fn has_room(&self) -> bool {
        self.is_reset || !self.connecting && self.outbound.bytes.len() < self.faults.capacity
    }

    /// Has the loop be told of a change that it waits for.
    fn tell(&mut self) {
        let is_news = self.inbound.is_awaited && self.is_readable()
            || self.outbound.is_awaited && self.has_room();
        if is_news && !self.is_queued && !self.is_dropped {
            self.is_queued = true;
            self.net.edges.borrow_mut().push(self.number);
        }
    }

    /// Returns what is to be told, once.
    pub(crate) fn take_ready(&mut self) -> Ready {
        self.is_queued = false;
        let mut ready = Ready::default();
        if self.inbound.is_awaited && self.is_readable() {
            self.inbound.is_awaited = false;
            ready.readable = true;
            ready.read_closed = self.inbound.is_ended || self.is_reset;
        }
        if self.outbound.is_awaited && self.has_room() {
            self.outbound.is_awaited = false;
            ready.writable = true;
        }
        ready
    }

    // --- the loop's side ---

    fn interrupt(&mut self) -> io::Result<()> {
        if self.random.chance(self.faults.interrupted) {
            self.net.note(1);
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// Refuses for now, though it need not.
    fn refuses(&mut self) -> bool {
        let refuses = self.random.chance(self.faults.would_block);
        self.net.note(refuses.into());
        refuses
    }

    fn moved(&mut self, len: usize) {
        self.net.note(len);
        if len > 0 {
            self.moved_at = self.net.now.get();
        }
    }

    /// Notes what was written, and whether something is left to be.
    fn wrote(&mut self, len: usize, is_all: bool) {
        self.moved(len);
        if is_all {
            self.owed_since = None;
        } else if len > 0 || self.owed_since.is_none() {
            self.owed_since = Some(self.net.now.get());
        }
    }

    fn shorten(&mut self, len: usize) -> usize {
        match len > 1 && self.random.chance(self.faults.short) {
            true => self.random.between(1, len),
            false => len,
        }
    }

    /// Says more than there was; what was asked for is there, or was taken.
    fn claim(&mut self, len: usize, asked: usize) -> usize {
        match len == asked && self.random.chance(self.faults.over_long) {
            true => asked.saturating_add(self.random.choose(&[1, 1000, usize::MAX])),
            false => len,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        if self.refuses() || !self.is_readable() {
            self.inbound.is_awaited = true;
            self.tell();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.is_reset {
            self.net.note(1);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.inbound.bytes.is_empty() {
            self.net.note(1);
            return Ok(0);
        }
        let len = buffer.len().min(self.inbound.bytes.len());
        let len = self.shorten(len);
        let (first, second) = self.inbound.bytes.as_slices();
        let cut = len.min(first.len());
        buffer[..cut].copy_from_slice(&first[..cut]);
        buffer[cut..len].copy_from_slice(&second[..len - cut]);
        self.inbound.bytes.drain(..len);
        self.moved(len);
        if self.short_is_all && len < buffer.len() {
            self.inbound.is_awaited = true;
            self.tell();
        }
        Ok(self.claim(len, buffer.len()))
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupt()?;
        assert!(
            !self.outbound.is_ended,
            "written to after its end was written"
        );
        assert!(!self.connecting, "written to before it is connected");
        let asked: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(asked > 0, "asked to write nothing");
        if self.is_reset {
            self.net.note(1);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = match &self.held {
            Some(held) => (self.faults.capacity * 2).saturating_sub(held.len()),
            None => self.faults.capacity - self.outbound.bytes.len(),
        };
        if self.refuses() || room == 0 {
            self.outbound.is_awaited = true;
            self.flush()?;
            self.wrote(0, false);
            self.tell();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.shorten(asked.min(room));
        let mut left = len;
        for slice in slices {
            let part = &slice[..left.min(slice.len())];
            match &mut self.held {
                Some(held) => held.extend_from_slice(part),
                None => self.outbound.bytes.extend(part),
            }
            left -= part.len();
        }
        self.wrote(len, len == asked);
        if self.short_is_all && len < asked {
            self.outbound.is_awaited = true;
            self.tell();
        }
        Ok(self.claim(len, asked))
    }

    /// Passes on what is held back; tells whether that was all.
    fn flush(&mut self) -> io::Result<bool> {
        let Some(held) = &mut self.held else {
            return Ok(true);
        };
        if self.is_reset && !held.is_empty() {
            self.net.note(1);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = self.faults.capacity - self.outbound.bytes.len();
        let len = held.len().min(room);
        self.outbound.bytes.extend(held.drain(..len));
        let is_flushed = held.is_empty();
        self.moved(len);
        let now = self.net.now.get();
        self.held_since = match self.held_since {
            _ if is_flushed => None,
            Some(since) if len == 0 => Some(since),
            _ => Some(now),
        };
        if !is_flushed {
            self.outbound.is_awaited = true;
            self.tell();
        }
        Ok(is_flushed)
    }

    fn shutdown(&mut self) {
        let held = self.held.as_ref().is_some_and(|held| !held.is_empty());
        assert!(!held || self.is_reset, "ended while bytes are held back");
        self.end_outbound();
    }

    fn end_outbound(&mut self) {
        self.outbound.is_ended = true;
        let now = self.net.now.get();
        self.ended_at.get_or_insert(now);
        self.net.note(1);
    }

    fn drop_end(&mut self) {
        self.is_dropped = true;
        self.end_outbound();
        if !self.inbound.bytes.is_empty() {
            self.tear();
        }
    }
}

/// Returns where the peer of a connection is: there are few places, for many.
pub(crate) fn address(number: u32) -> SocketAddr {
    let host = Ipv4Addr::new(127, 0, 0, (number % ADDRESSES) as u8);
    SocketAddr::V4(SocketAddrV4::new(host, 80))
}

/// At how many addresses peers are.
const ADDRESSES: u32 = 3;

/// The loop's end of a stream.
#[derive(Debug)]
pub(crate) struct Wire(Rc<RefCell<Stream>>);

impl Wire {
    pub(crate) fn new(stream: &Rc<RefCell<Stream>>) -> Self {
        Self(Rc::clone(stream))
    }

    pub(crate) fn number(&self) -> u32 {
        self.0.borrow().number
    }

    /// Does something with the stream, whose memory is not the loop's.
    fn with<R>(&self, act: impl FnOnce(&mut Stream) -> R) -> R {
        let mut result = None;
        opt_out(|| result = Some(act(&mut self.0.borrow_mut())));
        result.unwrap_or_else(|| unreachable!("it was called"))
    }
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|stream| stream.read(buffer))
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.with(|stream| stream.write(slices))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.with(Stream::shutdown);
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Socket(self.0.borrow().address())
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn short_is_all(&self) -> bool {
        self.0.borrow().short_is_all
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.with(Stream::flush)
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut wire = Err(io::ErrorKind::ConnectionRefused.into());
        opt_out(|| {
            wire = dialer::dial(address);
        });
        wire
    }

    fn begin(&mut self) -> io::Result<bool> {
        self.with(|stream| {
            if stream.is_reset {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            stream.outbound.is_awaited |= stream.connecting;
            Ok(!stream.connecting)
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.with(Stream::drop_end);
    }
}
