//! JSON (RFC 8259): strings that are written, and values that are laid out.

use std::fmt::Write as _;

/// Writes a string as JSON does.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Lays a value out over lines, with all that is in it as it came; `None` for
/// what is no JSON, or nested more than 128 times.
pub(crate) fn pretty(text: &str) -> Option<String> {
    let mut layout = Layout {
        left: text,
        out: String::with_capacity(text.len() * 2),
        depth: 0,
    };
    layout.blanks();
    layout.value()?;
    layout.blanks();
    layout.left.is_empty().then_some(layout.out)
}

struct Layout<'a> {
    left: &'a str,
    out: String,
    depth: usize,
}

const MAX_DEPTH: usize = 128;

impl Layout<'_> {
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            '{' => self.list('}', |this| {
                this.quoted()?;
                this.blanks();
                this.take(':')?;
                this.out.push_str(": ");
                this.blanks();
                this.value()
            }),
            '[' => self.list(']', Self::value),
            '"' => self.quoted(),
            '-' | '0'..='9' => self.number(),
            _ => ["true", "false", "null"]
                .iter()
                .find_map(|word| self.left.starts_with(word).then(|| self.copy(word.len()))),
        }
    }

    /// Lays out what stands between brackets.
    fn list(&mut self, end: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.copy(1);
        self.blanks();
        if self.peek()? == end {
            self.copy(1);
            return Some(());
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        loop {
            self.new_line();
            self.blanks();
            item(self)?;
            self.blanks();
            if self.peek()? == ',' {
                self.copy(1);
                continue;
            }
            self.take(end)?;
            self.depth -= 1;
            self.new_line();
            self.out.push(end);
            return Some(());
        }
    }

    fn quoted(&mut self) -> Option<()> {
        let mut chars = self.left.char_indices();
        (chars.next()?.1 == '"').then_some(())?;
        loop {
            match chars.next()? {
                (at, '"') => {
                    self.copy(at + 1);
                    return Some(());
                }
                (_, '\\') => match chars.next()?.1 {
                    '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => {}
                    'u' => {
                        for _ in 0..4 {
                            chars.next()?.1.is_ascii_hexdigit().then_some(())?;
                        }
                    }
                    _ => return None,
                },
                (_, c) if c < ' ' => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        self.copy_if('-');
        match self.peek()? {
            '0' => self.copy(1),
            _ => self.digits()?,
        }
        if self.copy_if('.') {
            self.digits()?;
        }
        if self.copy_if('e') || self.copy_if('E') {
            let _ = self.copy_if('+') || self.copy_if('-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let end = self.left.find(|c: char| !c.is_ascii_digit());
        let len = end.unwrap_or(self.left.len());
        self.copy(len);
        (len > 0).then_some(())
    }

    fn blanks(&mut self) {
        self.left = self.left.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn peek(&self) -> Option<char> {
        self.left.chars().next()
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.left = self.left.strip_prefix(c)?;
        Some(())
    }

    fn copy_if(&mut self, c: char) -> bool {
        let is_there = self.left.starts_with(c);
        if is_there {
            self.copy(c.len_utf8());
        }
        is_there
    }

    fn copy(&mut self, len: usize) {
        let (copied, left) = self.left.split_at(len);
        self.out.push_str(copied);
        self.left = left;
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_laid_out_as_they_came() {
        let text = r#" {"a" :[1.0,-0,1e400,{}, [ ],true ],"b":{"c":"x: {\"[,\\"},"a":12345678901234567890123} "#;
        let laid_out = r#"{
  "a": [
    1.0,
    -0,
    1e400,
    {},
    [],
    true
  ],
  "b": {
    "c": "x: {\"[,\\"
  },
  "a": 12345678901234567890123
}"#;
        assert_eq!(pretty(text).unwrap(), laid_out);
        assert_eq!(pretty(laid_out).unwrap(), laid_out);
        for scalar in ["\"\\\\\"", "\"\\u00e4ä\"", "0.5E+3", "null"] {
            assert_eq!(pretty(scalar).as_deref(), Some(scalar));
        }
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in [
            "",
            "hello",
            "{",
            "[1,]",
            "{} x",
            "{\"a\"}",
            "{1:2}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"",
            "[1 2]",
            "nul",
            "NaN",
        ] {
            assert_eq!(pretty(text), None, "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(pretty(&nested(MAX_DEPTH)).is_some());
        assert!(pretty(&nested(100_000)).is_none());
    }

    #[test]
    fn strings_are_quoted_so_that_they_are_one_line_of_json() {
        assert_eq!(
            string("a\"\\\n\u{1b}\u{7f}ä"),
            "\"a\\\"\\\\\\n\\u001b\\u007fä\""
        );
        assert!(pretty(&string("\u{0}\u{9f}\u{2028}")).is_some());
    }
}
