//! What a node holds, and waits for, at most.

use std::time::Duration;

use crate::{NameError, Publish, PublishError};

/// Limits of one node; all are finite by default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a payload: 65,536. A longer one is not published, and
    /// [`PublishError::TooLong`](crate::PublishError::TooLong) tells it.
    pub payload: usize,
    /// Bytes of the name of a topic, and of a member: 256.
    pub name: usize,
    /// Messages of history that a publication may ask for: 10,000.
    pub history: u32,
    /// Topics that the node subscribes to: 250,000.
    pub topics: usize,
    /// Bytes of payloads that were published and are not answered: 16 MiB.
    pub pending_bytes: usize,
    /// How long a publication may wait while the engine is away: not at all.
    /// With zero a publication is
    /// [`Unavailable`](crate::PublishError::Unavailable) at once.
    pub outage_wait: Duration,
    /// How long a request for recovery waits for the engine: 10 s.
    pub recover_wait: Duration,
    /// Requests for recovery and for presence that wait: 65,536.
    pub waiting: usize,
    /// Messages that one recovery gives at most: 1,000. What is further back
    /// is [`Why::Limit`](crate::Why::Limit).
    pub recover_messages: usize,
    /// Bytes of payloads that one recovery gives at most: 8 MiB.
    pub recover_bytes: usize,
    /// How long recovered messages of a topic are kept for the next client
    /// that asks: 5 s. So a storm of returning clients is one read.
    pub recover_linger: Duration,
    /// Bytes of payloads of one topic that wait for a read of its history:
    /// 4 MiB. What is beyond is read from the history.
    pub held_bytes: usize,
    /// Messages that are asked for in one read: 256. A read for clients asks for
    /// as many as [`recover_messages`](Self::recover_messages), and begins a
    /// quarter of a page further back than it would have to.
    pub page: u32,
    /// Bytes of payloads that are asked for in one read: 131,072. One message
    /// comes, however long it is.
    pub page_bytes: usize,
    /// How long a topic that nobody subscribes to any more stays subscribed
    /// at the engine: 5 s.
    pub linger: Duration,
    /// How often the engine is asked for the last position of each topic: 5 s.
    /// A lost message that no later one shows is found then.
    pub check_interval: Duration,
    /// How many topics are asked for in a second at most: 5,000. With more
    /// than [`check_interval`](Self::check_interval) allows, each topic's turn
    /// comes later.
    pub checks_per_second: u32,
    /// Requests about topics that are under way at once: 64. What the engine
    /// may have to hold for this node is so many times
    /// [`page_bytes`](Self::page_bytes); it should be below the limit that the
    /// engine has for it, in Redis `client-output-buffer-limit pubsub`.
    pub window: usize,
    /// How long the engine may take for an answer: 5 s. Then the connection
    /// is given up.
    pub answer_time: Duration,
    /// How long a member is present after the last sign of its node: 30 s.
    /// A node gives a sign three times in that time.
    pub presence_time: Duration,
    /// Members that this node has in one topic: 10,000.
    pub members: usize,
}

impl Limits {
    /// What is known of a publication without knowing what waits.
    pub(crate) fn check_publication(
        &self,
        topic: &str,
        length: usize,
        publish: &Publish,
    ) -> Result<(), PublishError> {
        self.check_name(topic)?;
        if let Some(key) = &publish.key {
            self.check_name(key)?;
        }
        let limit = self.payload;
        if length > limit {
            return Err(PublishError::TooLong { length, limit });
        }
        let (messages, limit) = (publish.history.messages, self.history);
        if messages > limit {
            return Err(PublishError::History { messages, limit });
        }
        Ok(())
    }

    pub(crate) fn check_name(&self, name: &str) -> Result<(), NameError> {
        let (length, limit) = (name.len(), self.name);
        match length {
            0 => Err(NameError::Empty),
            _ if length > limit => Err(NameError::TooLong { length, limit }),
            _ => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 64 << 10,
            name: 256,
            history: 10_000,
            topics: 250_000,
            pending_bytes: 16 << 20,
            outage_wait: Duration::ZERO,
            recover_wait: Duration::from_secs(10),
            waiting: 1 << 16,
            recover_messages: 1_000,
            recover_bytes: 8 << 20,
            recover_linger: Duration::from_secs(5),
            held_bytes: 4 << 20,
            page: 256,
            page_bytes: 128 << 10,
            linger: Duration::from_secs(5),
            check_interval: Duration::from_secs(5),
            checks_per_second: 5_000,
            window: 64,
            answer_time: Duration::from_secs(5),
            presence_time: Duration::from_secs(30),
            members: 10_000,
        }
    }
}
