//! How a server ends.

use std::time::Duration;

use ws_proto::CloseCode;

/// How [`Remote::drain`](crate::Remote::drain) ends a server.
///
/// ```
/// use std::time::Duration;
/// use ws_mio::Drain;
///
/// let mut drain = Drain::new(Duration::from_secs(20), Duration::from_secs(30));
/// drain.reason = "the server restarts".into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// How long everything goes on as ever before the drain begins, new
    /// connections included; none by default. Meanwhile
    /// [`Incoming::is_draining`](crate::Incoming::is_draining) is true, so that a
    /// health check can be answered with 503 and a load balancer sends nobody any
    /// more. See the example there.
    pub lame_duck: Duration,
    /// The time over which Closes are sent, so that the peers do not all come
    /// back at once. Until its Close is sent a connection is served as ever.
    /// From the end of `lame_duck` on.
    pub over: Duration,
    /// When connections that are still there are dropped, from the end of
    /// `lame_duck` on; not before their Closes were sent.
    pub until: Duration,
    /// The code of the Closes; 1001 (going away) by default.
    pub code: CloseCode,
    /// Their reason, empty by default; what is over 123 bytes is cut, between
    /// characters.
    pub reason: Box<str>,
}

impl Drain {
    /// Sends Closes over a time, and waits for what becomes of them until
    /// another, both from now, or from the end of [`lame_duck`](Self::lame_duck).
    #[must_use]
    pub fn new(over: Duration, until: Duration) -> Self {
        Self {
            lame_duck: Duration::ZERO,
            over,
            until,
            code: CloseCode::GOING_AWAY,
            reason: "".into(),
        }
    }
}
