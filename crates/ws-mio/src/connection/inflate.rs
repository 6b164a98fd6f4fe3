//! Compressed messages, between plain ones.

use ws_proto::Assembler;

use super::{Fate, Parsed, Turn};
use crate::{Handler, Peer, Transport};

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Goes on with the last `left` bytes of the buffer, which begin with a
    /// piece of a compressed message.
    #[cold]
    pub(super) fn parse_compressed(&mut self, buffer: &mut [u8], mut left: usize) -> Parsed {
        let len = buffer.len();
        loop {
            let mut input = &buffer[len - left..];
            let over = self.inflate(&mut input);
            left = input.len();
            if over.is_some() || self.is_inflating() {
                return Parsed {
                    over,
                    rest: left,
                    begun: None,
                };
            }
            let start = len - left;
            let mut parsed = self.parse_frames(&mut buffer[start..]);
            if !self.is_inflating() {
                parsed.begun = parsed.begun.map(|at| start + at.start..start + at.end);
                return parsed;
            }
            left = parsed.rest;
        }
    }

    /// Inflates the piece that the input begins with, and hands out what comes
    /// of it, until there is no more of it, the peer is stalled, or had its
    /// share.
    fn inflate(&mut self, input: &mut &[u8]) -> Option<Fate> {
        self.link.outgoing.answering = true;
        let over = loop {
            let (Some(inflating), Some(deflating)) =
                (self.inflating.as_deref_mut(), self.deflating.as_deref_mut())
            else {
                break None;
            };
            let chunk = match inflating.inflate(&mut deflating.codec, input) {
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
                break (goes_on && !has_share).then_some(Fate::NextTurn);
            }
        };
        self.link.outgoing.answering = false;
        over
    }
}
