//! Limits, keepalive and pieces that differ from one connection to another.

use std::{sync::Arc, time::Duration};

use ws_mio::{Accept, Config, Decision, Incoming, Profile, Socket, memory};

use crate::common::{
    CLOSE, Log, Probe, REPLY, REQUEST, Seen,
    bench::{Bench, READY, is_gone, quiet, take},
    closed, echo, masked, text,
};

/// A chat of short messages, and uploads in pieces.
fn site() -> Config {
    let mut config = quiet();
    config.limits.max_message = 100;
    let mut upload = Profile::default();
    upload.limits.max_message = 1 << 30;
    upload.keepalive.ping_interval = Some(Duration::from_secs(5));
    upload.keepalive.pong_timeout = Some(Duration::from_secs(7));
    upload.chunks = true;
    let mut quiet = Profile::default();
    quiet.limits.max_message = 10;
    quiet.keepalive.ping_interval = None;
    let mut behind_a_gateway = Profile::default();
    behind_a_gateway.max_frame_sent = Some(131);
    config.profiles = vec![upload, quiet, behind_a_gateway];
    config
}

fn decide(incoming: Incoming<'_>) -> Decision<'_, ()> {
    let path = incoming.request().path();
    let accept = |profile: usize| {
        let acceptance = incoming.negotiate().unwrap();
        Accept::new(acceptance, ()).profile(profile).into()
    };
    match path {
        "/upload" => accept(0),
        "/short" => accept(1),
        "/gateway" => accept(2),
        "/none" => accept(3),
        _ => incoming.decide(),
    }
}

fn bench() -> (Bench<Probe>, Log) {
    let (probe, log) = Probe::<false>::new(echo);
    (Bench::new(probe.deciding(decide), site()), log)
}

fn request(path: &str) -> Vec<u8> {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    request.replace("/chat", path).into_bytes()
}

const TOO_BIG: &[u8] = b"\x03\xf1";

#[test]
fn each_connection_has_the_limits_that_were_chosen_with_its_request() {
    let (mut bench, log) = bench();
    let mut clients = ["/upload", "/short", "/chat"].map(|path| {
        let (mut client, key) = bench.dial(10_000, &request(path)).unwrap();
        assert_eq!(take(&mut client), REPLY);
        (client, key)
    });
    // They stay while the connections are idle, in turns of each other.
    for _ in 0..3 {
        for (client, key) in &mut clients {
            bench.send(client, *key, &masked(0x81, b"Hi"));
        }
    }
    let [upload, short, chat] = &mut clients;
    assert!(take(&mut upload.0).is_empty(), "pieces are not sent back");
    assert_eq!(take(&mut short.0), b"\x81\x02Hi".repeat(3));
    assert_eq!(take(&mut chat.0), b"\x81\x02Hi".repeat(3));
    bench.send(&mut upload.0, upload.1, &masked(0x82, &[0; 5000]));
    bench.send(&mut upload.0, upload.1, CLOSE);
    assert!(take(&mut upload.0).ends_with(b"\x03\xe8"));
    bench.send(&mut short.0, short.1, &masked(0x82, &[0; 11]));
    assert!(take(&mut short.0)[2..].starts_with(TOO_BIG));
    bench.send(&mut chat.0, chat.1, &masked(0x82, &[0; 11]));
    assert_eq!(take(&mut chat.0).len(), 13);
    bench.send(&mut chat.0, chat.1, &masked(0x82, &[0; 101]));
    assert!(take(&mut chat.0)[2..].starts_with(TOO_BIG));
    drop(bench);
    let seen = log.all();
    assert!(seen.contains(&Seen::Chunk(b"Hi".to_vec(), true, true)));
    assert!(seen.contains(&text("Hi")));
    assert!(seen.contains(&closed(1000, "", "peer")));
}

#[test]
fn each_connection_has_the_keepalive_that_was_chosen_with_its_request() {
    let (mut bench, _log) = bench();
    let mut clients = ["/upload", "/short", "/chat"].map(|path| {
        let (mut client, _) = bench.dial(10_000, &request(path)).unwrap();
        assert_eq!(take(&mut client), REPLY);
        client
    });
    bench.pass(Duration::from_secs(6));
    assert!(take(&mut clients[0]).starts_with(b"\x89"));
    bench.pass(Duration::from_secs(8));
    assert!(is_gone(&mut clients[0]));
    for client in &mut clients[1..] {
        assert!(take(client).is_empty() && !is_gone(client));
    }
}

/// 200 bytes in frames of 131 at most, and in one.
fn split() -> Vec<u8> {
    [&[0x02, 126, 0, 127], &[0; 127][..], &[0x80, 73], &[0; 73]].concat()
}

fn whole() -> Vec<u8> {
    [&[0x82, 90], &[0; 90][..]].concat()
}

#[test]
fn each_connection_has_the_longest_frame_that_was_chosen_with_its_request() {
    let (mut bench, _log) = bench();
    for (path, len, expected) in [("/gateway", 200, split()), ("/chat", 90, whole())] {
        let (mut client, key) = bench.dial(10_000, &request(path)).unwrap();
        assert_eq!(take(&mut client), REPLY);
        // Idle in between.
        for _ in 0..2 {
            bench.send(&mut client, key, &masked(0x82, &vec![0; len]));
            assert_eq!(take(&mut client), expected, "{path}");
        }
    }
    let (probe, _log) = Probe::<false>::new(echo);
    let mut probe = probe.deciding(decide);
    let (mut client, server) = memory::pair(10_000);
    let mut socket = Socket::accept(server, Arc::new(site())).unwrap();
    let bytes = [request("/gateway"), masked(0x82, &[0; 200])].concat();
    ws_mio::Transport::write(&mut client, &[std::io::IoSlice::new(&bytes)]).unwrap();
    socket.ready(READY, &mut probe).unwrap();
    assert_eq!(take(&mut client), [REPLY, &split()].concat());
}

#[test]
fn profile_that_is_not_there_is_answered_with_500() {
    let (mut bench, _log) = bench();
    let (mut client, _) = bench.dial(10_000, &request("/none")).unwrap();
    assert!(take(&mut client).starts_with(b"HTTP/1.1 500 "));
}

#[test]
fn socket_has_the_profile_that_was_chosen_with_its_request() {
    let (probe, log) = Probe::<false>::new(echo);
    let mut probe = probe.deciding(decide);
    for (path, refused) in [("/upload", false), ("/short", true), ("/chat", true)] {
        let (mut client, server) = memory::pair(10_000);
        let mut socket = Socket::accept(server, Arc::new(site())).unwrap();
        let bytes = [request(path), masked(0x82, &[0; 200])].concat();
        ws_mio::Transport::write(&mut client, &[std::io::IoSlice::new(&bytes)]).unwrap();
        socket.ready(READY, &mut probe).unwrap();
        let reply = take(&mut client);
        assert_eq!(reply.len() > REPLY.len(), refused, "{path}");
    }
    drop(probe);
    assert!(log.all().contains(&Seen::Chunk(vec![0; 200], true, true)));
}
