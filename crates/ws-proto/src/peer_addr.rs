//! Where the other end of a connection is.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// What is known of where the other end of a connection is.
///
/// A [`ControlledNetwork`](crate::ControlledNetwork) judges it. What is not
/// known is never taken for near.
///
/// ```
/// use ws_proto::{ControlledNetwork, PeerAddr};
///
/// let loopback = ControlledNetwork::new().loopback();
/// assert!(loopback.allows(PeerAddr::Local, false));
/// assert!(!loopback.allows(PeerAddr::Unknown, false));
/// assert!(ControlledNetwork::anywhere().allows(PeerAddr::Unknown, false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerAddr {
    /// Nothing: behind a proxy that does not say, or gone already. It is on no
    /// list of networks but that of
    /// [everybody](crate::ControlledNetwork::anywhere).
    #[default]
    Unknown,
    /// It is on this machine for sure: a Unix-domain socket, a pipe, memory.
    /// Lists count it as `127.0.0.1`.
    Local,
    /// It is at an address of a network.
    Socket(SocketAddr),
}

impl PeerAddr {
    /// Returns the address and port, if it is at one.
    #[must_use]
    pub const fn socket(self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(address),
            Self::Unknown | Self::Local => None,
        }
    }

    /// Returns the address without its port, if it is at one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Socket(address) => Some(address.ip()),
            Self::Unknown | Self::Local => None,
        }
    }

    /// Returns the address by which a list of networks judges it: `127.0.0.1`
    /// for [`Local`](Self::Local), IPv4 for an IPv4 address that is mapped into
    /// IPv6, and none for [`Unknown`](Self::Unknown).
    #[must_use]
    pub const fn listed_ip(self) -> Option<IpAddr> {
        match self {
            Self::Unknown => None,
            Self::Local => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Self::Socket(address) => Some(address.ip().to_canonical()),
        }
    }

    /// Returns the address by which its connections are counted, so that nobody
    /// has more than one: an IPv4 address, also one that is mapped into IPv6, or
    /// the /64 network of an IPv6 address.
    #[must_use]
    pub fn counted_ip(self) -> Option<IpAddr> {
        match self.ip()?.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Some(IpAddr::V6(network.into()))
            }
            address => Some(address),
        }
    }

    /// Tells whether it is on this machine for sure.
    #[must_use]
    pub const fn is_this_machine(self) -> bool {
        match self.listed_ip() {
            Some(address) => address.is_loopback(),
            None => false,
        }
    }

    /// Returns where a client is that came by a trusted proxy, which is at this
    /// address and names the client or does not.
    ///
    /// A client that is not named is [`Unknown`](Self::Unknown). One that the
    /// proxy names by a loopback address is on the proxy's machine, and so at
    /// the proxy's address.
    #[must_use]
    pub const fn client_behind(self, named: Option<SocketAddr>) -> Self {
        let Some(client) = named else {
            return Self::Unknown;
        };
        match client.ip().to_canonical().is_loopback() && !self.is_this_machine() {
            true => self,
            false => Self::Socket(client),
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(address)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Local => f.write_str("local"),
            Self::Socket(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn at(address: &str) -> PeerAddr {
        PeerAddr::Socket(address.parse().expect("an address"))
    }

    #[test]
    fn this_machine_is_local_or_loopback_and_never_unknown() {
        for here in [
            PeerAddr::Local,
            at("127.0.0.1:1"),
            at("[::1]:1"),
            at("[::ffff:127.0.0.1]:1"),
        ] {
            assert!(here.is_this_machine(), "{here}");
        }
        for elsewhere in [
            PeerAddr::Unknown,
            at("0.0.0.0:1"),
            at("10.0.0.1:1"),
            at("[::2]:1"),
        ] {
            assert!(!elsewhere.is_this_machine(), "{elsewhere}");
        }
    }

    #[test]
    fn client_that_a_proxy_does_not_name_is_unknown() {
        for proxy in [PeerAddr::Local, at("127.0.0.1:9"), at("10.0.0.1:9")] {
            assert_eq!(proxy.client_behind(None), PeerAddr::Unknown);
        }
    }

    #[test]
    fn client_on_the_proxys_machine_is_on_ours_only_if_the_proxy_is() {
        let near = "127.0.0.1:1".parse().ok();
        let mapped = "[::ffff:127.0.0.1]:1".parse().ok();
        let far = at("192.0.2.7:1");
        for proxy in [PeerAddr::Local, at("127.0.0.1:9"), at("[::1]:9")] {
            assert_eq!(proxy.client_behind(near), at("127.0.0.1:1"));
            assert_eq!(proxy.client_behind(far.socket()), far);
        }
        for proxy in [at("10.0.0.1:9"), PeerAddr::Unknown] {
            assert_eq!(proxy.client_behind(near), proxy);
            assert_eq!(proxy.client_behind(mapped), proxy);
            assert_eq!(proxy.client_behind(far.socket()), far);
        }
    }

    #[test]
    fn addresses_are_told_as_text() {
        assert_eq!(PeerAddr::Unknown.to_string(), "unknown");
        assert_eq!(PeerAddr::Local.to_string(), "local");
        assert_eq!(at("192.0.2.7:1").to_string(), "192.0.2.7:1");
        assert_eq!(at("192.0.2.7:1").ip(), "192.0.2.7".parse().ok());
        assert_eq!(PeerAddr::Local.ip(), None);
        assert_eq!(PeerAddr::default(), PeerAddr::Unknown);
    }
}
