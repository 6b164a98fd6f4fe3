//! Which peers the flags of [MS-WSPE] may be used with.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::PeerAddr;

/// An allow-list of the networks in which masking may be left out.
///
/// [MS-WSPE] is for controlled networks only (section 1.6): no careless
/// intermediary, no path over the Internet. Servers and clients ask this list
/// when a connection is initialized, and leave the flag off for a peer that
/// is not on it. An empty list allows nobody.
///
/// ```
/// use ws_proto::{ControlledNetwork, PeerAddr};
///
/// let intranet = ControlledNetwork::new().loopback().network("10.20.0.0/16".parse()?);
/// let inside = PeerAddr::Socket("10.20.30.40:5".parse()?);
/// assert!(intranet.allows(inside, false));
/// assert!(!intranet.allows(PeerAddr::Socket("192.0.2.1:5".parse()?), false));
/// assert!(!intranet.allows(PeerAddr::Unknown, false));
/// assert!(!intranet.require_tls().allows(inside, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlledNetwork {
    everybody: bool,
    networks: Vec<IpNet>,
    require_tls: bool,
}

impl ControlledNetwork {
    /// Makes an empty list: nobody is allowed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            everybody: false,
            networks: Vec::new(),
            require_tls: false,
        }
    }

    /// Allows everybody, also who is [unknown](PeerAddr::Unknown): the flag
    /// alone decides, as [MS-WSPE] has it.
    ///
    /// Only where what listens and connects cannot be reached from outside a
    /// controlled network anyway.
    #[must_use]
    pub const fn anywhere() -> Self {
        Self {
            everybody: true,
            networks: Vec::new(),
            require_tls: false,
        }
    }

    /// Adds this machine: `127.0.0.0/8`, `::1` and transports that never leave
    /// it, such as Unix-domain sockets.
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
    /// A peer that is [local](PeerAddr::Local) counts as loopback, one that is
    /// [unknown](PeerAddr::Unknown) is on no list but that of
    /// [everybody](Self::anywhere), and an IPv4 address that is mapped into
    /// IPv6 counts as IPv4.
    #[must_use]
    pub fn allows(&self, peer: PeerAddr, is_tls: bool) -> bool {
        //= MSWS-1.6-2, MSWS-1.6-3, MSWS-5.1-2
        let is_listed = || {
            let address = peer.listed_ip();
            address.is_some_and(|address| self.networks.iter().any(|net| net.contains(&address)))
        };
        (is_tls || !self.require_tls) && (self.everybody || is_listed())
    }

    /// Decides on a flag for one connection, when it is initialized: it is set
    /// for the peers that the list [allows](Self::allows), and among those the
    /// application may ask for it or against it. `None` asks for nothing: the
    /// list decides.
    ///
    /// ```
    /// use ws_proto::{ControlledNetwork, PeerAddr};
    ///
    /// let list = ControlledNetwork::new().loopback();
    /// assert!(list.decide(PeerAddr::Local, false, None));
    /// assert!(!list.decide(PeerAddr::Local, false, Some(false)));
    /// assert!(!list.decide(PeerAddr::Unknown, false, Some(true)));
    /// ```
    #[must_use]
    pub fn decide(&self, peer: PeerAddr, is_tls: bool, asked: Option<bool>) -> bool {
        //= MSWS-1.6-2, MSWS-1.6-3, MSWS-3.1.3-1, MSWS-3.2.3-1
        asked.unwrap_or(true) && self.allows(peer, is_tls)
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
    use PeerAddr::{Local, Unknown};

    use super::*;

    fn ip(text: &str) -> PeerAddr {
        PeerAddr::Socket((text.parse::<core::net::IpAddr>().unwrap(), 1).into())
    }

    #[test]
    fn empty_list_allows_nobody() {
        //= MSWS-1.6-2, MSWS-1.6-3
        let nobody = ControlledNetwork::new();
        for peer in [Unknown, Local, ip("127.0.0.1"), ip("::1"), ip("10.0.0.1")] {
            assert!(!nobody.allows(peer, true));
        }
    }

    #[test]
    fn unknown_peer_is_on_no_list_but_that_of_everybody() {
        //= MSWS-1.6-3, MSWS-5.1-2
        let all = |list: ControlledNetwork| {
            list.network("0.0.0.0/0".parse().unwrap())
                .network("::/0".parse().unwrap())
        };
        for list in [
            ControlledNetwork::new().loopback(),
            all(ControlledNetwork::new()),
        ] {
            assert!(!list.allows(Unknown, true));
        }
        assert!(ControlledNetwork::anywhere().allows(Unknown, false));
        let under_tls = ControlledNetwork::anywhere().require_tls();
        assert!(under_tls.allows(Unknown, true) && !under_tls.allows(Unknown, false));
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        let loopback = ControlledNetwork::new().loopback();
        for peer in [
            Local,
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
        assert!(!list.allows(Local, false));
    }

    #[test]
    fn plain_flag_is_everybody_or_nobody() {
        //= MSWS-1.6-2, MSWS-5.1-2
        for peer in [Unknown, Local, ip("192.0.2.1"), ip("2001:db8::1")] {
            assert!(ControlledNetwork::from(true).allows(peer, false));
            assert!(!ControlledNetwork::from(true).decide(peer, false, Some(false)));
            assert!(!ControlledNetwork::from(false).decide(peer, true, Some(true)));
        }
    }

    #[test]
    fn flag_is_never_set_outside_of_the_network() {
        //= MSWS-1.6-2, MSWS-1.6-3
        let (inside, outside) = (ip("10.1.2.3"), ip("192.0.2.1"));
        let network = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
        assert!(network.decide(inside, false, None));
        assert!(!network.decide(inside, false, Some(false)));
        for asked in [None, Some(true), Some(false)] {
            for peer in [outside, Unknown, Local] {
                assert!(!network.decide(peer, false, asked));
            }
        }
    }

    #[test]
    fn tls_can_be_demanded() {
        //= MSWS-1.6-3
        let list = ControlledNetwork::new().loopback().require_tls();
        for here in [Local, ip("127.0.0.1")] {
            assert!(!list.decide(here, false, Some(true)));
            assert!(list.decide(here, true, None));
        }
    }
}
