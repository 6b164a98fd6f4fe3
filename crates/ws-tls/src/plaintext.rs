//! Payload on its way from a session to the reader.

/// Payload that was decrypted and did not fit into the reader's buffer. An empty one owns no
/// memory.
#[derive(Debug, Default)]
pub(crate) struct Plaintext {
    bytes: Vec<u8>,
    /// How much of them was read.
    read: usize,
}

impl Plaintext {
    /// Keeps nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            read: 0,
        }
    }

    /// Tells whether nothing is kept.
    pub(crate) const fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// Returns how many bytes are kept.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// Returns how many bytes of memory it holds.
    pub(crate) const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Copies payload to `buffer` as far as it fits, keeps the rest behind what is kept, and
    /// returns how much fitted. What was kept before is taken first.
    pub(crate) fn give(&mut self, payload: &[u8], buffer: &mut [u8]) -> usize {
        let (fits, rest) = payload.split_at(payload.len().min(buffer.len()));
        buffer[..fits.len()].copy_from_slice(fits);
        if !fault!("payload-lost") {
            self.bytes.extend_from_slice(rest);
        }
        fits.len()
    }

    /// Copies what is kept to `buffer`, as far as it fits; returns how much that is.
    pub(crate) fn take(&mut self, buffer: &mut [u8]) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_that_a_reader_has_no_room_for_waits_in_order() {
        let mut plaintext = Plaintext::new();
        let mut buffer = [0; 4];
        assert_eq!(plaintext.take(&mut buffer), 0);
        // What fits is not kept.
        assert_eq!(plaintext.give(b"one", &mut buffer), 3);
        assert!(plaintext.is_empty());
        let fitted = plaintext.give(b"payload", &mut buffer);
        assert_eq!(&buffer[..fitted], b"payl");
        assert_eq!(plaintext.give(b" and more", &mut []), 0);
        assert_eq!(plaintext.len(), 12);
        let mut taken = Vec::new();
        while !plaintext.is_empty() {
            let len = plaintext.take(&mut buffer);
            taken.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(taken, b"oad and more");
        assert_eq!(plaintext.take(&mut buffer), 0);
        assert_eq!(plaintext.held(), 0);
    }
}
