//! Turns of the loop, up to when everything is at rest, and its end.

use std::{rc::Rc, time::Duration};

use ws_mio::{Drain, Ready};

use super::World;
use crate::{
    Simulation,
    app::{State, TICK},
    front::Front,
    peer::Mood,
    wire::Wire,
};

/// How many turns a loop may ask for at once without doing anything in them.
const IDLE_TURNS: usize = 16;
/// How long it may take to come to rest.
const ROUNDS: usize = 200_000;

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    /// Gives the loop a turn, in which `prompt` of a thousand changes reach it.
    pub(super) fn turn(&mut self, prompt: usize) {
        let now = self.now;
        self.net.now.set(now);
        self.with_app(|app| {
            app.now = now;
            app.turn += 1;
        });
        self.with_loop(|inner| inner.start_turn(now));
        let mut edges = self.net.edges.take();
        self.random.shuffle(&mut edges);
        for number in edges {
            let stream = &self.peers[number as usize].as_ref().expect("a peer").stream;
            let key = stream.borrow().key;
            if !self.random.chance(prompt) {
                self.net.edges.borrow_mut().push(number);
            } else if let Some(key) = key
                && !stream.borrow().is_dropped
            {
                let ready = stream.borrow_mut().take_ready();
                self.with_loop(|inner| inner.wake(key, ready));
            }
        }
        if self.random.chance(100) {
            self.wake_without_cause();
        }
        self.goes_on = self.with_loop(|inner| inner.finish_turn());
        let connections = self.with_loop(|inner| inner.lend().connections());
        self.most = self.most.max(connections);
        self.answer_dialled();
        self.judge_ends();
        self.totals.turns += 1;
    }

    /// As a poll does for a key that another connection had before.
    pub(super) fn wake_without_cause(&mut self) {
        let key = self.random.below(self.most + 2);
        let mut flag = || self.random.chance(500);
        let ready = Ready {
            readable: flag(),
            writable: flag(),
            read_closed: flag(),
        };
        self.with_loop(|inner| inner.wake(key, ready));
    }

    /// Lets everybody go on until nobody can.
    pub(super) fn come_to_rest(&mut self) {
        let mut idle = 0;
        for _ in 0..ROUNDS {
            let before = self.net.progress.get();
            for at in 0..self.live.len() {
                let number = self.live[at];
                if let Some(peer) = &mut self.peers[number as usize] {
                    if peer.mood == Mood::Stalled {
                        peer.mood = Mood::Normal;
                    }
                    peer.push(usize::MAX);
                    self.pull(number, usize::MAX);
                }
            }
            self.turn(1000);
            let next = self.with_loop(|inner| inner.next_timeout());
            let is_due = next.is_some_and(|next| next <= self.now) && self.goes_on;
            let is_idle = self.net.progress.get() == before && self.net.edges.borrow().is_empty();
            match (is_idle, is_due) {
                (true, false) => {
                    self.live.retain(|number| {
                        let peer = self.peers[*number as usize].as_ref();
                        peer.is_some_and(|peer| !peer.is_over())
                    });
                    return self.check_rest();
                }
                (true, true) => idle += 1,
                _ => idle = 0,
            }
            assert!(
                idle < IDLE_TURNS,
                "the loop spins: {next:?} at {:?}",
                self.now
            );
        }
        let busy = self.net.edges.borrow().first().copied();
        let busy = busy.map(|number| &self.peers[number as usize]);
        panic!("it does not come to rest: {busy:#?}");
    }

    pub(super) fn resume_all(&mut self) {
        for number in 0..self.peers.len() as u32 {
            self.with_loop(|inner| {
                let mut lent = inner.lend();
                if let Some(id) = lent.handler_mut().of(number).id {
                    let _ = lent.with_peer(id, |app, peer| app.resume(peer, number));
                }
            });
        }
    }

    /// Nobody may be left that has not asked, or not been answered, in time.
    pub(super) fn wait_for_handshakes(&mut self) {
        let mut open = self.live.clone();
        self.wait_for(self.plan.config.handshake_timeout + 2 * TICK);
        // One that was refused for being late is given some time to read so.
        self.wait_for(self.plan.config.close_timeout + 2 * TICK);
        let Some(inner) = &mut self.inner else {
            return;
        };
        open.retain(|number| {
            let state = inner.lend().handler_mut().of(*number).state;
            let peer = self.peers[*number as usize].as_ref();
            matches!(state, State::Unknown | State::Connecting)
                && peer.is_some_and(|peer| !peer.stream.borrow().is_dropped)
        });
        assert_eq!(open, [], "these opening handshakes go on for ever");
    }

    pub(super) fn wait_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.jump(until);
        }
    }

    /// Lets the time go by until the loop asks for a turn.
    pub(super) fn jump(&mut self, until: Duration) {
        let next = self.with_loop(|inner| inner.next_timeout());
        let next = next.unwrap_or(until).min(until);
        assert!(
            next > self.now,
            "a turn at {next:?} is overdue at {:?}",
            self.now
        );
        self.now = next;
        self.come_to_rest();
    }

    pub(super) fn stop(&mut self) {
        let random = &mut self.random;
        let drains = random.chance(500);
        let over = Duration::from_millis(random.below(5000) as u64);
        let until = over + Duration::from_millis(random.below(5000) as u64);
        let stopped = self.with_loop(|inner| match drains {
            true => inner.remote().drain(&Drain::new(over, until)),
            false => inner.remote().stop(),
        });
        stopped.expect("it is woken");
        let wait = match drains {
            true => until,
            false => self.plan.config.close_timeout,
        };
        self.stop_by = Some(self.now + wait);
        let deadline = self.now + wait + 2 * TICK;
        self.turn(1000);
        // Until they are told, connections are served as ever.
        for _ in 0..self.random.below(50) {
            if drains && self.goes_on {
                self.step();
            }
        }
        self.come_to_rest();
        while self.goes_on {
            assert!(self.now < deadline, "the loop does not stop in time");
            let next = self.with_loop(|inner| inner.next_timeout());
            self.now = next
                .expect("a loop that stops has a deadline")
                .max(self.now);
            self.come_to_rest();
        }
        if self.random.chance(500) {
            let stream = self.new_stream(u32::MAX);
            let (wire, plan) = (Wire::new(&stream), Rc::clone(&self.plan));
            let late = self.with_loop(|inner| inner.admit(T::accepted(wire, &plan)));
            assert_eq!(late, None, "admitted after the end");
        }
    }
}
