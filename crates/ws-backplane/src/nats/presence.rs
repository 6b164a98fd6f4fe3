//! Presence: a stream has the last sign of each member of each node, and
//! forgets it after a time.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Asked, Nats, Pong,
    client_protocol::{self, Message},
    names::unword,
    stream::{self, Refusal},
};
use crate::{Answer, Token};

/// The header of a message that says that a member has joined or left.
pub(crate) const EVENT: &str = "Ws-Event";

impl Nats {
    /// Gives a sign of members. The last is answered when all are there.
    pub(super) fn enter(
        &mut self,
        token: Token,
        topic: &Arc<str>,
        members: Vec<Arc<str>>,
        time: Duration,
        out: &mut Vec<u8>,
    ) {
        let Some(last) = members.len().checked_sub(1) else {
            self.ping(Pong::Done(token), out);
            return;
        };
        for (index, member) in members.into_iter().enumerate() {
            let reply = match index == last {
                true => self.inbox(Asked::Entered(token, time)),
                false => String::new(),
            };
            let subject = self.names.member(topic, &member, &self.node);
            client_protocol::publish(out, &subject, &reply, &[], b"");
            if self
                .link
                .present
                .insert((Arc::clone(topic), Arc::clone(&member)))
            {
                self.tell(topic, "join", &member, out);
            }
        }
    }

    fn tell(&self, topic: &str, event: &str, member: &str, out: &mut Vec<u8>) {
        let headers = [(EVENT, event)];
        client_protocol::publish(
            out,
            &self.names.live(topic),
            "",
            &headers,
            member.as_bytes(),
        );
    }

    pub(super) fn entered(
        &mut self,
        token: Token,
        time: Duration,
        message: &Message<'_>,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        if message.headers.status() == Some(503) {
            let config = stream::create_presence(&self.names, time).to_string();
            let stream = self.names.presence_stream();
            let asked = Asked::PresenceStream(token);
            self.api("STREAM.CREATE", &stream, config.as_bytes(), asked, out);
            return;
        }
        answers(match stream::parse(message.payload) {
            Ok(_) => Answer::Done(token),
            Err(why) => Answer::Refused(token, why.words()),
        });
    }

    pub(super) fn leave(
        &mut self,
        token: Token,
        topic: Arc<str>,
        member: Arc<str>,
        out: &mut Vec<u8>,
    ) {
        self.link
            .present
            .remove(&(Arc::clone(&topic), Arc::clone(&member)));
        let subject = self.names.member(&topic, &member, &self.node);
        let body = json!({ "filter": subject }).to_string();
        let stream = self.names.presence_stream();
        let asked = Asked::Left(token, topic, member);
        self.api("STREAM.PURGE", &stream, body.as_bytes(), asked, out);
    }

    /// The sign of this node is gone: are there others?
    pub(super) fn left(
        &mut self,
        token: Token,
        topic: Arc<str>,
        member: Arc<str>,
        out: &mut Vec<u8>,
    ) {
        let filter = self.names.member(&topic, &member, "*");
        self.ask_subjects(&filter, Asked::StillThere(token, topic, member), out);
    }

    pub(super) fn still_there(
        &self,
        token: Token,
        topic: &str,
        member: &str,
        message: &Message<'_>,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        match subjects(message) {
            Ok(subjects) => {
                if subjects.is_empty() {
                    self.tell(topic, "leave", member, out);
                }
                answers(Answer::Done(token));
            }
            Err(words) => answers(Answer::Refused(token, words)),
        }
    }

    pub(super) fn members(&mut self, token: Token, topic: Arc<str>, out: &mut Vec<u8>) {
        let filter = format!("{}>", self.names.members(&topic));
        self.ask_subjects(&filter, Asked::Members(token, topic), out);
    }

    fn ask_subjects(&mut self, filter: &str, asked: Asked, out: &mut Vec<u8>) {
        let body = json!({ "subjects_filter": filter }).to_string();
        let stream = self.names.presence_stream();
        self.api("STREAM.INFO", &stream, body.as_bytes(), asked, out);
    }

    pub(super) fn members_are(
        &self,
        token: Token,
        topic: &str,
        message: &Message<'_>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        let beginning = self.names.members(topic);
        answers(match subjects(message) {
            Ok(subjects) => {
                let members = subjects.iter().filter_map(|subject| {
                    let (member, _) = subject.strip_prefix(&*beginning)?.split_once('.')?;
                    unword(member).map(Arc::from)
                });
                Answer::Members(token, members.collect())
            }
            Err(words) => Answer::Refused(token, words),
        });
    }
}

/// The stream is there now, by us or by another node.
pub(super) fn stream_made(
    token: Token,
    message: &Message<'_>,
    answers: &mut dyn FnMut(Answer<'_>),
) {
    answers(match stream::parse(message.payload) {
        Ok(_) | Err(Refusal::Differs) => Answer::Again(token),
        Err(why) => Answer::Refused(token, why.words()),
    });
}

/// The subjects that an answer names; none if there is no stream.
fn subjects(message: &Message<'_>) -> Result<Vec<String>, String> {
    if message.headers.status().is_some() {
        return Err("JetStream is not there".into());
    }
    match stream::parse(message.payload) {
        Ok(answer) => Ok(match &answer["state"]["subjects"] {
            Value::Object(subjects) => subjects.keys().cloned().collect(),
            _ => Vec::new(),
        }),
        Err(Refusal::Absent) => Ok(Vec::new()),
        Err(why) => Err(why.words()),
    }
}
