//! Bytes and text for people, and for programs.

use std::fmt::Write as _;

/// Takes from a text what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let is_printable = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if is_printable(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Writes bytes as pairs of digits.
pub(crate) fn hex(bytes: &[u8], between: &str) -> String {
    let mut text = String::with_capacity(bytes.len() * (2 + between.len()));
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            text.push_str(between);
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads pairs of digits; blanks may stand between pairs.
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let digit = |byte: u8| {
        let digit = char::from(byte).to_digit(16);
        digit
            .map(|digit| digit as u8)
            .ok_or_else(|| format!("{:?} is no hexadecimal digit", char::from(byte)))
    };
    if !digits.len().is_multiple_of(2) {
        return Err(format!(
            "{} hexadecimal digits are no whole number of bytes",
            digits.len()
        ));
    }
    digits
        .chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_is_told_nothing_by_a_text() {
        assert_eq!(
            printable("a\u{1b}[31mb\tc\nd\u{9b}"),
            "a\u{fffd}[31mb\tc\nd\u{fffd}"
        );
    }

    #[test]
    fn hexadecimal_digits_are_read_in_pairs_or_refused() {
        assert_eq!(from_hex("00 fF\t7a").unwrap(), [0, 0xff, 0x7a]);
        assert!(from_hex("").unwrap().is_empty());
        assert!(
            from_hex("123")
                .unwrap_err()
                .contains("3 hexadecimal digits")
        );
        assert!(from_hex("0g").unwrap_err().contains("'g'"));
        assert_eq!(hex(&[0, 0xff], " "), "00 ff");
    }
}
