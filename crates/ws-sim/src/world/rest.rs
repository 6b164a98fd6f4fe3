//! What holds where nothing more happens, and at the end.

use std::rc::Rc;

use super::World;
use crate::{
    app::{App, State, TICK, TOPICS},
    front::Front,
    peer::Mood,
};

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    /// Nothing is left to do for anybody.
    pub(super) fn check_rest(&mut self) {
        let (refused, dropped) = self.with_loop(|inner| {
            let metrics = inner.remote().metrics();
            (metrics.refused, metrics.dropped)
        });
        let (now, woke_at, plan) = (self.now, self.woke_at, Rc::clone(&self.plan));
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        let is_strict =
            refused == app.refused && dropped == 0 && !app.is_lenient && !plan.is_lossy();
        for number in self.live.iter().copied() {
            let peer = self.peers[number as usize].as_mut().expect("a peer");
            if peer.has_sent_all() && peer.stream.borrow().inbound.bytes.is_empty() {
                peer.note_all_read(now);
            }
            let peer = &*peer;
            let published_in = app.published_in;
            let connection = app.of(number);
            let stream = peer.stream.borrow();
            if connection.state == State::Open
                && let Some(timer) = connection.timer
            {
                assert!(
                    now < timer + 3 * TICK,
                    "a timer for {timer:?} is late at {now:?}"
                );
            }
            // A drain has a deadline of its own, for all that is not over by then.
            let late = match self.stop_by {
                None => plan.overdue(connection, &stream, now, woke_at, peer.dawdles_since),
                Some(_) => None,
            };
            assert!(
                late.is_none(),
                "connection {number} is overdue at {now:?}: {late:?}
{connection:#?}
{}",
                peer.sketch()
            );
            if peer.mood != Mood::Normal || connection.is_paused || stream.is_connecting() {
                continue;
            }
            let say = |what: &str| {
                let peer = peer.sketch();
                format!("connection {number} is stuck: {what}\n{connection:#?}\n{peer}")
            };
            assert!(peer.has_sent_all(), "{}", say("the loop does not read"));
            assert!(
                stream.inbound.bytes.is_empty() || stream.is_dropped,
                "{}",
                say("input is left")
            );
            assert!(
                stream.outbound.bytes.is_empty(),
                "{}",
                say("output is left")
            );
            match connection.state {
                State::Closed | State::Failed => assert!(
                    peer.is_over() || !stream.outbound.is_ended,
                    "{}",
                    say("its end was not seen")
                ),
                State::Unknown | State::Connecting => {
                    assert!(
                        !peer.is_ending() || stream.is_dropped,
                        "{}",
                        say("nobody opens it")
                    );
                    assert!(stream.outbound.is_ended, "{}", say("it does not open"));
                }
                State::Open => {
                    let talk = peer.talk().expect("open on both sides");
                    assert!(!talk.is_close_sent(), "{}", say("the Close was not seen"));
                    assert!(!peer.is_ending(), "{}", say("the end was not seen"));
                    assert!(!peer.is_wrong, "{}", say("it gets away with it"));
                    assert!(!connection.is_too_slow, "{}", say("it is too slow"));
                    // The newest of all that was sent is not dropped.
                    if connection.sent_in > connection.echoed_in.max(published_in + 2) {
                        let newest = talk.heard.last_direct;
                        assert_eq!(
                            newest,
                            connection.sent.checked_sub(1),
                            "{}",
                            say("the newest message")
                        );
                    }
                    assert_eq!(
                        connection.received,
                        talk.sent,
                        "{}",
                        say("to the application")
                    );
                    assert_eq!(
                        talk.pong,
                        talk.pings,
                        "{}",
                        say("no Pong for the last Ping")
                    );
                    if !plan.is_lossy() && !app.of(number).has_tail() {
                        let said = app.of(number).said();
                        assert_eq!(talk.heard(), said, "messages to peer {number}");
                    }
                    if is_strict {
                        for topic in 0..TOPICS {
                            let from = talk.heard.topics[topic].map_or(0, |last| last + 1);
                            let to = app.published[topic].len() as u32;
                            let missed = missed(app, number, topic, from..to);
                            assert_eq!(missed, None);
                        }
                    }
                }
            }
        }
        if is_strict && let Some(missed) = &self.missed {
            panic!("{missed}");
        }
        self.totals.rests += 1;
    }

    /// Every connection that was opened has closed, once.
    pub(super) fn check_ends(&mut self) {
        let mut totals = self.totals;
        self.with_app(|app| {
            for (number, connection) in app.connections.iter().enumerate() {
                let is_over = !matches!(connection.state, State::Open | State::Connecting);
                assert!(is_over, "nobody was told the end of connection {number}");
                totals.messages += u64::from(connection.received) + u64::from(connection.sent);
            }
        });
        self.totals = totals;
        let connections = self.with_loop(|inner| inner.lend().connections());
        // A loop that stops does not wait for those that read the rest slowly.
        self.totals.left += connections as u64;
        for peer in self.peers.iter().flatten() {
            let mut stream = peer.stream.borrow_mut();
            stream.inbound.bytes.clear();
        }
    }

    /// The loop holds what it was told to, and what is on its way.
    pub(super) fn check_memory(&mut self) {
        let config = &self.plan.config;
        // The buffers of the loop, its codecs, and what vectors have grown to.
        let mut most = 3 * config.read_buffer + config.gather_buffers + 1024 * 1024;
        if self.plan.longest > 20_000 {
            most += 2 * 1024 * 1024;
        }
        if self.plan.offers_deflate {
            most += 5 * 512 * 1024;
        }
        most += 4 * 1024 * self.most;
        let message = 2 * self.plan.longest + 200;
        let mut limit = most + config.max_memory + message;
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        for number in self.live.iter().copied() {
            let peer = self.peers[number as usize].as_ref().expect("a peer");
            let Some(talk) = peer.talk() else {
                continue;
            };
            let stream = peer.stream.borrow();
            let received = app.of(number).received_bytes;
            let unread = (talk.sent_bytes - received) as usize;
            // What is read may wait parsed or unparsed, in a vector that doubles.
            most += 2 * unread.min(2 * message + config.read_buffer);
            if stream.is_full() {
                most += 2 * (config.max_backpressure + message + 8 * 1024);
            }
            // What the peer may refer to.
            let history = 33 * 1024 * usize::from(talk.is_compressed());
            most += history;
            limit += history;
        }
        let most = most.min(limit);
        assert!(
            self.held <= most as i64,
            "the loop holds {} bytes; {most} would do for {} connections",
            self.held,
            self.live.len()
        );
        self.totals.most_held = self.totals.most_held.max(self.held as u64);
    }
}

/// Returns what a subscriber has missed of a topic.
pub(super) fn missed<const CHUNKS: bool>(
    app: &mut App<CHUNKS>,
    number: u32,
    topic: usize,
    numbers: std::ops::Range<u32>,
) -> Option<String> {
    let connection = app.of(number);
    let since = connection.subscribed[topic]?;
    if connection.state != State::Open || connection.closing_at.is_some() {
        return None;
    }
    numbers.into_iter().find_map(|at| {
        let publication = app.published[topic][at as usize];
        // What was asked for in an earlier turn is done; in the same it may come later.
        let is_due = publication.turn > since
            && publication.turn + 1 < app.turn
            && publication.except != Some(number);
        is_due.then(|| {
            format!(
                "connection {number} subscribed to topic {topic} in turn {since} and misses \
                 message {at} of turn {}",
                publication.turn
            )
        })
    })
}
