//! Sockets that leave hyper for loops of ws-mio.

use std::{io, sync::Arc, thread};

use axum::{Router, extract::State, routing::any};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use ws_hyper::{Acceptor, HandOverError, PlainSocket, Upgrade, WebSocketUpgrade};
use ws_mio::{Handler, Handover, Message, NoListener, Peer, Remote};
use ws_smol::{ControlledNetwork, OriginPolicy};

use crate::support::{acceptor, over_http2, request, run};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

/// Says what came, with the data of the connection.
struct Echo;

impl Handler for Echo {
    type Data = String;

    fn on_message(&mut self, peer: &mut Peer<'_, String>, message: Message<'_>) {
        let said = format!("{}: {}", peer.data(), message.as_bytes().escape_ascii());
        peer.send_text(&said);
    }
}

/// A loop on a thread of its own, stopped at the end of the test.
struct Loop<T: PlainSocket> {
    remote: Remote<Echo, T>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl<T: PlainSocket + Send + 'static> Loop<T> {
    fn start() -> Self {
        let mut config = ws_mio::Config::new(OriginPolicy::Any);
        config.accept_unmasked_frame = ControlledNetwork::new().loopback();
        let server = ws_mio::Server::with_listener(NoListener::<T>::new(), config).unwrap();
        let remote = server.remote();
        let thread = Some(thread::spawn(move || server.run(Echo)));
        Self { remote, thread }
    }
}

impl<T: PlainSocket> Drop for Loop<T> {
    fn drop(&mut self) {
        self.remote.stop().unwrap();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Hands a WebSocket over to a loop.
async fn adopt<T>(upgrade: Upgrade, remote: Remote<Echo, T>)
where
    T: PlainSocket + Send + 'static,
    TokioIo<T::OfTokio>: hyper::rt::Read + hyper::rt::Write,
{
    let name = upgrade.subprotocol().unwrap_or("nobody").to_owned();
    let handover: Handover<T, String> = upgrade.hand_over(name).await.unwrap();
    let told = remote.adopt(handover, |adopted| assert!(adopted.is_ok()));
    told.unwrap();
}

/// Asks with a frame in the same write, and talks.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, name: &str, headers: &str) {
    let mut bytes = format!("{REQUEST}{headers}\r\n").into_bytes();
    bytes.extend_from_slice(b"\x81\x82\0\0\0\0Hi");
    stream.write_all(&bytes).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        head.escape_ascii()
    );
    let expected = format!("{name}: Hi");
    for _ in 0..3 {
        let mut answer = vec![0; 2 + expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[2..], *expected.as_bytes());
        stream.write_all(b"\x81\x82\0\0\0\0Hi").await.unwrap();
    }
}

#[test]
fn plain_socket_goes_from_hyper_to_a_loop_with_what_was_read_too_far() {
    run(async {
        let sockets: Loop<mio::net::TcpStream> = Loop::start();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let remote = sockets.remote.clone();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |mut request: Request<Incoming>| {
                let acceptor = acceptor().subprotocols(["chat"]);
                let (reply, upgrade) = ws_hyper::upgrade(&mut request, &acceptor).unwrap();
                tokio::spawn(adopt(upgrade, remote.clone()));
                async move { Ok::<_, io::Error>(reply.map(|()| String::new())) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            let served = builder.serve_connection(TokioIo::new(stream), service);
            served.with_upgrades().await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        talk(stream, "chat", "Sec-WebSocket-Protocol: chat\r\n").await;
        assert_eq!(sockets.remote.metrics().adopted, 1);
    });
}

type App = (Arc<Acceptor>, Remote<Echo, mio::net::UnixStream>);

#[derive(Clone)]
struct Both(App);

impl axum::extract::FromRef<Both> for Arc<Acceptor> {
    fn from_ref(both: &Both) -> Self {
        Self::clone(&both.0.0)
    }
}

#[test]
fn unix_domain_socket_goes_from_axum_to_a_loop() {
    async fn chat(
        State(Both((_, remote))): State<Both>,
        upgrade: WebSocketUpgrade,
    ) -> axum::response::Response {
        let (reply, upgrade) = upgrade.upgrade().unwrap();
        tokio::spawn(adopt(upgrade, remote));
        reply
    }
    run(async {
        let sockets: Loop<mio::net::UnixStream> = Loop::start();
        let path = std::env::temp_dir().join(format!("ws-hyper-{}.socket", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let both = Both((Arc::new(acceptor()), sockets.remote.clone()));
        let router = Router::new().route("/chat", any(chat)).with_state(both);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let stream = UnixStream::connect(&path).await.unwrap();
        talk(stream, "nobody", "").await;
        std::fs::remove_file(&path).unwrap();
    });
}

/// Serves one request over a stream by `hand_over` for TCP; what becomes of it.
async fn refused<S>(stream: S, is_http2: bool) -> HandOverError
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let acceptor = acceptor();
        let upgraded = ws_hyper::upgrade(&mut request, &acceptor);
        let (reply, upgrade): (Response<()>, Upgrade) = upgraded.unwrap();
        let tell = tell.clone();
        tokio::spawn(async move {
            let handed_over = upgrade.hand_over::<mio::net::TcpStream, ()>(()).await;
            tell.send(handed_over.map(drop)).unwrap();
        });
        async move { Ok::<_, io::Error>(reply.map(|()| String::new())) }
    });
    tokio::spawn(async move {
        let io = TokioIo::new(stream);
        match is_http2 {
            true => {
                let executor = hyper_util::rt::TokioExecutor::new();
                hyper::server::conn::http2::Builder::new(executor)
                    .enable_connect_protocol()
                    .serve_connection(io, service)
                    .await
            }
            false => {
                let builder = hyper::server::conn::http1::Builder::new();
                builder.serve_connection(io, service).with_upgrades().await
            }
        }
    });
    told.recv().await.unwrap().unwrap_err()
}

#[test]
fn what_is_no_plain_socket_stays_an_open_websocket() {
    run(async {
        let (mut near, far) = tokio::io::duplex(4096);
        near.write_all(format!("{REQUEST}\r\n").as_bytes())
            .await
            .unwrap();
        near.write_all(b"\x81\x82\0\0\0\0Hi").await.unwrap();
        let HandOverError::NotPlain(mut websocket) = refused(far, false).await else {
            panic!("it was handed over")
        };
        assert_eq!(websocket.receive().await.unwrap(), Some("Hi".into()));

        let (near, far) = tokio::io::duplex(4096);
        let connect = async {
            use tokio_util::compat::TokioAsyncReadCompatExt as _;
            let config = ws_h2::Config::default();
            let (client, connection) = ws_h2::Client::handshake(near.compat(), &config)
                .await
                .unwrap();
            tokio::spawn(connection);
            over_http2(&client, request()).await.unwrap()
        };
        let (mut near, refused) = tokio::join!(connect, refused(far, true));
        let HandOverError::NotPlain(mut websocket) = refused else {
            panic!("it was handed over")
        };
        near.send("Hello").await.unwrap();
        assert_eq!(websocket.receive().await.unwrap(), Some("Hello".into()));
    });
}

#[test]
fn connection_that_hyper_does_not_give_out_is_an_error() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        let mut near = near;
        near.write_all(format!("{REQUEST}\r\n").as_bytes())
            .await
            .unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (reply, upgrade) = ws_hyper::upgrade(&mut request, &acceptor()).unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                let handed_over = upgrade.hand_over::<mio::net::TcpStream, ()>(()).await;
                tell.send(handed_over.map(drop)).unwrap();
            });
            async move { Ok::<_, io::Error>(reply.map(|()| String::new())) }
        });
        // Without `with_upgrades`.
        let builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.serve_connection(TokioIo::new(far), service));
        let error = told.recv().await.unwrap().unwrap_err();
        assert!(
            matches!(error, HandOverError::Open(ws_smol::Error::Io(_))),
            "{error:?}"
        );
    });
}
