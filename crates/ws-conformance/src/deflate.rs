//! permessage-deflate in the wire vectors: what is agreed, and what must be true of what is sent.
//!
//! Compressors differ, so the outbound vectors name properties and not bytes.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags},
};
use serde_json::Value;
use ws_proto::{DeflateWindow, Header};

use super::{
    action::{Action, Masking},
    agreed::Deflate,
    bytes::show,
    json::Object,
    proto::Transmitter,
    role::Role,
};
use crate::Failure;

/// What an endpoint that compresses is asked to send, and what must be true of it.
#[derive(Debug)]
pub(super) struct Outbound {
    role: Role,
    masking: Masking,
    window: DeflateWindow,
    actions: Vec<Action>,
    /// Whether RSV1 is set on the first frame of each action.
    first_rsv1: Option<bool>,
    /// Whether RSV1 is set on the other frames.
    rest_rsv1: Option<bool>,
    inflates_to_input: bool,
    inflates_with_window_bits: Option<u8>,
    equal_payloads: bool,
    payload_unchanged: bool,
}

/// A frame as it was sent, unmasked.
#[derive(Debug)]
struct Frame {
    header: Header,
    payload: Vec<u8>,
}

impl Outbound {
    pub(super) fn parse(vector: &Value, name: &str) -> Result<Self, Failure> {
        let vector = Object::new(vector, name);
        let role = Role::parse(vector.text("role")?)?;
        let agreed = Deflate::parse(vector.object("config")?)?
            .ok_or_else(|| vector.wrong("config", "parameters of permessage-deflate"))?;
        let properties = vector.object("properties")?;
        let flag_or_none = |field| match properties.get(field) {
            None => Ok(None),
            Some(_) => properties.flag(field).map(Some),
        };
        Ok(Self {
            role,
            masking: Masking::parse(vector)?,
            window: agreed.sent_by(role),
            actions: vector
                .objects("actions")?
                .into_iter()
                .map(Action::parse)
                .collect::<Result<_, _>>()?,
            first_rsv1: flag_or_none("first_rsv1")?,
            rest_rsv1: flag_or_none("rest_rsv1")?,
            inflates_to_input: properties.flag("inflates_to_input")?,
            inflates_with_window_bits: properties
                .number_or_none("inflates_with_window_bits")?
                .map(|bits| u8::try_from(bits).unwrap_or(u8::MAX)),
            equal_payloads: properties.flag("equal_payloads")?,
            payload_unchanged: properties.flag("payload_unchanged")?,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let mut transmitter = Transmitter::new(self.role, &self.masking)?;
        transmitter.compress(self.window);
        let bits = self.inflates_with_window_bits.unwrap_or(15);
        let mut judge = Judge::new(bits);
        let mut first_payload: Option<Vec<u8>> = None;
        for action in &self.actions {
            let start = transmitter.wire().len();
            transmitter
                .send(action)
                .map_err(|kind| format!("an action is refused: {kind}"))?;
            let frames = Frame::parse_all(&transmitter.wire()[start..])?;
            let payload = frames
                .iter()
                .flat_map(|frame| frame.payload.iter().copied())
                .collect::<Vec<_>>();
            self.check_rsv1(&frames)?;
            let is_compressed = frames.first().is_some_and(Frame::is_compressed);
            if self.inflates_to_input || self.inflates_with_window_bits.is_some() {
                let inflated = if is_compressed {
                    judge.inflate(&payload)?
                } else {
                    payload.clone()
                };
                if inflated != plain(action) {
                    return Err(format!("inflates to {}", show(&inflated)));
                }
                if self.window == DeflateWindow::new(true, self.window.bits()) {
                    judge = Judge::new(bits);
                }
            }
            if self.payload_unchanged && payload != plain(action) {
                return Err(format!("sends {}", show(&payload)));
            }
            let first = first_payload.get_or_insert_with(|| payload.clone());
            if self.equal_payloads && *first != payload {
                return Err(format!("sends {} and {}", show(first), show(&payload)));
            }
        }
        Ok(())
    }

    fn check_rsv1(&self, frames: &[Frame]) -> Result<(), String> {
        let [first, rest @ ..] = frames else {
            return Err("sends nothing".to_owned());
        };
        let is_wrong = |frame: &Frame, wanted: Option<bool>| {
            wanted.is_some_and(|wanted| (frame.header.reserved() == RSV1) != wanted)
                || !matches!(frame.header.reserved(), 0 | RSV1)
        };
        if is_wrong(first, self.first_rsv1) {
            return Err("RSV1 of the first frame is wrong".to_owned());
        }
        if rest.iter().any(|frame| is_wrong(frame, self.rest_rsv1)) {
            return Err("RSV1 of a later frame is wrong".to_owned());
        }
        Ok(())
    }
}

impl Frame {
    fn parse_all(mut wire: &[u8]) -> Result<Vec<Self>, String> {
        let mut frames = Vec::new();
        while !wire.is_empty() {
            let (header, len) = Header::decode(wire)
                .map_err(|error| error.to_string())?
                .ok_or("sends half a header")?;
            let end = usize::try_from(header.payload_len()).map_err(|error| error.to_string())?;
            let (payload, rest) = wire[len..]
                .split_at_checked(end)
                .ok_or("sends half a frame")?;
            let mut payload = payload.to_vec();
            if let Some(key) = header.mask() {
                ws_proto::xor(&mut payload, key);
            }
            frames.push(Self { header, payload });
            wire = rest;
        }
        Ok(frames)
    }

    fn is_compressed(&self) -> bool {
        self.header.reserved() == RSV1
    }
}

/// Inflates in a ring that is as long as the window, so that nothing outside of it can be referred
/// to.
struct Judge {
    inflate: Box<DecompressorOxide>,
    window: Vec<u8>,
    at: usize,
}

impl Judge {
    fn new(bits: u8) -> Self {
        Self {
            inflate: Box::default(),
            window: vec![0; 1 << bits],
            at: 0,
        }
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let source = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let (mut rest, mut out) = (&source[..], Vec::new());
        loop {
            let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
            let (status, used, given) =
                decompress(&mut self.inflate, rest, &mut self.window, self.at, flags);
            rest = &rest[used..];
            out.extend_from_slice(&self.window[self.at..self.at + given]);
            self.at = (self.at + given) % self.window.len();
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok(out),
                other => return Err(format!("does not inflate: {other:?}")),
            }
        }
    }
}

/// What the frames of an action would carry without compression.
fn plain(action: &Action) -> Vec<u8> {
    match action {
        Action::Message { data, .. } | Action::Ping(data) | Action::Pong(data) => data.clone(),
        Action::Close { code, reason } => {
            let code = code.map(u16::to_be_bytes);
            [code.as_slice().concat().as_slice(), reason].concat()
        }
    }
}

const RSV1: u8 = 0b100;

#[cfg(test)]
mod tests {
    use ws_proto::{DeflateConfig, DeflatePool, Deflater};

    use super::*;

    #[test]
    fn reference_beyond_the_window_is_noticed() {
        // 300 bytes like no others before them, and again.
        let once: Vec<u8> = (1..=300_u32).map(|n| (n.pow(3) % 257) as u8).collect();
        let twice = once.repeat(2);
        let mut pool = DeflatePool::default();
        let mut deflater = Deflater::new(DeflateWindow::new(true, 15));
        let payload = deflater.deflate(&twice, true, &mut pool);
        let payload = payload.expect("any bytes can be compressed");
        assert_eq!(Judge::new(9).inflate(payload).as_ref(), Ok(&twice));
        assert!(Judge::new(8).inflate(payload).is_err());
    }

    #[test]
    fn every_level_stays_within_every_window() {
        //= RFC7692-7.2.1-10, RFC7692-7.2.1-11
        // Something to refer to at any distance up to 40,000.
        let mut data = Vec::new();
        for n in 0..40_000_u32 {
            data.push((n.wrapping_mul(2_654_435_761) >> 27) as u8 % 5);
        }
        for level in 0..=9 {
            for bits in 8..=15 {
                let mut config = DeflateConfig::default();
                config.level = level;
                let mut pool = DeflatePool::new(config);
                let mut deflater = Deflater::new(DeflateWindow::new(false, bits));
                let mut judge = Judge::new(bits);
                for message in data.chunks(13_000) {
                    let payload = deflater.deflate(message, true, &mut pool);
                    let payload = payload.expect("any bytes can be compressed");
                    let inflated = judge.inflate(payload);
                    assert!(
                        inflated.as_deref() == Ok(message),
                        "level {level}, {bits} bits"
                    );
                }
            }
        }
    }
}
