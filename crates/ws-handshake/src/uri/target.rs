//! The path and query of a URI, as a request's target.

use alloc::{borrow::Cow, format, string::String};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::error::UriError;
use crate::error::Offered;

/// Makes the resource name (RFC 6455 section 3): percent-encodes what browsers do, and leaves the
/// rest as it is.
pub(super) fn resource_name(path: &str, query: Option<&str>) -> Result<String, UriError> {
    //= RFC3986-3.3-1
    //= RFC6455-3-4
    let path = remove_dot_segments(&encode(&path.replace('\\', "/"), PATH)?);
    Ok(match query {
        None | Some("") => path,
        Some(query) => format!("{path}?{}", encode(query, QUERY)?),
    })
}

fn encode<'a>(text: &'a str, set: &'static AsciiSet) -> Result<Cow<'a, str>, UriError> {
    // A line break in a URL is a mistake at best.
    if let Some(at) = text.find(|char: char| char.is_ascii_control()) {
        return Err(UriError::BadPath {
            offered: Offered::new(&text.as_bytes()[at..]),
        });
    }
    Ok(utf8_percent_encode(text, set).into())
}

/// Resolves `.` and `..`, percent-encoded or not, in an absolute path (RFC 3986 section 5.2.4).
fn remove_dot_segments(path: &str) -> String {
    let mut output = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match dots(segment) {
            Some(dots) => {
                if dots == 2 {
                    output.truncate(output.rfind('/').unwrap_or(0));
                }
                if is_last {
                    output.push('/');
                }
            }
            None => {
                output.push('/');
                output.push_str(segment);
            }
        }
    }
    output
}

/// How many dots a segment is, if it is one or two and nothing else.
fn dots(segment: &str) -> Option<usize> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() && count < 3 {
        let plain = rest.strip_prefix('.');
        let encoded = || {
            rest.strip_prefix("%2e")
                .or_else(|| rest.strip_prefix("%2E"))
        };
        rest = plain.or_else(encoded)?;
        count += 1;
    }
    (1..=2).contains(&count).then_some(count)
}

/// The path percent-encode set of the WHATWG's URL Standard.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The special-query percent-encode set of the WHATWG's URL Standard.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'\'')
    .add(b'<')
    .add(b'>');
