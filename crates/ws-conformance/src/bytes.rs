//! The compact notation of bytes in the wire vectors.

use crate::Failure;

/// Reads `8105 (6162)*5`: hex, and a pattern repeated to a length in all, divided by blanks.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for token in text.split_whitespace() {
        match token.strip_prefix('(') {
            None => bytes.extend(hex(token)?),
            Some(token) => {
                let (pattern, length) = token
                    .split_once(")*")
                    .ok_or_else(|| Failure::new(format!("bytes: {token:?} has no `)*LENGTH`")))?;
                let pattern = hex(pattern)?;
                let length: usize = length
                    .parse()
                    .map_err(|_| Failure::new(format!("bytes: {length:?} is no length")))?;
                if pattern.is_empty() {
                    return Err(Failure::new("bytes: an empty pattern"));
                }
                bytes.extend(pattern.iter().cycle().take(length));
            }
        }
    }
    Ok(bytes)
}

fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    let wrong = || Failure::new(format!("bytes: {text:?} is not hexadecimal"));
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// Bytes of a JSON string in which each character stands for the byte of the same number.
pub(super) fn latin1(text: &str) -> Result<Vec<u8>, Failure> {
    text.chars()
        .map(|c| {
            u8::try_from(u32::from(c))
                .map_err(|_| Failure::new(format!("{c:?} in {text:?} is no byte")))
        })
        .collect()
}

/// Bytes as a failure shows them: hex, shortened.
pub(super) fn show(bytes: &[u8]) -> String {
    let head: String = bytes.iter().take(24).map(|b| format!("{b:02x}")).collect();
    if bytes.len() > 24 {
        format!("{head}… ({} bytes)", bytes.len())
    } else {
        format!("[{head}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_patterns_are_read() {
        let read = |text| decode(text).ok();
        assert_eq!(read("8105 (6162)*5"), Some(b"\x81\x05ababa".to_vec()));
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!(read("(00)*0 ff"), Some(vec![0xff]));
        assert_eq!(read("810"), None);
        assert_eq!(read("()*3"), None);
        assert_eq!(read("(61)3"), None);
        assert_eq!(read("+1"), None);
    }

    #[test]
    fn characters_are_bytes() {
        assert_eq!(latin1("\u{81}a").ok(), Some(vec![0x81, b'a']));
        assert!(latin1("\u{100}").is_err());
    }
}
