//! axum for HTTP, `ws-mio` for the WebSockets: axum's routes and state around a chat whose sockets
//! live in loops on mio.
//!
//! ```sh
//! cargo run -p examples --bin axum_mio -- --listen 127.0.0.1:9001
//! ```

use std::{
    error::Error, io, net::SocketAddr, process::ExitCode, sync::Arc, thread, time::Duration,
};

use axum::{
    Router,
    extract::{FromRef, Path, State},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use lexopt::{Arg, Parser};
use tokio::{net::TcpListener, runtime, sync::Notify, task};
use ws_hyper::{Acceptor, HandOverError, Upgrade, WebSocketUpgrade};
use ws_mio::{
    AsMessage as _, Config, Drain, Handler, Message, OriginPolicy, Peer, Prepared, Remote, Server,
};
use ws_smol::{DeflatePolicy, OriginPolicy as Origins};

const HELP: &str = "\
Serves rooms in axum whose WebSockets are in loops of ws-mio: /rooms/NAME is a room, POST /rooms/NAME says something
in it, /echo is an echo, and / tells how many WebSockets are open.

  --listen ADDRESS    where to listen (default 127.0.0.1:9001)
  --threads N         loops for WebSockets (default 1)
";

/// The application's state.
#[derive(Clone)]
struct App {
    acceptor: Arc<Acceptor>,
    sockets: Remote<Rooms>,
}

impl FromRef<App> for Arc<Acceptor> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.acceptor)
    }
}

/// Serves the WebSockets of one loop: what is said in a room goes to all that are in it, in
/// whichever loop.
struct Rooms;

impl Handler for Rooms {
    /// The room's name; none is an echo.
    type Data = Option<Arc<str>>;

    fn on_open(&mut self, peer: &mut Peer<'_, Self::Data>) {
        if let Some(room) = peer.data().clone() {
            peer.subscribe(room);
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
        match peer.data().clone() {
            Some(room) => peer.publish_to_all(room, &Prepared::new(message)),
            None => drop(peer.send(message)),
        }
    }
}

struct Options {
    address: String,
    threads: usize,
}

fn main() -> ExitCode {
    let run = || {
        let options = options()?;
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(serve(&options))
    };
    examples::finish(run())
}

fn options() -> Result<Options, lexopt::Error> {
    let (mut address, mut threads) = ("127.0.0.1:9001".to_owned(), 1);
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("listen") => address = examples::value(&mut arguments, "--listen")?,
            Arg::Long("threads") => threads = examples::value(&mut arguments, "--threads")?,
            other => return Err(examples::unexpected(other, HELP)),
        }
    }
    Ok(Options { address, threads })
}

async fn serve(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    // The acceptor judges requests, so the loops have nothing to ask of an origin.
    let mut config = Config::new(OriginPolicy::Any);
    config.threads = options.threads;
    let (sockets, loops) = start(config)?;
    let acceptor = Acceptor::new(Origins::SameHost).deflate(DeflatePolicy::new());
    let app = App {
        acceptor: Arc::new(acceptor),
        sockets: sockets.clone(),
    };
    let router = Router::new()
        .route("/", get(count))
        .route("/echo", any(echo))
        .route("/rooms/{name}", any(room).post(say))
        .with_state(app);
    let listener = TcpListener::bind(&options.address).await?;
    println!("listening on ws://{}", listener.local_addr()?);

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    examples::on_stop(move || stop.notify_one())?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move { stopped.notified().await })
        .await?;
    // axum has answered its requests; the WebSockets are told now, and each says what it has begun
    // to say.
    sockets.drain(&Drain::new(Duration::ZERO, Duration::from_secs(10)))?;
    let ended = task::spawn_blocking(|| loops.join()).await?;
    ended.map_err(|_| io::Error::other("a loop has panicked"))??;
    println!("all WebSockets are gone");
    Ok(())
}

/// Starts the loops on threads of their own. They accept nothing.
fn start(config: Config) -> io::Result<(Remote<Rooms>, thread::JoinHandle<io::Result<()>>)> {
    let server: Server<Rooms> = Server::without_listener(config)?;
    let remote = server.remote();
    let run = move || server.run_with(|_| Rooms);
    let loops = thread::Builder::new()
        .name("sockets".to_owned())
        .spawn(run)?;
    Ok((remote, loops))
}

async fn count(State(app): State<App>) -> String {
    format!("{} WebSockets are open\n", app.sockets.metrics().open())
}

/// Says something in a room from outside, as a webhook does.
async fn say(State(app): State<App>, Path(name): Path<String>, body: String) -> String {
    let is_told = app
        .sockets
        .publish(name.as_str(), &Prepared::new(body.as_message()));
    match is_told {
        Ok(()) => format!("{} are told\n", app.sockets.subscriber_count(&name)),
        Err(error) => format!("{error}\n"),
    }
}

/// Lets a WebSocket into a room.
async fn room(
    State(app): State<App>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    accept(upgrade, Some(name.into()), app.sockets)
}

async fn echo(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    accept(upgrade, None, app.sockets)
}

/// Answers a request, and hands its WebSocket over once the answer was sent.
fn accept(upgrade: WebSocketUpgrade, room: Option<Arc<str>>, sockets: Remote<Rooms>) -> Response {
    match upgrade.upgrade() {
        Ok((reply, upgrade)) => {
            tokio::spawn(async move {
                if let Err(error) = hand_over(upgrade, room, &sockets).await {
                    eprintln!("not handed over: {error}");
                }
            });
            reply
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// Takes a WebSocket out of axum once the reply was sent, and to the loop that has the fewest.
async fn hand_over(
    upgrade: Upgrade,
    room: Option<Arc<str>>,
    sockets: &Remote<Rooms>,
) -> Result<(), HandOverError> {
    let handover = upgrade.hand_over(room).await?;
    let told = sockets.adopt(handover, |adopted| {
        if let Err(refused) = adopted {
            eprintln!("{refused}");
            refused.turn_away();
        }
    });
    told.map_err(|error| HandOverError::Open(error.into()))
}
