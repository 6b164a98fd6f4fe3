//! What a vector has an endpoint send, and with which keys.

use super::{bytes, json::Object};
use crate::Failure;

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

/// Which keys an outbound vector sends with.
#[derive(Debug)]
pub(super) enum Masking {
    None,
    Zero,
    /// One for each frame.
    Fixed(Vec<[u8; 4]>),
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
                        <[u8; 4]>::try_from(bytes::decode(key)?)
                            .map_err(|_| vector.wrong("keys", "a list of four bytes each"))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(vector.wrong("masking", "none, zero or fixed")),
        })
    }
}
