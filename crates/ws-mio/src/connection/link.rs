//! What a connection owns while it is in the middle of something.

use std::mem;

use ws_proto::{Assembler, BusyTimers, Flow, Limits, Masking, MaskingPolicy, Receiver, Timeout};

use crate::{
    ClientConfig, Config, Profile, SlowConsumer,
    connection::{outgoing::Outgoing, pool::Gather, role::Role},
    metrics::Counters,
};

/// What a connection owns while it is in the middle of something.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) receiver: Receiver,
    pub(super) assembler: Assembler,
    /// The message that is read into a buffer of its own.
    pub(crate) gather: Option<Gather>,
    pub(crate) outgoing: Outgoing,
    /// Input that was read and not parsed, as the peer reads slowly or the
    /// application paused.
    pub(super) unread: Vec<u8>,
    pub(crate) busy: BusyTimers,
    /// The limit that the peer has passed, for the next turn to tell.
    pub(crate) expired: Option<Timeout>,
    /// The bytes held for it that the loop has counted.
    pub(crate) counted: usize,
    /// It had a turn since its frames were counted.
    pub(crate) is_used: bool,
}

impl Link {
    fn new(
        masking: Masking,
        limits: Limits,
        max_frame_sent: usize,
        max_backpressure: usize,
        slow_consumer: SlowConsumer,
    ) -> Self {
        Self {
            receiver: Receiver::new(masking.inbound(), limits),
            assembler: Assembler::new(),
            gather: None,
            outgoing: Outgoing::new(masking, max_frame_sent, max_backpressure, slow_consumer),
            unread: Vec::new(),
            busy: BusyTimers::new(),
            expired: None,
            counted: 0,
            is_used: false,
        }
    }

    /// Makes what serves a connection in somebody else's loop.
    pub(crate) fn of_socket(role: Role, config: &ClientConfig) -> Self {
        Self::new(
            role.masking(),
            config.limits,
            config.max_frame_sent,
            config.max_backpressure,
            config.slow_consumer,
        )
    }

    /// Whether the peer may send compressed messages.
    pub(crate) fn accept_compressed(mut self, agreed: bool) -> Self {
        self.receiver = self.receiver.accept_compressed(agreed);
        self
    }

    /// Starts with input that was read before.
    pub(crate) fn with_unread(mut self, unread: Vec<u8>) -> Self {
        self.unread = unread;
        self
    }

    /// Tells whether a new one would do as well.
    pub(crate) fn is_idle(&self) -> bool {
        self.receiver.is_idle() && self.outgoing.is_idle() && self.unread.is_empty()
    }

    /// Returns how its data flows, at the end of a turn.
    pub(crate) fn flow(&mut self, high_water: usize) -> Flow {
        Flow {
            is_waiting: self.outgoing.is_waiting(),
            has_moved: mem::take(&mut self.outgoing.has_moved),
            is_begun: !self.receiver.is_idle(),
            received: self.receiver.message_received(),
            is_reading: self.outgoing.goes_on(high_water),
            is_paused: self.outgoing.paused,
            is_close_sent: self.outgoing.sender.is_close_sent(),
        }
    }

    /// Returns how much memory is held for the peer, in bytes.
    fn held(&self) -> usize {
        let gathered = self.gather.as_ref();
        self.unread.capacity()
            + self.assembler.capacity()
            + self.outgoing.held()
            + gathered.map_or(0, |gather| gather.scratch.len())
    }

    /// Notes and returns how many bytes are held for the peer, with those that
    /// its transport holds.
    pub(crate) fn count_held(&mut self, below: usize) -> usize {
        self.counted = size_of::<Self>() + self.held() + below;
        self.counted
    }

    /// Adds what was received and sent since this was last asked.
    pub(crate) fn add_counts_to(&mut self, counters: &Counters) {
        if mem::take(&mut self.is_used) {
            counters.count_received(&self.receiver.take_counts());
            let sent = self.outgoing.take_counts();
            counters.count_sent(&sent, self.outgoing.sender.masking());
        }
    }
}

/// Makes what serves a connection of a loop.
pub(crate) fn new_link(
    role: Role,
    accepts_compressed: bool,
    profile: &Profile,
    config: &Config,
) -> Link {
    Link::new(
        role.masking(),
        profile.limits,
        profile.max_frame_sent.unwrap_or(config.max_frame_sent),
        config.max_backpressure,
        config.slow_consumer,
    )
    .accept_compressed(accepts_compressed)
}
