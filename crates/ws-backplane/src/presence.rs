//! Who is present in a topic.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{Handler, PresenceId};

/// What the node knows of the presence in a topic.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Members of this node, and how often each has entered.
    own: BTreeMap<Arc<str>, u32>,
    /// Whether joins and leaves are told.
    pub(crate) watched: u32,
    /// The members that were told, and did not leave.
    known: BTreeSet<Arc<str>>,
    asks: Vec<PresenceId>,
    /// Whether the engine is asked for the members.
    pub(crate) is_asked: bool,
}

impl Presence {
    /// Returns whether the member is new.
    pub(crate) fn enter(&mut self, member: &Arc<str>) -> bool {
        let times = self.own.entry(Arc::clone(member)).or_insert(0);
        *times += 1;
        *times == 1
    }

    /// Returns whether the member is gone now.
    pub(crate) fn leave(&mut self, member: &str) -> bool {
        let Some(times) = self.own.get_mut(member) else {
            return false;
        };
        *times -= 1;
        let is_gone = *times == 0;
        if is_gone {
            self.own.remove(member);
        }
        is_gone
    }

    pub(crate) fn own(&self) -> Vec<Arc<str>> {
        self.own.keys().cloned().collect()
    }

    pub(crate) fn own_count(&self) -> usize {
        self.own.len()
    }

    /// Returns whether there was room for it.
    pub(crate) fn ask(&mut self, id: PresenceId, limit: usize) -> bool {
        let fits = self.asks.len() < limit;
        if fits {
            self.asks.push(id);
        }
        fits
    }

    pub(crate) fn waits(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether nobody needs it.
    pub(crate) fn is_idle(&self) -> bool {
        self.own.is_empty() && self.watched == 0 && self.asks.is_empty() && !self.is_asked
    }

    /// Takes the engine's word for who is there. What is new by it is told.
    pub(crate) fn members(
        &mut self,
        topic: &Arc<str>,
        members: Vec<Arc<str>>,
        handler: &mut dyn Handler,
    ) {
        self.is_asked = false;
        let members: BTreeSet<_> = members.into_iter().collect();
        for id in self.asks.drain(..) {
            handler.on_presence(id, topic, Some(&members));
        }
        if self.watched == 0 {
            return;
        }
        for member in members.difference(&self.known) {
            handler.on_join(topic, member);
        }
        for member in self.known.difference(&members) {
            handler.on_leave(topic, member);
        }
        self.known = members;
    }

    pub(crate) fn joined(&mut self, topic: &Arc<str>, member: &str, handler: &mut dyn Handler) {
        if self.watched > 0 && !self.known.contains(member) {
            let member = Arc::from(member);
            handler.on_join(topic, &member);
            if !fault!("backplane-joined-twice") {
                self.known.insert(member);
            }
        }
    }

    pub(crate) fn left(&mut self, topic: &Arc<str>, member: &str, handler: &mut dyn Handler) {
        if self.watched > 0
            && let Some(member) = self.known.take(member)
        {
            handler.on_leave(topic, &member);
        }
    }

    /// Whoever stops watching does not know who is there.
    pub(crate) fn unwatch(&mut self) {
        self.watched = self.watched.saturating_sub(1);
        if self.watched == 0 {
            self.known.clear();
        }
    }

    /// The engine did not answer.
    pub(crate) fn give_up(&mut self, topic: &Arc<str>, handler: &mut dyn Handler) {
        for id in self.asks.drain(..) {
            handler.on_presence(id, topic, None);
        }
    }
}
