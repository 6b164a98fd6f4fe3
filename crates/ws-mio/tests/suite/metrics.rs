//! What a server counts.

use std::io::Write;

use ws_mio::CloseCode;

use crate::{
    common,
    common::{
        CLOSE, Probe, REQUEST, Running, Seen, config, echo, expect, head, masked, rest, unmasked,
    },
};

#[test]
fn frames_and_bytes_are_counted_both_ways() {
    let (probe, _log) = Probe::<false>::new(echo);
    let mut config = config();
    config.accept_unmasked_frame = true.into();
    let mut server = Running::start(probe, config);
    let mut stream = server.connect();
    let sent = [
        masked(0x81, b"zero key"),
        b"\x81\x82\x01\x02\x03\x04\x60\x60".to_vec(),
        unmasked(0x82, &[1; 200]),
        // In two pieces, with a Ping between.
        masked(0x01, b"two "),
        masked(0x89, b"ping"),
        masked(0x80, b"pieces"),
    ]
    .concat();
    stream.write_all(&sent).unwrap();
    let answer = [
        unmasked(0x81, b"zero key"),
        unmasked(0x81, b"ab"),
        unmasked(0x82, &[1; 200]),
        unmasked(0x8a, b"ping"),
        unmasked(0x81, b"two pieces"),
    ]
    .concat();
    expect(&mut stream, &answer);
    let metrics = server.metrics();
    assert_eq!(
        (metrics.accepted, metrics.opened, metrics.open()),
        (1, 1, 1)
    );
    assert_eq!(metrics.bytes_received, sent.len() as u64);
    assert_eq!(metrics.bytes_sent, answer.len() as u64);
    assert_eq!(metrics.messages_received, 4);
    assert_eq!(metrics.frames_received, [1, 3, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(metrics.frames_sent, [0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(metrics.unmasked_frames_received, 1);
    assert_eq!(metrics.zero_key_frames_received, 4);
    assert_eq!(metrics.unmasked_frames_sent, 5);
    assert_eq!(metrics.zero_key_frames_sent, 0);
    assert_eq!((metrics.queued, metrics.refused), (0, 0));
    let text = metrics.to_prometheus();
    assert!(text.contains("\nwebsocket_open_connections 1\n"), "{text}");
    assert!(text.contains("\nwebsocket_frames_sent_total{opcode=\"text\"} 3\n"));
    stream.write_all(CLOSE).unwrap();
    rest(stream);
    server.stop();
    assert_eq!(server.remote.metrics().frames_sent[8], 1);
}

#[test]
fn ends_are_counted_by_cause_and_refusals_by_status() {
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        if let Seen::Text(text) = seen {
            match &**text {
                "close" => drop(peer.close(CloseCode::NORMAL, "")),
                _ => peer.abort(),
            }
        }
    });
    let mut server = Running::start(probe, config());
    for last in [
        CLOSE.to_vec(),
        [masked(0x81, b"close"), CLOSE.to_vec()].concat(),
        masked(0x81, b"abort"),
        b"\xff\x80".to_vec(),
    ] {
        let mut stream = server.connect();
        stream.write_all(&last).unwrap();
        rest(stream);
    }
    drop(server.connect());
    while log.next() != common::closed(1006, "", "lost") {}
    for request in [&b"nonsense\r\n\r\n"[..], &REQUEST[..20], REQUEST] {
        let mut stream = server.dial();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        head(&mut stream);
        rest(stream);
    }
    server.stop();
    let metrics = server.remote.metrics();
    let closed: Vec<(&str, u64)> = metrics
        .closed
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(cause, count)| (*cause, *count))
        .collect();
    assert_eq!(
        closed,
        [
            ("aborted", 1),
            ("local", 1),
            ("lost", 2),
            ("peer", 1),
            ("protocol", 1)
        ]
    );
    assert_eq!(metrics.refused_requests, [(400, 1)].into());
    assert_eq!((metrics.abandoned, metrics.accepted), (1, 8));
    assert_eq!((metrics.opened, metrics.open()), (6, 0));
}

#[test]
fn slow_peer_is_counted_and_so_is_one_too_many() {
    let (probe, _log) = Probe::<false>::new(|peer, seen| {
        if *seen == Seen::Open {
            // More than a transport takes at once.
            peer.send_binary(&vec![0; 32 << 20]);
            peer.send_text("refused");
        }
    });
    let mut config = config();
    config.max_connections = 1;
    let mut server = Running::start(probe, config);
    let stream = server.connect();
    assert_eq!(rest(server.dial()), b"");
    let metrics = server.metrics();
    assert_eq!((metrics.queued, metrics.refused), (1, 1));
    assert_eq!((metrics.accepted, metrics.over_max_connections), (2, 1));
    drop(stream);
    server.stop();
}
