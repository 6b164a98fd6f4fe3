//! Sockets that are servers.

use std::{
    io::Write,
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use ws_mio::{
    ClientConfig, Decision, Handler, Incoming, Message, OpenError, Peer, Response, Socket,
    SocketState,
};

use super::{Loop, Notes, accept, connect};
use crate::common::{
    self, CLOSE, Echo, REPLY, REQUEST, Running, config, expect, head, masked, pattern, rest,
};

#[test]
fn socket_is_a_server_as_well() {
    //= RFC6455-5.5.1-12, RFC6455-7.1.1-3
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = common::dial(address);
        stream.set_nodelay(true).unwrap();
        for byte in REQUEST {
            stream.write_all(&[*byte]).unwrap();
        }
        expect(&mut stream, REPLY);
        stream
            .write_all(&[masked(0x81, b"Hello"), CLOSE.into()].concat())
            .unwrap();
        assert_eq!(rest(stream), b"\x81\x05Hello\x88\x02\x03\xe8");
    });
    let mut sockets = Loop::new();
    sockets.add(accept(&listener, &Arc::new(config())));
    sockets.run_until(&mut [Echo], |this, _| {
        this.sockets[0].state() == SocketState::Closed
    });
    // The transport closes when the socket is dropped.
    drop(sockets);
    client.join().unwrap();
}

#[test]
fn server_socket_answers_what_it_refuses_to_the_last_byte() {
    //= RFC6455-7.1.1-1
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = common::dial(address);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let answer = head(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(rest(stream) == pattern(8 << 20));
        // And one that sends nonsense.
        let mut stream = common::dial(address);
        stream.write_all(b"nonsense\n").unwrap();
        assert!(rest(stream).starts_with(b"HTTP/1.1 400 "));
        // And one that sends nothing.
        assert!(rest(common::dial(address)).starts_with(b"HTTP/1.1 408 "));
    });
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(100);
    let config = Arc::new(config);
    let mut sockets = Loop::new();
    let mut handlers = Vec::new();
    for status in [200, 400, 408] {
        let key = sockets.add(accept(&listener, &config));
        handlers.push(Page);
        sockets.run_until(&mut handlers, |this, _| {
            this.sockets[key].state() == SocketState::Closed
        });
        match sockets.errors[key].as_ref().unwrap() {
            OpenError::Answered(answered) => assert_eq!(*answered, status),
            OpenError::Timeout => assert_eq!(status, 408),
            other => panic!("{other}"),
        }
    }
    client.join().unwrap();
}

/// Answers every request with a page that no transport takes at once.
struct Page;

impl Handler for Page {
    type Data = ();

    fn on_request<'r>(&mut self, _: Incoming<'r>) -> Decision<'r, ()> {
        Response::new(200).body(pattern(8 << 20)).into()
    }

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}
}

#[test]
fn both_ends_may_be_in_one_loop_and_one_handler_may_serve_another_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = Running::start(Echo, config());
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(16);
    let both = Interest::READABLE | Interest::WRITABLE;
    // The client of the test, in the same loop.
    let mut client = connect(address, &ClientConfig::default());
    poll.registry()
        .register(&mut client, Token(0), both)
        .unwrap();
    let mut door = accept(&listener, &Arc::new(config()));
    poll.registry().register(&mut door, Token(1), both).unwrap();
    let mut back = connect(upstream.address, &ClientConfig::default());
    poll.registry().register(&mut back, Token(2), both).unwrap();
    // Open the way to the upstream first.
    let mut answers = Notes::default();
    while back.state() != SocketState::Open {
        poll.poll(&mut events, None).unwrap();
        for event in events.iter().filter(|event| event.token() == Token(2)) {
            back.ready(event, &mut answers).unwrap();
        }
    }
    // What was missed is looked at now: readiness is told once.
    poll.registry()
        .reregister(&mut client, Token(0), both)
        .unwrap();
    poll.registry()
        .reregister(&mut door, Token(1), both)
        .unwrap();
    let mut notes = Notes::greeting("through");
    let mut proxy = Proxy { back, answers };
    while client.state() != SocketState::Closed {
        let timeout = [client.next_timeout(), door.next_timeout()]
            .into_iter()
            .flatten()
            .min();
        let wait = timeout.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            match event.token() {
                Token(0) => drop(client.ready(event, &mut notes).unwrap()),
                Token(1) => drop(door.ready(event, &mut proxy).unwrap()),
                _ => {
                    proxy.back.ready(event, &mut proxy.answers).unwrap();
                    for answer in proxy.answers.notes.drain(..).filter(|note| note != "open") {
                        if let Some(mut peer) = door.peer() {
                            peer.send_text(&answer);
                        }
                    }
                    door.flush(&mut proxy).unwrap();
                }
            }
        }
        if door.state() == SocketState::Closed {
            // As its owner should: it closes the transport.
            poll.registry().deregister(&mut door).unwrap();
            door = connect(upstream.address, &ClientConfig::default());
        }
    }
    assert_eq!(notes.notes, ["open", "through", "close 1000 Local"]);
}

/// Hands messages on to another socket, from within the call for one.
struct Proxy {
    back: Socket,
    answers: Notes,
}

impl Handler for Proxy {
    type Data = ();

    fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
        self.back.peer().unwrap().send(message);
        self.back.flush(&mut self.answers).unwrap();
    }
}
