//! What other threads ask of a running server.

use std::{io::Write, sync::mpsc, time::Duration};

use ws_mio::{CloseCode, Message, NoPeer, PeerId, Prepared};

use crate::{
    common,
    common::{CLOSE, Echo, Log, Probe, Running, Seen, closed, config, expect, masked, rest, text},
};

/// A server with an open connection, and its name.
fn start() -> (Running, Log, std::net::TcpStream, PeerId) {
    let (probe, log) = Probe::<false>::new(|_, _| {});
    let server = Running::start(probe, config());
    let stream = server.connect();
    assert!(matches!(log.next(), Seen::Request(_)));
    let (id, seen) = log.next_of();
    assert_eq!(seen, Seen::Open);
    (server, log, stream, id.unwrap())
}

#[test]
fn messages_come_in_the_order_of_the_calls() {
    let (mut server, _log, mut stream, id) = start();
    for text in ["one", "two"] {
        let message = Prepared::new(Message::Text(text));
        server.remote.send(id, &message).unwrap();
    }
    server
        .remote
        .with_peer(id, |_, peer| {
            peer.send_text("three");
        })
        .unwrap();
    server.remote.close(id, CloseCode::NORMAL, "done").unwrap();
    // Nothing goes out after the Close.
    let late = Prepared::new(Message::Text("late"));
    server.remote.send(id, &late).unwrap();
    expect(
        &mut stream,
        b"\x81\x03one\x81\x03two\x81\x05three\x88\x06\x03\xe8done",
    );
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"");
    server.stop();
}

#[test]
fn batch_of_calls_leaves_in_one_piece() {
    let (mut server, log, mut stream, id) = start();
    // The loop is busy until the batch is complete.
    let (go, held) = mpsc::channel::<()>();
    server
        .remote
        .run(0, move |_| {
            held.recv_timeout(Duration::from_secs(30)).unwrap();
        })
        .unwrap();
    let message = Prepared::new(Message::Binary(&[7; 100]));
    for _ in 0..1000 {
        server.remote.send(id, &message).unwrap();
    }
    go.send(()).unwrap();
    expect(&mut stream, &message.frame().repeat(1000));
    drop(stream);
    assert_eq!(log.next(), closed(1006, "", "lost"));
    server.stop();
}

#[test]
fn task_has_the_handler_and_all_peers() {
    let (mut server, _log, mut stream, id) = start();
    let mut other = server.connect();
    let (tell, told) = mpsc::channel();
    server
        .remote
        .run(0, move |context| {
            let peers: Vec<PeerId> = context.peers().collect();
            for peer in &peers {
                let sent = context.with_peer(*peer, |_, peer| peer.send_text("all"));
                assert!(sent.is_ok());
            }
            let seen = (context.index(), context.connections(), peers.contains(&id));
            tell.send((seen, format!("{context:?}"))).unwrap();
        })
        .unwrap();
    expect(&mut stream, b"\x81\x03all");
    expect(&mut other, b"\x81\x03all");
    let (seen, debug) = told.recv().unwrap();
    assert_eq!(seen, (0, 2, true));
    assert!(debug.starts_with("Loop { index: 0, connections: 2"));
    drop((stream, other));
    server.stop();
}

#[test]
fn peer_that_is_gone_is_left_alone() {
    let (mut server, log, stream, id) = start();
    drop(stream);
    assert_eq!(log.next(), closed(1006, "", "lost"));
    // Its place is taken by another, which has another name.
    let mut stream = server.connect();
    let message = Prepared::new(Message::Text("not for you"));
    server.remote.send(id, &message).unwrap();
    server.remote.close(id, CloseCode::NORMAL, "").unwrap();
    server.remote.with_peer(id, |_, peer| peer.abort()).unwrap();
    let (tell, told) = mpsc::channel();
    server
        .remote
        .run(0, move |context| {
            tell.send(context.with_peer(id, |_, peer| peer.id()))
                .unwrap();
        })
        .unwrap();
    assert_eq!(told.recv().unwrap(), Err(NoPeer::NotOpen));
    stream.write_all(&masked(0x81, b"still here")).unwrap();
    assert!(matches!(log.next(), Seen::Request(_)));
    assert_eq!(log.next(), Seen::Open);
    assert_eq!(log.next(), text("still here"));
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
    server.stop();
}

#[test]
fn loop_that_does_not_exist_is_not_found() {
    let mut server = Running::start(Echo, config());
    let error = server.remote.run(1, |_| {}).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(server.remote.loops(), 1);
    server.stop();
}

#[test]
fn what_is_asked_of_a_server_that_has_ended_is_dropped() {
    let mut server = Running::start(Echo, config());
    let (left, dropped) = mpsc::channel::<()>();
    server.stop();
    server.remote.run(0, move |_| drop(left)).unwrap();
    assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    server.remote.stop().unwrap();
}

#[test]
fn id_of_one_server_is_an_error_to_another() {
    let (mut one, _log, mut stream, id) = start();
    let (mut other, _other_log, mut bystander, theirs) = start();
    assert_ne!(id, theirs);
    let message = Prepared::new(Message::Text("not for you"));
    let remote = &other.remote;
    let errors = [
        remote.send(id, &message),
        remote.close(id, CloseCode::NORMAL, ""),
        remote.with_peer(id, |_, peer| peer.abort()),
    ];
    for error in errors {
        let error = error.unwrap_err().downcast::<NoPeer>().unwrap();
        assert_eq!(error, NoPeer::OtherServer);
    }
    let (tell, told) = mpsc::channel();
    let ask = move |context: &mut ws_mio::Loop<'_, Probe>| {
        let of_loop = context.with_peer(id, |_, _| ());
        let of_peer = context.with_peer(theirs, |_, peer| peer.with_peer(id, |_| ()));
        tell.send((of_loop, of_peer, context.data(id).is_none()))
            .unwrap();
    };
    other.remote.run(0, ask).unwrap();
    let refused = Err(NoPeer::OtherServer);
    assert_eq!(told.recv().unwrap(), (refused, Ok(refused), true));
    // Nobody was sent anything.
    for stream in [&mut stream, &mut bystander] {
        stream.write_all(CLOSE).unwrap();
        expect(stream, b"\x88\x02\x03\xe8");
    }
    one.stop();
    other.stop();
}

#[test]
fn ids_of_loops_and_sockets_are_all_different_and_have_an_order() {
    use std::collections::BTreeSet;

    use ws_mio::{ClientConfig, ClientRequest, Socket, Uri, memory};

    let (mut server, _log, stream, id) = start();
    let socket = || {
        let request = ClientRequest::new(Uri::parse("ws://localhost/").unwrap());
        let (near, _far) = memory::pair(100);
        Socket::<(), _>::client(near, request, &ClientConfig::default())
            .unwrap()
            .id()
    };
    let ids = BTreeSet::from([id, socket(), socket()]);
    assert_eq!(ids.len(), 3);
    assert_eq!(size_of::<PeerId>(), 12);
    let message = Prepared::new(Message::Text("to a socket"));
    assert!(server.remote.send(socket(), &message).is_err());
    drop(stream);
    server.stop();
}

#[test]
fn loop_lends_its_peers_with_their_data() {
    let (probe, log) = Probe::<false, String>::new(|peer, seen| {
        if let Seen::Text(text) = seen {
            peer.data_mut().push_str(text);
            peer.send(peer.data().clone());
            peer.subscribe(peer.data().clone());
            peer.subscribe("zoo");
            let id = peer.id();
            peer.with_peer(id, |peer| {
                let mut topics: Vec<String> = peer.topics().map(str::to_owned).collect();
                topics.sort();
                peer.send(format!("{topics:?} {}", peer.subscriber_count("zoo")));
            })
            .unwrap();
        }
    });
    let mut server = Running::start_with(config(), |server| server.run(probe));
    let mut streams = ["ada", "ben"].map(|name| {
        let mut stream = server.connect();
        stream.write_all(&masked(0x81, name.as_bytes())).unwrap();
        expect(&mut stream, &common::unmasked(0x81, name.as_bytes()));
        let count = 1 + usize::from(name == "ben");
        let topics = format!("[\"{name}\", \"zoo\"] {count}");
        expect(&mut stream, &common::unmasked(0x81, topics.as_bytes()));
        stream
    });
    let (tell, told) = mpsc::channel();
    let ask = move |context: &mut ws_mio::Loop<'_, Probe<false, String>>| {
        let names = context.peers_with_data().map(|(_, name)| name.clone());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let all = context.subscribers("zoo").len();
        let ada: Vec<PeerId> = context.subscribers("ada").collect();
        let of_ada: Vec<String> = context.topics(ada[0]).map(str::to_owned).collect();
        let name_of_ada = context.data(ada[0]).cloned();
        context.for_each(|_, peer| {
            peer.send("each");
        });
        tell.send((names, all, ada.len(), of_ada.len(), name_of_ada))
            .unwrap();
    };
    server.remote.run(0, ask).unwrap();
    let names = vec!["ada".to_owned(), "ben".to_owned()];
    let expected = (names, 2, 1, 2, Some("ada".to_owned()));
    assert_eq!(told.recv().unwrap(), expected);
    for stream in &mut streams {
        expect(stream, b"\x81\x04each");
    }
    drop((streams, log));
    server.stop();
}
