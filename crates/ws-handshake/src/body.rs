//! The body of a reply other than 101: where it ends, and as much of it as is wanted.

use alloc::vec::Vec;

use crate::headers::{Headers, elements};

/// Collects a body up to a limit (RFC 9112 sections 6.3 and 7.1).
#[derive(Clone)]
pub(crate) struct Body {
    framing: Framing,
    max_body: usize,
    /// Bytes that chunk sizes, extensions and trailers may still take.
    overhead: usize,
}

/// How far the collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collected {
    Partly,
    Wholly,
    /// There is more that is not wanted, or what follows makes no sense.
    Truncated,
}

#[derive(Clone, Copy)]
enum Framing {
    Nothing,
    /// So many bytes more.
    Length(u64),
    UntilEof,
    Chunked(Chunked),
    /// The end cannot be known.
    Malformed,
}

#[derive(Clone, Copy)]
enum Chunked {
    /// In the hexadecimal size, of which there is a digit or not.
    Size {
        size: u64,
        any: bool,
    },
    /// After the size, up to the CR.
    Extension {
        size: u64,
    },
    /// After that CR.
    SizeReturn {
        size: u64,
    },
    Data {
        rest: u64,
    },
    /// After the data, before its CR.
    DataEnd,
    DataReturn,
    /// At the start of a line after the last chunk.
    Trailer,
    TrailerLine,
    TrailerReturn,
    LastReturn,
    Done,
}

impl Body {
    pub(crate) fn of_reply(status: u16, headers: &Headers, max_body: usize) -> Self {
        let framing = if matches!(status, 204 | 304) {
            Framing::Nothing
        } else if let Some(codings) = headers.get_all("Transfer-Encoding").last() {
            match elements(codings).last() {
                Some(last) if last.eq_ignore_ascii_case(b"chunked") => {
                    Framing::Chunked(Chunked::Size {
                        size: 0,
                        any: false,
                    })
                }
                _ => Framing::UntilEof,
            }
        } else {
            content_length(headers)
        };
        Self {
            framing,
            max_body,
            overhead: max_body.saturating_add(CHUNK_OVERHEAD),
        }
    }

    /// Whether the end of the transport is the end of the body.
    pub(crate) const fn ends_at_eof(&self) -> bool {
        matches!(self.framing, Framing::UntilEof)
    }

    /// Appends what belongs to the body, and tells how many bytes of the input that took.
    pub(crate) fn receive(&mut self, input: &[u8], body: &mut Vec<u8>) -> (usize, Collected) {
        match &mut self.framing {
            Framing::Nothing => (0, Collected::Wholly),
            Framing::Malformed => (0, Collected::Truncated),
            Framing::UntilEof => store(input, self.max_body, body),
            Framing::Chunked(_) => self.receive_chunked(input, body),
            Framing::Length(rest) => {
                let part = &input[..limit(input.len(), *rest)];
                let (taken, collected) = store(part, self.max_body, body);
                *rest -= taken as u64;
                let collected = if *rest == 0 {
                    Collected::Wholly
                } else {
                    collected
                };
                (taken, collected)
            }
        }
    }

    fn receive_chunked(&mut self, input: &[u8], body: &mut Vec<u8>) -> (usize, Collected) {
        let Framing::Chunked(mut state) = self.framing else {
            return (0, Collected::Truncated);
        };
        let mut at = 0;
        while at < input.len() {
            if let Chunked::Data { rest } = state {
                let part = &input[at..at + limit(input.len() - at, rest)];
                let (taken, collected) = store(part, self.max_body, body);
                at += taken;
                let rest = rest - taken as u64;
                state = if rest == 0 {
                    Chunked::DataEnd
                } else {
                    Chunked::Data { rest }
                };
                if collected == Collected::Truncated {
                    return (at, collected);
                }
                continue;
            }
            let Some(next) = state.step(input[at]).filter(|_| self.overhead > 0) else {
                return (at, Collected::Truncated);
            };
            self.overhead -= 1;
            at += 1;
            state = next;
            if matches!(state, Chunked::Done) {
                return (at, Collected::Wholly);
            }
        }
        self.framing = Framing::Chunked(state);
        (
            at,
            if self.max_body == 0 {
                Collected::Truncated
            } else {
                Collected::Partly
            },
        )
    }
}

impl Chunked {
    /// Takes one byte that is not data, `None` if it does not fit.
    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { size, .. }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size {
                    size: size.checked_mul(16)?.checked_add(digit.into())?,
                    any: true,
                }
            }
            (Self::Size { any: false, .. }, _) => return None,
            (Self::Size { size, .. } | Self::Extension { size }, b'\r') => {
                Self::SizeReturn { size }
            }
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Extension { size }, _) if byte != b'\n' => Self::Extension { size },
            (Self::SizeReturn { size: 0 }, b'\n') => Self::Trailer,
            (Self::SizeReturn { size }, b'\n') => Self::Data { rest: size },
            (Self::DataEnd, b'\r') => Self::DataReturn,
            (Self::DataReturn, b'\n') => Self::Size {
                size: 0,
                any: false,
            },
            (Self::Trailer, b'\r') => Self::LastReturn,
            (Self::LastReturn, b'\n') => Self::Done,
            (Self::TrailerLine, b'\r') => Self::TrailerReturn,
            (Self::TrailerReturn, b'\n') => Self::Trailer,
            (Self::Trailer | Self::TrailerLine, _) if byte != b'\n' => Self::TrailerLine,
            _ => return None,
        })
    }
}

/// Reads `Content-Length`, which may be repeated if it says the same (RFC 9110 section 8.6).
fn content_length(headers: &Headers) -> Framing {
    let mut lengths = headers.get_all("Content-Length").map(|value| {
        let digits = str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    });
    match lengths.next() {
        None => Framing::UntilEof,
        Some(Some(length)) if lengths.all(|other| other == Some(length)) => Framing::Length(length),
        Some(_) => Framing::Malformed,
    }
}

/// Appends as much as there is room for.
fn store(part: &[u8], max_body: usize, body: &mut Vec<u8>) -> (usize, Collected) {
    let room = max_body - body.len().min(max_body);
    let taken = part.len().min(room);
    body.extend_from_slice(&part[..taken]);
    // Without any room there is nothing to wait for, even if nothing more has come yet.
    let is_full = taken < part.len() || max_body == 0;
    (
        taken,
        if is_full {
            Collected::Truncated
        } else {
            Collected::Partly
        },
    )
}

fn limit(available: usize, rest: u64) -> usize {
    usize::try_from(rest).map_or(available, |rest| rest.min(available))
}

/// Room for the framing of a chunked body beyond the size of the body itself.
const CHUNK_OVERHEAD: usize = 8 * 1024;
