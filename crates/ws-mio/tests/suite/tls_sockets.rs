//! TLS over sockets, with clients of rustls' own and of ours.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use ws_mio::{
    ClientConfig, ClientRequest, ClientTls, CloseCode, Closed, Commands, Config, Connect,
    ControlledNetwork, EitherListener, Handler, Listener, Message, OpenError, Peer, Remote, Server,
    ServerTls, Socket, SocketState, Tls, TlsError, TlsListener, Uri,
    ws_proto::Masking,
    ws_tls::{
        rustls::{ClientConnection, HandshakeKind, StreamOwned},
        server_name,
    },
};
use ws_testkit::certificates::Ca;

use crate::{
    common,
    common::{Echo, REPLY, REQUEST, config, dial, head, masked, pattern, unmasked},
};

const HOST: &str = "localhost";

/// A server on a thread of its own, which is stopped at the end of the test.
struct Running<L: Listener> {
    remote: Remote<Echo, L::Transport>,
    thread: Option<thread::JoinHandle<std::io::Result<()>>>,
}

impl<L: Listener + Send + 'static> Running<L>
where
    L::Transport: Send,
{
    fn start(server: Server<Echo, L>) -> Self {
        let remote = server.remote();
        let thread = Some(thread::spawn(move || server.run_with(|_| Echo)));
        Self { remote, thread }
    }
}

impl<L: Listener> Drop for Running<L> {
    fn drop(&mut self) {
        self.remote.stop().unwrap();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

/// Configurations that trust each other.
fn tls() -> (ClientTls, ServerTls) {
    let ca = Ca::new("ours");
    let identity = ca.issue(HOST);
    (
        ClientTls::with_ca(ca.pem().as_bytes()).unwrap(),
        ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap(),
    )
}

fn start(tls: &ServerTls, config: Config) -> (Running<TlsListener>, SocketAddr) {
    let server = Server::bind_tls("127.0.0.1:0", tls, config).unwrap();
    let address = server.local_addr().unwrap();
    (Running::start(server), address)
}

/// A client of rustls' own.
fn secure<S: Read + Write>(stream: S, tls: &ClientTls) -> StreamOwned<ClientConnection, S> {
    let name = server_name(HOST).unwrap();
    let client = ClientConnection::new(tls.config().clone(), name).unwrap();
    StreamOwned::new(client, stream)
}

fn open<S: Read + Write>(stream: S, tls: &ClientTls) -> StreamOwned<ClientConnection, S> {
    let mut stream = secure(stream, tls);
    stream.write_all(REQUEST).unwrap();
    assert_eq!(head(&mut stream), REPLY);
    stream
}

#[track_caller]
fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes == expected);
}

fn echo_and_close<S: Read + Write>(mut stream: StreamOwned<ClientConnection, S>) {
    for len in [0, 125, 16_384, 1_000_000] {
        stream.write_all(&masked(0x82, &pattern(len))).unwrap();
        expect(&mut stream, &unmasked(0x82, &pattern(len)));
    }
    stream.write_all(common::CLOSE).unwrap();
    expect(&mut stream, b"\x88\x02\x03\xe8");
    // Without close_notify this would be an error.
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn client_of_rustls_is_served_over_tcp_on_several_threads() {
    let (client, server) = tls();
    let mut config = config();
    config.threads = 2;
    let (_running, address) = start(&server, config);
    for _ in 0..4 {
        echo_and_close(open(dial(address), &client));
    }
}

#[cfg(unix)]
#[test]
fn client_of_rustls_is_served_over_a_unix_socket() {
    use std::os::unix::net::UnixStream;
    let (client, server) = tls();
    let path = std::env::temp_dir().join(format!("ws-mio-tls-{}", std::process::id()));
    let listener = mio::net::UnixListener::bind(&path).unwrap();
    let listener = TlsListener::new(listener, &server);
    let _running = Running::start(Server::with_listener(listener, config()).unwrap());
    echo_and_close(open(UnixStream::connect(&path).unwrap(), &client));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn second_connection_resumes_the_session() {
    let (client, server) = tls();
    let (_running, address) = start(&server, config());
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = open(dial(address), &client);
        assert_eq!(stream.conn.handshake_kind(), Some(kind));
        echo_and_close(stream);
    }
}

#[test]
fn unmasked_frames_are_accepted_over_tls_and_refused_over_tcp() {
    let (client, server) = tls();
    let mut config = config();
    config.accept_unmasked_frame = ControlledNetwork::new().loopback().require_tls();
    let (_running, address) = start(&server, config.clone());
    let mut stream = open(dial(address), &client);
    stream.write_all(&unmasked(0x81, b"Hi")).unwrap();
    expect(&mut stream, b"\x81\x02Hi");

    let plain = common::Running::start(Echo, config);
    let mut stream = plain.connect();
    stream.write_all(&unmasked(0x81, b"Hi")).unwrap();
    let mut start = [0; 4];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(
        (start[0], &start[2..]),
        (0x88, &b"\x03\xea"[..]),
        "a protocol error"
    );
}

#[test]
fn server_goes_on_after_handshakes_that_fail() {
    let (client, server) = tls();
    let (running, address) = start(&server, config());
    let mut plain = dial(address);
    plain.write_all(REQUEST).unwrap();
    assert!(head(&mut plain).starts_with(b"HTTP/1.1 400 "));

    let stranger = ClientTls::with_ca(Ca::new("theirs").pem().as_bytes()).unwrap();
    let error = secure(dial(address), &stranger)
        .write_all(REQUEST)
        .unwrap_err();
    let error = TlsError::take(error).unwrap();
    assert!(matches!(error, TlsError::UnknownIssuer(_)), "{error:?}");

    echo_and_close(open(dial(address), &client));
    let deadline = Instant::now() + Duration::from_secs(30);
    while running.remote.metrics().handshakes_failed < 2 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

#[test]
fn client_that_does_not_finish_its_handshake_is_given_up() {
    let (_, server) = tls();
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(50);
    let (_running, address) = start(&server, config);
    let mut stream = dial(address);
    stream.write_all(b"\x16\x03\x01").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

// --- our own clients ---

/// Sends a long message once it is connected, and closes when it is back.
struct Hello(mpsc::Sender<Result<bool, OpenError>>);

impl Handler for Hello {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        peer.send_binary(&pattern(300_000));
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        assert!(message.as_bytes() == pattern(300_000));
        peer.close(CloseCode::NORMAL, "");
    }

    fn on_close(&mut self, peer: &mut Peer<'_, ()>, closed: Closed<'_>) {
        let Masking::Client(masking) = peer.masking() else {
            unreachable!("it is a client")
        };
        assert_eq!(closed.code, 1000);
        let _ = self.0.send(Ok(masking.set_mask_to_zero()));
    }

    fn on_connect_failed(&mut self, (): (), error: OpenError, _: &mut Commands<()>) {
        let _ = self.0.send(Err(error));
    }
}

fn request(scheme: &str, address: SocketAddr) -> ClientRequest {
    let uri = format!("{scheme}://{HOST}:{}/", address.port());
    ClientRequest::new(Uri::parse(&uri).unwrap())
}

#[test]
fn one_loop_connects_with_tls_and_without() {
    let (client_tls, server_tls) = tls();
    let (_secure, secure) = start(&server_tls, config());
    let plain = common::Running::start(Echo, config());
    let plain = plain.address;

    let mut client = config();
    client.set_mask_to_zero = ControlledNetwork::new().loopback().require_tls();
    let client = Server::<Hello, TlsListener>::without_listener_tls(client).unwrap();
    let remote = client.remote();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || client.run(Hello(tell)));
    let next = || told.recv_timeout(Duration::from_secs(30)).unwrap();

    let connect = |scheme, address| Connect::new(request(scheme, address), ());
    common::connect_to(&remote, secure, connect("wss", secure).tls(&client_tls));
    assert!(next().unwrap(), "masked with zero over TLS");
    common::connect_to(&remote, plain, connect("ws", plain));
    assert!(!next().unwrap(), "masked with keys over TCP");
    // Never silently in plaintext.
    common::connect_to(&remote, secure, connect("wss", secure));
    assert!(matches!(next(), Err(OpenError::NoTls)));
    // TLS with a server that speaks none.
    common::connect_to(&remote, plain, connect("wss", plain).tls(&client_tls));
    let error = next().unwrap_err();
    assert!(
        matches!(error, OpenError::Tls(TlsError::NotTls(_))),
        "{error:?}"
    );
    // A loop that cannot.
    let (tell, told) = mpsc::channel();
    let cannot = common::Running::start(Hello(tell), config());
    common::connect_to(
        &cannot.remote,
        secure,
        connect("wss", secure).tls(&client_tls),
    );
    assert!(matches!(told.recv().unwrap(), Err(OpenError::NoTls)));

    remote.stop().unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn socket_is_a_client_over_tls() {
    let (client_tls, server_tls) = tls();
    let (_running, address) = start(&server_tls, config());
    let stream = mio::net::TcpStream::connect(address).unwrap();
    let stream = Tls::client(stream, &client_tls, server_name(HOST).unwrap()).unwrap();
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = ControlledNetwork::new().loopback().require_tls();
    let request = request("wss", address);
    let socket = Socket::<(), _>::client(stream, request, &config).unwrap();
    assert!(drive(socket).unwrap());
}

#[test]
fn socket_without_tls_does_not_ask_for_wss() {
    // Accepts, and says nothing.
    let quiet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = quiet.local_addr().unwrap();
    let stream = mio::net::TcpStream::connect(address).unwrap();
    let request = request("wss", address);
    let config = ClientConfig::default();
    let socket = Socket::<(), _>::client(stream, request, &config).unwrap();
    assert!(matches!(drive(socket), Err(OpenError::NoTls)));
}

/// Runs a client to its end; tells whether it masks with zero.
fn drive<T: ws_mio::Transport>(mut socket: Socket<(), T>) -> Result<bool, OpenError> {
    let (tell, told) = mpsc::channel();
    let mut hello = Hello(tell);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut socket, Token(0), both)
        .unwrap();
    while socket.state() != SocketState::Closed {
        let wait = socket.next_timeout();
        let wait = wait.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            socket.ready(event, &mut hello)?;
        }
        socket.handle_timeout(&mut hello)?;
    }
    told.recv().unwrap()
}

#[test]
fn socket_is_a_server_over_tls() {
    let (client_tls, server_tls) = tls();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || echo_and_close(open(dial(address), &client_tls)));
    let (stream, _): (TcpStream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = mio::net::TcpStream::from_std(stream);
    let stream = Tls::server(stream, &server_tls).unwrap();
    let mut socket = Socket::<(), _>::accept(stream, Arc::new(config())).unwrap();
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut socket, Token(0), both)
        .unwrap();
    while socket.state() != SocketState::Closed {
        let wait = socket.next_timeout();
        let wait = wait.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            socket.ready(event, &mut Echo).unwrap();
        }
        socket.handle_timeout(&mut Echo).unwrap();
    }
    drop(socket);
    client.join().unwrap();
}

#[test]
fn plain_and_tls_connections_have_one_server() {
    let (client_tls, server_tls) = tls();
    let listen = || mio::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (plain, secured) = (listen(), listen());
    let addresses = [plain.local_addr().unwrap(), secured.local_addr().unwrap()];
    let both = EitherListener::new(plain, TlsListener::new(secured, &server_tls));
    let _running = Running::start(Server::with_listener(both, config()).unwrap());
    let mut stream = dial(addresses[0]);
    stream.write_all(REQUEST).unwrap();
    assert_eq!(head(&mut stream), REPLY);
    let mut stream = secure(dial(addresses[1]), &client_tls);
    stream.write_all(REQUEST).unwrap();
    assert_eq!(head(&mut stream), REPLY);
}
