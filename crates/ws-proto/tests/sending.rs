//! What an endpoint puts on the wire (RFC 6455 sections 5 and 6.1).

#![cfg(feature = "std")]

mod common;

use common::{masked, unmasked};
use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, ConfigError, Event, Header, MAX_CONTROL_FRAME,
    MAX_HEADER_LEN, MaskKey, Masking, MaskingPolicy, Message, MessageKind, OpCode, OutFrame,
    Outbox, Prepared, SeededKeys, SendError, Sender, ServerMasking,
};

fn server() -> Sender<ServerMasking> {
    Sender::new(ServerMasking::new())
}

/// A client with the key `00 00 00 00`.
fn zero_client() -> Sender<ClientMasking> {
    Sender::new(ClientMasking::with_set_mask_to_zero(true))
}

/// A client whose keys are those of [`keys`].
fn client() -> Sender<ClientMasking<SeededKeys>> {
    Sender::new(ClientMasking::from_seed([3; 32]))
}

/// The keys that [`client`] uses, in order.
fn keys() -> impl Iterator<Item = [u8; 4]> {
    let mut masking = ClientMasking::from_seed([3; 32]);
    core::iter::repeat_with(move || masking.next_key().unwrap().unwrap().bytes())
}

fn wire(frame: &OutFrame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.append_to(&mut out, 0);
    out
}

/// Takes the mask off a frame, and gives the frame that a server would send.
fn without_mask(frame: &[u8]) -> (MaskKey, Vec<u8>) {
    let (header, len) = Header::decode(frame).unwrap().unwrap();
    let key = header.mask().expect("the MASK bit is set");
    let mut payload = frame[len..].to_vec();
    ws_proto::xor(&mut payload, key);
    assert_eq!(header.payload_len(), payload.len() as u64);
    let header = Header::new(header.fin(), header.opcode(), None, header.payload_len()).unwrap();
    let mut head = [0; MAX_HEADER_LEN];
    let len = header.encode(&mut head);
    (key, [&head[..len], &payload].concat())
}

/// Every form of frame, made by one sender.
fn each_form<P: MaskingPolicy>(tx: &mut Sender<P>, mut frame: impl FnMut(&OutFrame<'_>)) {
    let prepared = Prepared::new(Message::Text("prepared"));
    frame(&tx.message(Message::Text("Hello")).unwrap());
    frame(&tx.message(Message::Text("")).unwrap());
    frame(&tx.message(Message::Binary(&[7; 125])).unwrap());
    frame(&tx.message(Message::Binary(&[7; 126])).unwrap());
    frame(&tx.message(Message::Binary(&[7; 0xffff])).unwrap());
    frame(&tx.message(Message::Binary(&[7; 0x1_0000])).unwrap());
    frame(&tx.prepared(&prepared).unwrap());
    frame(&tx.fragment(Message::Text("frag"), false).unwrap());
    frame(&tx.ping(b"between").unwrap());
    frame(&tx.fragment(Message::Text(""), false).unwrap());
    frame(&tx.pong(b"").unwrap());
    frame(&tx.fragment(Message::Text("ment"), true).unwrap());
    frame(&tx.respond(&Event::Ping(b"answer me")).unwrap());
    let code = CloseCode::NORMAL;
    let reason = "all is said";
    frame(&tx.close(Some(CloseFrame { code, reason })).unwrap());
}

const FORMS: usize = 14;

#[test]
fn server_frames_are_as_section_5_2_says() {
    //= RFC6455-6.1-2, RFC6455-6.1-4, RFC6455-6.1-5, RFC6455-5.2-2, RFC6455-5.2-10
    //= RFC6455-5.1-2, RFC6455-5.4-9, RFC6455-6.1-3, MSWS-3.2.4-1
    let expected = [
        unmasked(0x81, b"Hello"),
        b"\x81\x00".to_vec(),
        [&b"\x82\x7d"[..], &[7; 125]].concat(),
        [&b"\x82\x7e\x00\x7e"[..], &[7; 126]].concat(),
        [&b"\x82\x7e\xff\xff"[..], &[7; 0xffff]].concat(),
        [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[7; 0x1_0000]].concat(),
        b"\x81\x08prepared".to_vec(),
        b"\x01\x04frag".to_vec(),
        b"\x89\x07between".to_vec(),
        b"\x00\x00".to_vec(),
        b"\x8a\x00".to_vec(),
        b"\x80\x04ment".to_vec(),
        b"\x8a\x09answer me".to_vec(),
        b"\x88\x0d\x03\xe8all is said".to_vec(),
    ];
    for flag in [false, true] {
        let mut sent = Vec::new();
        let masking = ServerMasking::with_accept_unmasked_frame(flag);
        each_form(&mut Sender::new(masking), |frame| sent.push(wire(frame)));
        assert_eq!(sent, expected);
        let mut sent = Vec::new();
        let masking: Masking = masking.into();
        each_form(&mut Sender::new(masking), |frame| sent.push(wire(frame)));
        assert_eq!(sent, expected);
    }
}

#[test]
fn zero_key_frames_differ_from_server_frames_by_the_mask_bit_and_four_zero_bytes() {
    //= MSWS-3.1.1-1, MSWS-3.1.3-1, MSWS-3.1.3-2, MSWS-3.1.4-1, MSWS-3.1.4-3, MSWS-3.1.4-4
    //= MSWS-3.1.4-5, MSWS-3.1.4-6, MSWS-2.2-1, RFC6455-5.5.1-5
    let mut plain = Vec::new();
    each_form(&mut server(), |frame| plain.push(wire(frame)));
    let mut count = 0;
    each_form(&mut zero_client(), |frame| {
        let [head, payload] = frame.as_slices().expect("no copy is needed");
        let sent = [head, payload].concat();
        assert_eq!(wire(frame), sent);
        let (header, len) = Header::decode(&sent).unwrap().unwrap();
        assert_eq!(header.mask(), Some(MaskKey::new([0; 4])));
        assert_eq!(sent[len - 4..len], [0; 4]);
        let (_, unmasked) = without_mask(&sent);
        assert_eq!(unmasked, plain[count]);
        assert_eq!(frame.len(), plain[count].len() + 4);
        count += 1;
    });
    assert_eq!(count, FORMS);
}

#[test]
fn every_client_frame_is_masked_with_a_fresh_key() {
    //= RFC6455-5.1-1, RFC6455-6.1-6, RFC6455-5.3-1, RFC6455-5.3-2, RFC6455-5.3-5
    //= RFC6455-5.5.1-5, RFC6455-10.3-1, MSWS-3.1.4-2
    let mut plain = Vec::new();
    each_form(&mut server(), |frame| plain.push(wire(frame)));
    let mut expected_keys = keys();
    let mut used = std::collections::BTreeSet::new();
    let mut count = 0;
    each_form(&mut client(), |frame| {
        let (key, unmasked) = without_mask(&wire(frame));
        assert!(used.insert(key.bytes()), "a key that was used before");
        assert_eq!(key.bytes(), expected_keys.next().unwrap());
        assert_eq!(unmasked, plain[count]);
        assert!(frame.as_slices().is_none());
        count += 1;
    });
    assert_eq!(count, FORMS);
}

#[test]
fn same_data_sent_twice_looks_different() {
    //= RFC6455-10.3-1, RFC6455-10.3-2
    let mut tx = Sender::new(ClientMasking::new());
    let frames: Vec<_> = (0..16)
        .map(|_| wire(&tx.message(Message::Text("GET / HTTP/1.1\r\n")).unwrap()))
        .collect();
    let distinct: std::collections::BTreeSet<_> = frames.iter().collect();
    assert!(distinct.len() >= 15);
}

#[test]
fn frame_can_be_appended_from_any_of_its_bytes_on() {
    fn check(frame: &OutFrame<'_>) {
        let whole = wire(frame);
        assert_eq!(frame.len(), whole.len());
        let len = whole.len();
        let skips = (0..=len).filter(|at| *at < 40 || len - at < 40);
        for skip in skips.chain([len + 1, usize::MAX]) {
            let mut out = b"before".to_vec();
            frame.append_to(&mut out, skip);
            assert_eq!(&out[..6], b"before");
            assert_eq!(out[6..], whole[skip.min(len)..]);
            if let Some([head, payload]) = frame.as_slices() {
                assert_eq!([head, payload].concat(), whole);
            }
            // The outbox takes the same part of it, and no limit is in the way
            // of a frame that was begun.
            if skip > 0 {
                let mut outbox = Outbox::with_limit(0);
                outbox.push(frame, skip).unwrap();
                assert_eq!(outbox.as_slice(), &whole[skip.min(len)..]);
            }
        }
    }
    each_form(&mut server(), check);
    each_form(&mut zero_client(), check);
    each_form(&mut client(), check);
}

#[test]
fn opcode_of_a_frame_is_told() {
    let mut opcodes = Vec::new();
    each_form(&mut server(), |frame| {
        assert_eq!(wire(frame)[0] & 0xf, frame.opcode().bits());
        opcodes.push(frame.opcode());
    });
    assert_eq!(opcodes[9], OpCode::Continuation);
    assert_eq!(opcodes[13], OpCode::Close);
}

#[test]
fn large_frame_is_masked_as_one() {
    //= RFC6455-5.3-5
    let payload: Vec<u8> = (0..100_003u32).map(|i| (i * 31) as u8).collect();
    let frame = wire(&client().message(Message::Binary(&payload)).unwrap());
    let key = keys().next().unwrap();
    assert_eq!(frame[..2], [0x82, 0xff]);
    assert_eq!(frame[10..14], key);
    let expected = payload.iter().zip(0..).map(|(b, i)| b ^ key[i % 4]);
    assert!(frame[14..].iter().copied().eq(expected));
}

#[test]
fn what_is_refused_changes_nothing() {
    //= RFC6455-5.5-1, RFC6455-5.5-2, RFC6455-5.4-7, RFC6455-5.4-14, RFC6455-6.1-1
    let long = "x".repeat(124);
    let code = CloseCode::NORMAL;
    let mut tx = client();
    let refused = [
        tx.ping(&[0; 126]).map(|f| f.len()),
        tx.pong(&[0; 126]).map(|f| f.len()),
        tx.ping(&[0; 70_000]).map(|f| f.len()),
        tx.close(Some(CloseFrame {
            code,
            reason: &long,
        }))
        .map(|f| f.len()),
    ];
    let too_long = |len| Err(SendError::ControlTooLong { len });
    let expected = [126, 126, 70_000, 126].map(too_long);
    assert_eq!(refused, expected);
    assert!(tx.is_idle() && !tx.is_close_sent());
    // The key that comes next is the first: none was used up.
    let mut keys = keys();
    let mut next_is = |frame: &[u8], first: u8| {
        let (key, plain) = without_mask(frame);
        assert_eq!(key.bytes(), keys.next().unwrap());
        assert_eq!(plain[0], first);
    };
    next_is(
        &wire(&tx.fragment(Message::Text("a"), false).unwrap()),
        0x01,
    );

    let refused = [
        tx.message(Message::Text("b")).map(|f| f.len()),
        tx.prepared(&Prepared::new(Message::Text("b")))
            .map(|f| f.len()),
        tx.fragment(Message::Binary(b"b"), false).map(|f| f.len()),
        tx.fragment(Message::Binary(b"b"), true).map(|f| f.len()),
    ];
    let expected = [
        Err(SendError::MessageUnfinished),
        Err(SendError::MessageUnfinished),
        Err(SendError::MessageTypeChanged),
        Err(SendError::MessageTypeChanged),
    ];
    assert_eq!(refused, expected);
    assert!(tx.is_message_open());
    next_is(&wire(&tx.fragment(Message::Text("b"), true).unwrap()), 0x80);
    assert!(!tx.is_message_open());
    next_is(&wire(&tx.message(Message::Binary(b"")).unwrap()), 0x82);

    let reason = &long[..123];
    let frame = tx.close(Some(CloseFrame { code, reason })).unwrap();
    next_is(&wire(&frame), 0x88);
    assert_eq!(frame.len(), 2 + 4 + 125);
    assert_eq!(tx.ping(b"").map(|f| f.len()), Err(SendError::Closing));
    assert_eq!(
        tx.message(Message::Text("")).map(|f| f.len()),
        Err(SendError::Closing)
    );
    // A Pong that is owed still goes, with the next key.
    next_is(&wire(&tx.respond(&Event::Ping(b"late")).unwrap()), 0x8a);
}

#[test]
fn control_frames_of_125_bytes_go_out_and_126_do_not() {
    //= RFC6455-5.5-1
    let mut tx = server();
    let payload = [9; 125];
    assert_eq!(wire(&tx.ping(&payload).unwrap()), unmasked(0x89, &payload));
    assert_eq!(wire(&tx.pong(&payload).unwrap()), unmasked(0x8a, &payload));
    assert!(tx.ping(&[9; 126]).is_err());
}

#[test]
fn message_may_be_sent_in_fragments_of_any_size() {
    //= RFC6455-5.4-3, RFC6455-5.4-9, RFC6455-6.1-3, RFC6455-6.1-4, RFC6455-6.1-5
    let mut tx = server();
    let mut sent = Vec::new();
    for (piece, last) in [("", false), ("a", false), ("", false), ("bc", true)] {
        let frame = tx.fragment(Message::Text(piece), last).unwrap();
        frame.append_to(&mut sent, 0);
    }
    assert_eq!(sent, b"\x01\x00\x00\x01a\x00\x00\x80\x02bc");
    let alone = tx.fragment(Message::Binary(b"x"), true).unwrap();
    assert_eq!(wire(&alone), b"\x82\x01x");
}

#[test]
fn answer_needs_no_copy_of_the_ping() {
    let payload = *b"where it lies";
    let frame = server().respond(&Event::Ping(&payload)).unwrap();
    let [_, body] = frame.as_slices().unwrap();
    assert_eq!(body.as_ptr(), payload.as_ptr());
}

#[test]
fn data_and_pongs_are_not_answered() {
    //= RFC6455-5.5.3-3
    let mut tx = server();
    assert!(tx.respond(&Event::Pong(b"hi")).is_none());
    let data = Message::Text("hi");
    let chunk = ws_proto::Chunk {
        data,
        first: true,
        last: true,
    };
    assert!(tx.respond(&Event::Data(chunk)).is_none());
}

#[test]
fn prepared_message_is_what_a_message_is() {
    let payload = vec![3; 70_000];
    for message in [
        Message::Text(""),
        Message::Text("Grüße"),
        Message::Binary(&payload[..125]),
        Message::Binary(&payload[..126]),
        Message::Binary(&payload),
    ] {
        let prepared = Prepared::new(message);
        let expected = wire(&server().message(message).unwrap());
        assert_eq!(prepared.frame(), &expected);
        assert_eq!(wire(&server().prepared(&prepared).unwrap()), expected);
        let expected = wire(&client().message(message).unwrap());
        assert_eq!(wire(&client().prepared(&prepared).unwrap()), expected);
        // A clone shares the bytes.
        let clone = prepared.clone();
        assert_eq!(clone.frame().as_ptr(), prepared.frame().as_ptr());
    }
}

#[test]
fn outbox_gives_the_stream_whatever_the_transport_takes() {
    for step in [1, 2, 3, 7, 64, 1000] {
        let mut expected = Vec::new();
        let mut written: Vec<u8> = Vec::new();
        let mut outbox = Outbox::with_limit(1 << 20);
        let mut twin = client();
        each_form(&mut twin, |frame| expected.extend(wire(frame)));
        let mut written_of_frame = step;
        each_form(&mut client(), |frame| {
            // Part of a frame is written at once, if nothing waits; the rest waits.
            let bytes = wire(frame);
            let skip = if outbox.is_empty() {
                written_of_frame.min(bytes.len())
            } else {
                0
            };
            written.extend(&bytes[..skip]);
            outbox.push(frame, skip).unwrap();
            let taken = step.min(outbox.len());
            written.extend(&outbox.as_slice()[..taken]);
            outbox.advance(taken);
            written_of_frame += 1;
        });
        while !outbox.is_empty() {
            let taken = step.min(outbox.len());
            written.extend(&outbox.as_slice()[..taken]);
            outbox.advance(taken);
        }
        assert_eq!(written, expected);
    }
}

#[test]
fn outbox_bounds_the_data_and_keeps_room_for_control_frames() {
    let mut tx = server();
    for limit in [0, 1, 10, 127, 1000] {
        let mut outbox = Outbox::with_limit(limit);
        assert_eq!(outbox.limit(), limit);
        let payload = vec![0; limit];
        // With its head, the frame is over the limit by two bytes or more.
        let frame = tx.message(Message::Binary(&payload)).unwrap();
        let full = outbox.push(&frame, 0).unwrap_err();
        assert_eq!(
            (full.pending, full.len, full.limit),
            (0, frame.len(), limit)
        );
        assert!(outbox.is_empty());
        outbox.push(&tx.ping(&[1; 125]).unwrap(), 0).unwrap();
        // A million Pings to answer, and a peer that reads nothing.
        let pending = outbox.len();
        for _ in 0..1_000_000 {
            let pong = tx.respond(&Event::Ping(&[2; 125])).unwrap();
            outbox.push(&pong, 0).unwrap();
        }
        //= RFC6455-5.5.3-2
        assert_eq!(outbox.len(), pending + 127, "the last Pong alone waits");
        // A million Pings of our own, which are not answers.
        let mut refused = 0;
        for _ in 0..1_000_000 {
            let ping = tx.ping(&[3; 125]).unwrap();
            refused += usize::from(outbox.push(&ping, 0).is_err());
        }
        assert!(refused > 999_980);
        assert!(outbox.len() <= limit + 8 * (MAX_HEADER_LEN + 125));
        // Once the transport takes all of it, there is room again.
        outbox.advance(outbox.len());
        assert!(outbox.is_empty());
        outbox.push(&tx.pong(b"").unwrap(), 0).unwrap();
    }
}

#[test]
fn outbox_takes_bytes_that_are_frames_already() {
    let mut outbox = Outbox::with_limit(4);
    let prepared = Prepared::new(Message::Text("Hello"));
    outbox.push_bytes(&prepared.frame()[1..]);
    assert_eq!(outbox.as_slice(), b"\x05Hello");
    // What waits is over the limit already: no data goes on top.
    let mut tx = server();
    let full = outbox.push(&tx.message(Message::Text("")).unwrap(), 0);
    assert!(full.is_err());
    assert_eq!(outbox.len(), 6);
    outbox.advance(2);
    outbox.append(&tx.message(Message::Text("!")).unwrap(), 0);
    assert_eq!(outbox.as_slice(), b"ello\x81\x01!");
    outbox.advance(usize::MAX);
    outbox.advance(1);
    assert!(outbox.is_empty());
}

#[test]
fn masked_helper_agrees_with_the_codec() {
    let frame = masked(0x81, b"Hello");
    assert_eq!(frame, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(without_mask(&frame).1, unmasked(0x81, b"Hello"));
}

#[test]
fn text_may_be_cut_inside_a_character_when_it_is_given_as_bytes() {
    //= RFC6455-5.4-9, RFC6455-5.6-1
    let text = "a\u{e9}\u{20ac}\u{1d11e}!".as_bytes();
    for cut in 0..=text.len() {
        let mut tx = server();
        let first = tx.fragment_bytes(MessageKind::Text, &text[..cut], false);
        assert_eq!(wire(&first.unwrap()), unmasked(0x01, &text[..cut]));
        let last = tx.fragment_bytes(MessageKind::Text, &text[cut..], true);
        assert_eq!(wire(&last.unwrap()), unmasked(0x80, &text[cut..]));
        assert!(tx.is_idle());
    }
}

#[test]
fn text_fragment_that_is_not_utf8_is_refused_and_changes_nothing() {
    //= RFC6455-5.6-2, RFC6455-6.1-1
    let mut tx = server();
    let refused = |result: Result<OutFrame<'_>, SendError>| result.unwrap_err();
    let text = MessageKind::Text;
    assert_eq!(
        refused(tx.fragment_bytes(text, b"\xff", false)),
        SendError::TextNotUtf8
    );
    assert!(tx.is_idle());
    let _ = tx.fragment_bytes(text, b"\xe2\x82", false).unwrap();
    // The character may not stay half, nor be gone on with as anything else.
    assert_eq!(
        refused(tx.fragment_bytes(text, b"", true)),
        SendError::TextNotUtf8
    );
    assert_eq!(
        refused(tx.fragment(Message::Text("!"), true)),
        SendError::TextNotUtf8
    );
    assert_eq!(
        refused(tx.fragment_bytes(MessageKind::Binary, b"\xac", true)),
        SendError::MessageTypeChanged
    );
    let last = tx.fragment_bytes(text, b"\xac", true).unwrap();
    assert_eq!(wire(&last), unmasked(0x80, b"\xac"));
    assert!(tx.is_idle());
}

#[test]
fn parts_of_a_frame_put_together_are_the_frame() {
    //= RFC6455-5.3-5
    let payload: Vec<u8> = (0..40_000u32).map(|i| (i * 7) as u8).collect();
    let close = CloseFrame {
        code: CloseCode::NORMAL,
        reason: "that is all",
    };
    let mut tx = client();
    for frame in [
        tx.message(Message::Binary(&payload)).unwrap(),
        tx.message(Message::Binary(b"")).unwrap(),
        tx.close(Some(close)).unwrap(),
    ] {
        let whole = wire(&frame);
        for size in [1, 3, 7, 4096, usize::MAX] {
            let mut joined = Vec::new();
            while joined.len() < whole.len() {
                let start = joined.len();
                frame.append_part(&mut joined, start..start.saturating_add(size));
                assert_eq!(joined.len(), start.saturating_add(size).min(whole.len()));
            }
            assert!(joined == whole, "{size} bytes at a time");
        }
        let mut nothing = Vec::new();
        frame.append_part(&mut nothing, whole.len()..usize::MAX);
        frame.append_part(&mut nothing, 3..3);
        assert!(nothing.is_empty());
    }
}

#[test]
fn message_that_is_masked_where_it_lies_is_the_same_on_the_wire() {
    let long = "text, ".repeat(20_000);
    for text in ["", "short", &long] {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let message = match kind {
                MessageKind::Text => Message::Text(text),
                MessageKind::Binary => Message::Binary(text.as_bytes()),
            };
            let mut in_place = text.as_bytes().to_vec();
            let (mut one, mut other) = (client(), client());
            let copied = wire(&one.message(message).unwrap());
            let frame = other.message_in_place(kind, &mut in_place).unwrap();
            assert_eq!(frame.as_slices().unwrap().concat(), copied);
            assert!(wire(&frame) == copied);
            let mut part = Vec::new();
            frame.append_part(&mut part, 3..text.len());
            assert!(part == copied[3..text.len().max(3)]);
        }
    }
}

#[test]
fn payload_in_place_is_left_alone_where_no_key_is_applied_or_nothing_is_sent() {
    //= MSWS-3.1.4-6
    let mut payload = *b"as it is";
    for refused in [false, true] {
        let mut senders: [Sender<Masking>; 2] = [
            Sender::new(ServerMasking::new().into()),
            Sender::new(ClientMasking::with_set_mask_to_zero(true).into()),
        ];
        for tx in &mut senders {
            if refused {
                drop(tx.close(None).unwrap());
            }
            let sent = tx.message_in_place(MessageKind::Binary, &mut payload);
            assert_eq!(sent.is_err(), refused);
            assert_eq!(&payload, b"as it is");
        }
    }
    let mut invalid = *b"not \xff text";
    let refused = client()
        .message_in_place(MessageKind::Text, &mut invalid)
        .unwrap_err();
    assert_eq!(refused, SendError::TextNotUtf8);
    assert_eq!(&invalid, b"not \xff text");
}

#[test]
fn compressed_message_carries_its_bit_on_the_first_frame_alone() {
    //= RFC7692-6.1-3, RFC7692-6.1-5
    let mut tx = server();
    let frame = tx.compressed(MessageKind::Text, b"x").unwrap();
    assert!(frame.is_compressed());
    assert_eq!(wire(&frame), b"\xc1\x01x");
    let frame = tx.message(Message::Text("x")).unwrap();
    assert!(!frame.is_compressed());
    let mut fragment = |payload, last| {
        let frame = tx.compressed_fragment(MessageKind::Binary, payload, last);
        wire(&frame.unwrap())
    };
    assert_eq!(fragment(b"a", false), b"\x42\x01a");
    assert_eq!(fragment(b"b", false), b"\x00\x01b");
    assert_eq!(fragment(b"c", true), b"\x80\x01c");
    assert!(tx.is_idle());
    // A message is compressed from its first fragment to its last.
    let _ = tx
        .compressed_fragment(MessageKind::Binary, b"", false)
        .unwrap();
    assert!(tx.is_message_open() && !tx.is_idle());
    let plain = tx.fragment(Message::Binary(b""), true);
    assert_eq!(plain.unwrap_err(), SendError::CompressionChanged);
    let text = tx.compressed_fragment(MessageKind::Text, b"", true);
    assert_eq!(text.unwrap_err(), SendError::MessageTypeChanged);
    let whole = tx.compressed(MessageKind::Text, b"");
    assert_eq!(whole.unwrap_err(), SendError::MessageUnfinished);
}

#[test]
fn refusals_have_names_of_their_own() {
    for (error, kind) in [
        (SendError::Closing, "closing"),
        (SendError::MessageUnfinished, "message_unfinished"),
        (SendError::MessageTypeChanged, "message_type_changed"),
        (SendError::CompressionChanged, "compression_changed"),
        (SendError::CannotCompress, "cannot_compress"),
        (SendError::TextNotUtf8, "text_not_utf8"),
        (SendError::ControlTooLong { len: 126 }, "control_too_long"),
        (SendError::CloseCodeNotForServer, "close_code_invalid"),
    ] {
        assert_eq!(error.kind(), kind);
    }
}

/// The frames that a frame is split into, as they go on the wire.
fn split<P: MaskingPolicy>(
    tx: &mut Sender<P>,
    frame: OutFrame<'_>,
    max_len: usize,
) -> Vec<Vec<u8>> {
    let frames = tx.split(frame, max_len).unwrap();
    frames.iter().map(|frame| wire(&frame)).collect()
}

#[test]
fn long_frame_is_split_into_the_longest_that_the_limit_allows() {
    //= RFC6455-6.1-3, RFC6455-5.4-9, RFC6455-5.4-3
    let payload = vec![7; 300_000];
    let lengths = [131, 132, 134, 135, 136, 4096, 32 * 1024];
    let borders = (65_537..65_556).chain([299_999, 300_000, 300_009]);
    for max_len in lengths.into_iter().chain(borders) {
        for masking in [ServerMasking::new().into(), ClientMasking::new().into()] {
            let masking: Masking = masking;
            let mut tx = Sender::new(masking);
            let frame = tx.message(Message::Binary(&payload)).unwrap();
            let frames = split(&mut tx, frame, max_len);
            let (last, others) = frames.split_last().unwrap();
            assert!(!others.is_empty() && last.len() <= max_len);
            for frame in others {
                // With one byte more, its head would have to grow: it is as
                // long as there is one.
                let (header, _) = Header::decode(frame).unwrap().unwrap();
                let is_border = matches!(header.payload_len(), 125 | 0xffff);
                let spare = max_len - frame.len();
                assert!(
                    spare == 0 || is_border && spare <= 6,
                    "{max_len}: {header:?}"
                );
            }
        }
    }
}

#[test]
fn head_is_counted_and_what_is_within_the_limit_is_not_split() {
    for masking in [ServerMasking::new().into(), ClientMasking::new().into()] {
        let masking: Masking = masking;
        let mut tx = Sender::new(masking);
        for len in [0, 1, 125, 126, 1000, 0xffff, 0x1_0000] {
            let payload = vec![7; len];
            let frame = tx.message(Message::Binary(&payload)).unwrap();
            let whole = wire(&frame);
            assert_eq!(
                split(&mut tx, frame.clone(), whole.len()),
                std::slice::from_ref(&whole)
            );
            let parts = split(&mut tx, frame, whole.len() - 1).len();
            assert_eq!(
                parts,
                if whole.len() <= MAX_CONTROL_FRAME {
                    1
                } else {
                    2
                }
            );
        }
    }
}

#[test]
fn fragments_of_a_frame_that_is_split_are_those_of_its_message() {
    //= RFC6455-5.4-3, RFC6455-5.4-6, RFC7692-6.1-3
    let heads = |frames: Vec<Vec<u8>>| frames.iter().map(|frame| frame[0]).collect::<Vec<_>>();
    let mut tx = server();
    let payload = &[b'x'; 300];
    let text = core::str::from_utf8(payload).unwrap();
    let frame = tx.message(Message::Text(text)).unwrap();
    assert_eq!(heads(split(&mut tx, frame, 131)), [0x01, 0x00, 0x80]);
    let frame = tx.fragment(Message::Text(text), false).unwrap();
    assert_eq!(heads(split(&mut tx, frame, 131)), [0x01, 0x00, 0x00]);
    let frame = tx.fragment(Message::Text(text), false).unwrap();
    assert_eq!(heads(split(&mut tx, frame, 131)), [0x00, 0x00, 0x00]);
    let frame = tx.fragment(Message::Text(text), true).unwrap();
    assert_eq!(heads(split(&mut tx, frame, 131)), [0x00, 0x00, 0x80]);
    let frame = tx.compressed(MessageKind::Text, payload).unwrap();
    assert_eq!(heads(split(&mut tx, frame, 131)), [0x41, 0x00, 0x80]);
    let frame = tx.compressed_fragment(MessageKind::Binary, payload, false);
    assert_eq!(
        heads(split(&mut tx, frame.unwrap(), 131)),
        [0x42, 0x00, 0x00]
    );
    let frame = tx.compressed_fragment(MessageKind::Binary, payload, true);
    assert_eq!(
        heads(split(&mut tx, frame.unwrap(), 131)),
        [0x00, 0x00, 0x80]
    );
    assert!(tx.is_idle());
}

#[test]
fn control_frame_is_never_split_whatever_the_limit() {
    //= RFC6455-5.4-5
    let mut tx = client();
    let frame = tx.ping(&[7; 125]).unwrap();
    let whole = wire(&frame);
    assert_eq!(whole.len(), MAX_CONTROL_FRAME);
    assert_eq!(split(&mut tx, frame, 0), [whole]);
}

#[test]
fn client_masks_each_fragment_with_a_key_of_its_own_also_in_place() {
    //= RFC6455-5.3-2, RFC6455-5.1-1
    let payload: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    let expected: Vec<[u8; 4]> = keys().take(8).collect();
    let mut lying = payload.clone();
    let (mut one, mut other) = (client(), client());
    let frame = one.message(Message::Binary(&payload)).unwrap();
    let copied = split(&mut one, frame, 133);
    let frame = other.message_in_place(MessageKind::Binary, &mut lying);
    assert_eq!(split(&mut other, frame.unwrap(), 133), copied);
    let (mut used, mut joined) = (Vec::new(), Vec::new());
    for frame in &copied {
        let (key, unmasked) = without_mask(frame);
        used.push(key.bytes());
        joined.extend_from_slice(&unmasked[2..]);
    }
    assert_eq!((used, joined), (expected, payload.clone()));
    // Zero keys stay, and leave the payload where it lies.
    let mut tx = zero_client();
    let frame = tx.message(Message::Binary(&payload)).unwrap();
    let frames = tx.split(frame, 500).unwrap();
    for (frame, part) in frames.iter().zip(payload.chunks(492)) {
        let [head, lies] = frame.as_slices().unwrap();
        assert_eq!((&head[head.len() - 4..], lies), (&[0; 4][..], part));
    }
}

#[test]
fn longest_frame_has_room_for_a_control_frame() {
    let check = |value| ConfigError::check_frame_sent("max_frame_sent", value);
    assert_eq!(check(MAX_CONTROL_FRAME), Ok(()));
    let error = check(MAX_CONTROL_FRAME - 1).unwrap_err();
    let expected = "max_frame_sent = 130; allowed is at least 131";
    assert_eq!(error.to_string(), expected);
}
