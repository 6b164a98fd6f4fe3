//! Members of topics.

use std::{sync::Arc, time::Instant};

use super::{Core, under_way::What};
use crate::{Ask, PresenceId, SubscribeError, presence::Presence, topic::Link};

impl Core {
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
        member: &Arc<str>,
    ) -> Result<(), SubscribeError> {
        self.limits.check_name(member)?;
        let at = self.topic(topic)?;
        let limit = self.limits.members;
        let presence = self.presence_at(at);
        if presence.own_count() >= limit {
            return Err(SubscribeError::Members(limit));
        }
        if presence.enter(member) && self.is_up() {
            self.send_enter(now, at, vec![Arc::clone(member)]);
        }
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    pub(crate) fn leave(&mut self, now: Instant, topic: &str, member: &str) {
        let Some(&at) = self.names.get(topic) else {
            return;
        };
        let presence = self.topics[at].presence.as_mut();
        if !presence.is_some_and(|presence| presence.leave(member)) || !self.is_up() {
            return;
        }
        self.send_leave(now, at, member.into());
        self.look_at(at);
        self.pump(now);
    }

    pub(crate) fn presence(
        &mut self,
        now: Instant,
        topic: &Arc<str>,
    ) -> Result<PresenceId, SubscribeError> {
        let at = self.topic(topic)?;
        let id = PresenceId(self.new_id());
        let limit = self.limits.waiting;
        if !self.presence_at(at).ask(id, limit) {
            return Err(SubscribeError::Waiting(limit));
        }
        self.send_members(now, at);
        self.look_at(at);
        self.pump(now);
        Ok(id)
    }

    pub(crate) fn watch(&mut self, now: Instant, topic: &Arc<str>) -> Result<(), SubscribeError> {
        let at = self.topic(topic)?;
        self.presence_at(at).watched += 1;
        self.send_members(now, at);
        self.look_at(at);
        self.pump(now);
        Ok(())
    }

    pub(crate) fn unwatch(&mut self, now: Instant, topic: &str) {
        let Some(&at) = self.names.get(topic) else {
            return;
        };
        if let Some(presence) = &mut self.topics[at].presence {
            presence.unwatch();
        }
        self.look_at(at);
        self.pump(now);
    }

    pub(super) fn with_presence(
        &mut self,
        topic: &str,
        tell: impl FnOnce(&Arc<str>, &mut Presence),
    ) {
        if let Some(&at) = self.names.get(topic) {
            let topic = &mut self.topics[at];
            if let Some(presence) = &mut topic.presence {
                tell(&topic.name, presence);
            }
        }
    }

    /// Says that this node's members are still there, and asks who else is.
    pub(super) fn renew_presence(&mut self, now: Instant) {
        if self.presence_due.is_some_and(|due| due > now) {
            return;
        }
        self.presence_due = Some(now + self.limits.presence_time / 3);
        for at in self.present.clone() {
            let members = self.presence_at(at).own();
            if !members.is_empty() {
                self.send_enter(now, at, members);
            }
            self.send_members(now, at);
        }
    }

    pub(super) fn presence_at(&mut self, at: usize) -> &mut Presence {
        if self.topics[at].presence.is_none() {
            self.present.push(at);
        }
        self.topics[at].presence.get_or_insert_default()
    }

    pub(super) fn send_enter(&mut self, now: Instant, at: usize, members: Vec<Arc<str>>) {
        let time = self.limits.presence_time;
        self.ask(now, at, What::Enter(at), Ask::Enter { members, time });
    }

    pub(super) fn send_leave(&mut self, now: Instant, at: usize, member: Arc<str>) {
        let ask = Ask::Leave {
            member: Arc::clone(&member),
        };
        self.ask(now, at, What::Leave(at, member), ask);
    }

    pub(super) fn send_members(&mut self, now: Instant, at: usize) {
        if !self.is_up() || self.topics[at].link != Link::Subscribed {
            return;
        }
        let presence = self.presence_at(at);
        if !presence.is_asked && (presence.watched > 0 || presence.waits()) {
            presence.is_asked = true;
            self.ask(now, at, What::Members(at), Ask::Members);
        }
    }
}
