//! Proxies: those in front of a server, and those between a client and its
//! servers.

mod leftover;
mod proxied;
mod tunneled;

use std::net::{Ipv4Addr, SocketAddr};

pub use proxied::{Proxied, ProxyProtocol};
pub use tunneled::Tunneled;

/// The address of a server behind a proxy, which is on no list of networks but
/// one for everybody.
pub(crate) fn unknown(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}
