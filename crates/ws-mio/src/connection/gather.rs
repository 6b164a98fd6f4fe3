//! Large messages, in buffers of their own.

use std::{io, mem, ops::Range};

use ws_proto::{Chunk, Event, Message};

use super::{Came, Turn};
use crate::{
    Handler, Peer, Transport,
    connection::{pool::Gather, scratch::Scratch, share::Share},
};

impl<H: Handler, T: Transport> Turn<'_, H, T> {
    /// Goes on with a large message in a buffer of its own, which is the one
    /// that it was read into so far; the loop gets another.
    pub(super) fn begin_gather(&mut self, scratch: &mut Scratch, payload: Range<usize>) {
        match self.pool.take() {
            Some(fresh) => {
                let scratch = mem::replace(scratch, fresh);
                self.link.gather = Some(Gather { scratch, payload });
            }
            None => self.assemble(&scratch.as_mut_slice()[payload]),
        }
    }

    /// Gathers the start of a message where all others are gathered.
    pub(super) fn assemble(&mut self, bytes: &[u8]) {
        self.link.assembler.push(Chunk {
            data: Message::Binary(bytes),
            first: true,
            last: false,
        });
    }

    /// Tells whether the rest of a frame is to be read behind what came of it.
    pub(super) fn has_room_to_gather(&mut self) -> bool {
        let remaining = self.link.receiver.frame_remaining();
        if remaining == 0 {
            return false;
        }
        let Some(mut gather) = self.link.gather.take() else {
            return false;
        };
        if gather.make_room(remaining, self.pool) {
            self.link.gather = Some(gather);
            return true;
        }
        gather.spill(&mut self.link.assembler, self.pool);
        false
    }

    /// Reads the rest of a frame, or a part of it, to where it belongs.
    pub(super) fn gather(&mut self, scratch: &mut Scratch, share: &mut Share) -> io::Result<Came> {
        let Some(mut gather) = self.link.gather.take() else {
            return Ok(Came::Nothing);
        };
        let remaining = self.link.receiver.frame_remaining();
        let room = gather.room();
        let room = match usize::try_from(remaining) {
            Ok(remaining) if remaining < room.len() => &mut room[..remaining],
            _ => room,
        };
        let read = self.read(room, share);
        let len = match read {
            Ok(Came::Bytes(len)) => len,
            _ => 0,
        };
        // The rest of a binary frame's payload: nothing can be wrong with it.
        let received = self.link.receiver.receive(&mut &mut room[..len]);
        let last = matches!(received, Ok(Some(Event::Data(Chunk { last: true, .. }))));
        gather.payload.end += len;
        if len > 0 {
            self.slot.clock.note_data(self.now);
        }
        if last {
            self.link.busy.note_finished();
        }
        if let Some(counters) = self.counters {
            counters.messages_received.add(last.into());
        }
        match last {
            true => {
                // The loop goes on with the buffer that the caches know best.
                let warm = self.deliver(gather, true);
                self.pool.give(mem::replace(scratch, warm));
            }
            false => self.link.gather = Some(gather),
        }
        read
    }

    /// Hands out a message that was gathered, and returns its buffer; `lend`
    /// says that no frames are to be written from another one.
    pub(super) fn deliver(&mut self, gather: Gather, lend: bool) -> Scratch {
        let Gather {
            mut scratch,
            payload,
        } = gather;
        let buffer = scratch.as_mut_slice();
        let message = &buffer[payload.clone()];
        let answering = mem::replace(&mut self.link.outgoing.answering, true);
        if lend {
            // What lay in front of it was dealt with before.
            let room = payload.start;
            self.link.outgoing.echoes.lend(message, payload.start, room);
        }
        call!(self, |handler, peer| handler
            .on_message(peer, message.into()));
        if lend {
            self.link
                .outgoing
                .flush_echoes(self.cork, buffer, &mut self.slot.transport);
        }
        self.link.outgoing.answering = answering;
        scratch
    }
}
