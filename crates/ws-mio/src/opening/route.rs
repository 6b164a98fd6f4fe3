//! The addresses of a server that is connected to by its name.

use std::{net::SocketAddr, vec};

use crate::{Connect, slots::wheel::Tick};

/// The other addresses of a server, for a connection that is being made.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) connect: Connect<()>,
    pub(crate) left: vec::IntoIter<SocketAddr>,
    /// When all of them are given up.
    pub(crate) until: Tick,
}

impl Route {
    /// Until when the current address is tried: each has the same share of what
    /// time is left.
    pub(crate) fn share(&self, now: Tick) -> Tick {
        let left = self.until.saturating_sub(now) / (self.left.len() as Tick + 1);
        now + left.max(1)
    }
}
