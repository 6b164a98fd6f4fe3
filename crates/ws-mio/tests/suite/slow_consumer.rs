//! Peers that do not read, and what becomes of messages to them.

use std::io::{Read, Write};

use ws_mio::{Config, SlowConsumer};

use crate::common::{CLOSE, Probe, Running, Seen, closed, config, expect, rest, unmasked};

const MIB: usize = 1 << 20;

fn config_of(policy: SlowConsumer, max_backpressure: usize) -> Config {
    let mut config = config();
    config.slow_consumer = policy;
    config.max_backpressure = max_backpressure;
    config
}

#[test]
fn slow_peer_gets_the_newest_messages() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            // More than a transport takes at once.
            peer.send_binary(&vec![0; 32 * MIB]);
            for number in 0..20 {
                peer.send_binary(&vec![number; MIB]);
            }
            assert!(peer.pending() <= 40 * MIB);
        }
    });
    let mut server = Running::start(probe, config_of(SlowConsumer::DropOldest, 40 * MIB));
    let mut stream = server.connect();
    expect(&mut stream, &unmasked(0x82, &vec![0; 32 * MIB]));
    let mut numbers = Vec::new();
    while numbers.last() != Some(&19) {
        let mut frame = vec![0; 10 + MIB];
        stream.read_exact(&mut frame).unwrap();
        let number = frame[10];
        assert!(frame == unmasked(0x82, &vec![number; MIB]));
        numbers.push(number);
    }
    let first = numbers[0];
    assert!(first > 0, "nothing was dropped");
    assert_eq!(numbers, (first..20).collect::<Vec<u8>>());
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
    assert_eq!(
        log.all()[1..],
        [Seen::Open, Seen::Drain, closed(1000, "", "peer")]
    );
}

#[test]
fn slow_peer_gets_the_latest_of_each_key() {
    let (probe, _log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.send_binary(&vec![0; 32 * MIB]);
            for (key, text) in [(1, "gold 1"), (2, "silver 1"), (1, "gold 2")] {
                peer.send_keyed(key, text);
            }
        }
    });
    let mut server = Running::start(probe, config_of(SlowConsumer::Conflate, 64 * MIB));
    let mut stream = server.connect();
    expect(&mut stream, &unmasked(0x82, &vec![0; 32 * MIB]));
    expect(&mut stream, b"\x81\x06gold 2\x81\x08silver 1");
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
}

#[test]
fn slow_peer_is_dropped_where_that_is_chosen() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.send_binary(&vec![0; 32 * MIB]);
            peer.send_text("one too many");
        }
    });
    let mut server = Running::start(probe, config_of(SlowConsumer::Close, 1000));
    let stream = server.connect();
    assert!(matches!(log.next(), Seen::Request(_)));
    assert_eq!(log.next(), Seen::Open);
    assert_eq!(log.next(), closed(1006, "", "SlowConsumer"));
    drop(stream);
    server.stop();
    assert_eq!(server.remote.metrics().closed["slow_consumer"], 1);
}
