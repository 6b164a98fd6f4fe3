//! What the load generator, the servers and the clients of `cargo xtask bench` share: frames,
//! counters of replies, latencies, and what Linux tells of a process.
//!
//! The frames are built and read by code of its own, so that the library is not measured, or
//! checked, with itself.

mod arguments;
mod client;
mod connect;
mod frames;
mod histogram;
mod placed;
mod process;
mod replies;

pub use arguments::{Arguments, Mode, UnknownMode, finish};
pub use client::ClientRun;
pub use connect::{address, connect, upgrade, upgrade_request};
pub use frames::{
    Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, UnknownMasks, append_frame,
};
pub use histogram::Histogram;
pub use placed::Placed;
pub use process::{Usage, resident_bytes};
pub use replies::{Replies, UnexpectedFrame};
