//! The timers of the application. Times are short, and what is waited for is
//! the call.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use ws_mio::CloseCode;

use crate::{
    common,
    common::{CLOSE, Probe, Running, Seen, closed, config, masked, rest, text},
};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn timer_calls_once_and_can_be_set_again() {
    let mut calls = 0;
    let (probe, log) = Probe::<false>::new(move |peer, seen| match seen {
        Seen::Open => peer.set_timer(0, Some(SHORT)),
        Seen::Timer => {
            calls += 1;
            match calls {
                1 | 2 => peer.set_timer(0, Some(SHORT)),
                _ => drop(peer.close(CloseCode::NORMAL, "three times")),
            }
        }
        _ => {}
    });
    let mut server = Running::start(probe, config());
    let before = Instant::now();
    let mut stream = server.connect();
    common::expect(&mut stream, b"\x88\x0d\x03\xe8three times");
    assert!(before.elapsed() >= 3 * SHORT);
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
            peer.set_timer(0, Some(SHORT));
            peer.set_timer(0, Some(LONG));
        }
        Seen::Text(text) if text == "second" => {
            peer.set_timer(0, Some(SHORT));
            peer.set_timer(0, None);
        }
        Seen::Text(_) => peer.set_timer(0, Some(2 * SHORT)),
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
                1 => peer.set_timer(0, Some(SHORT)),
                // In the place of the first, and later.
                _ => peer.set_timer(0, Some(3 * SHORT)),
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
            peer.set_timer(0, Some(SHORT));
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

/// Counts calls of its loop's timers, and of a connection's.
struct Clocks {
    tell: std::sync::mpsc::Sender<(u64, Instant)>,
}

impl ws_mio::Handler for Clocks {
    type Data = ();

    fn on_start(&mut self, commands: &mut ws_mio::Commands<()>) {
        for timer in [1, 2, 3] {
            commands.set_loop_timer(timer, Some(Duration::from_millis(timer)));
        }
        commands.set_loop_timer(3, None);
    }

    fn on_loop_timer(&mut self, timer: u64, commands: &mut ws_mio::Commands<()>) {
        let _ = self.tell.send((timer, Instant::now()));
        commands.set_loop_timer(timer, Some(Duration::from_millis(timer)));
    }

    fn on_open(&mut self, peer: &mut ws_mio::Peer<'_, ()>) {
        peer.set_timer(10, Some(SHORT));
        peer.set_timer(11, Some(SHORT / 2));
    }

    fn on_timer(&mut self, _: &mut ws_mio::Peer<'_, ()>, timer: u64) {
        let _ = self.tell.send((timer, Instant::now()));
    }
}

#[test]
fn loop_and_connection_have_as_many_timers_as_they_ask_for() {
    let (tell, told) = std::sync::mpsc::channel();
    let before = Instant::now();
    let mut server = Running::start(Clocks { tell }, config());
    let stream = server.connect();
    let mut of_peer = Vec::new();
    let mut calls = [0; 4];
    while of_peer.len() < 2 || calls[1] < 100 || calls[2] < 50 {
        let (timer, at) = told.recv().unwrap();
        match timer {
            10 | 11 => of_peer.push(timer),
            _ => {
                let count = &mut calls[timer as usize];
                *count += 1;
                // Never early, however often.
                assert!(at - before >= Duration::from_millis(timer) * *count);
            }
        }
    }
    assert_eq!((of_peer, calls[3]), (vec![11, 10], 0));
    drop(stream);
    server.stop();
}
