//! Incremental validation of UTF-8 (RFC 6455 section 8.1, RFC 3629).

use core::fmt;

#[cfg(feature = "simd")]
use ascii::AsciiStr;

/// Validates text that comes in pieces, which may end inside a character.
///
/// Every piece becomes `&str` in one pass, with no copy but of a character
/// that is split between pieces; and the first byte that cannot be part of
/// valid text fails, also inside an unfinished character.
///
/// ```
/// use ws_proto::Utf8Stream;
///
/// let mut stream = Utf8Stream::new();
/// let mut text = String::new();
/// for mut piece in [&b"10 \xe2\x82"[..], b"\xac each"] {
///     while !piece.is_empty() {
///         let (valid, len) = stream.push(piece)?;
///         text += valid;
///         piece = &piece[len..];
///     }
/// }
/// stream.finish()?;
/// assert_eq!(text, "10 € each");
/// # Ok::<(), ws_proto::InvalidUtf8>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The first bytes of a character that is split between pieces.
    split: [u8; 4],
    split_len: u8,
}

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl Utf8Stream {
    /// Starts at the start of a text.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            split: [0; 4],
            split_len: 0,
        }
    }

    /// Validates a prefix of `piece`, and returns its text and its length in
    /// bytes; the length is 0 for an empty piece alone.
    ///
    /// The prefix is the whole piece, unless the piece completes a character
    /// that an earlier one began: then it ends with that character. Bytes at
    /// the end that begin a character are part of the prefix and not of the
    /// text: they are kept.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] if no continuation could make the text valid; the
    /// stream is then of no further use.
    #[inline]
    pub fn push<'a>(&'a mut self, piece: &'a [u8]) -> Result<(&'a str, usize), InvalidUtf8> {
        let missing = self.missing();
        if missing == 0 {
            return Ok((self.push_whole(piece)?, piece.len()));
        }
        let len = missing.min(piece.len());
        let text = if self.complete(&piece[..len])? {
            self.completed()
        } else {
            ""
        };
        Ok((text, len))
    }

    /// Validates a piece, which ends the text if it is the `last`.
    pub(crate) fn check(&mut self, mut piece: &[u8], last: bool) -> Result<(), InvalidUtf8> {
        while !piece.is_empty() {
            let (_, len) = self.push(piece)?;
            piece = &piece[len..];
        }
        if last { self.finish() } else { Ok(()) }
    }

    /// Tells whether the text may end here.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] inside a character.
    #[inline]
    pub const fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.split_len == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }

    /// Moves the start of a character that is split to the front of `buffer`,
    /// and returns its length: the text goes on there, without a split.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_split(&mut self, buffer: &mut [u8]) -> usize {
        let len = usize::from(core::mem::take(&mut self.split_len));
        buffer[..len].copy_from_slice(&self.split[..len]);
        len
    }

    /// Returns how many bytes the character that is split lacks; 0 if none is.
    #[inline]
    pub(crate) fn missing(&self) -> usize {
        let have = usize::from(self.split_len);
        if have == 0 {
            0
        } else {
            char_len(self.split[0]) - have
        }
    }

    /// Validates a piece that starts between characters.
    #[inline]
    pub(crate) fn push_whole<'a>(&mut self, piece: &'a [u8]) -> Result<&'a str, InvalidUtf8> {
        //= RFC3629-3-1, RFC3629-3-2
        let begun = if fault!("split-character-refused") {
            0
        } else {
            unfinished_tail(piece)
        };
        let (whole, begun) = piece.split_at(piece.len() - begun);
        let text = validate(whole)?;
        self.keep(begun)?;
        Ok(text)
    }

    /// Takes at most the `missing` bytes; `true` once the character is
    /// complete.
    #[cold]
    pub(crate) fn complete(&mut self, bytes: &[u8]) -> Result<bool, InvalidUtf8> {
        let have = usize::from(self.split_len);
        let len = have + bytes.len();
        self.split[have..len].copy_from_slice(bytes);
        match core::str::from_utf8(&self.split[..len]) {
            Ok(_) => {
                self.split_len = 0;
                Ok(true)
            }
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(_) => {
                self.split_len = len as u8;
                Ok(false)
            }
        }
    }

    /// Returns the character that was [completed](Self::complete) last.
    #[cold]
    pub(crate) fn completed(&self) -> &str {
        core::str::from_utf8(&self.split[..char_len(self.split[0])]).unwrap_or_default()
    }

    /// Keeps the start of a character, which must be a valid one so far.
    #[inline]
    fn keep(&mut self, begun: &[u8]) -> Result<(), InvalidUtf8> {
        if begun.is_empty() {
            return Ok(());
        }
        match core::str::from_utf8(begun) {
            Err(error) if error.error_len().is_none() => {
                self.split[..begun.len()].copy_from_slice(begun);
                self.split_len = begun.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not UTF-8")
    }
}

impl core::error::Error for InvalidUtf8 {}

/// Validates a whole text.
#[cfg(feature = "simd")]
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    // Below this size the call through the run-time dispatch costs more than
    // the wider registers give back, and where there is nothing but ASCII,
    // `std` takes two to three times as long to say so.
    if bytes.len() < 64 {
        match AsciiStr::from_ascii(bytes) {
            Ok(text) => Ok(text.as_str()),
            Err(_) => core::str::from_utf8(bytes).map_err(|_| InvalidUtf8),
        }
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
    }
}

/// Validates a whole text.
#[cfg(not(feature = "simd"))]
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    core::str::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// Returns how many bytes at the end begin a character that they do not end.
#[inline]
fn unfinished_tail(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        match byte {
            0x80..=0xbf => {}
            0xc0..=0xff if char_len(*byte) > back + 1 => return back + 1,
            _ => return 0,
        }
    }
    0
}

/// Returns the length of the character that `lead` begins.
#[inline]
const fn char_len(lead: u8) -> usize {
    match lead {
        0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;

    /// Miri takes a thousand times as long, so it looks at some cases only.
    const STEP: usize = if cfg!(miri) { 7 } else { 1 };

    /// Pushes the pieces; `Err(n)` once the first `n` pieces are known to be bad.
    fn push_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, usize> {
        let mut stream = Utf8Stream::new();
        let mut text = String::new();
        let mut count = 0usize;
        for mut piece in pieces {
            count += 1;
            while !piece.is_empty() {
                let (valid, len) = stream.push(piece).map_err(|_| count)?;
                assert!((1..=piece.len()).contains(&len));
                text.push_str(valid);
                piece = &piece[len..];
            }
        }
        stream.finish().map_err(|_| count + 1)?;
        Ok(text)
    }

    /// Byte by byte, `std` says `error_len` = `None` while it may still be valid.
    fn known_bad_after(bytes: &[u8]) -> Option<usize> {
        (1..=bytes.len()).find(|n| {
            core::str::from_utf8(&bytes[..*n]).is_err_and(|error| error.error_len().is_some())
        })
    }

    #[test]
    fn every_split_of_valid_text_gives_the_text() {
        //= RFC3629-3-2, RFC6455-5.6-1
        let text = "a é € 𝄞 \u{feff}\u{fffe}\u{10ffff}\0 end, and a tail that is long enough for the kernel";
        let bytes = text.as_bytes();
        for i in (0..=bytes.len()).step_by(STEP) {
            for j in (i..=bytes.len()).step_by(STEP) {
                let pieces = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                assert_eq!(push_all(pieces).as_deref(), Ok(text));
            }
        }
        assert_eq!(push_all(bytes.chunks(1)).as_deref(), Ok(text));
    }

    #[test]
    fn first_byte_that_cannot_be_valid_fails() {
        //= RFC3629-3-1, RFC6455-8.1-1
        let bad: &[&[u8]] = &[
            b"\x80",
            b"\xbf",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xe0\x80\x80",
            b"\xe0\x9f\xbf",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf0\x80\x80\x80",
            b"\xf0\x8f\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xff",
            b"\xfe",
            b"\xe2\x82\x28",
            b"\xe2\x28",
            b"\xf0\x9d\x84\x28",
            b"\xf0\x9d\x28",
            b"\xc3\x28",
            b"\xf8\x88\x80\x80\x80",
        ];
        for bad in bad {
            let mut bytes = Vec::from(*b"ok ");
            bytes.extend_from_slice(bad);
            let expected = known_bad_after(&bytes).unwrap();
            assert_eq!(push_all(bytes.chunks(1)), Err(expected), "{bad:x?}");
            for cut in 0..bytes.len() {
                let (a, b) = bytes.split_at(cut);
                let expected = if cut >= expected { 1 } else { 2 };
                assert_eq!(push_all([a, b]), Err(expected), "{bad:x?} at {cut}");
            }
        }
    }

    #[test]
    fn error_has_a_text() {
        use alloc::string::ToString as _;

        assert_eq!(InvalidUtf8.to_string(), "not UTF-8");
    }

    #[test]
    fn text_that_ends_inside_a_character_is_refused() {
        //= RFC6455-8.1-1
        for bytes in [&b"\xe2"[..], b"\xe2\x82", b"\xf0\x9d\x84", b"text \xc3"] {
            assert_eq!(push_all([bytes]), Err(2));
            assert_eq!(push_all(bytes.chunks(1)), Err(bytes.len() + 1));
        }
    }

    #[test]
    fn all_strings_of_three_bytes_agree_with_std_at_every_split() {
        //= RFC3629-3-1
        let interesting = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
            0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        let some = || interesting.into_iter().step_by(STEP);
        for a in some() {
            for b in some() {
                for c in some() {
                    for d in some() {
                        let bytes = [a, b, c, d];
                        let valid = core::str::from_utf8(&bytes).is_ok();
                        assert_eq!(push_all(bytes.chunks(1)).is_ok(), valid, "{bytes:x?}");
                        assert_eq!(push_all(bytes.chunks(3)).is_ok(), valid, "{bytes:x?}");
                        assert_eq!(push_all([&bytes[..]]).is_ok(), valid, "{bytes:x?}");
                    }
                }
            }
        }
    }
}
