//! What the engine says.

use std::time::Instant;

use super::{Core, under_way::What};
use crate::{Answer, EngineError, Handler, Incoming, Page, PublishError, Token, topic::Read};

impl Core {
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        answer: Answer<'_>,
        handler: &mut dyn Handler,
    ) {
        match answer {
            Answer::Message(message) => self.handle_message(&message, handler),
            Answer::Joined(topic, member) => {
                self.with_presence(topic, |name, presence| {
                    presence.joined(name, member, handler)
                });
            }
            Answer::Left(topic, member) => {
                self.with_presence(topic, |name, presence| presence.left(name, member, handler));
            }
            Answer::Done(token) => self.handle_done(now, token),
            Answer::Published(token, position) => {
                if let Some(What::Publish(publication)) = self.answered(now, token) {
                    self.end_publication(publication, Ok(position), handler);
                }
            }
            Answer::Read(token, page) => {
                if let Some(What::Read(at)) = self.answered(now, token) {
                    self.handle_page(now, at, page, handler);
                }
            }
            Answer::Members(token, members) => {
                if let Some(What::Members(at)) = self.answered(now, token) {
                    let topic = &mut self.topics[at];
                    if let Some(presence) = &mut topic.presence {
                        presence.members(&topic.name, members, handler);
                    }
                    self.look_at(at);
                }
            }
            Answer::Again(token) => self.handle_again(now, token),
            Answer::Refused(token, words) => self.handle_refused(now, token, words, handler),
        }
    }

    pub(super) fn handle_message(&mut self, message: &Incoming<'_>, handler: &mut dyn Handler) {
        let Some(&at) = self.names.get(message.topic) else {
            return;
        };
        let (topic, mut told) = self.told(at, handler);
        topic.receive(message, &mut told);
        if topic.behind {
            self.look_at(at);
        }
    }

    pub(super) fn handle_done(&mut self, now: Instant, token: Token) {
        match self.answered(now, token) {
            Some(What::Subscribe(at)) => {
                self.topics[at].subscribed();
                if self.topics[at].presence.is_some() {
                    self.send_members(now, at);
                }
                self.look_at(at);
            }
            Some(What::Unsubscribe(at)) => {
                self.topics[at].disconnect();
                self.look_at(at);
            }
            _ => {}
        }
    }

    pub(super) fn handle_page(
        &mut self,
        now: Instant,
        at: usize,
        page: Page,
        handler: &mut dyn Handler,
    ) {
        let (topic, mut told) = self.told(at, handler);
        let more = topic.read(page, now, &mut told);
        if topic.keeps_recent() && !self.kept.contains(&at) {
            self.kept.push(at);
        }
        if more.is_some() {
            self.metrics.history_reads += 1;
            self.ask_page(now, at, more);
        } else {
            self.look_at(at);
        }
    }

    pub(super) fn handle_again(&mut self, now: Instant, token: Token) {
        match self.answered(now, token) {
            Some(What::Publish(publication)) => self.send_publication(now, publication),
            Some(What::Read(at)) => self.read_later(at, true),
            Some(What::Enter(at)) => {
                let members = self.presence_at(at).own();
                self.send_enter(now, at, members);
            }
            Some(What::Leave(at, member)) => self.send_leave(now, at, member),
            Some(What::Members(at)) => {
                self.presence_at(at).is_asked = false;
                self.send_members(now, at);
            }
            Some(What::Subscribe(_) | What::Unsubscribe(_)) | None => {}
        }
    }

    /// What was asked for has no result. A publication ends with it; what
    /// belongs to a state that is wanted is asked for again at the next check.
    pub(super) fn handle_refused(
        &mut self,
        now: Instant,
        token: Token,
        words: String,
        handler: &mut dyn Handler,
    ) {
        match self.answered(now, token) {
            Some(What::Publish(publication)) => {
                self.end_publication(publication, Err(PublishError::Refused(words)), handler);
            }
            Some(What::Read(at)) => self.read_later(at, false),
            Some(What::Members(at)) => self.presence_at(at).is_asked = false,
            Some(What::Subscribe(_) | What::Unsubscribe(_)) => {
                // Nothing can be relied on.
                self.failure = Some(EngineError::Refused(words));
            }
            Some(What::Enter(_) | What::Leave(..)) | None => {}
        }
    }

    pub(super) fn read_later(&mut self, at: usize, at_once: bool) {
        let topic = &mut self.topics[at];
        topic.read = Read::None;
        topic.behind = true;
        if at_once {
            self.look_at(at);
        }
    }

    /// Takes a request out of those that wait for their answer.
    pub(super) fn answered(&mut self, now: Instant, token: Token) -> Option<What> {
        let sent = self.under_way.take(token)?;
        let took = now.saturating_duration_since(sent.at);
        self.metrics.answers += 1;
        self.metrics.round_trip = took;
        self.metrics.round_trips += took;
        if let Some(at) = sent.what.topic() {
            self.in_window -= 1;
            self.topics[at].asked -= 1;
            self.look_at(at);
        }
        Some(sent.what)
    }
}
