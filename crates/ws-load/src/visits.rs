//! Connections that come while others send.

use std::{io, time::Instant};

use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::{
    arrivals::{Arrivals, Arrived, FIRST_TOKEN},
    error::OpenError,
    frames::{Masks, OPCODE_CLOSE, append_frame},
    plan::VisitPlan,
    report::Visited,
    schedule::Schedule,
    stream::Stream,
    target::Target,
};

/// Connections that come and stay, or go.
#[derive(Debug)]
pub(crate) struct Visits {
    arrivals: Arrivals,
    plan: VisitPlan,
    greeting: Vec<u8>,
    close: Vec<u8>,
    staying: Vec<Stream>,
    leaving: Slab<Leaving>,
    pub(crate) visited: Visited,
}

/// One that has sent its Close, or will when it is answered.
#[derive(Debug)]
struct Leaving {
    stream: Stream,
    owes_close: bool,
    due: Instant,
}

/// Tokens from here on are of those that leave.
const LEAVING_TOKEN: usize = FIRST_TOKEN + FIRST_TOKEN / 2;
/// How many begin in a turn: each keeps this thread for some 10 µs.
const A_TURN: usize = 4;

impl Visits {
    /// Has them come behind `number` connections that are there, from `start` on.
    pub(crate) fn new(
        target: &Target,
        plan: VisitPlan,
        masks: Masks,
        number: usize,
        start: Instant,
    ) -> Self {
        let (schedule, count, at_once) = match plan {
            VisitPlan::Storm(count) => (Schedule::all_at(start), count, usize::MAX),
            VisitPlan::Churn(rate) => {
                let schedule = Schedule::new(start, rate, std::time::Duration::ZERO);
                (schedule, usize::MAX, usize::MAX)
            }
            VisitPlan::ChurnAtOnce(at_once) => (Schedule::all_at(start), usize::MAX, at_once),
        };
        let mut close = Vec::new();
        append_frame(
            &mut close,
            true,
            OPCODE_CLOSE,
            masks,
            1,
            &1000u16.to_be_bytes(),
        );
        Self {
            arrivals: Arrivals::new(target.clone(), schedule, count, at_once).after(number),
            plan,
            greeting: target.greeting.clone(),
            close,
            staying: Vec::new(),
            leaving: Slab::new(),
            visited: Visited::default(),
        }
    }

    /// When the next comes.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        match self.room() {
            0 => None,
            _ => self.arrivals.next_due(),
        }
    }

    /// Whether a server has something to do for them.
    pub(crate) fn is_waiting(&self) -> bool {
        self.arrivals.under_way() + self.leaving.len() > 0
    }

    fn room(&self) -> usize {
        match self.plan {
            VisitPlan::ChurnAtOnce(at_once) => {
                at_once.saturating_sub(self.arrivals.under_way() + self.leaving.len())
            }
            _ => usize::MAX,
        }
    }

    /// Begins some of those that are due; returns whether there were any.
    pub(crate) fn begin_due(&mut self, registry: &Registry, now: Instant) -> bool {
        let most = self.room().min(A_TURN);
        let (begun, failed) = self.arrivals.begin_due(registry, now, most);
        self.visited.begun += begun as u64;
        for error in failed {
            self.visited.failures.note(&error);
        }
        begun > 0
    }

    /// Goes on with the one whose token is ready.
    pub(crate) fn advance(&mut self, registry: &Registry, token: usize, buffer: &mut [u8]) {
        if token >= LEAVING_TOKEN {
            return self.see_off(token - LEAVING_TOKEN, buffer);
        }
        let outcome = match self.arrivals.advance(token) {
            None => return,
            Some(Ok(arrived)) => self.welcome(registry, arrived),
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = outcome {
            self.visited.failures.note(&error);
        }
    }

    fn welcome(&mut self, registry: &Registry, arrived: Arrived) -> Result<(), OpenError> {
        let Arrived {
            mut stream,
            opened,
            due,
            began,
            ..
        } = arrived;
        let due = match self.plan {
            // Nothing is due in a closed loop.
            VisitPlan::ChurnAtOnce(_) => began,
            _ => due,
        };
        self.visited.opened += 1;
        self.visited.resumed += u64::from(opened.is_resumed);
        self.visited.opening.record(due.elapsed());
        self.visited
            .lateness
            .record(began.saturating_duration_since(due));
        if let VisitPlan::Storm(_) = self.plan {
            self.staying.push(stream);
            return Ok(());
        }
        let owes_close = !self.greeting.is_empty();
        stream.write(if owes_close {
            &self.greeting
        } else {
            &self.close
        })?;
        let entry = self.leaving.vacant_entry();
        registry.reregister(
            stream.source(),
            Token(LEAVING_TOKEN + entry.key()),
            Interest::READABLE,
        )?;
        entry.insert(Leaving {
            stream,
            owes_close,
            due,
        });
        Ok(())
    }

    /// Waits for the end of the stream.
    fn see_off(&mut self, key: usize, buffer: &mut [u8]) {
        let Some(leaving) = self.leaving.get_mut(key) else {
            return;
        };
        loop {
            match leaving.stream.read(buffer) {
                Ok(_) => {
                    // One that the server has ended meanwhile is read to its end.
                    if std::mem::take(&mut leaving.owes_close) {
                        let _ = leaving.stream.write(&self.close);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.visited.closed += 1;
        self.visited.whole.record(leaving.due.elapsed());
        self.leaving.remove(key);
    }

    /// Counts from now on.
    pub(crate) fn begin_counting(&mut self) {
        self.visited = Visited::default();
    }
}
