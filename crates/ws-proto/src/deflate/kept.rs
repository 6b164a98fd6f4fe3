//! What an inflater keeps from one call to the next, where its budget can take
//! it away.

use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    budget::{Budget, Holder},
    history::History,
    open::OpenMessage,
};
use crate::ProtocolError;

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) message: Option<Box<OpenMessage>>,
    pub(super) history: Option<History>,
}

/// Where it is kept. Between calls the budget may take it away.
#[derive(Debug)]
pub(super) struct Place {
    state: Mutex<State>,
    budget: Budget,
}

#[derive(Debug)]
struct State {
    content: Content,
    /// Compressed bytes that were received.
    received: u64,
    /// When the last of them were, as the budget counts.
    at: u64,
}

#[derive(Debug)]
enum Content {
    Kept(Kept),
    Lent,
    Evicted,
}

impl Kept {
    pub(super) const fn is_empty(&self) -> bool {
        self.message.is_none() && self.history.is_none()
    }

    /// Returns how many bytes are held.
    fn held(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.held());
        message + self.history.as_ref().map_or(0, History::held)
    }
}

impl Place {
    /// Makes a place of which the budget knows.
    pub(super) fn new(budget: &Budget) -> Arc<Self> {
        let place = Arc::new(Self {
            state: Mutex::new(State {
                content: Content::Lent,
                received: 0,
                at: 0,
            }),
            budget: budget.clone(),
        });
        let holder: Arc<dyn Holder> = Arc::clone(&place) as _;
        let holder: Weak<dyn Holder> = Arc::downgrade(&holder);
        budget.register(holder);
        place
    }

    /// Takes out what is kept.
    pub(super) fn take(&self, budget: &Budget) -> Result<Kept, ProtocolError> {
        let content = &mut self.state().content;
        match core::mem::replace(content, Content::Lent) {
            Content::Kept(kept) => Ok(kept),
            Content::Lent => Ok(Kept::default()),
            Content::Evicted => {
                *content = Content::Evicted;
                Err(budget.refusal())
            }
        }
    }

    /// Keeps what is kept, after `received` more compressed bytes.
    pub(super) fn put(&self, kept: Kept, received: u64, budget: &Budget) {
        let mut state = self.state();
        state.content = Content::Kept(kept);
        state.received += received;
        if received > 0 {
            state.at = budget.tick();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.note_gone();
    }
}

impl Holder for Place {
    fn rank(&self, now: u64) -> Option<u128> {
        let state = self.state();
        let Content::Kept(kept) = &state.content else {
            return None;
        };
        let still = now.saturating_sub(state.at) + 1;
        Some(kept.held() as u128 * u128::from(still) / u128::from(state.received + 1))
    }

    fn evict(&self) {
        let mut state = self.state();
        if matches!(state.content, Content::Kept(_)) {
            state.content = Content::Evicted;
        }
    }
}
