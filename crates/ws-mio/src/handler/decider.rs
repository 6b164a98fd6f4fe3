//! Decisions on requests that are made later, on other threads.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ws_handshake::Response;

use crate::{Accept, Decision, Incoming, PeerId, handles::mailbox::Wake};

/// Decides on a request from any thread, after
/// [`Handler::on_request`](crate::Handler::on_request) has returned
/// [`Decision::Later`]: see [`Decision::later`].
///
/// The connection goes on waiting as a part of its opening handshake: it has
/// `handshake_timeout` in all, and is answered with 503 if nothing was decided
/// by then. Dropping this without a decision answers with 503 at once. It does
/// nothing if the connection is gone.
pub struct Decider<D> {
    shared: Arc<Shared<D>>,
}

/// A decision that is awaited: the other end of a [`Decider`].
pub struct Later<D> {
    shared: Arc<Shared<D>>,
}

/// What decides on a request, on its loop.
pub(crate) type Choice<D> = Box<dyn for<'r> FnOnce(Incoming<'r>) -> Decision<'r, D> + Send>;

type Shared<D> = Mutex<State<D>>;

enum State<D> {
    /// Nothing was decided yet, and who is to be told of it, if that is known.
    Open(Option<(Arc<Decided>, PeerId)>),
    Made(Choice<D>),
    /// The decider was dropped.
    Dropped,
    /// Nobody waits for it any more.
    Over,
}

/// The connections of a loop for which a decision was made.
pub(crate) struct Decided {
    ids: Mutex<Vec<PeerId>>,
    wake: Wake,
}

/// Makes both ends.
pub(crate) fn pair<D>() -> (Decider<D>, Later<D>) {
    let shared = Arc::new(Mutex::new(State::Open(None)));
    let later = Later {
        shared: Arc::clone(&shared),
    };
    (Decider { shared }, later)
}

impl<D> Decider<D> {
    /// Decides by a closure that is called on the connection's loop, with the
    /// request again. It may return [`Decision::Later`] once more.
    pub fn decide(
        self,
        choose: impl for<'r> FnOnce(Incoming<'r>) -> Decision<'r, D> + Send + 'static,
    ) {
        self.settle(State::Made(Box::new(choose)));
    }

    /// Accepts a request that keeps the rules, and keeps `data` for the
    /// connection; any other is answered as the rule says that it breaks.
    pub fn accept(self, data: D)
    where
        D: Send + 'static,
    {
        self.decide(|incoming| match incoming.negotiate() {
            Ok(acceptance) => Accept::new(acceptance, data).into(),
            Err(error) => error.rejection().into(),
        });
    }

    /// Answers the request, and the transport is closed.
    pub fn respond(self, response: Response) {
        self.decide(|_| response.into());
    }

    /// Tells whether the connection still waits. If it does not, the work of a
    /// decision can be saved.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !matches!(*lock(&self.shared), State::Over)
    }

    fn settle(&self, state: State<D>) {
        let mut shared = lock(&self.shared);
        if let State::Open(waiting) = &mut *shared {
            let waiting = waiting.take();
            *shared = state;
            drop(shared);
            if let Some((decided, id)) = waiting {
                decided.push(id);
            }
        }
    }
}

impl<D> Drop for Decider<D> {
    fn drop(&mut self) {
        self.settle(State::Dropped);
    }
}

impl<D> Later<D> {
    /// Has a loop be told of the decision; of one that was made before, too.
    pub(crate) fn tell(&self, decided: &Arc<Decided>, id: PeerId) {
        match &mut *lock(&self.shared) {
            State::Open(waiting) => *waiting = Some((Arc::clone(decided), id)),
            _ => decided.push(id),
        }
    }

    /// Takes the decision; `None` if there is none yet, and `Some(None)` if
    /// there never will be.
    pub(crate) fn take(&self) -> Option<Option<Choice<D>>> {
        let mut shared = lock(&self.shared);
        match &*shared {
            State::Open(_) => None,
            _ => match mem::replace(&mut *shared, State::Over) {
                State::Made(choice) => Some(Some(choice)),
                _ => Some(None),
            },
        }
    }
}

impl<D> Drop for Later<D> {
    fn drop(&mut self) {
        // Not dropped under the lock: a closure may own anything.
        let left = mem::replace(&mut *lock(&self.shared), State::Over);
        drop(left);
    }
}

impl Decided {
    pub(crate) fn new(wake: Wake) -> Arc<Self> {
        let ids = Mutex::default();
        Arc::new(Self { ids, wake })
    }

    fn push(&self, id: PeerId) {
        let mut ids = lock(&self.ids);
        ids.push(id);
        // One wake-up takes all that is pushed before the loop looks. A loop that
        // cannot be woken looks in its next turn.
        if ids.len() == 1 {
            drop(ids);
            let _ = (self.wake)();
        }
    }

    pub(crate) fn take(&self) -> Vec<PeerId> {
        mem::take(&mut *lock(&self.ids))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D> fmt::Debug for Decider<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decider").finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for Later<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}
