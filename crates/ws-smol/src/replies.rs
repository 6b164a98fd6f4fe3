//! What a handler of messages answers with.

use ws_proto::{CloseCode, CloseFrame, Masking, OutFrame, OutboxFull, Prepared, Sender};

use crate::{
    AsOutbound, Error,
    compression::{Compression, LentPool},
    input::Staging,
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
    staging: &'a mut Staging,
}

impl<'a> Replies<'a> {
    pub(crate) const fn new(
        sender: &'a mut Sender<Masking>,
        compression: &'a mut Compression,
        output: &'a mut Output,
        staging: &'a mut Staging,
    ) -> Self {
        Self {
            sender,
            compression,
            output,
            staging,
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
        self.output.outbox.len() + self.staging.len()
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
                frame.append_to(&mut self.staging.cork, 0);
            }
        } else if !self.is_echo(&frame) {
            frame.append_to(&mut self.staging.cork, 0);
        }
        Ok(())
    }

    /// Has a frame written from where the message lies that is handled, if it
    /// is that one.
    fn is_echo(&mut self, frame: &OutFrame<'_>) -> bool {
        let Staging { cork, echoes } = &mut *self.staging;
        match frame.as_slices() {
            Some([head, payload]) => echoes.take(head, payload, cork.len()),
            None => false,
        }
    }
}
