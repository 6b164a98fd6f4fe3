//! The sending side of compression, for a turn.

use std::sync::Arc;

use ws_proto::{DeflateCodec, DeflatePool, Message, OpCode, OutFrame, Prepared, SendError};

use crate::{Backpressure, Refused, Transport, connection::outgoing::Outgoing, metrics::Counters};

/// What compresses the messages of one connection at a time.
#[derive(Debug)]
pub(crate) struct Deflating {
    /// That of the connection.
    pub(crate) codec: DeflateCodec,
    pub(super) pool: DeflatePool,
    /// `None` if the loop is not ours.
    pub(super) counters: Option<Arc<Counters>>,
}

/// What a frame takes to leave.
pub(crate) struct Wire<'a> {
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) cork: &'a mut Vec<u8>,
    pub(crate) transport: &'a mut dyn Transport,
}

impl Deflating {
    /// Sends a message, compressed if it is long enough, under a key if it has
    /// one.
    pub(crate) fn send(
        &mut self,
        key: Option<u64>,
        message: Message<'_>,
        mut wire: Wire<'_>,
    ) -> Backpressure {
        if let Err(refused) = wire.check_room(message.len(), true) {
            return refused.into();
        }
        // What may be dropped later, nothing must refer to.
        let is_alone = wire.outgoing.may_drop();
        if is_alone {
            self.codec.forget();
        }
        let (sender, pool) = (&mut wire.outgoing.sender, &mut self.pool);
        let frame = self.codec.message(sender, message, pool);
        let sent = write(key, frame, message.len(), wire, self.counters.as_deref());
        if is_alone || matches!(sent, Backpressure::Refused(_)) {
            self.codec.forget();
        }
        sent
    }

    /// Sends a fragment of a compressed message; one that is refused for want
    /// of room changes nothing.
    pub(crate) fn send_fragment(
        &mut self,
        fragment: Message<'_>,
        last: bool,
        mut wire: Wire<'_>,
    ) -> Backpressure {
        if last && !wire.outgoing.sender.is_message_open() {
            return self.send(None, fragment, wire);
        }
        // Once it is compressed, it cannot be taken back.
        if let Err(refused) = wire.check_room(fragment.len(), false) {
            return refused.into();
        }
        let (sender, pool) = (&mut wire.outgoing.sender, &mut self.pool);
        let frame = self.codec.fragment(sender, fragment, last, true, pool);
        write(None, frame, fragment.len(), wire, self.counters.as_deref())
    }

    /// Sends a message in the form that serves all who agreed on the same size
    /// of window; it is made at the first need.
    pub(crate) fn send_shared(
        &mut self,
        prepared: &mut Prepared,
        mut wire: Wire<'_>,
    ) -> Backpressure {
        let len = prepared.payload().len();
        if let Err(refused) = wire.check_room(len, true) {
            return refused.into();
        }
        let (sender, pool) = (&mut wire.outgoing.sender, &mut self.pool);
        // It refers to nothing, and nothing will refer to it: it may be
        // dropped.
        let frame = self.codec.prepared(sender, prepared, pool);
        write(None, frame, len, wire, self.counters.as_deref())
    }

    /// Sends a message that was encoded before, of which others may get a
    /// clone.
    pub(crate) fn send_prepared(
        &mut self,
        prepared: &Prepared,
        mut wire: Wire<'_>,
    ) -> Backpressure {
        let len = prepared.payload().len();
        if let Err(refused) = wire.check_room(len, true) {
            return refused.into();
        }
        let (sender, pool) = (&mut wire.outgoing.sender, &mut self.pool);
        let frame = self.codec.shared(sender, prepared, pool);
        write(None, frame, len, wire, self.counters.as_deref())
    }
}

/// Sends a frame whose message, or fragment, has `len` bytes.
fn write(
    key: Option<u64>,
    frame: Result<OutFrame<'_>, SendError>,
    len: usize,
    Wire {
        outgoing,
        cork,
        transport,
    }: Wire<'_>,
    counters: Option<&Counters>,
) -> Backpressure {
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return error.into(),
    };
    let begins = frame.is_compressed();
    let is_compressed = begins || frame.opcode() == OpCode::Continuation;
    let before = outgoing.counts.bytes;
    let sent = outgoing.send_keyed(key, frame, cork, transport);
    if let Some(counters) = counters
        && is_compressed
        && !matches!(sent, Backpressure::Refused(_))
    {
        counters.compressed_messages_sent.add(begins.into());
        counters.deflated_bytes.add(len as u64);
        let bytes = outgoing.counts.bytes - before;
        counters.compressed_bytes_sent.add(bytes);
    }
    sent
}

impl Wire<'_> {
    /// Judges, before it is made, whether a message has room, or a fragment,
    /// which may not be dropped.
    fn check_room(&mut self, len: usize, is_message: bool) -> Result<(), Refused> {
        let outgoing = &mut *self.outgoing;
        if outgoing.is_over() {
            return Err(Refused::Over);
        }
        // What may not be sent at all is told so when it is made.
        if outgoing.sender.is_close_sent() || is_message && outgoing.sender.is_message_open() {
            return Ok(());
        }
        let waiting = match is_message && outgoing.may_drop() {
            true => outgoing.outbox.len(),
            false => outgoing.pending(),
        };
        if waiting == 0 || waiting < outgoing.outbox.limit() {
            return Ok(());
        }
        outgoing.counts.refused += 1;
        Err(outgoing.overflow(len).into())
    }
}
