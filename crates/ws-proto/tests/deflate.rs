//! permessage-deflate on the wire (RFC 7692): limits, takeover, and what does
//! not inflate.
//!
//! Miri takes a thousand times as long, so it has what is small of these: the
//! same code goes over each byte of what is large, and makes each compressor.

#![cfg(all(feature = "std", feature = "deflate"))]
#![cfg_attr(
    miri,
    allow(unused_imports, reason = "what is left out needs more of them")
)]

use allocation_counter::measure;
use ws_proto::{
    Assembler, Budget, Chunk, ClientMasking, CloseCode, CompressedChunk, Connection, DeflateConfig,
    DeflatePool, DeflateWindow, Deflater, Event, Inbound, InflateConfig, InflatePool, Inflater,
    Limits, Message, MessageKind, OutFrame, Prepared, ProtocolError, Receiver, SendError, Sender,
    ServerMasking,
};

const TAKEOVER: DeflateWindow = DeflateWindow::new(false, 15);
const NO_TAKEOVER: DeflateWindow = DeflateWindow::new(true, 15);

/// What inflates the messages of a connection.
struct Peer {
    inflater: Inflater,
    pool: InflatePool,
    messages: Assembler,
    max_message: u64,
}

impl Peer {
    fn new(window: DeflateWindow) -> Self {
        Self {
            inflater: Inflater::new(window),
            pool: InflatePool::default(),
            messages: Assembler::new(),
            max_message: u64::MAX,
        }
    }

    fn with_max_message(max_message: u64) -> Self {
        Self {
            max_message,
            ..Self::new(TAKEOVER)
        }
    }

    /// Inflates a message that comes in pieces.
    fn inflate<'a>(
        &mut self,
        kind: MessageKind,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, ProtocolError> {
        let mut pieces = pieces.into_iter().peekable();
        let mut first = true;
        while let Some(data) = pieces.next() {
            let last = pieces.peek().is_none();
            let mut piece = CompressedChunk {
                kind,
                data,
                first,
                last,
            };
            first = false;
            while let Some(chunk) =
                self.inflater
                    .inflate(&mut piece, self.max_message, &mut self.pool)?
            {
                if let Some(message) = self.messages.push(chunk) {
                    assert_eq!(message.kind(), kind);
                    return Ok(message.as_bytes().to_vec());
                }
            }
        }
        panic!("the last piece makes the last chunk")
    }

    fn binary(&mut self, payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.inflate(MessageKind::Binary, [payload])
    }

    fn text(&mut self, payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.inflate(MessageKind::Text, [payload])
    }
}

fn pool(level: u32, min_len: usize, max_live: usize) -> DeflatePool {
    let mut config = DeflateConfig::default();
    config.level = level;
    config.min_len = min_len;
    config.max_live = max_live;
    DeflatePool::new(config)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut deflater = Deflater::new(NO_TAKEOVER);
    let mut pool = DeflatePool::default();
    deflater.deflate(bytes, true, &mut pool).unwrap().to_vec()
}

fn bytes(frame: Result<OutFrame<'_>, SendError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.unwrap().append_to(&mut bytes, 0);
    bytes
}

/// What no compressor makes shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

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

fn whole(payload: &[u8]) -> CompressedChunk<'_> {
    CompressedChunk {
        kind: MessageKind::Binary,
        data: payload,
        first: true,
        last: true,
    }
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

/// A pool with a budget of so many bytes.
fn inflate_pool(budget: usize) -> InflatePool {
    let mut config = InflateConfig::default();
    config.budget = Budget::new(budget);
    InflatePool::new(config)
}

/// The start of a message, on a connection of its own.
fn begin(start: &[u8], pool: &mut InflatePool) -> Result<Inflater, ProtocolError> {
    let mut inflater = Inflater::new(NO_TAKEOVER);
    go_on(&mut inflater, start, true, pool)?;
    Ok(inflater)
}

/// A piece that is not the last; returns what comes of it.
fn go_on(
    inflater: &mut Inflater,
    data: &[u8],
    first: bool,
    pool: &mut InflatePool,
) -> Result<Vec<u8>, ProtocolError> {
    let mut piece = CompressedChunk {
        first,
        last: false,
        ..whole(data)
    };
    let mut inflated = Vec::new();
    while let Some(chunk) = inflater.inflate(&mut piece, u64::MAX, pool)? {
        inflated.extend_from_slice(chunk.data.as_bytes());
    }
    Ok(inflated)
}

#[test]
fn budget_is_kept_over_all_connections_and_comes_back() {
    let mut pool = inflate_pool(150_000);
    let budget = pool.config().budget.clone();
    let start = deflated(&noise(3000));
    let mut begun: Vec<_> = (0..10)
        .map(|_| {
            let inflater = begin(&start[..2000], &mut pool).unwrap();
            assert!(budget.held() <= 150_000);
            inflater
        })
        .collect();
    // Those that have been still for longest had to go, and learn it when they go on.
    let refused = ProtocolError::InflateBudget { limit: 150_000 };
    let mut gone = begun
        .iter_mut()
        .map(|inflater| go_on(inflater, &start[2000..2500], false, &mut pool).err());
    assert!(gone.by_ref().take(8).all(|error| error == Some(refused)));
    assert!(gone.all(|error| error.is_none()));
    assert_eq!(refused.close_code(), Some(CloseCode::TRY_AGAIN_LATER));
    drop(begun);
    pool.shrink();
    assert_eq!(budget.held(), 0);
    assert!(begin(&start[..2000], &mut pool).is_ok());
    // Where there is nobody to take it from, there is no room.
    let refused = ProtocolError::InflateBudget { limit: 10_000 };
    let none = begin(&start, &mut inflate_pool(10_000));
    assert_eq!(none.err(), Some(refused));
}

#[test]
fn message_that_begins_takes_what_came_of_it() {
    //= RFC6455-10.4-2
    let attackers = if cfg!(miri) { 10 } else { 10_000 };
    let mut pool = InflatePool::default();
    let budget = pool.config().budget.clone();
    let begun: Vec<_> = (0..attackers)
        .map(|_| begin(b"\0", &mut pool).unwrap())
        .collect();
    // A byte each, and the decoder of the pool.
    assert!(budget.held() <= attackers + 48 * 1024, "{}", budget.held());
    drop(begun);
    // A peer that sends more has a decoder: it took more than a fiftieth of it.
    let begun = begin(&deflated(&noise(3000))[..1025], &mut pool).unwrap();
    assert!(!begun.is_idle() && budget.held() >= 48 * 1024);
}

#[test]
fn pieces_of_a_message_come_out_as_they_come_in() {
    let text: Vec<u8> = (0..40u8).map(|n| b'a' + n % 26).collect();
    for window in [TAKEOVER, NO_TAKEOVER] {
        let (mut inflater, mut pool) = (Inflater::new(window), InflatePool::default());
        for round in 0..2 {
            for (n, byte) in text.iter().enumerate() {
                // A stored block of one byte, and another after the last.
                let block = [0, 1, 0, 0xfe, 0xff, *byte];
                let inflated = go_on(&mut inflater, &block, n == 0, &mut pool);
                assert_eq!(inflated.unwrap(), [*byte], "{round}");
            }
            let mut end = CompressedChunk {
                first: false,
                ..whole(b"\0")
            };
            let chunk = inflater.inflate(&mut end, u64::MAX, &mut pool).unwrap();
            assert!(chunk.is_some_and(|chunk| chunk.last && chunk.data.is_empty()));
        }
    }
}

#[cfg(not(miri))]
#[test]
fn over_the_budget_those_go_that_hold_most_and_move_least() {
    //= RFC6455-10.4-2
    const BUDGET: usize = 2 << 20;
    // What leaves a window of 32 KiB for 50 bytes, and what holds a decoder for little.
    let dense = deflated(&[0; 40_000]);
    assert!(dense.len() < 100);
    let start = deflated(&noise(3000));
    let story: Vec<_> = (0..200).map(|n| noise(100 + n)).collect();
    let mut pool = inflate_pool(BUDGET);
    let mut honest = Peer::new(TAKEOVER);
    let mut deflater = Deflater::new(TAKEOVER);
    let mut compressors = DeflatePool::default();
    std::mem::swap(&mut honest.pool, &mut pool);
    let mut attackers = Vec::new();
    for (n, message) in story.iter().enumerate() {
        for _ in 0..20 {
            let mut attacker = Inflater::new(TAKEOVER);
            let mut piece = whole(&dense);
            let chunk = attacker.inflate(&mut piece, u64::MAX, &mut honest.pool);
            assert!(chunk.unwrap().is_some());
            attackers.push(attacker);
            attackers.push(begin(&start[..1100], &mut honest.pool).unwrap());
        }
        // One who has been there for long, and newcomers with long messages.
        let payload = deflater.deflate(message, true, &mut compressors).unwrap();
        assert_eq!(honest.binary(payload).as_ref(), Ok(message), "{n}");
        let mut newcomer = Inflater::new(TAKEOVER);
        let long = noise(20_000);
        let mut inflated = Vec::new();
        for (n, piece) in deflated(&long).chunks(1400).enumerate() {
            inflated.extend(go_on(&mut newcomer, piece, n == 0, &mut honest.pool).unwrap());
        }
        assert_eq!(inflated, long);
        assert!(honest.pool.config().budget.held() <= BUDGET);
    }
}

#[cfg(not(miri))]
#[test]
fn idle_connection_holds_what_it_saw_and_no_more() {
    //= RFC7692-7.2.2-3, RFC7692-7.2.2-5
    const CONNECTIONS: usize = 100;
    let message = noise(1024);
    let payload = deflated(&message);
    for (window, most) in [(TAKEOVER, 1024 + 128), (NO_TAKEOVER, 0)] {
        let (mut inflate, mut deflate) = (InflatePool::default(), pool(6, 0, 4));
        let mut connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| (Inflater::new(window), Deflater::new(window)))
            .collect();
        let mut exchange = |(rx, tx): &mut (Inflater, Deflater)| {
            let mut piece = whole(&payload);
            while rx
                .inflate(&mut piece, u64::MAX, &mut inflate)
                .unwrap()
                .is_some()
            {}
            tx.deflate(&message, true, &mut deflate).unwrap();
        };
        // The first five fill the pools.
        connections.iter_mut().take(5).for_each(&mut exchange);
        let info = measure(|| connections.iter_mut().skip(5).for_each(&mut exchange));
        let held = info.bytes_current / (CONNECTIONS as i64 - 5);
        assert!(held <= most, "{held}");
    }
    assert!(size_of::<Inflater>() <= 24 && size_of::<Deflater>() <= 24);
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

#[test]
fn inflater_is_idle_when_it_holds_neither_a_message_nor_a_window() {
    let payload = deflated(b"Hello, Hello");
    for window in [TAKEOVER, NO_TAKEOVER] {
        let mut inflater = Inflater::new(window);
        let mut pool = InflatePool::default();
        assert!(inflater.is_idle());
        let mut piece = CompressedChunk {
            last: false,
            ..whole(&payload[..3])
        };
        while let Ok(Some(_)) = inflater.inflate(&mut piece, u64::MAX, &mut pool) {}
        assert!(!inflater.is_idle(), "a message is open");
        let mut piece = CompressedChunk {
            first: false,
            ..whole(&payload[3..])
        };
        while let Some(chunk) = inflater.inflate(&mut piece, u64::MAX, &mut pool).unwrap() {
            if chunk.last {
                break;
            }
        }
        assert_eq!(inflater.is_idle(), window == NO_TAKEOVER);
    }
    assert_eq!(Budget::new(12).limit(), 12);
}
