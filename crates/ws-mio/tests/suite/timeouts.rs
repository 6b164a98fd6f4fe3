//! Peers that take too long. Times are short, and what is waited for is the
//! end of the stream.

use std::{io::Write, time::Duration};

use ws_mio::{CloseCode, Config};

use crate::common::{
    CLOSE, Echo, Probe, REQUEST, Running, Seen,
    bench::{Bench, take},
    closed, config, echo, expect, masked, rest, text,
};

const SHORT: Duration = Duration::from_millis(100);

fn quiet() -> Config {
    let mut config = config();
    config.keepalive.ping_interval = None;
    config
}

#[test]
fn request_that_does_not_come_is_answered_with_408() {
    let mut config = quiet();
    config.handshake_timeout = SHORT;
    config.close_timeout = SHORT;
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config);
    let silent = server.dial();
    let mut slow = server.dial();
    slow.write_all(&REQUEST[..REQUEST.len() - 1]).unwrap();
    let mut open = server.connect();
    for stream in [silent, slow] {
        let answer = rest(stream);
        assert!(
            answer.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"),
            "{}",
            answer.escape_ascii()
        );
    }
    // It does not hold for what is open.
    open.write_all(&masked(0x81, b"here")).unwrap();
    expect(&mut open, b"\x81\x04here");
    drop(open);
    server.stop();
    assert_eq!(
        log.all()[1..],
        [Seen::Open, text("here"), closed(1006, "", "lost")]
    );
}

#[test]
fn refused_peer_that_stays_is_dropped() {
    //= RFC6455-7.1.1-2
    let mut config = quiet();
    config.close_timeout = SHORT;
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config);
    let mut stream = server.dial();
    stream.write_all(b"nonsense\n").unwrap();
    // It sends on and on, until the server's end is gone.
    while stream.write_all(&[0; 1000]).is_ok() {}
    server.stop();
    assert_eq!(log.all(), []);
}

#[test]
fn peer_that_does_not_answer_a_close_is_dropped() {
    //= RFC6455-7.1.1-2
    let mut config = quiet();
    config.close_timeout = SHORT;
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.close(CloseCode::NORMAL, "");
        }
    });
    let mut server = Running::start(probe, config);
    assert_eq!(rest(server.connect()), b"\x88\x02\x03\xe8");
    // Nor does sending help.
    let mut stream = server.connect();
    while stream.write_all(&masked(0x82, &[0; 1000])).is_ok() {}
    drop(stream);
    server.stop();
    let given_up = closed(1006, "", "Close timeout");
    assert_eq!(
        log.all().iter().filter(|seen| **seen == given_up).count(),
        2
    );
}

#[test]
fn peer_that_does_not_read_the_last_is_dropped() {
    let mut config = quiet();
    config.close_timeout = SHORT;
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.send_binary(&vec![0; 64 << 20]);
        }
    });
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    stream.write_all(b"\xff").unwrap();
    stream.write_all(b"\x80").unwrap();
    // The wrong frame is seen though so much waits; what tells of it never
    // gets through.
    assert!(matches!(log.next(), Seen::Request(_)));
    assert_eq!(log.next(), Seen::Open);
    assert_eq!(log.next(), closed(1006, "", "reserved_opcode"));
    while stream.write_all(&[0; 1000]).is_ok() {}
    server.stop();
    assert_eq!(log.all(), []);
}

#[test]
fn silent_peer_is_pinged_and_then_dropped() {
    //= RFC6455-5.5.2-2
    let mut config = config();
    config.keepalive.ping_interval = Some(SHORT);
    config.keepalive.pong_timeout = Some(SHORT);
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config);
    assert_eq!(rest(server.connect()), b"\x89\x04\x00\x00\x00\x01");
    server.stop();
    assert_eq!(log.all()[2..], [closed(1006, "", "Pong timeout")]);
}

#[test]
fn peer_that_answers_pings_stays() {
    //= RFC6455-5.5.3-3
    let mut config = config();
    config.keepalive.ping_interval = Some(SHORT);
    config.keepalive.pong_timeout = Some(Duration::from_secs(20));
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    for i in 1..=3 {
        expect(&mut stream, &[0x89, 4, 0, 0, 0, i]);
        stream.write_all(&masked(0x8a, &[0, 0, 0, i])).unwrap();
    }
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
    // The round-trip time is known.
    assert_eq!(log.all()[2], Seen::Pong(vec![0, 0, 0, 1], true));
}

#[test]
fn idle_peer_is_closed_with_1001_though_it_answers_pings() {
    let mut config = config();
    config.keepalive.ping_interval = Some(Duration::from_millis(50));
    config.keepalive.pong_timeout = Some(Duration::from_secs(20));
    config.keepalive.idle_timeout = Some(Duration::from_millis(400));
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    let mut first = [0];
    loop {
        std::io::Read::read_exact(&mut stream, &mut first).unwrap();
        if first == [0x88] {
            break;
        }
        let mut ping = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut ping).unwrap();
        stream.write_all(&masked(0x8a, &ping[1..])).unwrap();
    }
    expect(&mut stream, b"\x0e\x03\xe9idle_timeout");
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"");
    server.stop();
    assert_eq!(log.all().last(), Some(&closed(1000, "", "Idle timeout")));
}

#[test]
fn data_keeps_a_peer_from_being_idle() {
    let mut config = quiet();
    config.keepalive.idle_timeout = Some(Duration::from_millis(300));
    let mut bench: Bench<_> = Bench::new(Echo, config);
    let (mut busy, key) = bench.connect(4096);
    // Five times the limit.
    for _ in 0..15 {
        bench.pass(Duration::from_millis(100));
        bench.send(&mut busy, key, &masked(0x81, b"busy"));
        assert_eq!(take(&mut busy), b"\x81\x04busy");
    }
    bench.pass(Duration::from_millis(500));
    assert_eq!(take(&mut busy), b"\x88\x0e\x03\xe9idle_timeout");
}

#[test]
fn timeouts_may_be_for_ever() {
    let mut config = config();
    config.handshake_timeout = Duration::MAX;
    config.close_timeout = Duration::MAX;
    config.keepalive.ping_interval = Some(Duration::MAX);
    config.keepalive.pong_timeout = Some(Duration::MAX);
    config.keepalive.idle_timeout = Some(Duration::MAX);
    let server = Running::start(Echo, config);
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"ever")).unwrap();
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x81\x04ever\x88\x02\x03\xe8");
}
