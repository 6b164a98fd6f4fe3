//! Keepalive: when to ask whether the peer is there, and when to give it up
//! (RFC 6455 section 5.5.2).

use core::time::Duration;

use crate::ConfigError;

/// When to send a Ping, and how long to wait for a sign of life.
///
/// Times are intervals; each may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepaliveConfig {
    /// A Ping is sent once nothing came from the peer for this long; 30 s by
    /// default.
    pub ping_interval: Option<Duration>,
    /// The peer is lost if nothing comes for this long after the Ping; 20 s by
    /// default.
    pub pong_timeout: Option<Duration>,
    /// A Ping is sent this long after the last one, too, so that the round trip
    /// is also measured where the peer never falls silent; 60 s by default.
    /// Without `ping_interval` there are no Pings, and so none of these.
    pub measure_interval: Option<Duration>,
    /// The peer is idle if no data frame comes for this long, whatever it
    /// answers to Pings. Off by default: a client that only listens sends no
    /// data, and one that is gone is found by `pong_timeout`.
    pub idle_timeout: Option<Duration>,
}

impl KeepaliveConfig {
    /// No Pings, no timeouts.
    pub const OFF: Self = Self {
        ping_interval: None,
        pong_timeout: None,
        measure_interval: None,
        idle_timeout: None,
    };

    /// Checks that no time is 0; `None` leaves it out.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_time("keepalive.ping_interval", self.ping_interval)?;
        ConfigError::check_time("keepalive.pong_timeout", self.pong_timeout)?;
        ConfigError::check_time("keepalive.measure_interval", self.measure_interval)?;
        ConfigError::check_time("keepalive.idle_timeout", self.idle_timeout)
    }
}

impl Default for KeepaliveConfig {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Some(Duration::from_secs(20)),
            measure_interval: Some(Duration::from_secs(60)),
            idle_timeout: None,
        }
    }
}
