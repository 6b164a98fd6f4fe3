//! How connections end: in every way, from inside every callback, and told
//! exactly once.

use std::{
    collections::HashMap,
    io::Write,
    net::{Shutdown, TcpStream},
};

use ws_mio::{Backpressure, CloseCode, Peer, PeerId, Refused};

use crate::common::{
    CLOSE, Log, Probe, REQUEST, Running, Seen, closed, config, echo, expect, masked, reset, rest,
    text,
};

/// Checks that every connection that was opened was closed once, last of all.
fn check_closes(seen: Vec<(Option<PeerId>, Seen)>) -> usize {
    let mut is_closed: HashMap<PeerId, bool> = HashMap::new();
    for (id, seen) in seen {
        match (id, &seen) {
            (None, _) => {}
            (Some(id), Seen::Open) => assert_eq!(is_closed.insert(id, false), None),
            (Some(id), Seen::Close(..)) => assert_eq!(is_closed.insert(id, true), Some(false)),
            (Some(id), _) => assert_eq!(is_closed.get(&id), Some(&false), "{seen:?}"),
        }
    }
    assert!(is_closed.values().all(|closed| *closed));
    is_closed.len()
}

/// Which callback something is done in, in the test's script: the peer sends
/// text and a Ping, reads what comes, and answers with a Pong.
fn stage(seen: &Seen) -> &'static str {
    match seen {
        Seen::Request(_) => "request",
        Seen::Open => "open",
        Seen::Text(_) | Seen::Binary(_) => "message",
        Seen::Chunk(..) => "chunk",
        Seen::Ping(_) => "ping",
        Seen::Pong(..) => "pong",
        Seen::Drain => "drain",
        Seen::Timer => "timer",
        Seen::Close(..) => "close",
    }
}

/// Runs a connection in which `act` is done at one stage.
fn run<const CHUNKS: bool>(at: &'static str, act: fn(&mut Peer<'_, ()>)) -> (Vec<u8>, Vec<Seen>) {
    let (probe, log) = Probe::<CHUNKS>::new(move |peer, seen| {
        if at == "drain" && *seen == Seen::Open {
            // More than a transport takes at once, and nothing before it left.
            peer.pause();
            assert!(matches!(
                peer.send_binary(&vec![0; 32 << 20]),
                Backpressure::Queued(_)
            ));
        }
        if at == "drain" && *seen == Seen::Drain {
            peer.resume();
        }
        if stage(seen) == at {
            act(peer);
        }
        if let Seen::Close(..) = seen {
            for sent in [
                peer.send_text("late"),
                peer.ping(b"late"),
                peer.send_fragment("late", true),
                peer.close(CloseCode::NORMAL, "late"),
            ] {
                assert!(matches!(sent, Backpressure::Refused(_)), "{sent:?}");
            }
        }
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    let script = [
        masked(0x81, b"text"),
        masked(0x89, b"ping"),
        masked(0x8a, b"pong"),
    ];
    // The server may be gone before all is written.
    let _ = stream.write_all(&script.concat());
    let _ = stream.write_all(CLOSE);
    let mut wire = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut wire);
    drop(stream);
    server.stop();
    let seen = log.rest();
    assert_eq!(check_closes(seen.clone()), 1);
    (wire, seen.into_iter().map(|(_, seen)| seen).collect())
}

#[test]
fn connection_can_be_closed_from_inside_every_callback() {
    //= RFC6455-7.1.2-1, RFC6455-7.1.2-2, RFC6455-5.5.1-6, RFC6455-7.3-1
    let close = |peer: &mut Peer<'_, ()>| {
        let sent = peer.close(CloseCode::GOING_AWAY, "enough");
        assert!(!matches!(sent, Backpressure::Refused(_)), "{sent:?}");
        assert!(matches!(
            peer.send_text("late"),
            Backpressure::Refused(Refused::Send(_))
        ));
    };
    for at in ["open", "message", "ping", "pong", "drain"] {
        let (wire, seen) = run::<false>(at, close);
        // Nothing but the Pong that is still owed comes after it.
        let close = b"\x88\x08\x03\xe9enough";
        let place = wire.windows(close.len()).position(|bytes| bytes == close);
        let after = &wire[place.unwrap_or_else(|| panic!("no Close in {at}")) + close.len()..];
        assert!(
            matches!(after, b"" | b"\x8a\x04ping"),
            "{at}: {}",
            after.escape_ascii()
        );
        assert_eq!(seen.last(), Some(&closed(1000, "", "local")), "{at}");
        // What the peer sent before its Close is still delivered.
        assert!(seen.contains(&text("text")) && seen.contains(&Seen::Ping(b"ping".into())));
    }
    let (_, seen) = run::<true>("chunk", close);
    assert_eq!(seen.last(), Some(&closed(1000, "", "local")));
}

#[test]
fn connection_can_be_aborted_from_inside_every_callback() {
    for at in ["open", "message", "ping", "pong", "drain"] {
        let (_, seen) = run::<false>(at, |peer| peer.abort());
        assert_eq!(seen.last(), Some(&closed(1006, "", "aborted")), "{at}");
        // Nothing more was delivered.
        assert_eq!(stage(&seen[seen.len() - 2]), at);
    }
    let (_, seen) = run::<true>("chunk", |peer| peer.abort());
    assert_eq!(seen.last(), Some(&closed(1006, "", "aborted")));
    // When it is over already, it changes nothing.
    let (wire, seen) = run::<false>("close", |peer| peer.abort());
    assert_eq!(wire, b"\x8a\x04ping\x88\x02\x03\xe8");
    assert_eq!(seen.last(), Some(&closed(1000, "", "peer")));
}

#[test]
fn what_was_sent_in_the_turn_of_an_abort_still_leaves() {
    let (probe, _log) = Probe::<false>::new(|peer, seen| {
        if *seen == text("stop") {
            peer.send_text("so be it");
            peer.abort();
        }
    });
    let server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"stop")).unwrap();
    assert_eq!(rest(stream), b"\x81\x08so be it");
}

#[test]
fn end_of_the_stream_without_a_close_is_told_as_lost() {
    //= RFC6455-7.1.4-1, RFC6455-7.1.5-1, RFC6455-7.2.1-2
    let (_, seen) = run::<false>("nowhere", |_| {});
    assert_eq!(seen.last(), Some(&closed(1000, "", "peer")));
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"last")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // What came before it is answered.
    assert_eq!(rest(stream), b"\x81\x04last");
    server.stop();
    assert_eq!(log.all()[2..], [text("last"), closed(1006, "", "lost")]);
}

#[test]
fn peer_may_leave_at_any_byte() {
    //= RFC6455-7.1.4-1, RFC6455-7.2.1-2
    let wire = [
        masked(0x81, b"Hello"),
        masked(0x01, b"in two "),
        masked(0x89, b"ping"),
        masked(0x80, b"frames"),
        masked(0x82, &[1; 200]),
        CLOSE.into(),
    ]
    .concat();
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    for at in 0..=wire.len() {
        for end in [reset as fn(TcpStream), drop, |stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = std::io::Read::read_to_end(&mut &stream, &mut Vec::new());
        }] {
            let mut stream = server.connect();
            stream.write_all(&wire[..at]).unwrap();
            end(stream);
        }
    }
    // The server serves on, and has told of every end.
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"still there?")).unwrap();
    expect(&mut stream, b"\x81\x0cstill there?");
    stream.write_all(CLOSE).unwrap();
    drop(rest(stream));
    server.stop();
    assert_eq!(check_closes(log.rest()), 3 * (wire.len() + 1) + 1);
}

#[test]
fn data_that_crosses_our_close_is_delivered_and_cannot_be_answered() {
    //= RFC6455-5.5.1-6
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == text("close") {
            peer.close(CloseCode::NORMAL, "");
            // A second one is not sent.
            let again = peer.close(CloseCode::NORMAL, "");
            assert!(matches!(again, Backpressure::Refused(Refused::Send(_))));
        } else {
            echo(peer, seen);
        }
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"close")).unwrap();
    expect(&mut stream, b"\x88\x02\x03\xe8");
    stream.write_all(&masked(0x81, b"crossing")).unwrap();
    stream.write_all(&masked(0x89, b"hm?")).unwrap();
    stream.write_all(CLOSE).unwrap();
    // The Pong is owed, an echo is not possible.
    assert_eq!(rest(stream), b"\x8a\x03hm?");
    server.stop();
    assert_eq!(
        log.all()[2..],
        [
            text("close"),
            text("crossing"),
            Seen::Ping(b"hm?".into()),
            closed(1000, "", "local")
        ]
    );
}

#[test]
fn protocol_error_is_told_to_both_sides_and_ends_the_connection() {
    //= RFC6455-7.1.7-3, RFC6455-7.1.7-5, RFC6455-7.1.7-7, RFC6455-5.1-3
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream
        .write_all(b"\x81\x82\x00\x00\x00\x00ok\x81\x05Hello\x81\x82\x00\x00\x00\x00no")
        .unwrap();
    // The stream ends without the peer's doing; and it is no reset, though
    // the peer still sends.
    stream.write_all(&masked(0x82, &[0; 1000])).unwrap();
    assert_eq!(rest(stream), b"\x81\x02ok\x88\x10\x03\xeaunmasked_frame");
    server.stop();
    assert_eq!(
        log.all()[2..],
        [text("ok"), closed(1006, "", "unmasked_frame")]
    );
}

#[test]
fn stop_says_goodbye_to_everybody_and_waits_for_their_answers() {
    //= RFC6455-7.1.1-5
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if *seen == text("close") {
            peer.close(CloseCode::NORMAL, "");
        }
    });
    let mut server = Running::start(probe, config());
    let mut open = server.connect();
    let mut closing = server.connect();
    closing.write_all(&masked(0x81, b"close")).unwrap();
    expect(&mut closing, b"\x88\x02\x03\xe8");
    let mut upgrading = server.dial();
    upgrading.write_all(&REQUEST[..20]).unwrap();
    let mut failed = server.connect();
    failed.write_all(b"\xf1\x80\x00\x00\x00\x00").unwrap();
    expect(&mut failed, b"\x88\x0f\x03\xeareserved_bits");
    // Asking twice is asking once.
    server.remote.stop().unwrap();
    server.remote.stop().unwrap();
    expect(&mut open, b"\x88\x02\x03\xe9");
    open.write_all(&masked(0x81, b"last words")).unwrap();
    open.write_all(&masked(0x88, b"\x03\xe9")).unwrap();
    assert_eq!(rest(open), b"");
    closing.write_all(CLOSE).unwrap();
    assert_eq!(rest(closing), b"");
    let _ = std::io::Read::read_to_end(&mut upgrading, &mut Vec::new());
    // Or it would be waited for until `close_timeout`.
    drop(upgrading);
    assert_eq!(rest(failed), b"");
    server.stop();
    let seen = log.rest();
    assert!(seen.iter().any(|(_, seen)| *seen == text("last words")));
    assert!(
        seen.iter()
            .any(|(_, seen)| *seen == closed(1001, "", "local"))
    );
    assert_eq!(check_closes(seen), 3);
}

#[test]
fn stop_gives_up_on_peers_that_do_not_answer() {
    //= RFC6455-7.1.1-2
    let mut config = config();
    config.close_timeout = std::time::Duration::from_millis(100);
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config);
    let streams: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    server.stop();
    drop(streams);
    let seen = log.rest();
    let given_up = closed(1006, "", "Close timeout");
    assert_eq!(
        seen.iter().filter(|(_, seen)| *seen == given_up).count(),
        10
    );
    assert_eq!(check_closes(seen), 10);
}

#[test]
fn stop_may_come_before_the_server_runs() {
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let server = ws_mio::Server::bind("127.0.0.1:0", config()).unwrap();
    server.remote().stop().unwrap();
    server.run(probe).unwrap();
    assert_eq!(Log::all(log), []);
}

#[test]
fn closing_with_any_reason_and_code_closes() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if let Seen::Text(_) = seen {
            let reason = "€".repeat(50);
            let sent = peer.close(CloseCode::MANDATORY_EXTENSION, &reason);
            assert_eq!(sent, Backpressure::Sent);
        }
    });
    let mut server = Running::start(probe, config());
    let reason = "€".repeat(41);
    // 1010 is not for servers: 1011 goes out.
    let close = [b"\x88\x7d\x03\xf3", reason.as_bytes()].concat();
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"close")).unwrap();
    expect(&mut stream, &close);
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"");

    let mut stream = server.connect();
    let id = std::iter::from_fn(|| Some(log.next_of()))
        .filter(|(_, seen)| *seen == Seen::Open)
        .nth(1)
        .and_then(|(id, _)| id);
    let long = "€".repeat(50);
    let code = CloseCode::MANDATORY_EXTENSION;
    server.remote.close(id.unwrap(), code, &long).unwrap();
    expect(&mut stream, &close);
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"");
    server.stop();
}
