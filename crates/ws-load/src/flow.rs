//! Who sends next, and what became of it.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    broadcast::Broadcast,
    error::LoadError,
    fleet::Fleet,
    measured::Measured,
    plan::{BroadcastPlan, Pace, Plan, Slow},
    schedule::Schedule,
};

/// The messages of a run.
#[derive(Debug)]
pub(crate) struct Flow {
    kinds: Vec<Kind>,
    /// The places of those that send in turn, and who is next.
    senders: Vec<usize>,
    next: usize,
    /// None in a closed loop, and once nothing more is sent.
    schedule: Option<Schedule>,
    is_closed: bool,
    /// How many messages are sent at once, and how many answers each connection still gets in a
    /// closed loop.
    at_once: u64,
    awaited: Vec<u64>,
    pub(crate) broadcast: Option<Broadcast>,
    audience: Option<BroadcastPlan>,
    slow: Option<Slow>,
    /// When the slow ones read next.
    slow_due: Instant,
    /// Answers that are still to come, without those of connections that were lost.
    outstanding: u64,
    pub(crate) lost: u64,
    last_loss: Option<io::Error>,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Active,
    Slow,
    Idle,
}

/// How many are sent before others are read from again.
const A_TURN: usize = 64;
/// How many answers are waited for at most: what is due beyond that is sent late.
const MAX_OUTSTANDING: u64 = 4_000_000;
/// How often slow ones read.
const SLOW_TICK: Duration = Duration::from_millis(100);

impl Flow {
    pub(crate) fn new(plan: &Plan, kinds: Vec<Kind>, now: Instant) -> Self {
        let places = 0..kinds.len();
        let of = |kind| {
            places
                .clone()
                .filter(|place| kinds[*place] == kind)
                .collect::<Vec<_>>()
        };
        let mut senders = of(Kind::Active);
        match plan.broadcast {
            Some(_) => senders.truncate(1),
            None => senders.extend(of(Kind::Slow)),
        }
        Self {
            awaited: vec![0; kinds.len()],
            senders,
            kinds,
            next: 0,
            schedule: match plan.pace {
                Pace::Rate { per_second, ramp } => Some(Schedule::new(now, per_second, ramp)),
                Pace::Closed => None,
            },
            is_closed: plan.is_closed_loop(),
            at_once: plan.messages.at_once(),
            broadcast: plan.broadcast.map(|_| Broadcast::new(&plan.messages)),
            audience: plan.broadcast,
            slow: plan.slow.filter(|slow| slow.bytes_per_second > 0),
            slow_due: now,
            outstanding: 0,
            lost: 0,
            last_loss: None,
        }
    }

    /// When something is to be done unasked.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let message = match self.senders.is_empty() {
            true => None,
            false => self.schedule.as_ref().map(Schedule::due),
        };
        let slow = self.slow.map(|_| self.slow_due);
        message.into_iter().chain(slow).min()
    }

    /// Whether the server has something to do.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.outstanding > 0
    }

    /// Sends no more.
    pub(crate) fn stop(&mut self) {
        self.schedule = None;
        self.senders.clear();
    }

    /// Sends what each connection begins a closed loop with.
    pub(crate) fn start(
        &mut self,
        fleet: &mut Fleet,
        measured: &mut Measured,
    ) -> Result<(), LoadError> {
        if !self.is_closed {
            return Ok(());
        }
        for at in 0..self.senders.len() {
            self.send(fleet, measured, self.senders[at], Instant::now())?;
        }
        Ok(())
    }

    /// Sends what is due; returns whether anything was.
    pub(crate) fn send_due(
        &mut self,
        fleet: &mut Fleet,
        measured: &mut Measured,
    ) -> Result<bool, LoadError> {
        let (mut any, mut left) = (false, A_TURN);
        while !self.senders.is_empty()
            && left > 0
            && self.outstanding < MAX_OUTSTANDING
            && let Some(due) = self
                .schedule
                .as_mut()
                .and_then(|schedule| schedule.take(fleet.now))
        {
            any = true;
            left -= 1;
            self.next %= self.senders.len();
            let place = self.senders[self.next];
            self.next += 1;
            self.send(fleet, measured, place, due)?;
        }
        if self.slow.is_some() && fleet.now >= self.slow_due {
            any = true;
            self.read_slowly(fleet)?;
        }
        Ok(any)
    }

    fn send(
        &mut self,
        fleet: &mut Fleet,
        measured: &mut Measured,
        place: usize,
        due: Instant,
    ) -> Result<(), LoadError> {
        let audience = self.audience();
        let connection = &mut fleet.connections[place];
        match (&mut self.broadcast, self.kinds[place]) {
            (Some(broadcast), _) => {
                connection.queue(broadcast.next(due, audience));
                self.outstanding += audience;
            }
            (None, Kind::Slow) => connection.begin_unawaited(),
            (None, _) => {
                connection.begin(due);
                self.awaited[place] += self.at_once;
                self.outstanding += self.at_once;
            }
        }
        measured.note_sent(self.at_once, due.elapsed());
        match connection.write_unless_full(&fleet.batches) {
            Ok(()) => Ok(()),
            Err(error) => self.lose(fleet, place, error),
        }
    }

    /// How many are to get a broadcast.
    fn audience(&self) -> u64 {
        let Some(plan) = self.audience else {
            return 0;
        };
        let active = self
            .kinds
            .iter()
            .filter(|kind| **kind == Kind::Active)
            .count() as u64;
        match plan {
            BroadcastPlan::All => active,
            BroadcastPlan::Others => active.saturating_sub(1),
        }
    }

    /// Goes on with a connection that is ready.
    pub(crate) fn advance(
        &mut self,
        fleet: &mut Fleet,
        measured: &mut Measured,
        place: usize,
    ) -> Result<(), LoadError> {
        let Some(connection) = fleet.connections.get_mut(place) else {
            return Ok(());
        };
        if let Err(error) = connection.write(&fleet.batches) {
            return self.lose(fleet, place, error);
        }
        let kind = self.kinds[place];
        if kind == Kind::Slow {
            return Ok(());
        }
        let now = Instant::now();
        let (broadcast, mut seen) = (&mut self.broadcast, 0);
        let received = connection.read(&fleet.batches, fleet.buffer.as_mut_slice(), |piece| {
            if kind == Kind::Active
                && let Some(broadcast) = broadcast
                && let Some(latency) = broadcast.see(place, &piece, now)
            {
                measured.record(latency);
                seen += 1;
            }
        });
        match received {
            Err(error) => return self.lose(fleet, place, error),
            Ok(_) if kind == Kind::Idle => return Ok(()),
            Ok(received) => measured.count(received),
        };
        match &mut self.broadcast {
            None => self.answer(
                fleet,
                measured,
                place,
                received.map_or(0, |all| all.messages),
            ),
            Some(broadcast) => {
                self.outstanding = self.outstanding.saturating_sub(seen);
                let is_next = self.is_closed && broadcast.is_complete(now);
                match self.senders.first() {
                    Some(sender) if is_next => self.send(fleet, measured, *sender, Instant::now()),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Takes messages for answers, the first for the first that was sent.
    fn answer(
        &mut self,
        fleet: &mut Fleet,
        measured: &mut Measured,
        place: usize,
        messages: u64,
    ) -> Result<(), LoadError> {
        if messages == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let answers = messages.min(self.awaited[place]);
        self.awaited[place] -= answers;
        self.outstanding = self.outstanding.saturating_sub(answers);
        let connection = &mut fleet.connections[place];
        if !self.is_closed {
            // Each was due for itself.
            for sent in connection
                .sent
                .drain(..(answers as usize).min(connection.sent.len()))
            {
                measured.record(now - sent);
            }
            return Ok(());
        }
        if self.awaited[place] > 0 {
            return Ok(());
        }
        // A batch counts as a whole.
        if let Some(sent) = connection.sent.pop_front() {
            measured.record(now - sent);
        }
        match self.senders.is_empty() {
            true => Ok(()),
            false => self.send(fleet, measured, place, now),
        }
    }

    fn read_slowly(&mut self, fleet: &mut Fleet) -> Result<(), LoadError> {
        let Some(slow) = self.slow else {
            return Ok(());
        };
        self.slow_due = fleet.now + SLOW_TICK;
        let share = (slow.bytes_per_second as f64 * SLOW_TICK.as_secs_f64()).ceil() as usize;
        for place in 0..self.kinds.len() {
            if self.kinds[place] != Kind::Slow {
                continue;
            }
            let buffer = fleet.buffer.as_mut_slice();
            let len = share.min(buffer.len());
            if let Err(error) = fleet.connections[place].read_some(&mut buffer[..len]) {
                self.lose(fleet, place, error)?;
            }
        }
        Ok(())
    }

    /// Goes on without a connection.
    fn lose(&mut self, fleet: &mut Fleet, place: usize, error: io::Error) -> Result<(), LoadError> {
        let connection = &mut fleet.connections[place];
        if !connection.is_open() {
            return Ok(());
        }
        connection.lose();
        self.lost += 1;
        self.outstanding = self.outstanding.saturating_sub(self.awaited[place]);
        self.awaited[place] = 0;
        self.kinds[place] = Kind::Idle;
        let had_senders = !self.senders.is_empty();
        self.senders.retain(|sender| *sender != place);
        if had_senders && self.senders.is_empty() {
            return Err(LoadError::AllLost(error));
        }
        self.last_loss = Some(error);
        Ok(())
    }

    /// Why the last connection was lost.
    pub(crate) fn last_loss(&self) -> Option<String> {
        self.last_loss.as_ref().map(ToString::to_string)
    }
}
