//! The closing handshake (RFC 6455 sections 5.5.1, 7.1 and 7.4).

#![cfg(feature = "std")]

mod common;

use common::{
    accepting, binary, client, close, masked, ping, pong, receive, seeded_client, strict, text,
};
use ws_proto::{
    CloseCode, CloseFrame, Connection, ConnectionState, Event, MaskingPolicy, Message,
    ProtocolError, SendError,
};

const BYE: CloseFrame<'_> = CloseFrame {
    code: CloseCode::NORMAL,
    reason: "bye",
};

/// The connection after it sent Close 1000.
fn closing<P: MaskingPolicy>(mut connection: Connection<P>) -> Connection<P> {
    let (_, _, tx) = connection.parts();
    let mut sent = Vec::new();
    tx.close(Some(BYE)).unwrap().append_to(&mut sent, 0);
    assert_eq!(sent[0], 0x88);
    connection
}

/// Receives `wire`, which has nothing wrong in it.
fn feed<P: MaskingPolicy>(connection: &mut Connection<P>, wire: &[u8]) -> Vec<u8> {
    let mut wire = wire.to_vec();
    let mut input = &mut wire[..];
    let mut replies = Vec::new();
    let (rx, _, tx) = connection.parts();
    while let Some(event) = rx.receive(&mut input).unwrap() {
        if let Some(reply) = tx.respond(&event) {
            reply.append_to(&mut replies, 0);
        }
    }
    replies
}

#[test]
fn close_is_answered_with_a_close_that_echoes_the_code() {
    //= RFC6455-5.5.1-1, RFC6455-5.5.1-3, RFC6455-5.5.1-7, RFC6455-5.5.1-8, RFC6455-5.5.1-9
    //= RFC6455-7.1.5-1, RFC6455-7.1.6-1, RFC6455-5.5.1-5
    let table: [(&[u8], u16, &str, &[u8]); 6] = [
        (b"\x88\x00", 1005, "", b"\x88\x00"),
        (b"\x88\x02\x03\xe8", 1000, "", b"\x88\x02\x03\xe8"),
        (b"\x88\x05\x03\xe9bye", 1001, "bye", b"\x88\x02\x03\xe9"),
        (b"\x88\x04\x0b\xb8\xc3\xa9", 3000, "é", b"\x88\x02\x0b\xb8"),
        (b"\x88\x02\x13\x87", 4999, "", b"\x88\x02\x13\x87"),
        (b"\x88\x02\x03\xf6", 1014, "", b"\x88\x02\x03\xf6"),
    ];
    for (wire, code, reason, reply) in table {
        let outcome = receive(accepting, wire);
        assert_eq!(outcome.got, [close(code, reason)]);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.replies, reply);
        assert_eq!(outcome.state, ConnectionState::Closed);
        // A client answers the same, with the MASK bit and a key.
        let outcome = receive(client, wire);
        assert_eq!(outcome.got, [close(code, reason)]);
        let masked = [&[0x88, 0x80 | reply[1], 0, 0, 0, 0], &reply[2..]].concat();
        assert_eq!(outcome.replies, masked);
    }
    let outcome = receive(seeded_client, b"\x88\x02\x03\xe8");
    let [0x88, 0x82, a, b, _, _, x, y] = outcome.replies[..] else {
        panic!("{:x?}", outcome.replies)
    };
    assert_eq!([x ^ a, y ^ b], [0x03, 0xe8]);
}

#[test]
fn server_is_told_that_a_client_misses_an_extension() {
    //= RFC6455-7.4.1-7
    let outcome = receive(accepting, b"\x88\x02\x03\xf2");
    assert_eq!(outcome.got, [close(1010, "")]);
    for connection in [strict(), accepting()] {
        let mut connection = connection;
        let (_, _, tx) = connection.parts();
        let frame = CloseFrame {
            code: CloseCode::MANDATORY_EXTENSION,
            reason: "",
        };
        let refused = tx.close(Some(frame)).map(|frame| frame.len());
        assert_eq!(refused, Err(SendError::CloseCodeNotForServer));
        assert!(!tx.is_close_sent());
        // 1011 is for both.
        let code = CloseCode::INTERNAL_ERROR;
        assert!(tx.close(Some(CloseFrame { code, reason: "" })).is_ok());
    }
    let mut client = client();
    let (_, _, tx) = client.parts();
    let mut sent = Vec::new();
    let code = CloseCode::MANDATORY_EXTENSION;
    let frame = tx.close(Some(CloseFrame { code, reason: "x" })).unwrap();
    frame.append_to(&mut sent, 0);
    assert_eq!(sent, b"\x88\x83\0\0\0\0\x03\xf2x");
}

#[test]
fn closing_with_any_reason_and_code_closes() {
    let reason = "€".repeat(50);
    let mut server = strict();
    let (_, _, tx) = server.parts();
    let mut sent = Vec::new();
    let frame = tx.close_with(CloseCode::MANDATORY_EXTENSION, &reason);
    frame.unwrap().append_to(&mut sent, 0);
    // 1010 is not for servers.
    assert_eq!(sent[..4], [0x88, 125, 0x03, 0xf3]);
    assert_eq!(sent[4..], reason.as_bytes()[..123]);
    assert!(tx.is_close_sent());
    let again = tx.close_with(CloseCode::NORMAL, "");
    assert_eq!(again.unwrap_err(), SendError::Closing);

    let mut client = client();
    let (_, _, tx) = client.parts();
    let frame = tx.close_with(CloseCode::MANDATORY_EXTENSION, "x").unwrap();
    sent.clear();
    frame.append_to(&mut sent, 0);
    assert_eq!(sent, b"\x88\x83\0\0\0\0\x03\xf2x");
}

#[test]
fn codes_that_must_not_stand_in_a_close_are_refused_with_1002() {
    //= RFC6455-7.4.1-2, RFC6455-7.4.1-3, RFC6455-7.4.1-4, RFC6455-7.4.1-5
    //= RFC6455-7.4.2-1, RFC6455-7.4.2-2, RFC6455-7.4.2-5
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 0xffff,
    ] {
        let outcome = receive(strict, &masked(0x88, &u16::to_be_bytes(code)));
        assert_eq!(
            outcome.error,
            Some(ProtocolError::CloseCodeInvalid { code })
        );
        assert!(
            outcome
                .replies
                .starts_with(b"\x88\x14\x03\xeaclose_code_inv")
        );
    }
    for code in (1000..=1003)
        .chain(1007..=1014)
        .chain([3000, 3999, 4000, 4999])
    {
        let outcome = receive(strict, &masked(0x88, &u16::to_be_bytes(code)));
        assert_eq!(outcome.got, [close(code, "")]);
    }
}

#[test]
fn close_body_of_one_byte_or_with_a_bad_reason_is_refused() {
    //= RFC6455-5.5.1-2, RFC6455-8.1-1, RFC6455-7.1.7-5, RFC6455-10.7-3
    let outcome = receive(accepting, b"\x88\x01\x03");
    assert_eq!(outcome.error, Some(ProtocolError::ClosePayloadShort));
    assert!(outcome.replies.starts_with(b"\x88\x15\x03\xea"));
    // Latin-1, and cut inside of a character; the code in front of it is kept.
    for reason in [&b"\xff"[..], b"\xc3", b"ok\xe2\x82", b"\xed\xa0\x80"] {
        let outcome = receive(strict, &masked(0x88, &[b"\x0f\xa1", reason].concat()));
        let code = CloseCode::new(4001).unwrap();
        let error = ProtocolError::CloseReasonNotUtf8 { code };
        assert_eq!(outcome.error, Some(error));
        assert_eq!(error.received_close_code(), Some(code));
        assert!(outcome.replies.starts_with(b"\x88\x17\x03\xef"));
    }
    let reason = "é".repeat(61) + "!";
    let wire = masked(0x88, &[b"\x03\xe8", reason.as_bytes()].concat());
    assert_eq!(receive(strict, &wire).got, [close(1000, &reason)]);
}

#[test]
fn starting_to_close_sends_the_code_and_the_reason() {
    //= RFC6455-7.1.2-1, RFC6455-7.1.3-1, RFC6455-5.5.1-5, RFC6455-7.4-1
    let mut connection = strict();
    let (_, _, tx) = connection.parts();
    let mut sent = Vec::new();
    tx.close(Some(BYE)).unwrap().append_to(&mut sent, 0);
    assert_eq!(sent, b"\x88\x05\x03\xe8bye");
    assert_eq!(connection.state(), ConnectionState::Closing);

    let mut connection = client();
    let (_, _, tx) = connection.parts();
    let mut sent = Vec::new();
    tx.close(None).unwrap().append_to(&mut sent, 0);
    assert_eq!(sent, b"\x88\x80\0\0\0\0");
    assert_eq!(connection.state(), ConnectionState::Closing);
}

#[test]
fn nothing_but_pongs_is_sent_after_a_close() {
    //= RFC6455-5.5.1-6, RFC6455-6.1-1
    let mut ours = closing(strict());
    let mut theirs = strict();
    let mut both = closing(strict());
    feed(&mut theirs, b"\x88\x80\0\0\0\0");
    feed(&mut both, b"\x88\x80\0\0\0\0");
    for connection in [&mut ours, &mut theirs, &mut both] {
        let (_, _, tx) = connection.parts();
        let message = Message::Text("late");
        let prepared = ws_proto::Prepared::new(message);
        let refused = [
            tx.message(message).map(|f| f.len()),
            tx.fragment(message, false).map(|f| f.len()),
            tx.fragment(message, true).map(|f| f.len()),
            tx.prepared(&prepared).map(|f| f.len()),
            tx.ping(b"").map(|f| f.len()),
            tx.pong(b"").map(|f| f.len()),
            tx.close(None).map(|f| f.len()),
            tx.close(Some(BYE)).map(|f| f.len()),
        ];
        assert_eq!(refused, [Err(SendError::Closing); 8]);
    }
}

#[test]
fn message_in_fragments_may_be_left_unfinished_by_a_close() {
    //= RFC6455-5.5.1-6, RFC6455-6.1-1
    let mut connection = strict();
    let (_, _, tx) = connection.parts();
    let _ = tx.fragment(Message::Text("a"), false).unwrap().len();
    assert!(tx.close(None).is_ok());
    let refused = [
        tx.fragment(Message::Text("b"), true).map(|f| f.len()),
        tx.message(Message::Text("b")).map(|f| f.len()),
    ];
    assert_eq!(refused, [Err(SendError::Closing); 2]);
    // The peer sees a clean close, and no message.
    let outcome = receive(client, b"\x01\x01a\x88\x00\x80\x01b");
    assert_eq!(outcome.got, [close(1005, "")]);
    assert_eq!(outcome.error, None);
}

/// Every order of our Close, the peer's Close, the end of the transport, with
/// what is before and after them.
#[test]
fn state_follows_the_closes_in_every_order() {
    //= RFC6455-7.1.3-1, RFC6455-7.1.4-1, RFC6455-7.1.5-1, RFC6455-5.5.1-15
    use ConnectionState::{Closed, Closing, Failed, Open};
    const CLOSE: &[u8] = b"\x88\x02\x03\xe8";
    const TEXT: &[u8] = b"\x81\x01a";

    let mut connection = client();
    assert_eq!(connection.state(), Open);
    feed(&mut connection, TEXT);
    assert_eq!(connection.state(), Open);

    // Ours first.
    let mut connection = closing(connection);
    assert_eq!(connection.state(), Closing);
    feed(&mut connection, TEXT);
    assert_eq!(connection.state(), Closing);
    assert_eq!(feed(&mut connection, CLOSE), b"");
    assert_eq!(connection.state(), Closed);
    assert_eq!(connection.end(), Ok(()));
    assert_eq!(connection.state(), Closed);

    // Theirs first: received, then answered.
    let mut connection = client();
    let (rx, _, tx) = connection.parts();
    let mut wire = CLOSE.to_vec();
    let mut input = &mut wire[..];
    let event = rx.receive(&mut input).unwrap().unwrap();
    let mut sent = Vec::new();
    assert!(!tx.is_close_sent());
    // The answer may wait until a message that is being sent is done.
    tx.message(Message::Text("last"))
        .unwrap()
        .append_to(&mut sent, 0);
    tx.respond(&event).unwrap().append_to(&mut sent, 0);
    assert!(tx.respond(&event).is_none());
    assert_eq!(sent, b"\x81\x84\0\0\0\0last\x88\x82\0\0\0\0\x03\xe8");
    assert_eq!(connection.state(), Closed);

    let mut connection = client();
    let (rx, ..) = connection.parts();
    let mut wire = CLOSE.to_vec();
    assert!(rx.receive(&mut &mut wire[..]).unwrap().is_some());
    assert_eq!(connection.state(), Closing);
    assert_eq!(connection.end(), Ok(()));
    assert_eq!(connection.state(), Closing);

    // The transport ends before the peer's Close.
    for mut connection in [client(), closing(client())] {
        feed(&mut connection, TEXT);
        assert_eq!(connection.end(), Err(ProtocolError::ConnectionLost));
        assert_eq!(connection.state(), Failed);
        assert_eq!(connection.end(), Ok(()));
    }
}

#[test]
fn connection_that_ends_without_a_close_is_lost_wherever_it_ends() {
    //= RFC6455-7.1.4-1, RFC6455-7.1.5-1, RFC6455-7.1.7-6
    let wire = b"\x81\x01a\x01\x02\xc3\xa9\x89\x02hi\x80\x7e\x00\x7e";
    for end in 0..=wire.len() {
        let mut connection = client();
        feed(&mut connection, &wire[..end]);
        assert_eq!(connection.end(), Err(ProtocolError::ConnectionLost));
        // There is nobody left to tell.
        let (rx, _, tx) = connection.parts();
        assert!(tx.fail(&ProtocolError::ConnectionLost).is_none());
        let mut more = *b"\x81\x01a";
        assert_eq!(rx.receive(&mut &mut more[..]), Ok(None));
    }
}

#[test]
fn what_comes_after_our_close_is_received_until_the_peers() {
    //= RFC6455-5.5.1-15, RFC6455-5.5.2-2
    let wire = b"\x81\x01a\x02\x01b\x89\x02hi\x8a\x00\x80\x01c\x88\x02\x03\xe9\x81\x01d";
    let outcome = receive(|| closing(client()), wire);
    let got = [
        text("a"),
        ping(b"hi"),
        pong(b""),
        binary(b"bc"),
        close(1001, ""),
    ];
    assert_eq!(outcome.got, got);
    assert_eq!(outcome.error, None);
    // The Ping is answered, and the Close is not: ours was sent.
    assert_eq!(outcome.replies, b"\x8a\x82\0\0\0\0hi");
    assert_eq!(outcome.state, ConnectionState::Closed);
}

#[test]
fn rules_hold_after_our_close_and_the_error_is_not_sent() {
    //= RFC6455-7.1.7-5, RFC6455-7.1.7-6, RFC6455-7.1.7-7
    let outcome = receive(|| closing(client()), b"\x81\x01a\x83\x00\x88\x00");
    assert_eq!(outcome.got, [text("a")]);
    let error = ProtocolError::ReservedOpcode { opcode: 3 };
    assert_eq!(outcome.error, Some(error));
    assert_eq!(outcome.replies, b"");
    assert_eq!(outcome.state, ConnectionState::Failed);
}

#[test]
fn bytes_after_the_peers_close_are_discarded() {
    let wire = b"\x81\x01a\x88\x00\x81\x01b\x88\x00\xff\xff\xff\xff";
    for connection in [client as fn() -> _, || closing(client())] {
        let outcome = receive(connection, wire);
        assert_eq!(outcome.got, [text("a"), close(1005, "")]);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.state, ConnectionState::Closed);
    }
}

#[test]
fn close_inside_an_unfinished_message_drops_the_message() {
    //= RFC6455-5.4-8
    let outcome = receive(client, b"\x01\x02\xe2\x82\x88\x02\x03\xe8\x80\x01\xac");
    assert_eq!(outcome.got, [close(1000, "")]);
    assert_eq!(outcome.error, None);
}

#[test]
fn pings_are_answered_until_the_close_and_not_after() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.2-4
    let outcome = receive(
        strict,
        b"\x89\x81\0\0\0\x001\x88\x80\0\0\0\0\x89\x81\0\0\0\x002",
    );
    assert_eq!(outcome.got, [ping(b"1"), close(1005, "")]);
    assert_eq!(outcome.replies, b"\x8a\x011\x88\x00");
}

#[test]
fn error_is_told_once() {
    //= RFC6455-7.1.7-5
    let mut connection = strict();
    let (_, _, tx) = connection.parts();
    let mut sent = Vec::new();
    let error = ProtocolError::TooManyFragments { limit: 9 };
    tx.fail(&error).unwrap().append_to(&mut sent, 0);
    assert_eq!(sent, b"\x88\x14\x03\xf0too_many_fragments");
    assert!(tx.fail(&error).is_none());
    assert!(tx.respond(&Event::Close(None)).is_none());
}

#[test]
fn reasons_of_errors_fit_into_a_close() {
    let errors = [
        ProtocolError::ReservedBits { bits: 7 },
        ProtocolError::ReservedOpcode { opcode: 3 },
        ProtocolError::ControlFragmented,
        ProtocolError::ControlTooLong,
        ProtocolError::UnexpectedContinuation,
        ProtocolError::ExpectedContinuation,
        ProtocolError::UnmaskedFrame,
        ProtocolError::MaskedFrame,
        ProtocolError::LengthNotMinimal { len: 1 },
        ProtocolError::LengthTopBitSet,
        ProtocolError::ClosePayloadShort,
        ProtocolError::CloseCodeInvalid { code: 1005 },
        ProtocolError::CloseReasonNotUtf8 {
            code: CloseCode::NORMAL,
        },
        ProtocolError::TextNotUtf8,
        ProtocolError::FrameTooBig { len: 2, limit: 1 },
        ProtocolError::MessageTooBig { len: 2, limit: 1 },
        ProtocolError::TooManyFragments { limit: 1 },
        ProtocolError::DeflateData,
        ProtocolError::ExpansionTooBig { limit: 1 },
        ProtocolError::InflateBudget { limit: 1 },
    ];
    for error in errors {
        let mut connection = strict();
        let (_, _, tx) = connection.parts();
        let mut sent = Vec::new();
        tx.fail(&error).unwrap().append_to(&mut sent, 0);
        let told = matches!(error, ProtocolError::CloseReasonNotUtf8 { .. });
        assert_eq!(error.received_close_code().is_some(), told);
        let code = error.close_code().unwrap().get();
        assert_eq!(sent[2..4], code.to_be_bytes());
        assert_eq!(&sent[4..], error.kind().as_bytes());
        // And it is told in words.
        assert!(error.to_string().len() > 10);
    }
    // Who is lost is not told.
    let lost = ProtocolError::ConnectionLost;
    assert_eq!((lost.kind(), lost.close_code()), ("connection_lost", None));
}
