//! What a handler of messages answers with.

use ws_proto::{
    CloseCode, CloseFrame, MAX_HEADER_LEN, Masking, OutFrame, OutboxFull, Prepared, Sender,
};

use crate::{
    AsOutbound, Error,
    compression::{Compression, LentPool},
    outgoing::{Outgoing, Output},
};

/// Where the handler of [`receive_with`](crate::WebSocket::receive_with) puts
/// its replies. They leave together once all that is there was handled.
#[derive(Debug)]
pub struct Replies<'a> {
    sender: &'a mut Sender<Masking>,
    compression: &'a mut Compression,
    output: &'a mut Output,
    /// Replies that are to be written, if nothing else waits.
    cork: &'a mut Vec<u8>,
    /// The message that is handled, if it can go back as it lies.
    lent: Option<Lent>,
    echo: Option<Echo>,
}

/// Where a message lies in memory, and how many bytes in front of it may be
/// overwritten: those of its own head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent {
    pub(crate) address: usize,
    pub(crate) len: usize,
    pub(crate) room: usize,
}

/// A message that goes back as it lies.
#[derive(Debug)]
pub(crate) struct Echo {
    head: [u8; MAX_HEADER_LEN],
    head_len: usize,
    /// It comes after as much of the cork.
    pub(crate) cork_end: usize,
}

impl Echo {
    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }
}

impl<'a> Replies<'a> {
    pub(crate) const fn new(
        sender: &'a mut Sender<Masking>,
        compression: &'a mut Compression,
        output: &'a mut Output,
        cork: &'a mut Vec<u8>,
        lent: Option<Lent>,
    ) -> Self {
        Self {
            sender,
            compression,
            output,
            cork,
            lent,
            echo: None,
        }
    }

    /// Queues a message. The one that is being handled is not copied for that
    /// if it is long.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::queue`](crate::WebSocket::queue), but there is always
    /// room for one reply to each message, of any length.
    pub fn queue(&mut self, message: impl AsOutbound) -> Result<(), Error> {
        self.push(&Outgoing::Message(message.as_outbound()))
    }

    /// Queues a message that was encoded before.
    ///
    /// # Errors
    ///
    /// As [`queue`](Self::queue).
    pub fn queue_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.push(&Outgoing::Prepared(message))
    }

    /// Queues our Close. See
    /// [`WebSocket::queue_close`](crate::WebSocket::queue_close).
    ///
    /// # Errors
    ///
    /// As [`WebSocket::queue_close`](crate::WebSocket::queue_close).
    pub fn queue_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.push(&Outgoing::Close(Some(CloseFrame { code, reason })))
    }

    /// Returns how many bytes wait for the transport.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        self.output.outbox.len() + self.cork.len()
    }

    fn push(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        if self.output.is_lost {
            return Err(Error::Closed);
        }
        let (pending, limit) = (self.pending_bytes(), self.output.limit);
        if pending >= limit && !outgoing.is_control() {
            let len = outgoing.frame_len(self.sender);
            return Err(Error::OutboxFull(OutboxFull {
                pending,
                len,
                limit,
            }));
        }
        let mut lent = LentPool::default();
        let frame = outgoing.frame(self.sender, self.compression, &mut lent)?;
        if !self.output.outbox.is_empty() {
            self.output.queue(frame, self.sender)?;
        } else if frame.len() > self.output.max_frame() {
            for frame in self.sender.split(frame, self.output.max_frame())?.iter() {
                frame.append_to(self.cork, 0);
            }
        } else if !self.is_echo(&frame) {
            frame.append_to(self.cork, 0);
        }
        Ok(())
    }

    /// Has a frame written from where the message lies that is handled, if it
    /// is that one.
    fn is_echo(&mut self, frame: &OutFrame<'_>) -> bool {
        let (Some(lent), Some([head, payload])) = (self.lent, frame.as_slices()) else {
            return false;
        };
        let is_lent = lent.address == payload.as_ptr().addr()
            && lent.len == payload.len()
            && head.len() <= lent.room;
        if is_lent {
            // Once: a second frame could need another head in the same place.
            self.lent = None;
            let mut echo = Echo {
                head: [0; MAX_HEADER_LEN],
                head_len: head.len(),
                cork_end: self.cork.len(),
            };
            echo.head[..head.len()].copy_from_slice(head);
            self.echo = Some(echo);
        }
        is_lent
    }

    pub(crate) const fn into_echo(self) -> Option<Echo> {
        self.echo
    }
}
