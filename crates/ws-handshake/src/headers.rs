//! Header fields: what a name, a value and a list may be, the fields of a reply, and those that we
//! write.

use alloc::vec::Vec;
use core::fmt;

use crate::error::{HandshakeError, Offered};

/// The header fields of a message, in the order received or to be sent.
///
/// A message of HTTP/2 or HTTP/3 begins with its pseudo-headers, such as `:status`.
///
/// Names are compared without regard to case (RFC 9110 section 5.1). Values are bytes, without the
/// blanks around them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Span>,
}

impl Headers {
    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The values of all fields of that name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        //= RFC6455-4.1-42
        //= RFC9110-5.1-1
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|span| {
            let name = &self.text[span.start..span.colon];
            // INVARIANT: only tokens and pseudo-headers, which are ASCII, are stored as names.
            (
                str::from_utf8(name).unwrap_or_default(),
                &self.text[span.colon..span.end],
            )
        })
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Reads the field lines of a reply's head, each ended by CR LF.
    ///
    /// Folded lines are unfolded as RFC 9112 section 5.2 tells a user agent to.
    pub(crate) fn parse_reply(block: &[u8], max_headers: usize) -> Result<Self, HandshakeError> {
        let mut headers = Self::default();
        for (index, line) in lines(block).enumerate() {
            if index == max_headers && !fault!("headers-unlimited") {
                return Err(HandshakeError::TooManyHeaders { limit: max_headers });
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                headers.unfold(line)?;
            } else {
                let (name, value) = parse_field(line)?;
                headers.push(name, value);
            }
        }
        Ok(headers)
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        let colon = self.text.len();
        self.text.extend_from_slice(value);
        self.fields.push(Span {
            start,
            colon,
            end: self.text.len(),
        });
    }

    /// Adds a field with its name in lower case, as HTTP/2 and HTTP/3 have it.
    pub(crate) fn push_lower(&mut self, name: &[u8], value: &[u8]) {
        self.push(&name.to_ascii_lowercase(), value);
    }

    /// Adds fields that were checked when they were given.
    pub(crate) fn push_block(&mut self, block: &FieldBlock) {
        for (name, value) in block.iter() {
            self.push_lower(name, value);
        }
    }

    /// Adds a field whose value is something that is shown as text.
    pub(crate) fn push_shown(&mut self, name: &str, value: &impl fmt::Display) {
        let mut text = Vec::new();
        append(&mut text, value);
        self.push(name.as_bytes(), &text);
    }

    fn unfold(&mut self, line: &[u8]) -> Result<(), HandshakeError> {
        //= RFC9112-2.2-3
        let Some(last) = self.fields.last_mut() else {
            return Err(HandshakeError::BadHeader {
                offered: Offered::new(line),
            });
        };
        // NUL is replaced here as RFC 9110 section 5.5 allows; other control characters cannot pass
        // for anything that the handshake looks for, and the value that holds them is never
        // sent on.
        //= RFC9110-5.5-1
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0);
        let Some(start) = line.iter().position(|byte| !is_blank(byte)) else {
            return Ok(());
        };
        let end = line
            .iter()
            .rposition(|byte| !is_blank(byte))
            .unwrap_or(start);
        // What the value begins and ends with is no part of it.
        //= RFC9112-5.2-2
        if last.end > last.colon {
            self.text.push(b' ');
        }
        let more = line[start..=end].iter();
        self.text
            .extend(more.map(|&byte| if byte == 0 { b' ' } else { byte }));
        last.end = self.text.len();
        Ok(())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, Escaped(value))))
            .finish()
    }
}

/// Shows bytes as text with escapes.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Where one field lies in the text: the name, then the value, without anything between.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    colon: usize,
    end: usize,
}

/// Why a header field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110 section 5.1).
    #[error("header name is not a token: \"{offered}\"")]
    BadName {
        /// The start of the name.
        offered: Offered,
    },
    /// The value holds a control character, which could end the line and smuggle in another field
    /// (RFC 9110 section 5.5).
    #[error("value of header \"{name}\" holds a control character")]
    BadValue {
        /// The start of the name.
        name: Offered,
    },
    /// The handshake writes this header itself.
    #[error("header \"{name}\" is written by the handshake itself")]
    Reserved {
        /// The start of the name.
        name: Offered,
    },
}

impl HeaderError {
    /// The rule's name in snake case, the same for all variants.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        "bad_header"
    }
}

/// Field lines that we write, each checked when it is added.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldBlock(Vec<u8>);

impl FieldBlock {
    /// Adds a field that the user chose.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        //= RFC6455-4.1-16
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::BadName {
                offered: Offered::new(name.as_bytes()),
            });
        }
        if is_reserved(name) {
            return Err(HeaderError::Reserved {
                name: Offered::new(name.as_bytes()),
            });
        }
        if !is_value(value) {
            return Err(HeaderError::BadValue {
                name: Offered::new(name.as_bytes()),
            });
        }
        self.push_own(name, trim(value));
        Ok(())
    }

    /// Adds a field of the handshake's own.
    pub(crate) fn push_own(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.iter()
            .any(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.0).filter_map(|line| parse_field(line).ok())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FieldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(name, value)| (Escaped(name), Escaped(value))),
            )
            .finish()
    }
}

/// Whether the handshake, not its user, decides about a header.
fn is_reserved(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "Host",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
    ];
    const PREFIX: &str = "Sec-WebSocket-";
    NAMES
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Cuts a block of lines at its CR LFs.
///
/// INVARIANT: the block was scanned, so that a line feed only ever ends a CR LF.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    core::iter::from_fn(move || {
        let end = match position(rest, |byte| byte == b'\n') {
            Some(feed) => feed + 1,
            None if rest.is_empty() => return None,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line.strip_suffix(b"\r\n").unwrap_or(line))
    })
}

/// Finds the first byte that is looked for; in steps of as many bytes as the
/// compiler compares at once.
#[inline]
pub(crate) fn position(bytes: &[u8], is_it: impl Fn(u8) -> bool) -> Option<usize> {
    let is_in = |step: &[u8; 16]| step.iter().fold(false, |found, &byte| found | is_it(byte));
    let steps = bytes.as_chunks().0;
    let passed = 16 * steps.iter().take_while(|step| !is_in(step)).count();
    let found = bytes[passed..].iter().position(|&byte| is_it(byte))?;
    Some(passed + found)
}

/// Reads `name ":" OWS value OWS` (RFC 9112 section 5).
pub(crate) fn parse_field(line: &[u8]) -> Result<(&[u8], &[u8]), HandshakeError> {
    //= RFC9112-5-1
    let name_len = line.iter().take_while(|byte| is_token_byte(**byte)).count();
    //= RFC9110-5.1-1
    //= RFC9112-5.1-1
    //= RFC9112-2.2-3
    //= RFC9112-2.2-4
    if let (name @ [_, ..], [b':', value @ ..]) = line.split_at(name_len) {
        let value = trim(value);
        if is_value(value) {
            return Ok((name, value));
        }
    }
    // What follows the colon may be a secret.
    let shown = line.split(|&byte| byte == b':').next().unwrap_or_default();
    Err(HandshakeError::BadHeader {
        offered: Offered::new(shown),
    })
}

/// The elements of a comma-separated list, without the blanks around them and without the empty
/// ones.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    //= RFC9110-5.6.1-1
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Whether a comma-separated list has that element, ASCII letters compared without regard to case.
pub(crate) fn has_element(value: &[u8], element: &str) -> bool {
    //= RFC6455-2.1-2
    //= RFC9110-7.6.1-1
    elements(value).any(|candidate| candidate.eq_ignore_ascii_case(element.as_bytes()))
}

/// Takes spaces and tabs, the OWS of RFC 9110 section 5.6.3, from both ends.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether the bytes are a token: one or more `tchar` (RFC 9110 section 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    //= RFC9110-5.6.2-1
    TOKEN_BYTES[byte as usize]
}

/// Whether the bytes may be a field value or a reason: no control character but the tab (RFC 9110
/// section 5.5).
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    //= RFC9110-5.5-1
    // All of them are looked at, many at once: a first bad one is rare.
    let is_bad = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    !bytes.iter().fold(false, |bad, &byte| bad | is_bad(byte)) || fault!("headers-injected")
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Writes something that is shown as text.
pub(crate) fn append(out: &mut Vec<u8>, text: &impl fmt::Display) {
    struct Sink<'a>(&'a mut Vec<u8>);

    impl fmt::Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }

    let written = fmt::Write::write_fmt(&mut Sink(out), format_args!("{text}"));
    debug_assert!(written.is_ok(), "the sink takes everything");
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_token_is_made_of_tchars() {
        //= RFC9110-5.6.2-1
        let tchars = (0..=255_u8).filter(|&byte| is_token_byte(byte)).count();
        assert_eq!(tchars, 26 + 26 + 10 + 15);
        assert!(is_token(b"!#$%&'*+-.^_`|~09azAZ"));
        for bytes in [&b""[..], b"a b", b"a/b", b"a,", b"\xe9", b"\0"] {
            assert!(!is_token(bytes));
        }
    }

    #[test]
    fn empty_list_elements_are_passed_over() {
        //= RFC9110-5.6.1-1
        let found: Vec<_> = elements(b", chat,,\t b ,").collect();
        assert_eq!(found, [&b"chat"[..], b"b"]);
        assert_eq!(elements(b" ,\t,").count(), 0);
        assert_eq!(elements(&[b','; 100_000]).count(), 0);
    }

    #[test]
    fn list_elements_are_compared_whole_and_only_ascii_letters_fold() {
        //= RFC9110-7.6.1-1
        //= RFC6455-2.1-2
        assert!(has_element(b"keep-alive , UPGRADE", "upgrade"));
        assert!(!has_element(b"upgraded", "upgrade"));
        assert!(!has_element("websoc\u{212a}et".as_bytes(), "websocket"));
    }

    #[test]
    fn headers_are_found_without_regard_to_case_and_in_order() {
        //= RFC9110-5.1-1
        //= RFC6455-4.1-42
        let headers = Headers::parse_reply(b"A: 1\r\nb:2\r\na:\t3 \r\n", 100).expect("sound");
        assert_eq!(headers.get("B"), Some(&b"2"[..]));
        assert_eq!(headers.get_all("A").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(format!("{headers:?}"), r#"{"A": "1", "b": "2", "a": "3"}"#);
        assert!(!headers.is_empty());
    }
}
