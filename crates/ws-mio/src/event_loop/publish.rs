//! One message to many.

use std::mem;

use tracing::warn;
use ws_proto::Prepared;

use super::EventLoop;
use crate::{
    Handler, Ready, Transport,
    arena::NOWHERE,
    audience::{Bits, MOST},
    order::{Order, Publication},
    remote::Task,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Keeps an order for the end of the turn.
    pub(crate) fn order(&mut self, order: Order<H::Data>) {
        self.orders.push(order);
    }

    /// Does what handlers have asked for in this turn. What they ask for
    /// meanwhile is for the next, so that no turn goes on for ever.
    pub(super) fn carry_out(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let mut orders = mem::take(&mut self.orders);
        let mut elsewhere = Vec::new();
        for order in orders.drain(..) {
            match order {
                Order::Publish(publication) => {
                    if self.remote.loops() > 1 {
                        elsewhere.push(publication.clone());
                    }
                    self.publish(publication);
                    continue;
                }
                // In order: who subscribes now gets nothing from before.
                _ => self.deliver(),
            }
            match order {
                Order::Subscribe(id, topic) if self.is_open_still(id) => {
                    self.topics.subscribe(id.key, &topic);
                }
                Order::Unsubscribe(id, topic) if self.is_open_still(id) => {
                    self.topics.unsubscribe(id.key, &topic);
                }
                Order::Timer(id, wait) if self.is_open_still(id) => {
                    self.set_timer(id.key as usize, wait);
                }
                Order::Connect(address, connect) => drop(self.connect(address, *connect)),
                Order::ConnectByName(connect) => self.connect_by_name(*connect),
                Order::With(id, act) => drop(self.with_peer(id, |_, peer| act(peer))),
                _ => {}
            }
        }
        self.deliver();
        if !elsewhere.is_empty() {
            self.publish_elsewhere(&elsewhere);
        }
        if self.orders.is_empty() {
            // For its memory.
            self.orders = orders;
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
                Some(topic) => audience.add(self.topics.subscribers(topic).iter().copied(), bits),
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
        if slot.state != NOWHERE {
            let outgoing = &self.links[slot.state as usize].outgoing;
            if outgoing.is_full() {
                return self.counters.refused.add(u64::from(wanted.count_ones()));
            }
            if outgoing.shares_waiting() && slot.terms.is_none() {
                let messages = Bits(wanted).map(|index| &run[index].message);
                return self.leave_waiting(key, messages);
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
    fn leave_waiting<'p>(&mut self, key: usize, messages: impl Iterator<Item = &'p Prepared>) {
        let link = &mut self.links[self.slots[key].state as usize];
        link.outgoing.share_waiting(messages);
        link.is_used = true;
        self.store(key);
        self.shed();
    }

    /// Hands publications to the other loops.
    fn publish_elsewhere(&self, publications: &[Publication]) {
        for (index, mailbox) in self.remote.mailboxes().iter().enumerate() {
            let tasks = publications.iter().cloned().map(Task::Publish);
            if index != self.index()
                && let Err(error) = mailbox.push(tasks)
            {
                warn!(%error, "cannot publish on another loop");
            }
        }
    }
}
