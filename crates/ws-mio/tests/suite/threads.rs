//! Several loops, each on a thread.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write},
    panic,
    sync::mpsc::{self, Sender},
    thread,
};

use ws_mio::{Accepting, Config, Handler, Message, OnPanic, Peer, Server};

use crate::{
    common,
    common::{Echo, Running, config, dial, expect, masked},
};

fn config_of(threads: usize, accepting: Accepting) -> Config {
    let mut config = config();
    config.threads = threads;
    config.accepting = accepting;
    config
}

/// Answers every message with the index of its loop.
struct Index(u8);

impl Handler for Index {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, _: Message<'_>) {
        peer.send_binary(&[self.0]);
    }
}

/// Opens connections, and counts how many each loop serves.
fn count(server: &Running<Index>, connections: usize) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    let mut streams: Vec<_> = (0..connections).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&masked(0x81, b"who?")).unwrap();
        let mut answer = [0; 3];
        std::io::Read::read_exact(stream, &mut answer).unwrap();
        assert_eq!(answer[..2], [0x82, 1]);
        *counts.entry(answer[2]).or_default() += 1;
    }
    counts
}

#[test]
fn connections_are_dealt_to_all_loops_in_turn() {
    let mut server = Running::start_with(config_of(3, Accepting::Deal), |server| {
        server.run_with(|index| Index(index as u8))
    });
    assert_eq!(server.remote.loops(), 3);
    assert_eq!(count(&server, 12), [(0, 4), (1, 4), (2, 4)].into());
    server.stop();
}

#[test]
fn every_loop_accepts_for_itself_where_the_system_shares_connections_out() {
    let mut server = Running::start_with(config_of(2, Accepting::ReusePort), |server| {
        server.run_with(|index| Index(index as u8))
    });
    // Which loop gets one is the system's to choose.
    let counts = count(&server, 20);
    assert_eq!(counts.values().sum::<usize>(), 20);
    server.stop();
}

#[test]
fn listener_from_elsewhere_is_dealt_from() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config_of(2, Accepting::ReusePort);
    let server = Server::from_std(listener, config).unwrap();
    let (address, remote) = (server.local_addr().unwrap(), server.remote());
    let thread = thread::spawn(|| server.run_with(|_| Echo));
    let mut streams: Vec<_> = (0..4).map(|_| dial(address)).collect();
    for stream in &mut streams {
        stream.write_all(common::REQUEST).unwrap();
        expect(stream, common::REPLY);
    }
    let (tell, told) = mpsc::channel();
    for index in 0..2 {
        let tell = tell.clone();
        let task = move |context: &mut ws_mio::Loop<'_, Echo>| {
            tell.send(context.connections()).unwrap();
        };
        remote.run(index, task).unwrap();
    }
    assert_eq!((told.recv().unwrap(), told.recv().unwrap()), (2, 2));
    drop(streams);
    remote.stop().unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn loops_share_what_memory_there_is_in_equal_parts() {
    let mut config = config_of(2, Accepting::Deal);
    config.max_memory = 4 << 20;
    let mut server = Running::start_with(config, |server| server.run_with(|_| Echo));
    let mut within = server.connect();
    within.write_all(&masked(0x02, &[7; 40_000])).unwrap();
    // Less than all loops may hold, and more than one.
    let mut beyond = server.connect();
    // It may be dropped before all of that is written.
    let _ = beyond.write_all(&masked(0x02, &vec![7; 2_500_000]));
    let end = std::io::Read::read(&mut beyond, &mut [0]);
    assert!(matches!(end, Ok(0) | Err(_)));
    assert_eq!(server.remote.metrics().closed["over_memory"], 1);
    within.write_all(&masked(0x80, b"")).unwrap();
    expect(&mut within, &[0x82, 126, 0x9c, 0x40, 7]);
    drop(within);
    server.stop();
}

#[test]
fn one_handler_does_not_serve_several_loops() {
    let server = Server::bind("127.0.0.1:0", config_of(2, Accepting::Deal)).unwrap();
    let error = server.run(Echo).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Panics when it is told to.
struct Fragile(Sender<()>);

impl Handler for Fragile {
    type Data = ();

    fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
        let _ = self.0.send(());
        assert_ne!(message, Message::Text("break"), "as the test says");
    }
}

#[test]
fn panic_that_propagates_from_one_loop_stops_all_and_is_passed_on() {
    for victim in 0..2 {
        let (tell, told) = mpsc::channel();
        let mut config = config_of(2, Accepting::Deal);
        config.on_panic = OnPanic::Propagate;
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let address = server.local_addr().unwrap();
        let tell = std::sync::Mutex::new(tell);
        let thread = thread::spawn(move || {
            panic::catch_unwind(panic::AssertUnwindSafe(|| {
                server.run_with(|_| Fragile(tell.lock().unwrap().clone()))
            }))
        });
        let mut streams: Vec<_> = (0..2).map(|_| dial(address)).collect();
        for stream in &mut streams {
            stream.write_all(common::REQUEST).unwrap();
            expect(stream, common::REPLY);
        }
        streams[victim].write_all(&masked(0x81, b"break")).unwrap();
        told.recv().unwrap();
        // The other peer is told, and answers.
        expect(&mut streams[1 - victim], b"\x88\x02\x03\xe9");
        drop(streams);
        assert!(thread.join().unwrap().is_err());
    }
}
