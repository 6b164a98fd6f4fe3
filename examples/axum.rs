//! WebSockets in axum, with compression, an origin policy, and a shutdown that reaches them; over
//! HTTP/1.1 and HTTP/2.
//!
//! ```sh
//! cargo run -p examples --bin axum -- --listen 127.0.0.1:9001
//! ```

use std::{
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use tokio::{net::TcpListener, runtime, select, sync::Notify};
use ws_hyper::{Acceptor, Stream, Tokio, WebSocket, WebSocketUpgrade};
use ws_smol::{CloseCode, DeflatePolicy, Gate, OriginPolicy, Pass};

const HELP: &str = "\
Serves WebSockets in axum: an echo at /echo, and how many were opened at /.

  --listen ADDRESS    where to listen (default 127.0.0.1:9001)
";

/// The application's state: what is decided about WebSockets is a part of it.
#[derive(Clone)]
struct App {
    acceptor: Arc<Acceptor>,
    gate: Gate,
    opened: Arc<AtomicUsize>,
}

impl FromRef<App> for Arc<Acceptor> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.acceptor)
    }
}

fn main() -> ExitCode {
    let run = || {
        let address = examples::listen_address(HELP)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(serve(&address))
    };
    examples::finish(run())
}

async fn serve(address: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let gate = Gate::new(10_000, usize::MAX).timer(Tokio);
    let acceptor = Acceptor::new(OriginPolicy::SameHost)
        .deflate(DeflatePolicy::new())
        .gate(&gate);
    let app = App {
        acceptor: Arc::new(acceptor),
        gate: gate.clone(),
        opened: Arc::default(),
    };
    let router = Router::new()
        .route("/", get(count))
        // Over HTTP/2 a WebSocket is asked for by CONNECT.
        .route("/echo", any(echo))
        .with_state(app);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    examples::on_stop(move || stop.notify_one())?;
    let drain = gate.clone();
    // axum tells who the client is, by the connection.
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        stopped.notified().await;
        drain.drain(Duration::from_secs(2), Duration::from_secs(10));
    })
    .await?;
    // axum has answered its requests; the WebSockets are the gate's.
    let are_gone = gate.gone().await;
    println!("all WebSockets are gone: {are_gone}");
    Ok(())
}

async fn count(State(app): State<App>) -> String {
    format!(
        "{} WebSockets were opened\n",
        app.opened.load(Ordering::Relaxed)
    )
}

async fn echo(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    match app.gate.admit(upgrade.peer()) {
        Ok(pass) => upgrade.on_upgrade(move |websocket| {
            app.opened.fetch_add(1, Ordering::Relaxed);
            talk(websocket, pass)
        }),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Echoes until the client closes, or the server ends.
async fn talk(mut websocket: WebSocket<Stream>, pass: Pass) -> Result<(), ws_smol::Error> {
    loop {
        select! {
            message = websocket.receive() => match message? {
                Some(message) => websocket.send(&message).await?,
                None => return Ok(()),
            },
            () = pass.drained() => return websocket.close(CloseCode::GOING_AWAY, "").await,
        }
    }
}
