//! How an application reaches connections and loops.

mod adoption;
mod connect;
mod loop_handle;
pub(crate) mod mailbox;
mod peer;
pub(crate) mod peer_id;
pub(crate) mod remote;

pub use connect::Connect;
pub use loop_handle::Loop;
pub use peer::{Peer, PeerHandle};
pub use peer_id::{NoPeer, PeerId};
pub use remote::Remote;
