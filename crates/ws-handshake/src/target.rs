//! The target of a request: what browsers write there, its parts, and what stands behind their
//! escapes.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::uri::{split_authority, split_query};

/// A target in origin form or absolute form (RFC 9112 section 3.2).
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) authority: Option<&'a str>,
    /// Path and query, where the path may be missing after an authority.
    pub(crate) resource: &'a str,
}

impl<'a> Target<'a> {
    pub(crate) fn parse(raw: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(raw).ok()?;
        if text.starts_with('/') {
            return is_resource(text).then_some(Self {
                authority: None,
                resource: text,
            });
        }
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Self::absolute(authority, resource)
    }

    pub(crate) fn absolute(authority: &'a str, resource: &'a str) -> Option<Self> {
        (is_authority(authority) && is_resource(resource)).then_some(Self {
            authority: Some(authority),
            resource,
        })
    }

    /// The path without the query.
    pub(crate) fn path(self) -> &'a str {
        match split_query(self.resource).0 {
            "" => "/",
            path => path,
        }
    }

    pub(crate) fn query(self) -> Option<&'a str> {
        split_query(self.resource).1
    }
}

/// Whether path and query have only the bytes that a request line has room for: those of the URL
/// grammar that browsers follow (WHATWG URL), of which RFC 3986 would have more escaped, such as
/// `[`, `|`, `{` and a `%` that escapes nothing.
///
/// A blank would end the target, `#` starts a fragment, which no target has, and nobody agrees on
/// what a control or a byte outside ASCII means.
fn is_resource(resource: &str) -> bool {
    //= RFC6455-3-5
    resource
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether a text is a host and, if there is one, a port that a server can have.
pub(crate) fn is_authority(text: &str) -> bool {
    //= RFC3986-3.2.3-1
    match split_authority(text) {
        None => false,
        Some((_, None | Some(""))) => true,
        Some((_, Some(port))) => port.parse::<u16>().is_ok_and(|port| port != 0),
    }
}

/// The segments of a path with their escapes taken away, the first being that after the first `/`.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> + use<'_> {
    let rest = path.strip_prefix('/');
    rest.into_iter()
        .flat_map(|rest| rest.split('/'))
        .map(|segment| unescaped(Cow::Borrowed(segment)))
}

/// The pairs of a query as a form writes it (WHATWG URL, `application/x-www-form-urlencoded`).
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> + use<'_> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_text(name), form_text(value))
        })
}

/// A name or value of a form, where `+` is a space.
fn form_text(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        unescaped(Cow::Owned(text.replace('+', " ")))
    } else {
        unescaped(Cow::Borrowed(text))
    }
}

/// Takes away the escapes. A `%` that escapes nothing stays.
fn unescaped(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('%') {
        return text;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Cow<'_, str> {
        unescaped(Cow::Borrowed(text))
    }

    #[test]
    fn escapes_are_taken_away_and_other_percent_signs_stay() {
        for (escaped, plain) in [
            ("a%20b", "a b"),
            ("%C3%A9%c3%a9", "\u{e9}\u{e9}"),
            ("50%", "50%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%%34%31", "%41"),
            ("%+1", "%+1"),
            ("%ff", "\u{fffd}"),
            ("%2525", "%25"),
        ] {
            assert_eq!(decoded(escaped), plain, "{escaped}");
        }
        assert!(matches!(decoded("plain+"), Cow::Borrowed("plain+")));
    }

    #[test]
    fn an_escaped_slash_does_not_end_a_segment() {
        let all = |path| segments(path).collect::<Vec<_>>();
        assert_eq!(all("/"), [""]);
        assert_eq!(all("/a%2Fb/[42]/"), ["a/b", "[42]", ""]);
        assert_eq!(all("/a+b"), ["a+b"]);
        assert!(all("").is_empty());
    }

    #[test]
    fn pairs_are_read_as_a_form_writes_them() {
        let all = |query| pairs(query).collect::<Vec<_>>();
        let pair = |name, value| (Cow::Borrowed(name), Cow::Borrowed(value));
        assert_eq!(
            all("ids[]=1&ids[]=2&q={%22a%22:1}&a+b=c%2Bd&&flag&=x&e=a=b"),
            [
                pair("ids[]", "1"),
                pair("ids[]", "2"),
                pair("q", "{\"a\":1}"),
                pair("a b", "c+d"),
                pair("flag", ""),
                pair("", "x"),
                pair("e", "a=b"),
            ]
        );
        assert!(all("").is_empty());
    }
}
