//! An echo server over HTTP/2, by `ws-h2` or by `ws-hyper`, that says of each WebSocket which
//! connection it came in:
//!
//! ```text
//! opened in h2 connection 1
//! closed 1000
//! ```
//!
//! Any other request is answered with 200 and a few words.

mod on_h2;
mod on_hyper;

use std::{
    fmt,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use examples::{TlsFiles, unexpected, value_with};
use lexopt::{Arg, Parser};
use smol::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use ws_interop::{Failure, say};
use ws_smol::{Acceptor, DeflatePolicy, Error, MaybeTls, OriginPolicy, ServerTls, WebSocket};

const HELP: &str = "
An echo server over HTTP/2, and over HTTP/1.1 for those who choose it in TLS.

  --stack ws-h2|ws-hyper   by which crate (default: ws-h2)
  --tls-cert FILE          speak TLS, and show this certificate (PEM); without it,
                           HTTP/2 is spoken at once
  --tls-key FILE           its private key (PEM)
";

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(run())
}

fn run() -> Result<(), Failure> {
    let (mut is_hyper, mut files) = (false, TlsFiles::default());
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("stack") => {
                is_hyper = value_with(&mut arguments, "--stack", |name| match name {
                    "ws-h2" => Ok(false),
                    "ws-hyper" => Ok(true),
                    _ => Err("there are ws-h2 and ws-hyper"),
                })?;
            }
            Arg::Long("tls-cert") => files.cert = Some(PathBuf::from(arguments.value()?)),
            Arg::Long("tls-key") => files.key = Some(PathBuf::from(arguments.value()?)),
            argument => return Err(unexpected(argument, HELP).into()),
        }
    }
    let server = Server {
        is_hyper,
        tls: files.server()?.map(|tls| with_h2(&tls)),
        // Any page may connect: an echo has no users that it could act for.
        acceptor: Acceptor::new(OriginPolicy::Any).deflate(DeflatePolicy::new()),
    };
    // hyper's tasks are tokio's; the streams are those of smol.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    examples::on_stop(move || drop(stop))?;
    runtime.block_on(async {
        let stopped = async {
            let _ = stopped.recv().await;
            Ok(())
        };
        smol::future::or(stopped, server.serve()).await
    })
}

/// The same, with `h2` before `http/1.1` among the protocols to choose from.
fn with_h2(tls: &ServerTls) -> ServerTls {
    let mut config = (**tls.config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    ServerTls::from_rustls(Arc::new(config))
}

struct Server {
    is_hyper: bool,
    tls: Option<ServerTls>,
    acceptor: Acceptor,
}

impl Server {
    async fn serve(self) -> Result<(), Failure> {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(format_args!(
            "listening on {scheme}://{}",
            listener.local_addr()?
        ));
        let server = Arc::new(self);
        loop {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                if let Err(error) = server.connection(stream, peer).await {
                    eprintln!("{peer}: {error}");
                }
            });
        }
    }

    async fn connection(
        &self,
        stream: TcpStream,
        peer: std::net::SocketAddr,
    ) -> Result<(), Failure> {
        let (stream, acceptor) = match &self.tls {
            None => (MaybeTls::from(stream), self.acceptor.clone()),
            Some(tls) => {
                let acceptor = self.acceptor.clone().tls(tls.clone());
                let acceptor = acceptor.encrypt(stream).await?;
                (acceptor, self.acceptor.clone().under_tls())
            }
        };
        let chosen = stream.tls().and_then(|tls| tls.state().alpn_protocol());
        let is_http1 = self.tls.is_some() && chosen != Some(b"h2");
        let number = Number::next(if is_http1 { "http/1.1" } else { "h2" });
        match (self.is_hyper, is_http1) {
            (true, _) => on_hyper::serve(stream, peer, &acceptor, number, is_http1).await,
            (false, true) => echo(acceptor.accept(stream, peer).await?, number).await,
            (false, false) => on_h2::serve(stream, peer, &acceptor, number).await,
        }
    }
}

/// A connection, as it is told.
#[derive(Clone, Copy, Debug)]
struct Number {
    protocol: &'static str,
    number: u32,
}

impl Number {
    fn next(protocol: &'static str) -> Self {
        static CONNECTIONS: AtomicU32 = AtomicU32::new(1);
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self { protocol, number }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connection {}", self.protocol, self.number)
    }
}

/// Echoes until the WebSocket has ended, and says how that was.
async fn echo<S>(mut websocket: WebSocket<S>, number: Number) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(format_args!("opened in {number}"));
    let ended = talk(&mut websocket).await;
    let code = websocket.close_status().map_or(1006, |status| status.code);
    match ended {
        Err(Error::Protocol(error)) => say(format_args!("failed: {error}")),
        _ => say(format_args!("closed {code}")),
    }
    Ok(())
}

async fn talk<S>(websocket: &mut WebSocket<S>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = websocket.receive().await? {
        websocket.send(&message).await?;
    }
    Ok(())
}

/// What any other request is answered with.
const WORDS: &str = "This is a WebSocket server.\n";
