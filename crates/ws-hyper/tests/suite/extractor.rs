//! The extractor for axum.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use ws_hyper::{Acceptor, Decision, Rejection, Stream, WebSocket, WebSocketUpgrade};
use ws_smol::{ClientRequest, CloseCode, Connector, Error, Gate, Message, OriginPolicy, Pass, Uri};

use crate::support::run;

#[derive(Clone)]
struct App {
    acceptor: Arc<Acceptor>,
    gate: Gate,
}

impl FromRef<App> for Arc<Acceptor> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.acceptor)
    }
}

async fn chat(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    assert!(upgrade.peer().ip().is_some_and(|ip| ip.is_loopback()));
    let decision = match upgrade.handshake().unwrap().query_value("room") {
        None => Decision::accept(),
        Some(room) => Decision::accept().header("x-room", room.as_bytes()),
    };
    match app.gate.admit(upgrade.peer()) {
        Ok(pass) => upgrade
            .decide(decision)
            .on_upgrade(|websocket| talk(websocket, pass)),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Echoes, until the server ends.
async fn talk(mut websocket: WebSocket<Stream>, pass: Pass) -> Result<(), Error> {
    loop {
        tokio::select! {
            biased;
            message = websocket.receive() => match message? {
                Some(message) => websocket.send(&message).await?,
                None => return Ok(()),
            },
            () = pass.drained() => {
                return websocket.close(CloseCode::GOING_AWAY, "").await;
            }
        }
    }
}

/// Answers requests that are none with a page.
async fn either(upgrade: Result<WebSocketUpgrade, Rejection>) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(async |mut websocket: WebSocket<Stream>| {
            websocket.close(CloseCode::NORMAL, "").await
        }),
        Err(_) => "a page".into_response(),
    }
}

/// A server of axum, and how it is told to end.
async fn serve() -> (
    SocketAddr,
    Gate,
    tokio::task::JoinHandle<()>,
    tokio::sync::oneshot::Sender<()>,
) {
    let gate = Gate::new(2_000, usize::MAX);
    let acceptor = Acceptor::new(OriginPolicy::SameHost).gate(&gate);
    let app = App {
        acceptor: Arc::new(acceptor),
        gate: gate.clone(),
    };
    let router = Router::new()
        .route("/chat", any(chat))
        .route("/either", any(either))
        .with_state(app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let drain = gate.clone();
    let server = tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let stopped = async move {
            let _ = stopped.await;
            drain.drain(Duration::ZERO, Duration::from_secs(60));
        };
        axum::serve(listener, service)
            .with_graceful_shutdown(stopped)
            .await
            .unwrap();
    });
    (address, gate, server, stop)
}

async fn connect(
    address: SocketAddr,
    path: &str,
) -> Result<WebSocket<tokio_util::compat::Compat<TcpStream>>, Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let uri = Uri::parse(&format!("ws://{address}{path}")).unwrap();
    Connector::new()
        .handshake(stream.compat(), address, ClientRequest::new(uri))
        .await
}

#[test]
fn a_handler_of_axum_talks_over_http_1_and_over_http_2() {
    run(async {
        let (address, _gate, _server, _stop) = serve().await;
        let mut near = connect(address, "/chat?room=7").await.unwrap();
        assert_eq!(
            near.response_headers().unwrap().get("x-room"),
            Some(&b"7"[..])
        );
        near.send("Hello").await.unwrap();
        assert_eq!(near.receive().await.unwrap(), Some(Message::from("Hello")));
        near.close(CloseCode::NORMAL, "").await.unwrap();

        let stream = TcpStream::connect(address).await.unwrap();
        let config = ws_h2::Config::default();
        let (client, connection) = ws_h2::Client::handshake(stream.compat(), &config)
            .await
            .unwrap();
        tokio::spawn(connection);
        let uri = Uri::parse(&format!("ws://{address}/chat")).unwrap();
        let connector = Connector::new();
        let mut near = client
            .connect(&connector, address, ClientRequest::new(uri))
            .await
            .unwrap();
        near.send("Hello").await.unwrap();
        assert_eq!(near.receive().await.unwrap(), Some(Message::from("Hello")));
        near.close(CloseCode::NORMAL, "").await.unwrap();
    });
}

#[test]
fn a_request_that_asks_for_no_websocket_is_rejected_before_the_handler() {
    run(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (address, _gate, _server, _stop) = serve().await;
        for (path, status, body) in [
            ("/chat", "HTTP/1.1 426 ", "not_upgrade"),
            ("/either", "HTTP/1.1 200 ", "a page"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            assert!(reply.starts_with(status), "{reply}");
            assert!(reply.contains(body), "{reply}");
        }
        let mut near = connect(address, "/either").await.unwrap();
        assert_eq!(near.receive().await.unwrap(), None);
    });
}

/// How many sockets are drained, of which every tenth has a message under way; `WS_DRAINED_SOCKETS`
/// says otherwise.
fn drained_sockets() -> usize {
    let count = std::env::var("WS_DRAINED_SOCKETS");
    count.map_or(200, |count| count.parse().expect("it is a number"))
}

#[test]
fn a_drain_reaches_websockets_that_are_open_and_loses_nothing() {
    run(async {
        let (address, gate, server, stop) = serve().await;
        let mut sockets = Vec::new();
        for number in 0..drained_sockets() {
            let mut near = connect(address, "/chat").await.unwrap();
            // Some have a message under way.
            if number % 10 == 0 {
                near.send("under way").await.unwrap();
            }
            sockets.push(near);
        }
        // A Ping that is answered says that what came before it was received.
        for near in &mut sockets {
            near.ping(b"").await.unwrap();
            near.flush().await.unwrap();
        }
        stop.send(()).unwrap();
        for (number, near) in sockets.iter_mut().enumerate() {
            if number % 10 == 0 {
                let message = near.receive().await.unwrap();
                assert_eq!(message, Some(Message::from("under way")));
            }
            assert_eq!(near.receive().await.unwrap(), None);
            assert_eq!(near.close_status().unwrap().code, 1001);
        }
        assert!(gate.gone().await);
        server.await.unwrap();
        assert_eq!(gate.open(), 0);
    });
}
