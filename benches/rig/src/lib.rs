//! What the load generator, the servers and the clients of `cargo xtask bench` share: frames,
//! counters of replies, latencies, and what Linux tells of a process.
//!
//! The frames are built and read by code of its own, so that the library is not measured, or
//! checked, with itself.

mod arguments;
mod client;
mod connect;
mod deflate;
mod frames;
mod histogram;
mod placed;
mod process;
mod replies;
mod text;
mod tls;

pub use arguments::{Arguments, Mode, UnknownMode, finish};
pub use client::ClientRun;
pub use connect::{address, connect, upgrade, upgrade_request, upgrade_with};
pub use deflate::{DEFLATE_MIN_LEN, Deflate};
pub use frames::{
    COMPRESSED, Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, UnknownMasks,
    append_frame,
};
pub use histogram::Histogram;
pub use placed::Placed;
pub use process::{Usage, peak_resident_bytes, resident_bytes};
pub use replies::{Replies, UnexpectedFrame};
pub use rustls;
pub use text::json;
pub use tls::{client_tls, server_tls};
