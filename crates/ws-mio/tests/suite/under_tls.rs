//! Transports that others have encrypted.

use std::{io::Write, thread};

use mio::net::TcpListener;
use ws_mio::{
    ClientConfig, ClientRequest, Config, ControlledNetwork, Handler, Message, OpenError, Peer,
    Ready, Server, Socket, Transport, UnderTls, Uri, memory,
};

use crate::common::{CLOSE, Echo, REQUEST, config, dial, head, rest};

const READY: Ready = Ready {
    readable: true,
    writable: true,
    read_closed: false,
};

fn wss() -> ClientRequest {
    ClientRequest::new(Uri::parse("wss://feed.example/").unwrap())
}

fn read(stream: &mut impl Transport) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let len = stream.read(&mut buffer).unwrap_or(0);
    buffer[..len].to_vec()
}

#[test]
fn wss_is_asked_for_over_what_is_encrypted_already_and_nothing_else() {
    let config = ClientConfig::default();
    let (near, mut far) = memory::pair(4096);
    let mut socket: Socket<(), _> = Socket::client(near, wss(), &config).unwrap();
    let outcome = socket.ready(READY, &mut Echo);
    assert!(matches!(outcome, Err(OpenError::NoTls)), "{outcome:?}");
    assert_eq!(read(&mut far), b"");

    let (near, mut far) = memory::pair(4096);
    let mut socket: Socket<(), _> = Socket::client(UnderTls::new(near), wss(), &config).unwrap();
    socket.ready(READY, &mut Echo).unwrap();
    assert!(read(&mut far).starts_with(b"GET / HTTP/1.1\r\nHost: feed.example\r\n"));
}

/// Tells whether the server accepts frames that are not masked.
struct Tell;

impl Handler for Tell {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, _: Message<'_>) {
        peer.send_text(&peer.accept_unmasked_frame().to_string());
    }
}

#[test]
fn list_that_demands_tls_believes_a_listener_under_tls() {
    //= MSWS-1.6-3
    fn config_with_list() -> Config {
        let mut config = config();
        config.accept_unmasked_frame = ControlledNetwork::new().loopback().require_tls();
        config
    }
    let listen = || TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let ask = |address| {
        let mut stream = dial(address);
        stream.write_all(REQUEST).unwrap();
        head(&mut stream);
        stream.write_all(b"\x81\x80\0\0\0\0").unwrap();
        stream.write_all(CLOSE).unwrap();
        rest(stream)
    };
    let listener = listen();
    let address = listener.local_addr().unwrap();
    let server = Server::with_listener(UnderTls::new(listener), config_with_list()).unwrap();
    let remote = server.remote();
    let running = thread::spawn(move || server.run(Tell));
    assert_eq!(ask(address), b"\x81\x04true\x88\x02\x03\xe8");
    remote.stop().unwrap();
    running.join().unwrap().unwrap();

    let listener = listen();
    let address = listener.local_addr().unwrap();
    let server = Server::with_listener(listener, config_with_list()).unwrap();
    let remote = server.remote();
    let running = thread::spawn(move || server.run(Tell));
    assert_eq!(ask(address), b"\x81\x05false\x88\x02\x03\xe8");
    remote.stop().unwrap();
    running.join().unwrap().unwrap();
}
