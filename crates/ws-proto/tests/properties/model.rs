//! What should come of a wire, worked out the slow way: from all of it, one
//! byte at a time, with `std`.

use ws_proto::{CloseCode, Inbound, Limits, ProtocolError};

use super::text::known_bad_after;

/// Something that was received, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close.
    Close(Option<(u16, String)>),
}

/// What came of a wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was received, and how many bytes of the wire decided it.
    pub got: Vec<(usize, Got)>,
    /// The error, and how many bytes of the wire decided it.
    pub error: Option<(usize, ProtocolError)>,
    /// Whether a frame came without a mask, and was accepted.
    pub unmasked: bool,
}

struct OpenMessage {
    is_text: bool,
    declared: u64,
    frames: u32,
    bytes: Vec<u8>,
}

/// What `wire` says to an endpoint.
pub fn outcome(inbound: Inbound, limits: Limits, wire: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.error = frames(inbound, limits, wire, &mut outcome).err();
    outcome
}

fn frames(
    inbound: Inbound,
    limits: Limits,
    wire: &[u8],
    outcome: &mut Outcome,
) -> Result<(), (usize, ProtocolError)> {
    let mut at = 0;
    let mut message: Option<OpenMessage> = None;
    // Each step needs more bytes, and `None` ends where they are not there.
    macro_rules! need {
        ($end:expr) => {
            match wire.get(at..$end) {
                Some(bytes) => bytes,
                None => return Ok(()),
            }
        };
    }
    loop {
        let [first, second] = *need!(at + 2) else {
            unreachable!("two bytes")
        };
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 0xf);
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        let wrong = |error| Err((at + 2, error));
        if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) {
            return wrong(ProtocolError::ReservedOpcode { opcode });
        }
        let control = opcode >= 8;
        if control && !fin {
            return wrong(ProtocolError::ControlFragmented);
        }
        if control && short > 125 {
            return wrong(ProtocolError::ControlTooLong);
        }
        if opcode == 8 && short == 1 {
            return wrong(ProtocolError::ClosePayloadShort);
        }
        let (extended, least) = match short {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let start = at + 2 + extended;
        let len = match extended {
            0 => u64::from(short),
            _ => need!(start)[2..]
                .iter()
                .fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        if len < least {
            return Err((start, ProtocolError::LengthNotMinimal { len }));
        }
        if len >= 1 << 63 {
            return Err((start, ProtocolError::LengthTopBitSet));
        }
        let start = start + if masked { 4 } else { 0 };
        let head = need!(start);
        let wrong = |error| Err((start, error));
        if rsv != 0 {
            return wrong(ProtocolError::ReservedBits { bits: rsv });
        }
        if opcode == 0 && message.is_none() {
            return wrong(ProtocolError::UnexpectedContinuation);
        }
        if matches!(opcode, 1 | 2) && message.is_some() {
            return wrong(ProtocolError::ExpectedContinuation);
        }
        if !masked && inbound == Inbound::RequireMasked {
            return wrong(ProtocolError::UnmaskedFrame);
        }
        if masked && inbound == Inbound::RequireUnmasked {
            return wrong(ProtocolError::MaskedFrame);
        }
        let key = match masked {
            true => &head[head.len() - 4..],
            false => &[0; 4],
        };
        if !control {
            if len > limits.max_frame {
                let limit = limits.max_frame;
                return wrong(ProtocolError::FrameTooBig { len, limit });
            }
            let open = message.get_or_insert_with(|| OpenMessage {
                is_text: opcode == 1,
                declared: 0,
                frames: 0,
                bytes: Vec::new(),
            });
            open.declared = open.declared.saturating_add(len);
            if open.declared > limits.max_message {
                let (len, limit) = (open.declared, limits.max_message);
                return wrong(ProtocolError::MessageTooBig { len, limit });
            }
            open.frames += 1;
            if open.frames > limits.max_fragments {
                let limit = limits.max_fragments;
                return wrong(ProtocolError::TooManyFragments { limit });
            }
        }
        outcome.unmasked |= !masked;
        let there = wire.len() - start;
        let whole = len <= there as u64;
        let end = start + there.min(usize::try_from(len).unwrap_or(there));
        let payload: Vec<u8> = wire[start..end]
            .iter()
            .zip(0..)
            .map(|(byte, i)| byte ^ key[i % 4])
            .collect();
        let got = if control {
            if !whole {
                return Ok(());
            }
            control_event(opcode, payload).map_err(|error| (end, error))?
        } else {
            let Some(open) = &mut message else {
                unreachable!("it was made above")
            };
            let before = open.bytes.len();
            open.bytes.extend(payload);
            if open.is_text
                && let Some(bad) = known_bad_after(&open.bytes)
            {
                return Err((start + (bad - before), ProtocolError::TextNotUtf8));
            }
            if !whole {
                return Ok(());
            }
            if !fin {
                at = end;
                continue;
            }
            let Some(open) = message.take() else {
                unreachable!("it was made above")
            };
            if !open.is_text {
                Got::Binary(open.bytes)
            } else if let Ok(text) = String::from_utf8(open.bytes) {
                Got::Text(text)
            } else {
                return Err((end, ProtocolError::TextNotUtf8));
            }
        };
        let closed = matches!(got, Got::Close(_));
        outcome.got.push((end, got));
        if closed {
            return Ok(());
        }
        at = end;
    }
}

fn control_event(opcode: u8, payload: Vec<u8>) -> Result<Got, ProtocolError> {
    match (opcode, &payload[..]) {
        (9, _) => Ok(Got::Ping(payload)),
        (10, _) => Ok(Got::Pong(payload)),
        (_, []) => Ok(Got::Close(None)),
        (_, [a, b, reason @ ..]) => {
            let code = u16::from(*a) * 256 + u16::from(*b);
            match code {
                1000..=1003 | 1007..=1014 | 3000..=4999 => {}
                _ => return Err(ProtocolError::CloseCodeInvalid { code }),
            }
            match String::from_utf8(reason.to_vec()) {
                Ok(reason) => Ok(Got::Close(Some((code, reason)))),
                Err(_) => {
                    // INVARIANT: the code was looked at above.
                    let code = CloseCode::new(code).unwrap();
                    Err(ProtocolError::CloseReasonNotUtf8 { code })
                }
            }
        }
        (_, [_]) => unreachable!("refused from its header"),
    }
}
