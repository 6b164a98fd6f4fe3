//! A server on loopback TCP, with a client of `std` and `ws-proto`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
};

use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Remote, Server};

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// A server on a thread of its own, which is stopped at the end of the test.
struct Running {
    address: SocketAddr,
    remote: Remote,
    thread: Option<thread::JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn start(handler: impl Handler + Send + 'static, config: Config) -> Self {
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let (address, remote) = (server.local_addr().unwrap(), server.remote());
        let thread = Some(thread::spawn(move || server.run(handler)));
        Self { address, remote, thread }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .write_all(
                b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Version: 13\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", head.escape_ascii());
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remote.stop().unwrap();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

#[test]
fn message_is_echoed_and_the_closing_handshake_completes() {
    let server = Running::start(Echo, Config::new(OriginPolicy::Any));
    let mut stream = server.connect();
    stream.write_all(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").unwrap();
    let mut echo = [0; 7];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x81\x05Hello");
    stream.write_all(b"\x88\x82\x00\x00\x00\x00\x03\xe8").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xe8");
}

#[test]
fn unmasked_frame_is_refused_after_what_came_before_it() {
    let server = Running::start(Echo, Config::new(OriginPolicy::Any));
    let mut stream = server.connect();
    stream.write_all(b"\x81\x82\x00\x00\x00\x00ok\x81\x05Hello").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(&rest[..4], b"\x81\x02ok");
    assert_eq!(&rest[4..8], b"\x88\x10\x03\xea");
}

#[test]
fn slow_reader_gets_every_byte_of_64_mib() {
    let mut config = Config::new(OriginPolicy::Any);
    config.limits.max_message = 1 << 30;
    let server = Running::start(Echo, config);
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let total = 64usize << 20;
    let thread = thread::spawn(move || {
        let payload: Vec<u8> = (0..1usize << 20).map(|i| (i * 31 >> 3) as u8).collect();
        for _ in 0..total >> 20 {
            writer.write_all(b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00").unwrap();
            writer.write_all(&payload).unwrap();
        }
    });
    let payload: Vec<u8> = (0..1usize << 20).map(|i| (i * 31 >> 3) as u8).collect();
    let mut frame = vec![0; 10 + payload.len()];
    for _ in 0..total >> 20 {
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..10], *b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00");
        assert!(frame[10..] == payload);
    }
    thread.join().unwrap();
}
