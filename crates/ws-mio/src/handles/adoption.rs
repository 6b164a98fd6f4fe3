//! Connections on their way to a loop that is to adopt them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::mailbox::{Mailbox, Task};
use crate::{AdoptError, Handler, Handover, NotAdopted, PeerId, Transport};

/// What became of a connection that was handed over.
pub(super) type Adopted<T, D> = Result<PeerId, NotAdopted<T, D>>;

/// A connection on its way to a loop. One that does not get there is handed back.
struct Adoption<T, D, F: FnOnce(Adopted<T, D>)> {
    /// How many are on their way to that loop.
    adopting: Arc<AtomicUsize>,
    left: Option<(Handover<T, D>, F)>,
}

impl<H: Handler, T> Mailbox<H, T> {
    /// Returns how many connections the loop has, and will have soon.
    pub(super) fn load(&self) -> u64 {
        let adopting = self.adopting.load(Ordering::Relaxed);
        self.counters.open() + adopting as u64
    }

    /// Has the loop take over a connection, and `told` called in any case.
    pub(super) fn adopt(
        &self,
        handover: Handover<T, H::Data>,
        told: impl FnOnce(Adopted<T, H::Data>) + Send + 'static,
    ) -> io::Result<()>
    where
        T: Transport + Send + 'static,
        H::Data: Send + 'static,
    {
        self.adopting.fetch_add(1, Ordering::Relaxed);
        let mut adoption = Adoption {
            adopting: Arc::clone(&self.adopting),
            left: Some((handover, told)),
        };
        self.push(Task::Run(Box::new(move |context| {
            if let Some((handover, told)) = adoption.left.take() {
                let adopted = context.adopt(handover);
                // It counts among the open ones now, and not twice for who is told.
                drop(adoption);
                told(adopted);
            }
        })))
    }
}

impl<T, D, F: FnOnce(Adopted<T, D>)> Drop for Adoption<T, D, F> {
    fn drop(&mut self) {
        self.adopting.fetch_sub(1, Ordering::Relaxed);
        if let Some((handover, told)) = self.left.take() {
            told(Err(AdoptError::Stopped.of(handover)));
        }
    }
}
