//! Frames on their way to the transport: corked, written, queued.

mod backlog;
mod waiting;

use std::{
    io::{self, IoSlice},
    mem,
};

use ws_proto::{
    Echoes, Masking, OpCode, OutFrame, OutFrames, Outbox, OutboxFull, Prepared, SendError, Sender,
};

use self::backlog::Backlog;
use crate::{SlowConsumer, Transport, metrics::SentCounts};

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
    /// A longer frame is split.
    max_frame: usize,
    pub(crate) outbox: Outbox,
    pub(crate) backlog: Backlog,
    /// The transport failed: nothing more is written.
    pub(crate) broken: Option<io::Error>,
    /// The application wants nothing more to be read for now.
    pub(crate) paused: bool,
    /// The application dropped the connection.
    pub(crate) aborted: bool,
    /// The transport has taken some of what waited since somebody asked.
    pub(crate) has_moved: bool,
    /// What is sent now answers what the peer sent.
    pub(crate) answering: bool,
    /// The transport itself holds something back.
    pub(crate) is_held_back: bool,
    /// All that waited has left at the end of a turn, and nobody knows yet.
    pub(crate) is_drained: bool,
    /// How many bytes wait that answer nothing. They do not keep us from
    /// reading: two peers that send each other something long at the same time
    /// would wait for each other for ever.
    unasked: usize,
    /// Frames that are to be written from the read buffer.
    pub(crate) echoes: Echoes,
    pub(crate) counts: SentCounts,
}

/// A payload up to this size is copied beside other frames; a longer one is
/// written from where it lies.
const COPY_MAX: usize = 16 * 1024;
/// A longer frame with a key is masked and written in blocks of this size.
const BLOCK: usize = 512 * 1024;
/// The cork is written once it holds this much.
const CORK_MAX: usize = 64 * 1024;

impl Outgoing {
    pub(crate) const fn new(
        masking: Masking,
        max_frame: usize,
        max_backpressure: usize,
        slow_consumer: SlowConsumer,
    ) -> Self {
        Self {
            sender: Sender::new(masking),
            max_frame,
            outbox: Outbox::with_limit(max_backpressure),
            backlog: Backlog::new(slow_consumer),
            broken: None,
            paused: false,
            aborted: false,
            has_moved: false,
            answering: false,
            is_held_back: false,
            is_drained: false,
            unasked: 0,
            echoes: Echoes::new(),
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
            && !self.is_drained
    }

    /// Tells whether something is to be written once there is room.
    pub(crate) const fn is_waiting(&self) -> bool {
        !self.outbox.is_empty() || self.is_held_back
    }

    /// Tells whether more is to be parsed: no more answers wait for the peer
    /// than `high_water`, and nobody paused or ended the connection.
    #[inline]
    pub(crate) const fn goes_on(&self, high_water: usize) -> bool {
        self.is_reading()
            && !self.is_over()
            && (self.outbox.is_empty() || !self.is_behind(high_water))
    }

    /// Tells whether the application wants more to be read. Once our Close was
    /// sent it does, as the peer's stands behind what it has sent before.
    #[inline]
    const fn is_reading(&self) -> bool {
        !self.paused || self.sender.is_close_sent()
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
        let is_short = frame.len() < Echoes::MIN && frame.len() <= self.max_frame;
        if self.outbox.is_empty() && !self.is_over() && is_short {
            self.counts.count(frame.opcode(), frame.len());
            frame.append_to(cork, 0);
            if cork.len() < CORK_MAX {
                return Backpressure::Sent;
            }
            self.relieve(cork, transport);
            self.count_unasked(0);
            return self.verdict();
        }
        self.send_keyed(None, frame, cork, transport)
    }

    /// Writes a cork that has grown long.
    #[cold]
    fn relieve(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) {
        if self.echoes.is_empty() {
            self.flush_cork(cork, transport);
        }
    }

    /// Tells what became of what was just sent, and counts it if it waits.
    fn verdict(&mut self) -> Backpressure {
        match self.pending() {
            0 => Backpressure::Sent,
            pending => {
                self.counts.queued += 1;
                Backpressure::Queued(pending)
            }
        }
    }

    /// Sends a message that many get: where it may be dropped, it waits without
    /// being copied.
    #[inline]
    pub(crate) fn send_prepared(
        &mut self,
        prepared: &Prepared,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) -> Backpressure {
        if self.shares_waiting() {
            self.share_waiting([prepared]);
            return Backpressure::Queued(self.pending());
        }
        match self.sender.prepared(prepared) {
            Ok(frame) => self.send(frame, cork, transport),
            Err(error) => error.into(),
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
        if self.outbox.is_empty() && frame.len() <= self.max_frame {
            self.write_frame(&frame, cork, transport);
            self.count_unasked(0);
            self.counts.count(frame.opcode(), frame.len());
            return self.verdict();
        }
        match self.sender.split(frame, self.max_frame) {
            Ok(frames) => self.send_frames(key, &frames, cork, transport),
            Err(error) => error.into(),
        }
    }

    /// Sends a frame that waits, or the fragments of a long one, as one whole.
    fn send_frames(
        &mut self,
        key: Option<u64>,
        frames: &OutFrames<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) -> Backpressure {
        let sent = match self.outbox.is_empty() {
            true => {
                self.write_frames(frames, cork, transport);
                self.count_unasked(0);
                Ok(())
            }
            false if self.backlog.is_used() => self.wait(key, frames),
            false => self.queue(frames),
        };
        if let Err(full) = sent {
            self.counts.refused += 1;
            return full.into();
        }
        self.count_frames(frames);
        self.verdict()
    }

    pub(crate) fn count_frames(&mut self, frames: &OutFrames<'_>) {
        for frame in frames.iter() {
            self.counts.count(frame.opcode(), frame.len());
        }
    }

    /// Splits a message that many get, if it is too long for one frame.
    #[inline]
    pub(crate) fn split_prepared<'p>(&mut self, message: &'p Prepared) -> Option<OutFrames<'p>> {
        if message.frame().len() <= self.max_frame {
            return None;
        }
        let frame = self.sender.prepared(message).ok()?;
        self.sender.split(frame, self.max_frame).ok()
    }

    /// Puts frames behind what waits.
    fn queue(&mut self, frames: &OutFrames<'_>) -> Result<(), OutboxFull> {
        let pending = self.outbox.len();
        let has_room = match frames.opcode() {
            // There is one in a connection.
            OpCode::Close => true,
            // Reading stops before there are many.
            OpCode::Pong => true,
            OpCode::Ping => false,
            // However long it is: an answer to what was read below high
            // water is never lost.
            _ => pending < self.outbox.limit(),
        };
        for frame in frames.iter() {
            if has_room {
                self.outbox.append(&frame, 0);
            } else {
                // Where a message has no room, its first fragment has none.
                let len = frames.len();
                let pushed = self.outbox.push(&frame, 0);
                pushed.map_err(|full| OutboxFull { len, ..full })?;
            }
        }
        self.count_unasked(pending);
        Ok(())
    }

    /// Puts frames behind what waits, whatever the limit.
    pub(crate) fn append(&mut self, frames: &OutFrames<'_>) {
        for frame in frames.iter() {
            self.outbox.append(&frame, 0);
        }
    }

    /// Writes the fragments of a message, as far as the transport takes them.
    fn write_frames(
        &mut self,
        frames: &OutFrames<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) {
        for frame in frames.iter() {
            if self.is_over() {
                return;
            }
            match self.outbox.is_empty() {
                true => self.write_frame(&frame, cork, transport),
                false => self.outbox.append(&frame, 0),
            }
        }
    }

    /// Writes a frame, with the cork or at once.
    fn write_frame(
        &mut self,
        frame: &OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) {
        match frame.as_slices() {
            Some([head, payload]) if self.echoes.take(head, payload, cork.len()) => {}
            // With frames to write from the read buffer before it, it waits
            // in the cork for its turn.
            Some([head, payload]) if payload.len() > COPY_MAX && self.echoes.is_empty() => {
                let slices = [
                    IoSlice::new(cork),
                    IoSlice::new(head),
                    IoSlice::new(payload),
                ];
                self.write_or_queue(&slices, transport);
                cork.clear();
            }
            _ if frame.len() > BLOCK && self.echoes.is_empty() => {
                self.send_in_blocks(frame, cork, transport);
            }
            _ => {
                frame.append_to(cork, 0);
                if cork.len() >= CORK_MAX {
                    self.relieve(cork, transport);
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
        if sent < frame.len() && !self.is_over() && !fault!("block-lost") {
            self.outbox.append(frame, sent);
        }
    }

    /// Writes slices, behind what waits; what the transport refuses waits.
    fn write_or_queue(&mut self, slices: &[IoSlice<'_>], transport: &mut dyn Transport) {
        // Often there is no cork.
        let slices = match slices {
            [first, rest @ ..] if first.is_empty() => rest,
            _ => slices,
        };
        let written = match fault!("overtaken") || self.outbox.is_empty() {
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
            // A Pong may have taken the place of a longer one.
            self.unasked += self.outbox.len().saturating_sub(pending);
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
        if !(fault!("other-connection") && self.is_over()) {
            cork.clear();
        }
        if cork.capacity() > 2 * BLOCK {
            cork.shrink_to(CORK_MAX);
        }
    }

    /// Writes the messages that are to be written from `buffer`, with what is
    /// corked before, between and after them.
    #[inline]
    pub(crate) fn flush_echoes(
        &mut self,
        cork: &mut Vec<u8>,
        buffer: &mut [u8],
        transport: &mut dyn Transport,
    ) {
        if self.echoes.is_empty() {
            // Nothing is lent any more.
            return self.echoes.flush(cork, buffer, |_| {});
        }
        let mut echoes = mem::take(&mut self.echoes);
        echoes.flush(cork, buffer, |slices| {
            self.write_or_queue(slices, transport)
        });
        self.echoes = echoes;
        // What is sent from now on waits behind what the transport refused;
        // this was sent before.
        if !fault!("cork-overtaken") && !self.outbox.is_empty() {
            self.flush_cork(cork, transport);
        }
    }

    /// Drops what was to be written from a read buffer that is gone.
    #[cold]
    pub(crate) fn forget_echoes(&mut self, cork: &mut Vec<u8>) {
        self.answering = false;
        self.echoes.forget(cork);
    }

    /// Writes the cork as the last of the stream.
    pub(crate) fn flush_last(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) {
        if self.outbox.is_empty() && !cork.is_empty() {
            let written = write_some(cork.len(), || transport.write_last(&[IoSlice::new(cork)]));
            if let Some(written) = self.note(written)
                && !(fault!("short-write-lost") && written > 0)
            {
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
            self.has_moved |= written > 0;
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
            // Of an aborted connection nothing may overtake what waits, either.
            Ok(written) if self.broken.is_none() => Some(written),
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
            Ok(written) if fault!("count-believed") => return Ok(written),
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
mod tests;
