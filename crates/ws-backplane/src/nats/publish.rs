//! Publications: to the stream of a topic, or to its subscribers alone.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Asked, Nats, Pong,
    client_protocol::{self, Message},
    stream,
};
use crate::{Answer, Epoch, History, Position, Token};

/// A publication that is not sent.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) token: Token,
    pub(crate) payload: Bytes,
    pub(crate) history: History,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) origin: u64,
}

/// The header that says which node has told its message already.
pub(crate) const ORIGIN: &str = "Ws-Origin";
/// The header that names a publication without history: `NODE.NUMBER`.
pub(crate) const PUBLICATION: &str = "Ws-Publication";
/// What headers take at most, besides a key.
const HEADERS: usize = 128;

impl Nats {
    pub(super) fn publish(&mut self, topic: Arc<str>, publication: Publication, out: &mut Vec<u8>) {
        let token = publication.token;
        let key = publication.key.as_deref();
        let length = publication.payload.len() + HEADERS + key.map_or(0, str::len) * 3;
        let most = self.link.info.as_ref().map_or(0, |info| info.max_payload);
        if length > most {
            let words =
                format!("{length} bytes with headers; `max_payload` of the server is {most}");
            self.ping(Pong::Refused(token, words), out);
        } else if self.has_history(&topic) {
            self.publish_kept(topic, publication, out);
        } else if key.is_some() {
            let words = "a topic without history knows no keys".to_owned();
            self.ping(Pong::Refused(token, words), out);
        } else {
            self.publish_live(&topic, &publication, out);
        }
    }

    /// To those who subscribe now. The server has it when it answers the
    /// `PING` behind it, which comes behind our own copy.
    fn publish_live(&mut self, topic: &str, publication: &Publication, out: &mut Vec<u8>) {
        let number = format!("{}.{}", self.node, publication.token);
        let origin = publication.origin.to_string();
        let mut headers = vec![(PUBLICATION, &*number)];
        if publication.origin != 0 {
            headers.push((ORIGIN, &origin));
        }
        client_protocol::publish(
            out,
            &self.names.live(topic),
            "",
            &headers,
            &publication.payload,
        );
        self.ping(Pong::Published(publication.token), out);
    }

    /// To the stream, which was prepared in this epoch.
    pub(super) fn send_kept(
        &mut self,
        topic: &Arc<str>,
        epoch: Epoch,
        publication: &Publication,
        out: &mut Vec<u8>,
    ) {
        let reply = self.inbox(Asked::Publication(
            publication.token,
            epoch,
            Arc::clone(topic),
        ));
        let origin = publication.origin.to_string();
        let key = publication.key.as_deref().map(super::names::word);
        let mut headers = Vec::new();
        if publication.origin != 0 {
            headers.push((ORIGIN, &*origin));
        }
        if let Some(key) = &key {
            headers.push(("Nats-Msg-Id", key));
        }
        let subject = self.names.kept(topic);
        client_protocol::publish(out, &subject, &reply, &headers, &publication.payload);
    }

    pub(super) fn published(
        &mut self,
        token: Token,
        epoch: Epoch,
        topic: &str,
        message: &Message<'_>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        if message.headers.status() == Some(503) {
            // The stream was removed.
            self.link.prepared.forget(topic);
            answers(Answer::Again(token));
            return;
        }
        let sequence = match stream::parse(message.payload) {
            Ok(answer) => answer["seq"]
                .as_u64()
                .ok_or_else(|| "an answer without `seq`".into()),
            Err(why) => Err(why.words()),
        };
        answers(match sequence {
            Ok(sequence) => Answer::Published(token, Position::new(epoch, sequence)),
            Err(words) => Answer::Refused(token, words),
        });
    }
}
