//! Drives an endpoint with literal wire bytes, in every way they can arrive.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

use ws_proto::{
    ClientMasking, Connection, ConnectionState, Event, Limits, MaskingPolicy, Message,
    ProtocolError, SeededKeys, ServerMasking,
};

/// Something that was received, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// 1005 stands for no code at all.
    Close(u16, String),
}

/// What came of some input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) got: Vec<Got>,
    pub(crate) error: Option<ProtocolError>,
    /// The replies that were due, as they go on the wire.
    pub(crate) replies: Vec<u8>,
    pub(crate) state: ConnectionState,
}

pub(crate) fn text(text: &str) -> Got {
    Got::Text(text.into())
}

pub(crate) fn binary(bytes: &[u8]) -> Got {
    Got::Binary(bytes.into())
}

pub(crate) fn ping(bytes: &[u8]) -> Got {
    Got::Ping(bytes.into())
}

pub(crate) fn pong(bytes: &[u8]) -> Got {
    Got::Pong(bytes.into())
}

pub(crate) fn close(code: u16, reason: &str) -> Got {
    Got::Close(code, reason.into())
}

/// A server by RFC 6455.
pub(crate) fn strict() -> Connection<ServerMasking> {
    Connection::new(ServerMasking::new(), Limits::default())
}

/// A server with `accept_unmasked_frame`.
pub(crate) fn accepting() -> Connection<ServerMasking> {
    let masking = ServerMasking::with_accept_unmasked_frame(true);
    Connection::new(masking, Limits::default())
}

/// A client whose replies are readable on the wire.
pub(crate) fn client() -> Connection<ClientMasking> {
    Connection::new(
        ClientMasking::with_set_mask_to_zero(true),
        Limits::default(),
    )
}

/// A client whose keys are the same at every run.
pub(crate) fn seeded_client() -> Connection<ClientMasking<SeededKeys>> {
    let masking = ClientMasking::from_seed([1; 32]);
    Connection::new(masking, Limits::default())
}

/// A frame with a key, for where a literal would be too long to read.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = unmasked(first, payload);
    let at = frame.len() - payload.len();
    frame[1] |= 0x80;
    for (i, byte) in frame[at..].iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
    frame.splice(at..at, key);
    frame
}

/// A frame without a key, for where a literal would be too long to read.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// Feeds `wire` whole, in two pieces at every split point, and byte by byte:
/// the outcome is the same, and so is the byte that decides an error.
pub(crate) fn receive<P: MaskingPolicy>(
    connection: impl Fn() -> Connection<P>,
    wire: &[u8],
) -> Outcome {
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    let (expected, decided_by) = feed(connection(), &bytes);
    // An error in the piece that holds the deciding byte, neither before nor after.
    let check = |pieces: &[&[u8]]| {
        let (outcome, piece) = feed(connection(), pieces);
        assert_eq!(outcome, expected, "in {} pieces", pieces.len());
        let (mut piece_of_byte, mut end) = (0, pieces[0].len());
        while decided_by >= end && piece_of_byte + 1 < pieces.len() {
            piece_of_byte += 1;
            end += pieces[piece_of_byte].len();
        }
        if outcome.error.is_some() {
            assert_eq!(piece, piece_of_byte, "the error comes at another byte");
        }
    };
    check(&[wire]);
    // Long inputs are split around their ends: what is between is alike.
    for at in (0..=wire.len()).filter(|at| *at < NEAR || wire.len() - at < NEAR) {
        let (a, b) = wire.split_at(at);
        check(&[a, b]);
    }
    expected
}

/// How near to an end an input is split; Miri takes a thousand times as long.
const NEAR: usize = if cfg!(miri) { 16 } else { 300 };

/// Feeds the pieces; tells in which one an error came.
fn feed<P: MaskingPolicy>(mut connection: Connection<P>, pieces: &[&[u8]]) -> (Outcome, usize) {
    let (mut got, mut replies, mut error) = (Vec::new(), Vec::new(), None);
    let mut failed_in = 0;
    for (i, piece) in pieces.iter().enumerate() {
        // A read that brought nothing changes nothing.
        for piece in [&[][..], piece, &[]] {
            let mut buffer = piece.to_vec();
            let result = receive_piece(&mut connection, &mut buffer, &mut got, &mut replies);
            if let Err(wrong) = result {
                assert_eq!(error, None, "a second error after {error:?}");
                error = Some(wrong);
                failed_in = i;
            }
        }
    }
    let state = connection.state();
    if error.is_some() {
        assert_eq!(state, ConnectionState::Failed);
        assert_eq!(connection.end(), Ok(()));
    }
    let outcome = Outcome {
        got,
        error,
        replies,
        state,
    };
    (outcome, failed_in)
}

fn receive_piece<P: MaskingPolicy>(
    connection: &mut Connection<P>,
    mut input: &mut [u8],
    got: &mut Vec<Got>,
    replies: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let (rx, messages, tx) = connection.parts();
    loop {
        let event = match rx.receive(&mut input) {
            Ok(Some(event)) => event,
            Ok(None) => {
                assert!(input.is_empty());
                return Ok(());
            }
            Err(error) => {
                assert!(input.is_empty());
                if let Some(reply) = tx.fail(&error) {
                    reply.append_to(replies, 0);
                }
                return Err(error);
            }
        };
        if let Some(reply) = tx.respond(&event) {
            reply.append_to(replies, 0);
        }
        got.extend(match event {
            Event::Data(chunk) => messages.push(chunk).map(|message| match message {
                Message::Text(text) => Got::Text(text.into()),
                Message::Binary(bytes) => Got::Binary(bytes.into()),
            }),
            Event::Compressed(_) => unreachable!("it was not negotiated"),
            Event::Ping(payload) => Some(ping(payload)),
            Event::Pong(payload) => Some(pong(payload)),
            Event::Close(None) => Some(close(1005, "")),
            Event::Close(Some(frame)) => Some(close(frame.code.get(), frame.reason)),
        });
    }
}
