//! What several families of vectors expect in the same words.

use serde_json::Value;
use ws_handshake::{Agreed, DeflateParams, HandshakeError};

use super::deflate;
use crate::{Failure, json::Object};

/// A refusal of a server's.
#[derive(Debug)]
pub(super) struct Refusal {
    kinds: Vec<String>,
    statuses: Vec<u64>,
    pub(super) headers: Vec<(String, String)>,
}

impl Refusal {
    pub(super) fn parse(expect: Object<'_>) -> Result<Self, Failure> {
        Ok(Self {
            kinds: expect.strings("kinds")?,
            statuses: expect
                .list("statuses")?
                .iter()
                .filter_map(Value::as_u64)
                .collect(),
            headers: expect.pairs("headers")?,
        })
    }

    pub(super) fn check_kind(&self, error: &HandshakeError) -> Result<(), String> {
        let (kind, kinds) = (error.kind(), &self.kinds);
        match kinds.iter().any(|one| one == kind) {
            true => Ok(()),
            false => Err(format!("refuses: {kind}, not one of {kinds:?}")),
        }
    }

    pub(super) fn check_status(&self, error: &HandshakeError, status: &str) -> Result<(), String> {
        let (kind, statuses) = (error.kind(), &self.statuses);
        match statuses.iter().any(|one| one.to_string() == status) {
            true => Ok(()),
            false => Err(format!(
                "answers {kind} with {status}, not one of {statuses:?}"
            )),
        }
    }
}

/// What a client and its server have agreed on.
#[derive(Debug)]
pub(super) struct Agreement {
    subprotocol: Option<String>,
    deflate: Option<DeflateParams>,
}

impl Agreement {
    pub(super) fn parse(expect: Object<'_>) -> Result<Self, Failure> {
        Ok(Self {
            subprotocol: expect.text_or_none("subprotocol")?.map(str::to_owned),
            deflate: match expect.get("deflate") {
                None => None,
                Some(_) => Some(deflate::params(expect.object("deflate")?)?),
            },
        })
    }

    pub(super) fn check(&self, agreed: &Agreed) -> Result<(), String> {
        if agreed.subprotocol != self.subprotocol {
            return Err(format!(
                "subprotocol {:?}, not {:?}",
                agreed.subprotocol, self.subprotocol
            ));
        }
        if agreed.deflate != self.deflate {
            return Err(format!(
                "agrees to {:?}, not {:?}",
                agreed.deflate, self.deflate
            ));
        }
        Ok(())
    }
}
