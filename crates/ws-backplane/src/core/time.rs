//! What is due.

use std::time::Instant;

use super::{Core, connection::Connection};
use crate::{EngineError, Handler, PublishError, topic::Link};

impl Core {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, handler: &mut dyn Handler) {
        if self.next_tick.is_none_or(|at| at > now) {
            return;
        }
        self.next_tick = None;
        self.end_lingering(now);
        self.end_waiting(now, handler);
        self.forget(now);
        if self.is_up() {
            self.check_ends(now);
            self.renew_presence(now);
        }
        self.look_for_silence(now);
        self.pump(now);
        if self.has_work() {
            self.want_tick(now);
        }
    }

    pub(super) fn end_lingering(&mut self, now: Instant) {
        while let Some(&(until, at)) = self.lingering.front().filter(|(until, _)| *until <= now) {
            self.lingering.pop_front();
            let topic = self.topics.get_mut(at);
            if let Some(topic) = topic.filter(|topic| topic.lingers_until == Some(until)) {
                topic.lingers_until = None;
                self.look_at(at);
            }
        }
    }

    /// Ends what has waited for the engine for too long.
    pub(super) fn end_waiting(&mut self, now: Instant, handler: &mut dyn Handler) {
        for at in std::mem::take(&mut self.recovering) {
            if !self.topics.contains(at) {
                continue;
            }
            let (topic, mut told) = self.told(at, handler);
            topic.give_up(now, &mut told);
            if topic.is_waited_for() {
                self.recovering.push(at);
            } else {
                self.look_at(at);
            }
        }
        while self
            .waiting
            .front()
            .is_some_and(|publication| publication.until <= now)
        {
            let Some(publication) = self.waiting.pop_front() else {
                break;
            };
            let why = match publication.was_sent {
                true => PublishError::Unknown,
                false => PublishError::Unavailable,
            };
            self.end_publication(publication, Err(why), handler);
        }
        if !self.is_up() {
            for &at in &self.present {
                let topic = &mut self.topics[at];
                if let Some(presence) = &mut topic.presence {
                    presence.give_up(&topic.name, handler);
                }
            }
        }
    }

    pub(super) fn forget(&mut self, now: Instant) {
        let Self { kept, topics, .. } = self;
        kept.retain(|&at| {
            let topic = topics.get_mut(at);
            topic.is_some_and(|topic| topic.forget(now))
        });
    }

    /// Asks for the end of some topics, so that the turn of each comes.
    pub(super) fn check_ends(&mut self, now: Instant) {
        let last = self.last_check.replace(now).unwrap_or(now);
        let passed = now
            .saturating_duration_since(last)
            .min(self.limits.check_interval);
        let share = passed.as_secs_f64() / self.limits.check_interval.as_secs_f64();
        let by_interval = (self.topics.len() as f64 * share).ceil() as usize;
        let by_rate = (f64::from(self.limits.checks_per_second) * passed.as_secs_f64()).ceil();
        let mut left = by_interval.min(by_rate as usize);
        for _ in 0..self.topics.capacity() {
            if left == 0 {
                break;
            }
            let at = self.check_cursor;
            self.check_cursor = (at + 1) % self.topics.capacity();
            if let Some(topic) = self.topics.get_mut(at) {
                left -= 1;
                topic.check = topic.link == Link::Subscribed && !fault!("backplane-no-check");
                self.look_at(at);
            }
        }
    }

    pub(super) fn look_for_silence(&mut self, now: Instant) {
        let since = match self.connection {
            Connection::None => return,
            Connection::Opening(since) => Some(since),
            Connection::Open => self.under_way.oldest(),
        };
        let waited = since.map(|since| now.saturating_duration_since(since));
        if waited.is_some_and(|waited| waited >= self.limits.answer_time) {
            self.failure.get_or_insert(EngineError::Silent);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.topics.is_empty()
            || !self.waiting.is_empty()
            || !self.under_way.requests.is_empty()
            || matches!(self.connection, Connection::Opening(_))
    }

    pub(super) fn want_tick(&mut self, now: Instant) {
        let tick = self.limits.check_interval / TICKS;
        self.next_tick.get_or_insert(now + tick);
    }

    pub(super) fn linger(&mut self, now: Instant, at: usize) {
        let until = now + self.limits.linger;
        self.topics[at].lingers_until = Some(until);
        self.lingering.push_back((until, at));
        self.want_tick(now);
    }
}

/// How many times in [`Limits::check_interval`] it is looked what is due.
const TICKS: u32 = 20;
