//! What the loop calls.

use std::time::Duration;

use allocation_counter::opt_out;
use ws_handshake::Agreed;
use ws_mio::{
    Accept, Backpressure, Cause, Chunk, Closed, Commands, Decision, Handler, Incoming, Message,
    OpenError, Peer, Timeout,
};

use super::{App, Data, End, State, TICK};
use crate::front::Layer;

impl<const CHUNKS: bool> Handler for App<CHUNKS> {
    type Data = Data;
    const CHUNKS: bool = CHUNKS;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Data> {
        self.net.note(1);
        let number = incoming.request().path().trim_start_matches('/').parse();
        if self.plan.layer == Layer::Proxy
            && let Ok(number) = number
        {
            self.check_client(number, &incoming);
        }
        match incoming.negotiate() {
            Ok(acceptance) => Accept::new(acceptance, number.ok()).into(),
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Data>) {
        assert!(!peer.is_server(), "we asked for it");
        self.opened(peer);
    }

    fn on_connected(&mut self, peer: &mut Peer<'_, Data>, _: &Agreed) {
        assert!(peer.is_server(), "we did not ask for it");
        self.opened(peer);
    }

    fn on_connect_failed(&mut self, data: Data, _: OpenError, _: &mut Commands<Data>) {
        self.net.note(1);
        let number = data.expect("a connection that we asked for");
        let state = &mut self.of(number).state;
        assert_eq!(*state, State::Connecting, "connection {number} failed");
        *state = State::Failed;
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Data>, message: Message<'_>) {
        assert!(!CHUNKS, "a whole message where pieces are asked for");
        self.received(peer, message);
    }

    fn on_chunk(&mut self, peer: &mut Peer<'_, Data>, chunk: Chunk<'_>) {
        let number = self.called(peer, "a piece");
        let pieces = &mut self.of(number).pieces;
        assert_eq!(chunk.first, pieces.is_empty(), "first piece");
        opt_out(|| pieces.extend_from_slice(chunk.data.as_bytes()));
        if !chunk.last {
            if self.random.chance(self.plan.answers / 10) {
                self.send(peer, number);
            }
            return self.be_moody(peer, number);
        }
        let mut pieces = std::mem::take(pieces);
        let message = match chunk.data {
            Message::Text(_) => Message::Text(std::str::from_utf8(&pieces).expect("text")),
            Message::Binary(_) => Message::Binary(&pieces),
        };
        self.received(peer, message);
        opt_out(|| {
            pieces = Vec::new();
        });
    }

    fn on_ping(&mut self, peer: &mut Peer<'_, Data>, _: &[u8]) {
        let number = self.called(peer, "a Ping");
        self.note_control(number);
        self.be_moody(peer, number);
    }

    fn on_pong(&mut self, peer: &mut Peer<'_, Data>, _: &[u8], _: Option<Duration>) {
        let number = self.called(peer, "a Pong");
        self.note_control(number);
        self.be_moody(peer, number);
    }

    fn on_drain(&mut self, peer: &mut Peer<'_, Data>) {
        let number = self.called(peer, "drained");
        if self.of(number).tail.is_some() {
            self.send(peer, number);
        }
        self.be_moody(peer, number);
    }

    fn on_timer(&mut self, peer: &mut Peer<'_, Data>, _: u64) {
        let number = self.called(peer, "a timer");
        let now = self.now;
        let turn = self.turn;
        let connection = self.of(number);
        // What was asked for in this turn is done at its end.
        let is_old = connection.timer_set_in == turn && connection.timer_before <= Some(now + TICK);
        if !is_old || connection.timer_before.take().is_none() {
            let due = connection.timer.take().expect("a timer that was set");
            assert!(
                now + TICK >= due,
                "a timer goes off at {now:?}, not {due:?}"
            );
        }
        self.send(peer, number);
        self.be_moody(peer, number);
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Data>, closed: Closed<'_>) {
        let number = self.called(peer, "a second end");
        // Nothing can be sent, and nothing comes of what is asked for.
        assert!(
            matches!(peer.send("late"), Backpressure::Refused(_)),
            "sent after the end"
        );
        if self.random.chance(100) {
            peer.subscribe("news");
            peer.set_timer(0, Some(TICK));
            peer.resume();
            peer.abort();
            self.of(number).is_aborted = true;
        }
        let now = self.now;
        let connection = self.of(number);
        connection.state = State::Closed;
        connection.is_too_slow = false;
        connection.closed_at = now;
        connection.timer = None;
        opt_out(|| connection.pieces = Vec::new());
        opt_out(|| connection.tail = None);
        connection.end = Some(match closed.cause {
            Cause::Peer | Cause::Local => End::Close,
            Cause::Lost => End::Lost,
            Cause::Protocol(_) => End::Protocol,
            Cause::Timeout(Timeout::Close) => End::Unanswered,
            _ => End::Other,
        });
        opt_out(|| self.closed.push(number));
    }
}
