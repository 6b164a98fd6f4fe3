//! Who is at the other end, and whether a flag of [MS-WSPE] may be used there.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Once,
};

use ws_proto::ControlledNetwork;

/// What is known of the other end of a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// Nothing. No [`ControlledNetwork`] has it, but that of everybody.
    #[default]
    Unknown,
    /// It is on this machine: a Unix domain socket, a pipe.
    Local,
    /// It is at an address.
    Address(SocketAddr),
}

impl Peer {
    /// Returns the address without its port.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address.ip()),
            Self::Unknown | Self::Local => None,
        }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Local => true,
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// Decides on a flag of [MS-WSPE], given what was asked for this peer, if
/// anything: outside of the network it stays off.
pub(crate) fn decide_flag(
    network: &ControlledNetwork,
    peer: &Peer,
    is_tls: bool,
    asked: Option<bool>,
) -> bool {
    //= MSWS-1.6-2, MSWS-1.6-3, MSWS-5.1-2
    let address = match peer {
        // In no network but that of everybody.
        Peer::Unknown => Some(Ipv4Addr::UNSPECIFIED.into()),
        Peer::Local => None,
        Peer::Address(address) => Some(address.ip()),
    };
    asked.unwrap_or(true) && network.allows(address, is_tls)
}

/// Warns, once, that a flag is used in the open.
pub(crate) fn warn_if_exposed(flag: &'static str, peer: &Peer, is_tls: bool) {
    static ONCE: Once = Once::new();
    if !is_tls && !peer.is_loopback() {
        ONCE.call_once(|| {
            tracing::warn!(
                flag,
                ?peer,
                "frames are not masked in plaintext with another machine: \
                 make sure that no intermediary is on the path"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_is_never_set_outside_of_the_network() {
        //= MSWS-1.6-2, MSWS-1.6-3
        let inside = Peer::from(SocketAddr::from(([10, 1, 2, 3], 1)));
        let outside = Peer::from(SocketAddr::from(([192, 0, 2, 1], 1)));
        let network = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
        assert!(decide_flag(&network, &inside, false, None));
        assert!(!decide_flag(&network, &inside, false, Some(false)));
        for asked in [None, Some(true), Some(false)] {
            for peer in [outside, Peer::Unknown, Peer::Local] {
                assert!(!decide_flag(&network, &peer, false, asked));
            }
        }
        let network = network.loopback().require_tls();
        assert!(!decide_flag(&network, &Peer::Local, false, Some(true)));
        assert!(decide_flag(&network, &Peer::Local, true, None));
    }

    #[test]
    fn plain_flag_is_off_unless_it_is_given() {
        //= MSWS-1.6-2, MSWS-5.1-2
        for peer in [Peer::Unknown, Peer::Local] {
            assert!(!decide_flag(
                &ControlledNetwork::default(),
                &peer,
                true,
                None
            ));
            assert!(!decide_flag(&false.into(), &peer, false, Some(true)));
            assert!(decide_flag(&true.into(), &peer, false, None));
            assert!(!decide_flag(&true.into(), &peer, false, Some(false)));
        }
    }
}
