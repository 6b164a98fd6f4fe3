//! Messages that go back just as they came, from where they were read to.

use alloc::vec::Vec;
use core::{mem, ops::Range};
use std::io::IoSlice;

use crate::MAX_HEADER_LEN;

/// Writes messages that are sent back just as they came from the buffer that
/// they were read into, with their new heads in front of them there.
///
/// It does no I/O: an adapter [lends](Self::lend) each message before its
/// handler is called, [asks](Self::take) about each frame that is sent, and
/// [flushes](Self::flush) before the buffer is used for anything else. Between
/// these, frames that are not echoes go to a vector of the adapter's, the cork.
///
/// One rule holds for all: a message of at least [`MIN`](Self::MIN) bytes goes
/// back from where it lies, as shorter ones are cheaper to copy. Echoes below
/// [`JOIN_BELOW`](Self::JOIN_BELOW) that follow on each other with nothing in
/// the cork between them close up, to be written as one slice.
///
/// ```
/// use ws_proto::{Echoes, Message, Sender, ServerMasking};
///
/// // A client's frame lay here: a head of 8 bytes, and the payload.
/// let mut buffer = [b'x'; 8 + 4096];
/// let (mut echoes, mut cork) = (Echoes::new(), Vec::new());
/// let mut tx = Sender::new(ServerMasking::new());
///
/// let message = &buffer[8..];
/// echoes.lend(message, 8, 8);
/// let frame = tx.message(Message::Binary(message))?;
/// let [head, payload] = frame.as_slices().unwrap();
/// assert!(echoes.take(head, payload, cork.len()));
///
/// let mut written = Vec::new();
/// echoes.flush(&mut cork, &mut buffer, |slices| {
///     slices.iter().for_each(|slice| written.extend_from_slice(slice));
/// });
/// assert_eq!(written[..4], *b"\x82\x7e\x10\x00");
/// assert_eq!(written.len(), 4 + 4096);
/// # Ok::<(), ws_proto::SendError>(())
/// ```
#[derive(Debug, Default)]
pub struct Echoes {
    lent: Option<Lent>,
    frames: Vec<Echo>,
    len: usize,
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
struct Echo {
    /// It comes after as much of the cork.
    cork_end: usize,
    head: [u8; MAX_HEADER_LEN],
    head_len: u8,
    payload: Range<usize>,
}

impl Echo {
    fn start(&self) -> usize {
        self.payload.start - usize::from(self.head_len)
    }
}

/// How many frames are kept for one buffer.
const MOST: usize = 1024;
/// How many slices are written at once.
const GROUP: usize = 64;

impl Echoes {
    /// The shortest message that is written from where it lies, in bytes.
    pub const MIN: usize = 2048;

    /// A shorter message is moved up to an echo right before it.
    pub const JOIN_BELOW: usize = 16 * 1024;

    /// Starts with none, and no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lent: None,
            frames: Vec::new(),
            len: 0,
        }
    }

    /// Lends a message that lies in the read buffer, `offset` bytes from the
    /// start of it, if it is long enough. In front of it, `room` bytes may be
    /// overwritten: those of its own head.
    #[inline]
    pub fn lend(&mut self, message: &[u8], offset: usize, room: usize) {
        if message.len() >= Self::MIN {
            self.lent = (self.frames.len() < MOST).then(|| Lent::new(message, offset, room));
        }
    }

    /// Takes a frame whose payload is the message that was lent, whole, behind
    /// the first `cork_end` bytes of the cork; `false` if it is another, or if
    /// there is no room for its head, as a client's is longer than a server's.
    #[inline]
    pub fn take(&mut self, head: &[u8], payload: &[u8], cork_end: usize) -> bool {
        match self.lent {
            Some(lent)
                if lent == Lent::new(payload, lent.offset, lent.room)
                    && head.len() <= lent.room =>
            {
                self.push(head, lent, cork_end);
                true
            }
            _ => false,
        }
    }

    fn push(&mut self, head: &[u8], lent: Lent, cork_end: usize) {
        // Once: a second frame could need another head in the same place.
        self.lent = None;
        let mut bytes = [0; MAX_HEADER_LEN];
        bytes[..head.len()].copy_from_slice(head);
        self.len += head.len() + lent.len;
        self.frames.push(Echo {
            cork_end,
            head: bytes,
            head_len: head.len() as u8,
            payload: lent.offset..lent.offset + lent.len,
        });
    }

    /// Tells whether nothing is to be written from the read buffer.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns how many bytes are to be written from the read buffer, with
    /// their heads.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Forgets all, as the read buffer is gone, and drops what is corked behind
    /// the first of them.
    pub fn forget(&mut self, cork: &mut Vec<u8>) {
        if let Some(first) = self.frames.first() {
            cork.truncate(first.cork_end);
        }
        self.frames.clear();
        (self.lent, self.len) = (None, 0);
    }

    /// Writes all from the read buffer, with what is corked before and between
    /// them, a few slices at a time; what is corked behind the last stays.
    ///
    /// What `write` cannot write it has to keep, in order.
    #[inline]
    pub fn flush(
        &mut self,
        cork: &mut Vec<u8>,
        buffer: &mut [u8],
        write: impl FnMut(&mut [IoSlice<'_>]),
    ) {
        self.lent = None;
        if !self.frames.is_empty() {
            self.write(cork, buffer, write);
        }
    }

    fn write(
        &mut self,
        cork: &mut Vec<u8>,
        buffer: &mut [u8],
        mut write: impl FnMut(&mut [IoSlice<'_>]),
    ) {
        for frame in &self.frames {
            // INVARIANT: in front of the payload is the head of the frame that
            // it came in, and that is not shorter: see `take`.
            let head = &frame.head[..usize::from(frame.head_len)];
            buffer[frame.start()..frame.payload.start].copy_from_slice(head);
        }
        if let [frame] = &self.frames[..] {
            // What most are.
            let before = IoSlice::new(&cork[..frame.cork_end]);
            let echo = IoSlice::new(&buffer[frame.start()..frame.payload.end]);
            match frame.cork_end {
                0 => write(&mut [echo]),
                _ => write(&mut [before, echo]),
            }
            return self.end(cork);
        }
        self.frames.dedup_by(|frame, run| {
            let joins = (fault!("echo-overtakes") || frame.cork_end == run.cork_end)
                && frame.payload.len() < Self::JOIN_BELOW;
            if joins {
                let start = frame.start();
                buffer.copy_within(start..frame.payload.end, run.payload.end);
                run.payload.end += frame.payload.end - start;
            }
            joins
        });
        let mut corked = 0;
        let mut slices = self.frames.iter().flat_map(|frame| {
            let before = mem::replace(&mut corked, frame.cork_end)..frame.cork_end;
            [&cork[before], &buffer[frame.start()..frame.payload.end]]
        });
        loop {
            let mut group = [IoSlice::new(&[]); GROUP];
            let mut len = 0;
            for (place, slice) in group.iter_mut().zip(slices.by_ref()) {
                *place = IoSlice::new(slice);
                len += 1;
            }
            if len == 0 {
                break;
            }
            write(&mut group[..len]);
        }
        drop(slices);
        self.end(cork);
    }

    fn end(&mut self, cork: &mut Vec<u8>) {
        let written = self.frames.last().map_or(0, |frame| frame.cork_end);
        cork.drain(..written);
        self.frames.clear();
        self.len = 0;
    }
}
