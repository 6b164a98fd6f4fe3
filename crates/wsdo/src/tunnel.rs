//! `wsdo tunnel`: bytes of TCP, Unix-domain sockets and pipes, carried in
//! binary messages.

use std::{fmt, io, rc::Rc};

use ws_smol::{
    CloseCode, Config, Decision, Error, Limits, MessageKind, MessageRef, PeerAddr, ReadHalf,
    Request, Response, TimeLimits, WriteHalf,
};

use crate::{
    client::{self, Client},
    exit::{Exit, Failure},
    options::{Command, Given, Group, Opt, Value},
    runtime::{
        LocalExecutor, Unblock, future,
        io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
        net::TcpStream,
    },
    serve::announce,
    server::{self, Accepting, Listener},
    signal::Interrupts,
    transport::{Socket, Transport},
};

pub(crate) const COMMAND: Command = Command {
    name: "tunnel",
    operands: "FROM TO",
    max_operands: 2,
    verbatim_from: None,
    summary: "carry TCP in WebSocket, and the other way round",
    about: &[
        "Listens at FROM, and connects to TO for each client: one of them is a WebSocket,",
        "ws:// or wss://, and the other tcp://HOST:PORT or unix:PATH. FROM may be -, for the",
        "standard input and output. Between two of these programs, each direction ends for",
        "itself, as with TCP; with others, the end of one closes the tunnel.",
    ],
    groups: &[
        &TUNNEL,
        &server::ACCEPT,
        &client::REQUEST,
        &client::TLS,
        &client::TRANSPORT,
        &client::FRAMES,
    ],
    examples: &[
        (
            "wsdo tunnel ws://0.0.0.0:8080 tcp://127.0.0.1:22",
            "a way in, to the SSH of this machine",
        ),
        (
            "wsdo tunnel tcp://127.0.0.1:2222 ws://gateway:8080/",
            "the other end of it",
        ),
        (
            "ssh -o ProxyCommand='wsdo tunnel - wss://gateway/ssh' host",
            "without a port",
        ),
    ],
};

const TUNNEL: Group = Group {
    title: "What is carried",
    options: &[Opt {
        short: None,
        long: "once",
        value: Value::None,
        help: &["carry one connection, and end"],
    }],
};

/// How much is read at once, and is in one message.
const CHUNK: usize = 64 * 1024;

/// The subprotocol in which an empty message ends one direction.
const HALF_CLOSE: &str = "wsdo-tunnel";

/// Runs the subcommand.
pub(crate) fn run(given: &Given) -> Result<Exit, Failure> {
    let [from, to] = &given.operands[..] else {
        return Err(Failure::usage("a tunnel goes FROM somewhere TO somewhere"));
    };
    let text = |place: &std::ffi::OsStr| {
        let text = place.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure::usage(format!("{place:?} is no text")))
    };
    let (from, to) = (text(from)?, text(to)?);
    let tunnel = match (websocket_address(&from)?, is_url(&to)) {
        (Some(_), false) => Tunnel::In(Box::new(In {
            accepting: Accepting::with_config(given, config(), &[HALF_CLOSE])?,
            to: Place::parse(&to)?,
        })),
        (None, true) => {
            let mut client = Client::with_config(given, &to, config())?;
            if given.texts("subprotocol")?.is_empty() {
                let request = client.request.subprotocol(HALF_CLOSE);
                client.request = request.map_err(Error::from)?;
            }
            Tunnel::Out(Box::new(client))
        }
        _ => {
            return Err(Failure::usage(
                "one of FROM and TO is a WebSocket, and the other is not",
            ));
        }
    };
    let executor = LocalExecutor::new();
    crate::runtime::block_on(executor.run(async {
        if from == "-" {
            return tunnel.carry_standard().await;
        }
        let listener = match websocket_address(&from)? {
            Some(address) => Listener::bind(&address).await?,
            None => Place::parse(&from)?.listen().await?,
        };
        announce(&tunnel.announcement(&listener))?;
        listen(given, &listener, Rc::new(tunnel), &executor).await
    }))
}

/// Little waits: what is slow at one end is to be slow at the other.
fn config() -> Config {
    let mut config = Config::default();
    config.limits = Limits::UNLIMITED;
    config.max_backpressure = 4 * CHUNK;
    config.max_read_ahead = 4 * CHUNK;
    // Who is slow at one end may make the other wait for ever, also for Pongs.
    config.keepalive.pong_timeout = None;
    config.time_limits = TimeLimits::UNLIMITED;
    config
}

fn is_url(text: &str) -> bool {
    text.starts_with("ws://") || text.starts_with("wss://")
}

/// Returns where to listen for WebSockets.
fn websocket_address(from: &str) -> Result<Option<String>, Failure> {
    if from.starts_with("wss://") {
        return Err(Failure::usage(
            "FROM is ws://, which --tls-cert and --tls-key make wss://",
        ));
    }
    let address = from.strip_prefix("ws://");
    Ok(address.map(|address| address.trim_end_matches('/').to_owned()))
}

/// Where bytes come from or go to.
#[derive(Clone, Debug)]
enum Place {
    Tcp(String),
    Unix(String),
}

impl Place {
    fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(address) = text.strip_prefix("tcp://") {
            return Ok(Self::Tcp(address.trim_end_matches('/').to_owned()));
        }
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.to_owned())),
            None => Err(Failure::usage(format!(
                "{text:?} is no ws://, wss:// or tcp://HOST:PORT, and no unix:PATH"
            ))),
        }
    }

    async fn listen(&self) -> Result<Listener, Failure> {
        match self {
            Self::Tcp(address) => Listener::bind(address).await,
            Self::Unix(path) => Listener::bind(&format!("unix:{path}")).await,
        }
    }

    async fn connect(&self) -> io::Result<Bytes> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Bytes::tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let stream = crate::runtime::net::unix::UnixStream::connect(path).await?;
                Ok(Bytes::new(Box::new(stream), None))
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// A stream of bytes.
struct Bytes {
    read: Box<dyn AsyncRead + Unpin>,
    write: Box<dyn AsyncWrite + Unpin>,
    /// What can be reset, so that an end which is none is not taken for one.
    tcp: Option<TcpStream>,
}

impl Bytes {
    fn new(stream: Box<dyn Transport>, tcp: Option<TcpStream>) -> Self {
        let (read, write) = crate::runtime::io::split(stream);
        Self {
            read: Box::new(read),
            write: Box::new(write),
            tcp,
        }
    }

    fn tcp(stream: TcpStream) -> Self {
        Self {
            read: Box::new(stream.clone()),
            write: Box::new(stream.clone()),
            tcp: Some(stream),
        }
    }

    /// Has the other side see a failure, and not an end.
    fn reset(&self) {
        #[cfg(unix)]
        if let Some(tcp) = &self.tcp {
            let _ = rustix::net::sockopt::set_socket_linger(tcp, Some(std::time::Duration::ZERO));
        }
    }
}

/// Which way a tunnel goes.
enum Tunnel {
    /// From WebSockets.
    In(Box<In>),
    /// To a WebSocket.
    Out(Box<Client>),
}

struct In {
    accepting: Accepting,
    to: Place,
}

impl Tunnel {
    fn announcement(&self, listener: &Listener) -> String {
        match (self, listener) {
            (Self::In(tunnel), _) => format!("{}://{listener}", tunnel.accepting.scheme()),
            (Self::Out(_), Listener::Tcp(_)) => format!("tcp://{listener}"),
            (Self::Out(_), _) => listener.to_string(),
        }
    }

    /// Carries a connection that was accepted.
    async fn carry(&self, stream: server::Stream, peer: PeerAddr) -> Result<(), Failure> {
        match self {
            Self::In(tunnel) => tunnel.carry(stream, peer).await,
            Self::Out(client) => {
                let bytes = match stream {
                    server::Stream::Tcp(stream) => Bytes::tcp(stream),
                    #[cfg(unix)]
                    server::Stream::Unix(stream) => Bytes::new(Box::new(stream), None),
                };
                carry_out(client, bytes).await
            }
        }
    }

    /// Carries the standard input and output.
    async fn carry_standard(&self) -> Result<Exit, Failure> {
        let Self::Out(client) = self else {
            return Err(Failure::usage("- goes to a WebSocket"));
        };
        let bytes = Bytes {
            read: Box::new(Unblock::with_capacity(CHUNK, io::stdin())),
            write: Box::new(Unblock::with_capacity(CHUNK, io::stdout())),
            tcp: None,
        };
        carry_out(client, bytes).await?;
        Ok(Exit::Success)
    }
}

async fn carry_out(client: &Client, bytes: Bytes) -> Result<(), Failure> {
    match client.connect(None).await {
        Ok(websocket) => Ok(carry(websocket, bytes).await?),
        Err(error) => {
            bytes.reset();
            Err(Failure::connecting(client.request.uri(), &error))
        }
    }
}

impl In {
    async fn carry(&self, stream: server::Stream, peer: PeerAddr) -> Result<(), Failure> {
        let mut reached = None;
        let decide = async |request: &Request<'_>| {
            // Who asks for a page is told what this is.
            if !request.is_upgrade() {
                return Decision::accept();
            }
            match self.to.connect().await {
                Ok(bytes) => {
                    reached = Some(Ok(bytes));
                    Decision::accept()
                }
                Err(error) => {
                    reached = Some(Err(error));
                    Decision::respond(Response::new(502))
                }
            }
        };
        let accepted = self
            .accepting
            .accept(stream.boxed(), peer, None, decide)
            .await;
        match (accepted, reached) {
            (_, Some(Err(error))) => Err(Failure::new(
                Exit::Unreachable,
                format!("cannot connect to {}: {error}", self.to),
            )),
            (Ok(websocket), Some(Ok(bytes))) => Ok(carry(websocket, bytes).await?),
            (Err(error), Some(Ok(bytes))) => {
                bytes.reset();
                Err(error.into())
            }
            (Err(error), None) => Err(error.into()),
            (Ok(_), None) => Ok(()),
        }
    }
}

/// Accepts connections until the program is to end.
async fn listen(
    given: &Given,
    listener: &Listener,
    tunnel: Rc<Tunnel>,
    executor: &LocalExecutor<'_>,
) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::new()?;
    let gate = match &*tunnel {
        Tunnel::In(tunnel) => tunnel.accepting.gate.clone(),
        Tunnel::Out(_) => server::gate(given)?,
    };
    let serving = async {
        while let Some((stream, peer)) = gate.accept(|| listener.accept()).await {
            let Ok(pass) = gate.admit(peer) else {
                continue;
            };
            let tunnel = Rc::clone(&tunnel);
            let task = executor.spawn(async move {
                let outcome = tunnel.carry(stream, peer).await;
                drop(pass);
                if let Err(failure) = &outcome {
                    eprintln!("wsdo: {peer}: {failure}");
                }
                outcome
            });
            if given.has("once") {
                task.await?;
                break;
            }
            task.detach();
        }
        Ok(Exit::Success)
    };
    let interrupted = async {
        interrupts.next().await;
        Ok(Exit::Success)
    };
    future::or(serving, interrupted).await
}

/// Why a tunnel stops before both directions have ended.
enum Stop {
    /// The WebSocket is closed.
    Closed,
    /// The WebSocket failed.
    Lost(Error),
    /// The stream of bytes failed.
    Broken(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

/// Carries bytes both ways until both have ended, or the WebSocket is closed.
async fn carry(websocket: Socket, mut bytes: Bytes) -> Result<(), Error> {
    let ends_halves = websocket.subprotocol() == Some(HALF_CLOSE);
    let (mut read, mut write) = websocket.split();
    let up = up(&mut bytes.read, &mut write, ends_halves);
    let down = down(&mut read, &mut bytes.write, ends_halves);
    match future::try_zip(up, down).await.map(drop) {
        Ok(()) => write.close(CloseCode::NORMAL, "").await,
        Err(Stop::Closed) => Ok(()),
        Err(Stop::Lost(error)) => {
            bytes.reset();
            Err(error)
        }
        Err(Stop::Broken(error)) => {
            let reason = error.to_string();
            // The failure is what counts, however this goes.
            let _ = write.close(CloseCode::INTERNAL_ERROR, &reason).await;
            Err(error.into())
        }
    }
}

/// Sends what is read, and its end.
async fn up(
    bytes: &mut (dyn AsyncRead + Unpin),
    write: &mut WriteHalf<Box<dyn Transport>>,
    ends_halves: bool,
) -> Result<(), Stop> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = bytes.read(&mut buffer).await.map_err(Stop::Broken)?;
        if n > 0 {
            write.send(&buffer[..n]).await?;
            continue;
        }
        match ends_halves {
            true => write.send(MessageRef::Binary(&[])).await?,
            // What the other side still says is heard until its Close.
            false => {
                write.queue_close(CloseCode::NORMAL, "")?;
                write.flush().await?;
            }
        }
        return Ok(());
    }
}

/// Writes what comes, and its end.
async fn down(
    read: &mut ReadHalf<Box<dyn Transport>>,
    bytes: &mut (dyn AsyncWrite + Unpin),
    ends_halves: bool,
) -> Result<(), Stop> {
    while let Some(chunk) = read.receive_chunk().await? {
        let data = chunk.data.as_bytes();
        let is_end = ends_halves
            && data.is_empty()
            && chunk.first
            && chunk.last
            && chunk.data.kind() == MessageKind::Binary;
        if is_end {
            bytes.close().await.map_err(Stop::Broken)?;
            return Ok(());
        }
        bytes.write_all(data).await.map_err(Stop::Broken)?;
        bytes.flush().await.map_err(Stop::Broken)?;
    }
    bytes.close().await.map_err(Stop::Broken)?;
    Err(Stop::Closed)
}
