//! Topics and members as words of subjects, and the subjects that are made of
//! them.

use std::fmt::Write as _;

/// What subjects and streams are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) prefix: String,
}

impl Names {
    /// Where messages are published that are to be kept.
    pub(crate) fn kept(&self, topic: &str) -> String {
        format!("{}.h.{}", self.prefix, word(topic))
    }

    /// Where subscribers of a topic listen.
    pub(crate) fn live(&self, topic: &str) -> String {
        format!("{}.t.{}", self.prefix, word(topic))
    }

    /// The stream of a topic. Its name becomes that of a folder, so a longer
    /// one is cut, and ends with a number that is made of all of it.
    pub(crate) fn stream(&self, topic: &str) -> String {
        let mut name = format!("{}-t-{}", self.prefix, word(topic));
        if name.len() > MAX_STREAM {
            let rest = hash(&[topic]);
            name.truncate(MAX_STREAM - 17);
            let _ = write!(name, "-{rest:016x}");
        }
        name
    }

    /// The stream of who is present, for all topics.
    pub(crate) fn presence_stream(&self) -> String {
        format!("{}-presence", self.prefix)
    }

    /// A member of a node, of any node with `*`.
    pub(crate) fn member(&self, topic: &str, member: &str, node: &str) -> String {
        format!("{}{}.{node}", self.members(topic), word(member))
    }

    /// What the subjects of a topic's members begin with.
    pub(crate) fn members(&self, topic: &str) -> String {
        format!("{}.p.{}.", self.prefix, word(topic))
    }
}

/// Bytes of a stream's name at most; a server takes 255.
const MAX_STREAM: usize = 200;

/// Writes any text as one word of a subject: letters, digits, `-` and `_` stay,
/// each other byte is `=` and two hexadecimal digits.
pub(crate) fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            word.push(char::from(byte));
        } else {
            let _ = write!(word, "={byte:02X}");
        }
    }
    word
}

/// What [`word`] has written.
pub(crate) fn unword(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// FNV-1a of some texts, which every node computes alike.
pub(crate) fn hash(texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([b'\n']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_word_and_comes_back() {
        for text in [
            "room",
            "a.b",
            "a b",
            "*",
            ">",
            "=41",
            "zürich/1",
            "\r\n",
            "x-_9",
        ] {
            let written = word(text);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
            assert!(written.bytes().all(is_plain), "{written}");
            assert_eq!(unword(&written).as_deref(), Some(text));
        }
    }

    #[test]
    fn word_that_is_cut_off_is_none() {
        for word in ["=", "=4", "a=zz", "=FF"] {
            assert_eq!(unword(word), None, "{word}");
        }
    }

    #[test]
    fn streams_of_long_topics_differ_and_fit() {
        let names = Names {
            prefix: "ws".into(),
        };
        let [one, other] = ["a", "b"].map(|end| names.stream(&(" ".repeat(250) + end)));
        assert_ne!(one, other);
        assert_eq!(one.len(), MAX_STREAM);
    }
}
