//! Which peers the flags of [MS-WSPE] may be used with.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An allow-list of the networks in which masking may be left out.
///
/// [MS-WSPE] is for controlled networks only (section 1.6): no careless
/// intermediary, no path over the Internet. Servers and clients ask this list
/// when a connection is initialized, and leave the flag off for a peer that
/// is not on it. An empty list allows nobody.
///
/// ```
/// use ws_proto::ControlledNetwork;
///
/// let intranet = ControlledNetwork::new().loopback().network("10.20.0.0/16".parse()?);
/// assert!(intranet.allows(Some("10.20.30.40".parse()?), false));
/// assert!(!intranet.allows(Some("192.0.2.1".parse()?), false));
/// assert!(!intranet.require_tls().allows(Some("10.20.30.40".parse()?), false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlledNetwork {
    networks: Vec<IpNet>,
    require_tls: bool,
}

impl ControlledNetwork {
    /// Makes an empty list: nobody is allowed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            networks: Vec::new(),
            require_tls: false,
        }
    }

    /// Allows everybody: the flag alone decides, as [MS-WSPE] has it.
    ///
    /// Only where what listens and connects cannot be reached from outside a
    /// controlled network anyway.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::new()
            .network(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0).into())
            .network(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into())
    }

    /// Adds this machine: `127.0.0.0/8`, `::1` and transports that never leave
    /// it, such as Unix domain sockets.
    #[must_use]
    pub fn loopback(self) -> Self {
        self.network(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into())
            .network(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into())
    }

    /// Adds a network, such as `"10.0.0.0/8".parse()?`.
    #[must_use]
    pub fn network(mut self, network: IpNet) -> Self {
        self.networks.push(network);
        self
    }

    /// Demands that the connection is under TLS as well.
    #[must_use]
    pub const fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Tells whether a flag may be used with a peer.
    ///
    /// `peer` is its address, `None` for a transport without one that never
    /// leaves the machine, which counts as loopback. An IPv4 address that is
    /// mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn allows(&self, peer: Option<IpAddr>, is_tls: bool) -> bool {
        //= MSWS-1.6-2, MSWS-1.6-3, MSWS-5.1-2
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.to_canonical());
        (is_tls || !self.require_tls)
            && self
                .networks
                .iter()
                .any(|network| network.contains(&address))
    }
}

/// The plain flag: `true` is [`anywhere`](ControlledNetwork::anywhere), `false`
/// the empty list.
impl From<bool> for ControlledNetwork {
    fn from(flag: bool) -> Self {
        if flag { Self::anywhere() } else { Self::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn empty_list_allows_nobody() {
        //= MSWS-1.6-2, MSWS-1.6-3
        let nobody = ControlledNetwork::new();
        for peer in [None, ip("127.0.0.1"), ip("::1"), ip("10.0.0.1")] {
            assert!(!nobody.allows(peer, true));
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        let loopback = ControlledNetwork::new().loopback();
        for peer in [
            None,
            ip("127.0.0.1"),
            ip("127.9.9.9"),
            ip("::1"),
            ip("::ffff:127.0.0.1"),
        ] {
            assert!(loopback.allows(peer, false), "{peer:?}");
        }
        for peer in ["10.0.0.1", "::2", "0.0.0.0", "128.0.0.1", "::ffff:10.0.0.1"] {
            assert!(!loopback.allows(ip(peer), false), "{peer}");
        }
    }

    #[test]
    fn networks_end_at_their_prefix() {
        let list = ControlledNetwork::new()
            .network("10.20.0.0/16".parse().unwrap())
            .network("2001:db8::/32".parse().unwrap());
        assert!(list.allows(ip("10.20.255.255"), false));
        assert!(!list.allows(ip("10.21.0.0"), false));
        assert!(list.allows(ip("2001:db8:ffff::1"), false));
        assert!(!list.allows(ip("2001:db9::1"), false));
        assert!(!list.allows(None, false));
    }

    #[test]
    fn plain_flag_is_everybody_or_nobody() {
        for peer in [None, ip("192.0.2.1"), ip("2001:db8::1")] {
            assert!(ControlledNetwork::from(true).allows(peer, false));
            assert!(!ControlledNetwork::from(false).allows(peer, true));
        }
    }

    #[test]
    fn tls_can_be_demanded() {
        //= MSWS-1.6-3
        let list = ControlledNetwork::new().loopback().require_tls();
        assert!(!list.allows(ip("127.0.0.1"), false));
        assert!(list.allows(ip("127.0.0.1"), true));
    }
}
