//! A flag of [MS-WSPE] that is used in the open.

use std::sync::Once;

use ws_proto::PeerAddr;

/// Warns, once, that a flag is used in plaintext with another machine.
pub(crate) fn warn_if_exposed(flag: &'static str, peer: PeerAddr, is_tls: bool) {
    static ONCE: Once = Once::new();
    if !is_tls && !peer.is_this_machine() {
        ONCE.call_once(|| {
            tracing::warn!(
                flag,
                %peer,
                "frames are not masked in plaintext with another machine: \
                 make sure that no intermediary is on the path"
            );
        });
    }
}
