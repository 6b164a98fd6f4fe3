//! The header fields of a request that its user may choose.

use crate::headers::{FieldBlock, HeaderError};

/// The fields of a request of ours, to a server or to a proxy.
///
/// `User-Agent` is there once: the one by default, or the user's, or none. Of every other name
/// there are as many as were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestFields {
    user_agent: FieldBlock,
    added: FieldBlock,
}

impl RequestFields {
    pub(crate) fn new() -> Self {
        let mut user_agent = FieldBlock::default();
        user_agent.push_own("User-Agent", USER_AGENT.as_bytes());
        Self {
            user_agent,
            added: FieldBlock::default(),
        }
    }

    /// Adds a field; `User-Agent` takes the place of the one before.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        if !name.eq_ignore_ascii_case("User-Agent") {
            return self.added.push(name, value);
        }
        let mut field = FieldBlock::default();
        field.push(name, value)?;
        self.user_agent = field;
        Ok(())
    }

    pub(crate) fn remove_user_agent(&mut self) {
        self.user_agent = FieldBlock::default();
    }

    /// Takes back what was added, but for `User-Agent`.
    pub(crate) fn remove_added(&mut self) {
        self.added = FieldBlock::default();
    }

    /// Whether a field of that name, which is not `User-Agent`, was added.
    pub(crate) fn has_added(&self, name: &str) -> bool {
        self.added.contains(name)
    }

    /// The line of `User-Agent`, or nothing.
    pub(crate) const fn user_agent(&self) -> &FieldBlock {
        &self.user_agent
    }

    /// The lines of all other fields.
    pub(crate) const fn added(&self) -> &FieldBlock {
        &self.added
    }
}

/// Who asks, if the user does not say it.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
