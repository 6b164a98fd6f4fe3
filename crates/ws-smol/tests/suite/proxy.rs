//! Proxies on both sides, over loopback TCP.

use std::{future::Future, net::SocketAddr, time::Duration};

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Connector, ControlledNetwork, Error, HandshakeError,
    Masking, MaybeTls, Message, OriginPolicy, PeerAddr, Proxy, ProxyHeaderError, ProxyProtocol,
    SocksReply, Timeout, TrustedProxies, TunnelError, Uri, WebSocket,
};

use crate::support::{config, pipe, put, run};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn request(url: &str) -> ClientRequest {
    ClientRequest::new(Uri::parse(url).unwrap())
}

/// Serves one connection as an HTTP proxy that leads everybody to `server`;
/// returns what it was asked.
async fn http_proxy(listener: TcpListener, server: SocketAddr) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let answer = if head.contains("Proxy-Authorization: Basic YWxpY2U6c2VjcmV0") {
        "HTTP/1.1 200 OK\r\n\r\n"
    } else {
        "HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
    };
    client.write_all(answer.as_bytes()).await.unwrap();
    if answer.contains("200") {
        relay(client, TcpStream::connect(server).await.unwrap()).await;
    }
    head
}

/// The same as a SOCKS5 proxy.
async fn socks_proxy(listener: TcpListener, server: SocketAddr, reply: u8) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    if methods.contains(&2) {
        client.write_all(&[5, 2]).await.unwrap();
        let mut credentials = [0; 3 + 5 + 6];
        client.read_exact(&mut credentials).await.unwrap();
        assert_eq!(&credentials, b"\x01\x05alice\x06secret");
        client.write_all(&[1, 0]).await.unwrap();
    } else {
        client.write_all(&[5, 0]).await.unwrap();
    }
    let mut head = [0; 5];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3]);
    let mut name = vec![0; head[4].into()];
    client.read_exact(&mut name).await.unwrap();
    client.read_exact(&mut [0; 2]).await.unwrap();
    let answer = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
    client.write_all(&answer).await.unwrap();
    if reply == 0 {
        relay(client, TcpStream::connect(server).await.unwrap()).await;
    }
    String::from_utf8(name).unwrap()
}

async fn relay(one: TcpStream, other: TcpStream) {
    let there = async {
        let _ = smol::io::copy(one.clone(), other.clone()).await;
        let _ = other.shutdown(std::net::Shutdown::Write);
    };
    let back = async {
        let _ = smol::io::copy(other.clone(), one.clone()).await;
        let _ = one.shutdown(std::net::Shutdown::Write);
    };
    zip(there, back).await;
}

async fn echo_one(listener: &TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut websocket = ws_smol::accept(stream).await.unwrap();
    while let Some(message) = websocket.receive().await.unwrap() {
        websocket.send(&message).await.unwrap();
    }
}

async fn talk_and_close(mut websocket: WebSocket<MaybeTls<TcpStream>>) {
    let message = Message::Binary(vec![7; 100_000]);
    websocket.send(&message).await.unwrap();
    assert_eq!(websocket.receive().await.unwrap(), Some(message));
    websocket.close(CloseCode::NORMAL, "").await.unwrap();
}

/// Connects through a proxy at an address to `ws://nowhere.example`, a name
/// that nobody but the proxy can resolve.
async fn go_through(proxy: &str) -> Result<WebSocket<MaybeTls<TcpStream>>, Error> {
    let connector = Connector::new()
        .set_mask_to_zero(ControlledNetwork::new().loopback())
        .proxy(Proxy::parse(proxy).unwrap());
    connector.connect(request("ws://nowhere.example/")).await
}

#[test]
fn client_goes_through_an_http_proxy_with_its_password() {
    run(async {
        let (server, address) = listen().await;
        let (proxy, at) = listen().await;
        let client = async {
            let websocket = go_through(&format!("http://alice:secret@{at}"))
                .await
                .unwrap();
            // The proxy is on this machine, but who knows where the server is.
            let Masking::Client(masking) = websocket.masking() else {
                panic!("not a client");
            };
            assert!(!masking.set_mask_to_zero());
            talk_and_close(websocket).await;
        };
        let proxy = http_proxy(proxy, address);
        let (((), head), ()) = zip(zip(client, proxy), echo_one(&server)).await;
        assert!(
            head.starts_with("CONNECT nowhere.example:80 HTTP/1.1\r\n"),
            "{head}"
        );
    });
}

#[test]
fn http_proxy_that_wants_a_password_is_a_refusal() {
    run(async {
        let (proxy, at) = listen().await;
        let url = format!("http://{at}");
        let (outcome, _) = zip(go_through(&url), http_proxy(proxy, at)).await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Proxy(TunnelError::Refused(ref response)) if response.status == 407
            ),
            "{error:?}"
        );
        assert!(!error.is_temporary());
    });
}

#[test]
fn client_goes_through_a_socks_proxy_with_and_without_a_password() {
    run(async {
        for user in ["", "alice:secret@"] {
            let (server, address) = listen().await;
            let (proxy, at) = listen().await;
            let client = async {
                let websocket = go_through(&format!("socks5://{user}{at}")).await.unwrap();
                talk_and_close(websocket).await;
            };
            let proxy = socks_proxy(proxy, address, 0);
            let (((), name), ()) = zip(zip(client, proxy), echo_one(&server)).await;
            assert_eq!(name, "nowhere.example");
        }
    });
}

#[test]
fn socks_proxy_says_why_it_does_not_connect() {
    run(async {
        for (reply, is_temporary) in [(5, true), (2, false)] {
            let (proxy, at) = listen().await;
            let url = format!("socks5h://{at}");
            let (outcome, _) = zip(go_through(&url), socks_proxy(proxy, at, reply)).await;
            let error = outcome.unwrap_err();
            let Error::Proxy(TunnelError::Socks(cause)) = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*cause == SocksReply::ConnectionRefused, reply == 5);
            assert_eq!(error.is_temporary(), is_temporary);
        }
    });
}

#[test]
fn proxy_that_cannot_be_reached_is_named_as_such() {
    run(async {
        let (listener, at) = listen().await;
        drop(listener);
        let error = go_through(&format!("http://{at}")).await.unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
        assert!(error.to_string().contains("on the way to the proxy"));
        assert!(error.is_temporary());
    });
}

#[test]
fn proxy_that_is_gone_or_silent_fails_the_client() {
    run(async {
        let (proxy, at) = listen().await;
        let url = format!("http://{at}");
        let gone = async { drop(proxy.accept().await.unwrap()) };
        let (outcome, ()) = zip(go_through(&url), gone).await;
        assert!(matches!(
            outcome,
            Err(Error::Proxy(TunnelError::Lost) | Error::Io(_))
        ));

        let connector = Connector::new()
            .connect_timeout(Duration::from_millis(20))
            .proxy(Proxy::parse(&url).unwrap());
        let outcome = connector.connect(request("ws://a.example/")).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Connect))));
    });
}

#[test]
fn what_the_server_says_with_the_proxys_last_word_is_kept() {
    let hasty = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    run(async {
        for (url, answer) in [
            ("http://p", &b"HTTP/1.1 200 OK\r\nVia: p\r\n\r\n"[..]),
            ("socks5://p", b"\x05\0\x05\0\0\x01\x7f\0\0\x01\0\x50"),
        ] {
            let (near, mut far) = pipe(1000);
            let proxy = Proxy::parse(url).unwrap();
            let request = ClientRequest::new(Uri::parse("ws://a.example/").unwrap());
            let client = async {
                let stream = ws_smol::tunnel(near, &proxy, "a.example", 80).await?;
                ws_smol::client_on(stream, request).await
            };
            let answer = async {
                let (first, rest) = answer.split_at(2);
                far.read_exact(&mut [0; 3]).await.unwrap();
                put(&mut far, first).await;
                put(&mut far, &[rest, hasty].concat()).await;
            };
            let (outcome, ()) = zip(client, answer).await;
            let Err(Error::Refused(response)) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(response.status, 400);
        }
    });
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n";

/// A header of version 2 by which a proxy speaks for itself.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// How a header of version 2 starts for a client over a Unix-domain socket.
const V2_UNIX_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8";

/// Headers that name no client.
const UNNAMED: [&[u8]; 4] = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 1 2\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x10\0\x01\xbb",
];

/// A header of version 2 for a client at a loopback address.
const V2_LOOPBACK: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x10\0\x01\xbb";

fn proxies() -> ProxyProtocol {
    let trusted = TrustedProxies::new()
        .loopback()
        .network("10.0.0.0/8".parse().unwrap());
    ProxyProtocol::new(trusted)
}

fn address(text: &str) -> PeerAddr {
    text.parse::<SocketAddr>().unwrap().into()
}

/// Accepts a connection that begins with a header; returns whom it was from.
async fn accept(header: &[u8], peer: PeerAddr) -> Result<PeerAddr, Error> {
    let (mut near, far) = pipe(1000);
    put(&mut near, header).await;
    put(&mut near, REQUEST).await;
    let (stream, client) = proxies().receive(far, peer).await?;
    let mut seen = None;
    let mut config = config();
    config.close_timeout = Duration::from_millis(5);
    let acceptor = Acceptor::new(OriginPolicy::Any).config(config);
    let websocket = acceptor.accept_with(stream, client, async |_, peer| {
        seen = Some(*peer);
        ws_smol::Decision::accept()
    });
    drop(websocket.await?);
    Ok(seen.unwrap())
}

#[test]
fn trusted_proxy_names_its_client() {
    run(async {
        let client = address("192.0.2.7:56324");
        for proxy in [
            address("10.1.2.3:4"),
            address("127.0.0.1:4"),
            PeerAddr::Local,
        ] {
            assert_eq!(accept(V1, proxy).await.unwrap(), client);
            // It speaks for itself.
            assert_eq!(accept(V2_LOCAL, proxy).await.unwrap(), proxy);
        }
    });
}

#[test]
fn client_that_a_proxy_does_not_name_is_unknown_and_gets_no_flag() {
    //= MSWS-1.6-3
    let acceptor =
        Acceptor::new(OriginPolicy::Any).accept_unmasked_frame(ControlledNetwork::new().loopback());
    run(async {
        for (header, is_named) in UNNAMED
            .iter()
            .map(|header| (header.to_vec(), false))
            .chain([
                ([V2_UNIX_START, &[0; 216]].concat(), false),
                (V2_LOCAL.to_vec(), true),
            ])
        {
            for proxy in [address("127.0.0.1:4"), PeerAddr::Local] {
                let (mut near, far) = pipe(1000);
                put(&mut near, &header).await;
                put(&mut near, REQUEST).await;
                let (stream, client) = proxies().receive(far, proxy).await.unwrap();
                let expected = if is_named { proxy } else { PeerAddr::Unknown };
                assert_eq!(client, expected, "{}", header.escape_ascii());
                let websocket = acceptor.accept(stream, client).await.unwrap();
                let Masking::Server(masking) = websocket.masking() else {
                    panic!("not a server");
                };
                assert_eq!(masking.accept_unmasked_frame(), is_named);
            }
        }
    });
}

#[test]
fn loopback_of_another_machine_is_not_ours() {
    //= MSWS-1.6-3
    run(async {
        let far = address("10.1.2.3:4");
        assert_eq!(accept(V2_LOOPBACK, far).await.unwrap(), far);
        let client = address("127.0.0.1:4096");
        assert_eq!(accept(V2_LOOPBACK, PeerAddr::Local).await.unwrap(), client);
    });
}

#[test]
fn nobody_else_can_forge_an_address() {
    run(async {
        for peer in [address("192.0.2.1:4"), PeerAddr::Unknown] {
            assert_eq!(accept(b"", peer).await.unwrap(), peer);
            assert!(matches!(
                accept(V1, peer).await,
                Err(Error::Handshake(HandshakeError::BadRequestLine { .. }))
            ));
        }
    });
}

#[test]
fn trusted_proxy_must_send_a_header_and_soon() {
    run(async {
        let outcome = accept(b"", PeerAddr::Local).await;
        assert!(matches!(
            outcome,
            Err(Error::ProxyHeader(ProxyHeaderError::NoHeader))
        ));
        for end in 0..V1.len() {
            let (mut near, far) = pipe(1000);
            put(&mut near, &V1[..end]).await;
            drop(near);
            let outcome = proxies().receive(far, PeerAddr::Local).await;
            assert!(matches!(
                outcome,
                Err(Error::ProxyHeader(ProxyHeaderError::Lost))
            ));
        }
        let (_near, far) = pipe(1000);
        let proxies = proxies().timeout(Duration::from_millis(5));
        let outcome = proxies.receive(far, PeerAddr::Local).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::ProxyHeader))));
    });
}

#[test]
fn header_and_request_come_byte_by_byte() {
    run(async {
        let (mut near, far) = pipe(1);
        let send = async {
            near.write_all(V1).await.unwrap();
            near.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 12];
            near.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 101");
            let mut rest = Vec::new();
            near.read_to_end(&mut rest).await.unwrap();
        };
        let receive = async {
            let (stream, client) = proxies().receive(far, PeerAddr::Local).await.unwrap();
            let acceptor = Acceptor::new(OriginPolicy::Any);
            drop(acceptor.accept(stream, client).await.unwrap());
        };
        zip(send, receive).await;
    });
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn is_send(_: impl Future + Send) {}
    let (near, _far) = pipe(1);
    is_send(proxies().receive(near, PeerAddr::Local));
    is_send(go_through("socks5://a.example"));
}

#[cfg(feature = "tls")]
mod over_tls {
    use ws_smol::{ClientTls, ServerTls};
    use ws_testkit::certificates::Ca;

    use super::*;

    #[test]
    fn tls_goes_through_both_kinds_of_proxy() {
        run(async {
            let ca = Ca::new("ours");
            let identity = ca.issue("nowhere.example");
            let tls = ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes());
            let acceptor = Acceptor::new(OriginPolicy::SameHost).tls(tls.unwrap());
            let (server, address) = listen().await;
            let (proxy, at) = listen().await;
            let client = async {
                let connector = Connector::new()
                    .tls(ClientTls::with_ca(ca.pem().as_bytes()).unwrap())
                    .proxy(Proxy::parse(&format!("http://alice:secret@{at}")).unwrap());
                let request = request("wss://nowhere.example/");
                talk_and_close(connector.connect(request).await.unwrap()).await;
            };
            // The server is behind a proxy, too, which tells whom it is for.
            let (inner, inner_address) = listen().await;
            let front = async {
                let (client, _) = server.accept().await.unwrap();
                let mut server = TcpStream::connect(inner_address).await.unwrap();
                server.write_all(V1).await.unwrap();
                relay(client, server).await;
            };
            let server = async {
                let (stream, peer) = inner.accept().await.unwrap();
                let (stream, client) = proxies().receive(stream, peer).await.unwrap();
                assert_eq!(client.ip(), Some([192, 0, 2, 7].into()));
                let mut websocket = acceptor.accept(stream, client).await.unwrap();
                while let Some(message) = websocket.receive().await.unwrap() {
                    websocket.send(&message).await.unwrap();
                }
            };
            let ends = zip(http_proxy(proxy, address), front);
            let (((), ()), (head, ())) = zip(zip(client, server), ends).await;
            assert!(head.starts_with("CONNECT nowhere.example:443 "), "{head}");
        });
    }
}
