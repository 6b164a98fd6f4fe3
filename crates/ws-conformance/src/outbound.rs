//! Outbound vectors: what an endpoint is asked to send, and its exact bytes.

use serde_json::Value;

use super::bytes::show;
use super::json::Object;
use super::proto::{Masking, Role, Transmitter};
use crate::Failure;

#[derive(Debug)]
pub(super) struct Outbound {
    role: Role,
    masking: Masking,
    actions: Vec<Action>,
    error: Option<String>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Action {
    Message {
        is_text: bool,
        data: Vec<u8>,
        fragments: Vec<usize>,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close {
        code: Option<u16>,
        reason: Vec<u8>,
    },
}

impl Outbound {
    pub(super) fn parse(vector: &Value, name: &str) -> Result<Self, Failure> {
        let vector = Object::new(vector, name);
        let expect = vector.object("expect")?;
        Ok(Self {
            role: Role::parse(vector.text("role")?)?,
            masking: Masking::parse(vector)?,
            actions: vector
                .objects("actions")?
                .into_iter()
                .map(Action::parse)
                .collect::<Result<_, _>>()?,
            error: expect.text_or_none("error")?.map(str::to_owned),
            bytes: expect.bytes("bytes")?,
        })
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let mut transmitter = Transmitter::new(self.role, &self.masking)?;
        let mut refusal = None;
        for (index, action) in self.actions.iter().enumerate() {
            let Err(kind) = transmitter.send(action) else {
                continue;
            };
            if index + 1 != self.actions.len() || self.error.is_none() {
                return Err(format!("action {index} is refused: {kind}"));
            }
            refusal = Some(kind);
        }
        if refusal != self.error.as_deref() {
            return Err(format!(
                "the last action ends with {refusal:?}, not {:?}",
                self.error
            ));
        }
        let wire = transmitter.wire();
        if wire != self.bytes {
            return Err(format!("writes {}, not {}", show(wire), show(&self.bytes)));
        }
        Ok(())
    }
}

impl Masking {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        Ok(match vector.text("masking")? {
            "none" => Self::None,
            "zero" => Self::Zero,
            "fixed" => Self::Fixed(
                vector
                    .texts("keys")?
                    .into_iter()
                    .map(|key| {
                        <[u8; 4]>::try_from(super::bytes::decode(key)?)
                            .map_err(|_| vector.wrong("keys", "a list of four bytes each"))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(vector.wrong("masking", "none, zero or fixed")),
        })
    }
}

impl Action {
    pub(super) fn parse(action: Object<'_>) -> Result<Self, Failure> {
        let kind = action.text("send")?;
        Ok(match kind {
            "text" | "binary" => Self::Message {
                is_text: kind == "text",
                data: action.bytes("data")?,
                fragments: action
                    .list_or_empty("fragments")?
                    .iter()
                    .map(|size| {
                        size.as_u64()
                            .and_then(|size| usize::try_from(size).ok())
                            .ok_or_else(|| action.wrong("fragments", "a list of sizes"))
                    })
                    .collect::<Result<_, _>>()?,
            },
            "ping" => Self::Ping(action.bytes("data")?),
            "pong" => Self::Pong(action.bytes("data")?),
            "close" => Self::Close {
                code: action.code("code")?,
                reason: action.bytes("reason")?,
            },
            _ => return Err(action.wrong("send", "text, binary, ping, pong or close")),
        })
    }
}
