//! A client that comes back.

use std::{
    fmt, str,
    sync::Arc,
    time::{Duration, Instant},
};

use async_net::TcpStream;
use tracing::debug;
use ws_handshake::ClientRequest;

use crate::{
    Backoff, Connector, Error, MaybeTls, WebSocket,
    timer::{now, sleep},
};

/// Connects again and again, for a client that wants a connection all the
/// time: each [`connect`](Self::connect) is the next one.
///
/// ```no_run
/// # async fn example() -> Result<(), ws_smol::Error> {
/// use ws_smol::{ClientRequest, Connector, Reconnect, Uri};
///
/// let request = ClientRequest::new(Uri::parse("ws://example.com/feed")?);
/// let mut reconnect = Reconnect::new(Connector::new(), request);
/// loop {
///     let mut websocket = reconnect.connect().await?;
///     // Subscribe here: the server may not know us any more.
///     while let Ok(Some(message)) = websocket.receive().await {
///         println!("{message:?}");
///     }
/// }
/// # }
/// ```
///
/// The first attempt is made at once. Every other waits as its [`Backoff`]
/// says, also after a connection that was lost: all the clients of a server
/// that has restarted lose theirs at once. If the server answers with
/// `Retry-After` in seconds, that long is waited at least, up to the longest
/// wait of the `Backoff`.
#[derive(Clone)]
pub struct Reconnect {
    connector: Connector,
    request: ClientRequest,
    backoff: Backoff,
    stable_after: Duration,
    max_attempts: u32,
    wants_retry: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
    /// How many attempts have failed in a row.
    failed: u32,
    /// When the connection was made that was handed out last.
    connected: Option<Instant>,
    /// No attempt is made before.
    not_before: Option<Instant>,
}

impl Reconnect {
    /// Starts with the defaults.
    #[must_use]
    pub fn new(connector: Connector, request: ClientRequest) -> Self {
        Self {
            connector,
            request,
            backoff: Backoff::default(),
            stable_after: Duration::from_secs(30),
            max_attempts: u32::MAX,
            wants_retry: Arc::new(Error::is_temporary),
            failed: 0,
            connected: None,
            not_before: None,
        }
    }

    /// Sets how long to wait before each attempt; between 1 s and 60 s by
    /// default.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how long a connection has to last until the waits are short again;
    /// 30 s by default.
    #[must_use]
    pub const fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// Sets how many attempts in a row may fail before the last one's error is
    /// returned; no limit by default.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets after which errors it is tried again; [`Error::is_temporary`] by
    /// default.
    #[must_use]
    pub fn retry_if(
        mut self,
        wants_retry: impl Fn(&Error) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.wants_retry = Arc::new(wants_retry);
        self
    }

    /// Changes what the following attempts ask for, such as a token that has
    /// expired.
    pub fn set_request(&mut self, request: ClientRequest) {
        self.request = request;
    }

    /// Makes the next connection, however many attempts it takes.
    ///
    /// # Errors
    ///
    /// That of the last attempt, if it is not tried again; it may be called
    /// again all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt. What is left of a wait goes on
    /// with the next call.
    pub async fn connect(&mut self) -> Result<WebSocket<MaybeTls<TcpStream>>, Error> {
        if let Some(connected) = self.connected.take() {
            if now().saturating_duration_since(connected) >= self.stable_after {
                self.backoff.reset();
            }
            self.postpone(Duration::ZERO);
        }
        loop {
            if let Some(at) = self.not_before {
                sleep(at).await;
            }
            let error = match self.connector.connect(self.request.clone()).await {
                Ok(websocket) => {
                    self.failed = 0;
                    self.connected = Some(now());
                    return Ok(websocket);
                }
                Err(error) => error,
            };
            self.failed = self.failed.saturating_add(1);
            self.postpone(retry_after(&error).unwrap_or_default());
            if self.failed >= self.max_attempts || !(self.wants_retry)(&error) {
                self.failed = 0;
                return Err(error);
            }
            debug!(%error, failed = self.failed, "connecting again");
        }
    }

    /// Waits before the next attempt, at least for `least`.
    fn postpone(&mut self, least: Duration) {
        let least = least.min(self.backoff.longest());
        let wait = self.backoff.next().unwrap_or_default().max(least);
        // What is beyond the clock is as good as now.
        self.not_before = now().checked_add(wait);
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("uri", self.request.uri())
            .field("backoff", &self.backoff)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Returns how long a server wants to be left alone.
fn retry_after(error: &Error) -> Option<Duration> {
    let Error::Refused(response) = error else {
        return None;
    };
    let seconds = str::from_utf8(response.headers.get("Retry-After")?).ok()?;
    seconds.parse().map(Duration::from_secs).ok()
}

#[cfg(test)]
mod tests {
    use smol::future::poll_once;
    use ws_handshake::Uri;

    use super::*;

    fn reconnect() -> Reconnect {
        let request = ClientRequest::new(Uri::parse("ws://127.0.0.1:1/").unwrap());
        let long = Duration::from_secs(1000);
        Reconnect::new(Connector::new(), request).backoff(Backoff::new(long, 8 * long))
    }

    #[test]
    fn wait_goes_on_where_a_dropped_future_left_it() {
        let mut reconnect = reconnect();
        reconnect.connected = Some(now());
        smol::block_on(async {
            assert!(poll_once(reconnect.connect()).await.is_none());
            let until = reconnect.not_before.unwrap();
            assert!(poll_once(reconnect.connect()).await.is_none());
            assert_eq!(reconnect.not_before, Some(until));
        });
    }

    #[test]
    fn waits_are_short_again_after_a_stable_connection() {
        for (stable_after, is_short) in [(Duration::ZERO, true), (Duration::MAX, false)] {
            let mut reconnect = reconnect().stable_after(stable_after);
            let long = reconnect.backoff.clone();
            reconnect.backoff.next();
            reconnect.backoff.next();
            reconnect.connected = Some(now());
            smol::block_on(async {
                assert!(poll_once(reconnect.connect()).await.is_none());
            });
            let mut after_one = long;
            after_one.next();
            assert_eq!(reconnect.backoff == after_one, is_short);
        }
    }
}
