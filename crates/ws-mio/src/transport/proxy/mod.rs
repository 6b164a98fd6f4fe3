//! Proxies: those in front of a server, and those between a client and its
//! servers.

mod leftover;
mod proxied;
mod tunneled;

pub use proxied::{Proxied, ProxyProtocol};
pub use tunneled::Tunneled;
