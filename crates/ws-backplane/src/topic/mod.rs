//! A topic of a node: subscribe, read, merge.

mod busy;
mod waiting;

use std::{collections::VecDeque, sync::Arc, time::Instant};

pub(crate) use busy::Waiting;
use busy::{Busy, Held, Recent};
use bytes::Bytes;

use crate::{
    Discontinuity, Handler, Incoming, Limits, Message, Metrics, Page, Position, RecoverId,
    Recovery, Why, presence::Presence,
};

/// What the node knows of a topic. It is small, as there are very many;
/// what only some need is behind a pointer.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// The last message that was told, or where the topic was when the
    /// subscription began.
    pub(crate) position: Option<Position>,
    /// How many subscriptions of the application there are.
    pub(crate) wanted: u32,
    pub(crate) link: Link,
    pub(crate) read: Read,
    /// Whether the history has to be read before anything is told.
    pub(crate) behind: bool,
    /// Whether the end is to be checked.
    pub(crate) check: bool,
    /// Whether it stands in the line of those to be looked at.
    pub(crate) queued: bool,
    /// How many requests about it are under way.
    pub(crate) asked: u32,
    pub(crate) lingers_until: Option<Instant>,
    busy: Option<Box<Busy>>,
    pub(crate) presence: Option<Box<Presence>>,
}

/// The subscription at the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    None,
    Asked,
    Subscribed,
    Leaving,
}

/// The one read of the history that is under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    None,
    /// Messages after this offset were asked for.
    UnderWay(Option<u64>),
}

/// What the application is told, and what it is told by.
pub(crate) struct Told<'a> {
    pub(crate) handler: &'a mut dyn Handler,
    pub(crate) limits: &'a Limits,
    pub(crate) metrics: &'a mut Metrics,
    /// Messages of this origin were told already.
    pub(crate) node: u64,
}

impl Topic {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            position: None,
            wanted: 0,
            link: Link::None,
            read: Read::None,
            behind: true,
            check: false,
            queued: false,
            asked: 0,
            lingers_until: None,
            busy: None,
            presence: None,
        }
    }

    /// Whether the node wants to be subscribed at the engine.
    pub(crate) fn is_desired(&self) -> bool {
        self.wanted > 0
            || self.lingers_until.is_some()
            || self.is_waited_for()
            || self.presence.is_some()
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.busy
            .as_ref()
            .is_some_and(|busy| !busy.waiting.is_empty())
    }

    /// Whether messages are told as they come.
    pub(crate) fn is_live(&self) -> bool {
        self.link == Link::Subscribed && !self.behind && self.read == Read::None
    }

    /// Takes a message that the engine sent.
    pub(crate) fn receive(&mut self, message: &Incoming<'_>, told: &mut Told<'_>) {
        if self.link == Link::None || self.link == Link::Leaving {
            return;
        }
        if self.is_live() && self.follows(message.position, message.previous) {
            self.tell(
                message.position,
                message.origin,
                message.payload,
                None,
                told,
            );
            return;
        }
        if self.is_live() && self.has_told(message.position) {
            told.metrics.duplicates += 1;
            return;
        }
        if self.is_live() {
            told.metrics.gaps += 1;
            self.behind = true;
        }
        self.hold(message, told.limits);
    }

    fn follows(&self, next: Position, previous: u64) -> bool {
        if fault!("backplane-gap-unseen") {
            return self.position.is_some_and(|last| last < next);
        }
        self.position == Some(Position::new(next.epoch, previous))
    }

    fn has_told(&self, position: Position) -> bool {
        self.position.is_some_and(|last| position <= last)
    }

    fn hold(&mut self, message: &Incoming<'_>, limits: &Limits) {
        let busy = self.busy.get_or_insert_default();
        if busy.overflowed || busy.held_bytes + message.payload.len() > limits.held_bytes {
            // The history has them, or the loss shows there.
            busy.let_go();
            busy.overflowed = true;
            return;
        }
        busy.held_bytes += message.payload.len();
        busy.held.push_back(Held {
            position: message.position,
            previous: message.previous,
            origin: message.origin,
            payload: Bytes::copy_from_slice(message.payload),
        });
    }

    /// Tells the next message; it is the topic's position from now on.
    fn tell(
        &mut self,
        position: Position,
        origin: u64,
        payload: &[u8],
        shared: Option<&Bytes>,
        told: &mut Told<'_>,
    ) {
        self.position = Some(position);
        if let Some(recent) = self.busy.as_mut().and_then(|busy| busy.recent.as_mut()) {
            let payload = shared.map_or_else(|| Bytes::copy_from_slice(payload), Bytes::clone);
            recent.push(Message { position, payload }, told.limits);
        }
        if self.wanted == 0 || origin == told.node {
            return;
        }
        told.metrics.delivered += 1;
        told.handler.on_message(&self.name, position, payload);
    }

    /// The subscription at the engine is there: messages come, and what came
    /// before is to be read.
    pub(crate) fn subscribed(&mut self) {
        self.link = Link::Subscribed;
        self.behind = true;
    }

    /// The connection is gone. What was held is in the history.
    pub(crate) fn disconnect(&mut self) {
        self.link = Link::None;
        self.read = Read::None;
        self.behind = true;
        self.check = false;
        if let Some(busy) = &mut self.busy {
            busy.let_go();
            busy.overflowed = false;
            busy.asked = 0;
        }
        self.tidy();
    }

    /// Whether there is something to be read, and after which offset. It is
    /// under way from now on.
    ///
    /// For clients it begins so much further back: others of a storm will come
    /// with positions that are a little older.
    pub(crate) fn next_read(&mut self, further: u64) -> Option<Option<u64>> {
        let checks = std::mem::take(&mut self.check);
        if self.read != Read::None || !(self.behind || checks || self.is_waited_for()) {
            return None;
        }
        let waiting = self.busy.iter().flat_map(|busy| &busy.waiting);
        let since = waiting.filter_map(|waiting| waiting.since);
        let since = since.map(|since| Position {
            offset: since.offset.saturating_sub(further),
            ..since
        });
        let after = since.chain(self.position).map(|since| since.offset).min();
        if let Some(busy) = &mut self.busy {
            busy.settled = busy.held.len();
            busy.asked = busy.waiting.len();
        }
        self.read = Read::UnderWay(after);
        Some(after)
    }

    /// Takes a page of the history. Returns the offset after which there is
    /// more to be read, if there is; it is under way from now on.
    pub(crate) fn read(&mut self, page: Page, now: Instant, told: &mut Told<'_>) -> Option<u64> {
        let Read::UnderWay(after) = self.read else {
            return None;
        };
        self.read = Read::None;
        // Nothing is missing after this offset.
        let start = after.unwrap_or(page.top.offset).max(page.oldest);
        self.place(&page, start, told);
        self.judge_waiting(&page);
        let more = self.take_messages(page, start, now, told);
        if more.is_some() {
            self.read = Read::UnderWay(more);
            if let Some(busy) = &mut self.busy {
                busy.asked = busy.waiting.len();
            }
            return more;
        }
        self.behind = false;
        self.release(told);
        if !self.behind {
            self.answer_waiting(now, told);
        }
        self.tidy();
        None
    }

    /// Where the topic's position is in what was read; if it is not there,
    /// messages are lost.
    fn place(&mut self, page: &Page, start: u64, told: &mut Told<'_>) {
        let Some(from) = self.position else {
            // The subscription begins where the topic is now.
            self.position = Some(page.top);
            return;
        };
        match judge(from, page) {
            Ok(position) => {
                if position.epoch != from.epoch {
                    self.forget_recent();
                }
                self.position = Some(position);
            }
            Err(why) => {
                let offset = start.max(from.offset).min(page.top.offset);
                let to = Position::new(page.top.epoch, offset);
                self.position = Some(to);
                self.forget_recent();
                self.tell_discontinuity(Discontinuity { why, from, to }, told);
            }
        }
    }

    fn tell_discontinuity(&self, discontinuity: Discontinuity, told: &mut Told<'_>) {
        if fault!("backplane-silent-loss") {
            return;
        }
        if self.wanted > 0 {
            told.metrics.discontinuities += 1;
            told.handler.on_discontinuity(&self.name, &discontinuity);
        }
    }

    fn forget_recent(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.recent = None;
        }
    }

    /// Tells what is new of a page, and keeps what clients wait for. Returns
    /// the last offset if there is more.
    fn take_messages(
        &mut self,
        page: Page,
        start: u64,
        now: Instant,
        told: &mut Told<'_>,
    ) -> Option<u64> {
        told.metrics.recovered += page.messages.len() as u64;
        self.keep_recent(start, page.top, now, told.limits);
        let mut last = start;
        for kept in page.messages {
            last = kept.offset;
            let position = Position::new(page.top.epoch, kept.offset);
            if self.position.is_some_and(|told| told < position) || fault!("backplane-told-twice") {
                self.tell(
                    position,
                    kept.origin,
                    &kept.payload,
                    Some(&kept.payload),
                    told,
                );
            } else if let Some(recent) = self.busy.as_mut().and_then(|busy| busy.recent.as_mut()) {
                let payload = kept.payload;
                recent.push(Message { position, payload }, told.limits);
            }
        }
        if last >= page.top.offset || (self.is_at(page.top) && !self.is_waited_for()) {
            return None;
        }
        if last > start {
            return Some(last);
        }
        // There is more, and the engine does not give it.
        if let Some(from) = self.position.filter(|_| !self.is_at(page.top)) {
            let (why, to) = (Why::Trimmed, page.top);
            self.position = Some(to);
            self.tell_discontinuity(Discontinuity { why, from, to }, told);
        }
        self.forget_recent();
        None
    }

    fn is_at(&self, top: Position) -> bool {
        self.position.is_some_and(|position| position >= top)
    }

    /// Begins to keep messages if clients wait for some.
    fn keep_recent(&mut self, start: u64, top: Position, now: Instant, limits: &Limits) {
        let Some(position) = self.position else {
            return;
        };
        let Some(busy) = &mut self.busy else { return };
        if busy.waiting.is_empty() || position.epoch != top.epoch {
            return;
        }
        let until = now + limits.recover_linger;
        match &mut busy.recent {
            // The next page of the same read.
            Some(recent) if recent.end() == start => recent.until = until,
            recent => {
                *recent = Some(Recent {
                    start: start.min(position.offset),
                    messages: VecDeque::new(),
                    bytes: 0,
                    is_cut: false,
                    until,
                });
            }
        }
    }

    /// Tells what was held, as far as it follows. What does not follow although
    /// it came before the read is in the read.
    fn release(&mut self, told: &mut Told<'_>) {
        let Some(busy) = &mut self.busy else { return };
        if std::mem::take(&mut busy.overflowed) {
            self.behind = true;
            return;
        }
        let mut settled = std::mem::take(&mut busy.settled);
        while let Some(next) = self.busy.as_mut().and_then(|busy| busy.held.pop_front()) {
            if self.follows(next.position, next.previous) || fault!("backplane-held-gap") {
                let payload = &next.payload;
                self.tell(next.position, next.origin, payload, Some(payload), told);
            } else if self.has_told(next.position) || settled > 0 {
                told.metrics.duplicates += 1;
            } else {
                told.metrics.gaps += 1;
                self.behind = true;
                self.put_back(next);
                return;
            }
            settled = settled.saturating_sub(1);
            if let Some(busy) = &mut self.busy {
                busy.held_bytes -= next.payload.len();
            }
        }
    }

    fn put_back(&mut self, held: Held) {
        if let Some(busy) = &mut self.busy {
            busy.held.push_front(held);
        }
    }

    /// Forgets what nobody has asked for lately; returns whether something is
    /// kept.
    pub(crate) fn forget(&mut self, now: Instant) -> bool {
        let recent = self.busy.as_ref().and_then(|busy| busy.recent.as_ref());
        if recent.is_some_and(|recent| recent.until <= now) && !self.is_waited_for() {
            self.forget_recent();
            self.tidy();
        }
        self.keeps_recent()
    }

    pub(crate) fn keeps_recent(&self) -> bool {
        self.busy.as_ref().is_some_and(|busy| busy.recent.is_some())
    }

    /// Gives back what is not needed while nothing happens.
    fn tidy(&mut self) {
        let is_idle =
            |busy: &Busy| busy.held.is_empty() && busy.waiting.is_empty() && busy.recent.is_none();
        if self.busy.as_deref().is_some_and(is_idle) {
            self.busy = None;
        }
    }
}

impl Told<'_> {
    pub(crate) fn lost(
        &mut self,
        id: RecoverId,
        topic: &Arc<str>,
        why: Why,
        position: Option<Position>,
    ) {
        self.metrics.lost += 1;
        self.metrics.waiting -= 1;
        self.handler
            .on_recovery(id, topic, &Recovery::Lost { why, position });
    }
}

/// Tells which position of the current epoch `position` is, if all that came
/// after it is kept.
fn judge(position: Position, page: &Page) -> Result<Position, Why> {
    let offset = position.offset;
    if position.epoch != page.top.epoch {
        let inherited = page
            .inherited
            .filter(|before| before.epoch == position.epoch);
        match inherited {
            None if fault!("backplane-epoch-unseen") => {}
            None => return Err(Why::Epoch),
            Some(before) if offset > before.offset => return Err(Why::WentBack),
            Some(_) => {}
        }
    }
    if offset > page.top.offset {
        return Err(Why::WentBack);
    }
    if offset < page.oldest && !fault!("backplane-trimmed-unseen") {
        return Err(Why::Trimmed);
    }
    Ok(Position::new(page.top.epoch, offset))
}
