//! Requests to the engine that are not answered.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::publications::Publication;
use crate::Token;

/// Requests that are not answered. Tokens count up, so that they are places.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    first: u64,
    pub(super) requests: VecDeque<Option<Sent>>,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Publish(Publication),
    Subscribe(usize),
    Unsubscribe(usize),
    Read(usize),
    Enter(usize),
    Leave(usize, Arc<str>),
    Members(usize),
}

impl What {
    /// The place of the topic that it is about, but for publications.
    pub(super) fn topic(&self) -> Option<usize> {
        match self {
            Self::Publish(_) => None,
            Self::Subscribe(at)
            | Self::Unsubscribe(at)
            | Self::Read(at)
            | Self::Enter(at)
            | Self::Leave(at, _)
            | Self::Members(at) => Some(*at),
        }
    }
}

impl UnderWay {
    pub(super) fn push(&mut self, sent: Sent) -> Token {
        let token = Token(self.first + self.requests.len() as u64);
        self.requests.push_back(Some(sent));
        token
    }

    pub(super) fn take(&mut self, token: Token) -> Option<Sent> {
        let place = token.0.checked_sub(self.first)?;
        let sent = self.requests.get_mut(usize::try_from(place).ok()?)?.take();
        while let Some(None) = self.requests.front() {
            self.requests.pop_front();
            self.first += 1;
        }
        sent
    }

    /// Takes all; their tokens are not given again.
    pub(super) fn take_all(&mut self) -> Vec<Sent> {
        self.first += self.requests.len() as u64;
        self.requests.drain(..).flatten().collect()
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.requests.front()?.as_ref().map(|sent| sent.at)
    }
}
