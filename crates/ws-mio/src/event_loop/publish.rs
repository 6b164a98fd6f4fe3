//! One message to many.

use std::mem;

use tracing::warn;
use ws_proto::Prepared;

use super::EventLoop;
use crate::{
    Handler, Ready, Transport,
    commands::{
        Command, Placed,
        audience::{Bits, MOST},
        publication_log::Publication,
    },
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Tells whether a turn is due for what handlers have asked for.
    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty() || self.commands.has_published || self.next_place < self.log.end()
    }

    /// Does what handlers have asked for in this turn. What they ask for
    /// meanwhile is for the next, so that no turn goes on for ever.
    pub(super) fn carry_out(&mut self) {
        if !self.has_commands() {
            return;
        }
        if mem::take(&mut self.commands.has_published) {
            self.wake_others();
        }
        let end = self.log.end();
        let mut commands = self.commands.take();
        for Placed {
            place,
            what: command,
        } in commands.drain(..)
        {
            if !fault!("place-forgotten") {
                self.catch_up(place);
            }
            match command {
                Command::Publish(publication) => {
                    self.publish(publication);
                    continue;
                }
                // In order: who subscribes now gets nothing from before.
                _ => self.deliver(),
            }
            self.carry_out_one(command);
        }
        self.catch_up(end);
        self.deliver();
        self.commands.reuse(commands);
    }

    fn carry_out_one(&mut self, command: Command<H::Data>) {
        match command {
            Command::Subscribe(id, topic) if self.is_open_still(id) => {
                self.commands.topics.subscribe(id.key, &topic);
            }
            Command::Unsubscribe(id, topic) if self.is_open_still(id) => {
                self.commands.topics.unsubscribe(id.key, &topic);
            }
            Command::Timer(id, timer, wait) if self.is_open_still(id) => {
                self.set_timer(Some(id.key), timer, wait);
            }
            Command::LoopTimer(timer, wait) => self.set_timer(None, timer, wait),
            Command::Connect(address, connect) => drop(self.connect(address, *connect)),
            Command::ConnectByName(connect) => self.connect_by_name(*connect),
            Command::With(id, act) => drop(self.with_peer(id, |_, peer| act(peer))),
            _ => {}
        }
    }

    /// Takes the publications before a place from the log, but none that comes
    /// after something else that was asked for.
    #[inline]
    pub(super) fn catch_up(&mut self, place: u64) {
        if self.next_place < place {
            self.take_publications(place);
        }
    }

    fn take_publications(&mut self, place: u64) {
        loop {
            let place = place.min(self.commands.first_place().unwrap_or(place));
            if self.next_place >= place {
                return;
            }
            if self.run.len() == MOST {
                self.deliver();
                // Handlers may have asked for something meanwhile.
                continue;
            }
            let room = MOST - self.run.len();
            self.next_place = self.log.take(self.index(), place, room, &mut self.run);
        }
    }

    /// Puts a message with those before it, which are
    /// [delivered](Self::deliver) together.
    pub(super) fn publish(&mut self, publication: Publication) {
        if self.run.len() == MOST {
            self.deliver();
        }
        self.run.push(publication);
    }

    /// Gives each subscriber all that was published for it, in one turn and
    /// one write.
    pub(super) fn deliver(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let mut run = mem::take(&mut self.run);
        let mut audience = mem::take(&mut self.audience);
        let mut first = 0;
        for same in run.chunk_by(|one, next| one.topic == next.topic) {
            let bits =
                (u64::MAX >> (MOST - same.len())) << if fault!("topics-mixed") { 0 } else { first };
            match &same[0].topic {
                Some(topic) => audience.add(
                    self.commands.topics.subscribers(topic).iter().copied(),
                    bits,
                ),
                None => audience.add(self.slots.iter().map(|(key, _)| key as u32), bits),
            }
            first += same.len();
        }
        for (key, bits) in audience.drain() {
            self.deliver_to(key as usize, bits, &mut run);
        }
        if !(fault!("publication-twice") && run.len() > 1) {
            run.clear();
        }
        (self.run, self.audience) = (run, audience);
    }

    /// Gives a peer the publications of `bits`, but not those that are not for
    /// it.
    fn deliver_to(&mut self, key: usize, bits: u64, run: &mut [Publication]) {
        // It may have ended since it was counted among the audience.
        if !self.slots.get(key).is_some_and(Self::is_open) {
            return;
        }
        let is_for = Some(self.id(key));
        let mut wanted = bits;
        for index in Bits(bits) {
            if !fault!("publisher-included") && run[index].except == is_for {
                wanted &= !(1 << index);
            }
        }
        if wanted == 0 {
            return;
        }
        // A peer that does not read is to cost those that do next to nothing: it
        // gets no turn.
        let slot = &self.slots[key];
        if let Some(index) = slot.kept.link() {
            let outgoing = &self.links[index].outgoing;
            if outgoing.is_full() {
                return self.counters.refused.add(u64::from(wanted.count_ones()));
            }
            if outgoing.shares_waiting() && slot.deflate.is_none() {
                let messages = Bits(wanted).map(|index| &run[index].message);
                return self.leave_waiting(key, index, messages);
            }
        }
        let _entered = self.enter(key);
        self.turn(key, Ready::default(), 0..0, |_, peer| {
            for index in Bits(wanted) {
                peer.send_shared(&mut run[index].message);
            }
        });
    }

    /// Has messages wait where they may be dropped, behind others.
    fn leave_waiting<'p>(
        &mut self,
        key: usize,
        index: usize,
        messages: impl Iterator<Item = &'p Prepared>,
    ) {
        let link = &mut self.links[index];
        link.outgoing.share_waiting(messages);
        link.is_used = true;
        self.store(key);
        self.drop_largest();
    }

    /// Has the other loops look at what was published.
    fn wake_others(&self) {
        for (index, mailbox) in self.remote.mailboxes().iter().enumerate() {
            if index != self.index()
                && !fault!("others-asleep")
                && let Err(error) = mailbox.wake()
            {
                warn!(%error, "cannot wake another loop for a publication");
            }
        }
    }
}
