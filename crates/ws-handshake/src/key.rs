//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`: the proof that the server read this very
//! request.

use core::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// The 16 random bytes of a client handshake (RFC 6455 section 4.1).
///
/// A nonce is for one handshake. It is no secret: it only keeps caches and other protocols from
/// answering by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Takes 16 bytes from a cryptographically secure source.
    ///
    /// The bytes must be fresh for every connection; with the `std` feature `Nonce::random` sees to
    /// that.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws 16 bytes from the operating system, so a process that has forked draws others than its
    /// parent.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] if it gives none.
    #[cfg(feature = "std")]
    pub fn random() -> Result<Self, NoEntropy> {
        //= RFC6455-4.1-24
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
        Ok(Self(bytes))
    }

    /// Reads back the value of a `Sec-WebSocket-Key` header, `None` if it is not 16 bytes in
    /// canonical base64.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        if !is_key(key) {
            return None;
        }
        let mut bytes = [0; 18];
        match STANDARD.decode_slice(key, &mut bytes) {
            Ok(16) => Some(Self(core::array::from_fn(|index| bytes[index]))),
            _ => None,
        }
    }

    /// The value of the `Sec-WebSocket-Key` header: 24 ASCII characters.
    #[must_use]
    pub fn key(&self) -> [u8; 24] {
        //= RFC6455-4.1-23
        //= RFC4648-4-1
        let mut key = [0; 24];
        encode(&self.0, &mut key);
        key
    }
}

/// The operating system gave no random bytes, so there is no nonce for a client's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random bytes for Sec-WebSocket-Key")
    }
}

impl core::error::Error for NoEntropy {}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.key().escape_ascii())
    }
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`: base64 of SHA-1 of the key and a
/// fixed GUID (RFC 6455 section 4.2.2).
///
/// The key is hashed as the text received, never decoded.
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    //= RFC6455-4.2.2-7
    //= RFC6455-4.2.2-18
    //= RFC6455-10.8-1
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    encode(digest.as_slice(), &mut accept);
    accept
}

/// Whether a value has the form of 16 bytes in base64. The spare bits of the last character may be
/// set.
pub(crate) fn is_key(value: &[u8]) -> bool {
    //= RFC6455-4.2.1-6
    //= RFC4648-4-1
    //= RFC4648-3.5-1
    // No branch for each of them, so that the compiler looks at many at once.
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/');
    let [digits @ .., b'=', b'='] = value else {
        return false;
    };
    digits.len() == 22 && digits.iter().fold(true, |all, &byte| all & is_digit(byte))
}

fn encode(bytes: &[u8], text: &mut [u8]) {
    // INVARIANT: both callers lend exactly the room that their fixed number of bytes takes, so this
    // cannot fail.
    let written = STANDARD.encode_slice(bytes, text);
    debug_assert_eq!(written, Ok(bytes.len().div_ceil(3) * 4));
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_the_one_of_the_rfc() {
        //= RFC6455-4.2.2-18
        //= RFC6455-10.8-1
        assert_eq!(
            &accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(
            &accept_key(b"AAAAAAAAAAAAAAAAAAAAAA=="),
            b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="
        );
    }

    #[test]
    fn a_nonce_is_sixteen_bytes_in_canonical_base64() {
        //= RFC6455-4.1-23
        //= RFC4648-4-1
        let nonce = Nonce::from_bytes(*b"the sample nonce");
        assert_eq!(&nonce.key(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(Nonce::from_key(&nonce.key()), Some(nonce));
        for byte in 0..=255 {
            let key = Nonce::from_bytes([byte; 16]).key();
            assert!(is_key(&key));
            assert!(b"AQgw".contains(&key[21]), "spare bits are zero");
        }
        for key in [
            &b"dGhlIHNhbXBsZSBub25jZR=="[..],
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"",
            b"dGhlIHNhbXBsZSBub2-jZQ==",
        ] {
            assert_eq!(Nonce::from_key(key), None);
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn random_nonces_differ() {
        //= RFC6455-4.1-24
        assert_ne!(Nonce::random().unwrap(), Nonce::random().unwrap());
    }
}
