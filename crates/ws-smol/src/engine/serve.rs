//! Receiving for a handler: all that is there, and then one write of all the
//! replies.

use std::{
    io::IoSlice,
    ops::Range,
    task::{Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{Chunk, Event, Message as MessageRef, ProtocolError};

use super::{
    Engine, Want,
    read::{Target, answer},
};
use crate::{
    compression::LentPool,
    error::Error,
    input::{Staging, with_staging},
    replies::Replies,
};

/// Why handing out stops before its time.
enum Stop {
    Peer(ProtocolError),
    Handler(Error),
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Self {
        Self::Peer(error)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Hands all messages that are there to `handler`, and waits until there
    /// is one; `false` once the connection is closed.
    pub(crate) fn poll_receive_with(
        &mut self,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Poll<Result<bool, Error>> {
        self.is_writing = false;
        with_staging(|staging| {
            let mut handled = 0;
            let result = self.poll_serve(staging, &mut |message, replies| {
                handled += 1;
                handler(message, replies)
            });
            match result {
                Poll::Pending if handled > 0 => Poll::Ready(Ok(true)),
                result => result,
            }
        })
    }

    /// Reads and hands out until there is nothing more, then writes.
    fn poll_serve(
        &mut self,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Poll<Result<bool, Error>> {
        loop {
            if !self.is_receiving() && !self.has_backlog() {
                ready!(self.poll_end());
                return Poll::Ready(self.take_outcome().map(|_| false));
            }
            if self.output.is_full() && self.poll_drain().is_pending() {
                ready!(self.poll_time());
                continue;
            }
            let handed_out = self.hand_out(staging, handler);
            self.flush_replies(staging);
            self.note_close();
            match handed_out {
                Ok(()) => {}
                Err(Stop::Handler(error)) => return Poll::Ready(Err(error)),
                Err(Stop::Peer(error)) => {
                    self.fail(error);
                    continue;
                }
            }
            if self.receiver.is_closed() {
                self.end_after_close();
                continue;
            }
            if self.output.is_full() || !self.is_receiving() {
                continue;
            }
            match self.poll_fill_or_gather(staging, handler) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.note_close();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    // All that was there is read: now what waits goes out.
                    let _ = self.poll_drain();
                    ready!(self.poll_time());
                }
            }
        }
    }

    /// Gives the peer its time to answer a Close that a handler has sent.
    fn note_close(&mut self) {
        if self.sender.is_close_sent() {
            self.begin_closing();
        }
    }

    /// Hands out what was read, as long as the peer reads the replies.
    fn hand_out(
        &mut self,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<(), Stop> {
        while let Some(found) = self.take_backlog(Want::Message) {
            if let Some(message) = found.into_message() {
                self.hand_over(message.as_ref(), staging, handler)?;
            }
            if self.output.is_full() {
                return Ok(());
            }
        }
        if self.backlog.is_discarding() {
            self.parse(None)?;
            return Ok(());
        }
        if self.compression.is_inflating() {
            self.hand_out_inflated(staging, handler)?;
        }
        while !self.input.unparsed().is_empty()
            && !self.output.is_full()
            && !self.compression.is_inflating()
        {
            if self.hand_out_whole(staging, handler)? {
                continue;
            }
            let mut rest = self.input.unparsed();
            let event = self.receiver.receive(&mut rest)?;
            let left = rest.len();
            match event {
                None => {}
                Some(Event::Compressed(piece)) => {
                    // It is put back in front of the rest.
                    let left = left + piece.data.len();
                    self.compression.hold(&piece);
                    self.input.set_left(left);
                    self.hand_out_inflated(staging, handler)?;
                    continue;
                }
                Some(Event::Data(Chunk {
                    data: MessageRef::Binary(bytes),
                    first: true,
                    last: false,
                    ..
                })) if left == 0 && bytes.len() >= GATHER_MIN => {
                    let len = bytes.len();
                    self.life.has_data = true;
                    self.input.begin_message(len);
                    break;
                }
                Some(Event::Data(chunk)) => {
                    self.life.has_data = true;
                    self.life.has_finished |= chunk.last;
                    let message = self.joiner.push(&chunk);
                    // What is left is noted before the handler, which may fail.
                    self.input.set_left(left);
                    if let Some(message) = message {
                        self.hand_over(message.data.as_ref(), staging, handler)?;
                    }
                    continue;
                }
                Some(event) => {
                    let Self {
                        sender,
                        output,
                        life,
                        close_status,
                        config,
                        ..
                    } = self;
                    let cork = Some(&mut staging.cork);
                    answer(&event, config, sender, output, cork, life, close_status);
                }
            }
            self.input.set_left(left);
        }
        Ok(())
    }

    /// Hands out what comes out of a piece of a compressed message. What others
    /// wait for is how much that is, and not how little was read.
    fn hand_out_inflated(
        &mut self,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<(), Stop> {
        let mut pool = LentPool::default();
        while self.left > 0
            && let Some(chunk) = self.inflate_chunk(&mut pool)?
        {
            if chunk.first && chunk.last {
                self.hand_over(chunk.data, staging, handler)?;
            } else if let Some(piece) = self.joiner.push(&chunk) {
                self.hand_over(piece.data.as_ref(), staging, handler)?;
            }
        }
        Ok(())
    }

    /// Hands over a message that does not lie in the input.
    fn hand_over(
        &mut self,
        message: MessageRef<'_>,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<(), Stop> {
        let mut replies = Replies::new(
            &mut self.sender,
            &mut self.compression,
            &mut self.output,
            staging,
        );
        handler(message, &mut replies).map_err(Stop::Handler)
    }

    /// Hands out the next message if it lies whole in the input, by a shorter
    /// way.
    #[inline]
    fn hand_out_whole(
        &mut self,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<bool, Stop> {
        let end = self.input.span().end;
        let mut rest = self.input.unparsed();
        let frame = rest.as_ptr().addr();
        let Some(message) = self.receiver.receive_whole(&mut rest)? else {
            return Ok(false);
        };
        let left = rest.len();
        let end = end - left;
        let bytes = message.as_bytes();
        let room = bytes.as_ptr().addr() - frame;
        staging.echoes.lend(bytes, end - bytes.len(), room);
        let mut replies = Replies::new(
            &mut self.sender,
            &mut self.compression,
            &mut self.output,
            staging,
        );
        let result = handler(message, &mut replies);
        self.life.has_data = true;
        self.life.has_finished = true;
        if !(result.is_err() && fault!("rest-read-again")) {
            self.input.set_left(left);
        }
        if staging.len() >= CORK_MAX {
            self.flush_replies(staging);
        }
        result.map_err(Stop::Handler)?;
        Ok(true)
    }

    /// Reads once: what is to be parsed next, or the rest of a long message to
    /// where it belongs.
    fn poll_fill_or_gather(
        &mut self,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Poll<Result<(), Error>> {
        let missing = self.receiver.frame_remaining();
        if !self.input.is_gathering() || missing == 0 {
            self.spill();
            return self.poll_fill(usize::MAX).map(Ok);
        }
        let Some(len) = ready!(self.poll_gain(Target::Message(missing))) else {
            return Poll::Ready(Ok(()));
        };
        // The rest of a binary frame's payload: nothing can be wrong with it.
        let received = self.receiver.receive(&mut self.input.gained(len));
        let is_last = matches!(received, Ok(Some(Event::Data(Chunk { last: true, .. }))));
        self.input.extend_message(len);
        self.life.has_data = true;
        self.life.has_finished |= is_last;
        if is_last && let Some(span) = self.input.end_message() {
            self.hand_out_gathered(span, staging, handler)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Hands out a message that was read to where it belongs.
    fn hand_out_gathered(
        &mut self,
        span: Range<usize>,
        staging: &mut Staging,
        handler: &mut impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let message = &*self.input.bytes(span.clone());
        // What lay in front of it was dealt with before.
        staging.echoes.lend(message, span.start, span.start);
        let mut replies = Replies::new(
            &mut self.sender,
            &mut self.compression,
            &mut self.output,
            staging,
        );
        let result = handler(MessageRef::Binary(message), &mut replies);
        self.flush_replies(staging);
        result
    }

    /// Writes the replies, and keeps what the transport does not take.
    #[inline]
    fn flush_replies(&mut self, staging: &mut Staging) {
        let Staging { cork, echoes } = staging;
        if echoes.is_empty() {
            // Nothing is lent any more.
            echoes.flush(cork, &mut [], |_| {});
        } else {
            self.flush_echoes(staging);
        }
        if !staging.cork.is_empty() {
            self.write_or_queue(&mut [IoSlice::new(&staging.cork)]);
            staging.cork.clear();
        }
    }

    #[inline(never)]
    fn flush_echoes(&mut self, Staging { cork, echoes }: &mut Staging) {
        let mut memory = self.input.take_memory();
        echoes.flush(cork, &mut memory, |slices| self.write_or_queue(slices));
        self.input.put_memory(memory);
    }
}

/// The first bytes of a message that is worth a buffer of its own.
const GATHER_MIN: usize = 8 * 1024;

/// Replies are written once they are this long.
const CORK_MAX: usize = 64 * 1024;
