//! Compressed messages, between plain ones.

use ws_proto::{Assembler, CompressedChunk};

use super::{Fate, Parsed, Turn};
use crate::{Handler, Peer, Transport, deflate::Rest};

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Parses, inflates and dispatches, until the input is used up, the peer is
    /// stalled, the connection is over, or it had its share of the turn.
    #[inline]
    pub(super) fn parse(&mut self, buffer: &mut [u8]) -> Parsed {
        let mut left = buffer.len();
        if self.link.rest.is_none() {
            let parsed = self.parse_plain(buffer);
            if self.link.rest.is_none() {
                return parsed;
            }
            left = parsed.rest;
        }
        self.parse_compressed(buffer, left)
    }

    /// Goes on with the last `left` bytes of the buffer, which begin with a
    /// compressed message.
    #[cold]
    fn parse_compressed(&mut self, buffer: &mut [u8], mut left: usize) -> Parsed {
        let len = buffer.len();
        while let Some(rest) = self.link.rest.take() {
            let piece = &buffer[len - left..][..rest.len()];
            left -= piece.len();
            let over = self.inflate(rest.with(piece));
            if over.is_some() || self.link.rest.is_some() {
                return Parsed {
                    over,
                    rest: left + self.link.rest.map_or(0, Rest::len),
                    begun: None,
                };
            }
            let start = len - left;
            let mut parsed = self.parse_plain(&mut buffer[start..]);
            if self.link.rest.is_none() {
                parsed.begun = parsed.begun.map(|at| start + at.start..start + at.end);
                return parsed;
            }
            left = parsed.rest;
        }
        Parsed {
            over: None,
            rest: left,
            begun: None,
        }
    }

    /// Inflates a piece of a message and hands out what comes of it. What is
    /// left of it when the peer is stalled, or had its share, is the link's
    /// `rest`.
    fn inflate(&mut self, mut piece: CompressedChunk<'_>) -> Option<Fate> {
        self.link.outgoing.answering = true;
        let over = loop {
            let Some(inflating) = self.inflating.as_deref_mut() else {
                break None;
            };
            let chunk = match inflating.inflate(&mut piece) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break None,
                Err(error) => {
                    self.link.receiver.refuse();
                    break Some(self.fail(error));
                }
            };
            self.slot.clock.note_data(self.now);
            if let Some(counters) = self.counters {
                counters.messages_received.add(chunk.last.into());
            }
            let is_last = chunk.last;
            if is_last {
                self.link.busy.note_finished();
            }
            match self.chunks {
                true => call!(self, |handler, peer| handler.on_chunk(peer, chunk)),
                false => join!(self, chunk),
            }
            let goes_on = self.link.outgoing.goes_on(self.high_water);
            let has_share = self
                .inflating
                .as_ref()
                .is_some_and(|inflating| inflating.has_share());
            if is_last || !goes_on || !has_share {
                if !is_last {
                    self.link.rest = Rest::of(&piece);
                }
                break (goes_on && !has_share).then_some(Fate::Again);
            }
        };
        self.link.outgoing.answering = false;
        over
    }
}
