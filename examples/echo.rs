//! An echo server, on either adapter: every message goes back to its sender, or
//! to everybody with `--mode broadcast`; and a browser that asks for a page gets
//! one that connects back.
//!
//! ```sh
//! cargo run --release -p examples --bin echo
//! ```
//!
//! Then open <http://127.0.0.1:9001/>, or talk to it with the example `client`.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::{DeflatePolicy, proxy::TrustedProxies};
use ws_proto::{ControlledNetwork, Limits};

const HELP: &str = "
An echo server.

Usage: echo [OPTIONS]

  --listen ADDRESS:PORT            where to listen; port 0 is any free one
                                   (default: 127.0.0.1:9001)
  --listen unix:PATH               listen on a Unix-domain socket instead; on mio
  --adapter mio|smol               which event loop to run on (default: mio)
  --mode echo|broadcast            whether a message goes back to its sender, or to
                                   every open connection, its sender too; on mio
                                   (default: echo)
  --threads N                      on how many threads to serve; on mio (default: 1)
  --max-message BYTES              the longest message to take (default: 16 MiB)
  --deflate[=PARAMETERS]           compress, with clients that offer it; PARAMETERS are
                                   what to demand of them and of itself, as in
                                   server_no_context_takeover,client_max_window_bits=10
  --accept-unmasked-frame          take frames without a mask from everybody
  --accept-unmasked-frame-in CIDR  take them from this network, such as 10.0.0.0/8;
                                   may be given several times
  --proxy-protocol CIDR            believe proxies in this network, which must then speak
                                   the PROXY protocol; may be given several times
  -v, --verbose                    log what happens to every connection
  -h, --help                       print this

GET /address answers with the client's address, as the server sees it.

Unmasked frames are for controlled networks only: no proxy on the path, no path
over the Internet.
";

#[derive(Debug)]
struct Options {
    listen: String,
    adapter: Adapter,
    mode: Mode,
    threads: usize,
    limits: Limits,
    deflate: Option<DeflatePolicy>,
    accept_unmasked_frame: ControlledNetwork,
    /// `None` to read no headers of the PROXY protocol.
    proxies: Option<TrustedProxies>,
    is_verbose: bool,
}

#[derive(Clone, Copy, Debug)]
enum Adapter {
    Mio,
    Smol,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Echo,
    Broadcast,
}

fn main() -> ExitCode {
    examples::finish(Options::from_arguments().map_err(Box::from).and_then(serve))
}

fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    examples::log_to_stderr(options.is_verbose);
    match options.adapter {
        Adapter::Smol if options.mode != Mode::Echo || options.threads != 1 => {
            Err("--mode and --threads are for the adapter mio".into())
        }
        Adapter::Mio => on_mio::serve(options),
        Adapter::Smol => on_smol::serve(options),
    }
}

impl Options {
    fn from_arguments() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            listen: "127.0.0.1:9001".to_owned(),
            adapter: Adapter::Mio,
            mode: Mode::Echo,
            threads: 1,
            limits: Limits::default(),
            deflate: None,
            accept_unmasked_frame: ControlledNetwork::new(),
            proxies: None,
            is_verbose: false,
        };
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => options.listen = arguments.value()?.string()?,
                Arg::Long("adapter") => {
                    options.adapter = arguments.value()?.parse_with(Adapter::parse)?;
                }
                Arg::Long("mode") => options.mode = arguments.value()?.parse_with(Mode::parse)?,
                Arg::Long("threads") => options.threads = arguments.value()?.parse()?,
                Arg::Long("max-message") => {
                    options.limits.max_message = arguments.value()?.parse()?;
                }
                Arg::Long("deflate") => {
                    options.deflate = Some(examples::deflate_policy(&mut arguments)?);
                }
                Arg::Long("accept-unmasked-frame") => options.accept_unmasked_frame = true.into(),
                Arg::Long("accept-unmasked-frame-in") => {
                    let network = arguments.value()?.parse()?;
                    options.accept_unmasked_frame = options.accept_unmasked_frame.network(network);
                }
                Arg::Long("proxy-protocol") => {
                    let proxies = options.proxies.take().unwrap_or_default();
                    options.proxies = Some(proxies.network(arguments.value()?.parse()?));
                }
                Arg::Short('v') | Arg::Long("verbose") => options.is_verbose = true,
                argument => return Err(examples::unexpected(argument, HELP)),
            }
        }
        Ok(options)
    }
}

impl Adapter {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "mio" => Ok(Self::Mio),
            "smol" => Ok(Self::Smol),
            _ => Err("there are mio and smol".to_owned()),
        }
    }
}

impl Mode {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "echo" => Ok(Self::Echo),
            "broadcast" => Ok(Self::Broadcast),
            _ => Err("there are echo and broadcast".to_owned()),
        }
    }
}

/// Says that the server is ready, for people and for scripts.
fn announce(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

mod on_mio {
    use std::error::Error;

    use ws_mio::{
        Backpressure, CloseCode, Config, Decision, Handler, Incoming, Listener, Message,
        OriginPolicy, Peer, Prepared, ProxyProtocol, Refused, Server,
    };

    use super::{Mode, Options, announce};

    pub(super) fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Any page may connect: an echo has no users that it could act for.
        let mut config = Config::new(OriginPolicy::Any);
        config.limits = options.limits;
        config.accept_unmasked_frame = options.accept_unmasked_frame;
        config.threads = options.threads;
        if let Some(policy) = options.deflate {
            config.handshake = config.handshake.deflate(policy);
        }
        // Room for the echo of the longest message beside what may wait when
        // it comes, so that a slow reader's echoes are late and never lost.
        let longest = usize::try_from(options.limits.max_message).unwrap_or(usize::MAX);
        config.max_backpressure = config
            .high_water
            .saturating_add(longest)
            .saturating_add(ws_proto::MAX_HEADER_LEN);
        if options.proxies.is_some() && options.listen.starts_with("unix:") {
            return Err("--proxy-protocol is for TCP".into());
        }
        #[cfg(unix)]
        if let Some(path) = options.listen.strip_prefix("unix:") {
            let listener = mio::net::UnixListener::bind(path)?;
            let _remove = Remove(path);
            let server = Server::with_listener(listener, config)?;
            return run(server, &options.listen, options.mode);
        }
        if let Some(proxies) = options.proxies {
            let listener = std::net::TcpListener::bind(options.listen)?;
            let address = format!("ws://{}", listener.local_addr()?);
            listener.set_nonblocking(true)?;
            let listener = ProxyProtocol::new(mio::net::TcpListener::from_std(listener), proxies);
            let server = Server::with_listener(listener, config)?;
            return run(server, &address, options.mode);
        }
        let server = Server::bind(options.listen, config)?;
        let address = format!("ws://{}", server.local_addr()?);
        run(server, &address, options.mode)
    }

    fn run<L>(
        server: Server<Echo, L>,
        address: &str,
        mode: Mode,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        L: Listener<Transport: Send> + Send + 'static,
    {
        let remote = server.remote();
        examples::on_stop(move || {
            if let Err(error) = remote.stop() {
                tracing::error!(%error, "cannot stop");
            }
        })?;
        announce(address)?;
        server.run_with(|_| Echo { mode })?;
        Ok(())
    }

    /// Removes the file of a Unix-domain socket, which would keep the next
    /// server from binding to it.
    #[cfg(unix)]
    struct Remove<'a>(&'a str);

    #[cfg(unix)]
    impl Drop for Remove<'_> {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(self.0);
        }
    }

    struct Echo {
        mode: Mode,
    }

    impl Handler for Echo {
        type Data = ();

        fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, ()> {
            match examples::answer(incoming.request(), incoming.peer_address()) {
                Some(response) => response.into(),
                None => incoming.decide(),
            }
        }

        fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
            if self.mode == Mode::Broadcast {
                peer.broadcast(&Prepared::new(message));
            } else if let Backpressure::Refused(Refused::Full(full)) = peer.send(message) {
                tracing::warn!(%full, "an echo does not fit");
                peer.close(CloseCode::TRY_AGAIN_LATER, "read faster");
            }
        }
    }
}

mod on_smol {
    use std::{convert::Infallible, error::Error, net::SocketAddr, rc::Rc, time::Duration};

    use smol::{
        LocalExecutor, Timer,
        channel::{Receiver, Sender, bounded},
        future,
        net::{TcpListener, TcpStream},
    };
    use ws_smol::{
        Acceptor, CloseCode, Decision, OriginPolicy, Peer, Proxied, ProxyProtocol, Request,
        WebSocket,
    };

    use super::{Options, announce};

    pub(super) fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Nothing is ever sent on these: the first ends with a signal, and the
        // second with the last connection.
        let (stop, stopped) = bounded(1);
        let (open, all_gone) = bounded(1);
        examples::on_stop(move || drop(stop))?;
        // Any page may connect: an echo has no users that it could act for.
        let mut acceptor = Acceptor::new(OriginPolicy::Any)
            .limits(options.limits)
            .accept_unmasked_frame(options.accept_unmasked_frame);
        if let Some(policy) = options.deflate {
            acceptor = acceptor.deflate(policy);
        }
        let server = Rc::new(Server {
            acceptor,
            // Without the option nobody is believed.
            proxies: ProxyProtocol::new(options.proxies.unwrap_or_default()),
            stopped,
            _open: open,
        });
        let executor = LocalExecutor::new();
        smol::block_on(executor.run(async {
            let listener = TcpListener::bind(options.listen).await?;
            announce(format_args!("ws://{}", listener.local_addr()?))?;
            server.accept(listener, &executor).await;
            drop(server);
            let _ = all_gone.recv().await;
            Ok(())
        }))
    }

    /// What all connections share.
    struct Server {
        acceptor: Acceptor,
        proxies: ProxyProtocol,
        stopped: Receiver<Infallible>,
        _open: Sender<Infallible>,
    }

    impl Server {
        async fn accept<'a>(self: &Rc<Self>, listener: TcpListener, executor: &LocalExecutor<'a>) {
            while let Some(accepted) = self.until_stopped(listener.accept()).await {
                match accepted {
                    Ok((stream, peer)) => {
                        let server = Rc::clone(self);
                        let echo = async move {
                            if let Err(error) = server.echo(stream, peer).await {
                                tracing::debug!(%peer, error = &error as &dyn Error, "over");
                            }
                        };
                        executor.spawn(echo).detach();
                    }
                    Err(error) => {
                        // No file descriptors are left, most likely: wait for some.
                        tracing::warn!(%error, "cannot accept");
                        Timer::after(Duration::from_millis(100)).await;
                    }
                }
            }
        }

        async fn echo(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), ws_smol::Error> {
            // A small frame is not to wait for the acknowledgement of the last.
            stream.set_nodelay(true)?;
            let proxied = self.proxies.receive(stream, peer);
            let Some(proxied) = self.until_stopped(proxied).await else {
                return Ok(());
            };
            let (stream, peer) = proxied?;
            let handshake = self.acceptor.accept_with(stream, peer, decide);
            let Some(websocket) = self.until_stopped(handshake).await else {
                return Ok(());
            };
            let mut websocket = websocket?;
            match self.until_stopped(talk(&mut websocket)).await {
                Some(result) => result,
                None => websocket.close(CloseCode::GOING_AWAY, "").await,
            }
        }

        /// Does something; `None` if the server is stopped before it is done.
        async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
            let stopped = self.stopped.recv();
            let stop = async {
                let _ = stopped.await;
                None
            };
            future::or(stop, async { Some(work.await) }).await
        }
    }

    fn decide(request: &Request<'_>, peer: &Peer) -> Decision {
        let address = match peer {
            Peer::Address(address) => Some(*address),
            _ => None,
        };
        match examples::answer(request, address) {
            Some(response) => Decision::respond(response),
            None => Decision::accept(),
        }
    }

    async fn talk(websocket: &mut WebSocket<Proxied<TcpStream>>) -> Result<(), ws_smol::Error> {
        while websocket
            .receive_with(|message, replies| replies.queue(message))
            .await?
        {}
        Ok(())
    }
}
