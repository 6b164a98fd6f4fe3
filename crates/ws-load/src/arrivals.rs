//! Connections that are opened when they are due.

use std::{ops::Range, time::Instant};

use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::{
    error::OpenError,
    opening::{Opened, Opening},
    schedule::Schedule,
    stream::Stream,
    target::Target,
};

/// Connections on their way, and those that are still to begin.
#[derive(Debug)]
pub(crate) struct Arrivals {
    target: Target,
    schedule: Schedule,
    /// The number of the next, by which its local address is chosen, and of the last.
    next: usize,
    end: usize,
    /// How many may be on their way at once.
    at_once: usize,
    /// Those with these numbers get a small receive buffer.
    small: Range<usize>,
    under_way: Slab<UnderWay>,
}

/// What the kernel holds for one who does not read is of no interest.
const RECEIVE_BUFFER: usize = 4096;

#[derive(Debug)]
struct UnderWay {
    opening: Opening,
    due: Instant,
    began: Instant,
    number: usize,
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) stream: Stream,
    pub(crate) opened: Opened,
    pub(crate) number: usize,
    /// When it was to begin, and when it began.
    pub(crate) due: Instant,
    pub(crate) began: Instant,
}

/// Tokens from here on are of connections on their way.
pub(crate) const FIRST_TOKEN: usize = usize::MAX / 2;

impl Arrivals {
    /// Has `count` begin as scheduled, each as soon as there are fewer than `at_once` on their way.
    pub(crate) fn new(target: Target, schedule: Schedule, count: usize, at_once: usize) -> Self {
        Self {
            target,
            schedule,
            next: 0,
            end: count,
            at_once,
            small: 0..0,
            under_way: Slab::new(),
        }
    }

    /// Has the kernel hold little of what those with these numbers do not read.
    pub(crate) fn with_small_buffers(mut self, numbers: Range<usize>) -> Self {
        self.small = numbers;
        self
    }

    /// Chooses local addresses as if `number` connections were there already.
    pub(crate) const fn after(mut self, number: usize) -> Self {
        self.next += number;
        self.end = self.end.saturating_add(number);
        self
    }

    /// When the next is to begin; `None` if there is none, or others have to be done first.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let may_begin = self.next < self.end && self.under_way.len() < self.at_once;
        may_begin.then(|| self.schedule.due())
    }

    /// Tells whether none is on its way or still to begin.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.end && self.under_way.is_empty()
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Begins those that are due, at most `most`; returns how many, and what failed at once.
    pub(crate) fn begin_due(
        &mut self,
        registry: &Registry,
        now: Instant,
        most: usize,
    ) -> (usize, Vec<OpenError>) {
        let (mut begun, mut failed) = (0, Vec::new());
        while begun < most && self.next_due().is_some() {
            let Some(due) = self.schedule.take(now) else {
                break;
            };
            if let Err(error) = self.begin(registry, due) {
                failed.push(error);
            }
            self.next += 1;
            begun += 1;
        }
        (begun, failed)
    }

    fn begin(&mut self, registry: &Registry, due: Instant) -> Result<(), OpenError> {
        let began = Instant::now();
        let receive_buffer = self.small.contains(&self.next).then_some(RECEIVE_BUFFER);
        let stream = self.target.connect(self.next, receive_buffer)?;
        let mut opening = Opening::new(stream, self.target.request.as_ref())?;
        let entry = self.under_way.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(
            opening.stream().source(),
            Token(FIRST_TOKEN + entry.key()),
            interest,
        )?;
        entry.insert(UnderWay {
            opening,
            due,
            began,
            number: self.next,
        });
        Ok(())
    }

    /// Goes on with the one whose token is ready; `None` if it takes longer.
    pub(crate) fn advance(&mut self, token: usize) -> Option<Result<Arrived, OpenError>> {
        let key = token.checked_sub(FIRST_TOKEN)?;
        let opened = match self.under_way.get_mut(key)?.opening.advance() {
            Ok(None) => return None,
            Ok(Some(opened)) => Ok(opened),
            Err(error) => Err(error),
        };
        let UnderWay {
            opening,
            due,
            began,
            number,
        } = self.under_way.remove(key);
        Some(opened.map(|opened| Arrived {
            stream: opening.into_stream(),
            opened,
            number,
            due,
            began,
        }))
    }
}
