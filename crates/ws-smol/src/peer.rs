//! Who is at the other end, and whether a flag of [MS-WSPE] may be used there.

use std::net::{IpAddr, SocketAddr};

use ws_proto::ControlledNetwork;

/// What is known of the other end of a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// Nothing. No [`ControlledNetwork`] has it.
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

    fn is_loopback(&self) -> bool {
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

/// With which peers a flag of [MS-WSPE] is set: `accept_unmasked_frame` of a
/// server, or `set_mask_to_zero` of a client.
///
/// It is looked at once for each connection, when that is made. See
/// [`ServerMasking`](ws_proto::ServerMasking) and
/// [`ClientMasking`](ws_proto::ClientMasking) for what the flags give up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagPolicy {
    /// With none, as RFC 6455 wants it.
    //= MSWS-1.6-2
    #[default]
    Never,
    /// With all.
    Always,
    /// With the peers in a controlled network, and never outside of it, even
    /// where a [`Decision`](crate::Decision) asks for it.
    In(ControlledNetwork),
}

impl FlagPolicy {
    /// Decides on the flag, given what was asked for this peer, if anything.
    pub(crate) fn decide(&self, peer: &Peer, is_tls: bool, asked: Option<bool>) -> bool {
        //= MSWS-1.6-3, MSWS-5.1-2
        let allowed = match (self, peer) {
            (Self::In(network), Peer::Address(_) | Peer::Local) => {
                network.allows(peer.ip(), is_tls)
            }
            (Self::In(_), Peer::Unknown) => false,
            (Self::Never, _) => return asked.unwrap_or(false),
            (Self::Always, _) => true,
        };
        allowed && asked.unwrap_or(true)
    }
}

/// Warns where a flag is used in the open.
pub(crate) fn warn_if_exposed(flag: &'static str, peer: &Peer, is_tls: bool) {
    if !is_tls && !peer.is_loopback() {
        tracing::warn!(flag, ?peer, "frames are not masked on a plaintext network");
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
        let policy = FlagPolicy::In(network.clone());
        assert!(policy.decide(&inside, false, None));
        assert!(!policy.decide(&inside, false, Some(false)));
        for asked in [None, Some(true), Some(false)] {
            assert!(!policy.decide(&outside, false, asked));
            assert!(!policy.decide(&Peer::Unknown, false, asked));
            assert!(!policy.decide(&Peer::Local, false, asked));
        }
        let policy = FlagPolicy::In(network.loopback().require_tls());
        assert!(!policy.decide(&Peer::Local, false, Some(true)));
        assert!(policy.decide(&Peer::Local, true, None));
    }

    #[test]
    fn flag_is_off_unless_it_is_asked_for() {
        //= MSWS-1.6-2, MSWS-5.1-2
        let peer = Peer::Local;
        assert!(!FlagPolicy::default().decide(&peer, true, None));
        assert!(FlagPolicy::Never.decide(&peer, false, Some(true)));
        assert!(FlagPolicy::Always.decide(&peer, false, None));
        assert!(!FlagPolicy::Always.decide(&peer, false, Some(false)));
    }
}
