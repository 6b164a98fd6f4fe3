//! What the connections send, built beforehand.

use std::fmt;

use ws_handshake::DeflateParams;

use crate::{
    deflate::Compressor,
    frames::{COMPRESSED, Masks, OPCODE_BINARY, OPCODE_TEXT, append_frame},
};

/// The messages that connections send, in rotation, and how they are framed.
///
/// Frames are built before the run and sent again and again, each with its key: no two messages of
/// a rotation have the same random key, and every turn of the rotation has the same ones.
#[derive(Clone)]
pub struct Messages {
    payloads: Vec<Vec<u8>>,
    is_text: bool,
    masks: Masks,
    level: u32,
    pipelined: usize,
}

/// No messages, or text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessagesError {
    /// There is no message.
    #[error("there is no message")]
    Empty,
    /// A message that is to be sent as text is no UTF-8.
    #[error("message {number} is no UTF-8")]
    NotText {
        /// Which, from 1 on.
        number: usize,
    },
}

/// As many small messages as there may be different keys for.
const ROTATION: usize = 64;
/// How many bytes all messages of a rotation have at most, if they are made.
const ROTATION_BYTES: usize = 8 << 20;

impl Messages {
    /// Makes binary messages of one size.
    #[must_use]
    pub fn of_size(bytes: usize, masks: Masks) -> Self {
        Self::of_sizes(&[bytes], masks)
    }

    /// Makes binary messages of these sizes, in turn.
    #[must_use]
    pub fn of_sizes(sizes: &[usize], masks: Masks) -> Self {
        let sum = sizes.iter().sum::<usize>().max(1);
        let turns = (ROTATION / sizes.len().max(1))
            .min(ROTATION_BYTES / sum)
            .max(1);
        let payload = |size: &usize| (0..*size).map(|at| (at * 7) as u8).collect();
        let payloads = (0..turns).flat_map(|_| sizes.iter().map(payload)).collect();
        Self {
            payloads,
            is_text: false,
            masks,
            level: 6,
            pipelined: 1,
        }
    }

    /// Takes payloads, to be sent as binary messages, or as text.
    ///
    /// # Errors
    ///
    /// No payload, or one that is to be text and is no UTF-8.
    pub fn of_payloads(
        payloads: Vec<Vec<u8>>,
        is_text: bool,
        masks: Masks,
    ) -> Result<Self, MessagesError> {
        if payloads.is_empty() {
            return Err(MessagesError::Empty);
        }
        let wrong = payloads
            .iter()
            .position(|payload| str::from_utf8(payload).is_err());
        if let (true, Some(at)) = (is_text, wrong) {
            return Err(MessagesError::NotText { number: at + 1 });
        }
        Ok(Self {
            payloads,
            is_text,
            ..Self::of_sizes(&[0], masks)
        })
    }

    /// Sets the level of compression, 0 to 9, if that is agreed; 6 by default.
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = level;
        self
    }

    /// Sends so many messages at once, with one write; 1 by default.
    #[must_use]
    pub fn pipelined(mut self, messages: usize) -> Self {
        self.pipelined = messages.max(1);
        self
    }

    /// How many messages are sent at once.
    pub(crate) const fn at_once(&self) -> u64 {
        self.pipelined as u64
    }

    pub(crate) const fn masks(&self) -> Masks {
        self.masks
    }

    pub(crate) const fn data_opcode(&self) -> u8 {
        match self.is_text {
            true => OPCODE_TEXT,
            false => OPCODE_BINARY,
        }
    }

    /// The first payload.
    pub(crate) fn first(&self) -> &[u8] {
        &self.payloads[0]
    }

    /// The mean length of a payload, in bytes.
    #[must_use]
    pub fn mean_len(&self) -> f64 {
        self.payloads.iter().map(Vec::len).sum::<usize>() as f64 / self.payloads.len() as f64
    }

    /// Builds what a connection sends at once, for each turn of the rotation; compressed as was
    /// agreed. Each message is compressed with an empty window, so that it may be sent at any
    /// point of a connection.
    #[must_use]
    pub fn batches(&self, deflate: Option<DeflateParams>) -> Vec<Vec<u8>> {
        let mut compressor =
            deflate.map(|params| Compressor::new(self.level, params.client_max_window_bits, false));
        // Every message is sent as often as the others, and no batch is twice there.
        let turns = self.payloads.len() / common_divisor(self.payloads.len(), self.pipelined);
        let mut number = 0;
        let mut payloads = self.payloads.iter().cycle();
        let mut batch = || {
            let mut frames = Vec::new();
            for payload in payloads.by_ref().take(self.pipelined) {
                let compressed = compressor
                    .as_mut()
                    .map(|compressor| compressor.compress(payload));
                let flag = if compressed.is_some() { COMPRESSED } else { 0 };
                let opcode = self.data_opcode() | flag;
                let payload = compressed.as_deref().unwrap_or(payload);
                append_frame(&mut frames, true, opcode, self.masks, number, payload);
                number += 1;
            }
            frames
        };
        (0..turns).map(|_| batch()).collect()
    }
}

const fn common_divisor(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        _ => common_divisor(b, a % b),
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("payloads", &self.payloads.len())
            .field("mean_len", &self.mean_len())
            .field("is_text", &self.is_text)
            .field("masks", &self.masks)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::Replies;

    #[test]
    fn every_message_is_in_the_rotation() {
        let payloads: Vec<_> = [1, 2, 3].map(|len| vec![b'a'; len]).to_vec();
        for (pipelined, batches) in [(1, 3), (2, 3), (3, 1), (6, 1)] {
            let messages = Messages::of_payloads(payloads.clone(), true, Masks::Zero).unwrap();
            let made = messages.pipelined(pipelined).batches(None);
            assert_eq!(made.len(), batches, "{pipelined} at once");
            for batch in made {
                assert_eq!(Replies::default().count(&batch), Ok(pipelined as u64));
            }
        }
    }

    #[test]
    fn small_messages_of_a_rotation_have_different_keys() {
        let batches = Messages::of_size(8, Masks::Random).batches(None);
        let mut keys: Vec<_> = batches.iter().map(|frame| frame[2..6].to_vec()).collect();
        assert_eq!(keys.len(), ROTATION);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), ROTATION);
    }

    #[test]
    fn text_is_checked_and_there_must_be_some() {
        let of = |payloads: &[&[u8]], is_text| {
            let payloads = payloads.iter().map(|payload| payload.to_vec()).collect();
            Messages::of_payloads(payloads, is_text, Masks::Random).err()
        };
        assert_eq!(of(&[], false), Some(MessagesError::Empty));
        assert_eq!(
            of(&[b"a", b"\xff"], true),
            Some(MessagesError::NotText { number: 2 })
        );
        assert_eq!(of(&[b"\xff"], false), None);
    }
}
