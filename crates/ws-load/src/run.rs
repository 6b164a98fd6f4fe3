//! A run from the first connection to the last answer.

use std::time::{Duration, Instant};

use ws_handshake::DeflateParams;

use crate::{
    arrivals::{Arrivals, Arrived},
    error::{LoadError, OpenError},
    fleet::{AT_ONCE, Fleet, is_alike},
    flow::{Flow, Kind},
    measured::{Interval, Measured},
    plan::{Pace, Plan, VisitPlan},
    report::{Handshakes, Reach, Report},
    schedule::Schedule,
    visits::Visits,
};

/// Carries out a plan. `show` sees every second of it.
///
/// It returns after the ramp, the warm-up, what is measured, and [`Plan::drain`] at most.
///
/// # Errors
///
/// A plan that cannot be carried out, a server at which no connection opens, and one that stalls or
/// ends every connection that sends. A connection that fails beside others is counted.
pub fn run(plan: &Plan, show: &mut dyn FnMut(&Interval)) -> Result<Report, LoadError> {
    plan.check()?;
    let mut staff = Staff::hire(plan)?;
    staff.open()?;
    let Staff {
        mut fleet,
        kinds,
        handshakes,
        deflate,
        ..
    } = staff;
    let ramp = match plan.pace {
        Pace::Rate { ramp, .. } => ramp,
        Pace::Closed => Duration::ZERO,
    };
    let measured = Measured::after(plan.window, ramp);
    let now = Instant::now();
    let mut run = Run {
        plan,
        flow: Flow::new(plan, kinds, now),
        visits: match plan.visits {
            // It begins with the measuring.
            Some(VisitPlan::Storm(_)) => None,
            _ => visits(plan),
        },
        measured,
        shown: 0,
        turned: now,
    };
    run.flow.start(&mut fleet, &mut run.measured)?;
    while run.goes_on(&fleet)? {
        run.turn(&mut fleet)?;
        run.show(show);
    }
    run.show(show);
    run.drain(&mut fleet)?;
    let report = run.report(&fleet, handshakes, deflate);
    fleet.close(plan.drain)?;
    Ok(report)
}

/// Connections that come from now on.
fn visits(plan: &Plan) -> Option<Visits> {
    let (masks, number) = (plan.messages.masks(), plan.staying());
    Some(Visits::new(
        &plan.target,
        plan.visits?,
        masks,
        number,
        Instant::now(),
    ))
}

/// Connections that are being opened.
struct Staff<'p> {
    plan: &'p Plan,
    fleet: Fleet,
    kinds: Vec<Kind>,
    handshakes: Handshakes,
    /// What the first connection agreed on, once there is one.
    deflate: Option<Option<DeflateParams>>,
    first_failure: Option<OpenError>,
}

impl<'p> Staff<'p> {
    fn hire(plan: &'p Plan) -> Result<Self, LoadError> {
        Ok(Self {
            plan,
            fleet: Fleet::new(plan.messages.masks())?,
            kinds: Vec::with_capacity(plan.staying()),
            handshakes: Handshakes::default(),
            deflate: None,
            first_failure: None,
        })
    }

    fn kind(&self, number: usize) -> Kind {
        match number.checked_sub(self.plan.connections) {
            None => Kind::Active,
            Some(number) if number < self.plan.slow_connections() => Kind::Slow,
            Some(_) => Kind::Idle,
        }
    }

    fn open(&mut self) -> Result<(), LoadError> {
        let plan = self.plan;
        let start = Instant::now();
        let (schedule, at_once) = match plan.connect_rate {
            Some(rate) => (Schedule::new(start, rate, Duration::ZERO), usize::MAX),
            None => (Schedule::all_at(start), AT_ONCE),
        };
        let slow = plan.connections..plan.connections + plan.slow_connections();
        let mut arrivals = Arrivals::new(plan.target.clone(), schedule, plan.staying(), at_once)
            .with_small_buffers(slow);
        while !arrivals.is_done() {
            let registry = self.fleet.poll.registry();
            let (_, failed) = arrivals.begin_due(registry, Instant::now(), AT_ONCE);
            for error in failed {
                self.fail(error);
            }
            if arrivals.under_way() == 0 {
                self.fleet.note_quiet();
            }
            let due = arrivals.next_due();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            self.fleet.poll(Some(wait.unwrap_or(PAUSE).min(PAUSE)))?;
            for at in 0..self.fleet.ready.len() {
                let token = self.fleet.ready[at];
                match arrivals.advance(token) {
                    Some(Ok(arrived)) => self.welcome(arrived),
                    Some(Err(error)) => self.fail(error),
                    None => self.listen(token),
                }
            }
        }
        self.handshakes.seconds = start.elapsed().as_secs_f64();
        match self.first_failure.take() {
            Some(error) if self.handshakes.open == 0 => Err(LoadError::NoConnection(error)),
            _ if self.plan.connections > 0 && !self.kinds.contains(&Kind::Active) => Err(
                LoadError::Plan("no connection that is to send has opened; others have"),
            ),
            _ => Ok(()),
        }
    }

    fn welcome(&mut self, arrived: Arrived) {
        let since = match self.plan.connect_rate {
            Some(_) => arrived.due,
            // They wait for each other.
            None => arrived.began,
        };
        let (took, number) = (since.elapsed(), arrived.number);
        let (deflate, is_resumed) = (arrived.opened.deflate, arrived.opened.is_resumed);
        let first = *self.deflate.get_or_insert_with(|| {
            self.fleet.set_batches(&self.plan.messages.batches(deflate));
            deflate
        });
        if !is_alike(first, deflate) {
            return self.fail(OpenError::OtherDeflate);
        }
        match self.fleet.adopt(arrived) {
            Ok(_) => {
                self.kinds.push(self.kind(number));
                self.handshakes.open += 1;
                self.handshakes.resumed += u64::from(is_resumed);
                self.handshakes.times.record(took);
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: OpenError) {
        self.handshakes.failures.note(&error);
        self.first_failure.get_or_insert(error);
    }

    /// Answers Pings while others are opened.
    fn listen(&mut self, place: usize) {
        let fleet = &mut self.fleet;
        let kind = self.kinds.get(place).copied();
        let Some(connection) = fleet.connections.get_mut(place) else {
            return;
        };
        if kind == Some(Kind::Slow) {
            return;
        }
        let buffer = fleet.buffer.as_mut_slice();
        if let Err(error) = connection.read(&fleet.batches, buffer, |_| {}) {
            connection.lose();
            self.kinds[place] = Kind::Idle;
            self.handshakes.open -= 1;
            self.fail(OpenError::Io(error));
        }
    }
}

/// How long a wait is at most, so that progress is seen.
const PAUSE: Duration = Duration::from_millis(100);
/// A wait that ends at a given time ends so much too early, and the rest is spun: the system wakes
/// late.
const SPIN: Duration = Duration::from_millis(1);

struct Run<'p> {
    plan: &'p Plan,
    flow: Flow,
    visits: Option<Visits>,
    measured: Measured,
    shown: usize,
    /// When the last turn ended.
    turned: Instant,
}

impl Run<'_> {
    fn goes_on(&mut self, fleet: &Fleet) -> Result<bool, LoadError> {
        let had_begun = self.measured.has_begun();
        let goes_on = self.measured.goes_on(fleet.now)?;
        if !had_begun && self.measured.has_begun() {
            self.begin_counting();
        }
        Ok(goes_on)
    }

    fn begin_counting(&mut self) {
        if let Some(broadcast) = &mut self.flow.broadcast {
            broadcast.begin_counting();
        }
        match &mut self.visits {
            Some(visits) => visits.begin_counting(),
            None => self.visits = visits(self.plan),
        }
    }

    fn turn(&mut self, fleet: &mut Fleet) -> Result<(), LoadError> {
        let timeout = self.timeout();
        let is_waiting =
            self.flow.is_waiting() || self.visits.as_ref().is_some_and(Visits::is_waiting);
        if !is_waiting {
            fleet.note_quiet();
        }
        fleet.poll(Some(timeout))?;
        // A poll that waited was no work.
        let began = if timeout.is_zero() {
            self.turned
        } else {
            fleet.now
        };
        let mut worked = self.flow.send_due(fleet, &mut self.measured)?;
        for at in 0..fleet.ready.len() {
            let token = fleet.ready[at];
            worked = true;
            match &mut self.visits {
                Some(visits) if token >= fleet.connections.len() => {
                    visits.advance(fleet.poll.registry(), token, fleet.buffer.as_mut_slice());
                }
                _ => self.flow.advance(fleet, &mut self.measured, token)?,
            }
        }
        if let Some(visits) = &mut self.visits {
            worked |= visits.begin_due(fleet.poll.registry(), fleet.now);
        }
        self.turned = Instant::now();
        if worked {
            self.measured.note_work(self.turned - began);
        }
        Ok(())
    }

    /// How long nothing is due.
    fn timeout(&self) -> Duration {
        let visit = self.visits.as_ref().and_then(Visits::next_due);
        let due = self.flow.next_due().into_iter().chain(visit).min();
        let change = self.measured.next_change();
        let due = due.map_or(change, |due| due.min(change));
        let wait = due.saturating_duration_since(self.turned).min(PAUSE);
        // Some systems count milliseconds only, and round up.
        let millis = wait.saturating_sub(SPIN).as_millis();
        Duration::from_millis(millis as u64)
    }

    fn show(&mut self, show: &mut dyn FnMut(&Interval)) {
        for interval in &self.measured.intervals()[self.shown..] {
            show(interval);
        }
        self.shown = self.measured.intervals().len();
    }

    /// Waits for the answers to what was sent.
    fn drain(&mut self, fleet: &mut Fleet) -> Result<(), LoadError> {
        let end = Instant::now() + self.plan.drain;
        self.flow.stop();
        while self.flow.is_waiting() && fleet.now < end {
            fleet.poll(Some(
                end.saturating_duration_since(Instant::now()).min(PAUSE),
            ))?;
            for at in 0..fleet.ready.len() {
                let token = fleet.ready[at];
                if token < fleet.connections.len() {
                    self.flow.advance(fleet, &mut self.measured, token)?;
                }
            }
        }
        Ok(())
    }

    fn report(
        self,
        fleet: &Fleet,
        handshakes: Handshakes,
        deflate: Option<Option<DeflateParams>>,
    ) -> Report {
        let mut latencies = self.measured.latencies.clone();
        let mut unanswered = 0;
        if self.flow.broadcast.is_none() && !self.plan.is_closed_loop() {
            for sent in fleet.connections.iter().flat_map(|each| &each.sent) {
                // It took this long at least. Else a server that stalls had the fewest.
                latencies.record(fleet.now.saturating_duration_since(*sent));
                unanswered += 1;
            }
        }
        Report {
            connections: self.plan.connections,
            idle: self.plan.idle,
            slow: self.plan.slow_connections(),
            message_len: self.plan.messages.mean_len(),
            pace: self.plan.pace,
            seconds: self.measured.seconds().unwrap_or_default(),
            sent: self.measured.sent,
            received: self.measured.received_in_time(),
            received_before: self.measured.before,
            unanswered,
            latencies,
            lateness: self.measured.lateness.clone(),
            handshakes,
            deflate: deflate.flatten(),
            lost: self.flow.lost,
            last_loss: self.flow.last_loss(),
            reach: self.flow.broadcast.map(|broadcast| Reach {
                expected: broadcast.expected,
                delivered: broadcast.delivered,
                complete: broadcast.complete,
            }),
            visited: self.visits.map(|visits| visits.visited),
            intervals: self.measured.intervals().to_vec(),
            generator: self.measured.generator().unwrap_or_default(),
            server: self.measured.server(),
        }
    }
}
