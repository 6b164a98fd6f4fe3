//! Counts of the frames that a peer sent.

use crate::Header;

/// How many frames of which form a peer began. A count stays at `u32::MAX`
/// once it got there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameCounts {
    /// Frames by opcode: the value at [`OpCode::bits`](crate::OpCode::bits).
    pub by_opcode: [u32; 11],
    /// Frames with the MASK bit clear.
    pub unmasked: u32,
    /// Frames with the MASK bit set and the key `00 00 00 00`.
    pub zero_key: u32,
}

impl FrameCounts {
    pub(super) const NONE: Self = Self {
        by_opcode: [0; 11],
        unmasked: 0,
        zero_key: 0,
    };

    #[inline]
    pub(super) fn count(&mut self, header: &Header) {
        let frames = &mut self.by_opcode[usize::from(header.opcode().bits())];
        *frames = frames.saturating_add(1);
        match header.mask() {
            None => self.unmasked = self.unmasked.saturating_add(1),
            Some(key) if key.is_zero() => self.zero_key = self.zero_key.saturating_add(1),
            Some(_) => {}
        }
    }
}
