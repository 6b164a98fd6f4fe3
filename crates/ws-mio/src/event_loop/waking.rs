//! Transports that no poll watches wake their loop.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use crate::{PeerId, handles::mailbox};

/// The connections of a loop whose transports have said that they are ready.
pub(crate) struct Wakings {
    /// `None` once the loop has ended.
    woken: Mutex<Option<Vec<Arc<TransportWaker>>>>,
    wake: mailbox::Wake,
}

/// What wakes one connection.
pub(crate) struct TransportWaker {
    id: PeerId,
    /// It is in the list.
    is_woken: AtomicBool,
    wakings: Arc<Wakings>,
}

impl Wakings {
    pub(crate) fn new(wake: mailbox::Wake) -> Arc<Self> {
        let woken = Mutex::new(Some(Vec::new()));
        Arc::new(Self { woken, wake })
    }

    /// Makes what wakes a connection.
    pub(crate) fn waker(self: &Arc<Self>, id: PeerId) -> Waker {
        Waker::from(Arc::new(TransportWaker {
            id,
            is_woken: AtomicBool::new(false),
            wakings: Arc::clone(self),
        }))
    }

    /// Takes those that were woken. Each may be woken again from here on.
    pub(crate) fn take(&self) -> Vec<PeerId> {
        let woken = self.lock().as_mut().map(mem::take);
        let ids = woken.into_iter().flatten().map(|waker| {
            waker.is_woken.store(false, Ordering::Release);
            waker.id
        });
        ids.collect()
    }

    /// Notes that the loop has ended.
    pub(crate) fn end(&self) {
        let left = self.lock().take();
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Arc<TransportWaker>>>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TransportWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self.wakings.lock();
        let Some(list) = &mut *woken else {
            return;
        };
        list.push(Arc::clone(self));
        // One wake-up takes all that are woken before the loop looks. A loop that
        // cannot be woken looks in its next turn.
        if list.len() == 1 {
            drop(woken);
            let _ = (self.wakings.wake)();
        }
    }
}
