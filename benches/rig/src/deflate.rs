//! permessage-deflate, as a run has it: the same parameters for every server.

use std::{error::Error, io};

use crate::Arguments;

/// What a run compresses with, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// 0 to 9, as zlib counts.
    pub level: u32,
    /// Whether a message may refer to those before it.
    pub takes_over: bool,
}

/// Shorter messages go out plain: what ws-proto does with nothing tuned, and every server is told
/// to.
pub const DEFLATE_MIN_LEN: usize = 128;

impl Deflate {
    /// Takes the arguments `--deflate LEVEL` and `--takeover`; `None` without the first.
    ///
    /// # Errors
    ///
    /// A level that is none.
    pub fn from_arguments(arguments: &mut Arguments) -> Result<Option<Self>, Box<dyn Error>> {
        let takes_over = arguments.flag("--takeover");
        let level: Option<u32> = arguments.value("--deflate")?;
        if level.is_some_and(|level| level > 9) {
            return Err("levels are 0 to 9".into());
        }
        Ok(level.map(|level| Self { level, takes_over }))
    }

    /// Returns the offer, in the form of the header.
    #[must_use]
    pub const fn offer(self) -> &'static str {
        if self.takes_over {
            "permessage-deflate"
        } else {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        }
    }

    /// Checks that a reply agrees to just that: else servers would be compared that do different
    /// things.
    ///
    /// # Errors
    ///
    /// Any other answer.
    pub fn check(self, head: &[u8]) -> io::Result<()> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let answer = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-extensions:"))
            .unwrap_or_default();
        let has = |name| answer.split(';').any(|param| param.trim() == name);
        let flags = ["server_no_context_takeover", "client_no_context_takeover"];
        if has("permessage-deflate") && flags.iter().all(|flag| has(flag) != self.takes_over) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{:?} was answered with {answer:?}",
            self.offer()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_offered_is_agreed() {
        let head = |answer| format!("HTTP/1.1 101 X\r\nSec-WebSocket-Extensions: {answer}\r\n\r\n");
        let plain = "permessage-deflate";
        let neither = "permessage-deflate; client_no_context_takeover;server_no_context_takeover";
        let one = "permessage-deflate; client_no_context_takeover";
        for (takes_over, right) in [(true, plain), (false, neither)] {
            let deflate = Deflate {
                level: 6,
                takes_over,
            };
            for answer in [plain, neither, one, ""] {
                let is_agreed = deflate.check(head(answer).as_bytes()).is_ok();
                assert_eq!(is_agreed, answer == right, "{takes_over} {answer:?}");
            }
            assert!(deflate.check(b"HTTP/1.1 101 X\r\n\r\n").is_err());
        }
    }
}
