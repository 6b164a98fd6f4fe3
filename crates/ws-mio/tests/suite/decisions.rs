//! Decisions on requests that another thread makes. The time is the test's.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ws_mio::{
    Accept, CloseCode, Decider, Decision, Drain, OpenError, Response, Socket, SocketState,
    memory::{self, Duplex},
};

use crate::common::{
    CLOSE, Log, Probe, REPLY, REQUEST, Running, Seen,
    bench::{Bench, READY, is_gone, quiet, take},
    closed, config, echo, expect, masked, text,
};

/// A handler that has every request wait, and those who decide.
fn later() -> (Probe, Log, mpsc::Receiver<Decider<()>>) {
    let (deciders, waiting) = mpsc::channel();
    let (probe, log) = Probe::<false>::new(echo);
    let probe = probe.deciding(move |_| {
        let (decider, decision) = Decision::later();
        deciders.send(decider).unwrap();
        decision
    });
    (probe, log, waiting)
}

fn write(client: &mut Duplex, bytes: &[u8]) {
    ws_mio::Transport::write(client, &[std::io::IoSlice::new(bytes)]).unwrap();
}

#[test]
fn request_waits_for_its_decision_and_is_accepted_with_what_came_behind_it() {
    let (probe, log, deciders) = later();
    let mut bench = Bench::new(probe, quiet());
    let first = [REQUEST, &masked(0x81, b"early")].concat();
    let (mut client, key) = bench.dial(10_000, &first).unwrap();
    let decider = deciders.try_recv().unwrap();
    // What comes meanwhile is not read, and the handler is not asked again.
    write(&mut client, &masked(0x81, b"late"));
    for _ in 0..3 {
        bench.turn(&[key]);
    }
    assert!(take(&mut client).is_empty());
    assert!(decider.is_awaited() && deciders.try_recv().is_err());
    assert!(bench.inner.remote().metrics().held_bytes >= first.len() as u64);
    thread::spawn(move || decider.accept(())).join().unwrap();
    bench.turn(&[]);
    let expected = [REPLY, b"\x81\x05early\x81\x04late"].concat();
    assert_eq!(
        take(&mut client).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    bench.send(&mut client, key, CLOSE);
    assert!(is_gone(&mut client) || take(&mut client).ends_with(b"\x03\xe8"));
    let metrics = bench.inner.remote().metrics();
    assert_eq!((metrics.opened, metrics.held_bytes), (1, 0));
    drop(bench);
    let seen = log.all();
    let request = Seen::Request("/chat".into());
    let all = [
        request,
        Seen::Open,
        text("early"),
        text("late"),
        closed(1000, "", "peer"),
    ];
    assert_eq!(seen, all);
}

#[test]
fn request_is_refused_later() {
    let (probe, _log, deciders) = later();
    let mut bench = Bench::new(probe, quiet());
    let mut answers = |decide: fn(Decider<()>)| {
        let (mut client, key) = bench.dial(10_000, REQUEST).unwrap();
        decide(deciders.try_recv().unwrap());
        bench.turn(&[]);
        let answer = take(&mut client);
        ws_mio::Transport::shutdown(&mut client).unwrap();
        bench.turn(&[key]);
        assert_eq!(bench.inner.lend().connections(), 0);
        String::from_utf8(answer[..13].to_vec()).unwrap()
    };
    let respond = |decider: Decider<()>| decider.respond(Response::new(403));
    assert_eq!(answers(respond), "HTTP/1.1 403 ");
    // Nobody decides, or who does panics.
    assert_eq!(answers(drop), "HTTP/1.1 503 ");
    let panics = |decider: Decider<()>| decider.decide(|_| panic!("as the test says"));
    assert_eq!(answers(panics), "HTTP/1.1 500 ");
}

#[test]
fn decision_may_be_made_at_once_and_put_off_again() {
    let (again, once_more) = mpsc::channel();
    let (probe, log) = Probe::<false>::new(echo);
    let probe = probe.deciding(move |_| {
        let (decider, decision) = Decision::later();
        let again = again.clone();
        decider.decide(move |_| {
            let (decider, decision) = Decision::later();
            again.send(decider).unwrap();
            decision
        });
        decision
    });
    let mut bench = Bench::new(probe, quiet());
    let (mut client, _) = bench.dial(10_000, REQUEST).unwrap();
    bench.turn(&[]);
    let decider: Decider<()> = once_more.try_recv().unwrap();
    decider.decide(|incoming| {
        let acceptance = incoming.negotiate().unwrap();
        Accept::new(acceptance, ()).into()
    });
    bench.turn(&[]);
    assert_eq!(take(&mut client), REPLY);
    drop(bench);
    assert!(log.all().contains(&Seen::Open));
}

#[test]
fn request_that_nobody_decides_on_is_answered_with_503_in_time() {
    let (probe, _log, deciders) = later();
    let mut bench = Bench::new(probe, quiet());
    let (mut client, _) = bench.dial(10_000, REQUEST).unwrap();
    let decider = deciders.try_recv().unwrap();
    bench.pass(Duration::from_millis(9_900));
    assert!(decider.is_awaited() && take(&mut client).is_empty());
    bench.pass(Duration::from_millis(200));
    assert!(take(&mut client).starts_with(b"HTTP/1.1 503 "));
    assert!(!decider.is_awaited());
    // It is too late, and does nothing.
    decider.accept(());
    bench.turn(&[]);
    assert!(take(&mut client).is_empty());
}

#[test]
fn waiting_requests_count_and_end_with_the_server() {
    let (probe, _log, deciders) = later();
    let mut config = quiet();
    config.max_connections = 2;
    let mut bench = Bench::new(probe, config);
    let mut clients: Vec<_> = (0..2)
        .map(|_| bench.dial(10_000, REQUEST).unwrap().0)
        .collect();
    assert!(bench.dial(10_000, REQUEST).is_none());
    bench.inner.remote().stop().unwrap();
    bench.turn(&[]);
    for client in &mut clients {
        assert!(take(client).starts_with(b"HTTP/1.1 503 "));
    }
    assert!(deciders.try_iter().all(|decider| !decider.is_awaited()));
}

#[test]
fn decision_wakes_the_loop() {
    let (probe, _log, deciders) = later();
    let server = Running::start(probe, config());
    let mut stream = server.dial();
    std::io::Write::write_all(&mut stream, REQUEST).unwrap();
    deciders.recv().unwrap().accept(());
    expect(&mut stream, REPLY);
}

#[test]
fn socket_looks_for_the_decision_when_it_is_called() {
    for status in [0, 403, 503] {
        let (mut probe, _log, deciders) = later();
        let (mut client, server) = memory::pair(10_000);
        let mut socket = Socket::accept(server, Arc::new(quiet())).unwrap();
        write(&mut client, REQUEST);
        let state = socket.ready(READY, &mut probe).unwrap();
        assert_eq!(state, SocketState::Opening);
        let decider = deciders.try_recv().unwrap();
        assert_eq!(socket.flush(&mut probe).unwrap(), SocketState::Opening);
        match status {
            0 => decider.accept(()),
            403 => decider.respond(Response::new(403)),
            _ => drop(decider),
        }
        let state = socket.flush(&mut probe);
        let answer = take(&mut client);
        if status == 0 {
            assert_eq!(state.unwrap(), SocketState::Open);
            assert_eq!(answer, REPLY);
            continue;
        }
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        ws_mio::Transport::shutdown(&mut client).unwrap();
        let error = socket.ready(READY, &mut probe).unwrap_err();
        assert!(matches!(error, OpenError::Answered(answered) if answered == status));
    }
}

// --- what else requests and ends have to do with each other ---

#[test]
fn health_check_sees_that_a_drain_will_come_while_all_else_is_served() {
    let (probe, _log) = Probe::<false>::new(echo);
    let probe =
        probe.deciding(
            |incoming| match (incoming.request().path(), incoming.is_draining()) {
                ("/healthz", false) => Response::new(200).into(),
                ("/healthz", true) => Response::new(503).into(),
                _ => incoming.decide(),
            },
        );
    let mut bench = Bench::new(probe, quiet());
    let health = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let check = |bench: &mut Bench<Probe>| {
        let (mut client, key) = bench.dial(1000, health)?;
        let answer = take(&mut client);
        ws_mio::Transport::shutdown(&mut client).unwrap();
        bench.turn(&[key]);
        Some(String::from_utf8(answer[9..12].to_vec()).unwrap())
    };
    assert_eq!(check(&mut bench).unwrap(), "200");
    let second = Duration::from_secs(1);
    let mut drain = Drain::new(Duration::ZERO, 30 * second);
    drain.lame_duck = 10 * second;
    // Over 123 bytes: cut, between characters.
    drain.reason = "é".repeat(62).into();
    bench.inner.remote().drain(&drain).unwrap();
    bench.turn(&[]);
    assert_eq!(check(&mut bench).unwrap(), "503");
    let (mut client, key) = bench.connect(1000);
    bench.pass(9 * second);
    bench.send(&mut client, key, &masked(0x81, b"Hi"));
    assert_eq!(take(&mut client), b"\x81\x02Hi");
    assert_eq!(check(&mut bench).unwrap(), "503");
    assert!(bench.inner.lend().is_draining());
    // A later one does not make it later, one without makes it sooner.
    drain.lame_duck = 100 * second;
    bench.inner.remote().drain(&drain).unwrap();
    bench.pass(second + Duration::from_millis(100));
    assert_eq!(check(&mut bench), None);
    let close = [b"\x88\x7c\x03\xe9", "é".repeat(61).as_bytes()].concat();
    assert_eq!(
        take(&mut client).escape_ascii().to_string(),
        close.escape_ascii().to_string()
    );
    assert!(bench.goes_on);
    bench.send(&mut client, key, CLOSE);
    assert!(!bench.goes_on);
}

#[test]
fn drain_with_a_code_that_a_server_must_not_send_still_closes() {
    let (probe, _log) = Probe::<false>::new(echo);
    let mut bench = Bench::new(probe, quiet());
    let (mut client, _) = bench.connect(1000);
    let mut drain = Drain::new(Duration::ZERO, Duration::from_secs(9));
    drain.code = CloseCode::MANDATORY_EXTENSION;
    bench.inner.remote().drain(&drain).unwrap();
    bench.turn(&[]);
    assert_eq!(take(&mut client), b"\x88\x02\x03\xf3");
}

#[test]
fn slow_turn_is_counted() {
    let (probe, _log) = Probe::<false>::new(echo);
    let mut config = quiet();
    config.slow_turn = Duration::from_millis(100);
    let mut bench: Bench<Probe> = Bench::new(probe, config);
    for millis in [99, 2500, 10] {
        bench.inner.note_turn(Duration::from_millis(millis));
    }
    let metrics = bench.inner.remote().metrics();
    assert_eq!(metrics.slow_turns, 1);
    assert_eq!(metrics.longest_turn, Duration::from_millis(2500));
    let text = metrics.to_prometheus();
    assert!(
        text.contains("\nwebsocket_longest_turn_seconds 2.5\n"),
        "{text}"
    );
}

#[test]
fn server_notes_how_long_its_turns_take() {
    let (probe, _log) = Probe::<false>::new(echo);
    let server = Running::start(probe, config());
    let _stream = server.connect();
    assert!(server.metrics().longest_turn > Duration::ZERO);
}

#[test]
fn peer_that_is_paused_and_closed_is_read_to_its_close() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.pause();
        }
    });
    let mut bench = Bench::new(probe, quiet());
    let (mut client, key) = bench.connect(10_000);
    bench.send(&mut client, key, &masked(0x81, b"before"));
    let id = bench.inner.lend().peers().next().unwrap();
    let _ = bench.inner.lend().with_peer(id, |_, peer| {
        peer.close(CloseCode::NORMAL, "");
    });
    assert_eq!(take(&mut client), b"\x88\x02\x03\xe8");
    bench.send(&mut client, key, CLOSE);
    assert!(is_gone(&mut client));
    drop(bench);
    let seen = log.all();
    assert_eq!(
        seen[seen.len() - 2..],
        [text("before"), closed(1000, "", "local")]
    );
}

#[test]
fn socket_that_is_paused_and_closed_is_read_to_the_close_of_its_peer() {
    let (mut probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            peer.pause();
        }
    });
    let (mut client, server) = memory::pair(10_000);
    let mut socket = Socket::accept(server, Arc::new(quiet())).unwrap();
    write(&mut client, &[REQUEST, &masked(0x81, b"before")].concat());
    socket.ready(READY, &mut probe).unwrap();
    socket.peer().unwrap().close(CloseCode::NORMAL, "");
    socket.flush(&mut probe).unwrap();
    assert!(take(&mut client).ends_with(b"\x88\x02\x03\xe8"));
    write(&mut client, CLOSE);
    socket.ready(READY, &mut probe).unwrap();
    drop(probe);
    let seen = log.all();
    assert_eq!(
        seen[seen.len() - 2..],
        [text("before"), closed(1000, "", "local")]
    );
}

#[test]
fn connection_in_the_middle_of_something_counts_with_its_state() {
    let (probe, _log) = Probe::<false>::new(echo);
    let mut bench = Bench::new(probe, quiet());
    let (mut open, key) = bench.connect(1000);
    assert_eq!(bench.inner.remote().metrics().held_bytes, 0);
    // A byte of a header.
    bench.send(&mut open, key, b"\x81");
    let held = bench.inner.remote().metrics().held_bytes;
    assert!((300..2000).contains(&held), "{held}");
    bench.send(&mut open, key, &masked(0x81, b"Hi")[1..]);
    assert_eq!(bench.inner.remote().metrics().held_bytes, 0);
}
