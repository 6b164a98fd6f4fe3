//! What is decided before a connection is built.

use std::{sync::LazyLock, time::Duration};

use ws_proto::{
    ConfigError, DeflateConfig, InflateConfig, KeepaliveConfig, Limits, TimeLimits, Times,
};

use crate::MemoryBudget;

/// Limits and times of a connection, all finite by default. How many connections
/// there may be, also from one address, is for a [`Gate`](crate::Gate).
///
/// ```
/// use std::time::Duration;
///
/// let mut config = ws_smol::Config::default();
/// config.limits.max_message = 1024 * 1024;
/// config.close_timeout = Duration::from_secs(2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How much the peer may send in a frame and in a message.
    pub limits: Limits,
    /// How long the peer may take for what it began, and how often it may ask
    /// for an answer. Looked at while an operation waits, as `keepalive`.
    pub time_limits: TimeLimits,
    /// When the peer is asked whether it is there, and when it is given up.
    ///
    /// Time is looked at while an operation waits; a connection that nobody
    /// polls sends no Pings.
    pub keepalive: KeepaliveConfig,
    /// How many bytes may wait for the transport; 1 MiB by default.
    ///
    /// [`queue`](crate::WebSocket::queue) refuses what goes beyond, and
    /// [`send`](crate::WebSocket::send) waits until there is room. A message
    /// that is larger than this can be sent when nothing else waits.
    pub max_backpressure: usize,
    /// The longest frame that is sent, in bytes with its head; by default a
    /// message goes out in one frame, however long. At least 131, as control
    /// frames are not split.
    ///
    /// For gateways that refuse longer frames, as some do above 4, 8 or 32 KiB. A
    /// longer message, or fragment of one, goes out in fragments (RFC 6455
    /// section 5.4), compressed or not. It is copied on its way out, and is
    /// still sent or refused whole. Peers limit how many fragments a message
    /// has: see [`Limits::max_fragments`].
    pub max_frame_sent: usize,
    /// How many bytes of messages are read and held while the application only
    /// writes; 16 MiB by default.
    ///
    /// The peer's Pings and its Close stand behind its messages, so those must
    /// be read too. Beyond this nothing more is read until the application
    /// receives. Two peers that both write more than this, and what the
    /// transport buffers, before either receives are stuck.
    pub max_read_ahead: usize,
    /// How long the closing handshake may take; 10 s by default.
    ///
    /// Once both Closes were seen, a server ends the transport at once. A client
    /// waits for the server to end it, at most
    /// [one second](ws_proto::END_WAIT) of this time.
    pub close_timeout: Duration,
    /// How long the opening handshake may take; 10 s by default.
    pub handshake_timeout: Duration,
    /// How many bytes of its request a client must send in a second, on average
    /// from the first of them on; 10 by default, 0 for any rate. Who trickles
    /// is answered with 408 before `handshake_timeout`. A request that comes
    /// within half of `handshake_timeout`, or five seconds if that is less, is
    /// never too slow.
    pub min_head_rate: u32,
    /// How much all connections may hold together that share this budget; by
    /// default all of the process share one of 1 GiB. Those that hold most are
    /// dropped above it, with [`Error::OverMemory`](crate::Error::OverMemory).
    pub memory: MemoryBudget,
    /// How many steps of TLS handshakes are made for each CPU of the machine
    /// before the other tasks of the executor have their turn, so that a storm
    /// of handshakes does not starve open connections; 1 by default, as one
    /// takes as long as tens of messages. The others wait in line. All clones of
    /// a [`TlsAcceptor`](crate::TlsAcceptor) share them.
    ///
    /// It is as fair as the executor: one that polls what is woken in order, as
    /// smol's do. Under `net::block_on` a thread makes no more than one between
    /// two looks at its sockets.
    #[cfg(feature = "tls")]
    pub tls_handshakes_per_turn: usize,
    /// How messages are compressed, where that was agreed on. Each thread has
    /// one pool of compressors for all connections with the same values.
    pub deflate: DeflateConfig,
    /// How much inflating may cost. By default all connections of the process
    /// share one budget of 256 MiB.
    pub inflate: InflateConfig,
}

/// One budget for all that ask for none of their own.
static INFLATE: LazyLock<InflateConfig> = LazyLock::new(InflateConfig::default);

impl Config {
    /// Returns how long things may take on a connection.
    pub(crate) const fn times(&self) -> Times<'_> {
        Times::new(&self.keepalive, &self.time_limits, self.close_timeout)
    }

    /// Checks that every value is one that a connection can work with: no
    /// limit, buffer or time is 0. Acceptors and connectors check theirs
    /// before each handshake; this is for a program that wants to know when
    /// it starts.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.limits.check()?;
        self.time_limits.check()?;
        self.keepalive.check()?;
        ConfigError::check_number("max_backpressure", self.max_backpressure as u64)?;
        ConfigError::check_frame_sent("max_frame_sent", self.max_frame_sent)?;
        ConfigError::check_number("max_read_ahead", self.max_read_ahead as u64)?;
        ConfigError::check_time("close_timeout", Some(self.close_timeout))?;
        ConfigError::check_time("handshake_timeout", Some(self.handshake_timeout))?;
        ConfigError::check_number("memory", self.memory.limit() as u64)?;
        #[cfg(feature = "tls")]
        ConfigError::check_number(
            "tls_handshakes_per_turn",
            self.tls_handshakes_per_turn as u64,
        )?;
        self.deflate.check()?;
        self.inflate.check()?;
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            time_limits: TimeLimits::default(),
            keepalive: KeepaliveConfig::default(),
            max_backpressure: 1024 * 1024,
            max_frame_sent: usize::MAX,
            max_read_ahead: 16 * 1024 * 1024,
            close_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            min_head_rate: 10,
            memory: MemoryBudget::of_process(),
            #[cfg(feature = "tls")]
            tls_handshakes_per_turn: 1,
            deflate: DeflateConfig::default(),
            inflate: INFLATE.clone(),
        }
    }
}
