//! The protocol of Redis: what is whole is found at every split, and read as another parser reads
//! it.

use redis_protocol::resp3::{decode::complete::decode, types::OwnedFrame};
use ws_backplane::{
    EngineError,
    resp::{Scanner, Value, parse},
};

const REPLIES: &[&str] = &[
    "+OK\r\n",
    "-ERR no such thing\r\n",
    ":-12\r\n",
    "$5\r\nhello\r\n",
    "$0\r\n\r\n",
    "$8\r\na\r\nb\r\nc\r\r\n",
    "*0\r\n",
    "*3\r\n:1\r\n$1\r\nx\r\n*1\r\n+y\r\n",
    "~2\r\n+a\r\n+b\r\n",
    "%1\r\n+key\r\n:7\r\n",
    ">3\r\n$7\r\nmessage\r\n$4\r\nws:t\r\n$3\r\nabc\r\n",
    "=8\r\ntxt:text\r\n",
    "!5\r\nERR x\r\n",
    "_\r\n",
    "#t\r\n",
    ",1.5\r\n",
    "(12345678901234567890\r\n",
];

/// The other parser's value in our words; maps and sets have no order in it.
fn ours(frame: &OwnedFrame) -> Option<Value<'_>> {
    Some(match frame {
        OwnedFrame::BlobString { data, .. } | OwnedFrame::SimpleString { data, .. } => {
            Value::Text(data)
        }
        OwnedFrame::VerbatimString { data, .. } => Value::Text(data),
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

#[test]
fn reply_is_read_as_another_parser_reads_it() {
    let mut compared = 0;
    for reply in REPLIES {
        let (frame, length) = decode(reply.as_bytes()).expect("valid").expect("whole");
        assert_eq!(length, reply.len());
        let value = parse(reply.as_bytes()).expect("valid");
        if let Some(expected) = ours(&frame) {
            assert_eq!(value, expected, "{reply:?}");
            compared += 1;
        }
    }
    assert!(compared >= 15);
}

#[test]
fn end_of_a_reply_is_found_wherever_it_is_split() {
    for reply in REPLIES {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.extend_from_slice(b"+next\r\n");
        for split in 0..reply.len() {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.scan(&bytes[..split]), Ok(None), "{reply:?} {split}");
            assert_eq!(
                scanner.scan(&bytes),
                Ok(Some(reply.len())),
                "{reply:?} {split}"
            );
        }
    }
}

#[test]
fn what_is_changed_is_refused_or_read_as_by_another_parser() {
    let mut random = 0x9e37_79b9_u64;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let alphabet = b"+-:$*>%~=!_#,(|0123456789\r\nax";
    let mut both = 0;
    for _ in 0..200_000 {
        let mut bytes = REPLIES[next() % REPLIES.len()].as_bytes().to_vec();
        for _ in 0..1 + next() % 2 {
            let at = next() % bytes.len();
            bytes[at] = alphabet[next() % alphabet.len()];
        }
        let Ok(Some(length)) = Scanner::default().scan(&bytes) else {
            continue;
        };
        let value = parse(&bytes[..length]);
        let Ok(Some((frame, other))) = decode(&bytes) else {
            continue;
        };
        let (Ok(value), Some(expected)) = (value, ours(&frame)) else {
            continue;
        };
        assert_eq!(
            (length, &value),
            (other, &expected),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        both += 1;
    }
    assert!(both > 1_000, "{both}");
}

#[test]
fn attribute_stands_before_the_value_that_is_read() {
    let reply = b"|1\r\n+ttl\r\n:3600\r\n*1\r\n:1\r\n";
    assert_eq!(Scanner::default().scan(reply), Ok(Some(reply.len())));
    assert_eq!(parse(reply), Ok(Value::Array(vec![Value::Integer(1)])));
}

#[test]
fn what_is_not_resp_is_refused() {
    let deep = "*1\r\n".repeat(40) + ":1\r\n";
    for reply in [
        "HTTP/1.1 400\r\n",
        "\r\n",
        "$-2\r\n",
        "$x\r\n",
        "*\r\n",
        "$1\r\nabc",
        "+a\rb\r\n",
    ] {
        let error = Scanner::default().scan(reply.as_bytes());
        assert!(
            matches!(error, Err(EngineError::Protocol(_))),
            "{reply:?}: {error:?}"
        );
    }
    let many = "*999999999\r\n";
    assert!(Scanner::default().scan(many.as_bytes()).is_err());
    let long = "$999999999\r\n";
    assert!(Scanner::default().scan(long.as_bytes()).is_err());
    assert!(Scanner::default().scan(&vec![b'+'; 100_000]).is_err());
    assert_eq!(
        Scanner::default().scan(deep.as_bytes()),
        Ok(Some(deep.len()))
    );
    assert!(parse(deep.as_bytes()).is_err());
}
