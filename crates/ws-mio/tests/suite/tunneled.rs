//! Clients behind proxies.
use std::{
    io::{IoSlice, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use ws_mio::{
    Agreed, ClientConfig, ClientRequest, CloseCode, Commands, Config, Connect, ControlledNetwork,
    EventLoop, Handler, Message, NoListener, OpenError, Peer, PeerAddr, Proxy, Ready, Server,
    Socket, Transport as _, TunnelError, Tunneled, Uri,
    memory::{self, Duplex},
    ws_handshake::{accept_key, proxy::SocksReply},
};

use crate::common::{Echo, Running, config, head};

/// Says hello, and tells a test what happens.
struct Caller(Sender<String>);

impl Handler for Caller {
    type Data = ();

    fn on_connected(&mut self, peer: &mut Peer<'_, ()>, _: &Agreed) {
        peer.send_text("Hi");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let _ = self.0.send(format!("{message:?} from {}", peer.address()));
        peer.close(CloseCode::NORMAL, "");
    }

    fn on_connect_failed(&mut self, (): (), error: OpenError, _: &mut Commands<()>) {
        let kind = match &error {
            OpenError::Proxy(error) => error.kind(),
            _ => "not by the proxy",
        };
        let _ = self.0.send(format!("{kind}: {error}"));
    }
}

fn request(address: impl std::fmt::Display) -> ClientRequest {
    ClientRequest::new(Uri::parse(&format!("ws://{address}/")).unwrap())
}

/// A proxy for one connection, which answers as it is told and then hands
/// bytes on to a server, one by one.
fn proxy(
    server: SocketAddr,
    dialogue: impl FnOnce(&mut TcpStream) -> bool + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.set_nodelay(true).unwrap();
        if dialogue(&mut client) {
            let server = TcpStream::connect(server).unwrap();
            let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || hand_on(back, forth));
            hand_on(client, server);
        }
    });
    address
}

fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    let mut byte = [0];
    while let Ok(1) = from.read(&mut byte) {
        if to.write_all(&byte).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Writes bytes apart from each other.
fn trickle(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        stream.write_all(&[*byte]).unwrap();
        thread::yield_now();
    }
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Runs a client loop of connections that may go through proxies, and connects
/// once.
fn call(address: SocketAddr, connect: Connect<()>, config: Config) -> String {
    let (tell, told) = mpsc::channel();
    let listener: NoListener<Tunneled<mio::net::TcpStream>> = NoListener::new();
    let server = Server::with_listener(listener, config).unwrap();
    let remote = server.remote();
    crate::common::connect_to(&remote, address, connect);
    let running = thread::spawn(move || server.run(Caller(tell)).unwrap());
    let first = next(&told);
    remote.stop().unwrap();
    running.join().unwrap();
    first
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn connection_goes_through_an_http_proxy() {
    let echo = Running::start(Echo, config());
    let proxy = proxy(echo.address, |client| {
        let request = head(client).escape_ascii().to_string();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            request.replace(version, "VERSION"),
            "CONNECT echo.test:80 HTTP/1.1\\r\\nHost: echo.test:80\\r\\n\
             User-Agent: ws-handshake/VERSION\\r\\nProxy-Authorization: Basic dXNlcjpwYXNz\\r\\n\\r\\n"
        );
        trickle(
            client,
            b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
        );
        true
    });
    let connect = Connect::new(request("echo.test"), ())
        .proxy(Proxy::parse("http://user:pass@proxy.test").unwrap());
    let told = call(proxy, connect, config());
    assert_eq!(told, "Text(\"Hi\") from unknown");
}

#[test]
fn connection_goes_through_a_socks_proxy() {
    let echo = Running::start(Echo, config());
    let proxy = proxy(echo.address, |client| {
        assert_eq!(&read(client), b"\x05\x02\0\x02");
        trickle(client, b"\x05\x02");
        assert_eq!(&read(client), b"\x01\x04user\x04pass");
        trickle(client, b"\x01\0");
        assert_eq!(&read(client), b"\x05\x01\0\x01\xc0\0\x02\x01\0\x50");
        trickle(client, b"\x05\0\0\x01\x7f\0\0\x01\0\x50");
        true
    });
    let connect = Connect::new(request("192.0.2.1"), ())
        .proxy(Proxy::parse("socks5://user:pass@proxy.test").unwrap());
    let told = call(proxy, connect, config());
    assert_eq!(told, "Text(\"Hi\") from unknown");
}

#[test]
fn loop_with_proxies_connects_directly_too() {
    let echo = Running::start(Echo, config());
    let connect = Connect::new(request("echo.test"), ());
    let told = call(echo.address, connect, config());
    assert_eq!(told, format!("Text(\"Hi\") from {}", echo.address));
}

#[test]
fn proxy_that_refuses_is_told_by_cause() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let refused = |url: &str, answers: &'static [&'static [u8]]| {
        let is_http = url.starts_with("http");
        let address = proxy(nowhere, move |client| {
            for answer in answers {
                // What it says does not matter here.
                match is_http {
                    true => drop(head(client)),
                    false => drop(read::<3>(client)),
                }
                client.write_all(answer).unwrap();
            }
            // What is dropped with input left resets the connection, and may
            // take the answer along.
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
            false
        });
        let connect = Connect::new(request("echo.test"), ()).proxy(Proxy::parse(url).unwrap());
        call(address, connect, config())
    };
    assert_eq!(
        refused(
            "http://p",
            &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]
        ),
        "refused: the proxy answered 407 Proxy Authentication Required"
    );
    assert_eq!(
        refused("socks5://p", &[b"\x05\0", b"\x05\x05\0\x01\0\0\0\0\0\0"]),
        "connection_refused: the proxy cannot connect: connection refused"
    );
    assert!(refused("socks5://p", &[b"\x05\xff"]).starts_with("no_method: "));
    assert!(refused("http://p", &[]).starts_with("lost: "));
}

#[test]
fn proxy_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(100);
    let connect = Connect::new(request("echo.test"), ()).proxy(Proxy::parse("http://p").unwrap());
    let told = call(silent.local_addr().unwrap(), connect, config);
    assert_eq!(
        told,
        "not by the proxy: no opening handshake within handshake_timeout"
    );
}

#[test]
fn transport_that_knows_of_no_proxies_is_not_connected() {
    let (tell, told) = mpsc::channel();
    let client = Running::start(Caller(tell), config());
    let connect = Connect::new(request("echo.test"), ()).proxy(Proxy::parse("http://p").unwrap());
    // To the server itself, which would take it for an answer.
    crate::common::connect_to(&client.remote, client.address, connect);
    assert!(next(&told).starts_with("not by the proxy: "));
}

/// A loop that goes through a proxy in memory.
fn in_memory(
    network: ControlledNetwork,
    host: &str,
) -> (
    EventLoop<Caller, Tunneled<Duplex>>,
    Duplex,
    Receiver<String>,
) {
    let (tell, told) = mpsc::channel();
    let mut config = config();
    config.set_mask_to_zero = network;
    let mut inner = EventLoop::new(config, Caller(tell), || Ok(())).unwrap();
    let (proxy, stream) = memory::pair(4096);
    let proxy_url = Proxy::parse("socks5://p").unwrap();
    let stream = Tunneled::new(stream, &proxy_url, host, 80).unwrap();
    inner.start_turn(Duration::ZERO);
    let connect = Connect::new(request(host), ());
    inner.lend().connect_over(stream, connect).unwrap();
    (inner, proxy, told)
}

fn turn(inner: &mut EventLoop<Caller, Tunneled<Duplex>>) {
    inner.start_turn(Duration::ZERO);
    let ready = Ready {
        readable: true,
        writable: true,
        read_closed: false,
    };
    inner.wake(0, ready);
    inner.finish_turn();
}

fn say(proxy: &mut Duplex, bytes: &[u8]) {
    assert_eq!(proxy.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
}

fn hear(proxy: &mut Duplex) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let len = proxy.read(&mut buffer).unwrap_or(0);
    buffer[..len].to_vec()
}

const OPENED: &[u8] = b"\x05\0\0\x01\x7f\0\0\x01\0\x50";

#[test]
fn nothing_is_sent_to_the_server_before_the_way_is_open() {
    let (mut inner, mut proxy, told) = in_memory(ControlledNetwork::new(), "h");
    turn(&mut inner);
    assert_eq!(hear(&mut proxy), b"\x05\x01\0");
    for byte in b"\x05\0" {
        assert_eq!(hear(&mut proxy), b"");
        say(&mut proxy, &[*byte]);
        turn(&mut inner);
    }
    assert_eq!(hear(&mut proxy), b"\x05\x01\0\x03\x01h\0\x50");
    for byte in OPENED {
        assert_eq!(hear(&mut proxy), b"");
        say(&mut proxy, &[*byte]);
        turn(&mut inner);
    }
    assert!(hear(&mut proxy).starts_with(b"GET / HTTP/1.1\r\nHost: h\r\n"));
    assert!(told.try_recv().is_err());
}

#[test]
fn what_the_server_says_with_the_proxys_last_word_is_kept() {
    let (mut inner, mut proxy, told) = in_memory(ControlledNetwork::new(), "h");
    turn(&mut inner);
    say(&mut proxy, b"\x05\0");
    turn(&mut inner);
    say(
        &mut proxy,
        &[
            OPENED,
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        ]
        .concat(),
    );
    turn(&mut inner);
    assert_eq!(
        next(&told),
        "not by the proxy: the server refused: 400 Bad Request"
    );
}

#[test]
fn flag_is_for_the_server_and_not_for_its_proxy() {
    //= MSWS-3.1.3-1
    let key_of = |network, host| {
        let (mut inner, mut proxy, _told) = in_memory(network, host);
        turn(&mut inner);
        say(&mut proxy, b"\x05\0");
        turn(&mut inner);
        hear(&mut proxy);
        say(&mut proxy, OPENED);
        turn(&mut inner);
        let request = String::from_utf8(hear(&mut proxy)).unwrap();
        let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
        let accept = accept_key(&key.as_bytes()[..24]);
        let accept = str::from_utf8(&accept).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        say(&mut proxy, answer.as_bytes());
        turn(&mut inner);
        let frame = hear(&mut proxy);
        assert_eq!(frame[..2], *b"\x81\x82");
        frame[2..6] == [0; 4]
    };
    // The stream in memory never leaves the machine; but what is behind it?
    assert!(!key_of(ControlledNetwork::new().loopback(), "h"));
    assert!(!key_of(ControlledNetwork::new().loopback(), "127.0.0.1"));
    assert!(key_of(true.into(), "h"));
}

#[test]
fn socket_goes_through_a_proxy() {
    let (mut proxy, stream) = memory::pair(4096);
    let url = Proxy::parse("socks5://p").unwrap();
    let stream = Tunneled::new(stream, &url, "h", 80).unwrap();
    let config = ClientConfig::default();
    assert_eq!(stream.peer_addr(), PeerAddr::Unknown);
    let mut socket: Socket<(), _> = Socket::client(stream, request("h"), &config).unwrap();
    let (tell, _told) = mpsc::channel();
    let mut caller = Caller(tell);
    socket.flush(&mut caller).unwrap();
    assert_eq!(hear(&mut proxy), b"\x05\x01\0");
    say(&mut proxy, b"\x05\0");
    socket.flush(&mut caller).unwrap();
    say(&mut proxy, b"\x05\x02");
    let error = socket.flush(&mut caller).unwrap_err();
    let OpenError::Proxy(TunnelError::Socks(SocksReply::NotAllowed)) = error else {
        panic!("{error}");
    };
}
