//! Peers that read slowly, or never; and applications that pause.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ws_mio::{Backpressure, CloseCode, Message, Peer, Refused, Transport as _};

use crate::{
    common,
    common::{
        CLOSE, Echo, Probe, Running, Seen, bench::Bench, closed, config, echo, expect, masked,
        pattern, rest, text, unmasked,
    },
};

/// Makes a transport that takes little at once.
fn narrow(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.set_send_buffer_size(32 * 1024).unwrap();
}

#[test]
fn slow_reader_gets_every_byte_of_64_mib() {
    let server = Running::start(Echo, config());
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let frames = 64;
    let payload = pattern(1 << 20);
    let wire = masked(0x82, &payload);
    let sending = thread::spawn(move || {
        for _ in 0..frames {
            writer.write_all(&wire).unwrap();
        }
    });
    let frame = unmasked(0x82, &payload);
    for _ in 0..frames {
        expect(&mut stream, &frame);
    }
    sending.join().unwrap();
}

#[test]
fn big_messages_pass_through_narrow_transports() {
    let server = Running::start(Echo, config());
    let mut stream = server.connect();
    narrow(&stream);
    let mut writer = stream.try_clone().unwrap();
    let payloads: Vec<Vec<u8>> = [1, 70_000, 3, 1 << 20, 16 * 1024 + 1, 125]
        .map(pattern)
        .into();
    let wire: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| masked(0x82, payload))
        .collect();
    let sending = thread::spawn(move || writer.write_all(&wire).unwrap());
    for payload in payloads {
        expect(&mut stream, &unmasked(0x82, &payload));
    }
    sending.join().unwrap();
}

#[test]
fn nothing_is_read_from_a_peer_that_never_reads() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&waiting);
    let (probe, log) = Probe::<false>::new(move |peer, seen| {
        echo(peer, seen);
        most.fetch_max(peer.pending(), Ordering::Relaxed);
    });
    let mut config = config();
    config.close_timeout = Duration::from_millis(100);
    let high_water = config.high_water;
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    stream.set_nonblocking(true).unwrap();
    // Until both directions of the transport are full.
    let frame = masked(0x82, &[7; 10_000]);
    let mut sent = 0;
    let mut other = server.connect();
    loop {
        match stream.write(&frame[sent % frame.len()..]) {
            Ok(n) => sent += n,
            Err(_) => {
                // The server has had a turn once another peer has its answer.
                other.write_all(&masked(0x89, b"")).unwrap();
                expect(&mut other, b"\x8a\x00");
                if stream
                    .write(&frame[sent % frame.len()..])
                    .map(|n| sent += n)
                    .is_err()
                {
                    break;
                }
            }
        }
    }
    server.stop();
    drop(stream);
    // High water, and the message that went over it.
    let most = waiting.load(Ordering::Relaxed);
    assert!(most >= high_water && most <= high_water + 10_004, "{most}");
    let seen = log.all();
    assert!(seen.contains(&closed(1006, "", "Close timeout")));
}

#[test]
fn ping_flood_of_a_peer_that_never_reads_is_bounded() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&waiting);
    let (probe, _log) = Probe::<false>::new(move |peer, _| {
        most.fetch_max(peer.pending(), Ordering::Relaxed);
    });
    let mut config = config();
    config.close_timeout = Duration::from_millis(100);
    // Reading stops at the lower of the two, so that every Pong has room.
    config.max_backpressure = 1000;
    config.time_limits.max_control_rate = u32::MAX;
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    narrow(&stream);
    let mut other = server.connect();
    stream.set_nonblocking(true).unwrap();
    let flood = masked(0x89, &[1; 125]).repeat(500);
    let mut sent = 0;
    loop {
        let mut write = || {
            stream
                .write(&flood[sent % flood.len()..])
                .map(|n| sent += n)
        };
        if write().is_err() {
            other.write_all(&masked(0x89, b"")).unwrap();
            expect(&mut other, b"\x8a\x00");
            if write().is_err() {
                break;
            }
        }
    }
    // What is begun is finished, and the last Ping that was read is answered.
    stream.set_nonblocking(false).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let begun = sent % 131;
    let rest = if begun > 0 { &flood[begun..131] } else { b"" };
    let last = [rest, &masked(0x89, &[2; 125])].concat();
    let writing = thread::spawn(move || writer.write_all(&last).unwrap());
    let mut pong = [0; 127];
    while pong[2] != 2 {
        stream.read_exact(&mut pong).unwrap();
        assert!(pong[..2] == *b"\x8a\x7d" && pong[2..] == [pong[2]; 125]);
    }
    writing.join().unwrap();
    drop(stream);
    server.stop();
    assert!(waiting.load(Ordering::Relaxed) <= 64 * 1024 + 1000);
}

#[test]
fn message_that_does_not_fit_is_refused_and_can_be_sent_later() {
    let mut config = config();
    config.max_backpressure = 100;
    config.high_water = 100;
    let (probe, log) = Probe::<false>::new(|peer: &mut Peer<'_, ()>, seen| match seen {
        Seen::Open => {
            // One may be longer than the limit; it fills the transport.
            let sent = peer.send_binary(&vec![0; 32 << 20]);
            assert!(
                matches!(sent, Backpressure::Queued(n) if n > 100),
                "{sent:?}"
            );
            let full = |sent| matches!(sent, Backpressure::Refused(Refused::Full(_)));
            assert!(full(peer.send_text("later")));
            assert!(full(peer.send_fragment("Hel", false)));
            // That was refused as if it had not been asked for.
            assert!(full(peer.send_fragment("Hel", false)));
            assert!(full(peer.send_text("later")));
        }
        Seen::Drain => {
            assert_eq!(peer.send_fragment("Hel", false), Backpressure::Sent);
            assert_eq!(peer.send_fragment("lo", true), Backpressure::Sent);
            peer.close(CloseCode::NORMAL, "");
        }
        _ => {}
    });
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    expect(&mut stream, &unmasked(0x82, &vec![0; 32 << 20]));
    expect(&mut stream, b"\x01\x03Hel\x80\x02lo\x88\x02\x03\xe8");
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"");
    server.stop();
    assert_eq!(log.all()[2..], [Seen::Drain, closed(1000, "", "local")]);
}

#[test]
fn close_leaves_though_nothing_else_has_room() {
    //= RFC6455-7.1.2-1
    let mut config = config();
    config.max_backpressure = 0;
    config.high_water = 0;
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == text("go") {
            peer.send_binary(&vec![0; 32 << 20]);
            while !matches!(peer.ping(&[0; 125]), Backpressure::Refused(_)) {}
            let sent = peer.close(CloseCode::NORMAL, "");
            assert!(matches!(sent, Backpressure::Queued(_)));
        }
    });
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"go")).unwrap();
    stream.write_all(CLOSE).unwrap();
    let wire = rest(stream);
    assert!(wire.ends_with(b"\x88\x02\x03\xe8"));
    server.stop();
    assert_eq!(
        log.all()[1..],
        [
            Seen::Open,
            text("go"),
            Seen::Drain,
            closed(1000, "", "local")
        ]
    );
}

/// Sends more than the transport takes, and pauses until it has been read.
fn pause_until_drained(peer: &mut Peer<'_, ()>, seen: &Seen) {
    match seen {
        Seen::Text(word) if word == "pause" => {
            peer.send_binary(&vec![0; 32 << 20]);
            peer.pause();
        }
        Seen::Drain => peer.resume(),
        _ => echo(peer, seen),
    }
}

#[test]
fn paused_peer_is_read_from_again_when_it_is_resumed() {
    let mut config = config();
    config.high_water = usize::MAX;
    config.max_backpressure = usize::MAX;
    let (probe, log) = Probe::<false>::new(pause_until_drained);
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    // What is behind in the same read, in the transport, and comes later.
    let wire = [masked(0x81, b"pause"), masked(0x81, b"behind")].concat();
    stream.write_all(&wire).unwrap();
    assert_eq!([log.next(), log.next(), log.next()][2], text("pause"));
    stream.write_all(&masked(0x81, b"later")).unwrap();
    // The server has had its turn for it once another peer has an answer.
    let mut other = server.connect();
    other.write_all(&masked(0x89, b"")).unwrap();
    expect(&mut other, b"\x8a\x00");
    drop(other);
    expect(&mut stream, &unmasked(0x82, &vec![0; 32 << 20]));
    expect(&mut stream, b"\x81\x06behind\x81\x05later");
    // Nothing is left of the pause.
    stream.write_all(&masked(0x81, b"on")).unwrap();
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x81\x02on\x88\x02\x03\xe8");
    server.stop();
    let seen = log.all();
    assert_eq!(seen.last(), Some(&closed(1000, "", "peer")));
}

#[test]
fn end_that_came_during_a_pause_is_seen_when_it_is_over() {
    //= RFC6455-7.2.1-2
    let mut config = config();
    config.high_water = usize::MAX;
    config.max_backpressure = usize::MAX;
    let (probe, log) = Probe::<false>::new(pause_until_drained);
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    let wire = [masked(0x81, b"pause"), masked(0x81, b"behind")].concat();
    stream.write_all(&wire).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let wire = rest(stream);
    assert_eq!(wire.len(), 10 + (32 << 20) + 8);
    assert!(wire.ends_with(b"\x81\x06behind"));
    server.stop();
    assert_eq!(
        log.all()[2..],
        [
            text("pause"),
            Seen::Drain,
            text("behind"),
            closed(1006, "", "lost")
        ]
    );
}

#[test]
fn end_that_came_while_the_peer_did_not_read_is_seen_when_it_does() {
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    let payload = pattern(8 << 20);
    let mut writer = stream.try_clone().unwrap();
    let wire = masked(0x82, &payload).repeat(2);
    let (done, is_done) = mpsc::channel();
    let sending = thread::spawn(move || {
        writer.write_all(&wire).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
        done.send(()).unwrap();
    });
    expect(&mut stream, &unmasked(0x82, &payload));
    expect(&mut stream, &unmasked(0x82, &payload));
    is_done.recv().unwrap();
    sending.join().unwrap();
    assert_eq!(rest(stream), b"");
    server.stop();
    assert_eq!(log.all().last(), Some(&closed(1006, "", "lost")));
}

#[test]
fn reset_of_a_peer_that_did_not_read_ends_the_connection() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.send_binary(&vec![0; 32 << 20]);
        }
    });
    let mut server = Running::start(probe, config());
    for _ in 0..10 {
        common::reset(server.connect());
        // No stop is needed for it.
        assert!(matches!(log.next(), Seen::Request(_)));
        assert_eq!(log.next(), Seen::Open);
        assert_eq!(log.next(), closed(1006, "", "io"));
    }
    server.stop();
    assert_eq!(log.all(), []);
}

#[test]
fn peer_that_reads_slowly_is_not_taken_for_dead() {
    const LONG: usize = 1 << 20;
    let mut config = config();
    config.keepalive.ping_interval = Some(Duration::from_millis(50));
    config.keepalive.pong_timeout = Some(Duration::from_secs(1));
    let mut bench: Bench<_> = Bench::new(Echo, config);
    let (mut stream, key) = bench.connect(64 * 1024);
    bench.send(&mut stream, key, &masked(0x82, &vec![0; LONG]));
    let mut left = LONG;
    while left > 0 {
        // It answers no Ping: those wait behind the message.
        left = left.saturating_sub(stream.read(&mut [0; 16 * 1024]).unwrap());
        bench.pass(Duration::from_millis(50));
        bench.turn(&[key]);
    }
    assert!(bench.now > Duration::from_secs(2));
    assert_eq!(bench.inner.lend().connections(), 1);
}

#[test]
fn connection_that_never_stops_sending_leaves_turns_for_others() {
    let (probe, _log) = Probe::<false>::new(|peer, seen| {
        if let Seen::Text(_) = seen {
            peer.send(Message::Text("served"));
        }
    });
    let server = Running::start(probe, config());
    let mut flood = server.connect();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flooding = thread::spawn(move || {
        let frames = masked(0x82, &[0; 4096]).repeat(64);
        while !stopped.load(Ordering::Relaxed) {
            flood.write_all(&frames).unwrap();
        }
    });
    for _ in 0..100 {
        let mut stream = server.connect();
        stream.write_all(&masked(0x81, b"me too")).unwrap();
        expect(&mut stream, b"\x81\x06served");
    }
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
}
