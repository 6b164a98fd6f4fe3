//! Limits on what a peer may send (RFC 6455 section 10.4).

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
