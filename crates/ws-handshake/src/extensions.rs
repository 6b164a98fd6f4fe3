//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1).

use core::fmt;

use crate::{
    error::{HandshakeError, Offered},
    headers::{is_token, is_token_byte, trim},
};

/// The extensions in a header value, in order (RFC 6455 section 9.1).
///
/// ```
/// use ws_handshake::Extensions;
///
/// let mut list = Extensions::parse(b"permessage-deflate; server_max_window_bits=\"10\", x-other")?;
/// let first = list.next().expect("two extensions");
/// assert_eq!(first.name(), "permessage-deflate");
/// let bits = first.params().next().expect("one parameter");
/// assert_eq!(bits.name(), "server_max_window_bits");
/// assert_eq!(bits.value().expect("a value"), "10");
/// assert_eq!(list.next().expect("two extensions").name(), "x-other");
/// # Ok::<(), ws_handshake::HandshakeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Reads a header value. It takes linear time, whatever quotes, backslashes, blanks and commas
    /// are in it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::BadExtensionsHeader`] if the value is outside the grammar or names no
    /// extension.
    pub fn parse(value: &'a [u8]) -> Result<Self, HandshakeError> {
        //= RFC6455-9.1-1
        //= RFC6455-4.3-1
        if Self::check(value)? {
            Ok(Self { rest: value })
        } else {
            Err(HandshakeError::BadExtensionsHeader {
                offered: Offered::new(value),
            })
        }
    }

    /// Takes one of several values without checking it; the list ends before the first that is
    /// malformed.
    pub(crate) const fn unchecked(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// Checks one of several values, which may be empty on its own, and says whether it names an
    /// extension.
    ///
    /// Looking at each value on its own finds the same as looking at all of them joined by commas:
    /// a quoted string that went from one value to the next would hold a comma, and so would be
    /// no token.
    pub(crate) fn check(value: &[u8]) -> Result<bool, HandshakeError> {
        let mut rest = value;
        let mut any = false;
        while let Some(element) = next_element(&mut rest) {
            if element.is_err() {
                return Err(HandshakeError::BadExtensionsHeader {
                    offered: Offered::new(value),
                });
            }
            any = true;
        }
        Ok(any)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        next_element(&mut self.rest)?.ok()
    }
}

/// One extension: a name and parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    pub(crate) name: &'a str,
    pub(crate) params: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The name, as it was written: names are compared without regard to case.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The parameters in order, repeated ones too.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let mut rest = self.params;
        // INVARIANT: the parameters were read once already, when the extension was.
        core::iter::from_fn(move || next_param(&mut rest).ok().flatten())
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({}{})", self.name, self.params.escape_ascii())
    }
}

/// One parameter of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<ParamValue<'a>>,
}

impl<'a> Param<'a> {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The value, if there is one.
    #[must_use]
    pub const fn value(&self) -> Option<ParamValue<'a>> {
        self.value
    }
}

/// The value of a parameter: a token, be it written plainly or as a quoted string.
#[derive(Clone, Copy)]
pub struct ParamValue<'a> {
    // A token has no backslash, so each of those that are left from a quoted string only escapes
    // the byte after it.
    text: &'a [u8],
}

impl<'a> ParamValue<'a> {
    /// The characters of the token, all of them ASCII, without quotes and escapes.
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        //= RFC9110-5.6.4-1
        self.text
            .iter()
            .filter(|&&byte| byte != b'\\')
            .map(|&byte| char::from(byte))
    }
}

impl PartialEq<str> for ParamValue<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for ParamValue<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq for ParamValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for ParamValue<'_> {}

impl fmt::Display for ParamValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars()
            .try_for_each(|char| fmt::Write::write_char(f, char))
    }
}

impl fmt::Debug for ParamValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A list element that is no extension.
#[derive(Debug)]
struct Malformed;

/// Reads one extension and the comma after it, passing over elements that have neither name nor
/// parameter.
fn next_element<'a>(rest: &mut &'a [u8]) -> Option<Result<Extension<'a>, Malformed>> {
    //= RFC9110-5.6.1-1
    loop {
        while let [b' ' | b'\t' | b',', tail @ ..] = *rest {
            *rest = tail;
        }
        if rest.is_empty() {
            return None;
        }
        let name = take_token(rest);
        skip_blanks(rest);
        let params = *rest;
        let mut any_param = false;
        let end = loop {
            match next_param(rest) {
                Ok(Some(_)) => any_param = true,
                end => break end,
            }
        };
        let params = trim(&params[..params.len() - rest.len()]);
        match (end, name.is_empty(), any_param) {
            (Ok(_), false, _) => return Some(Ok(Extension { name, params })),
            (Ok(_), true, false) => {}
            _ => {
                *rest = &[];
                return Some(Err(Malformed));
            }
        }
    }
}

/// Reads `";" OWS token [ "=" ( token / quoted-string ) ] OWS`, `None` at a comma or the end.
///
/// A semicolon that no parameter follows is passed over: devices write one after the last
/// parameter.
fn next_param<'a>(rest: &mut &'a [u8]) -> Result<Option<Param<'a>>, Malformed> {
    if !matches!(*rest, [] | [b',' | b';', ..]) {
        return Err(Malformed);
    }
    while let [b';' | b' ' | b'\t', tail @ ..] = *rest {
        *rest = tail;
    }
    if matches!(*rest, [] | [b',', ..]) {
        return Ok(None);
    }
    let name = take_token(rest);
    if name.is_empty() {
        return Err(Malformed);
    }
    skip_blanks(rest);
    let [b'=', tail @ ..] = *rest else {
        return Ok(Some(Param { name, value: None }));
    };
    *rest = tail;
    skip_blanks(rest);
    let text = match *rest {
        [b'"', tail @ ..] => {
            *rest = tail;
            take_quoted(rest)?
        }
        _ => take_token(rest).as_bytes(),
    };
    if text.is_empty() {
        return Err(Malformed);
    }
    skip_blanks(rest);
    Ok(Some(Param {
        name,
        value: Some(ParamValue { text }),
    }))
}

/// Reads up to the closing quote. What is between must be a token once its escapes are taken away.
fn take_quoted<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    //= RFC6455-4.3-2
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' => {
                let text = &rest[..at];
                *rest = &rest[at + 1..];
                return Ok(text);
            }
            b'\\' if rest.get(at + 1).copied().is_some_and(is_token_byte) => at += 2,
            _ if is_token_byte(byte) => at += 1,
            _ => return Err(Malformed),
        }
    }
    Err(Malformed)
}

fn take_token<'a>(rest: &mut &'a [u8]) -> &'a str {
    let end = rest
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .unwrap_or(rest.len());
    let (token, tail) = rest.split_at(end);
    *rest = tail;
    debug_assert!(token.is_empty() || is_token(token));
    str::from_utf8(token).unwrap_or_default()
}

fn skip_blanks(rest: &mut &[u8]) {
    while let [b' ' | b'\t', tail @ ..] = *rest {
        *rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString as _, vec::Vec};

    use super::*;

    fn reply(value: &str) -> Extension<'_> {
        Extensions::parse(value.as_bytes())
            .expect("sound")
            .next()
            .expect("an extension")
    }

    fn parsed(value: &[u8]) -> Option<Vec<Extension<'_>>> {
        Extensions::parse(value).ok().map(Iterator::collect)
    }

    #[test]
    fn the_grammar_is_the_one_of_the_rfc() {
        //= RFC6455-9.1-1
        //= RFC6455-4.3-1
        let list = parsed(b"foo, bar; baz=2 ;q\t= \"r\" , ,x").expect("sound");
        let names: Vec<_> = list.iter().map(Extension::name).collect();
        assert_eq!(names, ["foo", "bar", "x"]);
        let params: Vec<_> = list[1]
            .params()
            .map(|param| (param.name(), param.value().map(|v| v.to_string())))
            .collect();
        assert_eq!(
            params,
            [("baz", Some("2".to_string())), ("q", Some("r".to_string()))]
        );
        for value in [
            &b""[..],
            b",",
            b" ",
            b";",
            b"; ;, ;",
            b"a; =b",
            b"a; b=",
            b"a; b c",
            b"a; b=c d",
            b"a; b=\"c\"d",
            b"a; b=\"\"",
            b"a; \"b\"=c",
            b"a=b",
            b"a/b",
            b"a; b=c/d",
            b"caf\xe9",
            b"(a)",
            b"; a",
            b"a, ;b",
            b"\\a",
            b"a \0",
        ] {
            assert!(parsed(value).is_none(), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn semicolons_without_a_parameter_are_passed_over() {
        for (value, params) in [
            (&b"a;"[..], 0),
            (b"a ; ", 0),
            (b"a;;", 0),
            (b"a; b;", 1),
            (b"a;;b=c ;\t; d", 2),
            (b";, a;,;", 0),
        ] {
            let list = parsed(value).expect("sound");
            assert_eq!(list.len(), 1, "{}", value.escape_ascii());
            assert_eq!(list[0].name(), "a");
            assert_eq!(list[0].params().count(), params, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_quoted_value_is_a_token_once_unescaped() {
        //= RFC6455-4.3-2
        //= RFC9110-5.6.4-1
        let ten = reply(r#"a; b="1\0""#)
            .params()
            .next()
            .and_then(|param| param.value())
            .expect("a value");
        assert_eq!(ten, "10");
        assert_eq!(
            ten,
            reply("a; b=10")
                .params()
                .next()
                .and_then(|param| param.value())
                .expect("a value")
        );
        assert_ne!(ten, "100");
        let [eleven, escaped] = [r"a; b=11", r#"a; b="abc\d", c"#].map(|text| {
            let first = reply(text).params().next();
            first.and_then(|param| param.value()).expect("a value")
        });
        assert_ne!(ten, eleven);
        assert_eq!(escaped, "abcd");
        for value in [
            r#"a; b="1 0""#,
            r#"a; b="1\ 0""#,
            r#"a; b="1\"#,
            r#"a; b="\"""#,
            r#"a; b="c,d""#,
            r#"a; b="\\""#,
        ] {
            assert!(parsed(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn what_is_logged_shows_name_and_parameters() {
        let extension = reply(r#"a; b="1\0""#);
        assert_eq!(
            alloc::format!("{extension:?}"),
            r#"Extension(a; b=\"1\\0\")"#
        );
        let param = extension.params().next().expect("a parameter");
        assert_eq!(alloc::format!("{:?}", param.value()), r#"Some("10")"#);
    }

    #[test]
    fn long_nonsense_takes_one_pass() {
        // Each step of the parser takes bytes off the front and never puts any back, so that the
        // number of elements and parameters read is all the work there is.
        for piece in ["\"", "\\", " ", ",", ";", "a; b=\"", "=\"\\", "\t,"] {
            let value = piece.repeat(50_000);
            assert!(parsed(value.as_bytes()).is_none(), "{piece}");
            let value = alloc::format!("a; b=\"{value}");
            assert!(parsed(value.as_bytes()).is_none(), "{piece}");
        }
        assert_eq!(
            parsed("a;".repeat(50_000).as_bytes()).map(|list| list.len()),
            Some(1)
        );
        let many = "a;b=\"c\",".repeat(20_000);
        let mut rest = many.as_bytes();
        let mut before = rest.len();
        while next_element(&mut rest).is_some() {
            assert!(rest.len() < before);
            before = rest.len();
        }
        assert_eq!(parsed(many.as_bytes()).map(|list| list.len()), Some(20_000));
    }
}
