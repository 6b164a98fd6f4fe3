//! The timers of the application. Times are short, and what is waited for is
//! the call.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use ws_mio::CloseCode;

mod common;

use common::{CLOSE, Probe, Running, Seen, closed, config, masked, rest, text};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn timer_calls_once_and_can_be_set_again() {
    let mut calls = 0;
    let (probe, log) = Probe::<false>::new(move |peer, seen| match seen {
        Seen::Open => peer.set_timer(Some(SHORT)),
        Seen::Timer => {
            calls += 1;
            match calls {
                1 | 2 => peer.set_timer(Some(SHORT)),
                _ => drop(peer.close(CloseCode::NORMAL, "three times")),
            }
        }
        _ => {}
    });
    let mut server = Running::start(probe, config());
    let before = Instant::now();
    let mut stream = server.connect();
    common::expect(&mut stream, b"\x88\x0d\x03\xe8three times");
    assert!(before.elapsed() >= 3 * SHORT - Duration::from_millis(50));
    stream.write_all(CLOSE).unwrap();
    rest(stream);
    server.stop();
    assert_eq!(
        log.all()[1..],
        [
            Seen::Open,
            Seen::Timer,
            Seen::Timer,
            Seen::Timer,
            closed(1000, "", "local")
        ]
    );
}

#[test]
fn timer_that_is_taken_back_or_moved_does_not_call() {
    let (probe, log) = Probe::<false>::new(|peer, seen| match seen {
        Seen::Text(text) if text == "first" => {
            // Both are asked for in the same turn; the last holds.
            peer.set_timer(Some(SHORT));
            peer.set_timer(Some(LONG));
        }
        Seen::Text(text) if text == "second" => {
            peer.set_timer(Some(SHORT));
            peer.set_timer(None);
        }
        Seen::Text(_) => peer.set_timer(Some(2 * SHORT)),
        Seen::Timer => peer.abort(),
        _ => {}
    });
    let mut server = Running::start(probe, config());
    let [mut first, mut second, mut third] = [(); 3].map(|()| server.connect());
    first.write_all(&masked(0x81, b"first")).unwrap();
    second.write_all(&masked(0x81, b"second")).unwrap();
    third.write_all(&masked(0x81, b"third")).unwrap();
    // By the end of the third, the others have had their time.
    rest(third);
    for mut stream in [first, second] {
        stream.write_all(CLOSE).unwrap();
        assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    }
    server.stop();
    let calls = log.all().into_iter().filter(|seen| *seen == Seen::Timer);
    assert_eq!(calls.count(), 1);
}

#[test]
fn timer_does_not_outlive_its_connection() {
    let mut opened = 0;
    let (probe, log) = Probe::<false>::new(move |peer, seen| match seen {
        Seen::Open => {
            opened += 1;
            match opened {
                1 => peer.set_timer(Some(SHORT)),
                // In the place of the first, and later.
                _ => peer.set_timer(Some(3 * SHORT)),
            }
        }
        Seen::Timer => peer.abort(),
        _ => {}
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(CLOSE).unwrap();
    rest(stream);
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"still here")).unwrap();
    rest(stream);
    server.stop();
    assert_eq!(
        log.all()
            .into_iter()
            .filter(|seen| !matches!(seen, Seen::Request(_)))
            .collect::<Vec<_>>(),
        [
            Seen::Open,
            closed(1000, "", "peer"),
            Seen::Open,
            text("still here"),
            Seen::Timer,
            closed(1006, "", "aborted"),
        ]
    );
}

#[test]
fn timer_and_keepalive_do_not_disturb_each_other() {
    let mut config = config();
    config.keepalive.ping_interval = Some(3 * SHORT / 2);
    config.keepalive.pong_timeout = Some(2 * SHORT);
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if matches!(seen, Seen::Open | Seen::Timer) {
            peer.set_timer(Some(SHORT));
        }
    });
    let mut server = Running::start(probe, config);
    // It does not answer the Ping, and is given up for all the calls.
    rest(server.connect());
    server.stop();
    let seen = log.all();
    assert_eq!(seen.last(), Some(&closed(1006, "", "Pong timeout")));
    assert!(seen.contains(&Seen::Timer));
}
