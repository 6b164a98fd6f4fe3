//! What happens in a step.

use std::{sync::atomic::Ordering, time::Duration};

use allocation_counter::measure;

use super::World;
use crate::{
    app::{App, EVERYBODY, TICK, TOPICS},
    front::Front,
};

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    pub(super) fn pass_time(&mut self) {
        let next = self.with_loop(|inner| inner.next_timeout());
        let is_due = next.is_some_and(|next| next <= self.now);
        let wait = match self.random.below(1000) {
            // A loop that asks for a turn at once gets it soon.
            _ if is_due => self.random.below(20),
            0 => self.random.below(30_000),
            1..=4 => self.random.below(2_000),
            5..=20 => {
                self.now = self.now.max(next.unwrap_or_default());
                0
            }
            _ => self.random.below(20),
        };
        self.now += Duration::from_millis(wait as u64);
        if next.is_some_and(|next| next + TICK < self.now) {
            self.woke_at = self.now;
        }
    }

    /// Lets a peer do something, or nothing.
    pub(super) fn have_act(&mut self, number: u32) {
        let Some(peer) = &mut self.peers[number as usize] else {
            return;
        };
        let most = peer.act(&mut self.random, &mut self.shared);
        self.pull(number, most);
    }

    pub(super) fn pull(&mut self, number: u32, most: usize) {
        let Some(peer) = &mut self.peers[number as usize] else {
            return;
        };
        peer.pull(most, &mut self.shared, &mut self.seen);
        self.judge(number);
    }

    pub(super) fn have_end(&mut self, number: u32) {
        if let Some(peer) = &mut self.peers[number as usize] {
            match self.random.below(4) {
                0 => peer.end(),
                1 => peer.vanish(),
                _ => peer.close(),
            }
        }
    }

    /// Asks something of the loop from elsewhere.
    pub(super) fn ask_of_remote(&mut self) {
        let random = &mut self.random;
        if !random.chance(150) || self.peers.is_empty() {
            return;
        }
        let number = random.below(self.peers.len()) as u32;
        let what = random.below(40);
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut held = 0;
        let remote = inner.remote();
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        let Some(id) = app.of(number).id else {
            return;
        };
        self.was_woken.store(false, Ordering::Relaxed);
        let measured = measure(|| {
            let asked = match what {
                0 => remote.with_peer(id, move |app, peer| app.close(peer, number)),
                1 => remote.with_peer(id, |_, peer| peer.abort()),
                2 | 3 => remote.with_peer(id, move |app, peer| {
                    app.of(number).is_paused = true;
                    peer.pause();
                }),
                4..=9 => remote.with_peer(id, move |app, peer| app.resume(peer, number)),
                10..=14 => remote.broadcast(&app.publication(EVERYBODY, None)),
                15..=25 => {
                    let topic = 1 + what % (TOPICS - 1);
                    remote.publish(App::<CHUNKS>::topic(topic), &app.publication(topic, None))
                }
                _ => remote.with_peer(id, move |app, peer| app.send(peer, number)),
            };
            asked.expect("it is woken");
        });
        held += measured.bytes_current;
        self.held += held;
        assert!(
            self.was_woken.load(Ordering::Relaxed),
            "nobody wakes the loop"
        );
    }
}
