//! How long things may take, and how often they may happen.

use core::time::Duration;

use crate::ConfigError;

/// How long a client waits for the server to end the transport once both Closes
/// were seen: the server is to end it at once (RFC 6455 section 7.1.1), and a
/// client that ends first has done nothing wrong.
pub const END_WAIT: Duration = Duration::from_secs(1);

/// How long a peer may take for what it began, and how often it may ask for an
/// answer: what [`Limits`](crate::Limits) are to space.
///
/// This crate knows no time, so these are for whoever brings it; the adapters
/// keep all of them. Each time may be left out, with `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeLimits {
    /// A peer for which something waits must take some of it within this time;
    /// 30 s by default. Otherwise the transport is dropped.
    pub write_progress: Option<Duration>,
    /// A message, or a frame, that was begun must be finished within this time,
    /// and a second more for each `min_message_rate` bytes of the message that
    /// came; 5 minutes by default. Otherwise the peer is told with 1008 (policy
    /// violation).
    ///
    /// While nothing is read from the peer, as it reads slowly itself or as the
    /// application asked for it, the time does not count. Whoever takes
    /// messages that never end, in chunks, leaves it out.
    pub message: Option<Duration>,
    /// How many bytes of a message a peer must send a second, over the time
    /// beyond `message`; 1,024 by default. A long message on a slow path is
    /// received, and one of which a byte comes now and then ends. 0 makes
    /// `message` a limit that nothing extends.
    pub min_message_rate: u32,
    /// A connection is closed with 1001 (going away) once it is this old; 7 days
    /// by default. Whoever is still interested connects again.
    pub lifetime: Option<Duration>,
    /// How many Pings and Pongs a peer may send within one second of the
    /// clock; 1,000 by default. More are a flood, and the peer is told so with 1008 (policy
    /// violation). 65,535 and more are no limit.
    pub max_control_rate: u32,
}

impl TimeLimits {
    /// Nothing is limited. For trusted peers, and for tools that measure.
    pub const UNLIMITED: Self = Self {
        write_progress: None,
        message: None,
        min_message_rate: 0,
        lifetime: None,
        max_control_rate: u32::MAX,
    };

    /// Returns how long a message may take of which `received` bytes came so
    /// far ([`Receiver::message_received`](crate::Receiver::message_received)).
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// let limits = ws_proto::TimeLimits::default();
    /// assert_eq!(limits.for_message(0), Some(Duration::from_secs(300)));
    /// assert_eq!(limits.for_message(10 * 1024), Some(Duration::from_secs(310)));
    /// ```
    #[must_use]
    pub fn for_message(&self, received: u64) -> Option<Duration> {
        let extra = received.checked_div(self.min_message_rate.into());
        let extra = Duration::from_secs(extra.unwrap_or_default());
        self.message.map(|message| message.saturating_add(extra))
    }

    /// Checks that no limit is 0; `None` is no limit.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_time("time_limits.write_progress", self.write_progress)?;
        ConfigError::check_time("time_limits.message", self.message)?;
        ConfigError::check_time("time_limits.lifetime", self.lifetime)?;
        let rate = self.max_control_rate.into();
        ConfigError::check_number("time_limits.max_control_rate", rate)
    }
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            write_progress: Some(Duration::from_secs(30)),
            message: Some(Duration::from_secs(5 * 60)),
            min_message_rate: 1024,
            lifetime: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            max_control_rate: 1000,
        }
    }
}
