//! The differences that are known, and whose fault they are.

use ws_proto::ProtocolError;

use super::{
    frame::Frame,
    readers::{Item, Peer},
};

/// Where another library reads something else than we do.
pub(super) struct Difference {
    pub(super) peer: Peer,
    /// Why it is right to differ.
    pub(super) why: &'static str,
    /// What the other reads instead: any other reading is a finding.
    pub(super) reads: Reads,
    /// Frames to a client that are read differently, so that a row that is no
    /// longer needed is noticed.
    pub(super) example: &'static [u8],
}

/// How a reading differs.
pub(super) enum Reads {
    /// It takes a frame for what this makes of it.
    Frame(fn(&mut Frame)),
    /// Of frames, the last of which we refuse so, it makes this item.
    Item(fn(ProtocolError, &[Frame]) -> Option<Item>),
}

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        peer: Peer::Tungstenite,
        why: "a length must be in its shortest form (RFC 6455 section 5.2); it does not look",
        reads: Reads::Frame(Frame::shorten_length),
        example: b"\x82\x7e\0\x01!",
    },
    Difference {
        peer: Peer::Tungstenite,
        why: "it hands out a Close with a code that must not be sent, which we refuse, as one \
              with 1002; and one with 1014, which is registered at IANA and which we hand out",
        reads: Reads::Frame(protocol_error_for_bad_codes),
        example: b"\x88\x02\x03\xed",
    },
    Difference {
        peer: Peer::TokioWebsockets,
        why: "a text must not end within a character (RFC 6455 section 8.1); it does not look at \
              a last fragment that is empty",
        reads: Reads::Item(text_that_ends_within_a_character),
        example: b"\x01\x01\xc3\x80\0",
    },
];

fn protocol_error_for_bad_codes(frame: &mut Frame) {
    let (8, Some((code, reason))) = (frame.opcode(), frame.payload().split_first_chunk()) else {
        return;
    };
    let is_known = matches!(
        u16::from_be_bytes(*code),
        1000..=1003 | 1007..=1013 | 3000..=4999
    );
    // The reason is looked at first, and the length before all.
    if !is_known && frame.len() <= 125 && str::from_utf8(reason).is_ok() {
        frame.set_payload(b"\x03\xeaProtocol violation");
    }
}

fn text_that_ends_within_a_character(error: ProtocolError, frames: &[Frame]) -> Option<Item> {
    if error != ProtocolError::TextNotUtf8 || !frames.last()?.payload().is_empty() {
        return None;
    }
    let data: Vec<_> = frames.iter().filter(|frame| !frame.is_control()).collect();
    let first = data.iter().rposition(|frame| frame.opcode() == 1)?;
    let pieces: Vec<_> = data[first..].iter().map(|frame| frame.payload()).collect();
    Some(Item::Text(pieces.concat()))
}
