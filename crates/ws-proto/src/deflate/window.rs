//! The LZ77 window of one direction (RFC 7692 section 7.1).

/// What was negotiated for one direction of a connection: how large the
/// sender's LZ77 window is, and whether it lasts from message to message.
///
/// A server sends by the two `server_` parameters and receives by the two
/// `client_` ones; a client the other way round.
///
/// ```
/// use ws_proto::DeflateWindow;
///
/// let (no_context_takeover, max_window_bits) = (true, 12);
/// let window = DeflateWindow::new(no_context_takeover, max_window_bits);
/// assert_eq!(window.size(), 4096);
/// assert!(!window.takes_over());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateWindow {
    bits: u8,
    takes_over: bool,
}

impl DeflateWindow {
    /// Makes it from the two parameters of a side, the bits brought into 8 to
    /// 15.
    #[must_use]
    pub const fn new(no_context_takeover: bool, max_window_bits: u8) -> Self {
        let bits = match max_window_bits {
            0..8 => 8,
            8..=15 => max_window_bits,
            _ => 15,
        };
        Self {
            bits,
            takes_over: !no_context_takeover,
        }
    }

    /// Returns the base-2 logarithm of the window's size, 8 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Returns the window's size in bytes.
    //= RFC7692-7.2.1-5
    #[must_use]
    pub const fn size(self) -> usize {
        1 << self.bits
    }

    /// Tells whether a message may refer to those before it.
    #[must_use]
    pub const fn takes_over(self) -> bool {
        self.takes_over
    }
}
