//! The crate as a user sees it, over in-memory transports and loopback TCP.

mod cancel;
mod close;
mod control;
#[cfg(feature = "deflate")]
mod deflate;
mod dependencies;
mod every_poll;
mod failure;
mod halves;
mod handshake;
mod messages;
mod serve;
mod support;
mod tcp;
