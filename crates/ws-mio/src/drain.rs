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
    /// The time over which Closes are sent, so that the peers do not all come
    /// back at once. Until its Close is sent a connection is served as ever.
    pub over: Duration,
    /// When connections that are still there are dropped, from the start; not
    /// before their Closes were sent.
    pub until: Duration,
    /// The code of the Closes; 1001 (going away) by default.
    pub code: CloseCode,
    /// Their reason, at most 123 bytes; empty by default.
    pub reason: Box<str>,
}

impl Drain {
    /// Sends Closes over a time, and waits for what becomes of them until
    /// another, both from now.
    #[must_use]
    pub fn new(over: Duration, until: Duration) -> Self {
        Self {
            over,
            until,
            code: CloseCode::GOING_AWAY,
            reason: "".into(),
        }
    }
}
