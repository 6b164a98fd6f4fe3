//! Reads of a topic's stream, message by message.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Asked, Nats, client_protocol::Message, publish, stream::Stream};
use crate::{Answer, Kept, Page, Position, Token};

/// What a read is to give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) token: Token,
    pub(crate) after: Option<u64>,
    pub(crate) most: u32,
    pub(crate) bytes: usize,
}

/// A read that is under way.
#[derive(Debug)]
pub(crate) struct Reading {
    page: Page,
    stream: Arc<str>,
    /// Bytes of payloads at most.
    limit: usize,
    bytes: usize,
    got: BTreeMap<u64, Kept>,
    /// The next message to be asked for, and the last.
    next: u64,
    end: u64,
    under_way: u64,
    failure: Option<String>,
}

/// Messages of one read that are asked for at once.
const AT_ONCE: u64 = 64;

impl Nats {
    /// Begins to read messages that are in the stream.
    pub(super) fn read(
        &mut self,
        topic: &str,
        wanted: Wanted,
        stream: &Stream,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        let page = Page {
            top: Position::new(stream.epoch(), stream.last),
            inherited: stream.inherited(),
            oldest: stream.oldest(),
            messages: Vec::new(),
        };
        let after = wanted.after.unwrap_or(stream.last).max(page.oldest);
        // About as many as fit.
        let most = (wanted.bytes as u64 / stream.mean()).clamp(1, u64::from(wanted.most.max(1)));
        let reading = Reading {
            page,
            stream: self.names.stream(topic).into(),
            limit: wanted.bytes,
            bytes: 0,
            got: BTreeMap::new(),
            next: after.saturating_add(1),
            end: stream.last.min(after.saturating_add(most)),
            under_way: 0,
            failure: None,
        };
        self.get_more(wanted.token, reading, out, answers);
    }

    /// Asks for messages as far as there is room; ends the read if none are
    /// under way.
    fn get_more(
        &mut self,
        token: Token,
        mut reading: Reading,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        while reading.wants_more() {
            let body = format!("{{\"seq\":{}}}", reading.next);
            let asked = Asked::Get(token, reading.next);
            let stream = Arc::clone(&reading.stream);
            self.api("DIRECT.GET", &stream, body.as_bytes(), asked, out);
            reading.next += 1;
            reading.under_way += 1;
        }
        if reading.under_way > 0 {
            self.link.readings.insert(token, reading);
        } else {
            answers(match reading.failure.take() {
                Some(words) => Answer::Refused(token, words),
                None => Answer::Read(token, reading.finish()),
            });
        }
    }

    pub(super) fn got(
        &mut self,
        token: Token,
        offset: u64,
        message: &Message<'_>,
        out: &mut Vec<u8>,
        answers: &mut dyn FnMut(Answer<'_>),
    ) {
        let Some(mut reading) = self.link.readings.remove(&token) else {
            return;
        };
        reading.under_way -= 1;
        match message.headers.status() {
            None => reading.keep(offset, message),
            // It is gone: nothing before it is contiguous with what comes after.
            Some(404) => reading.page.oldest = reading.page.oldest.max(offset),
            Some(status) => reading.failure = Some(format!("a read ended with status {status}")),
        }
        self.get_more(token, reading, out, answers);
    }
}

impl Reading {
    fn wants_more(&self) -> bool {
        self.failure.is_none()
            && self.under_way < AT_ONCE
            && self.next <= self.end
            && self.bytes < self.limit
    }

    fn keep(&mut self, offset: u64, message: &Message<'_>) {
        self.bytes += message.payload.len();
        let origin = message.headers.get(publish::ORIGIN);
        let kept = Kept {
            offset,
            origin: origin.and_then(|origin| origin.parse().ok()).unwrap_or(0),
            payload: Bytes::copy_from_slice(message.payload),
        };
        self.got.insert(offset, kept);
    }

    /// What came, as far as nothing is missing in between.
    fn finish(mut self) -> Page {
        let messages = self.got.split_off(&self.page.oldest.saturating_add(1));
        let mut bytes = 0;
        for (_, kept) in messages {
            bytes += kept.payload.len();
            if !self.page.messages.is_empty() && bytes > self.limit {
                break;
            }
            self.page.messages.push(kept);
        }
        self.page
    }
}

/// The page of a topic that has no stream.
pub(super) fn nothing(top: Position) -> Page {
    Page {
        top,
        inherited: None,
        oldest: top.offset,
        messages: Vec::new(),
    }
}
