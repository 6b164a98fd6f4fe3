//! What a peer may cost: time, numbers and memory. The time is the test's.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    time::Duration,
};

use mio::event::Source;
use ws_mio::{
    Config, Drain, Message, Peer, PeerAddr, Prepared, Transport,
    memory::{self, Duplex},
};

use crate::{
    common,
    common::{
        Echo, Log, Probe, REPLY, REQUEST, Seen,
        bench::{Bench, is_gone, quiet, take},
        closed, config, echo, masked, unmasked,
    },
};

fn recorded(config: Config) -> (Bench<Probe>, Log) {
    let (probe, log) = Probe::<false>::new(echo);
    (Bench::new(probe, config), log)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn limits_are_finite_by_default() {
    let config = config();
    let times = config.time_limits;
    assert_eq!(times.write_progress, Some(s(30)));
    assert_eq!(times.message, Some(s(300)));
    assert_eq!(times.max_control_rate, 1000);
    assert_eq!(config.max_memory, 1 << 30);
    assert_eq!(config.max_connections, 1_000_000);
    assert_eq!(config.min_head_rate, 10);
}

#[test]
fn request_that_trickles_is_answered_with_408_early() {
    let (mut bench, _log) = recorded(quiet());
    let (mut client, key) = bench.dial(1000, &REQUEST[..1]).unwrap();
    let mut answer = Vec::new();
    for byte in &REQUEST[1..] {
        bench.pass(Duration::from_millis(200));
        answer = take(&mut client);
        if !answer.is_empty() {
            break;
        }
        bench.send(&mut client, key, &[*byte]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
    assert!(bench.now >= s(5) && bench.now < s(8), "{:?}", bench.now);
}

#[test]
fn device_that_prints_its_request_line_by_line_is_served() {
    for pause in [300, 1000] {
        let mut config = quiet();
        config.handshake_timeout = s(10);
        let (mut bench, _log) = recorded(config);
        let (mut client, key) = bench.dial(1000, b"").unwrap();
        for line in REQUEST.split_inclusive(|byte| *byte == b'\n') {
            bench.pass(Duration::from_millis(pause));
            bench.send(&mut client, key, line);
        }
        assert_eq!(take(&mut client), REPLY, "{pause} ms");
    }
}

#[test]
fn large_head_that_comes_slowly_is_served() {
    let mut config = quiet();
    config.handshake_timeout = s(10);
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.dial(40_000, b"").unwrap();
    let cookie = format!("Cookie: a={}\r\n\r\n", "x".repeat(30_000));
    let head = [&REQUEST[..REQUEST.len() - 2], cookie.as_bytes()].concat();
    let mut most = 0;
    for part in head.chunks(head.len().div_ceil(8)) {
        bench.pass(s(1));
        bench.send(&mut client, key, part);
        most = bench.inner.remote().metrics().held_bytes.max(most);
    }
    assert_eq!(take(&mut client), REPLY);
    // What has come of it counts into `max_memory`.
    assert!((20_000..35_000).contains(&most), "{most}");
}

#[test]
fn empty_lines_instead_of_a_request_are_refused_at_once() {
    let (mut bench, _log) = recorded(quiet());
    let (mut client, _key) = bench.dial(100_000, &b"\r\n".repeat(20_000)).unwrap();
    let answer = String::from_utf8(take(&mut client)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("too_many_empty_lines\n"), "{answer}");
}

#[test]
fn tls_on_a_plaintext_port_is_answered_at_its_first_bytes() {
    let (mut bench, log) = recorded(quiet());
    let (mut client, _key) = bench
        .dial(1000, b"\x16\x03\x01\x02\0\x01\0\x01\xfc")
        .unwrap();
    assert!(take(&mut client).starts_with(b"HTTP/1.1 400 "));
    let (mut client, key) = bench.dial(1000, b"\x16").unwrap();
    bench.send(&mut client, key, b"\x03");
    assert!(take(&mut client).starts_with(b"HTTP/1.1 400 "));
    drop(bench);
    assert_eq!(log.all(), []);
}

#[test]
fn request_that_comes_fast_enough_has_all_of_its_time() {
    let mut config = quiet();
    config.handshake_timeout = s(10);
    let (mut bench, _log) = recorded(config);
    // A peer that connects ahead of its request is not slow.
    let (mut client, key) = bench.dial(1000, b"").unwrap();
    bench.pass(s(6));
    let start = bench.now;
    for part in REQUEST.chunks(60) {
        bench.send(&mut client, key, part);
        bench.pass(Duration::from_millis(500));
    }
    assert!(bench.now >= start + s(1));
    assert_eq!(take(&mut client), REPLY);
}

#[test]
fn peer_that_takes_nothing_of_what_waits_is_dropped() {
    let mut config = quiet();
    config.time_limits.write_progress = Some(s(10));
    let (mut bench, log) = recorded(config);
    let (mut client, key) = bench.connect(4096);
    bench.send(&mut client, key, &masked(0x82, &[7; 3000]));
    bench.send(&mut client, key, &masked(0x82, &[7; 3000]));
    // It takes some now and then, which is enough.
    for _ in 0..4 {
        bench.pass(s(8));
        assert_eq!(client.read(&mut [0; 10]).unwrap(), 10);
        bench.turn(&[key]);
    }
    bench.pass(s(11));
    assert_eq!(bench.inner.lend().connections(), 0);
    drop(bench);
    assert_eq!(
        *log.all().last().unwrap(),
        closed(1006, "", "Write timeout")
    );
}

#[test]
fn peer_that_has_taken_everything_owes_nothing() {
    let mut config = quiet();
    config.time_limits.write_progress = Some(s(10));
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(4096);
    bench.send(&mut client, key, &masked(0x82, &[7; 4090]));
    bench.send(&mut client, key, &masked(0x82, &[7; 1]));
    while !take(&mut client).is_empty() {
        bench.turn(&[key]);
    }
    bench.pass(s(100));
    assert_eq!(bench.inner.lend().connections(), 1);
}

/// Begins something, goes on with it each second and never ends it.
fn never_ends(first: &[u8], more: &[u8]) -> (Duration, Vec<u8>, Vec<Seen>) {
    let mut config = quiet();
    config.time_limits.message = Some(s(20));
    let (mut bench, log) = recorded(config);
    let (mut client, key) = bench.connect(100_000);
    bench.send(&mut client, key, first);
    let start = bench.now;
    let mut told = Vec::new();
    while told.is_empty() && bench.now < start + s(60) {
        bench.pass(s(1));
        bench.send(&mut client, key, more);
        told = take(&mut client);
    }
    let took = bench.now - start;
    drop(bench);
    (took, told, log.all())
}

const TOLD: &[u8] = b"\x88\x11\x03\xf0message_timeout";

#[test]
fn message_whose_fragments_never_end_is_refused() {
    let fragment = masked(0x00, b"a");
    for (first, more) in [
        // Fragments, the pieces of a frame, and of a Ping.
        (&masked(0x01, b"a")[..], &fragment[..]),
        (b"\x82\xfe\xff\xff\0\0\0\0", b"a"),
        (b"\x89\xfd\0\0\0\0", b"a"),
        (b"\x01\x80\0\0\0\0", b""),
        (b"\x81", b""),
    ] {
        let (took, told, seen) = never_ends(first, more);
        assert_eq!(
            told.escape_ascii().to_string(),
            TOLD.escape_ascii().to_string()
        );
        assert!(took >= s(20) && took < s(23), "{took:?}");
        assert_eq!(*seen.last().unwrap(), closed(1006, "", "Message timeout"));
    }
}

#[test]
fn long_message_on_a_slow_path_has_time_for_what_came() {
    let mut config = quiet();
    config.time_limits.message = Some(s(20));
    config.time_limits.min_message_rate = 10;
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(100_000);
    let message = masked(0x82, &[7; 6000]);
    for piece in message.chunks(50) {
        bench.send(&mut client, key, piece);
        assert_eq!(bench.inner.lend().connections(), 1, "{:?}", bench.now);
        bench.pass(s(1));
    }
    assert!(take(&mut client).starts_with(&unmasked(0x82, &[7; 6000])));
    // And no more than that: half of one was worth 5 minutes.
    bench.send(&mut client, key, &message[..3000]);
    bench.pass(s(310));
    assert!(take(&mut client).is_empty());
    bench.pass(s(20));
    assert_eq!(take(&mut client), TOLD);
}

#[test]
fn round_trip_is_measured_also_of_a_peer_that_is_never_silent() {
    let mut config = quiet();
    config.keepalive.ping_interval = Some(s(30));
    config.keepalive.measure_interval = Some(s(60));
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(100_000);
    let (mut pings, echo) = (Vec::new(), unmasked(0x82, b"a"));
    for second in 1..=130 {
        bench.pass(s(1));
        bench.send(&mut client, key, &masked(0x82, b"a"));
        if take(&mut client) != echo {
            pings.push(second);
        }
    }
    assert_eq!(pings.len(), 2, "{pings:?}");
}

#[test]
fn messages_that_end_have_the_whole_time_each() {
    // A message is always open, but never the same for long.
    let more = [masked(0x80, b"end"), masked(0x01, b"begin")].concat();
    let mut config = quiet();
    config.time_limits.message = Some(s(5));
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(100_000);
    bench.send(&mut client, key, &masked(0x01, b"begin"));
    for _ in 0..50 {
        bench.pass(s(1));
        bench.send(&mut client, key, &more);
        assert!(take(&mut client).starts_with(&unmasked(0x81, b"beginend")));
    }
}

#[test]
fn message_is_not_held_against_a_peer_that_is_not_read_from() {
    let mut config = quiet();
    config.time_limits.message = Some(s(5));
    let (probe, _log) = Probe::<false>::new(|peer: &mut Peer<'_, ()>, seen| {
        if let Seen::Ping(_) = seen {
            peer.pause();
        }
    });
    let mut bench = Bench::new(probe, config);
    let (mut client, key) = bench.connect(1000);
    bench.send(&mut client, key, &masked(0x01, b"begin"));
    bench.send(&mut client, key, &masked(0x89, b""));
    bench.pass(s(30));
    assert_eq!(bench.inner.lend().connections(), 1);
}

#[test]
fn connection_is_closed_with_1001_once_it_is_too_old() {
    let mut config = quiet();
    config.time_limits.lifetime = Some(s(3600));
    let (mut bench, log) = recorded(config);
    let (mut client, key) = bench.connect(1000);
    bench.pass(s(3500));
    bench.send(&mut client, key, &masked(0x81, b"Hi"));
    assert_eq!(take(&mut client), b"\x81\x02Hi");
    bench.pass(s(101));
    assert_eq!(take(&mut client), b"\x88\x0a\x03\xe9lifetime");
    bench.send(&mut client, key, common::CLOSE);
    assert!(is_gone(&mut client));
    drop(bench);
    assert_eq!(
        *log.all().last().unwrap(),
        closed(1000, "", "Lifetime timeout")
    );
}

#[test]
fn more_control_frames_in_a_second_than_may_be_are_a_flood() {
    for first in [0x89, 0x8a] {
        let mut config = quiet();
        config.time_limits.max_control_rate = 10;
        let (mut bench, log) = recorded(config);
        let (mut client, key) = bench.connect(10_000);
        for _ in 0..5 {
            bench.pass(s(1));
            bench.send(&mut client, key, &masked(first, b"").repeat(10));
            assert!(!is_gone(&mut client));
            let _ = take(&mut client);
        }
        // In many turns as in one.
        for _ in 0..10 {
            bench.send(&mut client, key, &masked(first, b""));
        }
        assert!(take(&mut client).ends_with(b"\x88\x0f\x03\xf0control_flood"));
        drop(bench);
        assert_eq!(*log.all().last().unwrap(), closed(1006, "", "ControlFlood"));
    }
}

#[test]
fn pings_of_a_peer_that_does_not_read_leave_one_pong_behind() {
    let mut config = quiet();
    config.time_limits.max_control_rate = u32::MAX;
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(4096);
    // The transport is full.
    for _ in 0..2 {
        bench.send(&mut client, key, &masked(0x82, &[7; 3000]));
    }
    for n in 0..100_000u32 {
        let ping = masked(0x89, &n.to_be_bytes());
        bench.send(&mut client, key, &ping);
    }
    let mut all = Vec::new();
    loop {
        let some = take(&mut client);
        if some.is_empty() {
            break;
        }
        all.extend(some);
        bench.turn(&[key]);
    }
    let pong = unmasked(0x8a, &99_999u32.to_be_bytes());
    let expected = [unmasked(0x82, &[7; 3000]).repeat(2), pong].concat();
    assert!(all == expected, "{} bytes", all.len());
}

/// A transport whose peer has an address, and whether that is known.
struct Addressed(Duplex, SocketAddr, bool);

impl Transport for Addressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&mut self.0, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Transport::write(&mut self.0, slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown()
    }

    /// Known at once, or when the first bytes were read.
    fn peer_addr(&self) -> PeerAddr {
        match self.2 {
            true => self.1.into(),
            false => PeerAddr::Unknown,
        }
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

#[test]
fn one_address_has_no_more_connections_than_it_may() {
    let mut config = quiet();
    config.max_connections_per_address = 2;
    let mut bench: Bench<_, Addressed> = Bench::new(Echo, config);
    let address = |host: u8| SocketAddr::from(([192, 0, 2, host], 1000));
    let mut clients = Vec::new();
    let mut admit = |bench: &mut Bench<_, Addressed>, host, known| {
        let (client, server) = memory::pair(1000);
        let key = bench.inner.admit(Addressed(server, address(host), known));
        clients.push(client);
        key
    };
    let [a, b] = [1, 1].map(|host| admit(&mut bench, host, true).unwrap());
    assert_eq!(admit(&mut bench, 1, true), None);
    assert!(admit(&mut bench, 2, true).is_some());
    assert_eq!(
        bench
            .inner
            .remote()
            .metrics()
            .over_max_connections_per_address,
        1
    );
    // Behind a proxy the address comes with the first bytes: the proxy's own
    // connections are not counted.
    for _ in 0..5 {
        assert!(admit(&mut bench, 1, false).is_some());
    }
    let late = admit(&mut bench, 1, false).unwrap();
    bench.inner.transport(late).unwrap().2 = true;
    // Long before the request is whole.
    let client = clients.last_mut().unwrap();
    client.write(&[IoSlice::new(&REQUEST[..9])]).unwrap();
    bench.turn(&[late]);
    assert!(take(client).starts_with(b"HTTP/1.1 503 "));
    let metrics = bench.inner.remote().metrics();
    assert_eq!(metrics.over_max_connections_per_address, 2);
    assert_eq!(metrics.refused_requests[&503], 1);
    // Who leaves makes room.
    clients[0].shutdown().unwrap();
    bench.turn(&[a]);
    let (_client, server) = memory::pair(1000);
    assert!(
        bench
            .inner
            .admit(Addressed(server, address(1), true))
            .is_some()
    );
    let (_client, server) = memory::pair(1000);
    assert!(
        bench
            .inner
            .admit(Addressed(server, address(1), true))
            .is_none()
    );
    assert!(bench.inner.transport(b).is_some());
}

#[test]
fn connections_that_hold_most_are_dropped_when_memory_is_short() {
    let mut config = quiet();
    config.max_memory = 1_000_000;
    config.max_backpressure = 300_000;
    let (mut bench, log) = recorded(config);
    let mut clients: Vec<_> = (0..5).map(|_| bench.connect(2000)).collect();
    // A message that is joined, and what waits for peers that do not read.
    let (client, key) = &mut clients[0];
    for _ in 0..100 {
        bench.send(
            client,
            *key,
            &masked(if bench.now == s(0) { 0x02 } else { 0 }, &[0; 1000]),
        );
        bench.now += Duration::from_millis(1);
    }
    let publish = |bench: &mut Bench<Probe>, len: usize| {
        let message = Prepared::new(Message::Binary(&vec![1; len][..]));
        bench.inner.lend().broadcast(&message);
        bench.turn(&[]);
    };
    publish(&mut bench, 150_000);
    assert_eq!(bench.inner.lend().connections(), 5);
    // New ones are refused before old ones are dropped.
    assert!(bench.dial(100, b"").is_none());
    assert_eq!(bench.inner.remote().metrics().refused_over_memory, 1);
    publish(&mut bench, 50_000);
    let metrics = bench.inner.remote().metrics();
    assert!(
        metrics.dropped_over_memory >= 1
            && metrics.closed["over_memory"] == metrics.dropped_over_memory
    );
    assert!(bench.inner.lend().connections() >= 3);
    assert!(
        bench.inner.transport(clients[0].1).is_none(),
        "it held most"
    );
    drop(bench);
    assert!(log.all().contains(&closed(1006, "", "OverMemory")));
}

#[test]
fn what_is_held_is_forgotten_with_the_connection() {
    let mut config = quiet();
    config.max_memory = 100_000;
    config.handshake_timeout = s(1000);
    config.min_head_rate = 0;
    let (mut bench, _log) = recorded(config);
    for round in 0..1000 {
        let (mut client, key) = match round % 4 {
            // The start of a request, which is held too.
            0 => bench.dial(10_000, &REQUEST[..60]).unwrap(),
            1 => bench
                .dial(10_000, &[REQUEST, b"\x02\xfe\x10\x00\0\0\0\0abc"].concat())
                .unwrap(),
            2 => bench
                .dial(10_000, &[REQUEST, &masked(0x02, &[0; 5000])].concat())
                .unwrap(),
            _ => bench
                .dial(
                    9_000,
                    &[REQUEST, &masked(0x82, &[0; 8000]), &masked(0x82, &[0; 500])].concat(),
                )
                .unwrap(),
        };
        client.shutdown().unwrap();
        bench.turn(&[key]);
        drop(client);
        bench.turn(&[key]);
        bench.pass(s(10));
        assert_eq!(bench.inner.lend().connections(), 0, "{round}");
    }
    let metrics = bench.inner.remote().metrics();
    assert_eq!((metrics.dropped_over_memory, metrics.held_bytes), (0, 0));
    bench.connect(1000);
}

#[test]
fn requests_that_never_end_are_dropped_when_memory_is_short() {
    let mut config = quiet();
    config.max_memory = 10_000;
    config.handshake_timeout = s(1000);
    config.min_head_rate = 0;
    let (mut bench, _log) = recorded(config);
    let head = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 3000][..]].concat();
    let mut open = Vec::new();
    for _ in 0..10 {
        open.extend(bench.dial(10_000, b""));
    }
    assert_eq!(open.len(), 10);
    for (client, key) in &mut open {
        bench.send(client, *key, &head);
    }
    assert!(bench.inner.lend().connections() <= 3);
    let metrics = bench.inner.remote().metrics();
    assert!(metrics.dropped_over_memory >= 7);
    assert!((3000..=10_000).contains(&metrics.held_bytes), "{metrics:?}");
    let text = metrics.to_prometheus();
    let held = format!("\nwebsocket_held_bytes {}\n", metrics.held_bytes);
    assert!(text.contains(&held), "{text}");
}

#[test]
fn peer_that_never_reads_a_thousand_topics_stays_within_its_bound() {
    let (probe, _log) = Probe::<false>::new(|peer: &mut Peer<'_, ()>, seen| {
        if *seen == Seen::Open {
            for topic in 0..1000 {
                peer.subscribe(format!("topic {topic}"));
            }
        }
    });
    let mut config = quiet();
    config.max_backpressure = 100_000;
    let mut bench = Bench::new(probe, config);
    let (_never_reads, key) = bench.connect(4096);
    let (mut reads, other) = bench.connect(1 << 20);
    let message = Prepared::new(Message::Binary(&[1; 1000][..]));
    let mut got = 0;
    let info = allocation_counter::measure(|| {
        for _ in 0..20 {
            for topic in 0..1000 {
                bench
                    .inner
                    .lend()
                    .publish(format!("topic {topic}"), &message);
            }
            bench.turn(&[]);
            loop {
                let len = take(&mut reads).len();
                got += len;
                if len == 0 {
                    break;
                }
                bench.turn(&[other]);
            }
        }
    });
    // The other gets all that its own bound lets through, and goes on.
    assert!(got >= 20 * 100_000, "{got}");
    let metrics = bench.inner.remote().metrics();
    assert!(metrics.refused > 10_000);
    assert!(bench.inner.transport(key).is_some());
    // A turn's publications to one topic, one outbox as it doubles for each of
    // the two, and the one in memory.
    assert!(info.bytes_max < 3_000_000, "{info:?}");
}

// --- the end ---

fn drained(over: Duration, until: Duration) -> Drain {
    let mut drain = Drain::new(over, until);
    drain.reason = "restart".into();
    drain
}

const RESTART: &[u8] = b"\x88\x09\x03\xe9restart";

#[test]
fn drain_closes_one_after_the_other_over_its_time() {
    let (mut bench, log) = recorded(quiet());
    let mut clients: Vec<_> = (0..100).map(|_| bench.connect(1000)).collect();
    let drain = drained(s(10), s(20));
    bench.inner.remote().drain(&drain).unwrap();
    let mut closed_by = Vec::new();
    for _ in 0..11 {
        bench.turn(&[]);
        let mut closed = 0;
        clients.retain_mut(|(client, key)| {
            // Who has no Close yet is served as ever.
            bench.send(client, *key, &masked(0x81, b"Hi"));
            let got = take(client);
            if got == b"\x81\x02Hi" {
                return true;
            }
            assert_eq!(got, RESTART);
            bench.send(client, *key, common::CLOSE);
            assert!(is_gone(client));
            closed += 1;
            false
        });
        closed_by.push(closed);
        bench.pass(s(1));
    }
    assert_eq!(closed_by.iter().sum::<usize>(), 100);
    assert!(
        closed_by.iter().all(|closed| *closed <= 12),
        "{closed_by:?}"
    );
    assert!(!bench.goes_on, "the loop ends with the last of them");
    assert!(bench.now < s(12));
    drop(bench);
    let local = closed(1000, "", "local");
    assert_eq!(log.all().iter().filter(|seen| **seen == local).count(), 100);
}

#[test]
fn drain_refuses_requests_that_are_not_whole_and_whoever_comes() {
    let (mut bench, _log) = recorded(quiet());
    let (mut silent, silent_key) = bench.dial(1000, b"").unwrap();
    let (mut slow, slow_key) = bench.dial(1000, &REQUEST[..50]).unwrap();
    let _open = bench.connect(1000);
    bench.inner.remote().drain(&drained(s(5), s(5))).unwrap();
    bench.turn(&[]);
    for (client, key) in [(&mut silent, silent_key), (&mut slow, slow_key)] {
        assert!(take(client).starts_with(b"HTTP/1.1 503 "));
        client.shutdown().unwrap();
        bench.turn(&[key]);
    }
    assert_eq!(bench.inner.lend().connections(), 1);
    assert!(bench.dial(1000, b"").is_none());
}

#[test]
fn drain_does_not_wait_for_a_peer_that_all_has_been_said_to() {
    let mut config = quiet();
    config.close_timeout = s(1);
    let (mut bench, _log) = recorded(config);
    let (mut client, key) = bench.connect(1000);
    bench.inner.remote().drain(&drained(s(0), s(100))).unwrap();
    bench.turn(&[]);
    // An unmasked frame; and the stream does not end.
    bench.send(&mut client, key, b"\x81\x01a");
    bench.pass(s(2));
    assert_eq!(bench.inner.lend().connections(), 0);
    assert!(!bench.goes_on);
}

#[test]
fn drain_loses_nothing_for_a_peer_that_reads_however_slowly() {
    let mut config = quiet();
    config.close_timeout = s(1);
    config.max_backpressure = 1 << 20;
    let (mut bench, log) = recorded(config);
    let (mut client, key) = bench.connect(1000);
    let message = Prepared::new(Message::Binary(&[1; 100_000][..]));
    bench.inner.lend().broadcast(&message);
    bench.turn(&[]);
    bench.inner.remote().drain(&drained(s(0), s(300))).unwrap();
    bench.turn(&[]);
    let mut got = Vec::new();
    while !got.ends_with(RESTART) {
        bench.pass(s(1));
        bench.turn(&[key]);
        got.extend(take(&mut client));
        assert!(bench.goes_on);
    }
    assert_eq!(got.len(), 100_010 + RESTART.len());
    // A message of the peer's that was under way comes through as well.
    bench.send(&mut client, key, &masked(0x81, b"last"));
    bench.send(&mut client, key, common::CLOSE);
    assert!(!bench.goes_on);
    drop(bench);
    let seen = log.all();
    assert_eq!(
        seen[seen.len() - 2..],
        [common::text("last"), closed(1000, "", "local")]
    );
}

#[test]
fn drain_ends_at_its_deadline_whoever_is_left() {
    let (mut bench, log) = recorded(quiet());
    let mut clients: Vec<_> = (0..3).map(|_| bench.connect(1000)).collect();
    bench.inner.remote().drain(&drained(s(4), s(10))).unwrap();
    bench.turn(&[]);
    bench.pass(s(9));
    assert!(bench.goes_on);
    bench.pass(Duration::from_millis(1100));
    assert!(!bench.goes_on);
    for (client, _) in &mut clients {
        assert_eq!(take(client), RESTART);
        assert!(is_gone(client));
    }
    drop(bench);
    let timeout = closed(1006, "", "Close timeout");
    assert_eq!(log.all().iter().filter(|seen| **seen == timeout).count(), 3);
}

#[test]
fn drain_that_is_asked_for_again_is_over_sooner_and_not_later() {
    let (mut bench, _log) = recorded(quiet());
    let _clients: Vec<_> = (0..3).map(|_| bench.connect(1000)).collect();
    let remote = bench.inner.remote();
    remote.drain(&drained(s(100), s(200))).unwrap();
    bench.turn(&[]);
    remote.drain(&drained(s(100), s(500))).unwrap();
    bench.turn(&[]);
    bench.pass(s(150));
    assert!(bench.goes_on);
    remote.stop().unwrap();
    bench.turn(&[]);
    bench.pass(s(11));
    assert!(!bench.goes_on);
}
