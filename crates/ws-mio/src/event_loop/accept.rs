//! Connections come.

use mio::{Interest, Token};
use tracing::{debug, info_span, warn};

use super::EventLoop;
use crate::{Handler, PeerAddr, Transport, connection::Slot};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Serves a connection that was accepted.
    pub(crate) fn admit_from(&mut self, mut transport: T, peer: PeerAddr) -> Option<usize> {
        if self.is_stopping() {
            return None;
        }
        self.counters.accepted.add(1);
        if self.slots.len() >= self.config.max_connections && !fault!("connections-unlimited") {
            self.counters.over_max_connections.add(1);
            debug!(%peer, "over max_connections");
            return None;
        }
        if self.is_near_max_memory() {
            self.counters.refused_over_memory.add(1);
            debug!(%peer, "near max_memory");
            return None;
        }
        let until = self.tick_after(self.config.handshake_timeout);
        let key = self.slots.next_key();
        if !self.by_address.take(key, || transport.peer_addr()) {
            self.counters.over_max_connections_per_address.add(1);
            debug!(%peer, "over max_connections_per_address");
            return None;
        }
        let Some(data) = self.guard(None, |_| H::Data::default()) else {
            self.by_address.leave(key as u32);
            return None;
        };
        let watched = self.registry.as_ref().zip(transport.source());
        if let Some((registry, source)) = watched
            && let Err(error) = registry.register(source, Token(key), Interest::READABLE)
        {
            warn!(%error, "cannot register a connection");
            self.by_address.leave(key as u32);
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        self.held += transport.footprint();
        let slot = Slot::new(transport, self.generation, self.now, until, data);
        self.slots.insert(slot);
        self.give_waker(key);
        self.arm(key, until);
        let span = info_span!("websocket", role = "server", %peer);
        if !span.is_disabled() {
            self.spans.insert(self.id(key), span);
        }
        Some(key)
    }
}
