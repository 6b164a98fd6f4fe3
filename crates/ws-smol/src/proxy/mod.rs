//! Proxies: those between a client and its servers, and those in front of a
//! server.

mod proxied;
mod tunnel;

pub use proxied::{Proxied, ProxyProtocol};
pub(crate) use tunnel::Route;
pub use tunnel::tunnel;
