//! Frames as they are on the wire, legal or not.

use std::fmt;

use ws_proto::{Header, ProtocolError};

use crate::text::hex;

/// The head of a frame, bit by bit, and how its payload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The first byte: FIN, RSV1 to RSV3, and the opcode.
    first: u8,
    /// The masking key; `None` for an unmasked frame.
    pub(crate) key: Option<[u8; 4]>,
    /// The length of the payload in bytes.
    pub(crate) len: u64,
    /// The payload without the mask, at most [`MAX_START`] bytes of it.
    pub(crate) start: Vec<u8>,
    /// Which rule the head breaks alone, without regard to roles and to the
    /// frames before it.
    pub(crate) broken: Option<ProtocolError>,
}

/// How much of a payload is kept: all that a control frame can carry.
pub(crate) const MAX_START: usize = ws_proto::MAX_CONTROL_PAYLOAD;

impl Frame {
    pub(crate) const fn is_fin(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// The bits RSV1, RSV2 and RSV3, from the highest.
    pub(crate) const fn reserved(&self) -> u8 {
        self.first >> 4 & 0x7
    }

    pub(crate) const fn opcode(&self) -> u8 {
        self.first & 0xf
    }

    pub(crate) fn name(&self) -> String {
        match self.opcode() {
            0 => "continuation".to_owned(),
            1 => "text".to_owned(),
            2 => "binary".to_owned(),
            8 => "close".to_owned(),
            9 => "ping".to_owned(),
            10 => "pong".to_owned(),
            other => format!("opcode {other:#x}"),
        }
    }

    /// The payload for people: what a Close says, text in quotes, or bytes.
    fn preview(&self) -> String {
        let is_compressed = self.reserved() & 0b100 != 0;
        let shown = &self.start[..self.start.len().min(SHOWN)];
        let rest = if shown.len() as u64 == self.len {
            ""
        } else {
            " ..."
        };
        match (self.opcode(), shown) {
            (8, [high, low, reason @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                let reason = String::from_utf8_lossy(reason);
                match reason.is_empty() {
                    true => code.to_string(),
                    false => format!("{code} {reason:?}{rest}"),
                }
            }
            (1 | 9 | 10, [_, ..]) if !is_compressed => match whole_chars(shown) {
                Some(text) => format!("{text:?}{rest}"),
                None => format!("{}{rest}", hex(shown, " ")),
            },
            _ => format!("{}{rest}", hex(shown, " ")),
        }
    }
}

/// How many bytes of a payload are shown.
const SHOWN: usize = 32;

/// Returns the text at the start of some bytes; at the end a character may be
/// cut.
fn whole_chars(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// `FIN RSV1 text MASK 00 00 00 00 len 5 "Hello"`
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_fin() { "FIN " } else { "--- " })?;
        match self.reserved() {
            0 => f.write_str("RSV 0   ")?,
            bits => {
                f.write_str("RSV ")?;
                let names = [(0b100, '1'), (0b010, '2'), (0b001, '3')];
                for (bit, name) in names {
                    let name = if bits & bit != 0 { name } else { '-' };
                    write!(f, "{name}")?;
                }
                f.write_str(" ")?;
            }
        }
        write!(f, "{:<12} ", self.name())?;
        match self.key {
            Some(key) => write!(f, "MASK {} ", hex(&key, " "))?,
            None => write!(f, "{:<17}", "unmasked")?,
        }
        write!(f, "len {}", self.len)?;
        if self.len > 0 {
            write!(f, "  {}", self.preview())?;
        }
        if let Some(error) = self.broken {
            write!(f, "  BROKEN: {error}")?;
        }
        Ok(())
    }
}

/// Reads frames from what comes in any pieces.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    head: Vec<u8>,
    /// The frame that is under way, and how many bytes of its payload are
    /// still to come.
    frame: Option<(Frame, u64)>,
}

impl FrameReader {
    /// Tells of each frame once its head and the start of its payload are there.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut tell: impl FnMut(&Frame)) {
        while !bytes.is_empty() {
            let Some((frame, left)) = &mut self.frame else {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                self.frame = whole_head(&self.head);
                if let Some((frame, _)) = &self.frame {
                    self.head.clear();
                    if frame.len == 0 {
                        tell(frame);
                        self.frame = None;
                    }
                }
                continue;
            };
            let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let wanted = usize::try_from(frame.len).map_or(MAX_START, |len| len.min(MAX_START));
            if frame.start.len() < wanted {
                let kept = n.min(wanted - frame.start.len());
                for byte in &bytes[..kept] {
                    let key = frame.key.map_or(0, |key| key[frame.start.len() % 4]);
                    frame.start.push(byte ^ key);
                }
                if frame.start.len() == wanted {
                    tell(frame);
                }
            }
            bytes = &bytes[n..];
            *left -= n as u64;
            if *left == 0 {
                self.frame = None;
            }
        }
    }
}

/// Makes a frame of its head, once that is whole.
fn whole_head(head: &[u8]) -> Option<(Frame, u64)> {
    let [first, second, rest @ ..] = head else {
        return None;
    };
    let (len, rest) = match second & 0x7f {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u16::from_be_bytes(*len).into(), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len), rest)
        }
        len => (u64::from(len), rest),
    };
    let key = match second & 0x80 {
        0 => None,
        _ => Some(*rest.first_chunk()?),
    };
    let frame = Frame {
        first: *first,
        key,
        len,
        start: Vec::new(),
        broken: Header::decode(head).err(),
    };
    Some((frame, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wire: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        FrameReader::default().read(wire, |frame| all.push(frame.to_string()));
        for piece in 1..wire.len() {
            let (mut reader, mut again) = (FrameReader::default(), Vec::new());
            for bytes in wire.chunks(piece) {
                reader.read(bytes, |frame| again.push(frame.to_string()));
            }
            assert_eq!(all, again, "in pieces of {piece}");
        }
        all
    }

    #[test]
    fn frames_are_shown_with_all_that_their_heads_say() {
        let wire = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81\x85\0\0\0\0Hello\x01\x05Hello\x80\x00\x88\x04\x03\xe8ok\xc1\x01\x00";
        assert_eq!(
            shown(wire),
            [
                r#"FIN RSV 0   text         MASK 37 fa 21 3d len 5  "Hello""#,
                r#"FIN RSV 0   text         MASK 00 00 00 00 len 5  "Hello""#,
                r#"--- RSV 0   text         unmasked         len 5  "Hello""#,
                "FIN RSV 0   continuation unmasked         len 0",
                r#"FIN RSV 0   close        unmasked         len 4  1000 "ok""#,
                "FIN RSV 1-- text         unmasked         len 1  00",
            ]
        );
    }

    #[test]
    fn start_of_a_long_payload_is_shown_and_the_next_frame_is_found() {
        let mut wire = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        wire.extend([7; 65536]);
        wire.extend(b"\x89\x00");
        let mut frames = Vec::new();
        let mut reader = FrameReader::default();
        for bytes in wire.chunks(1000) {
            reader.read(bytes, |frame| frames.push(frame.clone()));
        }
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].len, frames[0].start.len()), (65536, MAX_START));
        assert!(frames[0].to_string().ends_with("07 07 ..."));
        assert_eq!(frames[1].opcode(), 9);
    }

    #[test]
    fn frame_that_breaks_a_rule_is_shown_and_called_broken() {
        assert!(shown(b"\x83\x00")[0].contains("opcode 0x3"));
        for wire in [&b"\x83\x00"[..], b"\x09\x00", b"\x81\x7e\x00\x01a"] {
            assert!(shown(wire)[0].contains("BROKEN: "), "{wire:?}");
        }
    }

    #[test]
    fn text_that_is_cut_in_a_character_is_still_text() {
        let mut wire = vec![0x81, 34];
        wire.extend("aä世世世世世世世世世世!".as_bytes());
        assert!(shown(&wire)[0].contains("世"), "{:?}", shown(&wire));
    }
}
