//! Outbound vectors: what an endpoint is asked to send, and its exact bytes.

use serde_json::Value;

use super::{
    action::{Action, Masking},
    bytes::show,
    json::Object,
    proto::Transmitter,
    role::Role,
};
use crate::Failure;

#[derive(Debug)]
pub(super) struct Outbound {
    role: Role,
    masking: Masking,
    /// The longest frame, with its head.
    max_frame_sent: usize,
    actions: Vec<Action>,
    error: Option<String>,
    bytes: Vec<u8>,
}

impl Outbound {
    pub(super) fn parse(vector: &Value, name: &str) -> Result<Self, Failure> {
        let vector = Object::new(vector, name);
        let expect = vector.object("expect")?;
        Ok(Self {
            role: Role::parse(vector.text("role")?)?,
            masking: Masking::parse(vector)?,
            max_frame_sent: vector.size_or_unlimited("max_frame_sent")?,
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
        transmitter.split_at(self.max_frame_sent);
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
