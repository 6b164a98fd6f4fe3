//! Which peers are believed when they speak for others.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An allow-list of the proxies whose word about where a client is counts. An empty list trusts
/// nobody.
///
/// ```
/// use ws_handshake::proxy::TrustedProxies;
///
/// let trusted = TrustedProxies::new().loopback().network("10.20.0.0/16".parse()?);
/// assert!(trusted.contains("10.20.30.40".parse()?));
/// assert!(!trusted.contains("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Trusts this machine: `127.0.0.0/8` and `::1`, as which transports count that never leave it,
    /// such as Unix-domain sockets.
    #[must_use]
    pub fn loopback(self) -> Self {
        self.network(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into())
            .network(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into())
    }

    /// Trusts a network, such as `"10.0.0.0/8".parse()?`.
    #[must_use]
    pub fn network(mut self, network: IpNet) -> Self {
        self.0.push(network);
        self
    }

    /// Tells whether a peer at an address is trusted. An IPv4 address that is mapped into IPv6
    /// counts as IPv4. Whose address is not known is not to be trusted.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let address = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}
