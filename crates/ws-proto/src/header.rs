//! The head of a frame (RFC 6455 section 5.2).

use crate::{MaskKey, OpCode, ProtocolError};

/// The largest head of a frame in bytes: two, a 64-bit length and a key.
pub const MAX_HEADER_LEN: usize = 14;

/// The most payload that a control frame can carry, in bytes (section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest control frame in bytes: a head of two, a key and the payload.
/// It cannot be split (section 5.5), so no limit on frames is lower.
pub const MAX_CONTROL_FRAME: usize = 2 + 4 + MAX_CONTROL_PAYLOAD;

/// The reserved bit that says "Per-Message Compressed" (RFC 7692 section 6).
const RSV1: u8 = 0b100;

/// The head of a frame: everything before the payload.
///
/// A header is legal by the rules that hold for both roles and without
/// regard to the frames before it; the [`Receiver`](crate::Receiver) judges
/// the MASK bit, the reserved bits, the order of fragments and the limits.
///
/// ```
/// use ws_proto::{Header, MaskKey, OpCode};
///
/// let wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (header, len) = Header::decode(&wire)?.expect("a whole header");
/// assert_eq!(header.opcode(), OpCode::Text);
/// assert_eq!(header.mask(), Some(MaskKey::new([0x37, 0xfa, 0x21, 0x3d])));
/// assert_eq!((header.payload_len(), len), (5, 6));
/// # Ok::<(), ws_proto::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    fin: bool,
    reserved: u8,
    opcode: OpCode,
    mask: Option<MaskKey>,
    payload_len: u64,
}

impl Header {
    /// Tells whether this is the first frame of a compressed message (RFC 7692
    /// section 6): RSV1 alone is set, on a text or binary frame.
    #[must_use]
    #[inline]
    pub const fn is_compressed(&self) -> bool {
        self.reserved == RSV1 && matches!(self.opcode, OpCode::Text | OpCode::Binary)
    }

    /// Marks the first frame of a compressed message.
    pub(crate) const fn compressed(mut self) -> Self {
        self.reserved = RSV1;
        self
    }

    /// Makes the header of a frame to send; the reserved bits are clear.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ControlFragmented`], [`ProtocolError::ControlTooLong`],
    /// [`ProtocolError::ClosePayloadShort`] and
    /// [`ProtocolError::LengthTopBitSet`] where a receiver would say the same.
    pub const fn new(
        fin: bool,
        opcode: OpCode,
        mask: Option<MaskKey>,
        payload_len: u64,
    ) -> Result<Self, ProtocolError> {
        if opcode.is_control() {
            //= RFC6455-5.4-5, RFC6455-5.5-2
            if !fin {
                return Err(ProtocolError::ControlFragmented);
            }
            //= RFC6455-5.5-1
            if payload_len > MAX_CONTROL_PAYLOAD as u64 {
                return Err(ProtocolError::ControlTooLong);
            }
            //= RFC6455-5.5.1-2
            if payload_len == 1 && matches!(opcode, OpCode::Close) {
                return Err(ProtocolError::ClosePayloadShort);
            }
        }
        //= RFC6455-5.2-7
        if payload_len >> 63 != 0 {
            return Err(ProtocolError::LengthTopBitSet);
        }
        //= RFC6455-5.2-2
        Ok(Self {
            fin,
            reserved: 0,
            opcode,
            mask,
            payload_len,
        })
    }

    /// Makes the header of a frame whose payload lies in memory, and so is
    /// shorter than 2^63 bytes; that of a control frame was judged before.
    #[inline]
    pub(crate) const fn of_payload(
        fin: bool,
        opcode: OpCode,
        mask: Option<MaskKey>,
        payload_len: u64,
    ) -> Self {
        Self {
            fin,
            reserved: 0,
            opcode,
            mask,
            payload_len,
        }
    }

    /// Decodes the header at the start of `bytes`, and tells its length in
    /// bytes; `None` as long as it is not whole.
    ///
    /// # Errors
    ///
    /// The first rule that the header breaks, in the order of its bytes:
    /// [`ProtocolError::ReservedOpcode`], [`ProtocolError::ControlFragmented`],
    /// [`ProtocolError::ControlTooLong`], [`ProtocolError::ClosePayloadShort`],
    /// [`ProtocolError::LengthNotMinimal`] and
    /// [`ProtocolError::LengthTopBitSet`]. Which of them is told does not
    /// depend on how many bytes are there.
    //= MSWS-2.2-1
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        //= RFC6455-5.2-1
        let fin = first & 0x80 != 0;
        let reserved = first >> 4 & 0x7;
        //= RFC6455-5.2-4
        let Some(opcode) = OpCode::from_bits(first & 0xf) else {
            return Err(ProtocolError::ReservedOpcode {
                opcode: first & 0xf,
            });
        };
        let short = second & 0x7f;
        if opcode.is_control() {
            //= RFC6455-5.4-5, RFC6455-5.5-2
            if !fin {
                return Err(ProtocolError::ControlFragmented);
            }
            //= RFC6455-5.5-1
            if usize::from(short) > MAX_CONTROL_PAYLOAD {
                return Err(ProtocolError::ControlTooLong);
            }
            //= RFC6455-5.5.1-2
            if short == 1 && opcode == OpCode::Close {
                return Err(ProtocolError::ClosePayloadShort);
            }
        }
        //= RFC6455-5.2-6
        let (payload_len, rest) = match short {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*len)), rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*len), rest)
            }
            len => (u64::from(len), rest),
        };
        //= RFC6455-5.2-8
        if (short == 126 && payload_len < 126) || (short == 127 && payload_len <= 0xffff) {
            return Err(ProtocolError::LengthNotMinimal { len: payload_len });
        }
        //= RFC6455-5.2-7
        if payload_len >> 63 != 0 && !fault!("length-top-bit-accepted") {
            return Err(ProtocolError::LengthTopBitSet);
        }
        //= RFC6455-5.2-5, RFC6455-5.2-9, RFC6455-5.3-6, MSWS-3.2.5-1, MSWS-3.2.5-6
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(MaskKey::new(*key)), rest)
        };
        let header = Self {
            fin,
            reserved,
            opcode,
            mask,
            payload_len,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Writes the header to the start of `out` and returns its length in
    /// bytes. The length of the payload takes its shortest form.
    #[inline]
    pub fn encode(&self, out: &mut [u8; MAX_HEADER_LEN]) -> usize {
        let (bytes, len) = self.to_bytes();
        out[..len].copy_from_slice(&bytes[..len]);
        len
    }

    /// Returns the header as bytes, zeros behind it, and its length.
    ///
    /// It is put together in a register: bytes that are stored one by one
    /// cannot be loaded as a word again before all of them have left the
    /// processor's store buffer.
    #[inline]
    pub(crate) const fn to_bytes(self) -> ([u8; 16], usize) {
        let mut word = (self.fin as u128) << 7 | (self.reserved as u128) << 4;
        word |= self.opcode.bits() as u128;
        //= RFC6455-5.2-6, RFC6455-5.2-8
        let mut len = match self.payload_len {
            len @ 0..=125 => {
                word |= (len as u128) << 8;
                2
            }
            len @ 126..=0xffff => {
                word |= 126 << 8 | ((len as u16).swap_bytes() as u128) << 16;
                4
            }
            len => {
                word |= 127 << 8 | (len.swap_bytes() as u128) << 16;
                10
            }
        };
        //= RFC6455-5.3-1, MSWS-3.1.4-1, MSWS-3.1.4-4
        if let Some(key) = self.mask {
            word |= 0x80 << 8 | (u32::from_le_bytes(key.bytes()) as u128) << (8 * len);
            len += 4;
        }
        (word.to_le_bytes(), len)
    }

    /// Returns whether this is the last frame of its message.
    #[must_use]
    #[inline]
    pub const fn fin(&self) -> bool {
        self.fin
    }

    /// Returns RSV1, RSV2 and RSV3 as the low three bits, RSV1 first.
    #[must_use]
    #[inline]
    pub const fn reserved(&self) -> u8 {
        self.reserved
    }

    /// Returns the opcode.
    #[must_use]
    #[inline]
    pub const fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// Returns the masking key, or `None` where the MASK bit is clear.
    #[must_use]
    #[inline]
    pub const fn mask(&self) -> Option<MaskKey> {
        self.mask
    }

    /// Returns the length of the payload in bytes, without the key.
    #[must_use]
    #[inline]
    pub const fn payload_len(&self) -> u64 {
        self.payload_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: MaskKey = MaskKey::new([0x37, 0xfa, 0x21, 0x3d]);

    #[test]
    fn encoded_header_decodes_to_itself_at_every_length_form() {
        //= RFC6455-5.2-6, RFC6455-5.2-8, RFC6455-5.2-9
        for (len, size) in [
            (0, 2),
            (1, 2),
            (125, 2),
            (126, 4),
            (0xffff, 4),
            (0x1_0000, 10),
            ((1 << 63) - 1, 10),
        ] {
            for mask in [None, Some(KEY), Some(MaskKey::ZERO)] {
                for fin in [false, true] {
                    for opcode in [OpCode::Continuation, OpCode::Text, OpCode::Binary] {
                        let header = Header::new(fin, opcode, mask, len).unwrap();
                        let mut out = [0xee; MAX_HEADER_LEN];
                        let n = header.encode(&mut out);
                        assert_eq!(n, size + if mask.is_some() { 4 } else { 0 });
                        assert_eq!(Header::decode(&out), Ok(Some((header, n))));
                        for cut in 0..n {
                            assert_eq!(Header::decode(&out[..cut]), Ok(None));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn mask_bit_and_key_stay_when_the_key_is_zero() {
        //= MSWS-3.1.4-1, MSWS-3.1.4-4, RFC6455-5.3-1, RFC6455-5.3-6
        let mut out = [0xee; MAX_HEADER_LEN];
        let header = Header::new(true, OpCode::Text, Some(MaskKey::ZERO), 5).unwrap();
        let n = header.encode(&mut out);
        assert_eq!(out[..n], [0x81, 0x85, 0, 0, 0, 0]);
    }

    #[test]
    fn length_not_in_its_shortest_form_is_refused() {
        //= RFC6455-5.2-8
        assert_eq!(
            Header::decode(&[0x82, 126, 0, 125]),
            Err(ProtocolError::LengthNotMinimal { len: 125 })
        );
        assert_eq!(
            Header::decode(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            Err(ProtocolError::LengthNotMinimal { len: 0xffff })
        );
    }

    #[test]
    fn top_bit_of_the_length_is_refused_in_both_directions() {
        //= RFC6455-5.2-7
        let wire = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Header::decode(&wire), Err(ProtocolError::LengthTopBitSet));
        assert_eq!(
            Header::new(true, OpCode::Binary, None, 1 << 63),
            Err(ProtocolError::LengthTopBitSet)
        );
    }

    #[test]
    fn control_frames_are_whole_and_short_in_both_directions() {
        //= RFC6455-5.4-5, RFC6455-5.5-1, RFC6455-5.5-2, RFC6455-5.5.1-2
        for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
            let byte = opcode.bits();
            assert_eq!(
                Header::decode(&[byte, 0]),
                Err(ProtocolError::ControlFragmented)
            );
            assert_eq!(
                Header::new(false, opcode, None, 0),
                Err(ProtocolError::ControlFragmented)
            );
            for len in [126, 127] {
                assert_eq!(
                    Header::decode(&[0x80 | byte, len]),
                    Err(ProtocolError::ControlTooLong)
                );
            }
            assert_eq!(
                Header::new(true, opcode, None, 126),
                Err(ProtocolError::ControlTooLong)
            );
            assert!(Header::new(true, opcode, None, 125).is_ok());
        }
        assert_eq!(
            Header::decode(&[0x88, 1]),
            Err(ProtocolError::ClosePayloadShort)
        );
        assert_eq!(
            Header::new(true, OpCode::Close, None, 1),
            Err(ProtocolError::ClosePayloadShort)
        );
    }

    #[test]
    fn reserved_opcodes_are_refused() {
        //= RFC6455-5.2-4
        for opcode in (3..=7).chain(11..=15) {
            assert_eq!(
                Header::decode(&[0x80 | opcode, 0]),
                Err(ProtocolError::ReservedOpcode { opcode })
            );
        }
    }

    #[test]
    fn payload_of_an_unmasked_frame_starts_after_the_length() {
        //= MSWS-3.2.5-1, MSWS-3.2.5-6, RFC6455-5.2-5
        let (header, n) = Header::decode(b"\x81\x05Hello").unwrap().unwrap();
        assert_eq!((header.mask(), n), (None, 2));
        assert!(header.fin());
        assert_eq!(header.reserved(), 0);
    }

    #[test]
    fn reserved_bits_survive_both_ways() {
        for bits in 0..8u8 {
            let wire = [0x80 | bits << 4 | 1, 0];
            let (header, _) = Header::decode(&wire).unwrap().unwrap();
            assert_eq!(header.reserved(), bits);
            let mut out = [0; MAX_HEADER_LEN];
            assert_eq!(header.encode(&mut out), 2);
            assert_eq!(out[..2], wire);
        }
    }
}
