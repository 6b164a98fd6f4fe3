//! What a loop is asked to do from elsewhere.

use ws_proto::CloseCode;

use super::EventLoop;
use crate::{
    Handler,
    connection::{Phase, Ready},
    remote::Command,
};

impl<H: Handler> EventLoop<H> {
    pub(super) fn obey(&mut self) {
        for command in self.remote.take() {
            match command {
                Command::Stop => self.stop(),
            }
        }
    }

    pub(super) fn stop(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(self.tick_after(self.config.close_timeout));
        if let Some(mut listener) = self.listener.take() {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            let _entered = self.enter(key);
            match self.slots[key].phase {
                Phase::Open => self.turn(key, Ready::default(), 0..0, |_, peer| {
                    peer.close(CloseCode::GOING_AWAY, "");
                }),
                Phase::Upgrading { .. } => self.remove(key),
                Phase::Flushing { .. } | Phase::Lingering { .. } => {}
            }
        }
    }
}
