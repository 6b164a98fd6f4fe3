//! Clients that find no server, or another answer than they hoped for.

use std::{
    io::{self, Read, Write},
    net::TcpListener,
};

use ws_mio::{
    ClientConfig, OpenError, PeerAddr, Ready, Socket, Transport, ws_handshake::HeadLimits,
};

use super::{Loop, Notes, connect, quick, request, script};
use crate::common::head;

#[test]
fn refused_connection_is_an_io_error() {
    //= RFC6455-4.1-10
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut sockets = Loop::new();
    match Socket::connect(address, request(address), &ClientConfig::default()) {
        // Some systems say so at once.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
        Ok(socket) => {
            sockets.add(socket);
            let mut handlers = [Notes::default()];
            sockets.run(&mut handlers);
            let Some(OpenError::Io(error)) = &sockets.errors[0] else {
                panic!("{:?}", sockets.errors)
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(handlers[0].notes, [""; 0]);
        }
    }
}

/// Takes no request, and has an answer all the same.
struct Deaf {
    answer: &'static [u8],
    end: Option<io::ErrorKind>,
}

impl Transport for Deaf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (self.answer.read(buffer)?, self.end) {
            (0, Some(kind)) => Err(kind.into()),
            (len, _) => Ok(len),
        }
    }

    fn write(&mut self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Unknown
    }

    fn source(&mut self) -> Option<&mut dyn mio::event::Source> {
        None
    }
}

#[test]
fn answer_is_read_of_a_server_that_does_not_take_the_request() {
    let open = |answer, end| {
        let request = request("127.0.0.1:80".parse().unwrap());
        let deaf = Deaf { answer, end };
        let mut socket = Socket::client(deaf, request, &ClientConfig::default()).unwrap();
        let ready = Ready {
            readable: true,
            writable: true,
            ..Ready::default()
        };
        socket.ready(ready, &mut Notes::default()).unwrap_err()
    };
    let too_large = b"HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\nno";
    for end in [None, Some(io::ErrorKind::ConnectionReset)] {
        let OpenError::Refused(response) = open(too_large, end) else {
            panic!("the answer is lost");
        };
        assert_eq!((response.status, &*response.body), (431, &b"no"[..]));
        // Of what is no answer, the first thing that went wrong is told.
        for nothing in [&b""[..], b"HTTP/1.1 431 Too La"] {
            let OpenError::Io(error) = open(nothing, end) else {
                panic!("there is no answer");
            };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}

#[test]
fn answer_other_than_101_is_handed_over_with_its_body() {
    //= RFC6455-4.1-34
    for (answer, status, body) in [
        (&b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nWWW-Authenticate: Basic\r\n\r\nsecret"[..], 401, &b"secret"[..]),
        (b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", 302, b""),
        // Its body ends with the stream.
        (b"HTTP/1.1 200 OK\r\n\r\na page", 200, b"a page"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\nno", 503, b"no"),
    ] {
        let (address, server) = script(move |stream| {
            head(stream);
            stream.set_nodelay(true).unwrap();
            for byte in answer {
                stream.write_all(&[*byte]).unwrap();
            }
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        server.join().unwrap();
        let Some(OpenError::Refused(response)) = &sockets.errors[0] else {
            panic!("{:?}", sockets.errors)
        };
        assert_eq!(response.status, status);
        assert_eq!(response.body, body);
        assert_eq!(handlers[0].notes, [""; 0]);
    }
}

#[test]
fn wrong_answers_are_handshake_errors() {
    //= RFC6455-7.2.1-1, RFC6455-7.2.1-2
    for (answer, kind) in [
        (&b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"[..], "bad_accept"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_status_line"),
        (b"HTTP/1.1 101", "connection_lost"),
        (b"", "connection_lost"),
    ] {
        let (address, server) = script(move |stream| {
            head(stream);
            stream.write_all(answer).unwrap();
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        sockets.run(&mut [Notes::default()]);
        server.join().unwrap();
        let Some(OpenError::Handshake(error)) = &sockets.errors[0] else {
            panic!("{:?}", sockets.errors)
        };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn server_that_does_not_answer_the_request_is_given_up() {
    let (address, server) = script(|stream| {
        head(stream);
        // Until the client leaves.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut sockets = Loop::new();
    sockets.add(connect(address, &quick()));
    sockets.run(&mut [Notes::default()]);
    assert!(matches!(sockets.errors[0], Some(OpenError::Timeout)));
    drop(sockets);
    server.join().unwrap();
}

#[test]
fn frames_may_come_with_the_101_and_byte_by_byte() {
    for step in [1, 2, usize::MAX] {
        let (address, server) = script(move |stream| {
            let request = head(stream);
            let request = ws_mio::Request::parse(&request, &HeadLimits::default()).unwrap();
            let config = ws_mio::ServerConfig::new(ws_mio::OriginPolicy::Any);
            let mut wire = Vec::new();
            config.negotiate(&request).unwrap().write_to(&mut wire);
            wire.extend(b"\x81\x05Hello\x89\x00\x01\x02ye\x80\x01s\x88\x02\x03\xe9");
            stream.set_nodelay(true).unwrap();
            for piece in wire.chunks(step) {
                stream.write_all(piece).unwrap();
            }
            // The Pong and the answer to the Close, masked.
            let mut replies = [0; 6 + 8];
            stream.read_exact(&mut replies).unwrap();
            assert_eq!((replies[0], replies[1]), (0x8a, 0x80));
            assert_eq!((replies[6], replies[7]), (0x88, 0x82));
        });
        let mut sockets = Loop::new();
        sockets.add(connect(address, &ClientConfig::default()));
        let mut handlers = [Notes::default()];
        sockets.run(&mut handlers);
        server.join().unwrap();
        assert_eq!(
            handlers[0].notes,
            ["open", "Hello", "yes", "close 1001 Peer"]
        );
    }
}
