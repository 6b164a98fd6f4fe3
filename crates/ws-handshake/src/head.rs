//! A message head: collected over any number of reads, cut off exactly where it ends.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    error::HandshakeError,
    headers::{Escaped, position},
};

/// How large a message head may be.
///
/// The defaults have room for the cookies of single sign-on, for Kerberos tickets and for what
/// proxies add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the start line to the empty line, both included. 32,768 by default.
    ///
    /// Empty lines before a request count too. The interim replies (1xx) before a reply have as
    /// many again.
    pub max_head: usize,
    /// Field lines. 128 by default.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_head: 32 * 1024,
            max_headers: 128,
        }
    }
}

/// Collects one message head from the reads of a transport.
///
/// - A head that comes whole in one read is lent from that read: no copy, no allocation.
/// - A head that is split is copied, and never more than [`HeadLimits::max_head`] bytes of it are
///   kept. An idle reader owns no heap.
/// - Each byte is looked at once, however small the reads are.
/// - What follows the head is left alone: [`Head::consumed`] says how many bytes of the last read
///   belong to the head.
///
/// ```
/// use ws_handshake::{HeadLimits, HeadReader};
///
/// let mut reader = HeadReader::request(HeadLimits::default());
/// assert!(reader.receive(b"GET / HTTP/1.1\r\nHost: ")?.is_none());
///
/// let input = b"example.com\r\n\r\nmore";
/// let head = reader.receive(input)?.expect("the head is complete");
/// assert_eq!(head.as_bytes(), b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
/// assert_eq!(&input[head.consumed()..], b"more");
/// # Ok::<(), ws_handshake::HandshakeError>(())
/// ```
#[derive(Clone)]
pub struct HeadReader {
    limits: HeadLimits,
    scanner: Scanner,
    buffer: Vec<u8>,
    failed: Option<HandshakeError>,
    is_request: bool,
}

impl HeadReader {
    /// Makes a reader for the head of a request. Up to four empty lines before the request line are
    /// skipped.
    #[must_use]
    pub const fn request(limits: HeadLimits) -> Self {
        Self::new(limits, true)
    }

    /// Makes a reader for the head of a reply.
    #[must_use]
    pub const fn reply(limits: HeadLimits) -> Self {
        Self::new(limits, false)
    }

    const fn new(limits: HeadLimits, is_request: bool) -> Self {
        Self {
            limits,
            scanner: Scanner::new(limits.max_head, is_request),
            buffer: Vec::new(),
            failed: None,
            is_request,
        }
    }

    /// Takes the next bytes from the transport.
    ///
    /// `None` means that all of `input` was taken in and the head is not complete yet. After a head
    /// the reader starts afresh. After an error it is of no more use and gives the same error
    /// again.
    ///
    /// # Errors
    ///
    /// Whichever comes first in the order of the bytes, however these are cut into reads:
    ///
    /// - [`HandshakeError::BadLineEnding`] at the first line end that is not CR LF;
    /// - [`HandshakeError::HeadTooLarge`] at the first byte beyond [`HeadLimits::max_head`];
    /// - [`HandshakeError::TooManyEmptyLines`] at the end of the fifth empty line before a request;
    /// - [`HandshakeError::TlsClientHello`] at the second byte of a request, if the peer speaks
    ///   TLS.
    pub fn receive<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Head<'a>>, HandshakeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.scanner.is_done() {
            self.scanner = Scanner::new(self.limits.max_head, self.is_request);
            self.buffer = Vec::new();
        }
        if fault!("head-read-again") {
            let _ = self.scanner.clone().scan(&self.buffer);
            self.scanner.visit(self.buffer.len());
        }
        let Scanned { start, end } = match self.scanner.scan(input) {
            Ok(scanned) => scanned,
            Err(error) => {
                self.buffer = Vec::new();
                self.failed = Some(error);
                return Err(error);
            }
        };
        let max_headers = self.limits.max_headers;
        let Some(end) = end else {
            self.keep(&input[start..]);
            return Ok(None);
        };
        if self.buffer.is_empty() {
            return Ok(Some(Head {
                bytes: &input[start..end],
                consumed: end,
                max_headers,
            }));
        }
        self.keep(&input[start..end]);
        Ok(Some(Head {
            bytes: &self.buffer,
            consumed: end,
            max_headers,
        }))
    }

    /// Whether no byte of a head has come yet, so that the end of the transport is no loss.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.failed.is_none() && (self.scanner.is_done() || self.scanner.is_before_head())
    }

    /// How many bytes a head that is not whole still lacks at least.
    #[cfg(feature = "proxy")]
    pub(crate) const fn lacks(&self) -> usize {
        match self.scanner.state {
            State::Return => 3,
            State::LineEnd => 2,
            State::LastReturn => 1,
            _ => 4,
        }
    }

    /// Bytes of heap that the reader owns now.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            // Doubling keeps one-byte reads linear. INVARIANT: the scanner lets no more than
            // `max_head` bytes pass.
            let capacity = needed
                .max(self.buffer.capacity() * 2)
                .min(self.limits.max_head)
                .max(needed);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }
}

impl fmt::Debug for HeadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader")
            .field("limits", &self.limits)
            .field("received", &self.scanner.length)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// One complete message head, with CR LF at the end of every line and at the end.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    bytes: &'a [u8],
    consumed: usize,
    max_headers: usize,
}

impl<'a> Head<'a> {
    /// The head from the start line to the empty line, both included.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes of the input given last belong to the head, and to empty lines skipped before
    /// it.
    ///
    /// What follows is the peer's first frame, or its next message.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        //= RFC9112-6.3-1
        self.consumed
    }

    pub(crate) const fn max_headers(&self) -> usize {
        self.max_headers
    }

    /// The start line, and the block of field lines with the CR LF of each.
    pub(crate) fn split(bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let block = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let end = position(block, |byte| byte == b'\n').map_or(block.len(), |at| at + 1);
        let (line, fields) = block.split_at(end);
        (line.strip_suffix(b"\r\n").unwrap_or(line), fields)
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("bytes", &Escaped(self.bytes))
            .field("consumed", &self.consumed)
            .finish()
    }
}

/// Finds the end of a head without looking at any byte twice.
#[derive(Clone)]
pub(crate) struct Scanner {
    state: State,
    /// Bytes so far, with what comes before the head.
    length: usize,
    /// Bytes that came before the head.
    before: usize,
    max_head: usize,
    /// The first byte of a request.
    first: u8,
    is_request: bool,
    #[cfg(test)]
    visited: usize,
}

/// Where in one input the head starts, and where it ends if it does.
pub(crate) struct Scanned {
    pub(crate) start: usize,
    pub(crate) end: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the request line.
    Leading,
    /// After a CR before the request line.
    LeadingReturn,
    /// In a line.
    Line,
    /// After the CR of a line.
    Return,
    /// After CR LF.
    LineEnd,
    /// After CR LF CR.
    LastReturn,
    /// After CR LF CR LF.
    Done,
}

impl Scanner {
    pub(crate) const fn new(max_head: usize, is_request: bool) -> Self {
        Self {
            state: if is_request {
                State::Leading
            } else {
                State::Line
            },
            length: 0,
            before: 0,
            max_head,
            first: 0,
            is_request,
            #[cfg(test)]
            visited: 0,
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether no byte of the head has come.
    const fn is_before_head(&self) -> bool {
        match self.state {
            State::Leading | State::LeadingReturn => true,
            _ => self.length == self.before,
        }
    }

    pub(crate) fn scan(&mut self, input: &[u8]) -> Result<Scanned, HandshakeError> {
        if self.is_request && self.length < 2 {
            self.refuse_tls(input)?;
        }
        let mut at = self.skip_empty_lines(input)?;
        let start = at;
        while at < input.len() {
            at += self.pass_text(&input[at..])?;
            let Some(&byte) = input.get(at) else { break };
            self.step(byte)?;
            at += 1;
            if self.is_done() {
                return Ok(Scanned {
                    start,
                    end: Some(at),
                });
            }
        }
        Ok(Scanned { start, end: None })
    }

    /// Finds the start of a TLS record, which no request starts with: the type `handshake` and the
    /// version's first byte (RFC 8446 section 5.1).
    fn refuse_tls(&mut self, input: &[u8]) -> Result<(), HandshakeError> {
        let mut input = input.iter().copied();
        if self.length == 0 {
            self.first = input.next().unwrap_or_default();
        }
        if self.first == 0x16 && input.next() == Some(0x03) {
            return Err(HandshakeError::TlsClientHello);
        }
        Ok(())
    }

    /// Skips CR LFs before a request line; they are not kept.
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        //= RFC9112-2.2-1
        let mut at = 0;
        while let (State::Leading | State::LeadingReturn, Some(&byte)) = (self.state, input.get(at))
        {
            self.state = match (self.state, byte) {
                (State::Leading, b'\r') => State::LeadingReturn,
                (State::Leading, b'\n') => return Err(HandshakeError::BadLineEnding),
                (State::Leading, _) => {
                    self.state = State::Line;
                    return Ok(at);
                }
                (_, b'\n') => State::Leading,
                _ => return Err(HandshakeError::BadLineEnding),
            };
            at += 1;
            self.visit(1);
            self.count(1)?;
            self.before = self.length;
            if self.before > 2 * MAX_EMPTY_LINES + 1 {
                return Err(HandshakeError::TooManyEmptyLines {
                    limit: MAX_EMPTY_LINES,
                });
            }
        }
        Ok(at)
    }

    /// Passes over bytes inside a line, up to the next CR or LF.
    fn pass_text(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        if self.state != State::Line {
            return Ok(0);
        }
        // One byte beyond the limit is enough to know that it is broken.
        let room = self.max_head - self.length;
        let window = &input[..input.len().min(room.saturating_add(1))];
        let text = position(window, |byte| byte == b'\r' || byte == b'\n').unwrap_or(window.len());
        self.visit(text);
        self.count(text)?;
        Ok(text)
    }

    fn step(&mut self, byte: u8) -> Result<(), HandshakeError> {
        //= RFC9112-2.2-2
        self.state = match (self.state, byte) {
            (State::Return, b'\n') => State::LineEnd,
            (State::LastReturn, b'\n') => State::Done,
            (State::Return | State::LastReturn, _) | (_, b'\n') => {
                return Err(HandshakeError::BadLineEnding);
            }
            (State::LineEnd, b'\r') => State::LastReturn,
            (_, b'\r') => State::Return,
            _ => State::Line,
        };
        self.visit(1);
        self.count(1)
    }

    fn count(&mut self, bytes: usize) -> Result<(), HandshakeError> {
        //= RFC9110-5.4-1
        if fault!("head-unlimited") {
            self.length = self.max_head.min(self.length + bytes);
            return Ok(());
        }
        if bytes > self.max_head - self.length {
            return Err(HandshakeError::HeadTooLarge {
                limit: self.max_head,
            });
        }
        self.length += bytes;
        Ok(())
    }

    #[cfg(test)]
    const fn visit(&mut self, bytes: usize) {
        self.visited += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::needless_pass_by_ref_mut, reason = "counts only in tests")]
    const fn visit(&mut self, _bytes: usize) {}
}

/// Empty lines before a request: one is what some clients write behind a body (RFC 9112 section
/// 2.2).
const MAX_EMPTY_LINES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_looked_at_once_however_small_the_reads() {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for _ in 0..200 {
            head.extend_from_slice(b"X: some value\r\n");
        }
        head.extend_from_slice(b"\r\n");
        for size in [1, 2, 3, 7, 64, 4096] {
            let mut reader = HeadReader::request(HeadLimits::default());
            let whole = head
                .chunks(size)
                .any(|piece| reader.receive(piece).expect("sound").is_some());
            assert!(whole);
            assert_eq!(reader.scanner.visited, head.len(), "reads of {size}");
        }
    }

    #[test]
    fn one_byte_reads_copy_each_byte_a_bounded_number_of_times() {
        let mut reader = HeadReader::request(HeadLimits {
            max_head: 1 << 20,
            max_headers: 100,
        });
        let mut moved = 0;
        for _ in 0..(1 << 20) {
            let before = reader.heap_bytes();
            assert!(reader.receive(b"a").expect("within the limit").is_none());
            moved += if reader.heap_bytes() == before {
                1
            } else {
                reader.buffer.len()
            };
        }
        assert!(moved <= 4 << 20, "{moved}");
        assert!(reader.heap_bytes() <= 1 << 20);
    }

    /// Finds the head of a request by searching the whole input: where it starts and ends, or the
    /// kind of error.
    fn naive(input: &[u8], max_head: usize) -> Result<Option<(usize, usize)>, &'static str> {
        let mut start = 0;
        while input[start..].starts_with(b"\r\n") {
            start += 2;
        }
        let body = &input[start..];
        let end = body
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| at + 4);
        let head = &body[..end.unwrap_or(body.len())];
        let is_bare = |at: usize| match head[at] {
            b'\n' => at == 0 || head[at - 1] != b'\r',
            b'\r' => head.get(at + 1).is_some_and(|&next| next != b'\n'),
            _ => false,
        };
        // A bare CR is known to be one when the next byte is seen.
        let bare = (0..head.len())
            .find(|&at| is_bare(at))
            .map(|at| start + at + usize::from(head[at] == b'\r'));
        match bare {
            Some(at) if at <= max_head => Err("bad_line_ending"),
            _ if start + head.len() > max_head => Err("head_too_large"),
            _ => Ok(end.map(|end| (start, start + end))),
        }
    }

    #[test]
    fn the_scanner_finds_what_a_search_of_the_whole_input_finds() {
        const LENGTH: u32 = 9;
        for case in 0..3_usize.pow(LENGTH) {
            let input: Vec<u8> = (0..LENGTH)
                .map(|place| b"\r\na"[case / 3_usize.pow(place) % 3])
                .collect();
            for max_head in [2, 4, 6, 100] {
                let expected = naive(&input, max_head);
                let scan = |size: usize| {
                    let mut scanner = Scanner::new(max_head, true);
                    let mut passed = 0;
                    for piece in input.chunks(size) {
                        match scanner.scan(piece) {
                            Ok(Scanned { end: Some(end), .. }) => {
                                return Ok(Some((scanner.before, passed + end)));
                            }
                            Ok(_) => passed += piece.len(),
                            Err(error) => return Err(error.kind()),
                        }
                    }
                    Ok(None)
                };
                for size in [1, 2, 5, input.len()] {
                    assert_eq!(
                        scan(size),
                        expected,
                        "{} {max_head} {size}",
                        input.escape_ascii()
                    );
                }
            }
        }
    }

    #[test]
    fn a_head_is_cut_into_its_lines() {
        assert_eq!(Head::split(b"a\r\nb\r\n\r\n"), (&b"a"[..], &b"b\r\n"[..]));
        assert_eq!(Head::split(b"a\r\n\r\n"), (&b"a"[..], &b""[..]));
        assert_eq!(Head::split(b"\r\n\r\n"), (&b""[..], &b""[..]));
    }
}
