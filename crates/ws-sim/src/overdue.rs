//! Deadlines that have passed.

use std::time::Duration;

use crate::{
    app::{Connection, State, TICK},
    plan::Plan,
    wire::Stream,
};

impl Plan {
    /// Tells which deadline of a connection has passed, where nothing more
    /// happens, and the loop had its turns in time since `woke_at`.
    pub(crate) fn overdue(
        &self,
        connection: &Connection,
        stream: &Stream,
        now: Duration,
        woke_at: Duration,
        dawdles_since: Option<Duration>,
    ) -> Option<&'static str> {
        let config = &self.config;
        let is_late = |since: Duration, wait: Duration| now > since.max(woke_at) + wait + 4 * TICK;
        let after =
            |since: Duration, wait: Option<Duration>| wait.is_some_and(|wait| is_late(since, wait));
        let takes_nothing = |since| after(since, config.time_limits.write_progress);
        // With the Close that tells so.
        let closed = |limit| limit + config.close_timeout;
        let lifetime = config.time_limits.lifetime.map(closed);
        match (connection.state, connection.closing_at) {
            // To be written, and then to be read.
            (State::Closed, _) => {
                let is_kept = is_late(connection.closed_at, 2 * config.close_timeout);
                (is_kept && !stream.is_dropped).then_some("it is not let go")
            }
            (State::Open, _) if after(connection.opened_at, lifetime) => Some("it is too old"),
            (State::Open, Some(at)) if is_late(at, config.close_timeout) => {
                Some("its Close is not answered")
            }
            (State::Open, _) if stream.blocked_since().is_some_and(takes_nothing) => {
                Some("it takes nothing")
            }
            (State::Open, None)
                if dawdles_since.is_some_and(|since| {
                    let since = since.max(connection.active_at);
                    after(since, config.time_limits.message)
                }) =>
            {
                Some("its message does not end")
            }
            (State::Open, None) if !connection.is_paused => {
                let since = stream.moved_at.max(connection.active_at);
                let keepalive = &config.keepalive;
                let pong = keepalive.ping_interval.zip(keepalive.pong_timeout);
                if after(since, pong.map(|(ping, pong)| ping + pong)) {
                    return Some("it does not answer a Ping");
                }
                let idle = keepalive.idle_timeout.map(closed);
                after(since, idle).then_some("it says nothing")
            }
            _ => None,
        }
    }
}
