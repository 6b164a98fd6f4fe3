//! Publications that are not answered.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Core, under_way::What};
use crate::{Ask, Handler, Position, Publish, PublishError, Ticket};

/// A publication that is not answered.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) ticket: Ticket,
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) publish: Publish,
    pub(super) until: Instant,
    /// Whether the engine may have it.
    pub(super) was_sent: bool,
}

impl Core {
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        payload: Bytes,
        publish: Publish,
        handler: &mut dyn Handler,
    ) -> Result<Ticket, PublishError> {
        self.check_publication(topic, &payload, &publish)?;
        let ticket = Ticket(self.new_id());
        self.pending_bytes += payload.len();
        if publish.echo
            && self
                .names
                .get(topic)
                .is_some_and(|&at| self.topics[at].wanted > 0)
        {
            handler.on_echo(topic, &payload);
        }
        let publication = Publication {
            ticket,
            topic: Arc::clone(topic),
            payload,
            publish,
            until: now + self.limits.outage_wait,
            was_sent: false,
        };
        if self.is_up() {
            self.send_publication(now, publication);
        } else {
            self.waiting.push_back(publication);
        }
        self.want_tick(now);
        Ok(ticket)
    }

    pub(crate) fn check_publication(
        &self,
        topic: &str,
        payload: &[u8],
        publish: &Publish,
    ) -> Result<(), PublishError> {
        self.limits
            .check_publication(topic, payload.len(), publish)?;
        let length = payload.len();
        if !self.is_up() && self.limits.outage_wait.is_zero() {
            return Err(PublishError::Unavailable);
        }
        let (pending, limit) = (self.pending_bytes, self.limits.pending_bytes);
        if pending + length > limit {
            return Err(PublishError::Pending { pending, limit });
        }
        Ok(())
    }

    /// What was under way has no answer: publications are sent again, or their
    /// fate is not known.
    pub(super) fn take_back(&mut self, now: Instant, handler: &mut dyn Handler) {
        let sent = self.under_way.take_all();
        let mut again = VecDeque::new();
        for sent in sent {
            let What::Publish(publication) = sent.what else {
                continue;
            };
            if fault!("backplane-ticket-lost") {
                continue;
            }
            if publication.publish.key.is_some() && publication.until > now {
                again.push_back(publication);
            } else {
                self.end_publication(publication, Err(PublishError::Unknown), handler);
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
    }

    pub(super) fn end_publication(
        &mut self,
        publication: Publication,
        result: Result<Position, PublishError>,
        handler: &mut dyn Handler,
    ) {
        self.pending_bytes -= publication.payload.len();
        match result {
            Ok(_) => self.metrics.published += 1,
            Err(_) => self.metrics.publish_failures += 1,
        }
        handler.on_published(publication.ticket, result);
    }

    pub(super) fn send_publication(&mut self, now: Instant, mut publication: Publication) {
        publication.was_sent = true;
        let ask = Ask::Publish {
            payload: publication.payload.clone(),
            history: publication.publish.history,
            key: publication.publish.key.clone(),
            origin: if publication.publish.echo {
                self.node
            } else {
                0
            },
        };
        let topic = Arc::clone(&publication.topic);
        self.request(now, topic, What::Publish(publication), ask);
    }
}
