//! Compressed messages, between plain ones.

use ws_proto::{Assembler, CompressedChunk};

use super::{Fate, Parsed, Turn};
use crate::{Handler, Peer, Transport, deflate::Rest};

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Parses, inflates and dispatches, until the input is used up, the peer is
    /// stalled, the connection is over, or it had its share of the turn.
    pub(super) fn parse(&mut self, buffer: &mut [u8]) -> Parsed {
        let mut start = 0;
        loop {
            if let Some(rest) = self.link.rest.take() {
                let piece = &buffer[start..start + rest.len()];
                start += piece.len();
                let over = self.inflate(rest.with(piece));
                if over.is_some() || self.link.rest.is_some() {
                    let left = self.link.rest.map_or(0, Rest::len);
                    return Parsed {
                        over,
                        rest: buffer.len() - start + left,
                        begun: None,
                    };
                }
            }
            let mut parsed = self.parse_plain(&mut buffer[start..]);
            if parsed.over.is_some() || self.link.rest.is_none() {
                parsed.begun = parsed.begun.map(|at| start + at.start..start + at.end);
                return parsed;
            }
            start = buffer.len() - parsed.rest;
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
            self.slot.keepalive.handle_data(self.now);
            if let Some(counters) = self.counters {
                counters.messages_received.add(chunk.last.into());
            }
            let is_last = chunk.last;
            match H::CHUNKS {
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
