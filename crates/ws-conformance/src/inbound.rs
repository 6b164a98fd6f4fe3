//! Inbound vectors: bytes from the peer, and what an endpoint must make of them.
//!
//! Each vector runs in the chunks that it names, whole, cut in two at every place, and byte by
//! byte.

use serde_json::Value;

use super::{
    Receiver,
    agreed::Deflate,
    bytes::{self, show},
    json::Object,
    proto::{Config, Endpoint, Seen, State},
    role::Role,
    sent::{Fault, Sent},
};
use crate::Failure;

/// One vector, read and ready to run any number of times.
#[derive(Debug)]
pub(super) struct Inbound {
    config: Config,
    chunks: Vec<Vec<u8>>,
    input: Vec<u8>,
    is_end_of_input: bool,
    events: Vec<Expected>,
    error: Option<ExpectedError>,
    replies: Vec<ExpectedReply>,
    state: State,
}

#[derive(Debug)]
struct Expected {
    event: Event,
    /// How many bytes of input are needed before the event can be known.
    at: usize,
}

#[derive(Debug)]
enum Event {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: u16, reason: Vec<u8> },
}

#[derive(Debug)]
struct ExpectedError {
    kinds: Vec<String>,
    codes: Vec<u16>,
    /// No error before that many bytes.
    at: usize,
    /// The error is due once that many bytes were fed; `None`: the input stops earlier.
    by: Option<usize>,
}

#[derive(Debug)]
struct ExpectedReply {
    frame: ReplyFrame,
    is_optional: bool,
}

#[derive(Debug)]
enum ReplyFrame {
    Pong(Vec<u8>),
    Close(Option<u16>),
}

impl Inbound {
    pub(super) fn parse(vector: &Value, name: &str) -> Result<Self, Failure> {
        let vector = Object::new(vector, name);
        let settings = vector.object("config")?;
        let config = Config {
            role: Role::parse(vector.text("role")?)?,
            accept_unmasked_frame: settings.flag("accept_unmasked_frame")?,
            max_frame: settings.number_or_none("max_frame")?,
            max_message: settings.number_or_none("max_message")?,
            deflate: Deflate::parse(settings)?,
            close_sent: vector.flag("close_sent")?,
        };
        let chunks = vector
            .texts("chunks")?
            .into_iter()
            .map(bytes::decode)
            .collect::<Result<Vec<_>, _>>()?;
        let expect = vector.object("expect")?;
        let events = expect
            .objects("events")?
            .into_iter()
            .map(|event| {
                Ok(Expected {
                    event: Event::parse(event)?,
                    at: event.size("at")?,
                })
            })
            .collect::<Result<_, Failure>>()?;
        let error = match expect.get("error") {
            None => None,
            Some(_) => Some(ExpectedError::parse(expect.object("error")?)?),
        };
        let replies = expect
            .objects("replies")?
            .into_iter()
            .map(ExpectedReply::parse)
            .collect::<Result<_, Failure>>()?;
        Ok(Self {
            config,
            input: chunks.concat(),
            chunks,
            is_end_of_input: vector.flag("eof")?,
            events,
            error,
            replies,
            state: State::parse(expect.text("state")?)?,
        })
    }

    /// How many bytes the vector feeds.
    pub(super) fn len(&self) -> usize {
        self.input.len()
    }

    pub(super) fn into_input(self) -> (Receiver, Vec<u8>) {
        let receiver = match self.config.role {
            _ if self.config.deflate.is_some() => Receiver::Inflating,
            Role::Client => Receiver::Client,
            Role::Server if self.config.accept_unmasked_frame => Receiver::AcceptingServer,
            Role::Server => Receiver::StrictServer,
        };
        (receiver, self.input)
    }

    /// Runs the vector in every way; the first way that goes wrong is the answer.
    pub(super) fn check(&self, cuts: impl Iterator<Item = usize>) -> Result<(), String> {
        let mut buffer = Vec::with_capacity(self.input.len());
        let named: Vec<usize> = self
            .chunks
            .iter()
            .scan(0, |end, chunk| {
                *end += chunk.len();
                Some(*end)
            })
            .collect();
        self.run(&named, &mut buffer)
            .map_err(|why| format!("in the vector's chunks: {why}"))?;
        let end = self.input.len();
        self.run(&[end], &mut buffer)
            .map_err(|why| format!("whole: {why}"))?;
        for cut in cuts {
            self.run(&[cut, end], &mut buffer)
                .map_err(|why| format!("cut after {cut} bytes: {why}"))?;
        }
        let single: Vec<usize> = (1..=end).collect();
        self.run(&single, &mut buffer)
            .map_err(|why| format!("byte by byte: {why}"))
    }

    /// Feeds the input in pieces that end at `ends` and checks after each of them.
    fn run(&self, ends: &[usize], buffer: &mut Vec<u8>) -> Result<(), String> {
        let mut endpoint = Endpoint::new(&self.config);
        let mut run = Run {
            vector: self,
            fed: 0,
            next_event: 0,
            error: None,
        };
        for &end in ends {
            buffer.clear();
            buffer.extend_from_slice(&self.input[run.fed..end]);
            run.fed = end;
            let result = endpoint.feed(buffer, &mut |seen| run.on_event(&seen));
            run.after(result)?;
        }
        if self.is_end_of_input {
            let result = endpoint.end_of_input();
            run.after_end(result)?;
        }
        run.finish(&endpoint)
    }
}

/// One pass over a vector.
#[derive(Debug)]
struct Run<'v> {
    vector: &'v Inbound,
    fed: usize,
    next_event: usize,
    error: Option<&'static str>,
}

impl Run<'_> {
    fn on_event(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        if let Some(kind) = self.error {
            return Err(format!("an event {seen} after the error {kind}"));
        }
        let Some(expected) = self.vector.events.get(self.next_event) else {
            return Err(format!("an event {seen} that nobody sent"));
        };
        if !expected.event.is(seen) {
            return Err(format!(
                "event {} is {seen} and should be {}",
                self.next_event,
                expected.event.seen()
            ));
        }
        if expected.at > self.fed {
            return Err(format!(
                "{seen} after {} bytes; it cannot be known before {}",
                self.fed, expected.at
            ));
        }
        self.next_event += 1;
        Ok(())
    }

    fn after(&mut self, result: Result<(), Fault>) -> Result<(), String> {
        match result {
            Ok(()) => {}
            Err(Fault::Check(why)) => return Err(why),
            Err(Fault::Protocol { kind, code }) => {
                let Some(expected) = &self.vector.error else {
                    return Err(format!("error {kind} where none is due"));
                };
                if !expected.is(kind) {
                    return Err(format!("error {kind}, not one of {:?}", expected.kinds));
                }
                if self.fed < expected.at {
                    return Err(format!(
                        "error {kind} after {} bytes; it cannot be known before {}",
                        self.fed, expected.at
                    ));
                }
                if !code.is_some_and(|code| expected.codes.contains(&code)) {
                    return Err(format!(
                        "error {kind} has Close code {code:?}, not one of {:?}",
                        expected.codes
                    ));
                }
                if self.error.is_none() {
                    self.error = Some(kind);
                }
            }
        }
        if let Some(late) = self.vector.events.get(self.next_event)
            && late.at <= self.fed
        {
            return Err(format!(
                "{} was not delivered after {} bytes and was known after {}",
                late.event.seen(),
                self.fed,
                late.at
            ));
        }
        if let Some(expected) = &self.vector.error
            && self.error.is_none()
            && !expected.is(LOST)
            && expected.by.is_some_and(|by| by <= self.fed)
        {
            return Err(format!(
                "no error after {} bytes; {:?} is due by {:?}",
                self.fed, expected.kinds, expected.by
            ));
        }
        Ok(())
    }

    fn after_end(&mut self, result: Result<(), Fault>) -> Result<(), String> {
        let lost = match result {
            Ok(()) => false,
            Err(Fault::Check(why)) => return Err(why),
            Err(Fault::Protocol { kind, code }) => {
                if kind != LOST {
                    return Err(format!("end of input gives {kind}"));
                }
                if code.is_some() {
                    return Err(format!("{LOST} has a Close code to send: {code:?}"));
                }
                true
            }
        };
        let expected = match &self.vector.error {
            None => false,
            Some(expected) if expected.is(LOST) => true,
            // The input ended before the error was due: either is right.
            Some(expected) if expected.by.is_none() && self.error.is_none() => return Ok(()),
            Some(_) => false,
        };
        match (lost, expected) {
            (true, false) => Err(format!("{LOST} at the end of input where none is due")),
            (false, true) => Err(format!("end of input is not reported as {LOST}")),
            (true, true) => {
                self.error = Some(LOST);
                Ok(())
            }
            (false, false) => Ok(()),
        }
    }

    fn finish(&self, endpoint: &Endpoint) -> Result<(), String> {
        if let Some(missing) = self.vector.events.get(self.next_event) {
            return Err(format!("{} never came", missing.event.seen()));
        }
        let must_fail = self
            .vector
            .error
            .as_ref()
            .is_some_and(|expected| expected.by.is_some());
        if must_fail && self.error.is_none() {
            return Err("no error at all".to_owned());
        }
        check_replies(self.vector, &endpoint.sent()?)?;
        let state = endpoint.state();
        if self.vector.error.is_some() && self.error.is_none() {
            // The error was not due within the input, so neither is its state.
            return Ok(());
        }
        if state != self.vector.state {
            return Err(format!(
                "ends in state {state:?}, not {:?}",
                self.vector.state
            ));
        }
        Ok(())
    }
}

fn check_replies(vector: &Inbound, sent: &[Sent]) -> Result<(), String> {
    let mut sent = sent.iter().peekable();
    for reply in &vector.replies {
        match sent.peek() {
            Some(frame) if reply.frame.is(frame, vector.error.as_ref()) => {
                sent.next();
            }
            _ if reply.is_optional => {}
            Some(frame) => return Err(format!("replies {frame} and should {}", reply.frame)),
            None => return Err(format!("does not reply {}", reply.frame)),
        }
    }
    match sent.next() {
        Some(frame) => Err(format!("replies {frame} to nothing")),
        None => Ok(()),
    }
}

impl Event {
    fn parse(event: Object<'_>) -> Result<Self, Failure> {
        Ok(match event.text("type")? {
            "text" => Self::Text(event.bytes("data")?),
            "binary" => Self::Binary(event.bytes("data")?),
            "ping" => Self::Ping(event.bytes("data")?),
            "pong" => Self::Pong(event.bytes("data")?),
            "close" => Self::Close {
                code: event
                    .code("code")?
                    .ok_or_else(|| event.wrong("code", "a number"))?,
                reason: event.bytes("reason")?,
            },
            _ => return Err(event.wrong("type", "text, binary, ping, pong or close")),
        })
    }

    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Text(data) => Seen::Text(data),
            Self::Binary(data) => Seen::Binary(data),
            Self::Ping(data) => Seen::Ping(data),
            Self::Pong(data) => Seen::Pong(data),
            Self::Close { code, reason } => Seen::Close {
                code: *code,
                reason,
            },
        }
    }

    fn is(&self, seen: &Seen<'_>) -> bool {
        self.seen() == *seen
    }
}

impl ExpectedError {
    fn parse(error: Object<'_>) -> Result<Self, Failure> {
        Ok(Self {
            kinds: error.strings("kinds")?,
            codes: error
                .list("codes")?
                .iter()
                .map(|code| {
                    code.as_u64()
                        .and_then(|code| u16::try_from(code).ok())
                        .ok_or_else(|| error.wrong("codes", "a list of Close codes"))
                })
                .collect::<Result<_, _>>()?,
            at: error.size("at")?,
            by: error.get("by").map(|_| error.size("by")).transpose()?,
        })
    }

    fn is(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == kind)
    }
}

impl ExpectedReply {
    fn parse(reply: Object<'_>) -> Result<Self, Failure> {
        let frame = match reply.text("type")? {
            "pong" => ReplyFrame::Pong(reply.bytes("data")?),
            "close" => ReplyFrame::Close(reply.code("code")?),
            _ => return Err(reply.wrong("type", "pong or close")),
        };
        Ok(Self {
            frame,
            is_optional: reply.flag("optional")?,
        })
    }
}

impl ReplyFrame {
    /// Whether `sent` is this reply; a Close that tells an error may carry any of its codes.
    fn is(&self, sent: &Sent, error: Option<&ExpectedError>) -> bool {
        match self {
            Self::Pong(data) => sent.opcode == 10 && sent.payload == *data,
            Self::Close(None) => sent.opcode == 8 && sent.payload.is_empty(),
            Self::Close(Some(code)) => {
                let sent_code = sent
                    .payload
                    .first_chunk()
                    .map(|bytes| u16::from_be_bytes(*bytes));
                sent.opcode == 8
                    && sent_code.is_some_and(|sent_code| {
                        sent_code == *code
                            || error.is_some_and(|error| error.codes.contains(&sent_code))
                    })
            }
        }
    }
}

impl std::fmt::Display for ReplyFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pong(data) => write!(f, "Pong {}", show(data)),
            Self::Close(code) => write!(f, "Close {code:?}"),
        }
    }
}

/// The error of an input that ends without a Close; local only, it has no Close code to send.
const LOST: &str = "connection_lost";
