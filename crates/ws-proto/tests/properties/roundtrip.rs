//! Sending and receiving are inverse.

use rand::{SeedableRng, rngs::StdRng};
use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, Header, Inbound, Limits, Masking, MaskingPolicy, Message,
    MessageKind, OutFrame, Outbox, Prepared, SendError, Sender, ServerMasking,
};

use super::{
    model::{self, Got},
    receive::any_chunking_gives_the_events_of_the_model,
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

/// A client and a server by any policy receive what the other sent, and the
/// wire is the same however it was written.
pub fn what_is_sent_is_what_is_received(actions: &[Action], seed: u8) {
    let rng = || StdRng::seed_from_u64(seed.into());
    let policies: [(Masking<StdRng>, Inbound); 4] = [
        (ServerMasking::new().into(), Inbound::RequireUnmasked),
        (
            ClientMasking::with_rng(rng()).into(),
            Inbound::RequireMasked,
        ),
        (
            ClientMasking::with_set_mask_to_zero_or_rng(true, rng()).into(),
            Inbound::RequireMasked,
        ),
        (
            ClientMasking::with_set_mask_to_zero_or_rng(false, rng()).into(),
            Inbound::AcceptUnmasked,
        ),
    ];
    for (masking, peer) in policies {
        let is_server = masking.inbound() != Inbound::RequireUnmasked;
        let (wire, expected) = send(masking, is_server, actions, seed);
        let outcome = model::outcome(peer, Limits::UNLIMITED, &wire);
        assert_eq!(outcome.error, None);
        let got: Vec<Got> = outcome.got.into_iter().map(|(_, got)| got).collect();
        assert_eq!(got, expected);
        any_chunking_gives_the_events_of_the_model(peer, Limits::UNLIMITED, &wire, seed);
    }
}

/// Sends what can be sent; gives the wire, and what a peer should receive.
fn send(
    masking: Masking<StdRng>,
    is_server: bool,
    actions: &[Action],
    seed: u8,
) -> (Vec<u8>, Vec<Got>) {
    let mut tx = Sender::new(masking);
    let mut transport = Transport::new(seed);
    let mut expected = Vec::new();
    let mut open: Option<(MessageKind, Vec<u8>)> = None;
    let mut closed = false;
    for action in actions {
        let before = format!("{tx:?}");
        let result = match action {
            Action::Text(text) => {
                let sent = tx.message(Message::Text(text)).map(|f| transport.write(&f));
                sent.map(|()| expected.push(Got::Text(text.clone())))
            }
            Action::Binary(bytes) => {
                let sent = tx
                    .message(Message::Binary(bytes))
                    .map(|f| transport.write(&f));
                sent.map(|()| expected.push(Got::Binary(bytes.clone())))
            }
            Action::PreparedText(text) => {
                let prepared = Prepared::new(Message::Text(text));
                let sent = tx.prepared(&prepared).map(|f| transport.write(&f));
                sent.map(|()| expected.push(Got::Text(text.clone())))
            }
            Action::TextFragment(text, last) => {
                let message = Message::Text(text);
                fragment(
                    &mut tx,
                    &mut transport,
                    message,
                    *last,
                    &mut open,
                    &mut expected,
                )
            }
            Action::BinaryFragment(bytes, last) => {
                let message = Message::Binary(bytes);
                fragment(
                    &mut tx,
                    &mut transport,
                    message,
                    *last,
                    &mut open,
                    &mut expected,
                )
            }
            Action::Ping(payload) => {
                let sent = tx.ping(payload).map(|f| transport.write(&f));
                sent.map(|()| expected.push(Got::Ping(payload.clone())))
            }
            Action::Pong(payload) => {
                let sent = tx.pong(payload).map(|f| transport.write(&f));
                sent.map(|()| expected.push(Got::Pong(payload.clone())))
            }
            Action::Close(frame) => {
                let legal = frame
                    .as_ref()
                    .and_then(|(code, reason)| Some((CloseCode::new(*code)?, reason)));
                let frame = legal.map(|(code, reason)| CloseFrame { code, reason });
                let sent = tx.close(frame).map(|f| transport.write(&f));
                sent.map(|()| {
                    closed = true;
                    expected.push(Got::Close(
                        frame.map(|frame| (frame.code.get(), frame.reason.into())),
                    ));
                })
            }
        };
        assert_eq!(tx.is_close_sent(), closed);
        assert_eq!(tx.is_message_open(), open.is_some());
        if let Err(error) = result {
            assert_eq!(format!("{tx:?}"), before, "what is refused changes nothing");
            let as_expected = match error {
                SendError::Closing => closed,
                SendError::MessageUnfinished | SendError::MessageTypeChanged => open.is_some(),
                SendError::ControlTooLong { len } => len > 125,
                SendError::CloseCodeNotForServer => is_server,
                _ => false,
            };
            assert!(as_expected, "{action:?} is refused with {error:?}");
        }
    }
    (transport.finish(), expected)
}

fn fragment<P: MaskingPolicy>(
    tx: &mut Sender<P>,
    transport: &mut Transport,
    piece: Message<'_>,
    last: bool,
    open: &mut Option<(MessageKind, Vec<u8>)>,
    expected: &mut Vec<Got>,
) -> Result<(), SendError> {
    transport.write(&tx.fragment(piece, last)?);
    let (kind, mut bytes) = open.take().unwrap_or_else(|| (piece.kind(), Vec::new()));
    assert_eq!(kind, piece.kind());
    bytes.extend(piece.as_bytes());
    if !last {
        *open = Some((kind, bytes));
        return Ok(());
    }
    expected.push(match (kind, String::from_utf8(bytes)) {
        (MessageKind::Text, Ok(text)) => Got::Text(text),
        (MessageKind::Text, Err(_)) => panic!("fragments of text are text"),
        (MessageKind::Binary, bytes) => {
            Got::Binary(bytes.map_or_else(|error| error.into_bytes(), String::into_bytes))
        }
    });
    Ok(())
}

/// Takes a part of what it is given, so that the rest waits in an outbox.
struct Transport {
    written: Vec<u8>,
    expected: Vec<u8>,
    outbox: Outbox,
    step: usize,
}

impl Transport {
    fn new(seed: u8) -> Self {
        Self {
            written: Vec::new(),
            expected: Vec::new(),
            outbox: Outbox::with_limit(usize::MAX),
            step: usize::from(seed),
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
        let skip = if self.outbox.is_empty() {
            self.step.min(whole.len())
        } else {
            0
        };
        self.written.extend(&whole[..skip]);
        assert_eq!(self.outbox.push(frame, skip), Ok(()));
        self.expected.extend(whole);
        let taken = self.step.min(self.outbox.len());
        self.written.extend(&self.outbox.as_slice()[..taken]);
        self.outbox.advance(taken);
    }

    fn finish(mut self) -> Vec<u8> {
        self.written.extend(self.outbox.as_slice());
        assert_eq!(self.written, self.expected);
        self.written
    }
}
