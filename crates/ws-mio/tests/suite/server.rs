//! A server on loopback TCP, as a peer sees it: the opening handshake, and
//! messages in every form that they can come in.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use ws_mio::{Accept, Decision, Incoming, OriginPolicy, Response, TimeLimits};

use crate::{
    common,
    common::{
        CLOSE, Echo, Probe, REPLY, REQUEST, Running, Seen, closed, config, dial, echo, expect,
        head, masked, pattern, rest, text, unmasked,
    },
};

// --- the opening handshake ---

#[test]
fn request_may_come_byte_by_byte() {
    let server = Running::start(Echo, config());
    let mut stream = server.dial();
    stream.set_nodelay(true).unwrap();
    for byte in REQUEST {
        stream.write_all(&[*byte]).unwrap();
    }
    expect(&mut stream, REPLY);
}

#[test]
fn frames_may_come_in_one_segment_with_the_request() {
    let server = Running::start(Echo, config());
    for cut in [0, 1, REQUEST.len() - 1, REQUEST.len(), REQUEST.len() + 3] {
        let mut stream = server.dial();
        stream.set_nodelay(true).unwrap();
        let wire = [
            REQUEST,
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            b"\x89\x80\x00\x00\x00\x00",
            CLOSE,
        ]
        .concat();
        stream.write_all(&wire[..cut]).unwrap();
        stream.write_all(&wire[cut..]).unwrap();
        expect(&mut stream, REPLY);
        assert_eq!(rest(stream), b"\x81\x05Hello\x8a\x00\x88\x02\x03\xe8");
    }
}

#[test]
fn request_that_is_no_upgrade_can_be_answered_with_a_page() {
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let probe = probe.deciding(|incoming| {
        if incoming.request().is_upgrade() {
            incoming.decide()
        } else {
            Response::new(200).body("hello").into()
        }
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.dial();
    stream
        .write_all(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    assert_eq!(
        rest(stream).escape_ascii().to_string(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
            .escape_ascii()
            .to_string()
    );
    server.connect();
    server.stop();
    let seen = log.all();
    assert_eq!(seen[0], Seen::Request("/page".into()));
    // No connection came of it: nothing is told of it.
    assert_eq!(seen[1], Seen::Request("/chat".into()));
}

#[test]
fn page_is_read_to_its_end_though_the_request_goes_on() {
    //= RFC6455-7.1.1-1
    let page = pattern(8 << 20);
    let body = page.clone();
    let (probe, _log) = Probe::<false>::new(|_, _| {});
    let probe = probe.deciding(move |_| Response::new(200).body(body.clone()).into());
    let mut config = config();
    // However slowly this machine runs, both are done in time.
    config.close_timeout = Duration::from_secs(300);
    config.time_limits = TimeLimits::UNLIMITED;
    let server = Running::start(probe, config);
    let mut stream = server.dial();
    let mut writer = stream.try_clone().unwrap();
    let request = pattern(4 << 20);
    let upload = thread::spawn(move || {
        let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n";
        writer.write_all(head).unwrap();
        writer.write_all(&request).unwrap();
    });
    assert!(head(&mut stream).starts_with(b"HTTP/1.1 200 OK\r\n"));
    // Before the upload is over: the system need not hold all of it.
    assert!(rest(stream) == page);
    upload.join().unwrap();
}

#[test]
fn what_is_not_http_is_answered_with_400_and_closed() {
    //= RFC6455-4.2.1-1, RFC6455-10.1-1
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config());
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.6\n"[..],
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"\x81\x85\x37\xfa\x21\x3d\r\n\r\n",
    ] {
        let mut stream = server.dial();
        stream.write_all(garbage).unwrap();
        let answer = rest(stream);
        assert!(
            answer.starts_with(b"HTTP/1.1 400 "),
            "{}",
            answer.escape_ascii()
        );
    }
    let mut stream = server.dial();
    // The answer comes while the request is still being sent.
    stream.write_all(&[b'a'; 32_769]).unwrap();
    let answer = rest(stream);
    assert!(
        answer.starts_with(b"HTTP/1.1 431 "),
        "{}",
        answer.escape_ascii()
    );
    server.stop();
    assert_eq!(log.all(), []);
}

#[test]
fn handler_refuses_with_any_answer() {
    //= RFC6455-4.2.2-3
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let probe = probe.deciding(|incoming| match incoming.request().path() {
        "/401" => Response::unauthorized("Basic realm=\"chat\"")
            .unwrap()
            .into(),
        "/302" => Response::new(302)
            .header("Location", "/chat")
            .unwrap()
            .into(),
        _ => incoming.decide(),
    });
    let mut server = Running::start(probe, config());
    for (target, start) in [
        (
            "/401",
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"chat\"\r\n",
        ),
        ("/302", "HTTP/1.1 302 Found\r\nLocation: /chat\r\n"),
    ] {
        let mut stream = server.dial();
        let request = String::from_utf8(REQUEST.into())
            .unwrap()
            .replace("/chat", target);
        // What follows a refused request is no frame.
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(b"\x81\x80\x00\x00\x00\x00").unwrap();
        let answer = String::from_utf8(rest(stream)).unwrap();
        assert!(answer.starts_with(start), "{answer}");
    }
    server.stop();
    assert_eq!(
        log.all(),
        [Seen::Request("/401".into()), Seen::Request("/302".into())]
    );
}

#[test]
fn health_checks_of_any_age_reach_the_handler_and_head_gets_no_body() {
    let (probe, _log) = Probe::<false>::new(|_, _| {});
    let probe = probe.deciding(|incoming| match incoming.request().path() {
        "/" | "/healthz" => Response::new(200).body("healthy").into(),
        _ => incoming.decide(),
    });
    let server = Running::start(probe, config());
    let ask = |line: &str| {
        let mut stream = server.dial();
        write!(stream, "{line}\r\n\r\n").unwrap();
        String::from_utf8(rest(stream)).unwrap()
    };
    for line in [
        "OPTIONS / HTTP/1.0",
        "GET /healthz HTTP/1.0",
        "GET /healthz HTTP/1.1\r\nHost: h",
    ] {
        let answer = ask(line);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"));
        assert!(answer.ends_with("\r\n\r\nhealthy"), "{answer}");
    }
    for line in ["HEAD /healthz HTTP/1.1\r\nHost: h", "HEAD / HTTP/1.0"] {
        let answer = ask(line);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"));
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    // What the library refuses itself has no body either.
    let answer = ask("HEAD /chat HTTP/1.1\r\nHost: h");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn request_of_a_foreign_page_is_refused_with_403() {
    //= RFC6455-10.2-1
    let mut config = config();
    config.handshake =
        ws_mio::ServerConfig::new(OriginPolicy::list(["https://example.com"]).expect("an origin"));
    let server = Running::start(Echo, config);
    let mut stream = server.dial();
    let at = REQUEST.len() - 2;
    let request = [&REQUEST[..at], b"Origin: https://evil.example\r\n\r\n"].concat();
    stream.write_all(&request).unwrap();
    assert!(rest(stream).starts_with(b"HTTP/1.1 403 "));
}

#[test]
fn handler_chooses_subprotocol_headers_and_data() {
    let (probe, log) = Probe::<false, String>::new(|peer, seen| {
        if let Seen::Text(_) = seen {
            let (name, mut handle) = peer.split();
            handle.send(&*name);
            name.push('!');
        }
    });
    let probe = probe.deciding(|incoming: Incoming<'_>| {
        assert!(incoming.peer_address().ip().unwrap().is_loopback());
        let acceptance = incoming.negotiate().unwrap();
        let acceptance = acceptance.subprotocol("v2.chat").unwrap();
        let acceptance = acceptance.header("Set-Cookie", "a=b").unwrap();
        Decision::Accept(Accept::new(acceptance, String::from("anna")))
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.dial();
    let at = REQUEST.len() - 2;
    let request = [
        &REQUEST[..at],
        b"Sec-WebSocket-Protocol: v1.chat, v2.chat\r\n\r\n",
    ]
    .concat();
    stream.write_all(&request).unwrap();
    let reply = String::from_utf8(head(&mut stream)).unwrap();
    assert!(
        reply.contains("\r\nSec-WebSocket-Protocol: v2.chat\r\n"),
        "{reply}"
    );
    assert!(reply.contains("\r\nSet-Cookie: a=b\r\n"), "{reply}");
    stream.write_all(&masked(0x81, b"name?").repeat(2)).unwrap();
    expect(&mut stream, b"\x81\x04anna\x81\x05anna!");
    drop(stream);
    server.stop();
    assert_eq!(log.all().len(), 5);
}

#[test]
fn connection_over_max_connections_is_closed_as_it_comes() {
    let mut config = config();
    config.max_connections = 1;
    let server = Running::start(Echo, config);
    let mut first = server.connect();
    let mut second = server.dial();
    // An end of the stream or a reset, and no answer.
    assert_eq!(second.read(&mut [0]).unwrap_or(0), 0);
    first.write_all(CLOSE).unwrap();
    assert_eq!(rest(first), b"\x88\x02\x03\xe8");
    // Its place is free once the server has closed it.
    server.connect();
}

#[test]
fn peer_that_leaves_at_any_byte_of_the_request_leaves_nothing_behind() {
    //= RFC6455-7.2.1-2
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut config = config();
    // The next one is let in once the last one is gone.
    config.max_connections = 64;
    let mut server = Running::start(probe, config);
    for (i, at) in (0..REQUEST.len()).enumerate() {
        let mut stream = server.dial();
        stream.write_all(&REQUEST[..at]).unwrap();
        match i % 2 {
            0 => common::reset(stream),
            _ => {
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
            }
        }
    }
    server.connect();
    server.stop();
    let seen = log.all();
    assert_eq!(seen[..2], [Seen::Request("/chat".into()), Seen::Open]);
}

// --- messages ---

#[test]
fn message_is_echoed_and_the_closing_handshake_completes() {
    //= RFC6455-5.5.1-7, RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream
        .write_all(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
        .unwrap();
    expect(&mut stream, b"\x81\x05Hello");
    stream
        .write_all(b"\x88\x85\x00\x00\x00\x00\x03\xe8bye")
        .unwrap();
    // The server closes first: the end of the stream comes by itself.
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
    assert_eq!(
        log.all()[1..],
        [Seen::Open, text("Hello"), closed(1000, "bye", "peer")]
    );
}

#[test]
fn frames_may_come_byte_by_byte() {
    let server = Running::start(Echo, config());
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let wire = [
        &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..],
        b"\x01\x82\x37\xfa\x21\x3d\x7f\x9f",
        b"\x89\x83\x00\x00\x00\x00abc",
        b"\x80\x83\x00\x00\x00\x00llo",
        &masked(0x82, &[7; 126]),
        CLOSE,
    ]
    .concat();
    for byte in wire {
        stream.write_all(&[byte]).unwrap();
    }
    let expected = [
        &b"\x81\x05Hello\x8a\x03abc\x81\x05Hello"[..],
        &unmasked(0x82, &[7; 126]),
        b"\x88\x02\x03\xe8",
    ]
    .concat();
    assert_eq!(rest(stream), expected);
}

#[test]
fn pipelined_messages_are_answered_in_order() {
    let server = Running::start(Echo, config());
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let payloads: Vec<Vec<u8>> = (0..2000).map(|i| vec![i as u8; i * 37 % 3000]).collect();
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
fn text_may_be_split_anywhere() {
    //= RFC6455-5.6-2, RFC6455-5.4-3
    let server = Running::start(Echo, config());
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let whole = "Grüße, 世界 🦀".as_bytes();
    for at in 0..=whole.len() {
        // In two frames, and in two segments within the second.
        stream.write_all(&masked(0x01, &whole[..at])).unwrap();
        let last = masked(0x80, &whole[at..]);
        let (start, end) = last.split_at(last.len() - (whole.len() - at) / 2);
        stream.write_all(start).unwrap();
        stream.write_all(end).unwrap();
        expect(&mut stream, &unmasked(0x81, whole));
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_1007() {
    //= RFC6455-8.1-1, RFC6455-7.1.7-3
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"before")).unwrap();
    stream.write_all(&masked(0x81, b"\xff")).unwrap();
    let rest = rest(stream);
    assert_eq!(rest[..12], *b"\x81\x06before\x88\x0f\x03\xef");
    server.stop();
    assert_eq!(
        log.all()[2..],
        [text("before"), closed(1006, "", "text_not_utf8")]
    );
}

#[test]
fn message_over_the_limit_is_refused_before_its_payload_comes() {
    //= RFC6455-10.4-1
    let mut config = config();
    config.limits.max_message = 1000;
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    stream.write_all(&masked(0x82, &[1; 1000])).unwrap();
    expect(&mut stream, &unmasked(0x82, &[1; 1000]));
    stream
        .write_all(b"\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
        .unwrap();
    let rest = rest(stream);
    assert_eq!(rest[..4], *b"\x88\x11\x03\xf1");
    assert_eq!(rest[4..], *b"message_too_big");
    server.stop();
    assert_eq!(log.all().last(), Some(&closed(1006, "", "message_too_big")));
}

#[test]
fn pings_are_answered_and_pongs_are_told() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.3-1
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if let Seen::Ping(payload) = seen {
            peer.ping(payload);
        }
    });
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x89, b"are you there?")).unwrap();
    expect(&mut stream, b"\x8a\x0eare you there?\x89\x0eare you there?");
    stream.write_all(&masked(0x8a, b"yes")).unwrap();
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
    assert_eq!(
        log.all()[2..],
        [
            Seen::Ping(b"are you there?".into()),
            Seen::Pong(b"yes".into(), false),
            closed(1000, "", "peer")
        ]
    );
}

#[test]
fn close_without_a_code_is_1005() {
    //= RFC6455-7.1.5-1, RFC6455-5.5.1-15
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(b"\x88\x80\x00\x00\x00\x00").unwrap();
    assert_eq!(rest(stream), b"\x88\x00");
    server.stop();
    assert_eq!(log.all().last(), Some(&closed(1005, "", "peer")));
}

#[test]
fn close_whose_reason_is_broken_still_tells_its_code() {
    //= RFC6455-7.1.5-1, RFC6455-8.1-1
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    for reason in [&b"gr\xc3"[..], b"gr\xfc\xdfe"] {
        let mut stream = server.connect();
        let body = [b"\x0f\xa1", reason].concat();
        stream.write_all(&masked(0x88, &body)).unwrap();
        assert_eq!(rest(stream), b"\x88\x17\x03\xefclose_reason_not_utf8");
    }
    server.stop();
    let ends = log.all().into_iter();
    let ends = ends.filter(|seen| matches!(seen, Seen::Close(..)));
    let expected = closed(4001, "", "close_reason_not_utf8");
    assert_eq!(ends.collect::<Vec<_>>(), [expected.clone(), expected]);
}

#[test]
fn unread_input_after_a_close_does_not_reset_the_answer() {
    //= RFC6455-7.1.1-1, RFC6455-5.5.1-12
    let mut config = config();
    config.read_buffer = 1024;
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let mut server = Running::start(probe, config);
    for _ in 0..20 {
        let mut stream = server.connect();
        // One segment, of which the first read takes all up to the Close.
        let wire = [&masked(0x82, &[1; 1016 - 8]), CLOSE, &[0; 5000]].concat();
        assert_eq!(wire.len(), 1024 + 5000);
        stream.write_all(&wire).unwrap();
        expect(&mut stream, b"\x88\x02\x03\xe8");
        assert_eq!(rest(stream), b"");
    }
    server.stop();
    let closes = log
        .all()
        .into_iter()
        .filter(|seen| *seen == closed(1000, "", "peer"));
    assert_eq!(closes.count(), 20);
}

#[test]
fn message_is_sent_in_fragments() {
    //= RFC6455-5.4-3, RFC6455-6.1-3
    let (probe, _log) = Probe::<false>::new(|peer, seen| {
        if *seen == text("go") {
            peer.send_fragment("Hel", false);
            peer.ping(b"between");
            peer.send_fragment("lo", true);
        }
    });
    let server = Running::start(probe, config());
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"go")).unwrap();
    expect(&mut stream, b"\x01\x03Hel\x89\x07between\x80\x02lo");
}

#[test]
fn prepared_message_goes_to_several_peers() {
    let prepared = ws_mio::Prepared::new(ws_mio::Message::Text("to all"));
    let (probe, _log) = Probe::<false>::new(move |peer, seen| {
        if *seen == Seen::Open {
            peer.send_prepared(&prepared);
        }
    });
    let server = Running::start(probe, config());
    for _ in 0..3 {
        expect(&mut server.connect(), b"\x81\x06to all");
    }
}

#[test]
fn chunks_are_delivered_as_they_come() {
    let (probe, log) = Probe::<true>::new(|_, _| {});
    let mut server = Running::start(probe, config());
    let mut stream = server.connect();
    // The payload is never whole.
    stream
        .write_all(b"\x82\xfe\x03\xe8\x00\x00\x00\x00abc")
        .unwrap();
    let seen = [log.next(), log.next(), log.next()];
    assert_eq!(seen[1], Seen::Open);
    assert_eq!(seen[2], Seen::Chunk(b"abc".into(), true, false));
    drop(stream);
    server.stop();
    assert_eq!(log.all(), [closed(1006, "", "lost")]);
}

#[test]
fn many_connections_talk_at_once() {
    let server = Running::start(Echo, config());
    let mut streams: Vec<TcpStream> = (0..300).map(|_| dial(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(REQUEST).unwrap();
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        expect(stream, REPLY);
        stream.write_all(&masked(0x82, &[i as u8; 300])).unwrap();
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        expect(stream, &unmasked(0x82, &[i as u8; 300]));
        stream.write_all(CLOSE).unwrap();
    }
    for stream in streams {
        assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    }
}
