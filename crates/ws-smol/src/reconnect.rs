//! A client that comes back.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tracing::debug;
use ws_handshake::{ClientRequest, HttpResponse};

use crate::{Backoff, Connector, Error, MaybeTls, Runtime, Timer, WebSocket, timer::Timers};

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
/// that has restarted lose theirs at once. If the server, or a proxy, answers with
/// `Retry-After`, in seconds or as a date, that long is waited at least.
///
/// A [`Connector`] connects over TCP. Any other way, such as over a stream of
/// one's own, is an async function of the request, a [`Connect`]:
///
/// ```no_run
/// # #[cfg(unix)]
/// # async fn example() -> Result<(), ws_smol::Error> {
/// use smol::net::unix::UnixStream;
/// use ws_smol::{ClientRequest, Connector, PeerAddr, Reconnect, Uri};
///
/// let connector = Connector::new();
/// let over_unix = async move |request: ClientRequest| {
///     let stream = UnixStream::connect("/run/feed.socket").await?;
///     connector.handshake(stream, PeerAddr::Local, request).await
/// };
/// let request = ClientRequest::new(Uri::parse("ws://feed.example/")?);
/// let mut reconnect = Reconnect::new(over_unix, request);
/// let websocket = reconnect.connect().await?;
/// # drop(websocket);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reconnect<C = Connector> {
    connect: C,
    request: ClientRequest,
    backoff: Backoff,
    stable_after: Duration,
    max_attempts: u32,
    max_retry_after: Duration,
    wants_retry: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
    /// How many attempts have failed in a row.
    failed: u32,
    /// When the connection was made that was handed out last.
    connected: Option<Instant>,
    /// No attempt is made before.
    not_before: Option<Instant>,
}

/// Makes one connection, whenever a [`Reconnect`] asks for it: a [`Connector`],
/// or an async function of the request.
pub trait Connect {
    /// What the connection runs over.
    type Stream;

    /// Connects, and makes the opening handshake.
    fn connect(
        &self,
        request: ClientRequest,
    ) -> impl Future<Output = Result<WebSocket<Self::Stream>, Error>>;

    /// Returns whose time the waits between attempts are measured by, if it is not the default's.
    fn timer(&self) -> Option<Arc<dyn Timer>> {
        None
    }
}

impl<R: Runtime> Connect for Connector<R> {
    type Stream = MaybeTls<R::TcpStream>;

    fn connect(
        &self,
        request: ClientRequest,
    ) -> impl Future<Output = Result<WebSocket<Self::Stream>, Error>> {
        self.connect(request)
    }

    fn timer(&self) -> Option<Arc<dyn Timer>> {
        self.timers().chosen()
    }
}

impl<F, S> Connect for F
where
    F: AsyncFn(ClientRequest) -> Result<WebSocket<S>, Error>,
{
    type Stream = S;

    fn connect(&self, request: ClientRequest) -> impl Future<Output = Result<WebSocket<S>, Error>> {
        self(request)
    }
}

impl<C> Reconnect<C> {
    /// Starts with the defaults.
    #[must_use]
    pub fn new(connect: C, request: ClientRequest) -> Self {
        Self {
            connect,
            request,
            backoff: Backoff::default(),
            stable_after: Duration::from_secs(30),
            max_attempts: u32::MAX,
            max_retry_after: Duration::from_secs(24 * 60 * 60),
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

    /// Sets how long a server may ask to be left alone, by `Retry-After`; 24 h
    /// by default. If it asks for more, its refusal is returned: nobody who
    /// waits that long does so unawares, and nobody comes back before.
    #[must_use]
    pub const fn max_retry_after(mut self, time: Duration) -> Self {
        self.max_retry_after = time;
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
    /// again all the same, and then waits as after any attempt.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt. What is left of a wait goes on
    /// with the next call.
    pub async fn connect(&mut self) -> Result<WebSocket<C::Stream>, Error>
    where
        C: Connect,
    {
        let timers = Timers::from(self.connect.timer());
        if let Some(connected) = self.connected.take() {
            if timers.now().saturating_duration_since(connected) >= self.stable_after {
                self.backoff.reset();
            }
            self.postpone(timers.now(), Duration::ZERO);
        }
        loop {
            if let Some(at) = self.not_before {
                timers.sleep(at).await;
            }
            let error = match self.connect.connect(self.request.clone()).await {
                Ok(websocket) => {
                    self.failed = 0;
                    self.connected = Some(timers.now());
                    return Ok(websocket);
                }
                Err(error) => error,
            };
            self.failed = self.failed.saturating_add(1);
            let retry_after = retry_after(&error).unwrap_or_default();
            self.postpone(timers.now(), retry_after.min(self.max_retry_after));
            if self.failed >= self.max_attempts
                || retry_after > self.max_retry_after
                || !(self.wants_retry)(&error)
            {
                self.failed = 0;
                return Err(error);
            }
            debug!(%error, failed = self.failed, "connecting again");
        }
    }

    /// Waits before the next attempt, at least for `least`.
    fn postpone(&mut self, now: Instant, least: Duration) {
        let wait = self.backoff.next().unwrap_or_default().max(least);
        self.not_before = Some(later(now, wait));
    }
}

impl<C> fmt::Debug for Reconnect<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("uri", self.request.uri())
            .field("backoff", &self.backoff)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Adds; a time that the clock has not is as good as in a century.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now + CENTURY)
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Returns how long a server, or a proxy, wants to be left alone.
fn retry_after(error: &Error) -> Option<Duration> {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    refusal(error)?.retry_after(since_1970.as_secs())
}

fn refusal(error: &Error) -> Option<&HttpResponse> {
    match error {
        Error::Refused(response) => Some(response),
        #[cfg(feature = "proxy")]
        Error::Proxy(ws_handshake::proxy::TunnelError::Refused(response)) => Some(response),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use async_net::TcpStream;
    use smol::future::poll_once;
    use ws_handshake::{ClientProgress, Uri};

    use super::*;

    fn reconnect() -> Reconnect {
        let request = ClientRequest::new(Uri::parse("ws://127.0.0.1:1/").unwrap());
        let long = Duration::from_secs(1000);
        Reconnect::new(Connector::new(), request).backoff(Backoff::new(long, 8 * long))
    }

    #[test]
    fn wait_goes_on_where_a_dropped_future_left_it() {
        let mut reconnect = reconnect();
        reconnect.connected = Some(Instant::now());
        smol::block_on(async {
            assert!(poll_once(reconnect.connect()).await.is_none());
            let until = reconnect.not_before.unwrap();
            assert!(poll_once(reconnect.connect()).await.is_none());
            assert_eq!(reconnect.not_before, Some(until));
        });
    }

    fn request() -> ClientRequest {
        ClientRequest::new(Uri::parse("ws://h/").unwrap())
    }

    /// A refusal with this `Retry-After`.
    fn refused(status: u16, retry_after: &str) -> Error {
        let reply = format!(
            "HTTP/1.1 {status} x\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n"
        );
        match request().start_random().unwrap().receive(reply.as_bytes()) {
            Ok(ClientProgress::Refused { response, .. }) => Error::Refused(Box::new(response)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn server_is_left_alone_for_as_long_as_it_asks_for() {
        let three_hours = 3 * 60 * 60;
        for (status, value) in [
            (429, "10800".to_owned()),
            (418, "10800".to_owned()),
            (503, "Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        ] {
            let attempts = Cell::new(0);
            let connect = async |_: ClientRequest| -> Result<WebSocket<TcpStream>, Error> {
                attempts.set(attempts.get() + 1);
                Err(refused(status, &value))
            };
            let short = Duration::from_millis(1);
            let mut reconnect = Reconnect::new(connect, request())
                .backoff(Backoff::new(short, short))
                .max_retry_after(Duration::MAX);
            let started = Instant::now();
            smol::block_on(async {
                assert!(poll_once(reconnect.connect()).await.is_none());
                assert!(poll_once(reconnect.connect()).await.is_none());
            });
            assert_eq!(attempts.get(), 1);
            let until = reconnect.not_before.unwrap();
            assert!(until >= started + Duration::from_secs(three_hours));
        }
    }

    #[test]
    fn server_that_asks_for_more_than_is_allowed_is_told_of_and_left_alone() {
        let connect = async |_: ClientRequest| -> Result<WebSocket<TcpStream>, Error> {
            Err(refused(429, "86401"))
        };
        let mut reconnect = Reconnect::new(connect, request());
        let started = Instant::now();
        smol::block_on(async {
            let outcome = reconnect.connect().await;
            assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
            assert!(poll_once(reconnect.connect()).await.is_none());
        });
        let until = reconnect.not_before.unwrap();
        assert!(until >= started + Duration::from_secs(86400));
    }

    #[test]
    fn time_beyond_the_clock_is_waited_for_all_the_same() {
        let connect = async |_: ClientRequest| -> Result<WebSocket<TcpStream>, Error> {
            Err(refused(503, "99999999999999999999"))
        };
        let mut reconnect = Reconnect::new(connect, request()).max_retry_after(Duration::MAX);
        smol::block_on(async {
            assert!(poll_once(reconnect.connect()).await.is_none());
        });
        assert!(reconnect.not_before.is_some());
    }

    #[test]
    fn waits_are_short_again_after_a_stable_connection() {
        for (stable_after, is_short) in [(Duration::ZERO, true), (Duration::MAX, false)] {
            let mut reconnect = reconnect().stable_after(stable_after);
            let long = reconnect.backoff.clone();
            reconnect.backoff.next();
            reconnect.backoff.next();
            reconnect.connected = Some(Instant::now());
            smol::block_on(async {
                assert!(poll_once(reconnect.connect()).await.is_none());
            });
            let mut after_one = long;
            after_one.next();
            assert_eq!(reconnect.backoff == after_one, is_short);
        }
    }
}
