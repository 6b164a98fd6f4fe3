//! Nodes that publish and subscribe, and what they saw.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ws_backplane::{
    Connect, Discontinuity, Engine, EngineError, Handler, History, Limits, Node, Position, Publish,
    PublishError, run,
};

use crate::{
    Failure,
    process::{Process, Restart},
};

/// What a node was told; shared with the thread that waits for it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<(Mutex<Story>, Condvar)>);

#[derive(Default)]
pub(crate) struct Story {
    pub(crate) told: Vec<Told>,
    pub(crate) numbers: BTreeMap<u64, Position>,
    /// What was published at each offset.
    pub(crate) payloads: BTreeMap<u64, Vec<u8>>,
    pub(crate) ups: usize,
    pub(crate) downs: Vec<EngineError>,
    pub(crate) joins: Vec<Arc<str>>,
    pub(crate) leaves: Vec<Arc<str>>,
    pub(crate) published: BTreeMap<u64, Result<Position, PublishError>>,
    /// How long each message takes to be looked at.
    pub(crate) pause: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// A message, and the number in it.
    Message(Position, u64),
    Discontinuity(Discontinuity),
}

impl Seen {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Story> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Story)) {
        note(&mut self.lock());
        self.0.1.notify_all();
    }

    /// Waits until something holds.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Story) -> bool,
    ) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        let mut story = self.lock();
        while !holds(&story) {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Err(format!("{what}: not within {limit:?}").into());
            };
            let waited = self.0.1.wait_timeout(story, left);
            story = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Handler for Seen {
    fn on_message(&mut self, _: &Arc<str>, position: Position, payload: &[u8]) {
        let pause = self.lock().pause;
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let number = payload.get(..8).and_then(|number| number.try_into().ok());
        let number = number.map_or(0, u64::from_be_bytes);
        self.note(|story| {
            story.told.push(Told::Message(position, number));
            story.payloads.insert(position.offset, payload.to_vec());
            story.numbers.insert(number, position);
        });
    }

    fn on_discontinuity(&mut self, _: &Arc<str>, discontinuity: &Discontinuity) {
        self.note(|story| story.told.push(Told::Discontinuity(*discontinuity)));
    }

    fn on_join(&mut self, _: &Arc<str>, member: &Arc<str>) {
        self.note(|story| story.joins.push(member.clone()));
    }

    fn on_leave(&mut self, _: &Arc<str>, member: &Arc<str>) {
        self.note(|story| story.leaves.push(member.clone()));
    }

    fn on_up(&mut self) {
        self.note(|story| story.ups += 1);
    }

    fn on_down(&mut self, why: &EngineError) {
        self.note(|story| story.downs.push(why.clone()));
    }
}

pub(crate) const TOPIC: &str = "room";
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// How long a server stands still: several times as long as a node waits for it.
const STOPPED: Duration = Duration::from_secs(10);

/// A node at a server, which runs on a thread of the executor.
pub(crate) fn node<E, C>(engine: E, connect: C, limits: Limits) -> (Node, Seen)
where
    E: Engine + Send + 'static,
    C: Connect + Send + 'static,
    C::Stream: Send,
{
    let seen = Seen::default();
    let (node, task) = run(engine, limits, connect, seen.clone());
    thread::spawn(|| smol::block_on(task));
    (node, seen)
}

fn told_a_discontinuity(story: &Story) -> bool {
    story
        .told
        .iter()
        .any(|told| matches!(told, Told::Discontinuity(_)))
}

pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.check_interval = Duration::from_secs(1);
    limits.answer_time = Duration::from_secs(2);
    limits.presence_time = Duration::from_secs(2);
    limits.pending_bytes = 64 << 20;
    // 512 KiB may wait at the server.
    limits.window = 4;
    limits
}

/// A publisher and a subscriber.
pub(crate) struct Pair {
    pub(crate) publisher: Node,
    pub(crate) subscriber: Node,
    /// What became of publications.
    pub(crate) sent: Seen,
    pub(crate) seen: Seen,
    pub(crate) next: u64,
    pub(crate) length: usize,
}

impl Pair {
    pub(crate) fn new<E, C>(engine: impl Fn() -> E, connect: C) -> Result<Self, Failure>
    where
        E: Engine + Send + 'static,
        C: Connect + Clone + Send + 'static,
        C::Stream: Send,
    {
        let (publisher, sent) = node(engine(), connect.clone(), limits());
        let (subscriber, seen) = node(engine(), connect, limits());
        for seen in [&sent, &seen] {
            seen.wait("the engine is there", LONG, |story| story.ups > 0)?;
        }
        let pair = Self {
            publisher,
            subscriber,
            sent,
            seen,
            next: 0,
            length: 125,
        };
        pair.subscriber.subscribe(TOPIC);
        pair.wait_until_subscribed()?;
        Ok(pair)
    }

    fn wait_until_subscribed(&self) -> Result<(), Failure> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.subscriber.recover(TOPIC, None, move |_| {
            let _ = sender.send(());
        });
        Ok(receiver.recv_timeout(LONG)?)
    }

    /// Publishes the next number; returns whether it was taken.
    pub(crate) fn publish(&mut self) -> bool {
        self.next += 1;
        let (number, sent) = (self.next, self.sent.clone());
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(self.length, b'.');
        let mut publish = Publish::default();
        publish.history = History::new(10_000, Duration::from_secs(300));
        let then = move |result| sent.note(|story| drop(story.published.insert(number, result)));
        self.publisher
            .publish_then(TOPIC, payload, publish, then)
            .is_ok()
    }

    /// Publishes for some time, a thousand times a second.
    pub(crate) fn publish_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.publish();
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Publishes while a server is there, is killed, and is there again.
    pub(crate) fn publish_over_a_kill(&mut self, server: &mut impl Restart) -> Result<(), Failure> {
        self.publish_for(SHORT);
        server.process().kill()?;
        self.publish_for(SHORT);
        server.begin()?;
        self.publish_for(SHORT);
        Ok(())
    }

    /// Publishes before, while and after a server stands still.
    pub(crate) fn play_stopped(mut self, server: &Process) -> Result<String, Failure> {
        self.publish_for(SHORT);
        server.signal("STOP")?;
        self.publish_for(STOPPED);
        let is_taken = self.publish();
        server.signal("CONT")?;
        if is_taken {
            return Err("a server that does not answer is taken to be there".into());
        }
        self.settle()?;
        self.check()?.complete()
    }

    /// Publishes more than the subscriber takes, until the server ends its
    /// connection.
    pub(crate) fn cut_off(&mut self) -> Result<(), Failure> {
        self.length = 60_000;
        self.seen.lock().pause = Duration::from_millis(50);
        let until = Instant::now() + LONG;
        while self.seen.lock().downs.is_empty() {
            if Instant::now() > until {
                return Err("the server did not end the connection".into());
            }
            for _ in 0..16 {
                self.publish();
            }
            self.wait_until_answered()?;
        }
        Ok(())
    }

    /// Waits until a loss that no message shows is told, and goes on.
    pub(crate) fn play_lost(mut self) -> Result<String, Failure> {
        let limit = Duration::from_secs(4);
        self.seen
            .wait("the discontinuity", limit, told_a_discontinuity)?;
        self.publish_for(SHORT);
        self.settle()?;
        self.check()?.reported()
    }

    /// Publishes until one message has arrived, so that all before it are
    /// either there or lost.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + LONG;
        loop {
            let is_taken = self.publish();
            let number = self.next;
            let arrives = |story: &Story| story.numbers.contains_key(&number);
            let wait = Duration::from_secs(2);
            if is_taken && self.seen.wait("the last message", wait, arrives).is_ok() {
                break;
            }
            if Instant::now() > until {
                return Err("nothing arrives any more".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.wait_until_answered()
    }

    /// Waits until it is known what became of the last publication.
    pub(crate) fn wait_until_answered(&self) -> Result<(), Failure> {
        let next = self.next;
        self.sent
            .wait("every publication is answered", LONG, |story| {
                story.published.contains_key(&next)
            })
    }

    /// Checks that every run is contiguous, and that each message that was
    /// acknowledged arrived, or is in a discontinuity.
    pub(crate) fn check(&self) -> Result<Summary, Failure> {
        let (sent, seen) = (self.sent.lock(), self.seen.lock());
        let mut last: Option<Position> = None;
        let mut gaps = Vec::new();
        for told in &seen.told {
            match *told {
                Told::Message(position, _) => {
                    if last.is_some_and(|last| position.offset != last.offset + 1) {
                        return Err(format!("{position} came after {last:?}").into());
                    }
                    last = Some(position);
                }
                Told::Discontinuity(gap) => {
                    gaps.push(gap);
                    last = Some(gap.to);
                }
            }
        }
        let acknowledged = sent
            .published
            .iter()
            .filter_map(|(number, result)| Some((number, *result.as_ref().ok()?)));
        let missing = acknowledged.filter(|(number, _)| !seen.numbers.contains_key(number));
        let missing: Vec<_> = missing.map(|(_, position)| position).collect();
        if let Some(silent) = missing
            .iter()
            .find(|missing| !gaps.iter().any(|gap| covers(gap, **missing)))
        {
            return Err(format!("{silent} was lost in silence").into());
        }
        Ok(Summary {
            arrived: seen.numbers.len(),
            missing: missing.len(),
            discontinuities: gaps.len(),
        })
    }

    /// Checks, where publications have no position that others share, that each
    /// message that was acknowledged arrived, or a discontinuity was told in
    /// its place.
    pub(crate) fn check_by_numbers(&self) -> Result<Summary, Failure> {
        let (sent, seen) = (self.sent.lock(), self.seen.lock());
        let acknowledged: Vec<u64> = sent
            .published
            .iter()
            .filter_map(|(number, result)| result.is_ok().then_some(*number))
            .collect();
        let (mut last, mut is_told, mut gaps, mut missing) = (0, false, 0, 0);
        for told in &seen.told {
            let Told::Message(_, number) = *told else {
                is_told = true;
                gaps += 1;
                continue;
            };
            let between = |other: &&u64| last < **other && **other < number;
            let lost = acknowledged.iter().filter(between).count();
            if number <= last || (lost > 0 && !is_told) {
                return Err(format!("{number} came after {last}, {lost} were lost").into());
            }
            missing += lost;
            (last, is_told) = (number, false);
        }
        Ok(Summary {
            arrived: seen.numbers.len(),
            missing,
            discontinuities: gaps,
        })
    }
}

/// Whether a lost message is among those that a discontinuity tells of.
fn covers(gap: &Discontinuity, lost: Position) -> bool {
    let is_after = lost.epoch == gap.from.epoch && lost.offset > gap.from.offset;
    let is_before = lost.epoch == gap.to.epoch && lost.offset <= gap.to.offset;
    is_after || is_before
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) arrived: usize,
    pub(crate) missing: usize,
    pub(crate) discontinuities: usize,
}

impl Summary {
    /// All arrived.
    pub(crate) fn complete(self) -> Result<String, Failure> {
        match self.missing + self.discontinuities {
            0 => Ok(self.said()),
            _ => Err(self.said().into()),
        }
    }

    /// Something was lost, and reported.
    pub(crate) fn reported(self) -> Result<String, Failure> {
        match self.discontinuities {
            0 => Err("no discontinuity was told".into()),
            _ => Ok(self.said()),
        }
    }

    fn said(self) -> String {
        format!(
            "{} arrived, {} lost, {} discontinuities",
            self.arrived, self.missing, self.discontinuities
        )
    }
}
