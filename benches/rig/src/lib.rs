//! What the servers and the clients of `cargo xtask bench` and its load generator share: arguments,
//! the shortest opening handshake, text, TLS of one kind, and what they take from `ws-load`:
//! frames, latencies, and what Linux tells of a process.

mod arguments;
mod client;
mod connect;
mod deflate;
mod text;
mod tls;

pub use arguments::{Arguments, Mode, UnknownMode, finish};
pub use client::ClientRun;
pub use connect::{address, connect, upgrade, upgrade_request, upgrade_with};
pub use deflate::{DEFLATE_MIN_LEN, Deflate};
pub use rustls;
pub use text::json;
pub use tls::{client_tls, server_tls};
pub use ws_load::{
    COMPRESSED, Histogram, Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, Placed,
    UnknownMasks, Usage, append_frame, peak_resident_bytes, resident_bytes,
};
