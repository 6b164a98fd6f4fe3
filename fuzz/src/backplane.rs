//! What servers of ws-backplane's engines say: replies of Redis, operations of NATS.

use redis_protocol::resp3::{decode::complete::decode, types::OwnedFrame};
use ws_backplane::{
    EngineError,
    client_protocol::{self, Operation},
    resp::{Scanner, Value},
};

/// The end of a reply is found at the same place in any chunking. What is read is what another
/// parser reads.
pub fn reply_is_read_alike_in_any_chunking(input: &[u8], seed: u8) {
    let whole = Scanner::default().scan(input);
    let mut scanner = Scanner::default();
    let step = 1 + usize::from(seed % 7);
    let mut pieces = (0..input.len())
        .step_by(step)
        .map(|end| scanner.scan(&input[..end]));
    let early = pieces.find(|found| *found != Ok(None));
    drop(pieces);
    let found = early.unwrap_or_else(|| scanner.scan(input));
    assert_eq!(found.is_err(), whole.is_err());
    let Ok(Some(length)) = whole else {
        return;
    };
    assert_eq!(found, Ok(Some(length)));
    let value = ws_backplane::resp::parse(&input[..length]);
    // The other one has no limit of depth, and its maps and sets have no order.
    let (Ok(value), Ok(Some((frame, other)))) = (value, decode(input)) else {
        return;
    };
    if let Some(expected) = ours(&frame) {
        assert_eq!((value, length), (expected, other));
    }
}

fn ours(frame: &OwnedFrame) -> Option<Value<'_>> {
    Some(match frame {
        OwnedFrame::BlobString { data, .. }
        | OwnedFrame::SimpleString { data, .. }
        | OwnedFrame::VerbatimString { data, .. } => Value::Text(data),
        OwnedFrame::BlobError { data, .. } => Value::Error(data),
        OwnedFrame::SimpleError { data, .. } => Value::Error(data.as_bytes()),
        OwnedFrame::Number { data, .. } => Value::Integer(*data),
        OwnedFrame::Double { .. }
        | OwnedFrame::Boolean { .. }
        | OwnedFrame::BigNumber { .. }
        | OwnedFrame::Null => Value::Other,
        OwnedFrame::Array { data, .. } => {
            Value::Array(data.iter().map(ours).collect::<Option<_>>()?)
        }
        OwnedFrame::Push { data, .. } => Value::Push(data.iter().map(ours).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// An operation is decided on by its own bytes, whatever follows; a message is no longer than what
/// was received, and its parts are within it.
pub fn operation_is_decided_on_by_its_own_bytes(input: &[u8]) {
    let whole = client_protocol::parse(input);
    let decided = (0..=input.len())
        .map(|end| (end, client_protocol::parse(&input[..end])))
        .find(|(_, found)| *found != Ok(None));
    let Some((at, found)) = decided else {
        assert_eq!(whole, Ok(None));
        return;
    };
    assert_eq!(found, whole, "what follows changes it");
    let Ok(Some((operation, length))) = found else {
        assert!(matches!(found, Err(EngineError::Protocol(_))));
        return;
    };
    assert_eq!(length, at, "it ends where it is decided on");
    if let Operation::Message(message) = operation {
        assert!(!message.subject.contains([' ', '\t', '\r', '\n']));
        let _ = message.headers.status();
        let taken: usize = message
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(taken + message.payload.len() <= length);
    }
}
