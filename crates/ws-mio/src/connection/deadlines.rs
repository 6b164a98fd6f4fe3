//! By when a peer has to do what it owes.

use std::time::Duration;

use ws_proto::TimeLimits;

use super::Link;
use crate::{
    Timeout,
    wheel::{Tick, tick_from},
};

/// By when a connection that is in the middle of something has to get on with
/// it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// The peer's Close, after ours.
    pub(crate) close: Option<Tick>,
    /// The next byte that the peer takes of what waits.
    write: Option<Tick>,
    /// The end of what the peer has begun, if no more of it comes than when
    /// this was set: what comes moves it back.
    message: Option<Tick>,
    /// A message was finished since this was last looked at.
    pub(crate) has_finished: bool,
    /// What has run out, for the next turn to tell.
    pub(crate) expired: Option<Timeout>,
    /// Why our Close was sent, if it was for this.
    pub(crate) closed_for: Option<Timeout>,
}

impl Link {
    /// Starts and stops the clocks, at the end of a turn; returns the first
    /// deadline. `close` is the one for an answer to a Close that was sent in
    /// this turn.
    pub(crate) fn keep_deadlines(
        &mut self,
        now: Tick,
        limits: &TimeLimits,
        close: impl FnOnce() -> Tick,
    ) -> Option<Tick> {
        let deadlines = &mut self.deadlines;
        if self.outgoing.sender.is_close_sent()
            && deadlines.close.is_none()
            && !fault!("close-deadline-missing")
        {
            deadlines.close = Some(close());
        }
        let has_moved = std::mem::take(&mut self.outgoing.has_moved);
        if !self.outgoing.is_waiting() {
            deadlines.write = None;
        } else if (has_moved || deadlines.write.is_none()) && !fault!("write-deadline-missing") {
            deadlines.write = after(now, limits.write_progress);
        }
        let has_finished = std::mem::take(&mut deadlines.has_finished);
        if self.receiver.is_idle() {
            deadlines.message = None;
        } else if (has_finished || deadlines.message.is_none()) && !fault!("message-not-timed") {
            deadlines.message = after(now, limits.message);
        }
        self.next_deadline(limits)
    }

    /// Returns when to look next.
    pub(crate) fn next_deadline(&self, limits: &TimeLimits) -> Option<Tick> {
        let Deadlines { close, write, .. } = self.deadlines;
        // After our Close, only the peer's is waited for.
        let message = match close {
            None => self.message_deadline(limits),
            Some(_) => None,
        };
        [close, write, message].into_iter().flatten().min()
    }

    /// Returns what the peer has failed to do.
    pub(crate) fn overdue(
        &mut self,
        now: Tick,
        limits: &TimeLimits,
        high_water: usize,
    ) -> Option<Timeout> {
        let is_over = |at: Option<Tick>| at.is_some_and(|at| now >= at);
        if is_over(self.deadlines.close) {
            return Some(Timeout::Close);
        }
        if is_over(self.deadlines.write) {
            return Some(Timeout::Write);
        }
        if !is_over(self.message_deadline(limits)) || self.deadlines.close.is_some() {
            return None;
        }
        // What a peer sends while nothing is read from it is not seen.
        if !self.outgoing.goes_on(high_water) {
            self.deadlines.message = after(now, limits.message);
            return None;
        }
        Some(Timeout::Message)
    }

    /// Returns when a message has to be finished, with the time that those bytes
    /// of it earned that came.
    fn message_deadline(&self, limits: &TimeLimits) -> Option<Tick> {
        let at = self.deadlines.message?;
        let total = limits.for_message(self.receiver.message_received())?;
        let earned = total.saturating_sub(limits.message?);
        Some(tick_from(at, earned))
    }
}

fn after(now: Tick, wait: Option<Duration>) -> Option<Tick> {
    wait.map(|wait| tick_from(now, wait))
}
