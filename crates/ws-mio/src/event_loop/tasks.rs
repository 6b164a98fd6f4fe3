//! What a loop is asked to do from elsewhere.

use std::mem;

use super::EventLoop;
use crate::{
    Handler, Loop, Peer, PeerId, Ready, Transport,
    commands::{Commands, Placed},
    connection::Slot,
    handles::mailbox::Task,
};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Does what came through the mailbox.
    pub(crate) fn run_tasks(&mut self) {
        let mut tasks = mem::take(&mut self.tasks);
        self.mailbox().swap(&mut tasks);
        // After the swap: what handlers ask for from here on comes after all
        // of the tasks.
        self.carry_out();
        self.take_answers();
        self.take_decisions();
        self.take_woken();
        for Placed { place, what: task } in tasks.drain(..) {
            self.catch_up(place);
            self.deliver();
            match task {
                Task::Stop(Some(drain)) => self.begin_drain(drain),
                Task::Stop(None) => self.stop(None),
                // A drain that was announced comes, with its own reason.
                Task::End if !self.is_draining() => self.stop(None),
                Task::End => {}
                Task::Admit(transport, peer) => drop(self.admit_from(transport, peer)),
                Task::Send(to, message) => {
                    self.with_peer(to, |_, peer| peer.send_prepared(&message));
                }
                Task::Close(id, code, reason) => {
                    self.with_peer(id, |_, peer| peer.close(code, &reason));
                }
                Task::Run(task) => drop(self.guard(None, |inner| task(&mut Loop::new(inner)))),
            }
        }
        self.catch_up(self.log.end());
        self.deliver();
        self.tasks = tasks;
    }

    // --- what a task may do ---

    pub(crate) const fn commands(&self) -> &Commands<H::Data> {
        &self.commands
    }

    pub(crate) const fn commands_mut(&mut self) -> &mut Commands<H::Data> {
        &mut self.commands
    }

    pub(crate) const fn handler(&self) -> &H {
        &self.handler
    }

    pub(crate) const fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    pub(crate) fn with_peer<R>(
        &mut self,
        id: PeerId,
        act: impl FnOnce(&mut H, &mut Peer<'_, H::Data>) -> R,
    ) -> Option<R> {
        if !self.is_open_still(id) {
            return None;
        }
        let key = id.key as usize;
        let _entered = self.enter(key);
        let mut result = None;
        self.turn(key, Ready::default(), 0..0, |handler, peer| {
            result = Some(act(handler, peer));
        });
        result
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = (PeerId, &H::Data)> {
        let open = |(_, slot): &(usize, &_)| Self::is_open(slot);
        let named = |(key, slot)| (self.id(key), Self::data_of(slot));
        self.slots.iter().filter(open).map(named)
    }

    pub(crate) fn data(&self, id: PeerId) -> Option<&H::Data> {
        self.is_open_still(id)
            .then(|| Self::data_of(&self.slots[id.key as usize]))
    }

    const fn data_of(slot: &Slot<T, H::Data>) -> &H::Data {
        &slot.data
    }

    pub(crate) fn subscribers(&self, topic: &str) -> impl ExactSizeIterator<Item = PeerId> {
        let keys = self.commands.topics.subscribers(topic).iter();
        keys.map(|key| self.id(*key as usize))
    }

    pub(crate) fn topics_of(&self, id: PeerId) -> impl Iterator<Item = &str> {
        let key = self.is_open_still(id).then_some(id.key);
        key.into_iter()
            .flat_map(|key| self.commands.topics.topics_of(key))
    }

    pub(crate) fn connections(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn index(&self) -> usize {
        self.index.into()
    }
}
