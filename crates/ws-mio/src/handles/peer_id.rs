//! The names of connections.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Names a connection of this process; never given twice.
///
/// It belongs to one [`Server`](crate::Server), one
/// [`EventLoop`](crate::EventLoop) or one [`Socket`](crate::Socket): any other
/// answers [`NoPeer::OtherServer`]. Ids have an order, which means nothing, so
/// that they can be kept in any collection.
///
/// It is no secret and carries no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// The number of its loop among all of the process; [`NO_LOOP`] for a
    /// [`Socket`](crate::Socket).
    pub(crate) of_loop: u32,
    pub(crate) key: u32,
    pub(crate) generation: u32,
}

/// Why a peer cannot be reached by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPeer {
    /// Its connection is not open any more, or not yet.
    #[error("the connection of this peer is not open")]
    NotOpen,
    /// It is served by another loop of the server: see
    /// [`Remote::with_peer`](crate::Remote::with_peer).
    #[error("the peer is served by another loop of the server")]
    OtherLoop,
    /// It is a peer of another server, or of a [`Socket`](crate::Socket).
    #[error("the peer is one of another server")]
    OtherServer,
}

/// Stands in the id of a [`Socket`](crate::Socket), which is in no loop.
const NO_LOOP: u32 = 0;

/// Numbers the loops of a server among all of the process; returns the first.
pub(crate) fn number_loops(count: usize) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(NO_LOOP + 1);
    NEXT.fetch_add(count as u32, Ordering::Relaxed)
}

impl PeerId {
    /// Makes the id of a [`Socket`](crate::Socket).
    pub(crate) fn of_socket() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            of_loop: NO_LOOP,
            key: number as u32,
            generation: (number >> 32) as u32,
        }
    }

    /// Returns the key of the connection in its loop, as
    /// [`EventLoop::wake`](crate::EventLoop::wake) takes it.
    #[must_use]
    pub const fn key(self) -> usize {
        self.key as usize
    }
}
