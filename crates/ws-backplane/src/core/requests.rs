//! What the engine is asked for: requests about topics, within the window.

use std::{sync::Arc, time::Instant};

use super::{
    Core,
    under_way::{Sent, What},
};
use crate::{
    Ask, Request,
    topic::{Link, Read},
};

impl Core {
    /// Puts a topic in the line of those of which something has to be asked.
    pub(super) fn look_at(&mut self, at: usize) {
        if let Some(topic) = self.topics.get_mut(at).filter(|topic| !topic.queued) {
            topic.queued = true;
            self.line.push_back(at);
        }
    }

    /// Asks for what the topics in the line need, as far as the window allows.
    pub(crate) fn pump(&mut self, now: Instant) {
        if !self.topics.is_empty() {
            self.want_tick(now);
        }
        while self.in_window < self.limits.window || !self.is_up() {
            let Some(at) = self.line.pop_front() else {
                break;
            };
            if let Some(topic) = self.topics.get_mut(at) {
                topic.queued = false;
                self.reconcile(now, at);
            }
        }
    }

    /// Brings the engine one step closer to what is wanted of a topic.
    pub(super) fn reconcile(&mut self, now: Instant, at: usize) {
        if self.drop_if_idle(at) || !self.is_up() {
            return;
        }
        let topic = &mut self.topics[at];
        match topic.link {
            Link::None => {
                topic.link = Link::Asked;
                self.metrics.subscribes += 1;
                self.ask(now, at, What::Subscribe(at), Ask::Subscribe);
            }
            Link::Subscribed if topic.is_desired() => {
                let is_check = !topic.behind && !topic.is_waited_for();
                if let Some(after) = topic.next_read(u64::from(self.limits.page / 4)) {
                    if is_check {
                        self.metrics.checks += 1;
                    } else if after.is_some() {
                        self.metrics.history_reads += 1;
                    }
                    self.ask_page(now, at, after);
                }
            }
            Link::Subscribed if topic.read == Read::None => {
                topic.link = Link::Leaving;
                self.metrics.unsubscribes += 1;
                self.ask(now, at, What::Unsubscribe(at), Ask::Unsubscribe);
            }
            Link::Asked | Link::Subscribed | Link::Leaving => {}
        }
    }

    /// Forgets a topic that nobody wants, and of which nothing is under way.
    pub(super) fn drop_if_idle(&mut self, at: usize) -> bool {
        let topic = &mut self.topics[at];
        if topic
            .presence
            .as_ref()
            .is_some_and(|presence| presence.is_idle())
        {
            topic.presence = None;
            self.present.retain(|&other| other != at);
        }
        if topic.is_desired() || topic.link != Link::None || topic.asked > 0 {
            return false;
        }
        let topic = self.topics.remove(at);
        self.names.remove(&topic.name);
        self.kept.retain(|&other| other != at);
        self.recovering.retain(|&other| other != at);
        true
    }

    pub(super) fn ask_page(&mut self, now: Instant, at: usize, after: Option<u64>) {
        let limits = &self.limits;
        // Clients get all that they may in one read, if its bytes allow it.
        let most = match self.topics[at].is_waited_for() {
            true => u32::try_from(limits.recover_messages).unwrap_or(u32::MAX),
            false => 0,
        };
        let (most, bytes) = (most.max(limits.page), limits.page_bytes);
        let ask = Ask::Read { after, most, bytes };
        self.ask(now, at, What::Read(at), ask);
    }

    /// Asks the engine for something about a topic.
    pub(super) fn ask(&mut self, now: Instant, at: usize, what: What, ask: Ask) {
        self.in_window += 1;
        self.topics[at].asked += 1;
        let topic = Arc::clone(&self.topics[at].name);
        self.request(now, topic, what, ask);
    }

    pub(super) fn request(&mut self, now: Instant, topic: Arc<str>, what: What, ask: Ask) {
        let token = self.under_way.push(Sent { at: now, what });
        let request = Request {
            token,
            topic,
            what: ask,
        };
        self.requests.push_back(request);
    }
}
