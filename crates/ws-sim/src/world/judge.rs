//! What peers have seen, and what the application was told of ends.

use allocation_counter::opt_out;

use super::{World, rest::missed};
use crate::{
    app::End,
    front::Front,
    peer::{ModelPeer, Mood, Seen, Talk},
};

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    /// Looks at what a peer has just seen.
    pub(super) fn judge(&mut self, number: u32) {
        if self.seen.is_empty() {
            return;
        }
        let shed = self.with_loop(|inner| inner.remote().metrics().dropped_over_memory);
        let Some(inner) = &mut self.inner else {
            return;
        };
        let mut lent = inner.lend();
        let app = lent.handler_mut();
        for seen in self.seen.drain(..) {
            match seen {
                Seen::Published {
                    topic,
                    before,
                    number: published,
                } => {
                    let publication = app.published[topic][published as usize];
                    assert!(
                        publication.except != Some(number),
                        "connection {number} gets its own publication"
                    );
                    assert!(
                        app.of(number).may_hear(topic, publication.turn),
                        "connection {number} did not subscribe to topic {topic}, and gets \
                         message {published}"
                    );
                    let from = before.map_or(0, |before| before + 1);
                    if let Some(missed) = missed(app, number, topic, from..published) {
                        self.missed.get_or_insert(missed);
                    }
                }
                Seen::Close => {
                    let peer = self.peers[number as usize].as_ref();
                    let heard = peer.and_then(ModelPeer::talk).map(Talk::heard);
                    let sent = app.of(number).said();
                    let is_exact = !self.plan.is_lossy();
                    assert!(
                        !is_exact || heard == Some(sent),
                        "connection {number} is closed after {heard:?} messages of {sent:?}"
                    );
                }
                Seen::Echo {
                    number: echoed,
                    direct,
                } => {
                    let is_in_place = app.of(number).echoes.contains(&(echoed, direct));
                    assert!(
                        is_in_place || self.plan.is_lossy(),
                        "message {echoed} comes back to peer {number} after {direct} others"
                    );
                }
                Seen::End => {
                    let peer = self.peers[number as usize].as_ref().expect("a peer");
                    let until = app.of(number).closed_at + self.plan.config.close_timeout;
                    let until = until.min(self.stop_by.unwrap_or(until));
                    let stream = peer.stream.borrow();
                    let is_early = stream.ended_at.is_some_and(|at| at < until)
                        && !stream.is_torn
                        && !stream.is_reset()
                        && !app.of(number).is_aborted
                        && shed == 0;
                    let Some(talk) = peer.talk().filter(|_| is_early) else {
                        continue;
                    };
                    let is_whole = match app.of(number).end {
                        Some(End::Close | End::Protocol) => talk.is_close_received,
                        Some(End::Lost) => {
                            self.plan.is_lossy() || talk.heard() == app.of(number).said()
                        }
                        _ => true,
                    };
                    let connection = app.of(number);
                    assert!(
                        is_whole,
                        "connection {number} is cut off: closed at {:?} by {:?}, ended at {:?}, \
                         not {until:?}, after {:?} of {:?}",
                        connection.closed_at,
                        connection.end,
                        stream.ended_at,
                        talk.heard(),
                        connection.said(),
                    );
                }
            }
        }
    }

    /// Looks at connections that the application was told the end of.
    pub(super) fn judge_ends(&mut self) {
        let mut closed = Vec::new();
        self.with_app(|app| opt_out(|| closed = app.take_closed()));
        for (number, end, received) in closed {
            let peer = self.peers[number as usize].as_ref().expect("a peer");
            let Some(talk) = peer.talk() else {
                let is_expected = match end {
                    Some(End::Lost) => peer.is_ending(),
                    end => matches!(end, Some(End::Other | End::Unanswered)),
                };
                assert!(
                    is_expected,
                    "connection {number} ended by {end:?}, unknown to its peer"
                );
                continue;
            };
            let (sent, is_expected) = match end {
                Some(End::Close) => (talk.sent, talk.is_close_sent()),
                Some(End::Lost) => (talk.sent, peer.is_ending()),
                Some(End::Protocol) => (talk.sent, peer.is_wrong),
                Some(End::Unanswered) => {
                    let stream = peer.stream.borrow();
                    let is_told = talk.is_close_received
                        || peer.mood != Mood::Normal
                        || stream.is_busy()
                        || stream.is_torn
                        || self.stop_by.is_none();
                    assert!(
                        is_told,
                        "connection {number} was not told of the drain\n{}",
                        peer.sketch()
                    );
                    continue;
                }
                _ => continue,
            };
            assert!(
                is_expected,
                "connection {number} ended by {end:?} of nobody's"
            );
            assert_eq!(
                received, sent,
                "messages of connection {number}, which ended by {end:?}"
            );
        }
    }
}
