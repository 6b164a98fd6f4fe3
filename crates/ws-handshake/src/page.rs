//! Pages, as far as an error shows them.

use alloc::string::String;
use core::fmt;

/// Reads the first line of text in a page, HTML or plain; `None` if there is none.
///
/// Tags, scripts and style sheets are passed over, blanks in a row are one, and a closing tag ends
/// a line that has begun. It has at most [`MAX_LINE`] characters.
pub(crate) fn first_line(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(&page[..page.len().min(MAX_PAGE)]);
    let mut line = String::new();
    let mut rest = &*page;
    while let Some(next) = rest.chars().next() {
        let tag = Tag::parse(rest);
        let is_over = match &tag {
            Some(tag) => tag.is_closing,
            None => next == '\n',
        };
        if is_over && !line.trim_end().is_empty() {
            break;
        }
        rest = match &tag {
            Some(tag) => tag.rest,
            None => {
                push(&mut line, next);
                &rest[next.len_utf8()..]
            }
        };
    }
    cut(&mut line);
    (!line.is_empty()).then_some(line)
}

/// Text of a peer's, cut and escaped for an error.
pub(crate) struct Short<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.len().min(4 * MAX_LINE);
        let text = String::from_utf8_lossy(&self.0[..end]);
        let mut chars = text.chars();
        for char in chars.by_ref().take(MAX_LINE + 3) {
            match char {
                '"' | '\'' | '\\' => write!(f, "{char}")?,
                char => write!(f, "{}", char.escape_debug())?,
            }
        }
        match chars.next() {
            Some(_) => f.write_str("..."),
            None => Ok(()),
        }
    }
}

/// A tag of HTML, with all of a script or style sheet.
struct Tag<'a> {
    is_closing: bool,
    rest: &'a str,
}

impl<'a> Tag<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix('<')?;
        let is_tag = |char: char| char.is_ascii_alphabetic() || matches!(char, '/' | '!' | '?');
        if !inside.starts_with(is_tag) {
            return None;
        }
        let mut rest = inside.split_once('>').map_or("", |(_, rest)| rest);
        let is_hidden = ["script", "style"].iter().any(|name| {
            let start = inside.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        if is_hidden {
            rest = rest.find("</").map_or("", |end| &rest[end..]);
        }
        Some(Self {
            is_closing: inside.starts_with('/'),
            rest,
        })
    }
}

fn push(line: &mut String, char: char) {
    let is_blank = char.is_whitespace() || char.is_control();
    match is_blank {
        false => line.push(char),
        true if line.is_empty() || line.ends_with(' ') => {}
        true => line.push(' '),
    }
}

fn cut(line: &mut String) {
    line.truncate(line.trim_end().len());
    if let Some((end, _)) = line.char_indices().nth(MAX_LINE) {
        line.truncate(end);
        line.push_str("...");
    }
}

/// How much of a page is looked at.
const MAX_PAGE: usize = 4096;
/// How many characters of a line are shown.
const MAX_LINE: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_what_a_reader_sees_first() {
        for (page, line) in [
            ("Forbidden", Some("Forbidden")),
            ("\r\n  Access denied \r\nby policy", Some("Access denied")),
            ("{\"error\":\"no\"}\n", Some("{\"error\":\"no\"}")),
            (
                "<!DOCTYPE html>\n<html><head>\n<title>403 Forbidden</title>\n</head><body>x",
                Some("403 Forbidden"),
            ),
            (
                "<html><style>p { color: red }</style><SCRIPT>a<b</SCRIPT><p>Access <b>denied",
                Some("Access denied"),
            ),
            ("1 < 2\n", Some("1 < 2")),
            ("a\u{1b}[31m\u{9b}b", Some("a [31m b")),
            ("<!-- nothing -->", None),
            ("<script>for (;;)", None),
            ("<", Some("<")),
            (" \r\n ", None),
            ("", None),
        ] {
            assert_eq!(first_line(page.as_bytes()).as_deref(), line, "{page}");
        }
        assert_eq!(first_line(b"a\xffb").as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn a_long_line_is_cut() {
        let line = first_line("\u{e9}".repeat(5000).as_bytes()).expect("a line");
        assert_eq!(line, "\u{e9}".repeat(120) + "...");
    }

    #[test]
    fn a_page_of_tags_takes_one_pass() {
        for piece in ["<a>", "<script>", "</", "<!", " ", "\n"] {
            first_line(piece.repeat(1_000_000).as_bytes());
        }
    }
}
