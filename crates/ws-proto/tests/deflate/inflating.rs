//! What inflates, what does not, and within which limits.

use super::*;

#[test]
fn message_of_the_rfc_inflates_at_every_split() {
    //= RFC7692-7.2.3-1, RFC7692-6.2-1
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let mut peer = Peer::new(TAKEOVER);
    for at in 0..=hello.len() {
        let (start, end) = hello.split_at(at);
        let inflated = peer.inflate(MessageKind::Text, [start, end]);
        assert_eq!(inflated.as_deref(), Ok(&b"Hello"[..]));
    }
    // It may refer to the message before it.
    assert_eq!(
        peer.text(b"\xf2\x00\x11\x00\x00").as_deref(),
        Ok(&b"Hello"[..])
    );
    let alone = Peer::new(NO_TAKEOVER).text(b"\xf2\x00\x11\x00\x00");
    assert_eq!(alone, Err(ProtocolError::DeflateData));
}

#[test]
fn message_that_is_too_big_and_broken_is_too_big_however_it_comes() {
    // A block of 61 bytes as they are, and one of no known kind.
    let payload = [&[0, 61, 0, !61, 0xff][..], &[7; 61], &[0x07]].concat();
    let too_big = ProtocolError::MessageTooBig { len: 61, limit: 60 };
    for (limit, expected) in [(60, too_big), (61, ProtocolError::DeflateData)] {
        let smallest = if cfg!(miri) { 20 } else { 1 };
        for size in [smallest, 7 * smallest, payload.len()] {
            let pieces = payload.chunks(size);
            let inflated = Peer::with_max_message(limit).inflate(MessageKind::Binary, pieces);
            assert_eq!(inflated, Err(expected), "{size} bytes at a time");
        }
    }
}

#[test]
fn empty_message_is_one_byte() {
    //= RFC7692-7.2.3.6-1
    let mut peer = Peer::new(TAKEOVER);
    assert_eq!(deflated(b""), [0]);
    assert_eq!(peer.text(&[0]).as_deref(), Ok(&b""[..]));
    assert_eq!(peer.binary(b""), Err(ProtocolError::DeflateData));
}

#[test]
fn block_of_the_last_kind_ends_neither_message_nor_window() {
    //= RFC7692-7.2.1-3
    let mut peer = Peer::new(TAKEOVER);
    // As the RFC has it, and without the byte that follows the block.
    assert_eq!(
        peer.text(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00").as_deref(),
        Ok(&b"Hello"[..])
    );
    assert_eq!(
        peer.text(b"\xf3\x48\xcd\xc9\xc9\x07\x00").as_deref(),
        Ok(&b"Hello"[..])
    );
    // Two such blocks, then one that refers to them, in one message.
    let two = b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00";
    for at in 0..=two.len() {
        let (start, end) = two.split_at(at);
        let inflated = peer.inflate(MessageKind::Text, [start, end]);
        assert_eq!(inflated.as_deref(), Ok(&b"HelloHelloHello"[..]));
    }
    // Fragments without a byte change nothing at its end.
    let last_kind = &two[..7];
    let inflated = peer.inflate(MessageKind::Text, [last_kind, b"", b""]);
    assert_eq!(inflated.as_deref(), Ok(&b"Hello"[..]));
    // A block that follows it is not over where the bytes are.
    for end in [15, 16] {
        let cut_off = peer.text(&two[7..end]);
        assert_eq!(cut_off, Err(ProtocolError::DeflateData), "{end}");
    }
}

#[test]
fn what_does_not_inflate_has_one_error() {
    //= RFC6455-10.7-1
    let text = deflated(b"I wish I wish he'd go away");
    let mut bad: Vec<&[u8]> = vec![
        b"",
        b"\x07",                             // a block of no type
        b"\x00\x05\x00\xfb\xff",             // a length that is not the other's complement
        b"\xf2\x48\xcd\xc9\xc9\x07\x00\xff", // a second block, broken
    ];
    // Cut off anywhere.
    let step = if cfg!(miri) { 7 } else { 1 };
    bad.extend((0..text.len()).step_by(step).map(|len| &text[..len]));
    for payload in bad {
        let whole = Peer::new(TAKEOVER).binary(payload);
        assert_eq!(whole, Err(ProtocolError::DeflateData), "{payload:x?}");
        if !payload.is_empty() {
            let split = Peer::new(NO_TAKEOVER).inflate(MessageKind::Binary, payload.chunks(1));
            assert_eq!(split, whole);
        }
    }
    assert_eq!(
        ProtocolError::DeflateData.close_code(),
        Some(CloseCode::INVALID_PAYLOAD)
    );
}

#[cfg(not(miri))]
#[test]
fn text_fails_at_the_first_bad_byte_that_comes_out() {
    //= RFC7692-6.1-6
    let mut text = "ä".repeat(100).into_bytes();
    text.push(0xff);
    let payload = deflated(&text);
    assert_eq!(
        Peer::new(TAKEOVER).text(&payload),
        Err(ProtocolError::TextNotUtf8)
    );
    // Long before the message ends.
    text.resize(1_000_000, b'a');
    let payload = deflated(&text);
    let mut inflater = Inflater::new(TAKEOVER);
    let mut piece = CompressedChunk {
        kind: MessageKind::Text,
        data: &payload[..payload.len() / 2],
        first: true,
        last: false,
    };
    let mut pool = InflatePool::default();
    let inflated = inflater.inflate(&mut piece, u64::MAX, &mut pool);
    assert_eq!(inflated, Err(ProtocolError::TextNotUtf8));
    // Compressed, it is any bytes; and binary stays what it is.
    assert!(Peer::new(TAKEOVER).binary(&payload).is_ok());
    let cut = deflated("ab€".as_bytes().split_last().unwrap().1);
    assert_eq!(
        Peer::new(TAKEOVER).text(&cut),
        Err(ProtocolError::TextNotUtf8)
    );
}

#[cfg(not(miri))]
#[test]
fn characters_that_are_split_between_chunks_stay_whole() {
    let text = "€".repeat(100_000);
    let payload = deflated(text.as_bytes());
    let inflated = Peer::new(TAKEOVER).inflate(MessageKind::Text, payload.chunks(1));
    assert_eq!(inflated.as_deref(), Ok(text.as_bytes()));
    assert_eq!(
        Peer::new(TAKEOVER).text(&payload).as_deref(),
        Ok(text.as_bytes())
    );
}

#[cfg(not(miri))]
#[test]
fn limit_passes_and_one_byte_more_does_not() {
    //= RFC6455-10.4-1, RFC6455-10.4-2
    for limit in [0, 1, 1000, 67_583, 67_584, 67_585, 200_000] {
        for len in [limit, limit + 1] {
            for message in [vec![b'x'; len], noise(len)] {
                let payload = deflated(&message);
                let mut peer = Peer::with_max_message(limit as u64);
                let whole = peer.binary(&payload);
                if len == limit {
                    assert_eq!(whole.as_deref(), Ok(&message[..]));
                } else {
                    let (limit, len) = (limit as u64, len as u64);
                    assert_eq!(whole, Err(ProtocolError::MessageTooBig { len, limit }));
                }
                let mut peer = Peer::with_max_message(limit as u64);
                let split = peer.inflate(MessageKind::Binary, payload.chunks(1));
                assert_eq!(split.is_ok(), len == limit);
            }
        }
    }
}

#[cfg(not(miri))]
#[test]
fn bomb_costs_no_more_than_the_limit() {
    //= RFC6455-10.4-1
    const LIMIT: u64 = 1024 * 1024;
    let bomb = deflated(&vec![b'a'; 64 * 1024 * 1024]);
    assert!(bomb.len() < 70_000);
    let too_big = |len| ProtocolError::MessageTooBig { len, limit: LIMIT };
    for kind in [MessageKind::Text, MessageKind::Binary] {
        for size in [usize::MAX, 1] {
            let info = measure(|| {
                let mut peer = Peer::with_max_message(LIMIT);
                let failed = peer.inflate(kind, bomb.chunks(size.min(bomb.len())));
                assert_eq!(failed, Err(too_big(LIMIT + 1)));
                assert_eq!(
                    failed.unwrap_err().close_code(),
                    Some(CloseCode::MESSAGE_TOO_BIG)
                );
            });
            assert!(
                info.bytes_max < 2 * LIMIT,
                "{kind:?} {size} {}",
                info.bytes_max
            );
        }
    }
    // Whoever takes chunks holds none of it.
    let info = measure(|| {
        let mut pool = InflatePool::default();
        let mut inflater = Inflater::new(TAKEOVER);
        let mut piece = whole(&bomb);
        let mut len = 0;
        let failed = loop {
            match inflater.inflate(&mut piece, LIMIT, &mut pool) {
                Ok(chunk) => len += chunk.map_or(0, |chunk| chunk.data.len()),
                Err(error) => break error,
            }
        };
        assert_eq!(failed, too_big(LIMIT + 1));
        assert!(len <= LIMIT as usize);
    });
    assert!(info.bytes_max < 200_000, "{}", info.bytes_max);
}

#[cfg(not(miri))]
#[test]
fn expansion_is_refused_above_its_ratio() {
    //= RFC6455-10.4-1
    let mut config = InflateConfig::default();
    config.max_ratio = 100;
    let dense = deflated(&vec![0; 1_000_000]);
    let mut peer = Peer {
        pool: InflatePool::new(config),
        ..Peer::new(TAKEOVER)
    };
    let refused = ProtocolError::ExpansionTooBig { limit: 100 };
    assert_eq!(peer.binary(&dense), Err(refused));
    assert_eq!(refused.close_code(), Some(CloseCode::MESSAGE_TOO_BIG));
    // What fits into one chunk passes however dense it is, and what is sparse passes.
    assert!(peer.binary(&deflated(&[0; 67_584])).is_ok());
    assert_eq!(peer.binary(&deflated(&[0; 67_585])), Err(refused));
    assert!(peer.binary(&deflated(&noise(1_000_000))).is_ok());
    // It is judged as the message grows: what begins sparse may become dense.
    let becomes_dense = [noise(1000), vec![0; 1_000_000]].concat();
    assert_eq!(peer.binary(&deflated(&becomes_dense)), Err(refused));
}

#[cfg(not(miri))]
#[test]
fn expansion_at_its_ratio_passes() {
    let mut config = InflateConfig::default();
    config.max_ratio = 1;
    // Two blocks of bytes as they are, with ten bytes around them, and zeros
    // that save just as many.
    let stored = [&[0, 0x50, 0xc3, 0xaf, 0x3c][..], &noise(50_000)].concat();
    let saved = |zeros: usize| zeros as isize - deflated(&vec![0; zeros]).len() as isize;
    let zeros = (1..).find(|&zeros| saved(zeros) == 10).unwrap();
    for (zeros, passes) in [(zeros, true), (zeros + 1, false)] {
        let payload = [&stored[..], &stored, &deflated(&vec![0; zeros])].concat();
        let mut peer = Peer {
            pool: InflatePool::new(config.clone()),
            ..Peer::new(TAKEOVER)
        };
        assert_eq!(peer.binary(&payload).is_ok(), passes);
    }
}

#[cfg(not(miri))]
#[test]
fn compressed_bytes_that_follow_from_max_message_are_enough_for_any_compressor() {
    for level in [0, 1, 6, 9] {
        for len in [0, 1, 100, 5000, 65_535, 65_536, 500_000] {
            let mut limits = Limits::default();
            limits.max_message = len as u64;
            let message = noise(len);
            for part in [1, 7, 1000, usize::MAX].map(|part| part.clamp(len / 5000 + 1, len.max(1)))
            {
                let (mut pool, mut deflater) = (pool(level, 0, 1), Deflater::new(TAKEOVER));
                let mut parts: Vec<_> = message.chunks(part).collect();
                if parts.is_empty() {
                    parts.push(&[]);
                }
                let (mut compressed, frames) = (0, parts.len());
                for (n, part) in parts.into_iter().enumerate() {
                    let last = n + 1 == frames;
                    compressed += deflater.deflate(part, last, &mut pool).unwrap().len();
                }
                let most = limits.max_compressed(frames as u32);
                assert!(compressed as u64 <= most, "{level} {len} {part}");
            }
        }
    }
    assert_eq!(Limits::UNLIMITED.max_compressed(u32::MAX), u64::MAX);
}

#[test]
fn small_window_is_never_left() {
    //= RFC7692-7.2.1-10, RFC7692-7.2.1-11, RFC7692-7.3-1
    let step = if cfg!(miri) { 4 } else { 1 };
    let text = noise(200).repeat(20 / step);
    for bits in (8..=15).step_by(step) {
        for level in (0..=9).step_by(step) {
            let window = DeflateWindow::new(false, bits);
            let mut pool = pool(level, 0, 4);
            let mut deflater = Deflater::new(window);
            // Each message alone is inflated with what a small window holds of
            // those before it.
            let mut peer = Peer::new(window);
            for part in text.chunks(33 * step) {
                let payload = deflater.deflate(part, true, &mut pool).unwrap();
                assert_eq!(peer.binary(payload).as_deref(), Ok(part), "{bits} {level}");
            }
        }
    }
}

#[cfg(not(miri))]
#[test]
fn message_in_one_piece_is_one_chunk() {
    let message = noise(65_536);
    let payload = deflated(&message);
    let mut pool = InflatePool::default();
    let mut inflater = Inflater::new(NO_TAKEOVER);
    let mut piece = whole(&payload);
    let chunk = inflater.inflate(&mut piece, 65_536, &mut pool);
    let expected = Chunk {
        data: Message::Binary(&message),
        first: true,
        last: true,
    };
    assert_eq!(chunk, Ok(Some(expected)));
    assert_eq!(inflater.inflate(&mut piece, 65_536, &mut pool), Ok(None));
    assert!(inflater.is_idle());
}
