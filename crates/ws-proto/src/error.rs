//! What can be wrong: with the peer ([`ProtocolError`]) and with us
//! ([`SendError`]).

use core::fmt;

use crate::{CloseCode, NoEntropy};

/// The peer broke a rule, or a limit; the connection fails (section 7.1.7).
///
/// One variant is one rule. [`close_code`](Self::close_code) maps it to what
/// the Close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set and no extension gave it a meaning (section 5.2).
    ReservedBits {
        /// RSV1, RSV2 and RSV3, RSV1 first.
        bits: u8,
    },
    /// The opcode is not defined (section 5.2).
    ReservedOpcode {
        /// The opcode as received: 3–7 or 11–15.
        opcode: u8,
    },
    /// A control frame without FIN (section 5.5).
    ControlFragmented,
    /// A control frame with more than 125 bytes of payload (section 5.5).
    ControlTooLong,
    /// A continuation frame while no message is open (section 5.4).
    UnexpectedContinuation,
    /// A text or binary frame while a message is open (section 5.4).
    ExpectedContinuation,
    /// A client frame without a mask (section 5.1), and the server was not
    /// built with `accept_unmasked_frame`.
    UnmaskedFrame,
    /// A server frame with a mask (section 5.1).
    MaskedFrame,
    /// The length is not in its shortest form (section 5.2).
    LengthNotMinimal {
        /// The length as received.
        len: u64,
    },
    /// The top bit of a 64-bit length is set (section 5.2).
    LengthTopBitSet,
    /// A Close frame with a body of one byte (section 5.5.1).
    ClosePayloadShort,
    /// A Close code that must not stand in a frame (section 7.4).
    CloseCodeInvalid {
        /// The code as received.
        code: u16,
    },
    /// The reason in a Close frame is not UTF-8 (sections 5.5.1 and 8.1).
    CloseReasonNotUtf8 {
        /// The code in front of the reason, which is a valid one.
        code: CloseCode,
    },
    /// A text message is not UTF-8 (section 8.1).
    TextNotUtf8,
    /// A data frame longer than `Limits::max_frame` (section 10.4).
    FrameTooBig {
        /// The length in the frame's header.
        len: u64,
        /// `Limits::max_frame`.
        limit: u64,
    },
    /// A message longer than `Limits::max_message` (section 10.4).
    MessageTooBig {
        /// The length of the message as far as its headers have told.
        len: u64,
        /// `Limits::max_message`.
        limit: u64,
    },
    /// A message whose compressed bytes are more than a message of
    /// `Limits::max_message` takes (section 10.4).
    CompressedTooBig {
        /// The compressed length as far as the message's headers have told.
        len: u64,
        /// [`Limits::max_compressed`](crate::Limits::max_compressed) of the
        /// frames that came.
        limit: u64,
    },
    /// A message in more frames than `Limits::max_fragments` (section 10.4).
    TooManyFragments {
        /// `Limits::max_fragments`.
        limit: u32,
    },
    /// A compressed message does not inflate (RFC 7692 section 7.2.2).
    DeflateData,
    /// A compressed message expands by more than `InflateConfig::max_ratio`
    /// (section 10.4).
    ExpansionTooBig {
        /// `InflateConfig::max_ratio`.
        limit: u32,
    },
    /// Inflating takes more memory than `InflateConfig::budget`, in all
    /// connections that share it, and what this one held was given to others
    /// (section 10.4).
    InflateBudget {
        /// The limit of the `Budget`, in bytes.
        limit: usize,
    },
    /// The transport ended before the peer sent a Close frame (section 7.1.5).
    ConnectionLost,
}

impl ProtocolError {
    /// Returns the code of the Close frame that tells the peer, or `None`
    /// where there is nobody left to tell (which is 1006 in section 7.1.5).
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        Some(match self {
            //= RFC6455-5.1-4, RFC6455-5.1-6
            Self::ReservedBits { .. }
            | Self::ReservedOpcode { .. }
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::LengthNotMinimal { .. }
            | Self::LengthTopBitSet
            | Self::ClosePayloadShort
            | Self::CloseCodeInvalid { .. } => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 { .. } | Self::TextNotUtf8 | Self::DeflateData => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FrameTooBig { .. }
            | Self::MessageTooBig { .. }
            | Self::CompressedTooBig { .. }
            | Self::ExpansionTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY_VIOLATION,
            Self::InflateBudget { .. } => CloseCode::TRY_AGAIN_LATER,
            Self::ConnectionLost => return None,
        })
    }

    /// Returns the code of the peer's Close if that is what was wrong: the
    /// reason behind the code is not UTF-8. It says why the peer closes all the
    /// same (section 7.1.5).
    #[must_use]
    pub const fn received_close_code(&self) -> Option<CloseCode> {
        match self {
            Self::CloseReasonNotUtf8 { code } => Some(*code),
            _ => None,
        }
    }

    /// Returns a short, stable name of the rule in `snake_case`, for metrics,
    /// logs and the reason in the Close frame.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ReservedBits { .. } => "reserved_bits",
            Self::ReservedOpcode { .. } => "reserved_opcode",
            Self::ControlFragmented => "control_fragmented",
            Self::ControlTooLong => "control_too_long",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::ExpectedContinuation => "expected_continuation",
            Self::UnmaskedFrame => "unmasked_frame",
            Self::MaskedFrame => "masked_frame",
            Self::LengthNotMinimal { .. } => "length_not_minimal",
            Self::LengthTopBitSet => "length_msb_set",
            Self::ClosePayloadShort => "close_payload_short",
            Self::CloseCodeInvalid { .. } => "close_code_invalid",
            Self::CloseReasonNotUtf8 { .. } => "close_reason_not_utf8",
            Self::TextNotUtf8 => "text_not_utf8",
            Self::FrameTooBig { .. } => "frame_too_big",
            Self::MessageTooBig { .. } | Self::CompressedTooBig { .. } => "message_too_big",
            Self::TooManyFragments { .. } => "too_many_fragments",
            Self::DeflateData => "deflate_data",
            Self::ExpansionTooBig { .. } => "expansion_too_big",
            Self::InflateBudget { .. } => "inflate_budget",
            Self::ConnectionLost => "connection_lost",
        }
    }
}

/// What was asked to be sent cannot be sent; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A Close frame was sent; nothing but Pongs may follow (section 5.5.1).
    Closing,
    /// A message is sent in fragments and its last one is still owed
    /// (section 5.4).
    MessageUnfinished,
    /// A fragment of the other type than the message it belongs to
    /// (section 5.4).
    MessageTypeChanged,
    /// A fragment is compressed and the message it belongs to is not, or the
    /// other way round (RFC 7692 section 6.1).
    CompressionChanged,
    /// The compressor reported an error, which it does of no input.
    CannotCompress,
    /// The bytes of a text fragment are not UTF-8 (section 5.6).
    TextNotUtf8,
    /// The payload of a Ping, Pong or Close is over 125 bytes (section 5.5).
    ControlTooLong {
        /// The length of the payload, with the two bytes of a Close code.
        len: usize,
    },
    /// The operating system gave no random bytes for a masking key (section
    /// 10.3).
    NoEntropy,
    /// 1010 is for clients alone (section 7.4.1).
    CloseCodeNotForServer,
}

impl SendError {
    /// Returns a short, stable name in `snake_case`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Closing => "closing",
            Self::MessageUnfinished => "message_unfinished",
            Self::MessageTypeChanged => "message_type_changed",
            Self::CompressionChanged => "compression_changed",
            Self::CannotCompress => "cannot_compress",
            Self::TextNotUtf8 => "text_not_utf8",
            Self::ControlTooLong { .. } => "control_too_long",
            Self::NoEntropy => "no_entropy",
            Self::CloseCodeNotForServer => "close_code_invalid",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits { bits } => write!(
                f,
                "reserved bits {bits:03b} are set, but no extension was negotiated that uses them here"
            ),
            Self::ReservedOpcode { opcode } => write!(f, "opcode {opcode:#x} is reserved"),
            Self::ControlFragmented => f.write_str("a control frame is fragmented"),
            Self::ControlTooLong => f.write_str("a control frame is longer than 125 bytes"),
            Self::UnexpectedContinuation => {
                f.write_str("a continuation frame, but no message is open")
            }
            Self::ExpectedContinuation => {
                f.write_str("a new message starts, but the one before is not finished")
            }
            Self::UnmaskedFrame => {
                f.write_str("the client's frame is not masked, and accept_unmasked_frame is false")
            }
            Self::MaskedFrame => f.write_str("the server's frame is masked"),
            Self::LengthNotMinimal { len } => {
                write!(f, "the length {len} is not in its shortest form")
            }
            Self::LengthTopBitSet => f.write_str("the top bit of the 64-bit length is set"),
            Self::ClosePayloadShort => f.write_str("a Close frame has a body of one byte"),
            Self::CloseCodeInvalid { code } => write!(f, "Close code {code} must not be sent"),
            Self::CloseReasonNotUtf8 { code } => write!(
                f,
                "the reason in the Close frame with code {code} is not UTF-8"
            ),
            Self::TextNotUtf8 => f.write_str("a text message is not UTF-8"),
            Self::FrameTooBig { len, limit } => {
                write!(f, "a frame of {len} bytes is over max_frame = {limit}")
            }
            Self::MessageTooBig { len, limit } => write!(
                f,
                "a message of at least {len} bytes is over max_message = {limit}"
            ),
            Self::CompressedTooBig { len, limit } => write!(
                f,
                "a message of at least {len} compressed bytes is over {limit}, which max_message allows"
            ),
            Self::TooManyFragments { limit } => write!(
                f,
                "a message is in more than max_fragments = {limit} frames"
            ),
            Self::DeflateData => f.write_str("a compressed message is no DEFLATE data"),
            Self::ExpansionTooBig { limit } => write!(
                f,
                "a compressed message expands by more than max_ratio = {limit}"
            ),
            Self::InflateBudget { limit } => {
                write!(f, "inflating takes more than the budget of {limit} bytes")
            }
            Self::ConnectionLost => f.write_str("the connection ended without a Close frame"),
        }
    }
}

impl core::error::Error for ProtocolError {}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closing => f.write_str("the connection is closing"),
            Self::MessageUnfinished => f.write_str("a fragmented message is not finished"),
            Self::MessageTypeChanged => {
                f.write_str("a fragment is of another type than its message")
            }
            Self::CompressionChanged => f.write_str(
                "a fragment is compressed and its message is not, or the other way round",
            ),
            Self::CannotCompress => f.write_str("the message cannot be compressed"),
            Self::TextNotUtf8 => f.write_str("the text is not UTF-8"),
            Self::ControlTooLong { len } => {
                write!(f, "a control frame of {len} bytes; 125 are allowed")
            }
            Self::NoEntropy => NoEntropy.fmt(f),
            Self::CloseCodeNotForServer => f.write_str("Close code 1010 is not for servers"),
        }
    }
}

impl core::error::Error for SendError {}

impl From<NoEntropy> for SendError {
    #[cold]
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}
