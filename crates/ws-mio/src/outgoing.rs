//! Frames on their way to the transport: corked, written, queued.

use std::{
    io::{self, IoSlice},
    mem,
    ops::Range,
};

use ws_proto::{MAX_HEADER_LEN, Masking, OpCode, OutFrame, Outbox, OutboxFull, SendError, Sender};

use crate::{SlowConsumer, Transport, backlog::Backlog};

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backpressure {
    /// It leaves with this turn of the loop.
    Sent,
    /// The peer reads slowly: it waits, and this many bytes with it.
    Queued(usize),
    /// It was not sent, and will not be.
    Refused(Refused),
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// More waits for the peer than `max_backpressure`.
    #[error("the peer reads too slowly: {0}")]
    Full(#[from] OutboxFull),
    /// It cannot be sent now, or ever.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The connection is over.
    #[error("the connection is over")]
    Over,
}

impl<E: Into<Refused>> From<E> for Backpressure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// The sending side of a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) sender: Sender<Masking>,
    pub(crate) outbox: Outbox,
    pub(crate) backlog: Backlog,
    /// The transport failed: nothing more is written.
    pub(crate) broken: Option<io::Error>,
    /// The application wants nothing more to be read for now.
    pub(crate) paused: bool,
    /// The application dropped the connection.
    pub(crate) aborted: bool,
    /// What is sent now answers what the peer sent.
    pub(crate) answering: bool,
    /// The transport itself holds something back.
    pub(crate) is_held_back: bool,
    /// How many bytes wait that answer nothing. They do not keep us from
    /// reading: two peers that send each other something long at the same time
    /// would wait for each other for ever.
    unasked: usize,
    /// The message that the handler is called for, if that could go back as
    /// it lies.
    lent: Option<Lent>,
    /// Frames that are to be written from the read buffer.
    in_place: Vec<InPlace>,
    pub(crate) counts: SentCounts,
}

/// What was sent since this was last asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentCounts {
    pub(crate) bytes: u64,
    /// Frames by opcode: the value at [`OpCode::bits`].
    pub(crate) frames: [u64; 11],
    pub(crate) queued: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
}

impl SentCounts {
    const NONE: Self = Self {
        bytes: 0,
        frames: [0; 11],
        queued: 0,
        refused: 0,
        dropped: 0,
    };

    #[inline]
    fn count(&mut self, frame: &OutFrame<'_>) {
        self.bytes += frame.len() as u64;
        self.frames[usize::from(frame.opcode().bits())] += 1;
    }
}

/// Where a message lies, in memory and in the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lent {
    address: usize,
    len: usize,
    offset: usize,
    room: usize,
}

impl Lent {
    fn new(message: &[u8], offset: usize, room: usize) -> Self {
        Self {
            address: message.as_ptr().addr(),
            len: message.len(),
            offset,
            room,
        }
    }
}

/// A frame whose payload lies in the read buffer.
#[derive(Debug)]
struct InPlace {
    /// It comes after as much of the cork.
    cork_end: usize,
    head: [u8; MAX_HEADER_LEN],
    head_len: u8,
    payload: Range<usize>,
}

/// A payload up to this size is copied beside other frames; a longer one is
/// written from where it lies.
const COPY_MAX: usize = 16 * 1024;
/// A message of at least this size that is sent back just as it came is
/// written from the read buffer, with its head in front of it there.
pub(crate) const IN_PLACE_MIN: usize = 2048;
/// How many frames may be written from the read buffer in one turn.
const IN_PLACE_MAX: usize = 1024;
/// A longer frame with a key is masked and written in blocks of this size.
const BLOCK: usize = 512 * 1024;
/// The cork is written once it holds this much.
const CORK_MAX: usize = 64 * 1024;

impl Outgoing {
    pub(crate) const fn new(
        masking: Masking,
        max_backpressure: usize,
        slow_consumer: SlowConsumer,
    ) -> Self {
        Self {
            sender: Sender::new(masking),
            outbox: Outbox::with_limit(max_backpressure),
            backlog: Backlog::new(slow_consumer),
            broken: None,
            paused: false,
            aborted: false,
            answering: false,
            is_held_back: false,
            unasked: 0,
            lent: None,
            in_place: Vec::new(),
            counts: SentCounts::NONE,
        }
    }

    /// Tells whether nothing is held that a new one would not have.
    pub(crate) const fn is_idle(&self) -> bool {
        self.sender.is_idle()
            && self.outbox.is_empty()
            && self.broken.is_none()
            && !self.paused
            && !self.aborted
            && !self.is_held_back
    }

    /// Tells whether something is to be written once there is room.
    pub(crate) const fn is_waiting(&self) -> bool {
        !self.outbox.is_empty() || self.is_held_back
    }

    /// Tells whether more is to be parsed: no more answers wait for the peer
    /// than `high_water`, and nobody paused or ended the connection.
    #[inline]
    pub(crate) const fn goes_on(&self, high_water: usize) -> bool {
        !self.paused && !self.is_over() && (self.outbox.is_empty() || !self.is_behind(high_water))
    }

    const fn is_behind(&self, high_water: usize) -> bool {
        self.pending() >= self.unasked.saturating_add(high_water)
    }

    /// Returns what was sent since this was last asked.
    pub(crate) fn take_counts(&mut self) -> SentCounts {
        self.counts.dropped = mem::take(&mut self.backlog.dropped);
        mem::replace(&mut self.counts, SentCounts::NONE)
    }

    /// Sends a frame: behind what waits, else with the cork, else at once.
    ///
    /// The frame comes by value, so that the short way keeps it in registers.
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        frame: OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) -> Backpressure {
        // What most frames are: short, and with nothing in the way.
        if self.outbox.is_empty() && !self.is_over() && frame.len() < IN_PLACE_MIN {
            self.counts.count(&frame);
            frame.append_to(cork, 0);
            if cork.len() < CORK_MAX {
                return Backpressure::Sent;
            }
            return self.relieve(cork, transport);
        }
        self.send_keyed(None, frame, cork, transport)
    }

    /// Writes a cork that has grown long.
    #[cold]
    fn relieve(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) -> Backpressure {
        if self.in_place.is_empty() {
            self.flush_cork(cork, transport);
        }
        self.count_unasked(0);
        self.verdict()
    }

    /// Tells what became of what was just sent.
    const fn verdict(&self) -> Backpressure {
        match self.pending() {
            0 => Backpressure::Sent,
            pending => Backpressure::Queued(pending),
        }
    }

    /// Sends a frame as [`send`](Self::send): under a key, if it may take the
    /// place of another that waits.
    pub(crate) fn send_keyed(
        &mut self,
        key: Option<u64>,
        frame: OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) -> Backpressure {
        if self.is_over() {
            return Refused::Over.into();
        }
        let sent = match self.outbox.is_empty() {
            true => {
                self.write_frame(&frame, cork, transport);
                self.count_unasked(0);
                Ok(())
            }
            false if self.backlog.is_used() => self.wait(key, &frame),
            false => self.queue(&frame),
        };
        if let Err(full) = sent {
            self.counts.refused += 1;
            return full.into();
        }
        let verdict = self.verdict();
        self.counts.count(&frame);
        self.counts.queued += u64::from(verdict != Backpressure::Sent);
        verdict
    }

    /// Puts a frame behind what waits.
    fn queue(&mut self, frame: &OutFrame<'_>) -> Result<(), OutboxFull> {
        let pending = self.outbox.len();
        let has_room = match frame.opcode() {
            // There is one in a connection.
            OpCode::Close => true,
            // Reading stops before there are many.
            OpCode::Pong => true,
            OpCode::Ping => false,
            // However long it is: an answer to what was read below high
            // water is never lost.
            _ => pending < self.outbox.limit(),
        };
        if has_room {
            self.outbox.append(frame, 0);
        } else {
            self.outbox.push(frame, 0)?;
        }
        self.count_unasked(pending);
        Ok(())
    }

    /// Writes a frame, with the cork or at once.
    fn write_frame(
        &mut self,
        frame: &OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) {
        match frame.as_slices() {
            Some([head, payload]) if self.is_lent(head, payload) => self.echo(head, cork.len()),
            // With frames to write from the read buffer before it, it waits
            // in the cork for its turn.
            Some([head, payload]) if payload.len() > COPY_MAX && self.in_place.is_empty() => {
                let slices = [
                    IoSlice::new(cork),
                    IoSlice::new(head),
                    IoSlice::new(payload),
                ];
                self.write_or_queue(&slices, transport);
                cork.clear();
            }
            _ if frame.len() > BLOCK && self.in_place.is_empty() => {
                self.send_in_blocks(frame, cork, transport);
            }
            _ => {
                frame.append_to(cork, 0);
                if cork.len() >= CORK_MAX && self.in_place.is_empty() {
                    self.flush_cork(cork, transport);
                }
            }
        }
    }

    /// Masks and writes a long frame in blocks that stay in the cache between
    /// the two; what the transport refuses waits.
    fn send_in_blocks(
        &mut self,
        frame: &OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) {
        let mut sent = 0;
        while sent < frame.len() && self.outbox.is_empty() && !self.is_over() {
            let part = sent..frame.len().min(sent + BLOCK);
            sent = part.end;
            frame.append_part(cork, part);
            self.flush_cork(cork, transport);
        }
        if sent < frame.len() && !self.is_over() {
            self.outbox.append(frame, sent);
        }
    }

    /// Lends a message that lies in the read buffer, `offset` bytes from the
    /// start of it, for as long as the handler is called for it. In front of
    /// it, `room` bytes may be overwritten: those of its own head.
    #[inline]
    pub(crate) fn lend(&mut self, message: &[u8], offset: usize, room: usize) {
        self.lent = (message.len() >= IN_PLACE_MIN && self.in_place.len() < IN_PLACE_MAX)
            .then(|| Lent::new(message, offset, room));
    }

    /// Tells whether a payload is the message that was lent, whole, and there
    /// is room for its new head: a client's is longer than a server's.
    #[inline]
    fn is_lent(&self, head: &[u8], payload: &[u8]) -> bool {
        self.lent.is_some_and(|lent| {
            lent == Lent::new(payload, lent.offset, lent.room) && head.len() <= lent.room
        })
    }

    /// Has the message that was lent written from where it lies.
    fn echo(&mut self, head: &[u8], cork_end: usize) {
        // Once: a second frame could need another head in the same place.
        let Some(lent) = self.lent.take() else { return };
        let mut bytes = [0; MAX_HEADER_LEN];
        bytes[..head.len()].copy_from_slice(head);
        self.in_place.push(InPlace {
            cork_end,
            head: bytes,
            head_len: head.len() as u8,
            payload: lent.offset..lent.offset + lent.len,
        });
    }

    /// Writes the messages that are to be written from `buffer`, with what is
    /// corked before, between and after them.
    #[inline]
    pub(crate) fn flush_in_place(
        &mut self,
        cork: &mut Vec<u8>,
        buffer: &mut [u8],
        transport: &mut dyn Transport,
    ) {
        self.lent = None;
        if !self.in_place.is_empty() {
            self.write_in_place(cork, buffer, transport);
        }
    }

    fn write_in_place(
        &mut self,
        cork: &mut Vec<u8>,
        buffer: &mut [u8],
        transport: &mut dyn Transport,
    ) {
        let mut frames = mem::take(&mut self.in_place);
        for frame in &frames {
            // INVARIANT: in front of the payload is the head of the frame that
            // it came in, and that is not shorter: see `is_lent`.
            let head = &frame.head[..usize::from(frame.head_len)];
            let start = frame.payload.start - head.len();
            buffer[start..frame.payload.start].copy_from_slice(head);
        }
        // Short ones close up to those before them, to be written as one.
        frames.dedup_by(|frame, run| {
            let joins = frame.cork_end == run.cork_end && frame.payload.len() < COPY_MAX;
            if joins {
                let start = frame.payload.start - usize::from(frame.head_len);
                buffer.copy_within(start..frame.payload.end, run.payload.end);
                run.payload.end += frame.payload.end - start;
            }
            joins
        });
        let mut corked = 0;
        let mut slices = frames.iter().flat_map(|frame| {
            let before = mem::replace(&mut corked, frame.cork_end)..frame.cork_end;
            let start = frame.payload.start - usize::from(frame.head_len);
            [&cork[before], &buffer[start..frame.payload.end]]
        });
        loop {
            let mut group = [IoSlice::new(&[]); 64];
            let mut len = 0;
            for (place, slice) in group.iter_mut().zip(slices.by_ref()) {
                *place = IoSlice::new(slice);
                len += 1;
            }
            if len == 0 {
                break;
            }
            self.write_or_queue(&group[..len], transport);
        }
        drop(slices);
        let rest = frames.last().map_or(0, |frame| frame.cork_end);
        cork.drain(..rest);
        frames.clear();
        self.in_place = frames;
    }

    /// Writes slices, behind what waits; what the transport refuses waits.
    fn write_or_queue(&mut self, slices: &[IoSlice<'_>], transport: &mut dyn Transport) {
        // Often there is no cork.
        let slices = match slices {
            [first, rest @ ..] if first.is_empty() => rest,
            _ => slices,
        };
        let written = match self.outbox.is_empty() {
            true => write(transport, slices),
            false => Ok(0),
        };
        let Some(mut written) = self.note(written) else {
            return;
        };
        for slice in slices {
            let skip = written.min(slice.len());
            self.outbox.push_bytes(&slice[skip..]);
            written -= skip;
        }
    }

    /// Counts what has come to the outbox since `pending` bytes waited there.
    const fn count_unasked(&mut self, pending: usize) {
        if !self.answering {
            self.unasked += self.outbox.len() - pending;
        }
    }

    /// Counts a frame that waits, and what was dropped for it.
    pub(crate) fn count_waiting(&mut self, len: usize, dropped: usize) {
        if !self.answering {
            self.unasked += len;
        }
        self.unasked = self.unasked.saturating_sub(dropped);
    }

    /// Writes the cork; what the transport refuses waits in the outbox.
    #[inline]
    pub(crate) fn flush_cork(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) {
        if cork.is_empty() {
            return;
        }
        self.write_or_queue(&[IoSlice::new(cork)], transport);
        cork.clear();
        if cork.capacity() > 2 * BLOCK {
            cork.shrink_to(CORK_MAX);
        }
    }

    /// Writes the cork as the last of the stream.
    pub(crate) fn flush_last(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) {
        if self.outbox.is_empty() && !cork.is_empty() {
            let written = write_some(cork.len(), || transport.write_last(&[IoSlice::new(cork)]));
            if let Some(written) = self.note(written) {
                self.outbox.push_bytes(&cork[written..]);
            }
            cork.clear();
        }
        self.flush_cork(cork, transport);
    }

    /// Writes what waits, as much as the transport takes.
    pub(crate) fn flush_outbox(&mut self, transport: &mut dyn Transport) {
        if self.is_over() {
            self.outbox.advance(usize::MAX);
            self.backlog.clear();
        }
        while !self.outbox.is_empty() {
            let pending = self.outbox.len();
            let written = write(transport, &[IoSlice::new(self.outbox.as_slice())]);
            let Some(written) = self.note(written) else {
                return;
            };
            self.outbox.advance(written);
            if self.outbox.is_empty() {
                self.backlog.refill(&mut self.outbox);
            }
            self.unasked = self.unasked.min(self.pending());
            // A short write has filled the transport: it tells when it has
            // room again.
            if written == 0 || (written < pending && transport.short_is_all()) {
                return;
            }
        }
    }

    /// Tells whether nothing more can be sent, not even what waits.
    pub(crate) const fn is_over(&self) -> bool {
        self.broken.is_some() || self.aborted
    }

    /// Notes whether the transport has let go of everything.
    #[inline]
    pub(crate) fn note_flushed(&mut self, flushed: io::Result<bool>) {
        match flushed {
            Ok(is_flushed) => self.is_held_back = !is_flushed,
            Err(error) if self.broken.is_none() => drop(self.note(Err(error))),
            Err(_) => {}
        }
    }

    /// Notes a failure of the transport, which drops what waits.
    fn note(&mut self, written: io::Result<usize>) -> Option<usize> {
        match written {
            Ok(written) if !self.is_over() => Some(written),
            Ok(_) => None,
            Err(error) => {
                self.broken = Some(error);
                self.outbox.advance(usize::MAX);
                self.backlog.clear();
                None
            }
        }
    }
}

/// Writes once; 0 if the transport takes nothing for now.
fn write(transport: &mut dyn Transport, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let len = slices.iter().map(|slice| slice.len()).sum();
    write_some(len, || transport.write(slices))
}

/// Writes `len` bytes, or a part of them; 0 if nothing is taken for now.
#[inline]
fn write_some(len: usize, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            // A transport that claims more than it was given does not get to
            // move us beyond it.
            Ok(written) => return Ok(written.min(len)),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(0),
                _ => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, net::SocketAddr};

    use mio::event::Source;
    use ws_proto::{
        ClientMasking, CloseCode, CloseFrame, Inbound, Limits, Message, Receiver, ServerMasking,
    };

    use super::*;

    /// A transport that does as it is told, write by write, and then takes
    /// everything.
    #[derive(Debug, Default)]
    struct Script {
        steps: VecDeque<Step>,
        wire: Vec<u8>,
        writes: usize,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Takes so many bytes at most.
        Take(usize),
        /// Takes everything and claims more.
        Overstate(usize),
        Zero,
        Fail(io::ErrorKind),
    }

    use Step::{Fail, Overstate, Take, Zero};
    use io::ErrorKind::{BrokenPipe, Interrupted, WouldBlock};

    impl Script {
        fn new(steps: impl IntoIterator<Item = Step>) -> Self {
            Self {
                steps: steps.into_iter().collect(),
                ..Self::default()
            }
        }
    }

    impl Transport for Script {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(WouldBlock.into())
        }

        fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.writes += 1;
            let len: usize = slices.iter().map(|slice| slice.len()).sum();
            let (mut take, claim) = match self.steps.pop_front() {
                None => (len, len),
                Some(Take(n)) => (len.min(n), len.min(n)),
                Some(Overstate(n)) => (len, len + n),
                Some(Zero) => (0, 0),
                Some(Fail(kind)) => return Err(kind.into()),
            };
            for slice in slices {
                let part = &slice[..take.min(slice.len())];
                self.wire.extend_from_slice(part);
                take -= part.len();
            }
            Ok(claim)
        }

        fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn peer_addr(&self) -> io::Result<Option<SocketAddr>> {
            Ok(None)
        }

        fn source(&mut self) -> Option<&mut dyn Source> {
            None
        }

        fn short_is_all(&self) -> bool {
            true
        }
    }

    fn server(max_backpressure: usize) -> Outgoing {
        let policy = SlowConsumer::DropNewest;
        Outgoing::new(ServerMasking::new().into(), max_backpressure, policy)
    }

    /// What an application sends, in two turns.
    const PAYLOADS: [&[u8]; 7] = [
        b"a",
        b"",
        &[1; 200],
        &[2; COPY_MAX + 1],
        b"b",
        &[3; COPY_MAX],
        &[4; 2 * COPY_MAX],
    ];

    /// Sends everything in turns of `turn` messages, and lets the transport
    /// take it; returns what should have left.
    fn converse(outgoing: &mut Outgoing, transport: &mut Script, turn: usize) -> Vec<u8> {
        let mut expected = Vec::new();
        let mut cork = Vec::new();
        for payloads in PAYLOADS.chunks(turn) {
            for payload in payloads {
                let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
                frame.append_to(&mut expected, 0);
                let sent = outgoing.send(frame, &mut cork, transport);
                assert!(!matches!(sent, Backpressure::Refused(_)), "{sent:?}");
                // INVARIANT: what waits is in one place only.
                assert!(cork.is_empty() || outgoing.outbox.is_empty());
            }
            outgoing.flush_cork(&mut cork, transport);
            assert!(cork.is_empty());
            let left = [&transport.wire, outgoing.outbox.as_slice()].concat();
            assert!(left == expected, "bytes were lost, doubled or moved");
            outgoing.flush_outbox(transport);
        }
        while !outgoing.outbox.is_empty() {
            outgoing.flush_outbox(transport);
        }
        expected
    }

    #[test]
    fn frames_leave_whole_and_in_order_when_a_write_stops_anywhere() {
        //= RFC6455-6.1-7
        let whole = converse(&mut server(1 << 20), &mut Script::default(), 7);
        let around = |at: usize| at.saturating_sub(20)..at + 20;
        let stops = (1..600)
            .chain(around(COPY_MAX))
            .chain(around(whole.len() - 30));
        for stop in stops {
            for turn in [1, 3, 7] {
                let mut outgoing = server(1 << 20);
                let mut transport = Script::new([Take(stop), Fail(WouldBlock), Take(stop)]);
                let expected = converse(&mut outgoing, &mut transport, turn);
                assert!(transport.wire == expected, "stopped at {stop}");
                assert!(outgoing.is_idle());
            }
        }
    }

    #[test]
    fn frames_leave_whole_and_in_order_however_little_a_write_takes() {
        //= RFC6455-6.1-7
        for step in [1, 2, 3, 7, 100, 4096, COPY_MAX, COPY_MAX + 1] {
            let mut transport = Script::new((0..200_000).map(|i| match i % 5 {
                0 => Fail(Interrupted),
                1 => Fail(WouldBlock),
                _ => Take(step),
            }));
            let mut outgoing = server(1 << 20);
            let expected = converse(&mut outgoing, &mut transport, 2);
            assert!(transport.wire == expected, "{step} bytes at a time");
            assert!(outgoing.is_idle());
        }
    }

    #[test]
    fn count_beyond_what_was_offered_is_not_believed() {
        for turn in [1, 2, 7] {
            let mut transport = Script::new([Overstate(1), Take(5), Overstate(usize::MAX / 2)]);
            let mut outgoing = server(1 << 20);
            let expected = converse(&mut outgoing, &mut transport, turn);
            assert!(transport.wire == expected);
        }
    }

    #[test]
    fn nothing_is_kept_or_written_after_a_failure() {
        for failure in [Zero, Fail(BrokenPipe)] {
            for before in 0..4 {
                let mut transport = Script::new(std::iter::repeat_n(Take(3), before));
                transport.steps.push_back(failure);
                let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
                for payload in PAYLOADS {
                    let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
                    outgoing.send(frame, &mut cork, &mut transport);
                    outgoing.flush_cork(&mut cork, &mut transport);
                    outgoing.flush_outbox(&mut transport);
                }
                assert!(outgoing.broken.is_some() && outgoing.is_over());
                assert!(outgoing.outbox.is_empty() && cork.is_empty());
                let writes = transport.writes;
                let frame = outgoing.sender.message(Message::Text("late")).unwrap();
                assert_eq!(
                    outgoing.send(frame, &mut cork, &mut transport),
                    Backpressure::Refused(Refused::Over)
                );
                outgoing.flush_cork(&mut cork, &mut transport);
                outgoing.flush_outbox(&mut transport);
                assert_eq!(transport.writes, writes);
            }
        }
    }

    #[test]
    fn nothing_that_waits_is_written_after_an_abort() {
        let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
        let mut transport = Script::new([Take(1), Fail(WouldBlock)]);
        let frame = outgoing.sender.message(Message::Text("waits")).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
        outgoing.flush_cork(&mut cork, &mut transport);
        outgoing.aborted = true;
        outgoing.flush_outbox(&mut transport);
        assert_eq!(transport.wire, b"\x81");
        assert!(outgoing.outbox.is_empty());
    }

    #[test]
    fn message_over_max_backpressure_is_refused_and_the_close_is_not() {
        //= RFC6455-7.1.2-1
        let (mut outgoing, mut cork) = (server(10), Vec::new());
        let mut transport = Script::new(std::iter::repeat_n(Fail(WouldBlock), 100));
        // A single message may be longer, and there is room for some Pings.
        let long = [7; 1000];
        let frame = outgoing.sender.message(Message::Binary(&long)).unwrap();
        outgoing.send(frame, &mut cork, &mut transport);
        outgoing.flush_cork(&mut cork, &mut transport);
        assert_eq!(outgoing.outbox.len(), 1004);
        let frame = outgoing.sender.message(Message::Text("")).unwrap();
        let Backpressure::Refused(Refused::Full(full)) =
            outgoing.send(frame, &mut cork, &mut transport)
        else {
            panic!("it was not refused")
        };
        assert_eq!((full.pending, full.len, full.limit), (1004, 2, 10));
        let ping = outgoing.sender.ping(&[0; 125]).unwrap();
        while outgoing.send(ping.clone(), &mut cork, &mut transport)
            != Backpressure::Refused(Refused::Full(OutboxFull {
                len: 127,
                pending: outgoing.outbox.len(),
                limit: 10,
            }))
        {}
        let pending = outgoing.outbox.len();
        let close = Some(CloseFrame {
            code: CloseCode::NORMAL,
            reason: "",
        });
        let close = outgoing.sender.close(close).unwrap();
        assert_eq!(
            outgoing.send(close, &mut cork, &mut transport),
            Backpressure::Queued(pending + 4)
        );
    }

    #[test]
    fn zero_key_frame_is_written_from_where_it_lies_and_a_masked_one_is_not() {
        //= MSWS-3.1.4-6
        for (flag, writes) in [(true, 1), (false, 0)] {
            let masking = ClientMasking::with_set_mask_to_zero(flag);
            let policy = SlowConsumer::DropNewest;
            let mut outgoing = Outgoing::new(masking.into(), 1 << 20, policy);
            let (mut transport, mut cork) = (Script::default(), Vec::new());
            let payload = [9; COPY_MAX + 1];
            let frame = outgoing.sender.message(Message::Binary(&payload)).unwrap();
            outgoing.send(frame, &mut cork, &mut transport);
            assert_eq!(transport.writes, writes);
            outgoing.flush_cork(&mut cork, &mut transport);
            assert_eq!(transport.wire.len(), 8 + payload.len());
            assert_eq!(transport.wire[4..8] == [0; 4], flag);
            assert_eq!(transport.wire[8..] == payload, flag);
        }
    }

    /// Echoes messages that lie in a read buffer, with other frames before,
    /// between and after; returns what should have left.
    fn echo(outgoing: &mut Outgoing, transport: &mut Script) -> Vec<u8> {
        // As a client's frames lie there: a head with a key, and the payload.
        let lens = [IN_PLACE_MIN, 70_000, 10, IN_PLACE_MIN + 1];
        let mut buffer = Vec::new();
        let mut ranges = Vec::new();
        for (len, byte) in lens.into_iter().zip(b'w'..) {
            buffer.extend_from_slice(&[0xee; MAX_HEADER_LEN][..if len > 0xffff { 14 } else { 8 }]);
            ranges.push(buffer.len()..buffer.len() + len);
            buffer.resize(buffer.len() + len, byte);
        }
        let (mut cork, mut expected) = (Vec::new(), Vec::new());
        let mut send = |outgoing: &mut Outgoing, payload: &[u8]| {
            let frame = outgoing.sender.message(Message::Binary(payload)).unwrap();
            frame.append_to(&mut expected, 0);
            outgoing.send(frame, &mut cork, transport);
        };
        for range in ranges {
            let message = &buffer[range.clone()];
            send(outgoing, b"before");
            let room = if message.len() > 0xffff { 14 } else { 8 };
            outgoing.lend(message, range.start, room);
            send(outgoing, message);
            // Again, a part of it, and something long: none of them in place.
            send(outgoing, message);
            send(outgoing, &message[1..]);
            send(outgoing, &[b'!'; COPY_MAX + 1]);
        }
        outgoing.flush_in_place(&mut cork, &mut buffer, transport);
        outgoing.flush_cork(&mut cork, transport);
        outgoing.flush_outbox(transport);
        expected
    }

    #[test]
    fn messages_that_go_back_from_where_they_lie_leave_whole_and_in_order() {
        let mut whole = Script::default();
        let expected = echo(&mut server(usize::MAX), &mut whole);
        assert!(whole.wire == expected);
        assert_eq!(whole.writes, 2, "one for the frames in place, and the rest");
        for cut in (0..expected.len()).step_by(997).chain(0..40) {
            let mut transport = Script::new([Take(cut.max(1)), Fail(WouldBlock), Take(13)]);
            let mut outgoing = server(usize::MAX);
            let expected = echo(&mut outgoing, &mut transport);
            outgoing.flush_outbox(&mut transport);
            outgoing.flush_outbox(&mut transport);
            assert!(transport.wire == expected, "cut at {cut}");
            assert!(outgoing.outbox.is_empty());
        }
    }

    #[test]
    fn message_in_place_is_dropped_with_a_transport_that_failed() {
        let mut transport = Script::new([Take(100), Fail(BrokenPipe)]);
        let mut outgoing = server(usize::MAX);
        echo(&mut outgoing, &mut transport);
        assert!(outgoing.is_over() && outgoing.outbox.is_empty());
        assert!(outgoing.in_place.is_empty());
    }

    #[test]
    fn long_masked_frame_leaves_in_blocks_and_whole() {
        //= RFC6455-5.1-1
        let payload: Vec<u8> = (0..3 * BLOCK as u32 + 77)
            .map(|i| ((i * 31) >> 3) as u8)
            .collect();
        for cut in [
            1,
            13,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK + 5,
            usize::MAX,
        ] {
            let mut transport = Script::new([Take(cut), Fail(WouldBlock), Take(BLOCK)]);
            let masking = ClientMasking::new().into();
            let mut outgoing = Outgoing::new(masking, usize::MAX, SlowConsumer::default());
            let mut cork = Vec::new();
            for message in [Message::Text("before"), Message::Binary(&payload)] {
                let frame = outgoing.sender.message(message).unwrap();
                outgoing.send(frame, &mut cork, &mut transport);
            }
            outgoing.flush_cork(&mut cork, &mut transport);
            while !outgoing.outbox.is_empty() {
                outgoing.flush_outbox(&mut transport);
            }
            let mut receiver = Receiver::new(Inbound::RequireMasked, Limits::default());
            let mut wire = &mut transport.wire[..];
            assert_eq!(
                receiver.receive_whole(&mut wire),
                Ok(Some(Message::Text("before")))
            );
            let received = receiver.receive_whole(&mut wire);
            assert!(
                received == Ok(Some(Message::Binary(&payload))),
                "cut at {cut}"
            );
            assert!(wire.is_empty());
            assert!(cork.capacity() <= 2 * BLOCK);
        }
    }

    #[test]
    fn last_bytes_leave_whole_however_little_a_write_takes() {
        for steps in [
            vec![],
            vec![Take(3), Fail(WouldBlock), Take(1)],
            vec![Fail(Interrupted), Overstate(9)],
        ] {
            let (mut outgoing, mut cork) = (server(1 << 20), Vec::new());
            let mut transport = Script::new(steps);
            let frame = outgoing.sender.close(None).unwrap();
            outgoing.send(frame, &mut cork, &mut transport);
            outgoing.flush_last(&mut cork, &mut transport);
            assert!(cork.is_empty());
            while !outgoing.outbox.is_empty() {
                outgoing.flush_outbox(&mut transport);
            }
            assert_eq!(transport.wire, b"\x88\x00");
        }
    }

    #[test]
    fn messages_in_a_row_go_back_in_place_whatever_is_sent_between_them() {
        let lens = [IN_PLACE_MIN, 3000, 2 * COPY_MAX, 5000, 125, 70_000, 4000];
        // After which of them something short is sent.
        for between in 0..1 << lens.len() {
            let mut outgoing = server(1 << 20);
            let (mut cork, mut transport) = (Vec::new(), Script::default());
            let mut buffer = Vec::new();
            let payloads = lens.iter().zip(0..).map(|(&len, n)| {
                // As long a head as a client's frame has.
                buffer.extend_from_slice(&[0xee; 14]);
                buffer.extend(std::iter::repeat_n(n, len));
                buffer.len() - len..buffer.len()
            });
            let payloads: Vec<_> = payloads.collect();
            let mut expected = Vec::new();
            for (n, payload) in payloads.into_iter().enumerate() {
                let message = &buffer[payload.clone()];
                if message.len() >= IN_PLACE_MIN {
                    outgoing.lend(message, payload.start, 14);
                }
                let frame = outgoing.sender.message(Message::Binary(message)).unwrap();
                frame.append_to(&mut expected, 0);
                outgoing.send(frame, &mut cork, &mut transport);
                if between & 1 << n != 0 {
                    let frame = outgoing.sender.message(Message::Text("between")).unwrap();
                    frame.append_to(&mut expected, 0);
                    outgoing.send(frame, &mut cork, &mut transport);
                }
            }
            outgoing.flush_in_place(&mut cork, &mut buffer, &mut transport);
            outgoing.flush_cork(&mut cork, &mut transport);
            assert!(transport.wire == expected, "{between:b}");
        }
    }

    #[test]
    fn message_goes_back_by_a_copy_where_its_new_head_is_longer() {
        //= MSWS-3.1.4-4
        // A client's frame has a key where the server's that it echoes had
        // none, and in front of that lies another message.
        const LEN: usize = 0x1000;
        let (first, second) = (vec![b'1'; LEN], vec![b'2'; LEN]);
        let mut buffer = [
            &b"\x82\x7e\x10\x00"[..],
            &first,
            b"\x82\x7e\x10\x00",
            &second,
        ]
        .concat();
        let masking = ClientMasking::with_set_mask_to_zero(true).into();
        let mut outgoing = Outgoing::new(masking, usize::MAX, SlowConsumer::default());
        let (mut cork, mut transport) = (Vec::new(), Script::default());
        for start in [4, 8 + LEN] {
            let message = &buffer[start..start + LEN];
            outgoing.lend(message, start, 4);
            let frame = outgoing.sender.message(Message::Binary(message)).unwrap();
            outgoing.send(frame, &mut cork, &mut transport);
        }
        outgoing.flush_in_place(&mut cork, &mut buffer, &mut transport);
        outgoing.flush_cork(&mut cork, &mut transport);
        let head = b"\x82\xfe\x10\x00\x00\x00\x00\x00";
        let expected = [&head[..], &first, head, &second].concat();
        assert!(transport.wire == expected);
    }
}
