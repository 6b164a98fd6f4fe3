//! Messages that go back just as they came, from the read buffer.

use std::{io::IoSlice, mem, ops::Range};

use ws_proto::MAX_HEADER_LEN;

use super::{COPY_MAX, Outgoing};
use crate::Transport;

/// Where a message lies, in memory and in the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lent {
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
pub(super) struct InPlace {
    /// It comes after as much of the cork.
    cork_end: usize,
    head: [u8; MAX_HEADER_LEN],
    head_len: u8,
    payload: Range<usize>,
}

/// A message of at least this size that is sent back just as it came is
/// written from the read buffer, with its head in front of it there.
pub(super) const IN_PLACE_MIN: usize = 2048;
/// How many frames may be written from the read buffer in one turn.
const IN_PLACE_MAX: usize = 1024;

impl Outgoing {
    /// Lends a message that lies in the read buffer, `offset` bytes from the
    /// start of it, for as long as the handler is called for it, if it is long
    /// enough. In front of
    /// it, `room` bytes may be overwritten: those of its own head.
    #[inline]
    pub(crate) fn lend(&mut self, message: &[u8], offset: usize, room: usize) {
        if message.len() >= IN_PLACE_MIN {
            self.lent =
                (self.in_place.len() < IN_PLACE_MAX).then(|| Lent::new(message, offset, room));
        }
    }

    /// Tells whether a payload is the message that was lent, whole, and there
    /// is room for its new head: a client's is longer than a server's.
    #[inline]
    pub(super) fn is_lent(&self, head: &[u8], payload: &[u8]) -> bool {
        self.lent.is_some_and(|lent| {
            lent == Lent::new(payload, lent.offset, lent.room) && head.len() <= lent.room
        })
    }

    /// Has the message that was lent written from where it lies.
    pub(super) fn echo(&mut self, head: &[u8], cork_end: usize) {
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

    /// Drops the messages that were to be written from a read buffer that is
    /// gone, and what is corked behind the first of them.
    #[cold]
    pub(crate) fn forget_in_place(&mut self, cork: &mut Vec<u8>) {
        self.lent = None;
        self.answering = false;
        if let Some(first) = self.in_place.first() {
            cork.truncate(first.cork_end);
            self.in_place.clear();
        }
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
            let joins = (fault!("echo-overtakes") || frame.cork_end == run.cork_end)
                && frame.payload.len() < COPY_MAX;
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
        // What is sent from now on waits behind what the transport refused;
        // this was sent before.
        if !fault!("cork-overtaken") && !self.outbox.is_empty() {
            self.flush_cork(cork, transport);
        }
    }
}
