//! The flags of [MS-WSPE], as a connection is opened.

use std::sync::Once;

use tracing::warn;
use ws_proto::{ControlledNetwork, PeerAddr};

use crate::Transport;

/// Decides whether frames of a client may come unmasked; `asked` is the
/// application's choice for it.
pub(crate) fn decide_unmasked(
    network: &ControlledNetwork,
    transport: &dyn Transport,
    asked: Option<bool>,
) -> bool {
    //= MSWS-1.5-1, MSWS-1.6-3, MSWS-3.2.3-1, MSWS-4-1
    let (peer, is_tls) = (transport.peer_addr(), transport.is_tls());
    let flag = network.decide(peer, is_tls, asked);
    if flag && !is_tls {
        warn_of_flag("accept_unmasked_frame", peer);
    }
    flag
}

/// Decides whether a client's frames are masked with zero, over a transport
/// that is connected; `asked` is the application's choice for it.
pub(crate) fn decide_zero_mask(
    network: &ControlledNetwork,
    transport: &dyn Transport,
    asked: Option<bool>,
) -> bool {
    //= MSWS-3.1.3-1, MSWS-4-2
    let (peer, is_tls) = (transport.peer_addr(), transport.is_tls());
    let flag = network.decide(peer, is_tls, asked) || fault!("zero-key-unasked");
    if flag && !is_tls {
        warn_of_flag("set_mask_to_zero", peer);
    }
    flag
}

/// Says once that a flag of [MS-WSPE] is used in plaintext with another
/// machine.
fn warn_of_flag(flag: &str, peer: PeerAddr) {
    static ONCE: Once = Once::new();
    //= MSWS-1.6-2, MSWS-5.1-2, MSWS-5.2-1
    if !peer.is_this_machine() {
        ONCE.call_once(|| {
            warn!(
                %peer,
                "{flag} is set for a peer on another machine without TLS: \
                 make sure that no intermediary is on the path"
            );
        });
    }
}
