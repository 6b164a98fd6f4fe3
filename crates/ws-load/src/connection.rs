//! One open connection.

use std::{collections::VecDeque, io, ops::AddAssign, time::Instant};

use crate::{
    frames::{Masks, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG, append_frame},
    placed::Placed,
    replies::{Piece, Replies},
    stream::{Got, Stream},
};

/// An open connection, which sends batches of frames in rotation.
#[derive(Debug)]
pub struct Connection {
    /// None once it is lost.
    stream: Option<Stream>,
    replies: Replies,
    /// Which batch is being written, how much of it is still to be, and how many are to follow.
    current: usize,
    unwritten: usize,
    owed: u64,
    /// The transport took no more, and has not become ready since.
    is_full: bool,
    /// Frames beside the batches, which go out between two of them.
    queue: Vec<u8>,
    /// The payload of a Ping that is being read.
    ping: Vec<u8>,
    masks: Masks,
    /// When the batches were sent whose answers are still to come.
    pub sent: VecDeque<Instant>,
}

impl Connection {
    /// `current` is the batch before the first that it sends.
    pub(crate) fn new(stream: Stream, masks: Masks, current: usize) -> Self {
        Self {
            stream: Some(stream),
            replies: Replies::default(),
            current,
            unwritten: 0,
            owed: 0,
            is_full: false,
            queue: Vec::new(),
            ping: Vec::new(),
            masks,
            sent: VecDeque::new(),
        }
    }

    /// Takes what came behind the answer to the opening handshake.
    pub(crate) fn take_in(
        &mut self,
        bytes: &[u8],
        show: impl FnMut(Piece<'_>),
    ) -> io::Result<Received> {
        self.count(bytes, show)
    }

    /// Tells whether it was not lost so far.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Ends it without a word; what it sent stays unanswered.
    pub(crate) fn lose(&mut self) {
        self.stream = None;
    }

    /// Has one more batch sent, which counts from `at`. [`write`](Self::write) sends it.
    pub fn begin(&mut self, at: Instant) {
        self.owed += 1;
        self.sent.push_back(at);
    }

    /// Has one more batch sent whose answer nobody waits for.
    pub(crate) const fn begin_unawaited(&mut self) {
        self.owed += 1;
    }

    /// Has a frame sent that is in no batch.
    pub(crate) fn queue(&mut self, frame: &[u8]) {
        self.queue.extend_from_slice(frame);
    }

    pub(crate) fn queue_close(&mut self) {
        let code = 1000u16.to_be_bytes();
        append_frame(&mut self.queue, true, OPCODE_CLOSE, self.masks, 1, &code);
    }

    /// Writes as much as the transport takes.
    ///
    /// # Errors
    ///
    /// Those of the transport.
    pub fn write(&mut self, batches: &[Placed]) -> io::Result<()> {
        let outcome = self.try_write(batches);
        self.is_full = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        match self.is_full {
            true => Ok(()),
            false => outcome,
        }
    }

    /// Does the same, unless the transport was full and is not known to have become ready.
    pub(crate) fn write_unless_full(&mut self, batches: &[Placed]) -> io::Result<()> {
        match self.is_full {
            true => Ok(()),
            false => self.write(batches),
        }
    }

    fn try_write(&mut self, batches: &[Placed]) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        loop {
            if self.unwritten == 0 {
                if !self.queue.is_empty() {
                    let written = stream.write(&self.queue)?;
                    self.queue.drain(..written);
                    continue;
                }
                if self.owed == 0 {
                    return stream.flush();
                }
                self.owed -= 1;
                self.current = (self.current + 1) % batches.len();
                self.unwritten = batches[self.current].as_slice().len();
            }
            let batch = batches[self.current].as_slice();
            self.unwritten -= stream.write(&batch[batch.len() - self.unwritten..])?;
        }
    }

    /// Reads all that is there. `show` sees each piece of payload.
    ///
    /// # Errors
    ///
    /// Those of the transport, its end, and a frame that is none of a message, a Ping or a Pong.
    pub fn read(
        &mut self,
        batches: &[Placed],
        buffer: &mut [u8],
        mut show: impl FnMut(Piece<'_>),
    ) -> io::Result<Received> {
        let mut received = Received::default();
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(received);
            };
            match stream.read(buffer) {
                Ok(Got { len, more }) => {
                    received += self.count(&buffer[..len], &mut show)?;
                    if more {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(io::Error::other("the server ended the connection"));
                }
                Err(error) => return Err(error),
            }
            if !self.queue.is_empty() {
                self.write(batches)?;
            }
            return Ok(received);
        }
    }

    /// Reads once, at most what fits, and forgets it.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        match stream.read(buffer) {
            Ok(got) => Ok(got.len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, bytes: &[u8], mut show: impl FnMut(Piece<'_>)) -> io::Result<Received> {
        let (ping, queue, masks) = (&mut self.ping, &mut self.queue, self.masks);
        let messages = self.replies.read(bytes, |piece| {
            if piece.opcode == OPCODE_PING {
                answer(ping, queue, masks, piece);
            }
            show(piece);
        });
        Ok(Received {
            messages: messages.map_err(io::Error::other)?,
            bytes: bytes.len() as u64,
        })
    }
}

/// Queues the Pong once a Ping is whole: a server drops who does not answer.
#[cold]
fn answer(ping: &mut Vec<u8>, queue: &mut Vec<u8>, masks: Masks, piece: Piece<'_>) {
    ping.extend_from_slice(piece.data);
    if piece.is_last {
        append_frame(queue, true, OPCODE_PONG, masks, 1, ping);
        *ping = Vec::new();
    }
}

/// What a connection had to be read: so many bytes, and the messages that they complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Messages that are whole.
    pub messages: u64,
    /// Bytes, with headers.
    pub bytes: u64,
}

impl AddAssign for Received {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}
