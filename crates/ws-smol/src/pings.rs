//! The application's own Pings, and the Pongs that answer them (RFC 6455
//! sections 5.5.2 and 5.5.3).

use std::{collections::VecDeque, time::Duration};

/// A Pong that answered a [`ping`](crate::WebSocket::ping).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// The payload, which is that of the Ping.
    pub payload: Vec<u8>,
    /// How long it took from the Ping to the Pong.
    pub round_trip_time: Duration,
}

/// Pings that were sent, and the last Pong. Times count from the start of the
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    sent: VecDeque<(Vec<u8>, Duration)>,
    pub(crate) last_pong: Option<Pong>,
}

impl Pings {
    pub(crate) fn note_ping(&mut self, payload: &[u8], now: Duration) {
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((payload.to_vec(), now));
    }

    /// Notes a Pong, and returns how long it took if it answers one of the
    /// Pings. It stands for those before that one too.
    pub(crate) fn note_pong(&mut self, payload: &[u8], now: Duration) -> Option<Duration> {
        //= RFC6455-5.5.3-2, RFC6455-5.5.3-3
        let at = self.sent.iter().position(|(sent, _)| sent == payload)?;
        let (payload, sent) = self.sent.drain(..=at).next_back()?;
        // As exact as is kept of the connection.
        let micros = now.saturating_sub(sent).as_micros() as u64;
        let round_trip_time = Duration::from_micros(micros);
        self.last_pong = Some(Pong {
            payload,
            round_trip_time,
        });
        Some(round_trip_time)
    }
}

/// How many Pings are waited for: a peer may answer the last one alone.
const MAX_SENT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pong_answers_its_ping_and_those_before() {
        let mut pings = Pings::default();
        for (payload, at) in [(b"1", 10), (b"2", 20), (b"3", 30)] {
            pings.note_ping(payload, ms(at));
        }
        assert_eq!(pings.note_pong(b"unsolicited", ms(35)), None);
        assert_eq!(pings.note_pong(b"2", ms(50)), Some(ms(30)));
        assert_eq!(pings.note_pong(b"1", ms(51)), None);
        assert_eq!(pings.last_pong.as_ref().unwrap().payload, b"2");
        assert_eq!(pings.note_pong(b"3", ms(52)), Some(ms(22)));
        assert_eq!(pings.note_pong(b"3", ms(53)), None);
    }

    #[test]
    fn so_many_pings_are_waited_for() {
        let mut pings = Pings::default();
        for payload in 0..20 {
            pings.note_ping(&[payload], ms(0));
        }
        assert_eq!(pings.sent.len(), MAX_SENT);
        assert_eq!(pings.note_pong(&[11], ms(1)), None);
        assert_eq!(pings.note_pong(&[12], ms(1)), Some(ms(1)));
    }
}
