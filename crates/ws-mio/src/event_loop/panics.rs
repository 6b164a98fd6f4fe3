//! A callback of the application panics.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
};

use tracing::error;

use super::EventLoop;
use crate::{
    Config, Handler, OnPanic, PeerId, Transport,
    connection::{Fate, Turn, share::Share},
    metrics::Counters,
};

/// What a callback panicked with.
pub(super) type Payload = Box<dyn Any + Send>;

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Does something that may panic, for no connection or for one that is not
    /// open; `None` if it did.
    pub(super) fn guard<R>(
        &mut self,
        peer: Option<PeerId>,
        act: impl FnOnce(&mut Self) -> R,
    ) -> Option<R> {
        match catch(|| act(self)) {
            Ok(result) => Some(result),
            Err(payload) => {
                let counters = Some(&*self.counters);
                report(&mut self.handler, &self.config, counters, peer, payload);
                None
            }
        }
    }

    /// Drops what the application kept for a connection.
    pub(super) fn drop_data(&mut self, data: H::Data) {
        if mem::needs_drop::<H::Data>() {
            self.guard(None, |_| drop(data));
        }
    }

    /// Goes on with a connection in whose turn a callback panicked.
    #[cold]
    pub(super) fn end_panicked(&mut self, key: usize, fate: Fate, share: Share) {
        self.store(key);
        // One may have been lost that was in use.
        let links = self.links.iter();
        let gathers = links.filter_map(|(_, link)| link.gather.as_ref());
        self.pool
            .recount(gathers.map(|gather| gather.scratch.len()).sum());
        match fate {
            Fate::End { linger } => self.begin_end(key, linger, share),
            _ => self.remove(key),
        }
    }
}

/// Ends the turn of a connection in which a callback panicked.
#[cold]
pub(super) fn end_turn<H: Handler, T: Transport>(
    turn: &mut Turn<'_, H, T>,
    config: &Config,
    payload: Payload,
) -> Fate {
    let (id, counters) = (Some(turn.id), turn.counters);
    report(turn.handler, config, counters, id, payload);
    match catch(|| turn.end_after_panic()) {
        Ok(fate) => fate,
        Err(payload) => {
            report(turn.handler, config, counters, id, payload);
            turn.drop_after_panic()
        }
    }
}

/// Does something that may panic.
#[inline]
pub(super) fn catch<R>(act: impl FnOnce() -> R) -> Result<R, Payload> {
    // What is left in disorder is put right by whoever gets the error; of the
    // handler the documentation says so.
    panic::catch_unwind(AssertUnwindSafe(act))
}

/// Tells that a callback has panicked, or goes on with the panic if that is
/// asked for.
#[cold]
pub(super) fn report<H: Handler>(
    handler: &mut H,
    config: &Config,
    counters: Option<&Counters>,
    peer: Option<PeerId>,
    payload: Payload,
) {
    if config.on_panic == OnPanic::Propagate {
        panic::resume_unwind(payload);
    }
    let count = || {
        if let Some(counters) = counters {
            counters.panics.add(1);
        }
    };
    count();
    error!(
        panic = message(&*payload),
        "a callback of the handler panicked"
    );
    if let Err(again) = catch(|| handler.on_panic(peer, payload)) {
        count();
        error!(panic = message(&*again), "Handler::on_panic panicked");
        // Dropping it might panic, too.
        mem::forget(again);
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let string = || payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(string).unwrap_or("not a text")
}
