//! Limits on what a peer may send (RFC 6455 section 10.4).

use crate::ConfigError;

/// How much is read of a peer, and dropped, once it was told that its connection
/// is over, in bytes: what may have been on its way before it could know. Who
/// sends more is not waited for, as the transport would be read for as long as
/// the peer likes.
pub const DISCARD_MAX: usize = 8 * 1024 * 1024;

/// How much a peer may send, so that it cannot exhaust memory or CPU.
///
/// All are finite by default, and what is equal to a limit passes. The fields
/// are set before a connection is built:
///
/// ```
/// let mut limits = ws_proto::Limits::default();
/// limits.max_message = 1024 * 1024;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest payload of one data frame, in bytes. By default there is
    /// no limit but `max_message`.
    pub max_frame: u64,
    /// The longest message, in bytes of application data; 16 MiB by default.
    /// What a compressed message may take on the wire follows from it: see
    /// [`max_compressed`](Self::max_compressed).
    ///
    /// A receiver that takes [chunks](crate::Chunk) holds none of it in
    /// memory; an [`Assembler`](crate::Assembler) holds as much as was
    /// received, never what a header declares.
    pub max_message: u64,
    /// The most frames that one message may come in; 131,072 by default.
    pub max_fragments: u32,
}

impl Limits {
    /// Nothing is limited. For trusted peers, and for tools that measure.
    pub const UNLIMITED: Self = Self {
        max_frame: u64::MAX,
        max_message: u64::MAX,
        max_fragments: u32::MAX,
    };

    /// Checks that no limit is 0.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_number("limits.max_frame", self.max_frame)?;
        ConfigError::check_number("limits.max_message", self.max_message)?;
        ConfigError::check_number("limits.max_fragments", self.max_fragments.into())
    }

    /// Returns how many compressed bytes a message may have that came in
    /// `frames` frames so far (RFC 7692): `max_message`, a quarter of it, 16
    /// bytes a frame, and 1,024.
    ///
    /// A compressor stays below that. DEFLATE adds at most 5 bytes to each
    /// stored block, or an eighth and the heads of blocks where it uses fixed
    /// codes throughout; a flush at the end of a frame takes 6 bytes. What is
    /// longer is either too long once it is inflated, or has blocks that yield
    /// nothing.
    ///
    /// ```
    /// let mut limits = ws_proto::Limits::default();
    /// limits.max_message = 4096;
    /// assert_eq!(limits.max_compressed(1), 4096 + 1024 + 16 + 1024);
    /// ```
    #[must_use]
    pub const fn max_compressed(&self, frames: u32) -> u64 {
        let frames = frames as u64 * 16;
        self.max_message
            .saturating_add(self.max_message / 4)
            .saturating_add(frames + 1024)
    }
}

impl Default for Limits {
    //= RFC6455-10.4-1, RFC6455-10.4-2
    fn default() -> Self {
        Self {
            max_frame: u64::MAX,
            max_message: 16 * 1024 * 1024,
            max_fragments: 131_072,
        }
    }
}
