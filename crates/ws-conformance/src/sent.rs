//! What an endpoint answers to its input: control frames, or a failure.

use std::fmt;

use super::{bytes::show, role::Role};

/// A frame that the endpoint queued, unmasked.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

impl Sent {
    /// Reads what an endpoint wrote, strictly: control frames in the form that its role must use.
    pub(super) fn parse_all(role: Role, mut wire: &[u8]) -> Result<Vec<Self>, String> {
        let mut frames = Vec::new();
        while !wire.is_empty() {
            let (frame, rest) = Self::parse(role, wire)
                .ok_or_else(|| format!("what it writes is no control frame: {}", show(wire)))?;
            frames.push(frame);
            wire = rest;
        }
        Ok(frames)
    }

    fn parse(role: Role, wire: &[u8]) -> Option<(Self, &[u8])> {
        let (&[first, second], rest) = wire.split_first_chunk()?;
        let is_masked = second & 0x80 != 0;
        let length = usize::from(second & 0x7f);
        // FIN, no reserved bit, opcode 8 to 10, at most 125 bytes.
        if !matches!(first, 0x88..=0x8a) || is_masked != (role == Role::Client) || length > 125 {
            return None;
        }
        let (key, rest) = if is_masked {
            let (key, rest) = rest.split_first_chunk()?;
            (*key, rest)
        } else {
            ([0; 4], rest)
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        let opcode = first & 0x0f;
        Some((Self { opcode, payload }, rest))
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.opcode {
            8 => "Close",
            9 => "Ping",
            _ => "Pong",
        };
        write!(f, "{name} {}", show(&self.payload))
    }
}

/// What feeding can end with beside success.
#[derive(Debug)]
pub(super) enum Fault {
    /// The endpoint refuses the input.
    Protocol {
        kind: &'static str,
        code: Option<u16>,
    },
    /// The endpoint did something that the vector does not allow.
    Check(String),
}
