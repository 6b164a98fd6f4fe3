//! Sending and receiving are inverse.

use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, Header, Inbound, Limits, MAX_CONTROL_FRAME, Masking,
    MaskingPolicy, Message, MessageKind, OpCode, OutFrame, Outbox, Prepared, SeededKeys, SendError,
    Sender, ServerMasking,
};

use super::{
    model::{self, Got},
    receive::any_chunking_gives_the_events_of_the_model,
    text::known_bad_after,
};

/// Something to send.
#[derive(Clone, Debug)]
pub enum Action {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A fragment of a text message, and whether it is the last.
    TextFragment(String, bool),
    /// A fragment of a text message that may end inside a character, and
    /// whether it is the last.
    TextBytes(Vec<u8>, bool),
    /// A fragment of a binary message, and whether it is the last.
    BinaryFragment(Vec<u8>, bool),
    /// A text message that was encoded before.
    PreparedText(String),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close; a code that must not be sent is left out with its reason.
    Close(Option<(u16, String)>),
}

/// A peer receives what was sent by any policy and with any longest frame,
/// which `seed` chooses, and the wire is the same however it was written.
pub fn what_is_sent_is_what_is_received(actions: &[Action], seed: u8) {
    let keys = [seed; 32];
    let (masking, peer): (Masking<SeededKeys>, Inbound) = match seed % 4 {
        0 => (ServerMasking::new().into(), Inbound::RequireUnmasked),
        1 => (
            ClientMasking::from_seed(keys).into(),
            Inbound::RequireMasked,
        ),
        2 => (
            ClientMasking::with_set_mask_to_zero_or_seed(true, keys).into(),
            Inbound::RequireMasked,
        ),
        _ => (
            ClientMasking::with_set_mask_to_zero_or_seed(false, keys).into(),
            Inbound::AcceptUnmasked,
        ),
    };
    let is_server = masking.inbound() != Inbound::RequireUnmasked;
    let (wire, expected) = send(masking, is_server, actions, seed);
    let outcome = model::outcome(peer, Limits::UNLIMITED, &wire);
    assert_eq!(outcome.error, None);
    let got: Vec<Got> = outcome.got.into_iter().map(|(_, got)| got).collect();
    assert_eq!(got, expected);
    any_chunking_gives_the_events_of_the_model(peer, Limits::UNLIMITED, &wire, seed);
}

/// Sends what can be sent; gives the wire, and what a peer should receive.
fn send(
    masking: Masking<SeededKeys>,
    is_server: bool,
    actions: &[Action],
    seed: u8,
) -> (Vec<u8>, Vec<Got>) {
    let mut tx = Sender::new(masking);
    let mut transport = Transport::new(seed);
    let max_len = max_len(seed);
    let mut sent = Sent {
        is_server,
        is_closed: false,
        open: None,
        expected: Vec::new(),
    };
    for action in actions {
        let before = format!("{tx:?}");
        let result = attempt(&mut tx, &mut transport, max_len, action);
        assert_eq!(result.err(), sent.refusal(action), "{action:?}");
        if result.is_ok() {
            sent.note(action);
        } else {
            assert_eq!(format!("{tx:?}"), before, "what is refused changes nothing");
        }
        assert_eq!(tx.is_close_sent(), sent.is_closed);
        assert_eq!(tx.is_message_open(), sent.open.is_some());
        assert_eq!(tx.is_idle(), !sent.is_closed && sent.open.is_none());
    }
    (transport.finish(), sent.expected)
}

/// The longest frame that is sent: any in half of the cases.
fn max_len(seed: u8) -> usize {
    match seed / 4 % 2 {
        0 => usize::MAX,
        _ => MAX_CONTROL_FRAME + usize::from(seed / 8),
    }
}

fn attempt<P: MaskingPolicy>(
    tx: &mut Sender<P>,
    transport: &mut Transport,
    max_len: usize,
    action: &Action,
) -> Result<(), SendError> {
    let prepared;
    let frame = match action {
        Action::Text(text) => tx.message(Message::Text(text)),
        Action::Binary(bytes) => tx.message(Message::Binary(bytes)),
        Action::TextFragment(text, last) => tx.fragment(Message::Text(text), *last),
        Action::TextBytes(bytes, last) => tx.fragment_bytes(MessageKind::Text, bytes, *last),
        Action::BinaryFragment(bytes, last) => tx.fragment(Message::Binary(bytes), *last),
        Action::PreparedText(text) => {
            prepared = Prepared::new(Message::Text(text));
            tx.prepared(&prepared)
        }
        Action::Ping(payload) => tx.ping(payload),
        Action::Pong(payload) => tx.pong(payload),
        Action::Close(frame) => {
            tx.close(legal(frame.as_ref()).map(|(code, reason)| CloseFrame { code, reason }))
        }
    };
    let frame = frame?;
    let (len, opcode) = (frame.len(), frame.opcode());
    let frames = tx.split(frame, max_len)?;
    assert_eq!(frames.opcode(), opcode);
    assert_eq!(frames.len() == len, len <= max_len);
    for frame in frames.iter() {
        assert!(frame.len() <= max_len);
        transport.write(&frame);
    }
    Ok(())
}

fn legal(frame: Option<&(u16, String)>) -> Option<(CloseCode, &str)> {
    let (code, reason) = frame?;
    Some((CloseCode::new(*code)?, reason))
}

/// What was sent, as a peer should see it.
struct Sent {
    is_server: bool,
    is_closed: bool,
    /// The message that is sent in fragments, as far as it was.
    open: Option<(MessageKind, Vec<u8>)>,
    expected: Vec<Got>,
}

impl Sent {
    /// Why an action is refused, if it should be.
    fn refusal(&self, action: &Action) -> Option<SendError> {
        if self.is_closed {
            return Some(SendError::Closing);
        }
        let too_long = |len| (len > 125).then_some(SendError::ControlTooLong { len });
        let other_than = |kind| {
            let open = self.open.as_ref().is_some_and(|(open, _)| *open != kind);
            open.then_some(SendError::MessageTypeChanged)
        };
        match action {
            Action::Text(_) | Action::Binary(_) | Action::PreparedText(_) => {
                self.open.as_ref().map(|_| SendError::MessageUnfinished)
            }
            Action::BinaryFragment(..) => other_than(MessageKind::Binary),
            Action::TextFragment(..) => other_than(MessageKind::Text).or_else(|| {
                let split = core::str::from_utf8(&self.with(&[])).is_err();
                split.then_some(SendError::TextNotUtf8)
            }),
            Action::TextBytes(bytes, last) => other_than(MessageKind::Text).or_else(|| {
                let text = self.with(bytes);
                let split = *last && core::str::from_utf8(&text).is_err();
                (split || known_bad_after(&text).is_some()).then_some(SendError::TextNotUtf8)
            }),
            Action::Ping(payload) | Action::Pong(payload) => too_long(payload.len()),
            Action::Close(frame) => {
                let (code, reason) = legal(frame.as_ref())?;
                if self.is_server && code.get() == 1010 {
                    return Some(SendError::CloseCodeNotForServer);
                }
                too_long(2 + reason.len())
            }
        }
    }

    /// Notes what was sent.
    fn note(&mut self, action: &Action) {
        let got = match action {
            Action::Text(text) | Action::PreparedText(text) => Got::Text(text.clone()),
            Action::Binary(bytes) => Got::Binary(bytes.clone()),
            Action::TextFragment(text, last) => {
                return self.note_fragment(MessageKind::Text, text.as_bytes(), *last);
            }
            Action::TextBytes(bytes, last) => {
                return self.note_fragment(MessageKind::Text, bytes, *last);
            }
            Action::BinaryFragment(bytes, last) => {
                return self.note_fragment(MessageKind::Binary, bytes, *last);
            }
            Action::Ping(payload) => Got::Ping(payload.clone()),
            Action::Pong(payload) => Got::Pong(payload.clone()),
            Action::Close(frame) => {
                self.is_closed = true;
                let frame = legal(frame.as_ref());
                Got::Close(frame.map(|(code, reason)| (code.get(), reason.into())))
            }
        };
        self.expected.push(got);
    }

    fn note_fragment(&mut self, kind: MessageKind, bytes: &[u8], last: bool) {
        let bytes = self.with(bytes);
        self.open = None;
        if !last {
            self.open = Some((kind, bytes));
        } else if kind == MessageKind::Binary {
            self.expected.push(Got::Binary(bytes));
        } else if let Ok(text) = String::from_utf8(bytes) {
            self.expected.push(Got::Text(text));
        } else {
            panic!("fragments of text are text");
        }
    }

    /// The open message, if any, and `bytes` after it.
    fn with(&self, bytes: &[u8]) -> Vec<u8> {
        let open = self.open.as_ref().map_or(&[][..], |(_, open)| open);
        [open, bytes].concat()
    }
}

/// Takes a part of what it is given, so that the rest waits in an outbox.
struct Transport {
    written: Vec<u8>,
    expected: Vec<u8>,
    outbox: Outbox,
    step: usize,
    /// The length of the Pong that the last frame was, if it was one.
    pong: usize,
}

impl Transport {
    fn new(seed: u8) -> Self {
        Self {
            written: Vec::new(),
            expected: Vec::new(),
            outbox: Outbox::with_limit(usize::MAX),
            step: usize::from(seed),
            pong: 0,
        }
    }

    fn write(&mut self, frame: &OutFrame<'_>) {
        let mut whole = Vec::new();
        frame.append_to(&mut whole, 0);
        assert_eq!(frame.len(), whole.len());
        let Ok(Some((header, len))) = Header::decode(&whole) else {
            panic!("what is sent can be received")
        };
        assert_eq!(header.opcode(), frame.opcode());
        assert_eq!(header.reserved(), 0);
        assert_eq!(header.payload_len(), (whole.len() - len) as u64);
        if let Some([head, payload]) = frame.as_slices() {
            assert_eq!([head, payload].concat(), whole);
        }
        let is_pong = frame.opcode() == OpCode::Pong;
        if is_pong && self.pong > 0 && self.outbox.len() >= self.pong {
            // One that waits would make place for it, and one that was begun
            // is finished.
            self.take(self.outbox.len() - self.pong + 1);
        }
        self.pong = if is_pong { whole.len() } else { 0 };
        let skip = if self.outbox.is_empty() {
            self.step.min(whole.len())
        } else {
            0
        };
        self.written.extend(&whole[..skip]);
        assert_eq!(self.outbox.push(frame, skip), Ok(()));
        self.expected.extend(whole);
        self.take(self.step.min(self.outbox.len()));
    }

    fn take(&mut self, len: usize) {
        self.written.extend(&self.outbox.as_slice()[..len]);
        self.outbox.advance(len);
    }

    fn finish(mut self) -> Vec<u8> {
        self.written.extend(self.outbox.as_slice());
        assert_eq!(self.written, self.expected);
        self.written
    }
}
