//! Several listeners for one server and one handler.
use std::{
    io::{Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    thread,
};

use mio::net::{TcpListener, UnixListener};
use ws_mio::{EitherListener, Listeners, Server};

use crate::common::{Echo, REPLY, REQUEST, config, dial, head, masked, unmasked};

/// Shakes hands, and hears an echo.
fn talk(mut stream: impl Read + Write) {
    stream.write_all(REQUEST).unwrap();
    assert_eq!(head(&mut stream), REPLY);
    stream.write_all(&masked(0x81, b"hello")).unwrap();
    let mut echo = [0; 7];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(echo[..], unmasked(0x81, b"hello"));
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn two_ports_and_a_unix_domain_socket_have_one_server() {
    for threads in [1, 2] {
        let path = std::env::temp_dir().join(format!("ws-mio-{}-{threads}", std::process::id()));
        let [(one, first), (other, second)] = [listen(), listen()];
        let unix = UnixListener::bind(&path).unwrap();
        let ports = Listeners::new([one, other]);
        let mut config = config();
        config.threads = threads;
        let server = Server::with_listener(EitherListener::new(ports, unix), config).unwrap();
        let remote = server.remote();
        let serving = thread::spawn(move || server.run_with(|_| Echo));
        // More of each than a loop that forgets one would serve.
        for _ in 0..3 {
            talk(dial(first));
            talk(dial(second));
            talk(UnixStream::connect(&path).unwrap());
        }
        assert_eq!(remote.metrics().accepted, 9);
        remote.stop().unwrap();
        serving.join().unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn listener_to_which_very_many_connect_leaves_the_other_its_turn() {
    use ws_mio::Listener;

    let [(one, first), (other, second)] = [listen(), listen()];
    let mut both = EitherListener::new(one, other);
    let busy: Vec<_> = (0..10).map(|_| dial(first)).collect();
    let other = dial(second);
    let mut of_second = Vec::new();
    for index in 0..11 {
        let (transport, _) = both.accept().unwrap();
        if matches!(transport, ws_mio::Either::Second(_)) {
            of_second.push(index);
        }
    }
    assert_eq!(of_second, [1]);
    assert_eq!(
        both.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    drop((busy, other));
}
