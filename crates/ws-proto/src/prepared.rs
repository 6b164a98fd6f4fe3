//! Messages that are encoded once and sent to many.

use alloc::vec::Vec;

use bytes::Bytes;

#[cfg(feature = "deflate")]
use crate::deflate::DeflatedFrame;
use crate::{Header, Message, MessageKind, OpCode, header::MAX_HEADER_LEN};

/// A message with its frame encoded, to be sent to any number of peers.
///
/// Cloning it, and queueing its [`frame`](Self::frame), copies a reference.
///
/// ```
/// use ws_proto::{Message, Prepared, Sender, ServerMasking};
///
/// let news = Prepared::new(Message::Text("hello, all"));
/// for _ in 0..1000 {
///     let mut tx = Sender::new(ServerMasking::new());
///     let frame = tx.prepared(&news)?;
///     assert_eq!(frame.len(), 12);
/// }
/// # Ok::<(), ws_proto::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    frame: Bytes,
    head_len: u8,
    kind: MessageKind,
    /// The compressed forms that were needed so far.
    #[cfg(feature = "deflate")]
    pub(crate) deflated: Vec<DeflatedFrame>,
}

impl Prepared {
    /// Encodes a message as one frame of a server; copies its payload once.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let (frame, head_len) = encode(message.kind(), message.as_bytes(), false);
        Self {
            frame,
            head_len,
            kind: message.kind(),
            #[cfg(feature = "deflate")]
            deflated: Vec::new(),
        }
    }

    /// Returns the whole frame as a server sends it.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Returns the payload of the message, without the head of its frame.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[usize::from(self.head_len)..]
    }

    /// Returns the type of the message.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }
}

/// Encodes a whole message as one frame of a server; returns the length of its
/// head, too.
pub(crate) fn encode(kind: MessageKind, payload: &[u8], compressed: bool) -> (Bytes, u8) {
    let opcode = match kind {
        MessageKind::Text => OpCode::Text,
        MessageKind::Binary => OpCode::Binary,
    };
    let mut header = Header::of_payload(true, opcode, None, payload.len() as u64);
    if compressed {
        header = header.compressed();
    }
    let mut head = [0; MAX_HEADER_LEN];
    let head_len = header.encode(&mut head);
    let mut frame = Vec::with_capacity(head_len + payload.len());
    frame.extend_from_slice(&head[..head_len]);
    frame.extend_from_slice(payload);
    (frame.into(), head_len as u8)
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;
    use crate::{ClientMasking, Sender, ServerMasking};

    #[test]
    fn frame_is_what_a_server_sends() {
        for message in [Message::Text("Hello"), Message::Binary(&[7; 300])] {
            let prepared = Prepared::new(message);
            let mut sent = Vec::new();
            let mut tx = Sender::new(ServerMasking::new());
            tx.message(message).unwrap().append_to(&mut sent, 0);
            assert_eq!(prepared.frame(), &sent);
            assert_eq!(prepared.payload(), message.as_bytes());
            assert_eq!(prepared.kind(), message.kind());
            let slices = tx.prepared(&prepared).unwrap();
            assert_eq!(slices.as_slices().unwrap().concat(), sent);
        }
    }

    #[test]
    fn client_masks_a_prepared_message_with_a_key_of_its_own() {
        //= RFC6455-5.1-1, RFC6455-5.3-2
        let prepared = Prepared::new(Message::Text("Hello"));
        let mut tx = Sender::new(ClientMasking::new());
        let mut frames = [Vec::new(), Vec::new()];
        for frame in &mut frames {
            tx.prepared(&prepared).unwrap().append_to(frame, 0);
            assert_eq!(frame[1], 0x85);
        }
        assert_ne!(frames[0][2..6], frames[1][2..6]);
    }
}
