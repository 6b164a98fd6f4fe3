//! Where compressed frames go.

use ws_proto::OutFrame;

use crate::{Backpressure, Refused, Transport, outgoing::Outgoing};

/// What a frame takes to leave.
pub(crate) struct Wire<'a> {
    pub(super) outgoing: &'a mut Outgoing,
    cork: &'a mut Vec<u8>,
    transport: &'a mut dyn Transport,
}

impl<'a> Wire<'a> {
    pub(crate) const fn new(
        outgoing: &'a mut Outgoing,
        cork: &'a mut Vec<u8>,
        transport: &'a mut dyn Transport,
    ) -> Self {
        Self {
            outgoing,
            cork,
            transport,
        }
    }
}

impl Wire<'_> {
    /// Sends a frame as [`Outgoing::send_keyed`].
    pub(super) fn send_keyed(&mut self, key: Option<u64>, frame: OutFrame<'_>) -> Backpressure {
        self.outgoing
            .send_keyed(key, frame, self.cork, self.transport)
    }

    /// Judges, before it is made, whether a message has room, or a fragment,
    /// which may not be dropped.
    pub(super) fn check_room(&mut self, len: usize, is_message: bool) -> Result<(), Refused> {
        if self.outgoing.is_over() {
            return Err(Refused::Over);
        }
        // What may not be sent at all is told so when it is made.
        if self.outgoing.sender.is_close_sent()
            || is_message && self.outgoing.sender.is_message_open()
        {
            return Ok(());
        }
        let waiting = match is_message && self.outgoing.may_drop() {
            true => self.outgoing.outbox.len(),
            false => self.outgoing.pending(),
        };
        if waiting == 0 || waiting < self.outgoing.outbox.limit() {
            return Ok(());
        }
        self.outgoing.counts.refused += 1;
        Err(self.outgoing.overflow(len).into())
    }
}
