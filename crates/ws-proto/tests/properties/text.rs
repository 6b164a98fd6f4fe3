//! UTF-8 in pieces, against `std` on the whole.

use ws_proto::Utf8Stream;

/// Text in pieces is what `std` says of the whole, and it fails in the piece
/// with the first byte that cannot be part of a text.
pub fn pieces_are_judged_as_std_judges_the_whole(bytes: &[u8], seed: u8) {
    let bad_from = known_bad_after(bytes);
    let step = usize::from(seed % 13) + 1;
    for size in [1, step, bytes.len().max(1)] {
        let mut stream = Utf8Stream::new();
        let mut text = String::new();
        let (mut fed, mut failed) = (0, false);
        'pieces: for piece in bytes.chunks(size) {
            let mut rest = piece;
            fed += piece.len();
            while !rest.is_empty() {
                let Ok((valid, len)) = stream.push(rest) else {
                    failed = true;
                    break 'pieces;
                };
                assert!(len > 0, "every step takes a byte");
                text += valid;
                rest = &rest[len..];
            }
            assert!(bad_from.is_none_or(|bad| fed < bad), "it went on too long");
            assert!(fed - text.len() < 4, "no more than a character is held");
        }
        match bad_from {
            Some(bad) => {
                assert!(failed);
                assert!(fed >= bad && fed - bad < size, "it fails in another piece");
            }
            None => {
                assert!(!failed);
                let whole = core::str::from_utf8(bytes);
                assert_eq!(stream.finish().is_ok(), whole.is_ok());
                let valid = whole.map_or_else(|error| error.valid_up_to(), str::len);
                assert_eq!(text.as_bytes(), &bytes[..valid]);
            }
        }
    }
}

/// How many bytes it takes to see that no continuation makes a text of them;
/// `None` if one can.
pub fn known_bad_after(bytes: &[u8]) -> Option<usize> {
    let error = core::str::from_utf8(bytes).err()?;
    let sound = error.error_len()?;
    let start = error.valid_up_to();
    // `std` counts what is sound of the character, and at least one byte; a
    // byte that can begin a character is bad by the next one only.
    let begins = matches!(bytes[start], 0xc2..=0xf4);
    Some(start + sound + usize::from(begins))
}
