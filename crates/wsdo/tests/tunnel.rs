//! `wsdo tunnel` with itself, with other WebSockets, and when things break.

mod common;

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    thread,
};

use common::{Server, WSDO, accept, played, run, wsdo};

/// Starts a tunnel, and returns it with the address that it listens at.
fn tunnel(from: &str, to: &str) -> Server {
    Server::spawn(Command::new(WSDO).args(["tunnel", from, to]))
}

/// Makes a way through two tunnels, to a server that the test plays.
fn there_and_back() -> (TcpListener, [Server; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    let far = tunnel("ws://127.0.0.1:0", &to);
    let near = tunnel("tcp://127.0.0.1:0", &far.url());
    (listener, [far, near])
}

fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let byte = |i: usize| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..len).map(byte).collect()
}

#[test]
fn each_direction_ends_for_itself() {
    let (listener, tunnels) = there_and_back();
    let mut client = TcpStream::connect(("127.0.0.1", tunnels[1].port())).unwrap();
    client.write_all(b"a question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut asked = String::new();
    // The end of the question is seen, and the answer comes all the same.
    server.read_to_string(&mut asked).unwrap();
    assert_eq!(asked, "a question");
    server.write_all(b"an answer").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "an answer");
}

#[test]
fn many_bytes_both_ways_at_once_arrive_as_they_were() {
    let (listener, tunnels) = there_and_back();
    let mut client = TcpStream::connect(("127.0.0.1", tunnels[1].port())).unwrap();
    let (up, down) = (pattern(20_000_001, 1), pattern(15_000_003, 2));
    let exchange = |mut stream: TcpStream, says: Vec<u8>| {
        let mut writer = stream.try_clone().unwrap();
        let writing = thread::spawn(move || {
            writer.write_all(&says).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        writing.join().unwrap();
        heard
    };
    client.write_all(&up[..1]).unwrap();
    let (server, _) = listener.accept().unwrap();
    let says = down.clone();
    let far = thread::spawn(move || exchange(server, says));
    let near = exchange(client, up[1..].to_vec());
    assert!(near == down && far.join().unwrap() == up);
}

#[test]
fn standard_input_and_output_are_carried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    let far = tunnel("ws://127.0.0.1:0", &to);
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes.reverse();
        stream.write_all(&bytes).unwrap();
    });
    let mut bytes = pattern(300_000, 3);
    let ran = wsdo(&["tunnel", "-", &far.url()], &bytes);
    bytes.reverse();
    assert_eq!(
        (ran.code, ran.out == bytes),
        (Some(0), true),
        "{}",
        ran.errors
    );
    server.join().unwrap();
}

#[test]
fn any_websocket_is_carried_to() {
    let echo = Server::echo();
    let near = tunnel("tcp://127.0.0.1:0", &echo.url());
    let mut client = TcpStream::connect(("127.0.0.1", near.port())).unwrap();
    let bytes = pattern(100_000, 4);
    client.write_all(&bytes).unwrap();
    let mut heard = vec![0; bytes.len()];
    client.read_exact(&mut heard).unwrap();
    assert!(heard == bytes);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut heard).unwrap(), 0);
}

#[test]
fn text_of_a_websocket_is_bytes() {
    let (url, server) = played(|listener| {
        let (mut stream, request) = accept(listener);
        stream.write_all(b"\x81\x05Hello\x88\x02\x03\xe8").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        request
    });
    wsdo(&["tunnel", "-", &url], b"").wrote(0, b"Hello");
    assert!(
        server
            .join()
            .unwrap()
            .contains("Sec-WebSocket-Protocol: wsdo-tunnel\r\n")
    );
}

#[cfg(unix)]
#[test]
fn unix_domain_sockets_are_carried() {
    use std::os::unix::net::UnixStream;
    let echo = Server::echo();
    let folder = common::Folder::new();
    let from = format!("unix:{}", folder.path("near.sock"));
    let near = tunnel(&from, &echo.url());
    assert_eq!(near.address, from);
    let mut client = UnixStream::connect(folder.path("near.sock")).unwrap();
    client.write_all(b"hi").unwrap();
    let mut heard = [0; 2];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hi");
}

#[test]
fn target_that_refuses_is_a_502() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let far = tunnel("ws://127.0.0.1:0", &format!("tcp://{free}"));
    let ran = wsdo(&["tunnel", "-", &far.url()], b"");
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.errors.contains("502"), "{ran:?}");
    far.tells("refused");
}

#[cfg(unix)]
#[test]
fn websocket_that_is_lost_resets_what_it_carried() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        stream.write_all(b"\x82\x05begun").unwrap();
        // Gone without a Close.
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
    });
    let near = tunnel("tcp://127.0.0.1:0", &url);
    let mut client = TcpStream::connect(("127.0.0.1", near.port())).unwrap();
    let mut begun = [0; 5];
    client.read_exact(&mut begun).unwrap();
    client.write_all(b"x").unwrap();
    server.join().unwrap();
    let end = client.read(&mut begun);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn mistakes_are_told() {
    for (arguments, text) in [
        (&["tunnel", "tcp://a:1"][..], "FROM"),
        (&["tunnel", "tcp://a:1", "tcp://b:1"], "WebSocket"),
        (&["tunnel", "ws://a", "ws://b"], "WebSocket"),
        (&["tunnel", "wss://a", "tcp://b:1"], "--tls-cert"),
        (&["tunnel", "a:1", "ws://b"], "a:1"),
        (&["tunnel", "-", "tcp://b:1"], "WebSocket"),
    ] {
        let ran = run(Command::new(WSDO).args(arguments), b"");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.errors.contains(text), "{arguments:?}: {ran:?}");
    }
}
