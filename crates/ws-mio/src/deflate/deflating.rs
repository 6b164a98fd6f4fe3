//! The sending side of compression, for a turn.

use std::sync::Arc;

use ws_proto::{
    DeflateConfig, DeflatePool, Deflater, Message, OpCode, OutFrame, Prepared, SendError,
};

use super::{Wire, terms::NO_WINDOW};
use crate::{Backpressure, metrics::Counters};

/// What compresses the messages of one connection at a time.
#[derive(Debug)]
pub(crate) struct Deflating {
    pub(super) deflater: Deflater,
    pool: DeflatePool,
    /// The message that was last compressed for whoever wants it, so that one
    /// which is sent to many, one by one, is compressed once.
    shared: Option<Prepared>,
    /// `None` if the loop is not ours.
    counters: Option<Arc<Counters>>,
}

impl Deflating {
    pub(super) const fn new(config: DeflateConfig, counters: Option<Arc<Counters>>) -> Self {
        Self {
            deflater: Deflater::new(NO_WINDOW),
            pool: DeflatePool::new(config),
            shared: None,
            counters,
        }
    }

    /// Gives back what was not used since this was last done.
    pub(super) fn sweep(&mut self) {
        self.pool.sweep();
        self.shared = None;
    }

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
            self.deflater.forget();
        }
        let (sender, pool) = (&mut wire.outgoing.sender, &mut self.pool);
        let frame = self.deflater.message(sender, message, pool);
        let sent = write(key, frame, message.len(), wire, self.counters.as_deref());
        if is_alone || matches!(sent, Backpressure::Refused(_)) {
            self.deflater.forget();
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
        let frame = self.deflater.fragment(sender, fragment, last, pool);
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
        let frame = self.deflater.prepared(sender, prepared, pool);
        write(None, frame, len, wire, self.counters.as_deref())
    }

    /// Sends a message as [`send_shared`](Self::send_shared), and remembers its
    /// form until another is sent so.
    pub(crate) fn send_prepared(&mut self, prepared: &Prepared, wire: Wire<'_>) -> Backpressure {
        let mut shared = self.take_shared(prepared);
        let sent = self.send_shared(&mut shared, wire);
        self.shared = Some(shared);
        sent
    }

    /// Takes the message with the forms that it was compressed to so far.
    fn take_shared(&mut self, prepared: &Prepared) -> Prepared {
        // While it is held here, no other message lies at the same place.
        let place = |prepared: &Prepared| prepared.frame().as_ptr().addr();
        let shared = self.shared.take();
        shared
            .filter(|shared| place(shared) == place(prepared))
            .unwrap_or_else(|| prepared.clone())
    }
}

/// Sends a frame whose message, or fragment, has `len` bytes.
fn write(
    key: Option<u64>,
    frame: Result<OutFrame<'_>, SendError>,
    len: usize,
    mut wire: Wire<'_>,
    counters: Option<&Counters>,
) -> Backpressure {
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return error.into(),
    };
    let begins = frame.is_compressed();
    let is_compressed = begins || frame.opcode() == OpCode::Continuation;
    let before = wire.outgoing.counts.bytes;
    let sent = wire.send_keyed(key, frame);
    if let Some(counters) = counters
        && is_compressed
        && !matches!(sent, Backpressure::Refused(_))
    {
        counters.compressed_messages_sent.add(begins.into());
        counters.deflated_bytes.add(len as u64);
        let bytes = wire.outgoing.counts.bytes - before;
        counters.compressed_bytes_sent.add(bytes);
    }
    sent
}
