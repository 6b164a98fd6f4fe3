//! The crate as a user sees it, over in-memory transports and loopback TCP.

mod behaviour;
mod byte_stream;
mod cancel;
mod close;
mod control;
#[cfg(feature = "deflate")]
mod deflate;
mod every_poll;
mod failure;
mod gate;
mod halves;
mod handshake;
mod hostile;
mod judge;
mod limits;
mod max_frame_sent;
mod memory;
mod messages;
#[cfg(feature = "proxy")]
mod proxy;
mod reconnect;
mod redirect;
mod serve;
mod support;
mod tcp;
mod timer;
#[cfg(feature = "tls")]
mod tls;
mod work;
