//! Frames as a client sends them.

use std::{fmt, str::FromStr};

/// With which keys frames are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masks {
    /// A different one for every frame.
    Random,
    /// `00 00 00 00`, with the MASK bit set.
    Zero,
    /// None: the MASK bit is clear.
    None,
}

impl FromStr for Masks {
    type Err = UnknownMasks;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "random" => Ok(Self::Random),
            "zero" => Ok(Self::Zero),
            "none" => Ok(Self::None),
            _ => Err(UnknownMasks),
        }
    }
}

/// There are no such masks.
#[derive(Clone, Copy, Debug)]
pub struct UnknownMasks;

impl fmt::Display for UnknownMasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("masks are random, zero or none")
    }
}

impl std::error::Error for UnknownMasks {}

/// The opcode of a text frame.
pub const OPCODE_TEXT: u8 = 1;
/// The opcode of a binary frame.
pub const OPCODE_BINARY: u8 = 2;
/// The opcode of a Close.
pub const OPCODE_CLOSE: u8 = 8;
/// The opcode of a Ping.
pub const OPCODE_PING: u8 = 9;
pub(crate) const OPCODE_PONG: u8 = 10;
/// Beside an opcode, RSV1: the message is compressed.
pub const COMPRESSED: u8 = 0x40;

/// Appends a frame; `number` chooses its key, if that is random.
pub fn append_frame(
    out: &mut Vec<u8>,
    fin: bool,
    opcode: u8,
    masks: Masks,
    number: u32,
    payload: &[u8],
) {
    let mask_bit = u8::from(masks != Masks::None) << 7;
    out.push(u8::from(fin) << 7 | opcode);
    match payload.len() {
        len @ 0..=125 => out.push(mask_bit | len as u8),
        len @ 126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(mask_bit | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    let key = match masks {
        Masks::None => return out.extend_from_slice(payload),
        Masks::Zero => [0; 4],
        // Odd, so never zero: nobody is to be lucky.
        Masks::Random => {
            (number.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995 | 0x0101_0101).to_be_bytes()
        }
    };
    out.extend(key);
    out.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_as_the_specification_shows_them() {
        let mut frame = Vec::new();
        append_frame(&mut frame, true, OPCODE_TEXT, Masks::None, 0, b"Hello");
        assert_eq!(frame, b"\x81\x05Hello");
        frame.clear();
        append_frame(&mut frame, true, OPCODE_TEXT, Masks::Zero, 0, b"Hello");
        assert_eq!(frame, b"\x81\x85\0\0\0\0Hello");
        frame.clear();
        append_frame(&mut frame, true, OPCODE_BINARY, Masks::Random, 7, &[0; 126]);
        let (head, payload) = frame.split_at(8);
        assert_eq!(head[..4], [0x82, 0xfe, 0, 126]);
        assert_eq!(payload[..4], head[4..]);
        frame.clear();
        append_frame(
            &mut frame,
            false,
            OPCODE_BINARY,
            Masks::None,
            0,
            &[0; 65_536],
        );
        assert_eq!(frame[..10], [2, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
