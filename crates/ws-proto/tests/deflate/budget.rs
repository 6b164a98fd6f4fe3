//! The memory of all that inflates together.

use super::*;

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
