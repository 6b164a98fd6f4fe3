//! What a peer does that it may not.

use ws_proto::Message;

use super::{Shared, Talk, talk::append_header};

/// A rule or a limit that a peer does not keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    UnknownOpcode,
    ReservedBits,
    /// A client that does not mask, or a server that does.
    Mask,
    CloseOfOneByte,
    Continuation,
    /// A header that declares more than any limit.
    Huge,
    Frame,
    Message,
    Fragments,
    /// Compressed, and too long once it is inflated.
    Inflated,
    /// Compressed, and too long while it inflates to nothing.
    Compressed,
}

impl Wrong {
    const ALL: [Self; 11] = [
        Self::UnknownOpcode,
        Self::ReservedBits,
        Self::Mask,
        Self::CloseOfOneByte,
        Self::Continuation,
        Self::Huge,
        Self::Frame,
        Self::Message,
        Self::Fragments,
        Self::Inflated,
        Self::Compressed,
    ];

    pub(super) fn choose(talk: &Talk, shared: &mut Shared) -> Self {
        let config = &shared.plan.config;
        let limits = &config.limits;
        let is_possible = |wrong: &Self| match wrong {
            Self::Mask => !talk.is_client() || config.accept_unmasked_frame == Default::default(),
            Self::Message => limits.max_message < 100_000,
            Self::Frame => limits.max_frame < limits.max_message,
            Self::Fragments => limits.max_fragments < 100,
            Self::Inflated => talk.codecs.is_some(),
            Self::Compressed => talk.codecs.is_some() && limits.max_message < 10_000,
            _ => true,
        };
        let possible: Vec<_> = Self::ALL.into_iter().filter(is_possible).collect();
        shared.random.choose(&possible)
    }

    pub(super) fn append(self, talk: &mut Talk, shared: &mut Shared, out: &mut Vec<u8>) {
        let limits = &shared.plan.config.limits;
        let mask = match talk.is_client() {
            true => 0x80,
            false => 0,
        };
        match self {
            Self::UnknownOpcode => talk.append_raw(out, 0x83, b""),
            Self::ReservedBits => talk.append_raw(out, 0xa1, b""),
            Self::Mask => append_header(out, 0x82, mask ^ 0x80, 0),
            Self::CloseOfOneByte => talk.append_raw(out, 0x88, b"a"),
            Self::Continuation => talk.append_raw(out, 0x80, b""),
            Self::Huge => append_header(out, 0x82, mask, 1 << 62),
            Self::Frame => append_header(out, 0x82, mask, limits.max_frame + 1),
            Self::Message => {
                let half = vec![0; limits.max_message as usize / 2 + 1];
                talk.append_raw(out, 0x02, &half);
                talk.append_raw(out, 0x80, &half);
            }
            Self::Fragments => {
                talk.append_raw(out, 0x02, b"");
                for _ in 0..limits.max_fragments {
                    talk.append_raw(out, 0x00, b"");
                }
            }
            Self::Inflated => {
                let zeros = vec![0; limits.max_message as usize + 1];
                let message = Message::Binary(&zeros);
                if let Some((_, deflater)) = &mut talk.codecs {
                    let frame = deflater.message(&mut talk.sender, message, &mut shared.deflate);
                    frame.expect("a peer may send").append_to(out, 0);
                }
            }
            Self::Compressed => {
                // Empty blocks that are stored, and not the last.
                let block = b"\0\0\0\xff\xff";
                let most = limits.max_frame as usize / block.len();
                let frame = block.repeat(most);
                talk.append_raw(out, 0x42, &frame);
                for _ in 0..10 + limits.max_message as usize * 2 / frame.len() {
                    talk.append_raw(out, 0x00, &frame);
                }
            }
        }
    }
}
