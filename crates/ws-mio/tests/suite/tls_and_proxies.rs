//! TLS through proxies, on both sides.
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use ws_mio::{
    Agreed, ClientRequest, ClientTls, CloseCode, Commands, Connect, Handler, Message, NoListener,
    OpenError, Peer, PeerAddr, Proxy, ProxyProtocol, Server, ServerTls, Tls, TlsListener,
    TrustedProxies, Tunneled, Uri,
};
use ws_testkit::certificates::Ca;

use crate::common::{config, head};

/// Tells a client where it is.
struct WhoIs;

impl Handler for WhoIs {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        let address = peer.address().to_string();
        peer.send_text(&address);
    }

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}
}

/// Tells a test what it is told.
struct Caller(Sender<String>);

impl Handler for Caller {
    type Data = ();

    fn on_connected(&mut self, peer: &mut Peer<'_, ()>, _: &Agreed) {
        assert_eq!(peer.address(), PeerAddr::Unknown);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let _ = self.0.send(format!("{message:?}"));
        peer.close(CloseCode::NORMAL, "");
    }

    fn on_connect_failed(&mut self, (): (), error: OpenError, _: &mut Commands<()>) {
        let _ = self.0.send(error.to_string());
    }
}

/// A proxy on both sides: it takes CONNECT from clients, and tells the server
/// where they are.
fn proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            assert!(head(&mut client).starts_with(b"CONNECT secret.test:443 HTTP/1.1\r\n"));
            let mut server = TcpStream::connect(server).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            server
                .write_all(b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n")
                .unwrap();
            let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || hand_on(back, forth));
            thread::spawn(move || hand_on(client, server));
        }
    });
    address
}

/// In pieces that fit to nothing.
fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 7];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn tls_goes_through_proxies_of_both_sides() {
    let ca = Ca::new("ours");
    let identity = ca.issue("secret.test");
    let tls = ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap();
    let listener = mio::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = proxy(listener.local_addr().unwrap());
    let listener = ProxyProtocol::new(listener, TrustedProxies::new().loopback());
    let server = Server::with_listener(TlsListener::new(listener, &tls), config()).unwrap();
    let server_remote = server.remote();
    let serving = thread::spawn(move || server.run(WhoIs).unwrap());

    let (tell, told) = mpsc::channel();
    let listener: NoListener<Tls<Tunneled<mio::net::TcpStream>>> = NoListener::new();
    let client = Server::with_listener(listener, config()).unwrap();
    let client_remote = client.remote();
    let calling = thread::spawn(move || client.run(Caller(tell)).unwrap());

    let connect = |tls: Option<&ClientTls>| {
        let uri = Uri::parse("wss://secret.test/").unwrap();
        let proxy: Proxy = format!("http://{proxy}").parse().unwrap();
        let connect = Connect::new(ClientRequest::new(uri), ()).proxy(proxy);
        let connect = match tls {
            Some(tls) => connect.tls(tls),
            None => connect,
        };
        crate::common::connect_by_name(&client_remote, connect);
        told.recv_timeout(Duration::from_secs(30)).unwrap()
    };
    let trusting = ClientTls::with_ca(ca.pem().as_bytes()).unwrap();
    assert_eq!(connect(Some(&trusting)), "Text(\"192.0.2.7:56324\")");
    let other = ClientTls::with_ca(Ca::new("another").pem().as_bytes()).unwrap();
    assert!(connect(Some(&other)).starts_with("no TLS connection: "));
    // Not even the proxy is asked.
    assert!(connect(None).starts_with("a wss URI on a transport without TLS"));

    client_remote.stop().unwrap();
    calling.join().unwrap();
    server_remote.stop().unwrap();
    serving.join().unwrap();
}
