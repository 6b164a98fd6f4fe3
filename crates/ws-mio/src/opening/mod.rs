//! The opening handshake, in a loop of ours or of somebody else.

pub(crate) mod client;
mod error;
pub(crate) mod flags;
pub(crate) mod handover;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod server;

pub use error::OpenError;
pub use handover::{AdoptError, Handover, NotAdopted};
