//! Connections come whose opening handshakes were made elsewhere.

use mio::{Interest, Token};
use tracing::{debug, info_span, warn};

use super::{EventLoop, waking::Wakings};
use crate::{
    AdoptError, Handler, Handover, NotAdopted, PeerId, Ready, Transport,
    connection::{Kept, Slot, new_link},
    opening::handover::Side,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Takes over a connection whose opening handshake was made elsewhere, and
    /// returns its name, whose [key](PeerId::key) it is woken by.
    ///
    /// The handler is called for it at once, and for the messages among the bytes
    /// that were read before. The loop's [`Config`](crate::Config) holds for it as
    /// for a connection that it has accepted, and it counts in all limits and
    /// [`Metrics`](crate::Metrics). Who owns the loop registers the transport as that of
    /// [`admit`](Self::admit); see [`Transport::waker`] for one without a source.
    ///
    /// # Errors
    ///
    /// [`NotAdopted`] hands the connection back: the loop is full or stops, the
    /// handover asks for what the loop does not have, or the transport cannot be
    /// registered. A drain that is only
    /// [announced](crate::Drain::lame_duck) is no reason.
    pub fn adopt(
        &mut self,
        mut handover: Handover<T, H::Data>,
    ) -> Result<PeerId, NotAdopted<T, H::Data>> {
        match self.make_room(&mut handover) {
            Ok(profile) => Ok(self.open_adopted(handover, profile)),
            Err(reason) => {
                debug!(%reason, "not adopted");
                Err(reason.of(handover))
            }
        }
    }

    /// Finds a place for a connection, and registers it there; returns the
    /// number of its profile.
    fn make_room(&mut self, handover: &mut Handover<T, H::Data>) -> Result<u8, AdoptError> {
        if self.is_stopping() {
            return Err(AdoptError::Stopped);
        }
        let profile = handover.check(&self.config)?;
        if self.slots.len() >= self.config.max_connections && !fault!("connections-unlimited") {
            self.counters.over_max_connections.add(1);
            return Err(AdoptError::Full);
        }
        if self.is_near_max_memory() {
            self.counters.refused_over_memory.add(1);
            return Err(AdoptError::Full);
        }
        let transport = &mut handover.transport;
        let key = self.slots.next_key();
        if !self.by_address.take(key, || transport.peer_addr()) {
            self.counters.over_max_connections_per_address.add(1);
            return Err(AdoptError::FullForAddress);
        }
        // It is connected; if it failed, reading says so.
        let _ = transport.begin();
        let watched = self.registry.as_ref().zip(transport.source());
        if let Some((registry, source)) = watched
            && let Err(error) = registry.register(source, Token(key), Interest::READABLE)
        {
            warn!(%error, "cannot register a connection");
            self.by_address.leave(key as u32);
            return Err(error.into());
        }
        Ok(profile)
    }

    /// Opens a connection for which there is room.
    fn open_adopted(&mut self, handover: Handover<T, H::Data>, profile: u8) -> PeerId {
        let role = handover.role(&self.config);
        let Handover {
            transport,
            data,
            side,
            deflate,
            leftover,
            ..
        } = handover;
        let peer = transport.peer_addr();
        self.generation = self.generation.wrapping_add(1);
        self.held += transport.footprint();
        let until = self.tick_after(self.config.handshake_timeout);
        let mut slot = Slot::new(transport, self.generation, self.now, until, data);
        (slot.role, slot.deflate, slot.profile) = (role, deflate, profile);
        let key = self.slots.insert(slot);
        let id = self.id(key);
        self.give_waker(key);
        self.counters.adopted.add(1);
        let role = match role.is_client() {
            true => "client",
            false => "server",
        };
        let span = info_span!("websocket", role, %peer);
        if !span.is_disabled() {
            self.spans.insert(id, span);
        }
        let _entered = self.enter(key);
        self.keep_unread(key, leftover);
        self.open(key, 0..0, true, |handler, peer| match &side {
            Side::Server => handler.on_open(peer),
            Side::Client(agreed) => handler.on_connected(peer, agreed),
        });
        id
    }

    /// Keeps what was read of a connection before it is open.
    fn keep_unread(&mut self, key: usize, unread: Vec<u8>) {
        if unread.is_empty() {
            return;
        }
        self.counters.bytes_received.add(unread.len() as u64);
        let slot = &mut self.slots[key];
        let profile = &self.profiles[usize::from(slot.profile)].profile;
        let link = new_link(slot.role, slot.deflate.is_some(), profile, &self.config);
        let mut link = link.with_unread(unread);
        self.held += link.count_held(slot.transport.held());
        slot.kept = Kept::link_at(self.links.insert(link));
    }

    /// Gives a transport that no poll watches what wakes its connection.
    pub(super) fn give_waker(&mut self, key: usize) {
        let id = self.id(key);
        let Some(place) = self.slots[key].transport.waker() else {
            return;
        };
        let wakings = match &self.wakings {
            Some(wakings) => wakings,
            None => {
                let wake = self.remote.mailboxes()[usize::from(self.index)].waker();
                self.wakings.insert(Wakings::new(wake))
            }
        };
        *place = wakings.waker(id);
    }

    /// Serves those whose transports have woken the loop.
    pub(super) fn take_woken(&mut self) {
        let Some(wakings) = &self.wakings else {
            return;
        };
        let ready = Ready {
            readable: true,
            writable: true,
            read_closed: false,
        };
        for id in wakings.take() {
            if self.is_current(id) {
                self.wake(id.key(), ready);
            }
        }
    }
}
