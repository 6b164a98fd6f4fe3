//! Payload on its way from a session to whoever reads.

/// Payload that was decrypted and did not fit into what was read into. It owns nothing while that is none.
///
/// ```
/// let mut plaintext = ws_tls::Plaintext::default();
/// let mut buffer = [0; 4];
/// assert_eq!(plaintext.give(b"payload", &mut buffer), 4);
/// assert_eq!(plaintext.take(&mut buffer), 3);
/// assert_eq!(&buffer[..3], b"oad");
/// assert!(plaintext.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Plaintext {
    bytes: Vec<u8>,
    /// How much of them was read.
    read: usize,
}

impl Plaintext {
    /// Keeps nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            read: 0,
        }
    }

    /// Tells whether nothing is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// Returns how many bytes of memory it holds.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Copies payload to `buffer` as far as it fits, keeps the rest behind what is kept, and returns how much fitted. For
    /// [`Session::receive`](crate::Session::receive), once what was kept before is taken.
    pub fn give(&mut self, payload: &[u8], buffer: &mut [u8]) -> usize {
        let (fits, rest) = payload.split_at(payload.len().min(buffer.len()));
        buffer[..fits.len()].copy_from_slice(fits);
        self.bytes.extend_from_slice(rest);
        fits.len()
    }

    /// Copies what is kept to `buffer`, as far as it fits; returns how much that is.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.bytes[self.read..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if self.is_empty() {
            *self = Self::new();
        }
        len
    }
}
