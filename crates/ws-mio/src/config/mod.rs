//! What a server is given when it is built.

mod drain;
mod profile;

use std::time::Duration;

use ws_handshake::{OriginPolicy, ServerConfig};
use ws_proto::{
    ConfigError, ControlledNetwork, DeflateConfig, InflateConfig, KeepaliveConfig, Limits,
    TimeLimits, Times,
};

pub(crate) use self::profile::PROFILES;
pub use self::{drain::Drain, profile::Profile};

/// What a [`Server`](crate::Server) allows and waits for. Decided before it
/// runs, and never changed.
///
/// All limits are here: on size in `limits`, on time in `time_limits`,
/// `keepalive` and the two timeouts, on number in `max_connections` and
/// `max_connections_per_address`, and on memory in `high_water`,
/// `max_backpressure` and `max_memory`. All are finite by default; one address
/// may have as many connections as there may be at all.
///
/// ```
/// use std::time::Duration;
/// use ws_mio::{Config, OriginPolicy};
///
/// let mut config = Config::new(OriginPolicy::list(["https://example.com"])?);
/// config.limits.max_message = 64 * 1024;
/// config.handshake_timeout = Duration::from_secs(3);
/// # Ok::<(), ws_mio::OriginError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whom to let in, and which subprotocols to agree to.
    pub handshake: ServerConfig,
    /// How much a peer may send.
    pub limits: Limits,
    /// Other limits, keepalive and pieces, for those connections for which
    /// [`Accept::profile`](crate::Accept::profile) chooses one of these, by its
    /// index; at most 255, and none by default.
    pub profiles: Vec<Profile>,
    /// How long it may take for what it began, and how often it may ask for
    /// an answer.
    pub time_limits: TimeLimits,
    /// The flag `accept-unmasked-frame` of [MS-WSPE]: the peers from which
    /// frames are accepted whether masked or not. Nobody by default.
    ///
    /// `true.into()` is the flag for every connection; an allow-list sets it
    /// per connection, when that is initialized. Among those peers a handler
    /// may choose by what else the handshake shows; see
    /// [`Accept::accept_unmasked_frame`](crate::Accept::accept_unmasked_frame).
    /// See [`ws_proto::MaskingPolicy`] for what the flag gives up.
    pub accept_unmasked_frame: ControlledNetwork,
    /// The flag `set-mask-to-zero` of [MS-WSPE]: the servers to which frames
    /// are sent with the masking key `00 00 00 00`, on connections that the
    /// loops make. Nobody by default. Among those a connection may choose: see
    /// [`Connect::set_mask_to_zero`](crate::Connect::set_mask_to_zero).
    pub set_mask_to_zero: ControlledNetwork,
    /// When to ask whether a silent peer is there, and when to give it up.
    pub keepalive: KeepaliveConfig,
    /// How long a peer may take for its request; 10 s by default.
    pub handshake_timeout: Duration,
    /// How many bytes of its request a peer must send in a second, on average
    /// from the first of them on; 10 by default, 0 for any rate. Who trickles
    /// is answered with 408 before `handshake_timeout`. A request that comes
    /// within half of `handshake_timeout`, or five seconds if that is less, is
    /// never too slow.
    pub min_head_rate: u32,
    /// How long to wait for the peer's Close after ours, and for the peer to
    /// read what was written last; 10 s by default.
    pub close_timeout: Duration,
    /// How many bytes of answers may wait for a peer that reads slowly before
    /// nothing more is read from it; 64 KiB by default. What is sent within
    /// the call for a message, a Ping or a Pong is an answer.
    pub high_water: usize,
    /// The longest frame that is sent, in bytes with its head; by default a
    /// message goes out in one frame, however long. At least 131, as control
    /// frames are not split.
    ///
    /// For gateways that refuse longer frames, as some do above 4, 8 or 32 KiB. A
    /// longer message, or fragment of one, goes out in fragments (RFC 6455
    /// section 5.4), compressed or not. It is still sent, dropped or refused
    /// whole. One that many get waits in a copy for each peer that reads slowly.
    /// Peers limit how many fragments a message has: see
    /// [`Limits::max_fragments`].
    pub max_frame_sent: usize,
    /// How many bytes may wait for a peer before messages to it are refused, or
    /// dropped by another policy; 1 MiB by default. The message that passes it is
    /// still taken, however long it is: at most this much waits, and one message
    /// more. Where messages may be dropped, each counts with the 64 bytes that it
    /// takes to keep it, and its key with 32.
    pub max_backpressure: usize,
    /// What becomes of messages to a peer that reads too slowly; they are
    /// refused by default.
    pub slow_consumer: SlowConsumer,
    /// What becomes of the loop when a callback panics; by default it goes on
    /// without the connection that the callback was called for.
    pub on_panic: OnPanic,
    /// How long a turn of a loop may take before a warning is logged and
    /// [`Metrics::slow_turns`](crate::Metrics::slow_turns) grows; 1 s by default. All
    /// callbacks of a loop run in its turns, and while one runs nobody else is
    /// served.
    pub slow_turn: Duration,
    /// How many loops serve, each on a thread of its own; 1 by default. See
    /// [`Server::run_with`](crate::Server::run_with).
    pub threads: usize,
    /// How connections come to the loops, if there are several.
    pub accepting: Accepting,
    /// How many connections may be open in a loop; 1,000,000 by default.
    /// Further ones are closed as they come.
    pub max_connections: usize,
    /// How many connections may come from one address, over all loops; as an
    /// IPv6 peer has many, from one /64 network. Further ones are closed as
    /// they come. Behind a `ProxyProtocol` (feature `proxy`) a connection is counted
    /// once the proxy has told where its client is, and further ones are answered
    /// with 503.
    ///
    /// By default one address may have all of `max_connections`: behind a proxy that
    /// does not tell, all have its address.
    pub max_connections_per_address: usize,
    /// How much memory the loops may hold for connections, in bytes; 1 GiB by
    /// default. Each loop has an equal share. Counted are input that was read and
    /// not parsed, messages that are joined, requests that came in part, what
    /// waits for slow peers, and what transports [hold](crate::Transport::held):
    /// parts of TLS records and handshakes, and what they have encrypted.
    ///
    /// Above three quarters of its share a loop refuses new connections. Above it
    /// the connections that hold most are dropped, with
    /// [`Cause::OverMemory`](crate::Cause::OverMemory), until an eighth is free.
    pub max_memory: usize,
    /// How many steps of TLS handshakes a loop makes in a turn, so that a storm
    /// of them does not starve open connections; 1 by default, as one takes as
    /// long as tens of messages. The others wait in line for the next turns. See
    /// [`Transport::is_handshaking`](crate::Transport::is_handshaking).
    pub tls_handshakes_per_turn: usize,
    /// The size of the read buffer, of which a loop has one; 512 KiB by
    /// default.
    pub read_buffer: usize,
    /// How many bytes of read buffers a loop may lend to connections that are
    /// in the middle of a large message, which then is not copied; 64 MiB by
    /// default. Beyond it, messages are gathered in memory of their own, as
    /// they come.
    pub gather_buffers: usize,
    /// How each loop compresses, for peers that agree to it: see
    /// [`ServerConfig::deflate`] and [`ClientRequest::offer`](crate::ClientRequest::offer).
    pub deflate: DeflateConfig,
    /// How much inflating may cost, over all loops.
    pub inflate: InflateConfig,
}

impl Config {
    /// Makes a configuration with safe defaults, for requests from the origins
    /// that `origins` allows.
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self {
            handshake: ServerConfig::new(origins),
            limits: Limits::default(),
            profiles: Vec::new(),
            time_limits: TimeLimits::default(),
            accept_unmasked_frame: ControlledNetwork::new(),
            set_mask_to_zero: ControlledNetwork::new(),
            keepalive: KeepaliveConfig::default(),
            handshake_timeout: Duration::from_secs(10),
            min_head_rate: 10,
            close_timeout: Duration::from_secs(10),
            high_water: 64 * 1024,
            max_frame_sent: usize::MAX,
            max_backpressure: 1024 * 1024,
            slow_consumer: SlowConsumer::default(),
            on_panic: OnPanic::default(),
            slow_turn: Duration::from_secs(1),
            threads: 1,
            accepting: Accepting::default(),
            max_connections: 1_000_000,
            max_connections_per_address: usize::MAX,
            max_memory: 1024 * 1024 * 1024,
            tls_handshakes_per_turn: 1,
            read_buffer: 512 * 1024,
            gather_buffers: 64 * 1024 * 1024,
            deflate: DeflateConfig::default(),
            inflate: InflateConfig::default(),
        }
    }
}

impl Config {
    /// Looks for values with which a server cannot do its work: limits, buffers,
    /// numbers and times that are 0, a read buffer below 1,024 bytes, subprotocols
    /// that are no tokens (RFC 6455 section 4.1), and a policy for compression
    /// without the feature `deflate`. [`Server`](crate::Server) does so when it is
    /// made, and so do an [`EventLoop`](crate::EventLoop) and a
    /// [`Socket`](crate::Socket).
    ///
    /// ```
    /// use ws_mio::{Config, OriginPolicy};
    ///
    /// let mut config = Config::new(OriginPolicy::SameHost);
    /// config.threads = 0;
    /// let error = config.check().unwrap_err();
    /// assert_eq!(error.to_string(), "threads = 0; allowed is 1 to 65,535");
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ClientConfig::like(self).check()?;
        let head = self.handshake.head_limits();
        let numbers = [
            ("handshake.limits.max_head", head.max_head),
            ("handshake.limits.max_headers", head.max_headers),
            ("max_connections", self.max_connections),
            (
                "max_connections_per_address",
                self.max_connections_per_address,
            ),
            ("max_memory", self.max_memory),
            ("tls_handshakes_per_turn", self.tls_handshakes_per_turn),
        ];
        for (field, number) in numbers {
            ConfigError::check_number(field, number as u64)?;
        }
        ConfigError::check_time("slow_turn", Some(self.slow_turn))?;
        if self.profiles.len() > PROFILES {
            let (count, allowed) = (self.profiles.len(), "at most 255 of them");
            return Err(ConfigError::new("profiles", &count, allowed));
        }
        for (index, profile) in self.profiles.iter().enumerate() {
            profile.check().map_err(|error| ConfigError {
                value: format!("{} in profiles[{index}]", error.value),
                ..error
            })?;
        }
        if self.threads == 0 || self.threads > usize::from(u16::MAX) {
            return Err(ConfigError::new("threads", &self.threads, "1 to 65,535"));
        }
        if self.read_buffer < READ_BUFFER_MIN {
            let allowed = "at least 1,024";
            return Err(ConfigError::new("read_buffer", &self.read_buffer, allowed));
        }
        if let Some(name) = self.handshake.invalid_subprotocol() {
            return Err(ConfigError::new("handshake.subprotocols", &name, "a token"));
        }
        let is_compressed = self.handshake.deflate_policy().is_some();
        ConfigError::check_deflate("handshake.deflate", is_compressed)
    }
}

/// How short a read buffer may be.
const READ_BUFFER_MIN: usize = 1024;

/// What becomes of messages to a peer that reads too slowly, once
/// `max_backpressure` bytes wait for it.
///
/// Fragments of a message and the Close are never dropped, nor is what the
/// transport has begun to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// The new message is refused; the sender is told.
    #[default]
    DropNewest,
    /// The oldest messages that wait are dropped for the new one, answers
    /// among them.
    DropOldest,
    /// A message takes the place of the one that waits with its key, at any
    /// time; beyond the limit the oldest are dropped. See
    /// [`Peer::send_keyed`](crate::Peer::send_keyed).
    Conflate,
    /// The connection is dropped, without a closing handshake that the peer
    /// would not read.
    Close,
}

/// What becomes of a loop when a callback of the application panics: a method of
/// the [`Handler`](crate::Handler), a closure that came through a
/// [`Remote`](crate::Remote), or `Default` and `Drop` of the connections' data.
///
/// A panic in a program that is compiled with `panic = "abort"` ends the process
/// either way. A [`Socket`](crate::Socket) catches no panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The loop goes on, and so do all other connections. The connection that
    /// the callback was called for gets a Close with 1011 and ends with
    /// [`Cause::Panicked`](crate::Cause::Panicked); what it was sent in the same
    /// turn may be lost. A request is answered with 500. The panic is logged,
    /// counted in [`Metrics::panics`](crate::Metrics::panics), and told to
    /// [`Handler::on_panic`](crate::Handler::on_panic).
    ///
    /// The handler is called again afterwards, so a callback must not leave it in
    /// a state in which that is wrong.
    #[default]
    Contain,
    /// The panic goes on: it ends the loop, all of its connections are dropped
    /// without a Close, and the other loops of the server are stopped.
    Propagate,
}

/// How connections come to the loops of a server that has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepting {
    /// The first loop accepts, and deals connections out in turn: every loop
    /// gets the same number.
    #[default]
    Deal,
    /// Every loop has a listener of its own, and the system shares connections
    /// out by their addresses (`SO_REUSEPORT`). On Linux, Android and FreeBSD,
    /// for a server that binds by itself; otherwise they are dealt.
    ReusePort,
}

/// What a client's [`Socket`](crate::Socket) sends, allows and waits for.
///
/// ```
/// use ws_mio::ClientConfig;
///
/// let mut config = ClientConfig::default();
/// // Under TLS or within a data centre: see `ws_proto::MaskingPolicy`.
/// config.set_mask_to_zero = ws_mio::ControlledNetwork::new().loopback();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The flag `set-mask-to-zero` of [MS-WSPE]: the servers to which frames
    /// are sent with the masking key `00 00 00 00`. Nobody by default.
    ///
    /// `true.into()` is the flag for every server. Any other server gets fresh
    /// random keys. See [`ws_proto::MaskingPolicy`] for what the flag gives up.
    pub set_mask_to_zero: ControlledNetwork,
    /// How much the server may send.
    pub limits: Limits,
    /// As [`Config::time_limits`].
    pub time_limits: TimeLimits,
    /// When to ask whether a silent server is there, and when to give it up.
    pub keepalive: KeepaliveConfig,
    /// How long to connect and to wait for the reply; 10 s by default.
    pub handshake_timeout: Duration,
    /// How long to wait for the server's Close after ours; 10 s by default. Once
    /// both Closes were seen, and all was read that had come, the server has at
    /// most [one second](ws_proto::END_WAIT) of it to end the transport.
    pub close_timeout: Duration,
    /// As [`Config::high_water`].
    pub high_water: usize,
    /// As [`Config::max_frame_sent`].
    pub max_frame_sent: usize,
    /// As [`Config::max_backpressure`].
    pub max_backpressure: usize,
    /// As [`Config::slow_consumer`].
    pub slow_consumer: SlowConsumer,
    /// How it compresses, if the server agrees to an
    /// [offer](crate::ClientRequest::offer).
    pub deflate: DeflateConfig,
    /// How much inflating may cost, over all sockets that are made from clones
    /// of this.
    pub inflate: InflateConfig,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::like(&Config::new(OriginPolicy::Any))
    }
}

impl ClientConfig {
    /// Looks for limits and times that are 0, as [`Config::check`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.limits.check()?;
        self.time_limits.check()?;
        self.keepalive.check()?;
        ConfigError::check_frame_sent("max_frame_sent", self.max_frame_sent)?;
        ConfigError::check_time("handshake_timeout", Some(self.handshake_timeout))?;
        ConfigError::check_time("close_timeout", Some(self.close_timeout))?;
        self.deflate.check()?;
        self.inflate.check()?;
        Ok(())
    }

    /// Returns how long things may take on a connection.
    pub(crate) const fn times(&self) -> Times<'_> {
        Times::new(&self.keepalive, &self.time_limits, self.close_timeout)
    }

    /// Takes over from a server what holds for both roles.
    pub(crate) fn like(server: &Config) -> Self {
        Self {
            set_mask_to_zero: ControlledNetwork::new(),
            limits: server.limits,
            time_limits: server.time_limits,
            keepalive: server.keepalive,
            handshake_timeout: server.handshake_timeout,
            close_timeout: server.close_timeout,
            high_water: server.high_water,
            max_frame_sent: server.max_frame_sent,
            max_backpressure: server.max_backpressure,
            slow_consumer: server.slow_consumer,
            deflate: server.deflate,
            inflate: server.inflate.clone(),
        }
    }
}
