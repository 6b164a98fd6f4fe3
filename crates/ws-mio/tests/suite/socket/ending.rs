//! Peers that break the protocol, or say nothing more.

use std::{
    io::{Read, Write},
    time::Duration,
};

use ws_mio::{ClientConfig, CloseCode};

use super::{Loop, Notes, connect, quick, script, upgrade};
use crate::common::{masked, unmasked};

#[test]
fn masked_frame_from_a_server_fails_the_connection() {
    //= RFC6455-5.1-5, RFC6455-7.1.7-1, MSWS-3.1.5-1
    let (address, server) = script(|stream| {
        upgrade(stream);
        stream.write_all(&masked(0x81, b"no")).unwrap();
        let mut close = Vec::new();
        stream.read_to_end(&mut close).unwrap();
        assert_eq!(close[..6], *b"\x88\x8e\x00\x00\x00\x00");
        assert_eq!(close[6..], *b"\x03\xeamasked_frame");
    });
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = true.into();
    let mut sockets = Loop::new();
    sockets.add(connect(address, &config));
    let mut handlers = [Notes::default()];
    sockets.run(&mut handlers);
    server.join().unwrap();
    assert_eq!(handlers[0].notes, ["open", "close 1006 masked_frame"]);
}

#[test]
fn server_that_does_not_close_the_transport_is_left_after_close_timeout() {
    //= RFC6455-5.5.1-14, RFC6455-7.1.1-4
    let (address, server) = script(|stream| {
        upgrade(stream);
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        // Holds on until the client leaves.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut sockets = Loop::new();
    sockets.add(connect(address, &quick()));
    let mut handlers = [Notes::default()];
    sockets.run(&mut handlers);
    assert_eq!(handlers[0].notes, ["open", "close 1000 Peer"]);
    drop(sockets);
    server.join().unwrap();
}

#[test]
fn server_that_does_not_answer_a_close_or_a_ping_is_dropped() {
    //= RFC6455-7.1.1-2
    for (is_close, told) in [(true, "Timeout(Close)"), (false, "Timeout(Pong)")] {
        let (address, server) = script(|stream| {
            upgrade(stream);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut config = quick();
        config.keepalive.ping_interval = (!is_close).then_some(Duration::from_millis(50));
        config.keepalive.pong_timeout = Some(Duration::from_millis(50));
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        let mut handlers = [Notes::default()];
        sockets.run_until(&mut handlers, |_, handlers| !handlers[0].notes.is_empty());
        if is_close {
            let mut peer = sockets.sockets[0].peer().unwrap();
            peer.close(CloseCode::NORMAL, "");
            sockets.sockets[0].flush(&mut handlers[0]).unwrap();
        }
        sockets.run(&mut handlers);
        assert_eq!(handlers[0].notes, ["open", &format!("close 1006 {told}")]);
        drop(sockets);
        server.join().unwrap();
    }
}

#[test]
fn limits_with_time_hold_for_a_socket_too() {
    let flood = unmasked(0x89, b"").repeat(2001); // too many wherever a second begins
    // With how long the Close is that the server answers.
    for (sent, told, close) in [
        (&b"\x81\x05He"[..], "close 1006 Timeout(Message)", 0),
        (
            b"\x88\x02\x03\xe8",
            "close 1000 Timeout(Lifetime)",
            2 + 4 + 10,
        ),
        (b"\x88\x02\x03\xe8", "close 1000 Timeout(Idle)", 2 + 4 + 14),
        (&flood, "close 1006 ControlFlood", 0),
    ] {
        let sent = sent.to_vec();
        let (address, server) = script(move |stream| {
            upgrade(stream);
            stream.read_exact(&mut vec![0; close]).unwrap();
            stream.write_all(&sent).unwrap();
            if close == 0 {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let mut config = quick();
        let short = Duration::from_millis(100);
        config.time_limits.message = Some(short);
        config.time_limits.lifetime = told.ends_with("(Lifetime)").then_some(short);
        config.keepalive.idle_timeout = told.ends_with("(Idle)").then_some(short);
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        let last = handlers[0].notes.last().unwrap();
        assert_eq!(last, told);
        drop(sockets);
        server.join().unwrap();
    }
}
