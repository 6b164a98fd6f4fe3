//! What differs from one kind of connections to another.

use ws_proto::{ConfigError, KeepaliveConfig, Limits};

/// What differs from one kind of connections to another on the same server, as
/// between a chat and uploads: [`Config::profiles`](crate::Config::profiles), of which
/// [`Accept::profile`](crate::Accept::profile) chooses.
///
/// ```
/// use ws_mio::{
///     Accept, Config, Decision, Handler, Incoming, Message, OriginPolicy, Peer, Profile,
/// };
///
/// struct Site;
///
/// impl Handler for Site {
///     type Data = ();
///
///     fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, ()> {
///         let is_upload = incoming.request().path() == "/upload";
///         match incoming.negotiate() {
///             Ok(acceptance) if is_upload => Accept::new(acceptance, ()).profile(0).into(),
///             Ok(acceptance) => Accept::new(acceptance, ()).into(),
///             Err(error) => error.rejection().into(),
///         }
///     }
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         // Of the chat, whole; uploads come in pieces, to `on_chunk`.
///         peer.send(message);
///     }
/// }
///
/// let mut config = Config::new(OriginPolicy::SameHost);
/// config.limits.max_message = 16 * 1024;
/// let mut upload = Profile::default();
/// upload.limits.max_message = 2 << 30;
/// upload.limits.max_frame = 2 << 30;
/// upload.chunks = true;
/// config.profiles = vec![upload];
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// How much a peer may send, in place of [`Config::limits`](crate::Config::limits).
    pub limits: Limits,
    /// When to ask whether a silent peer is there, and when to give it up, in
    /// place of [`Config::keepalive`](crate::Config::keepalive).
    pub keepalive: KeepaliveConfig,
    /// Whether messages come in pieces, in place of
    /// [`Handler::CHUNKS`](crate::Handler::CHUNKS); `false` by default.
    pub chunks: bool,
    /// The longest frame that is sent, in place of
    /// [`Config::max_frame_sent`](crate::Config::max_frame_sent), which holds for `None`, the
    /// default.
    pub max_frame_sent: Option<usize>,
}

impl Profile {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.limits.check()?;
        self.keepalive.check()?;
        let longest = self.max_frame_sent.unwrap_or(usize::MAX);
        ConfigError::check_frame_sent("max_frame_sent", longest)
    }
}

/// How many profiles there may be beside the configuration's own.
pub(crate) const PROFILES: usize = u8::MAX as usize;
