//! One open connection: what comes in is parsed and dispatched, what goes out
//! is corked and written.

use std::{io, mem, ops::Range, time::Duration};

use ws_proto::{Assembler, Chunk, CloseFrame, Event, Message, ProtocolError};

use crate::{
    Cause, Closed, Handler, Peer, PeerId, Ready, Transport,
    commands::Commands,
    connection::{
        deflate::{Deflating, Inflating},
        pool::Pool,
        scratch::Scratch,
        share::Share,
    },
    metrics::Counters,
};

/// What becomes of a connection after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for its transport.
    Keep,
    /// It goes on in the next turn, though its transport will not say so.
    NextTurn,
    /// It is over; `on_close` was called. What waits is flushed, and then the
    /// peer is given time to read it if `linger` is set.
    End { linger: bool },
    /// It is over, and nothing can be written.
    Drop,
}

/// How many bytes of answers may wait for a peer before nothing more is read
/// from it.
///
/// Never more than messages to it may take, so that there is room for the
/// answer to every message that is read; and not none, which would be to read
/// nothing at all.
pub(crate) fn high_water(configured: usize, max_backpressure: usize) -> usize {
    configured.min(max_backpressure).max(1)
}

/// What was parsed of some input.
struct Parsed {
    over: Option<Fate>,
    /// How much of the input is left.
    rest: usize,
    /// Where the start of a large message lies in the input, at its end.
    begun: Option<Range<usize>>,
}

/// The first bytes of a message that are worth a buffer of its own: a slow
/// sender of less does not hold one.
const GATHER_MIN: usize = 8 * 1024;

/// A connection for the length of its turn.
pub(crate) struct Turn<'a, H: Handler, T> {
    pub(crate) handler: &'a mut H,
    pub(crate) id: PeerId,
    pub(crate) slot: &'a mut Slot<T, H::Data>,
    pub(crate) link: &'a mut Link,
    pub(crate) cork: &'a mut Vec<u8>,
    pub(crate) pool: &'a mut Pool,
    /// `None` if nothing was agreed on; as what compresses.
    pub(crate) inflating: Option<&'a mut Inflating>,
    pub(crate) deflating: Option<&'a mut Deflating>,
    pub(crate) commands: &'a mut Commands<H::Data>,
    /// `None` if the loop is not ours.
    pub(crate) counters: Option<&'a Counters>,
    /// How many bytes may wait for the peer before reading from it stops.
    pub(crate) high_water: usize,
    /// How many Pings and Pongs may come in a second.
    pub(crate) max_control_rate: u32,
    pub(crate) now: Duration,
    /// Messages are delivered in pieces.
    pub(crate) chunks: bool,
    /// `on_close` was called, or is being called.
    pub(crate) is_told: bool,
}

/// What a read has brought.
enum Came {
    Bytes(usize),
    /// The end of the stream.
    End,
    /// Nothing for now.
    Nothing,
}

/// Lends the handler and a peer, apart from the receiving side.
macro_rules! call {
    ($turn:expr, |$handler:ident, $peer:ident| $body:expr) => {{
        let $handler = &mut *$turn.handler;
        let $peer = &mut Peer {
            id: $turn.id,
            data: &mut $turn.slot.data,
            transport: &mut $turn.slot.transport,
            outgoing: &mut $turn.link.outgoing,
            cork: &mut *$turn.cork,
            deflate: $turn.slot.deflate,
            deflating: $turn.deflating.as_deref_mut(),
            commands: &mut *$turn.commands,
        };
        $body
    }};
}

/// Joins a piece of a message to those before it, and hands the message out
/// that it is the last of.
macro_rules! join {
    ($turn:expr, $chunk:ident) => {{
        if let Some(message) = $turn.link.assembler.push($chunk) {
            call!($turn, |handler, peer| handler.on_message(peer, message));
            if fault!("message-twice") && !$chunk.first {
                call!($turn, |handler, peer| handler.on_message(peer, message));
            }
        }
        // One that was joined is gone; the next brings its own.
        if $chunk.last && !$chunk.first {
            $turn.link.assembler = Assembler::new();
        }
    }};
}

pub(crate) mod deflate;
mod end;
mod gather;
mod inflate;
mod kept;
mod link;
pub(crate) mod outgoing;
pub(crate) mod pool;
pub(crate) mod role;
pub(crate) mod scratch;
mod served;
pub(crate) mod share;
mod slot;

pub(crate) use end::End;
pub(crate) use kept::{Kept, Place};
pub(crate) use link::{Link, new_link};
pub use outgoing::{Backpressure, Refused};
pub(crate) use served::Served;
pub(crate) use slot::Slot;

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Does one thing for the application.
    pub(crate) fn call(&mut self, act: impl FnOnce(&mut H, &mut Peer<'_, H::Data>)) {
        call!(self, |handler, peer| act(handler, peer));
    }

    /// Writes what waits, parses what was read before, in `buffer[have]`, and
    /// then reads and parses what the transport has, as far as `share` goes.
    pub(crate) fn run(
        &mut self,
        scratch: &mut Scratch,
        have: Range<usize>,
        ready: Ready,
        share: &mut Share,
    ) -> Fate {
        self.link.is_used = true;
        let fate = match self.link.expired.take() {
            None => self.converse(scratch, have, ready, share),
            Some(timeout) => self.turn_away(Cause::Timeout(timeout)),
        };
        let (outgoing, transport) = (&mut self.link.outgoing, &mut self.slot.transport);
        // A client waits for the server to end the stream; TLS has a last word
        // of its own.
        let waits = self.slot.role.is_client() && !transport.is_tls();
        match fate {
            Fate::End { linger } if linger || !waits => {
                outgoing.flush_last(self.cork, transport);
            }
            _ => outgoing.flush_cork(self.cork, transport),
        }
        if !self.slot.transport.short_is_all() && !self.link.outgoing.outbox.is_empty() {
            self.link.outgoing.flush_outbox(&mut self.slot.transport);
            self.link.outgoing.is_drained = self.link.outgoing.outbox.is_empty();
        }
        let flushed = self.slot.transport.flush();
        self.link.outgoing.note_flushed(flushed);
        match fate {
            Fate::Keep | Fate::NextTurn if self.link.outgoing.is_over() => self.over(),
            // It has taken the rest, and so has nothing to tell of: who waits
            // for that, or stopped parsing for it, goes on without.
            Fate::Keep if self.link.outgoing.is_drained => Fate::NextTurn,
            fate => fate,
        }
    }

    fn converse(
        &mut self,
        scratch: &mut Scratch,
        mut have: Range<usize>,
        ready: Ready,
        share: &mut Share,
    ) -> Fate {
        if ready.writable || self.link.outgoing.is_drained {
            self.write_what_waits(ready.writable);
        }
        // A layer between us and the socket may read once it can write.
        self.slot.readable |= (ready.readable && !(fault!("readiness-lost") && ready.writable))
            || ready.writable && !self.slot.transport.short_is_all();
        self.slot.read_closed |= ready.read_closed;
        loop {
            if self.link.outgoing.is_over() {
                return Fate::Keep;
            }
            if !self.link.outgoing.goes_on(self.high_water) {
                self.link
                    .unread
                    .extend_from_slice(&scratch.as_mut_slice()[have]);
                return Fate::Keep;
            }
            let over = if self.has_unread(&have) {
                self.parse_unread()
            } else if !have.is_empty() {
                let Parsed { over, rest, begun } =
                    self.parse(&mut scratch.as_mut_slice()[have.clone()]);
                if let Some(payload) = begun {
                    self.begin_gather(scratch, have.start + payload.start..have.end);
                }
                // Nothing is left in a buffer that was given away.
                have = match rest {
                    0 => 0..0,
                    rest => have.end - rest..have.end,
                };
                over
            } else if !self.slot.readable {
                return Fate::Keep;
            } else if share.is_spent() {
                return Fate::NextTurn;
            } else {
                let is_gathered = self.link.gather.is_some() && self.has_room_to_gather();
                let read = match is_gathered {
                    true => self.gather(scratch, share),
                    false => self.read(scratch.window(self.pool.size()), share),
                };
                match read {
                    Ok(Came::Bytes(len)) if !is_gathered => have = 0..len,
                    Ok(Came::Bytes(_) | Came::Nothing) => {}
                    Ok(Came::End) => return self.end_of_input(),
                    Err(error) => self.link.outgoing.broken = Some(error),
                }
                None
            };
            if let Some(fate) = over {
                if fate == Fate::NextTurn {
                    self.link
                        .unread
                        .extend_from_slice(&scratch.as_mut_slice()[have]);
                }
                return fate;
            }
        }
    }

    /// Writes what the transport refused before, and tells once all of it has
    /// gone.
    fn write_what_waits(&mut self, is_writable: bool) {
        if is_writable && !self.link.outgoing.outbox.is_empty() {
            let pending = self.link.outgoing.pending();
            self.link.outgoing.flush_outbox(&mut self.slot.transport);
            if self.link.outgoing.pending() < pending {
                // A peer that reads is there, though its Pongs may wait unread
                // until it has read what waits for it.
                self.slot.clock.note_input(self.now);
            }
            if self.link.outgoing.outbox.is_empty() && !self.link.outgoing.is_over() {
                call!(self, |handler, peer| handler.on_drain(peer));
            }
        }
        if mem::take(&mut self.link.outgoing.is_drained) && !self.link.outgoing.is_over() {
            call!(self, |handler, peer| handler.on_drain(peer));
        }
    }

    /// Reads once, at most what is left of the share; notes in `slot.readable`
    /// whether there may be more.
    fn read(&mut self, buffer: &mut [u8], share: &mut Share) -> io::Result<Came> {
        let buffer = share.window(buffer);
        loop {
            match Transport::read(&mut self.slot.transport, buffer) {
                Ok(0) => return Ok(Came::End),
                Ok(len) => {
                    let len = match fault!("count-believed") {
                        true => len,
                        false => len.min(buffer.len()),
                    };
                    share.spend(len);
                    if let Some(counters) = self.counters {
                        counters.bytes_received.add(len as u64);
                    }
                    self.slot.clock.note_input(self.now);
                    // A read that leaves room has drained the socket, on the
                    // systems where mio does not need to see `WouldBlock`; an
                    // end of the stream behind it is still to be read.
                    if len < buffer.len()
                        && !self.slot.read_closed
                        && self.slot.transport.short_is_all()
                    {
                        self.slot.readable = false;
                    }
                    return Ok(Came::Bytes(len));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {
                        share.spend_interrupted();
                        if share.is_spent() {
                            return Ok(Came::Nothing);
                        }
                    }
                    io::ErrorKind::WouldBlock => {
                        self.slot.readable = false;
                        // Said of a connection that had the key before.
                        self.slot.read_closed = false;
                        return Ok(Came::Nothing);
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// Tells whether something was read before what is in `have`.
    fn has_unread(&self, have: &Range<usize>) -> bool {
        !self.link.unread.is_empty() || have.is_empty() && self.is_inflating()
    }

    fn parse_unread(&mut self) -> Option<Fate> {
        let mut unread = mem::take(&mut self.link.unread);
        let Parsed { over, rest, begun } = self.parse(&mut unread);
        if let Some(payload) = begun {
            // Not in a read buffer: it is gathered as it comes.
            self.assemble(&unread[payload]);
        }
        if rest > 0 {
            unread.drain(..unread.len() - rest);
            self.link.unread = unread;
        }
        over
    }

    /// Parses, inflates and dispatches, until the input is used up, the peer is
    /// stalled, the connection is over, or it had its share of the turn.
    #[inline]
    fn parse(&mut self, buffer: &mut [u8]) -> Parsed {
        let mut left = buffer.len();
        if !self.is_inflating() {
            let parsed = self.parse_frames(buffer);
            if !self.is_inflating() {
                return parsed;
            }
            left = parsed.rest;
        }
        self.parse_compressed(buffer, left)
    }

    /// Tells whether the input begins with a piece of a compressed message.
    #[inline]
    fn is_inflating(&self) -> bool {
        let deflating = self.deflating.as_ref();
        deflating.is_some_and(|deflating| deflating.codec.is_inflating())
    }

    /// Parses and dispatches, until the input is used up, the peer is stalled,
    /// or the connection is over; or until a compressed message comes, which is
    /// left in the input. Returns how much input is left.
    fn parse_frames(&mut self, buffer: &mut [u8]) -> Parsed {
        let start = buffer.as_ptr().addr();
        let mut input = &mut *buffer;
        let (mut begun, mut compressed) = (None, 0);
        self.link.outgoing.answering = true;
        let over = loop {
            match self.parse_whole(&mut input, start) {
                // What most reads are.
                Ok(1..) if input.is_empty() => break None,
                Ok(_) => {}
                Err(error) => break Some(self.fail(error)),
            }
            if !self.link.outgoing.goes_on(self.high_water) {
                break None;
            }
            let event = match self.link.receiver.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(error) => break Some(self.fail(error)),
            };
            if let Event::Data(chunk) = &event {
                self.slot.clock.note_data(self.now);
                if chunk.last {
                    self.link.busy.note_finished();
                }
                if let Some(counters) = self.counters {
                    counters.messages_received.add(chunk.last.into());
                }
            }
            if let Event::Ping(_) | Event::Pong(_) = &event
                && self
                    .slot
                    .clock
                    .note_control(self.max_control_rate, self.now)
            {
                break Some(self.turn_away(Cause::ControlFlood));
            }
            match event {
                Event::Data(chunk) if self.chunks => {
                    call!(self, |handler, peer| handler.on_chunk(peer, chunk));
                }
                Event::Data(Chunk {
                    data: Message::Binary(bytes),
                    first: true,
                    last: false,
                    ..
                }) if input.is_empty() && bytes.len() >= GATHER_MIN => {
                    let offset = bytes.as_ptr().addr() - start;
                    begun = Some(offset..offset + bytes.len());
                }
                Event::Data(chunk) => {
                    if let Some(mut gather) = self.link.gather.take() {
                        if gather.extend(chunk.data.as_bytes(), self.pool) {
                            match chunk.last {
                                true => {
                                    let scratch = self.deliver(gather, false);
                                    self.pool.give(scratch);
                                }
                                false => self.link.gather = Some(gather),
                            }
                            continue;
                        }
                        gather.spill(&mut self.link.assembler, self.pool);
                    }
                    join!(self, chunk);
                }
                Event::Compressed(piece) => {
                    // It is put back in front of the rest.
                    compressed = piece.data.len();
                    if let Some(deflating) = self.deflating.as_deref_mut() {
                        deflating.codec.hold(&piece);
                    }
                    break None;
                }
                Event::Ping(payload) => {
                    if (!fault!("pong-lost") || self.link.outgoing.outbox.is_empty())
                        && let Some(pong) = self.link.outgoing.sender.respond(&event)
                    {
                        self.link
                            .outgoing
                            .send(pong, self.cork, &mut self.slot.transport);
                    }
                    call!(self, |handler, peer| handler.on_ping(peer, payload));
                }
                Event::Pong(payload) => {
                    let round_trip = self.slot.clock.note_pong(payload, self.now);
                    call!(self, |handler, peer| handler
                        .on_pong(peer, payload, round_trip));
                }
                Event::Close(frame) => {
                    //= RFC6455-5.5.1-7, RFC6455-7.1.5-1, RFC6455-7.1.6-1
                    let reply = self.link.outgoing.sender.respond(&event);
                    let cause = self.slot.clock.cause_of_close(reply.is_none());
                    if let Some(reply) = reply {
                        self.link
                            .outgoing
                            .send(reply, self.cork, &mut self.slot.transport);
                    }
                    let (code, reason) = match frame {
                        None => (1005, ""),
                        Some(CloseFrame { code, reason }) => (code.get(), reason),
                    };
                    let closed = Closed {
                        code,
                        reason,
                        cause,
                    };
                    if let Some(counters) = self.counters {
                        counters.count_closed(&closed.cause);
                    }
                    self.is_told = true;
                    call!(self, |handler, peer| handler.on_close(peer, closed));
                    // Input that was not read would reset the connection, and
                    // take our Close along.
                    break Some(Fate::End {
                        linger: self.slot.readable,
                    });
                }
            }
        };
        self.link.outgoing.answering = false;
        let rest = input.len() + compressed;
        self.link
            .outgoing
            .flush_echoes(self.cork, buffer, &mut self.slot.transport);
        Parsed { over, rest, begun }
    }

    /// Parses and dispatches messages that lie whole in the input, for as long
    /// as there are any, and returns how many there were. `start` is the
    /// address of the buffer that the input is part of.
    #[inline]
    fn parse_whole(&mut self, input: &mut &mut [u8], start: usize) -> Result<u64, ProtocolError> {
        if self.chunks {
            return Ok(0);
        }
        let mut messages = 0;
        let Link {
            receiver, outgoing, ..
        } = &mut *self.link;
        // One for all of them.
        let peer = &mut Peer {
            id: self.id,
            data: &mut self.slot.data,
            transport: &mut self.slot.transport,
            outgoing,
            cork: &mut *self.cork,
            deflate: self.slot.deflate,
            deflating: self.deflating.as_deref_mut(),
            commands: &mut *self.commands,
        };
        let parsed = loop {
            if !peer.outgoing.goes_on(self.high_water) {
                break Ok(());
            }
            let frame = input.as_ptr().addr();
            let message = match receiver.receive_whole(input) {
                Ok(Some(message)) => message,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            messages += 1;
            let bytes = message.as_bytes();
            let payload = bytes.as_ptr().addr();
            peer.outgoing
                .echoes
                .lend(bytes, payload - start, payload - frame);
            self.handler.on_message(peer, message);
        };
        if messages > 0 {
            self.slot.clock.note_data(self.now);
            self.link.busy.note_finished();
            if let Some(counters) = self.counters {
                counters.messages_received.add(messages);
            }
        }
        parsed.map(|()| messages)
    }
}
