//! The streams of topics: looked at before they are read, made before they are
//! published to.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Asked, Nats,
    client_protocol::Message,
    publish::Publication,
    read::Wanted,
    stream::{self, Refusal, Stream, Wish},
};
use crate::{Answer, Epoch, History, Token};

/// A stream that is there, in this run of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    epoch: Epoch,
    history: History,
}

/// Streams that this node publishes to.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    streams: HashMap<Arc<str>, Preparing>,
}

#[derive(Debug, Default)]
struct Preparing {
    ready: Option<Ready>,
    /// Whether it is looked at.
    is_asked: bool,
    waiting: VecDeque<Publication>,
}

/// How many streams are known; then all that nothing waits for are forgotten.
const MAX_KNOWN: usize = 1 << 16;

/// A look at a stream.
#[derive(Debug)]
pub(crate) struct Look {
    topic: Arc<str>,
    purpose: Purpose,
    /// How often it was asked for something.
    asked: u32,
}

#[derive(Debug)]
enum Purpose {
    Read(Wanted),
    Publish(History),
}

/// How often it is asked for something about a stream that others change at
/// the same time.
const MAX_ASKED: u32 = 16;

impl Look {
    pub(super) fn read(topic: Arc<str>, wanted: Wanted) -> Self {
        Self {
            topic,
            purpose: Purpose::Read(wanted),
            asked: 0,
        }
    }
}

impl Prepared {
    /// Forgets a stream that nothing waits for.
    pub(super) fn forget(&mut self, topic: &str) {
        if self
            .streams
            .get(topic)
            .is_some_and(|stream| !stream.is_asked)
        {
            self.streams.remove(topic);
        }
    }

    fn stream(&mut self, topic: &Arc<str>) -> &mut Preparing {
        if self.streams.len() >= MAX_KNOWN && !self.streams.contains_key(topic) {
            self.streams.retain(|_, stream| stream.is_asked);
        }
        self.streams.entry(Arc::clone(topic)).or_default()
    }
}

impl Nats {
    /// To the stream, which is made before if need be.
    pub(super) fn publish_kept(
        &mut self,
        topic: Arc<str>,
        publication: Publication,
        out: &mut Vec<u8>,
    ) {
        let stream = self.link.prepared.stream(&topic);
        let ready = stream
            .ready
            .filter(|ready| ready.history == publication.history);
        if let Some(ready) = ready.filter(|_| !stream.is_asked) {
            self.send_kept(&topic, ready.epoch, &publication, out);
            return;
        }
        let history = publication.history;
        stream.waiting.push_back(publication);
        if !stream.is_asked {
            stream.is_asked = true;
            self.look(
                Look {
                    topic,
                    purpose: Purpose::Publish(history),
                    asked: 0,
                },
                out,
            );
        }
    }

    pub(super) fn look(&mut self, mut look: Look, out: &mut Vec<u8>) {
        look.asked += 1;
        let stream = self.names.stream(&look.topic);
        self.api(
            "STREAM.INFO",
            &stream,
            b"",
            Asked::Look(Box::new(look)),
            out,
        );
    }

    fn change(&mut self, what: &str, config: &Value, mut look: Look, out: &mut Vec<u8>) {
        look.asked += 1;
        let stream = self.names.stream(&look.topic);
        let config = config.to_string();
        self.api(
            what,
            &stream,
            config.as_bytes(),
            Asked::Look(Box::new(look)),
            out,
        );
    }

    /// Takes the answer about a stream.
    pub(super) fn looked(
        &mut self,
        look: Look,
        message: &Message<'_>,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        let refused = match (message.headers.status(), stream::answer(message.payload)) {
            (Some(503), _) => "JetStream is not there".into(),
            _ if look.asked > MAX_ASKED => "the stream is changed by others all the time".into(),
            (_, Ok(stream)) if stream.is_of(&self.names, &look.topic) => {
                self.use_stream(look, stream, out, answers);
                return;
            }
            (_, Ok(_)) => "the stream of this name is another's".into(),
            (_, Err(Refusal::Absent)) => {
                self.use_none(look, out, answers);
                return;
            }
            (_, Err(Refusal::Differs)) => {
                self.look(look, out);
                return;
            }
            (_, Err(Refusal::Other(words))) => words,
        };
        self.refuse(look, &refused, answers);
    }

    fn use_stream(
        &mut self,
        look: Look,
        stream: Stream,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        let wish = match look.purpose {
            Purpose::Read(_) => None,
            Purpose::Publish(history) => Some(self.wish(history)),
        };
        if let Some(config) = stream.update(self.run(), wish.as_ref()) {
            self.change("STREAM.UPDATE", &config, look, out);
            return;
        }
        let epoch = stream.epoch();
        self.note_epoch(&look.topic, epoch);
        match look.purpose {
            Purpose::Read(wanted) => self.read(&look.topic, wanted, &stream, out, answers),
            Purpose::Publish(history) => {
                self.prepared(look.topic, Ready { epoch, history }, out);
            }
        }
    }

    fn use_none(&mut self, look: Look, out: &mut Vec<u8>, answers: &mut dyn FnMut(Answer<'_>)) {
        match look.purpose {
            Purpose::Read(wanted) => {
                let absent = stream::absent(self.run());
                // The first message of its stream is in another epoch.
                self.note_epoch(&look.topic, super::UNKNOWN);
                answers(Answer::Read(wanted.token, super::read::nothing(absent)));
            }
            Purpose::Publish(history) => {
                let config = stream::create(&self.names, &look.topic, &self.wish(history));
                self.change("STREAM.CREATE", &config, look, out);
            }
        }
    }

    fn wish(&self, history: History) -> Wish<'_> {
        Wish {
            history,
            key_time: self.key_time,
            in_memory: self.in_memory,
            run: self.run(),
        }
    }

    /// Sends what has waited for a stream, in order, as far as it asks for the
    /// same history.
    fn prepared(&mut self, topic: Arc<str>, ready: Ready, out: &mut Vec<u8>) {
        loop {
            let stream = self.link.prepared.stream(&topic);
            stream.ready = Some(ready);
            let Some(publication) = stream.waiting.pop_front() else {
                stream.is_asked = false;
                return;
            };
            if publication.history != ready.history {
                let purpose = Purpose::Publish(publication.history);
                stream.waiting.push_front(publication);
                self.look(
                    Look {
                        topic,
                        purpose,
                        asked: 0,
                    },
                    out,
                );
                return;
            }
            self.send_kept(&topic, ready.epoch, &publication, out);
        }
    }

    fn refuse(&mut self, look: Look, words: &str, answers: &mut dyn FnMut(Answer<'_>)) {
        let refuse = |token: Token| Answer::Refused(token, words.to_owned());
        match look.purpose {
            Purpose::Read(wanted) => answers(refuse(wanted.token)),
            Purpose::Publish(_) => {
                let stream = self.link.prepared.streams.remove(&look.topic);
                for publication in stream.into_iter().flat_map(|stream| stream.waiting) {
                    answers(refuse(publication.token));
                }
            }
        }
    }
}
