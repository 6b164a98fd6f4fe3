//! Clients that wait for what they missed.

use std::time::Instant;

use super::{Told, Topic, busy::Waiting, judge};
use crate::{Page, Recovery, Why};

impl Topic {
    /// A client waits. It is answered at once if it can be.
    pub(crate) fn wait(&mut self, waiting: Waiting, now: Instant, told: &mut Told<'_>) {
        told.metrics.waiting += 1;
        self.busy.get_or_insert_default().waiting.push(waiting);
        if self.is_live() {
            self.answer_waiting(now, told);
            self.tidy();
        }
    }

    /// Answers those whose position is the topic's, or in what is kept.
    pub(super) fn answer_waiting(&mut self, now: Instant, told: &mut Told<'_>) {
        let Some(position) = self.position else {
            return;
        };
        let Some(busy) = &mut self.busy else { return };
        let (name, recent) = (&self.name, &mut busy.recent);
        busy.waiting.retain(|waiting| {
            if let Some(why) = waiting.lost {
                told.lost(waiting.id, name, why, Some(position));
                return false;
            }
            let since = waiting.since.unwrap_or(position);
            let messages = if since == position {
                &[][..]
            } else {
                let Some(recent) = recent.as_mut().filter(|_| since < position) else {
                    return true;
                };
                if since.offset < recent.start {
                    if !recent.is_cut {
                        return true;
                    }
                    told.lost(waiting.id, name, Why::Limit, Some(position));
                    return false;
                }
                recent.until = now + told.limits.recover_linger;
                recent.since(since.offset)
            };
            told.metrics.recoveries += 1;
            told.metrics.waiting -= 1;
            let recovery = Recovery::Recovered { messages, position };
            told.handler.on_recovery(waiting.id, name, &recovery);
            false
        });
    }

    /// Answers clients that have waited for too long.
    pub(crate) fn give_up(&mut self, now: Instant, told: &mut Told<'_>) {
        let Some(busy) = &mut self.busy else { return };
        let (name, mut left) = (&self.name, busy.asked);
        busy.waiting.retain(|waiting| {
            let is_asked = left > 0;
            left = left.saturating_sub(1);
            if waiting.until > now {
                return true;
            }
            busy.asked -= usize::from(is_asked);
            told.lost(waiting.id, name, Why::Unavailable, None);
            false
        });
        self.tidy();
    }

    /// Notes who has lost something by what was read, and moves the positions
    /// of the others to the current epoch.
    pub(super) fn judge_waiting(&mut self, page: &Page) {
        let Some(busy) = &mut self.busy else { return };
        let asked = match fault!("backplane-judged-early") {
            true => busy.waiting.len(),
            false => std::mem::take(&mut busy.asked),
        };
        for waiting in busy.waiting.iter_mut().take(asked) {
            let Some(since) = &mut waiting.since else {
                continue;
            };
            match judge(*since, page) {
                Ok(position) => *since = position,
                Err(why) => {
                    waiting.since = None;
                    waiting.lost = Some(why);
                }
            }
        }
    }
}
