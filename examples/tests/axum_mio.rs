//! The example `axum_mio`: routes and state of axum, and WebSockets in loops of `ws-mio`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use smol::future;
use ws_smol::{ClientRequest, Connector, Message, Uri};

mod common;

use common::{Server, exchange};

const PATIENCE: Duration = Duration::from_secs(30);
const HELLO: &[u8] = b"\x81\x85\0\0\0\0Hello";

fn start(arguments: &[&str]) -> Server {
    Server::start(env!("CARGO_BIN_EXE_axum_mio"), arguments)
}

/// Asks for a room's WebSocket, as [`open`].
fn enter(server: &Server, room: &str, behind: &[u8]) -> TcpStream {
    open(server, &format!("/rooms/{room}"), behind)
}

/// Asks for a WebSocket, and sends something behind the request in one write.
fn open(server: &Server, path: &str, behind: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let bytes = [request.as_bytes(), behind].concat();
    stream.write_all(&bytes).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        head.escape_ascii()
    );
    stream
}

#[track_caller]
fn hears(stream: &mut TcpStream, frame: &[u8]) {
    let mut bytes = vec![0; frame.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, frame);
}

/// What a page of the server says behind its head.
fn page(server: &Server, request: &str) -> String {
    let page = exchange(server.connect(), request);
    page.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn rooms_are_routed_by_axum_and_served_by_the_loops() {
    for threads in ["1", "3"] {
        let server = start(&["--threads", threads]);
        // What hyper has read too far is the first that is said.
        let mut first = enter(&server, "red", HELLO);
        hears(&mut first, b"\x81\x05Hello");
        let mut second = enter(&server, "red", HELLO);
        for stream in [&mut first, &mut second] {
            hears(stream, b"\x81\x05Hello");
        }
        let mut other = enter(&server, "blue", HELLO);
        hears(&mut other, b"\x81\x05Hello");
        let count = page(
            &server,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(count, "3 WebSockets are open\n");
        let told = page(
            &server,
            "POST /rooms/red HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nHi",
        );
        assert_eq!(told, "2 are told\n");
        for stream in [&mut first, &mut second] {
            hears(stream, b"\x81\x02Hi");
        }
        other.write_all(HELLO).unwrap();
        hears(&mut other, b"\x81\x05Hello");
        let mut echo = open(&server, "/echo", HELLO);
        hears(&mut echo, b"\x81\x05Hello");
    }
}

#[test]
fn compression_is_agreed_on_in_axum_and_spoken_by_the_loop() {
    let server = start(&[]);
    let uri = Uri::parse(&format!("{}/rooms/red", server.address)).unwrap();
    let request = ClientRequest::new(uri).offer(ws_smol::DeflateOffer::new());
    smol::block_on(future::or(
        async {
            let mut websocket = Connector::new().connect(request).await.unwrap();
            assert!(websocket.deflate().is_some());
            let message = Message::Text("Hello ".repeat(10_000));
            websocket.send(&message).await.unwrap();
            assert_eq!(websocket.receive().await.unwrap(), Some(message));
        },
        async {
            smol::Timer::after(PATIENCE).await;
            panic!("nothing came");
        },
    ));
}

#[test]
fn page_of_another_origin_is_refused_by_the_acceptor() {
    let server = start(&[]);
    let refused = exchange(
        server.connect(),
        "GET /rooms/red HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade, close\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nOrigin: http://evil.example\r\n\r\n",
    );
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

#[cfg(unix)]
#[test]
fn stop_reaches_the_sockets_and_loses_nothing() {
    // Every tenth has a message under way.
    let count = std::env::var("WS_DRAINED_SOCKETS");
    let count: usize = count.map_or(40, |count| count.parse().expect("it is a number"));
    let mut server = start(&["--threads", "2"]);
    let sockets = (0..count).map(|_| open(&server, "/echo", HELLO));
    let mut sockets: Vec<_> = sockets.collect();
    for (number, stream) in sockets.iter_mut().enumerate() {
        hears(stream, b"\x81\x05Hello");
        if number % 10 == 0 {
            stream.write_all(&HELLO[..8]).unwrap();
        }
    }
    let pid = server.child.id().to_string();
    let kill = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(kill.unwrap().success());
    for (number, stream) in sockets.iter_mut().enumerate() {
        hears(stream, b"\x88\x02\x03\xe9");
        if number % 10 == 0 {
            stream.write_all(&HELLO[8..]).unwrap();
        }
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
    assert_eq!(server.said_behind("all WebSockets "), "are gone");
    assert!(server.child.wait().unwrap().success());
}
