//! The LZ77 window of one direction (RFC 7692 section 7.1).

use core::{fmt, num::NonZeroU8};

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
///
/// It takes a byte, also as an `Option`: every connection keeps two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeflateWindow(NonZeroU8);

/// Set if the window lasts from message to message; below it are the bits.
const TAKES_OVER: u8 = 0x80;

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
        let takes_over = if no_context_takeover { 0 } else { TAKES_OVER };
        Self(NonZeroU8::MIN.saturating_add((bits | takes_over) - 1))
    }

    /// Returns the base-2 logarithm of the window's size, 8 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0.get() & !TAKES_OVER
    }

    /// Returns the window's size in bytes.
    //= RFC7692-7.2.1-5
    #[must_use]
    pub const fn size(self) -> usize {
        1 << self.bits()
    }

    /// Tells whether a message may refer to those before it.
    #[must_use]
    pub const fn takes_over(self) -> bool {
        self.0.get() & TAKES_OVER != 0
    }
}

impl fmt::Debug for DeflateWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeflateWindow")
            .field("bits", &self.bits())
            .field("takes_over", &self.takes_over())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_both_parameters() {
        assert_eq!(
            alloc::format!("{:?}", DeflateWindow::new(false, 12)),
            "DeflateWindow { bits: 12, takes_over: true }"
        );
    }

    #[test]
    fn both_parameters_come_back_and_take_a_byte() {
        assert_eq!(size_of::<Option<DeflateWindow>>(), 1);
        for bits in 0..=255 {
            for no_takeover in [false, true] {
                let window = DeflateWindow::new(no_takeover, bits);
                assert_eq!(window.bits(), bits.clamp(8, 15));
                assert_eq!(window.size(), 1 << window.bits());
                assert_eq!(window.takes_over(), !no_takeover);
            }
        }
    }
}
