//! What is compressed, with which window, and what is not.

use super::*;

#[cfg(not(miri))]
#[test]
fn window_is_taken_over_or_not() {
    //= RFC7692-7.2.1-6, RFC7692-7.2.1-8, RFC7692-7.2.1-7, RFC7692-7.2.1-9
    let message = noise(500);
    for window in [TAKEOVER, NO_TAKEOVER] {
        let mut pool = pool(6, 0, 2);
        let mut deflater = Deflater::new(window);
        let mut peer = Peer::new(window);
        let mut lens = Vec::new();
        let mut others = [(); 2].map(|()| {
            let mut other = Deflater::new(TAKEOVER);
            assert!(other.deflate(b"other", true, &mut pool).is_ok());
            other
        });
        for round in 0..5 {
            let payload = deflater.deflate(&message, true, &mut pool).unwrap();
            lens.push(payload.len());
            assert_eq!(peer.binary(payload).as_deref(), Ok(&message[..]));
            match round {
                2 => deflater.forget(),
                // Who was away too long starts anew.
                3 => others
                    .iter_mut()
                    .for_each(|other| assert!(other.deflate(b"other", true, &mut pool).is_ok())),
                _ => {}
            }
        }
        let fresh = lens[0];
        match window.takes_over() {
            // It is remembered from the second message on.
            true => assert!(
                lens[..2] == [fresh; 2] && lens[2] < 20 && lens[3..] == [fresh; 2],
                "{lens:?}"
            ),
            false => assert_eq!(lens, [fresh; 5]),
        }
    }
}

#[cfg(not(miri))]
#[test]
fn each_size_of_window_has_a_compressor_of_its_own() {
    //= RFC7692-7.2.1-10, RFC7692-7.2.1-11
    let message = noise(1000).repeat(2);
    let len = |bits, pool: &mut DeflatePool| {
        let mut deflater = Deflater::new(DeflateWindow::new(true, bits));
        deflater.deflate(&message, true, pool).unwrap().len()
    };
    // The smaller window does not reach as far back as the repetition.
    let small = len(9, &mut pool(6, 0, 4));
    let large = len(15, &mut pool(6, 0, 4));
    assert!(small > 2000 && large < 1100, "{small} {large}");
    for max_live in [1, 4] {
        let mut shared = pool(6, 0, max_live);
        for (bits, expected) in [(15, large), (9, small), (9, small), (15, large)] {
            assert_eq!(len(bits, &mut shared), expected, "{bits} {max_live}");
        }
    }
}

#[cfg(not(miri))]
#[test]
fn windows_are_remembered_side_by_side_while_there_is_room() {
    let message = noise(1000);
    let mut pool = pool(6, 0, 3);
    let mut connections = [(); 3].map(|()| Deflater::new(TAKEOVER));
    let mut say = |n: usize, pool: &mut DeflatePool| {
        let connection: &mut Deflater = &mut connections[n];
        connection.deflate(&message, true, pool).unwrap().len()
    };
    for round in 0..5 {
        for n in 0..3 {
            let remembers = say(n, &mut pool) < 100;
            assert_eq!(remembers, round >= 2, "{n} in round {round}");
        }
    }
    // Who comes when it is full takes over what was used longest ago, and makes nothing.
    let mut another = Deflater::new(TAKEOVER);
    let info = measure(|| {
        let fresh = another.deflate(&message, true, &mut pool).unwrap().len();
        assert!(fresh > 1000);
    });
    assert!(info.bytes_max < 10_000, "{}", info.bytes_max);
    for (n, remembers) in [(1, true), (2, true), (0, false)] {
        assert_eq!(say(n, &mut pool) < 100, remembers, "{n}");
    }
}

#[cfg(not(miri))]
#[test]
fn connection_finds_nobody_elses_window_in_another_pool() {
    //= RFC7692-7.2.1-7, RFC7692-7.2.1-9
    let mut connections = [1, 2].map(|n| {
        let mut pool = DeflatePool::default();
        let mut deflater = Deflater::new(TAKEOVER);
        let mut peer = Peer::new(TAKEOVER);
        let message = [&[n][..], &noise(1000)].concat();
        for _ in 0..3 {
            let payload = deflater.deflate(&message, true, &mut pool).unwrap();
            assert_eq!(peer.binary(payload).as_deref(), Ok(&message[..]));
        }
        (deflater, peer, pool, message)
    });
    let [first, second] = &mut connections;
    let (deflater, peer, _, message) = first;
    let payload = deflater.deflate(message, true, &mut second.2).unwrap();
    assert!(payload.len() > 1000);
    assert_eq!(peer.binary(payload).as_deref(), Ok(&message[..]));
}

#[test]
fn sweep_drops_who_was_idle() {
    let mut pool = DeflatePool::default();
    let mut deflater = Deflater::new(TAKEOVER);
    let message = noise(500);
    let mut len = |pool: &mut DeflatePool| deflater.deflate(&message, true, pool).unwrap().len();
    let fresh = len(&mut pool);
    assert_eq!(len(&mut pool), fresh);
    pool.sweep();
    assert!(len(&mut pool) < 20);
    pool.sweep();
    pool.sweep();
    assert_eq!(len(&mut pool), fresh);
}

#[cfg(not(miri))]
#[test]
fn what_would_not_become_shorter_goes_out_plain() {
    //= RFC7692-6.1-2, RFC7692-6-3
    let (text, noise) = ("so it goes, ".repeat(20), noise(1000));
    let mut pool = DeflatePool::default();
    let mut tx = Sender::new(ServerMasking::new());
    let mut first = |window, message| {
        let mut deflater = Deflater::new(window);
        bytes(deflater.message(&mut tx, message, &mut pool))[0]
    };
    assert_eq!(first(NO_TAKEOVER, Message::Text(&text)), 0xc1);
    assert_eq!(first(TAKEOVER, Message::Text(&text)), 0xc1);
    assert_eq!(first(TAKEOVER, Message::Text("short")), 0x81);
    assert_eq!(first(NO_TAKEOVER, Message::Binary(&noise)), 0x82);
    // To leave it out would cost the window.
    assert_eq!(first(TAKEOVER, Message::Binary(&noise)), 0xc2);
}

#[test]
fn fragments_say_compressed_once_and_keep_their_tails() {
    //= RFC7692-6.1-1, RFC7692-6.1-3, RFC7692-7.2.1-4
    let mut pool = DeflatePool::default();
    let mut tx = Sender::new(ServerMasking::new());
    let mut deflater = Deflater::new(TAKEOVER);
    let mut peer = Peer::new(TAKEOVER);
    let euro = "€uro".as_bytes();
    let mut payloads = Vec::new();
    for (first, piece, last) in [
        (0x41, &euro[..2], false),
        (0x00, &euro[2..], false),
        (0x00, b"", false),
        (0x80, b"", true),
    ] {
        let kind = MessageKind::Text;
        let frame = deflater.fragment_bytes(&mut tx, kind, piece, last, &mut pool);
        let frame = bytes(frame);
        assert_eq!(frame[0], first);
        let payload = frame[2..].to_vec();
        assert_eq!(payload.ends_with(b"\0\0\xff\xff"), !piece.is_empty());
        payloads.push(payload);
    }
    assert!(deflater.is_idle());
    let pieces = payloads.iter().map(Vec::as_slice);
    let inflated = peer.inflate(MessageKind::Text, pieces);
    assert_eq!(inflated.as_deref(), Ok(euro));
    // The next one may refer to it.
    let payload = deflater.deflate(euro, true, &mut pool).unwrap();
    assert_eq!(peer.text(payload).as_deref(), Ok(euro));
}

#[test]
fn refused_message_is_not_compressed() {
    let mut pool = pool(6, 0, 4);
    let mut tx = Sender::new(ServerMasking::new());
    let mut deflater = Deflater::new(TAKEOVER);
    let mut peer = Peer::new(TAKEOVER);
    let (text, bad) = (Message::Text("so it goes"), b"\xff");
    let kind = MessageKind::Text;
    let refused = deflater.fragment_bytes(&mut tx, kind, bad, true, &mut pool);
    assert_eq!(refused.err(), Some(SendError::TextNotUtf8));
    let first = bytes(deflater.fragment(&mut tx, text, false, &mut pool));
    let refused = [
        deflater.message(&mut tx, text, &mut pool).err(),
        tx.fragment(text, true).err(),
        deflater
            .fragment(&mut tx, Message::Binary(b""), true, &mut pool)
            .err(),
        tx.compressed(kind, b"").err(),
    ];
    assert_eq!(
        refused,
        [
            Some(SendError::MessageUnfinished),
            Some(SendError::CompressionChanged),
            Some(SendError::MessageTypeChanged),
            Some(SendError::MessageUnfinished),
        ]
    );
    let last = bytes(deflater.fragment(&mut tx, text, true, &mut pool));
    let pieces = [&first[2..], &last[2..]];
    let inflated = peer.inflate(kind, pieces);
    assert_eq!(inflated.as_deref(), Ok(&b"so it goesso it goes"[..]));
    let _ = tx.fragment(text, false).unwrap();
    let refused = deflater.fragment(&mut tx, text, false, &mut pool).err();
    assert_eq!(refused, Some(SendError::CompressionChanged));
    assert!(deflater.is_idle());
    let _ = tx.close(None).unwrap();
    let refused = deflater.message(&mut tx, text, &mut pool).err();
    assert_eq!(refused, Some(SendError::Closing));
}

#[cfg(not(miri))]
#[test]
fn prepared_message_is_compressed_once_for_each_size_of_window() {
    let text = "so it goes, ".repeat(100);
    let mut pool = DeflatePool::default();
    let mut prepared = Prepared::new(Message::Text(&text));
    for (bits, takes_over) in [(15, false), (15, true), (10, false), (8, true)] {
        let window = DeflateWindow::new(!takes_over, bits);
        let known = prepared.deflated_frame(window).cloned();
        let mut tx = Sender::new(ServerMasking::new());
        let mut deflater = Deflater::new(window);
        let mut peer = Peer::new(window);
        let mut say = |deflater: &mut Deflater, pool: &mut DeflatePool| {
            let frame = bytes(deflater.message(&mut tx, Message::Text(&text), pool));
            assert_eq!(peer.text(&frame[2..]).as_deref(), Ok(text.as_bytes()));
        };
        say(&mut deflater, &mut pool);
        let mut other = Sender::new(ServerMasking::new());
        let frame = bytes(deflater.prepared(&mut other, &mut prepared, &mut pool));
        let frame_of_all = prepared.deflated_frame(window).unwrap();
        assert_eq!(frame_of_all, &frame);
        if let Some(known) = known {
            assert_eq!(known.as_ptr(), frame_of_all.as_ptr());
        }
        let _ = peer.text(&frame[2..]);
        let frame = bytes(deflater.message(&mut other, Message::Text(&text), &mut pool));
        assert_eq!(peer.text(&frame[2..]).as_deref(), Ok(text.as_bytes()));
    }
    // A client masks it, and what is short has no such form.
    let mut client = Sender::new(ClientMasking::new());
    let mut deflater = Deflater::new(TAKEOVER);
    let frame = bytes(deflater.prepared(&mut client, &mut prepared, &mut pool));
    assert_eq!((frame[0], frame[1] & 0x80), (0xc1, 0x80));
    let mut short = Prepared::new(Message::Text("short"));
    assert!(
        deflater
            .prepared(&mut client, &mut short, &mut pool)
            .is_ok()
    );
    assert_eq!(short.deflated_frame(TAKEOVER), None);
}

#[cfg(not(miri))]
#[test]
fn prepared_message_is_compressed_from_min_len_on_if_that_makes_it_shorter() {
    let mut pool = pool(6, 100, 1);
    for (len, is_compressed) in [(99, false), (100, true)] {
        let zeros = vec![0; len];
        let mut prepared = Prepared::new(Message::Binary(&zeros));
        prepared.deflate(TAKEOVER, &mut pool).unwrap();
        let frame = prepared.deflated_frame(TAKEOVER);
        assert_eq!(frame.is_some(), is_compressed, "{len}");
    }
    // Zeros behind noise, as many as make up for what the noise has cost.
    let message = |zeros| [noise(200), vec![0; zeros]].concat();
    let saved = |zeros| message(zeros).len() as isize - deflated(&message(zeros)).len() as isize;
    let even = (0..).find(|&zeros| saved(zeros) == 0).unwrap();
    for (zeros, is_compressed) in [(even, false), (even + 1, true)] {
        let message = message(zeros);
        let mut prepared = Prepared::new(Message::Binary(&message));
        prepared.deflate(TAKEOVER, &mut pool).unwrap();
        let frame = prepared.deflated_frame(TAKEOVER);
        assert_eq!(frame.is_some(), is_compressed, "{zeros}");
    }
}

#[test]
fn compressed_bit_is_for_first_frames_of_who_agreed() {
    //= RFC7692-6.1-4, RFC7692-6-4, RFC7692-6.2-2
    let receive = |agreed: bool, wire: &[u8]| {
        let mut memory = wire.to_vec();
        let mut input = &mut memory[..];
        let mut rx = Receiver::new(Inbound::RequireUnmasked, Limits::default());
        rx = rx.accept_compressed(agreed);
        let mut count = 0;
        loop {
            match rx.receive(&mut input) {
                Ok(Some(Event::Compressed(_))) => count += 1,
                Ok(Some(_)) => {}
                Ok(None) => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    };
    let reserved = |bits| Err(ProtocolError::ReservedBits { bits });
    assert_eq!(receive(true, b"\xc1\x01\x00\x81\x00\xc2\x01\x00"), Ok(2));
    assert_eq!(receive(false, b"\xc1\x01\x00"), reserved(4));
    assert_eq!(receive(true, b"\x41\x01\x00\xc0\x01\x00"), reserved(4));
    assert_eq!(receive(true, b"\x41\x01\x00\x89\x00\x80\x01\x00"), Ok(2));
    assert_eq!(receive(true, b"\xc9\x00"), reserved(4));
    assert_eq!(receive(true, b"\xc8\x00"), reserved(4));
    assert_eq!(receive(true, b"\xe1\x01\x00"), reserved(6));
    assert_eq!(receive(true, b"\xa1\x01\x00"), reserved(2));
    // A connection hands what it was told to its receiver.
    for agreed in [true, false] {
        let client = ClientMasking::new();
        let mut connection = Connection::new(client, Limits::default()).accept_compressed(agreed);
        let (rx, ..) = connection.parts();
        let received = rx.receive(&mut &mut b"\xc1\x01\x00".to_owned()[..]).is_ok();
        assert_eq!(received, agreed);
    }
}

#[cfg(not(miri))]
#[test]
fn deflater_tells_whether_a_pool_may_remember_it() {
    for window in [TAKEOVER, NO_TAKEOVER] {
        let mut pool = DeflatePool::default();
        let mut deflater = Deflater::new(window);
        assert!(deflater.is_idle() && !deflater.is_worn());
        assert_eq!(deflater.window(), window);
        deflater.deflate(b"begun", false, &mut pool).unwrap();
        assert!(!deflater.is_idle());
        deflater.deflate(b"ended", true, &mut pool).unwrap();
        assert!(deflater.is_idle());
        assert_eq!(deflater.is_worn(), window == TAKEOVER);
    }
}

#[test]
fn forgotten_window_is_not_referred_to() {
    //= RFC7692-7.2.1-6
    let mut pool = DeflatePool::default();
    let mut deflater = Deflater::new(TAKEOVER);
    let text = noise(1000);
    let mut sizes = [0; 4];
    for (n, size) in sizes.iter_mut().enumerate() {
        if n == 3 {
            deflater.forget();
        }
        *size = deflater.deflate(&text, true, &mut pool).unwrap().len();
    }
    // The window is remembered from the second message on.
    assert!(
        sizes[0] > 1000 && sizes[1] > 1000 && sizes[2] < 100,
        "{sizes:?}"
    );
    assert!(sizes[3] > 1000, "{sizes:?}");
}

#[test]
fn pool_that_shrinks_gives_all_back_and_serves_again() {
    let payload = deflated(&noise(1000));
    let mut peer = Peer::new(NO_TAKEOVER);
    peer.binary(&payload).unwrap();
    let held = peer.pool.config().budget.held();
    assert!(held > 0);
    peer.pool.shrink();
    assert_eq!(peer.pool.config().budget.held(), 0);
    assert_eq!(peer.binary(&payload).unwrap(), noise(1000));
    assert!(peer.inflater.is_idle());
    assert_eq!(peer.inflater.window(), NO_TAKEOVER);
}

#[cfg(not(miri))]
#[test]
fn message_of_min_len_is_compressed_and_a_shorter_one_is_not() {
    let mut pool = pool(6, 100, 1);
    let mut deflater = Deflater::new(NO_TAKEOVER);
    let mut tx = Sender::new(ServerMasking::new());
    for (len, is_compressed) in [(99, false), (100, true)] {
        let message = vec![b'x'; len];
        let frame = deflater.message(&mut tx, Message::Binary(&message), &mut pool);
        assert_eq!(frame.unwrap().is_compressed(), is_compressed, "{len}");
    }
}

#[cfg(not(miri))]
#[test]
fn unfinished_message_holds_about_as_much_as_is_told() {
    for window in [TAKEOVER, DeflateWindow::new(true, 9)] {
        let mut pool = pool(6, 0, 3);
        let mut deflater = Deflater::new(window);
        assert_eq!(deflater.held(), 0);
        let info = measure(|| {
            let _ = deflater
                .deflate(b"the first half", false, &mut pool)
                .unwrap();
        });
        let (held, told) = (info.bytes_current.unsigned_abs(), deflater.held() as u64);
        assert!(
            held <= told + told / 10 && told <= 2 * held,
            "{held}, told {told}"
        );
        let _ = deflater.deflate(b"the second", true, &mut pool).unwrap();
        assert_eq!(deflater.held(), 0);
    }
}
