//! What a loop is asked to do from elsewhere.

use std::mem;

use super::EventLoop;
use crate::{Handler, Loop, Peer, PeerId, Ready, Transport, remote::Task};

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Does what came through the mailbox.
    pub(crate) fn obey(&mut self) {
        // A peer that was told of its subscription gets what is published on
        // another loop thereupon.
        self.carry_out();
        self.take_answers();
        let mut tasks = mem::take(&mut self.tasks);
        self.mailbox().swap(&mut tasks);
        for task in tasks.drain(..) {
            if !matches!(task, Task::Publish(_)) {
                self.deliver();
            }
            match task {
                Task::Publish(publication) => self.publish(publication),
                Task::Stop(drain) => self.stop(drain),
                Task::End if !self.is_stopping() => self.stop(None),
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
        self.deliver();
        self.tasks = tasks;
    }

    // --- what a task may do ---

    pub(crate) const fn handler(&mut self) -> &mut H {
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

    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> {
        let open = |(_, slot): &(usize, &_)| Self::is_open(slot);
        self.slots.iter().filter(open).map(|(key, _)| self.id(key))
    }

    pub(crate) fn connections(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn index(&self) -> usize {
        self.index.into()
    }
}
