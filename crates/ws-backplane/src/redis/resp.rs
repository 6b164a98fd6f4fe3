//! RESP3, the protocol of Redis: commands out, replies in.
//!
//! Parsers that begin anew at the first byte whenever a reply is not whole take
//! quadratic time for a long history; this one goes on where it stopped, and
//! has limits.

use crate::EngineError;

/// A reply, whose texts are where they came.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text, simple or bulk.
    Text(&'a [u8]),
    /// An error.
    Error(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A null, a double, a boolean or a big number: none is asked for.
    Other,
    /// An array or a set; the pairs of a map, one after the other.
    Array(Vec<Self>),
    /// What the server sends unasked.
    Push(Vec<Self>),
}

/// Finds the end of a reply that comes in pieces.
#[derive(Debug, Default)]
pub struct Scanner {
    at: usize,
    /// How many values are not whole.
    open: usize,
}

/// Bytes of a reply at most.
pub const MAX_REPLY: usize = 256 << 20;
/// Bytes of a line at most.
const MAX_LINE: usize = 64 << 10;
const MAX_VALUES: usize = 4 << 20;
const MAX_DEPTH: usize = 16;

impl Scanner {
    /// Returns the length of the first reply in `input` if it is whole there.
    /// Otherwise it is called again with the same bytes and more behind them.
    ///
    /// # Errors
    ///
    /// When `input` is not RESP, or a reply is longer than all that is asked
    /// for.
    pub fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, EngineError> {
        if self.at == 0 {
            self.open = 1;
        }
        while self.open > 0 {
            let Some(line) = line(&input[self.at..])? else {
                return Ok(None);
            };
            let after = self.at + line.len() + 2;
            match kind(line)? {
                Kind::Line => self.at = after,
                Kind::Bulk(length) => {
                    let end = after + length + 2;
                    if end > MAX_REPLY {
                        return Err(EngineError::Protocol("a reply that is too long"));
                    }
                    if input.len() < end {
                        return Ok(None);
                    }
                    if &input[end - 2..end] != b"\r\n" {
                        return Err(EngineError::Protocol("a text that does not end"));
                    }
                    self.at = end;
                }
                Kind::Many(values) => {
                    self.open += values;
                    self.at = after;
                }
                // It stands before the value that it is about.
                Kind::Attribute(values) => {
                    self.open += values + 1;
                    self.at = after;
                }
            }
            if self.open > MAX_VALUES {
                return Err(EngineError::Protocol("a reply of too many values"));
            }
            self.open -= 1;
        }
        Ok(Some(std::mem::take(&mut self.at)))
    }
}

/// Parses a reply that [`Scanner::scan`] found whole.
///
/// # Errors
///
/// When it is not RESP, or deeper than all that is asked for.
pub fn parse(mut reply: &[u8]) -> Result<Value<'_>, EngineError> {
    value(&mut reply, MAX_DEPTH)
}

fn value<'a>(rest: &mut &'a [u8], depth: usize) -> Result<Value<'a>, EngineError> {
    let line = line(rest)?.ok_or(CUT_OFF)?;
    *rest = &rest[line.len() + 2..];
    match kind(line)? {
        Kind::Line => scalar(line),
        Kind::Bulk(length) => {
            let text = rest.get(..length).ok_or(CUT_OFF)?;
            *rest = rest.get(length + 2..).ok_or(CUT_OFF)?;
            Ok(match line[0] {
                b'!' => Value::Error(text),
                // Three letters and a colon say which kind of text it is.
                b'=' => Value::Text(text.get(4..).unwrap_or_default()),
                _ => Value::Text(text),
            })
        }
        Kind::Many(_) | Kind::Attribute(_) if depth == 0 => {
            Err(EngineError::Protocol("a reply that is too deep"))
        }
        Kind::Attribute(count) => {
            for _ in 0..count {
                value(rest, depth - 1)?;
            }
            value(rest, depth - 1)
        }
        Kind::Many(count) => {
            let mut values = Vec::with_capacity(count.min(rest.len() / 3));
            for _ in 0..count {
                values.push(value(rest, depth - 1)?);
            }
            Ok(match line[0] {
                b'>' => Value::Push(values),
                _ => Value::Array(values),
            })
        }
    }
}

enum Kind {
    /// A value that is the line.
    Line,
    /// A text of this length behind the line.
    Bulk(usize),
    /// So many values behind the line.
    Many(usize),
    Attribute(usize),
}

fn kind(line: &[u8]) -> Result<Kind, EngineError> {
    let (sign, rest) = line.split_first().ok_or(NOT_RESP)?;
    Ok(match sign {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Kind::Line,
        b'$' | b'*' if rest == b"-1" => Kind::Line,
        b'$' | b'!' | b'=' => Kind::Bulk(length(rest)?),
        b'*' | b'~' | b'>' => Kind::Many(length(rest)?),
        b'%' => Kind::Many(length(rest)? * 2),
        b'|' => Kind::Attribute(length(rest)? * 2),
        _ => return Err(NOT_RESP),
    })
}

fn scalar(line: &[u8]) -> Result<Value<'_>, EngineError> {
    let (sign, rest) = line.split_first().ok_or(NOT_RESP)?;
    Ok(match sign {
        b'+' => Value::Text(rest),
        b'-' => Value::Error(rest),
        b':' => {
            let text = std::str::from_utf8(rest).map_err(|_| NOT_RESP)?;
            Value::Integer(text.parse().map_err(|_| NOT_RESP)?)
        }
        _ => Value::Other,
    })
}

/// The first line, without its end.
fn line(input: &[u8]) -> Result<Option<&[u8]>, EngineError> {
    let end = input.iter().take(MAX_LINE).position(|byte| *byte == b'\r');
    match end {
        Some(end) if input.get(end + 1) == Some(&b'\n') => Ok(Some(&input[..end])),
        Some(end) if end + 1 == input.len() => Ok(None),
        None if input.len() < MAX_LINE => Ok(None),
        _ => Err(EngineError::Protocol("a line that does not end")),
    }
}

fn length(digits: &[u8]) -> Result<usize, EngineError> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NOT_RESP);
    }
    Ok(digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

const CUT_OFF: EngineError = EngineError::Protocol("a reply that is cut off");
const NOT_RESP: EngineError = EngineError::Protocol("it is not RESP");

/// Appends a command.
pub(crate) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    begin(out, words.len());
    for word in words {
        argument(out, word);
    }
}

/// Appends the head of a command of so many words.
pub(crate) fn begin(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    number(out, words);
}

pub(crate) fn argument(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    number(out, word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}
