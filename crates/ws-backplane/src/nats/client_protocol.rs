//! The client protocol of NATS: control lines, messages, and their headers.
//!
//! Each control line is at most 64 KiB long, and each message 64 MiB.

use crate::EngineError;

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// `INFO`: the server describes itself, in JSON.
    Info(&'a [u8]),
    /// `MSG` or `HMSG`: a message of a subscription.
    Message(Message<'a>),
    /// `PING`, which is to be answered.
    Ping,
    /// `PONG`, the answer to a `PING`.
    Pong,
    /// `+OK`, which a server sends in its verbose mode.
    Ok,
    /// `-ERR`, with the words of the server without their quotes.
    Error(&'a [u8]),
}

/// A message of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The subject that it was published to.
    pub subject: &'a str,
    /// The number of the subscription.
    pub subscription: u64,
    /// Where an answer goes.
    pub reply: Option<&'a str>,
    /// The headers, in their block.
    pub headers: Headers<'a>,
    /// What was published.
    pub payload: &'a [u8],
}

/// The block of headers of a message; empty without headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

/// Bytes of a control line at most. Control lines of a server are short, but
/// for `INFO` of a large cluster.
const MAX_LINE: usize = 64 << 10;
/// Bytes of headers and payload at most: what a server may be set up to take.
pub const MAX_MESSAGE: usize = 64 << 20;
const VERSION: &[u8] = b"NATS/1.0";

/// Parses the first operation in `input`, if it is whole there. Returns it and
/// its length.
///
/// # Errors
///
/// When `input` is not the protocol, or an operation is longer than a limit.
pub fn parse(input: &[u8]) -> Result<Option<(Operation<'_>, usize)>, EngineError> {
    let Some(line) = line(input)? else {
        return Ok(None);
    };
    let length = line.len() + 2;
    let end = line.iter().position(|byte| is_space(*byte));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let operation = if is("MSG") || is("HMSG") {
        return message(rest, is("HMSG"), &input[length..]).map(|found| {
            found.map(|(message, more)| (Operation::Message(message), length + more))
        });
    } else if is("PING") {
        Operation::Ping
    } else if is("PONG") {
        Operation::Pong
    } else if is("INFO") {
        Operation::Info(rest.trim_ascii())
    } else if is("+OK") {
        Operation::Ok
    } else if is("-ERR") {
        let words = rest.trim_ascii();
        let unquoted = words
            .strip_prefix(b"'")
            .and_then(|words| words.strip_suffix(b"'"));
        Operation::Error(unquoted.unwrap_or(words))
    } else {
        return Err(NOT_NATS);
    };
    Ok(Some((operation, length)))
}

/// The arguments of `MSG` are `SUBJECT SID [REPLY] BYTES`; those of `HMSG`
/// have the bytes of the headers before the bytes of all.
fn message<'a>(
    arguments: &'a [u8],
    has_headers: bool,
    behind: &'a [u8],
) -> Result<Option<(Message<'a>, usize)>, EngineError> {
    let mut words = [&[][..]; 5];
    let mut count = 0;
    for word in arguments.split(|byte| is_space(*byte)) {
        if !word.is_empty() {
            *words.get_mut(count).ok_or(NOT_NATS)? = word;
            count += 1;
        }
    }
    let sizes = 1 + usize::from(has_headers);
    let Some(named) = count
        .checked_sub(sizes)
        .filter(|named| matches!(named, 2 | 3))
    else {
        return Err(NOT_NATS);
    };
    let reply = (named == 3).then(|| text(words[2])).transpose()?;
    let total = number(words[count - 1])?;
    let head = match has_headers {
        true => number(words[named])?,
        false => 0,
    };
    if total > MAX_MESSAGE as u64 {
        return Err(EngineError::Protocol("a message that is too long"));
    }
    if head > total {
        return Err(EngineError::Protocol(
            "headers that are longer than their message",
        ));
    }
    let (head, total) = (head as usize, total as usize);
    if behind.len() < total + 2 {
        return Ok(None);
    }
    if &behind[total..total + 2] != b"\r\n" {
        return Err(EngineError::Protocol("a message that does not end"));
    }
    let headers = Headers(&behind[..head]);
    if has_headers && !headers.is_whole() {
        return Err(EngineError::Protocol("headers that do not end"));
    }
    let message = Message {
        subject: text(words[0])?,
        subscription: number(words[1])?,
        reply,
        headers,
        payload: &behind[head..total],
    };
    Ok(Some((message, total + 2)))
}

impl<'a> Headers<'a> {
    fn is_whole(self) -> bool {
        self.0.starts_with(VERSION) && self.0.ends_with(b"\r\n\r\n")
    }

    /// The status in the first line: 503 when nobody listens to a subject that
    /// was asked, 404 when there is no such message.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        let line = self.0.strip_prefix(VERSION)?;
        let line = line.split(|byte| *byte == b'\r').next()?.trim_ascii();
        std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
    }

    /// The value of the first header of this name. Names are told apart by
    /// their case, as servers do it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in their order. What is not UTF-8 is left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.0.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(|line| {
            let line = std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?;
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim()))
        })
    }
}

/// The first line, without its end.
fn line(input: &[u8]) -> Result<Option<&[u8]>, EngineError> {
    let end = input.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
    match end {
        Some(end) => match input[..end].strip_suffix(b"\r") {
            Some(line) if !line.contains(&b'\r') => Ok(Some(line)),
            _ => Err(NOT_NATS),
        },
        None if input.len() < MAX_LINE => Ok(None),
        None => Err(EngineError::Protocol("a line that does not end")),
    }
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn text(word: &[u8]) -> Result<&str, EngineError> {
    std::str::from_utf8(word).map_err(|_| NOT_NATS)
}

fn number(digits: &[u8]) -> Result<u64, EngineError> {
    if digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NOT_NATS);
    }
    text(digits)?.parse().map_err(|_| NOT_NATS)
}

const NOT_NATS: EngineError = EngineError::Protocol("it is not the client protocol of NATS");

/// Appends a message to be published, with its headers if it has any.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    reply: &str,
    headers: &[(&str, &str)],
    payload: &[u8],
) {
    let head = match headers {
        [] => 0,
        _ => headers
            .iter()
            .fold(VERSION.len() + 4, |sum, (name, value)| {
                sum + name.len() + value.len() + 4
            }),
    };
    let total = head + payload.len();
    let line = match headers {
        [] => format!("PUB {subject} {reply} {total}\r\n"),
        _ => format!("HPUB {subject} {reply} {head} {total}\r\n"),
    };
    out.extend_from_slice(line.as_bytes());
    if !headers.is_empty() {
        out.extend_from_slice(VERSION);
        for (name, value) in headers {
            for part in ["\r\n", name, ": ", value] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}
