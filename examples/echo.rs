//! An echo server, on either adapter: every message goes back to its sender, or
//! to everybody with `--mode broadcast`; and a browser that asks for a page gets
//! one that connects back.
//!
//! ```sh
//! cargo run --release -p examples --bin echo
//! ```
//!
//! Then open <http://127.0.0.1:9001/>, or talk to it with the example `client`.
//! Over TLS, with certificates that `cargo xtask certs` makes:
//!
//! ```sh
//! cargo run --release -p examples --bin echo -- --tls-cert server.pem --tls-key server-key.pem
//! cargo run --release -p examples --bin client -- --ca ca.pem wss://localhost:9001/
//! ```

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use examples::TlsFiles;
use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::{DeflatePolicy, proxy::TrustedProxies};
use ws_proto::{ControlledNetwork, Limits};
use ws_tls::ServerTls;

const HELP: &str = "
An echo server.

Usage: echo [OPTIONS]

  --listen ADDRESS:PORT            where to listen; port 0 is any free one
                                   (default: 127.0.0.1:9001)
  --listen unix:PATH               listen on a Unix-domain socket instead
  --tls-cert FILE                  speak TLS, and show this certificate (PEM; behind it
                                   those that lead to the authority's)
  --tls-key FILE                   its private key (PEM)
  --client-ca FILE                 serve clients with a certificate by this authority,
                                   and nobody else (PEM)
  --adapter mio|smol               which event loop to run on (default: mio)
  --mode echo|broadcast            whether a message goes back to its sender, or to
                                   every open connection, its sender too; on mio
                                   (default: echo)
  --tell-target                    send each client, before anything else, the target
                                   of its request as it came
  --threads N                      on how many threads to serve (default: 1)
  --max-message BYTES              the longest message to take (default: 16 MiB)
  --deflate[=PARAMETERS]           compress, with clients that offer it; PARAMETERS are
                                   what to demand of them and of itself, as in
                                   server_no_context_takeover,client_max_window_bits=10
  --accept-unmasked-frame          take frames without a mask from everybody
  --accept-unmasked-frame-in CIDR  take them from this network, such as 10.0.0.0/8;
                                   may be given several times
  --drain SECONDS                  on a signal, send Closes over this time, and wait for
                                   replies 5 s longer (default: 0)
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
    tls: Option<ServerTls>,
    adapter: Adapter,
    mode: Mode,
    tells_target: bool,
    threads: usize,
    limits: Limits,
    deflate: Option<DeflatePolicy>,
    drain: Duration,
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

/// How long to wait for replies to Closes.
const REPLIES: Duration = Duration::from_secs(5);

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Echo,
    Broadcast,
}

fn main() -> ExitCode {
    examples::finish(Options::from_arguments().and_then(serve))
}

fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    examples::log_to_stderr(options.is_verbose);
    match options.adapter {
        Adapter::Smol if options.mode != Mode::Echo => Err("--mode is for the adapter mio".into()),
        Adapter::Mio => on_mio::serve(options),
        Adapter::Smol => on_smol::serve(options),
    }
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut options = Self {
            listen: "127.0.0.1:9001".to_owned(),
            tls: None,
            adapter: Adapter::Mio,
            mode: Mode::Echo,
            tells_target: false,
            threads: 1,
            limits: Limits::default(),
            deflate: None,
            drain: Duration::ZERO,
            accept_unmasked_frame: ControlledNetwork::new(),
            proxies: None,
            is_verbose: false,
        };
        let mut files = TlsFiles::default();
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => options.listen = arguments.value()?.string()?,
                Arg::Long("tls-cert") => files.cert = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("tls-key") => files.key = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("client-ca") => files.ca = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("adapter") => {
                    options.adapter =
                        examples::value_with(&mut arguments, "--adapter", Adapter::parse)?;
                }
                Arg::Long("mode") => {
                    options.mode = examples::value_with(&mut arguments, "--mode", Mode::parse)?;
                }
                Arg::Long("tell-target") => options.tells_target = true,
                Arg::Long("threads") => {
                    options.threads = examples::value(&mut arguments, "--threads")?
                }
                Arg::Long("max-message") => {
                    options.limits.max_message = examples::value(&mut arguments, "--max-message")?;
                }
                Arg::Long("deflate") => {
                    options.deflate = Some(examples::deflate_policy(&mut arguments)?);
                }
                Arg::Long("drain") => {
                    options.drain =
                        Duration::from_secs(examples::value(&mut arguments, "--drain")?);
                }
                Arg::Long("accept-unmasked-frame") => options.accept_unmasked_frame = true.into(),
                Arg::Long("accept-unmasked-frame-in") => {
                    let network = examples::network(&mut arguments, "--accept-unmasked-frame-in")?;
                    options.accept_unmasked_frame = options.accept_unmasked_frame.network(network);
                }
                Arg::Long("proxy-protocol") => {
                    let proxies = options.proxies.take().unwrap_or_default();
                    let network = examples::network(&mut arguments, "--proxy-protocol")?;
                    options.proxies = Some(proxies.network(network));
                }
                Arg::Short('v') | Arg::Long("verbose") => options.is_verbose = true,
                argument => return Err(examples::unexpected(argument, HELP).into()),
            }
        }
        options.tls = files.server()?;
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

/// Removes the file of a Unix-domain socket, which would keep the next server
/// from binding to it.
#[cfg(unix)]
struct Remove<'a>(&'a str);

#[cfg(unix)]
impl Drop for Remove<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

mod on_mio {
    use std::error::Error;

    use examples::cannot_listen;
    use ws_mio::{
        Accept, Backpressure, CloseCode, Config, Decision, Drain, Handler, Incoming, Listener,
        Message, OriginPolicy, Peer, Prepared, ProxyProtocol, Refused, Server, TlsListener,
    };
    use ws_tls::ServerTls;

    #[cfg(unix)]
    use super::Remove;
    use super::{Mode, Options, REPLIES, announce};

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
        let after = After {
            echo: Echo {
                mode: options.mode,
                tells_target: options.tells_target,
            },
            drain: Drain::new(options.drain, options.drain + REPLIES),
        };
        if options.proxies.is_some() && options.listen.starts_with("unix:") {
            return Err("--proxy-protocol is for TCP".into());
        }
        let (listen, tls) = (options.listen.as_str(), options.tls.as_ref());
        #[cfg(unix)]
        if let Some(path) = listen.strip_prefix("unix:") {
            let listener = mio::net::UnixListener::bind(path);
            let listener = listener.map_err(cannot_listen("--listen", listen))?;
            let _remove = Remove(path);
            return over(listener, tls, listen, config, after);
        }
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        if let Some(proxies) = options.proxies {
            let listener = std::net::TcpListener::bind(listen);
            let listener = listener.map_err(cannot_listen("--listen", listen))?;
            listener.set_nonblocking(true)?;
            let address = format!("{scheme}://{}", listener.local_addr()?);
            let listener = ProxyProtocol::new(mio::net::TcpListener::from_std(listener), proxies);
            return over(listener, tls, &address, config, after);
        }
        match tls {
            None => {
                let server = Server::bind(listen, config);
                let server = server.map_err(cannot_listen("--listen", listen))?;
                let address = format!("{scheme}://{}", server.local_addr()?);
                run(server, &address, after)
            }
            Some(tls) => {
                let server = Server::bind_tls(listen, tls, config);
                let server = server.map_err(cannot_listen("--listen", listen))?;
                let address = format!("{scheme}://{}", server.local_addr()?);
                run(server, &address, after)
            }
        }
    }

    /// What a server does once it listens.
    struct After {
        echo: Echo,
        drain: Drain,
    }

    /// Serves what a listener accepts, under TLS or not.
    fn over<L>(
        listener: L,
        tls: Option<&ServerTls>,
        address: &str,
        config: Config,
        after: After,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        L: Listener<Transport: Send> + Send + 'static,
    {
        match tls {
            None => run(Server::with_listener(listener, config)?, address, after),
            Some(tls) => {
                let listener = TlsListener::new(listener, tls);
                run(Server::with_listener(listener, config)?, address, after)
            }
        }
    }

    fn run<L>(
        server: Server<Echo, L>,
        address: &str,
        after: After,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        L: Listener<Transport: Send> + Send + 'static,
    {
        let After { echo, drain } = after;
        let remote = server.remote();
        examples::on_stop(move || {
            if let Err(error) = remote.drain(&drain) {
                tracing::error!(%error, "cannot stop");
            }
        })?;
        announce(address)?;
        server.run_with(|_| echo)?;
        Ok(())
    }

    #[derive(Clone, Copy)]
    struct Echo {
        mode: Mode,
        tells_target: bool,
    }

    /// What is to be told to a client once it is connected.
    type Target = Option<Box<str>>;

    impl Handler for Echo {
        type Data = Target;

        fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Target> {
            let request = incoming.request();
            if let Some(response) = examples::answer(request, incoming.peer_address()) {
                return response.into();
            }
            let target = self.tells_target.then(|| request.target().into());
            match incoming.negotiate() {
                Ok(acceptance) => Accept::new(acceptance, target).into(),
                Err(error) => error.rejection().into(),
            }
        }

        fn on_open(&mut self, peer: &mut Peer<'_, Target>) {
            if let Some(target) = peer.data_mut().take() {
                // It is shorter than a head may be, and the first that waits.
                let _ = peer.send(&*target);
            }
        }

        fn on_message(&mut self, peer: &mut Peer<'_, Target>, message: Message<'_>) {
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
    use std::{convert::Infallible, error::Error, io, sync::Arc, thread, time::Duration};

    use examples::cannot_listen;
    use smol::{
        channel::{Receiver, bounded},
        future,
        io::{AsyncRead, AsyncWrite},
    };
    #[cfg(unix)]
    use ws_smol::net::UnixListener;
    use ws_smol::{
        Acceptor, CloseCode, Decision, Gate, OriginPolicy, Pass, PeerAddr, ProxyProtocol, Request,
        TlsAcceptor, WebSocket,
        net::{TcpListener, block_on, spawn},
    };

    #[cfg(unix)]
    use super::Remove;
    use super::{Options, REPLIES, announce};

    pub(super) fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Nothing is ever sent on it: it ends with a signal.
        let (stop, stopped) = bounded(1);
        examples::on_stop(move || drop(stop))?;
        let gate = Gate::new(1_000_000, usize::MAX);
        // Any page may connect: an echo has no users that it could act for.
        let mut acceptor = Acceptor::new(OriginPolicy::Any)
            .limits(options.limits)
            .accept_unmasked_frame(options.accept_unmasked_frame)
            .gate(&gate);
        if let Some(policy) = options.deflate {
            acceptor = acceptor.deflate(policy);
        }
        let (scheme, acceptor) = match options.tls {
            None => ("ws", Accepting::Plain(acceptor)),
            Some(tls) => ("wss", Accepting::Tls(acceptor.tls(tls))),
        };
        let server = Arc::new(Server {
            acceptor,
            tells_target: options.tells_target,
            // Without the option nobody is believed.
            proxies: ProxyProtocol::new(options.proxies.unwrap_or_default()),
            stopped,
            gate,
            drain: options.drain,
        });
        #[cfg(unix)]
        if let Some(path) = options.listen.strip_prefix("unix:") {
            let listener = std::os::unix::net::UnixListener::bind(path);
            let listener = listener.map_err(cannot_listen("--listen", &options.listen))?;
            let _remove = Remove(path);
            announce(&options.listen)?;
            return on_threads(options.threads, || {
                let listener = UnixListener::from_std(listener.try_clone()?)?;
                block_on(server.serve(async || listener.accept().await))
            });
        }
        let listener = std::net::TcpListener::bind(&options.listen);
        let listener = listener.map_err(cannot_listen("--listen", &options.listen))?;
        announce(format_args!("{scheme}://{}", listener.local_addr()?))?;
        on_threads(options.threads, || {
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            block_on(server.serve(async || {
                let (stream, peer) = listener.accept().await?;
                Ok((stream, PeerAddr::from(peer)))
            }))
        })
    }

    /// Does the same on several threads; fails as the first that fails.
    fn on_threads(
        threads: usize,
        serve: impl Fn() -> io::Result<()> + Sync,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(&serve)).collect();
            let mut outcome = serve();
            for other in others {
                let ended = other.join().expect("the thread does not panic");
                outcome = outcome.and(ended);
            }
            Ok(outcome?)
        })
    }

    /// What all connections share.
    struct Server {
        acceptor: Accepting,
        tells_target: bool,
        proxies: ProxyProtocol,
        stopped: Receiver<Infallible>,
        gate: Gate,
        drain: Duration,
    }

    enum Accepting {
        Plain(Acceptor),
        Tls(TlsAcceptor),
    }

    impl Server {
        /// Echoes on every stream that `accept` returns, until it is stopped and all connections
        /// are gone.
        async fn serve<S>(self: &Arc<Self>, accept: impl AsyncFn() -> io::Result<(S, PeerAddr)>)
        where
            S: AsyncRead + AsyncWrite + Unpin + 'static,
        {
            let accept = || self.until_stopped(self.gate.accept(&accept));
            while let Some(Some((stream, peer))) = accept().await {
                let pass = match self.gate.admit(peer) {
                    Ok(pass) => pass,
                    Err(error) => {
                        tracing::debug!(?peer, %error, "not admitted");
                        continue;
                    }
                };
                let server = Arc::clone(self);
                spawn(async move {
                    if let Err(error) = server.echo(stream, peer, pass).await {
                        tracing::debug!(?peer, error = &error as &dyn Error, "over");
                    }
                });
            }
            self.end().await;
        }

        /// Answers requests that are not whole with 503, sends Closes over
        /// `drain`, and waits until all connections are gone.
        async fn end(&self) {
            self.gate.drain(self.drain, self.drain + REPLIES);
            self.gate.gone().await;
        }

        async fn echo<S>(&self, stream: S, peer: PeerAddr, pass: Pass) -> Result<(), ws_smol::Error>
        where
            S: AsyncRead + AsyncWrite + Unpin,
        {
            let proxied = self.proxies.receive(stream, peer);
            let Some(proxied) = self.until_stopped(proxied).await else {
                return Ok(());
            };
            let (stream, peer) = proxied?;
            match &self.acceptor {
                Accepting::Plain(acceptor) => {
                    let mut target = None;
                    let decide = self.decide(&mut target);
                    let websocket = acceptor.accept_with(stream, peer, decide).await?;
                    echo_over(websocket, target, pass).await
                }
                Accepting::Tls(acceptor) => {
                    let mut target = None;
                    let decide = self.decide(&mut target);
                    let websocket = acceptor.accept_with(stream, peer, decide).await?;
                    echo_over(websocket, target, pass).await
                }
            }
        }

        /// Decides on a request, and keeps its target if that is to be told.
        fn decide(
            &self,
            target: &mut Option<String>,
        ) -> impl AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision {
            async |request, peer| match examples::answer(request, *peer) {
                Some(response) => Decision::respond(response),
                None => {
                    *target = self.tells_target.then(|| request.target().into_owned());
                    Decision::accept()
                }
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

    async fn echo_over<S>(
        mut websocket: WebSocket<S>,
        target: Option<String>,
        pass: Pass,
    ) -> Result<(), ws_smol::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(target) = target {
            // It leaves with the first wait for a message.
            websocket.queue(&*target)?;
        }
        let drained = async {
            pass.drained().await;
            None
        };
        let talking = async { Some(talk(&mut websocket).await) };
        match future::or(talking, drained).await {
            Some(result) => result,
            None => websocket.close(CloseCode::GOING_AWAY, "").await,
        }
    }

    async fn talk<S>(websocket: &mut WebSocket<S>) -> Result<(), ws_smol::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while websocket
            .receive_with(|message, replies| replies.queue(message))
            .await?
        {}
        Ok(())
    }
}
