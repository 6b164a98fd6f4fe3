//! The connection to the engine.

use std::time::Instant;

use super::Core;
use crate::{EngineError, Handler};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    None,
    Opening(Instant),
    Open,
}

impl Core {
    pub(crate) fn is_up(&self) -> bool {
        self.connection == Connection::Open
    }

    pub(crate) fn handle_connected(&mut self, now: Instant) {
        self.metrics.connects += 1;
        self.failure = None;
        self.connection = Connection::Opening(now);
        self.want_tick(now);
    }

    /// The engine takes requests.
    pub(crate) fn handle_open(&mut self, now: Instant, handler: &mut dyn Handler) {
        if self.connection == Connection::Open {
            return;
        }
        self.connection = Connection::Open;
        self.presence_due = Some(now);
        self.last_check = None;
        handler.on_up();
        for publication in std::mem::take(&mut self.waiting) {
            self.send_publication(now, publication);
        }
        let topics: Vec<_> = self.topics.iter().map(|(at, _)| at).collect();
        for at in topics {
            self.look_at(at);
        }
    }

    pub(crate) fn handle_disconnected(
        &mut self,
        now: Instant,
        why: &EngineError,
        handler: &mut dyn Handler,
    ) {
        if self.connection != Connection::None {
            self.metrics.disconnects += 1;
        }
        let was_up = self.is_up();
        self.connection = Connection::None;
        self.requests.clear();
        self.failure = None;
        self.in_window = 0;
        self.line.clear();
        for (_, topic) in &mut self.topics {
            topic.queued = false;
            topic.asked = 0;
            topic.disconnect();
            if let Some(presence) = &mut topic.presence {
                presence.is_asked = false;
            }
        }
        self.take_back(now, handler);
        for at in self.topics.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.drop_if_idle(at);
        }
        if was_up {
            handler.on_down(why);
        }
    }

    pub(crate) fn failure(&self) -> Option<&EngineError> {
        self.failure.as_ref()
    }
}
