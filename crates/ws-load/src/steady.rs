//! Connections that take turns in sending at fixed times, for measuring what else happens
//! meanwhile.

use std::time::{Duration, Instant};

use crate::{
    connection::Received, error::LoadError, fleet::Fleet, histogram::Histogram, schedule::Schedule,
};

/// Connections that take turns in sending at fixed times.
#[derive(Debug)]
pub struct Steady {
    fleet: Fleet,
    schedule: Schedule,
    next: usize,
}

impl Steady {
    /// Has the connections of a fleet send so many batches a second; the first is due at once.
    #[must_use]
    pub fn new(fleet: Fleet, per_second: f64) -> Self {
        Self {
            schedule: Schedule::new(Instant::now(), per_second, Duration::ZERO),
            fleet,
            next: 0,
        }
    }

    /// Sends what is due, and records how long what came took since it was due; it does not wait.
    ///
    /// # Errors
    ///
    /// A connection that is lost, and a server that stalls.
    pub fn turn(&mut self, latencies: &mut Histogram) -> Result<Received, LoadError> {
        let (fleet, mut all) = (&mut self.fleet, Received::default());
        // Spins: a sleeping generator would measure its own waking up.
        fleet.poll(Some(Duration::ZERO))?;
        while let Some(due) = self.schedule.take(fleet.now) {
            let connection = &mut fleet.connections[self.next];
            connection.begin(due);
            connection.write(&fleet.batches)?;
            self.next = (self.next + 1) % fleet.connections.len();
        }
        for token in &fleet.ready {
            let connection = &mut fleet.connections[*token];
            connection.write(&fleet.batches)?;
            let received = connection.read(&fleet.batches, fleet.buffer.as_mut_slice(), |_| {})?;
            if received.messages > 0 {
                let now = Instant::now();
                for _ in 0..received.messages {
                    if let Some(sent) = connection.sent.pop_front() {
                        latencies.record(now - sent);
                    }
                }
            }
            all += received;
        }
        Ok(all)
    }

    /// Records what is still waited for: it took this long at least. Else a server that stalls had
    /// the fewest.
    pub fn record_overdue(&self, latencies: &mut Histogram) {
        let now = self.fleet.now;
        for sent in self.fleet.connections.iter().flat_map(|each| &each.sent) {
            latencies.record(now.saturating_duration_since(*sent));
        }
    }
}
