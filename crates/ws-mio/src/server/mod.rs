//! A server: listeners, and the loops that serve them.

mod runner;

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    panic, thread,
};

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};
#[cfg(feature = "tls")]
use ws_tls::ServerTls;

#[cfg(feature = "tls")]
use crate::TlsListener;
use crate::{
    Accepting, Config, Handler, Listener, Remote,
    server::runner::{ListeningPoll, Runner},
};

/// A WebSocket server, on one thread or on several.
///
/// Whatever makes one checks the configuration first: an error of the kind
/// [`io::ErrorKind::InvalidInput`] then holds a
/// [`ConfigError`](crate::ConfigError), which names the field. See
/// [`Config::check`].
///
/// ```no_run
/// use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::bind("127.0.0.1:9001", Config::new(OriginPolicy::Any))?;
/// println!("listening on ws://{}", server.local_addr()?);
/// server.run(Echo)
/// # }
/// ```
///
/// Connections come over TCP, or from any other [`Listener`]:
///
/// ```no_run
/// # #[cfg(unix)] {
/// use mio::net::UnixListener;
/// # use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Data = ();
/// #     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
/// #         peer.send(message);
/// #     }
/// # }
///
/// let listener = UnixListener::bind("/run/echo.socket")?;
/// Server::with_listener(listener, Config::new(OriginPolicy::Any))?.run(Echo)?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server<H: Handler, L: Listener = TcpListener> {
    polls: Vec<ListeningPoll<L>>,
    remote: Remote<H, L::Transport>,
    config: Config,
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Whether the system shares connections out among listeners of one address.
const SHARES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd"
));

impl<H: Handler> Server<H, TcpListener> {
    /// Binds to an address. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Those of the system, for the last of the addresses if there are
    /// several.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        Self::new(listen_first(address, &config)?, config)
    }

    /// Serves a listener that was bound by other means, as
    /// [`with_listener`](Self::with_listener).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(listener: std::net::TcpListener, config: Config) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::with_listener(TcpListener::from_std(listener), config)
    }

    /// Makes loops that accept nothing, for connections that are made with
    /// [`Commands::connect`](crate::Commands::connect), by a handler or from [`Remote::run`]: very
    /// many of them on one thread.
    ///
    /// ```no_run
    /// use ws_mio::{ClientRequest, Config, Connect, Handler, Message, OriginPolicy, Peer, Server, Uri};
    ///
    /// struct Print;
    ///
    /// impl Handler for Print {
    ///     type Data = ();
    ///
    ///     fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
    ///         println!("{message:?}");
    ///     }
    /// }
    ///
    /// let client: Server<Print> = Server::without_listener(Config::new(OriginPolicy::Any))?;
    /// for address in ["192.0.2.1:80".parse()?, "192.0.2.2:80".parse()?] {
    ///     let request = ClientRequest::new(Uri::parse("ws://feed.example/")?);
    ///     client.remote().run(0, move |context| {
    ///         context.connect(address, Connect::new(request, ()));
    ///     })?;
    /// }
    /// client.run(Print)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn without_listener(config: Config) -> io::Result<Self> {
        Self::new(Vec::new(), config)
    }

    /// Returns the address that the server is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.polls[0].listener {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

#[cfg(feature = "tls")]
impl<H: Handler> Server<H, TlsListener> {
    /// Binds to an address, as [`bind`](Server::bind), for connections that
    /// speak TLS: `wss://`.
    ///
    /// ```no_run
    /// use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server, ServerTls};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Data = ();
    /// #     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
    /// #         peer.send(message);
    /// #     }
    /// # }
    ///
    /// let read = std::fs::read;
    /// let tls = ServerTls::from_pem(&read("server.pem")?, &read("server-key.pem")?)?;
    /// Server::bind_tls("0.0.0.0:443", &tls, Config::new(OriginPolicy::Any))?.run(Echo)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system, for the last of the addresses if there are
    /// several.
    pub fn bind_tls(
        address: impl ToSocketAddrs,
        tls: &ServerTls,
        config: Config,
    ) -> io::Result<Self> {
        let listeners = listen_first(address, &config)?.into_iter();
        let listeners = listeners.map(|listener| TlsListener::new(listener, tls));
        Self::new(listeners.collect(), config)
    }

    /// Makes loops that accept nothing, as
    /// [`without_listener`](Server::without_listener), for connections with
    /// TLS and without: see [`Connect::tls`](crate::Connect::tls).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn without_listener_tls(config: Config) -> io::Result<Self> {
        Self::new(Vec::new(), config)
    }

    /// Returns the address that the server is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.polls[0].listener {
            Some(listener) => listener.listener().local_addr(),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

impl<H: Handler, L: Listener> Server<H, L> {
    /// Serves the connections of any listener. If there are several loops, the
    /// first deals its connections out.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn with_listener(listener: L, config: Config) -> io::Result<Self> {
        Self::new(vec![listener], config)
    }

    fn new(listeners: Vec<L>, mut config: Config) -> io::Result<Self> {
        config.check()?;
        let count = config.threads;
        if listeners.len() < count {
            config.accepting = Accepting::Deal;
        }
        let mut listeners = listeners.into_iter();
        let polls = (0..count).map(|_| ListeningPoll::new(listeners.next()));
        let polls: Vec<_> = polls.collect::<io::Result<_>>()?;
        let wakers = polls.iter().map(ListeningPoll::waker);
        Ok(Self {
            remote: Remote::new(wakers.collect::<io::Result<Vec<_>>>()?),
            polls,
            config,
        })
    }

    /// Returns what reaches the server from other threads.
    #[must_use]
    pub fn remote(&self) -> Remote<H, L::Transport> {
        self.remote.clone()
    }

    /// Serves on this thread until [`Remote::stop`].
    ///
    /// # Errors
    ///
    /// Those of polling. What goes wrong with a connection ends that alone,
    /// and is told to [`Handler::on_close`]. [`io::ErrorKind::InvalidInput`]
    /// if `config.threads` is more than 1: a handler is for one loop.
    pub fn run(mut self, handler: H) -> io::Result<()> {
        if self.polls.len() > 1 {
            let message = "several threads need a handler each: use run_with";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let poll = self.polls.remove(0);
        Runner::new(poll, self.remote, 0, self.config, handler)?.run()
    }

    /// Serves on `config.threads` threads, this one among them, until
    /// [`Remote::stop`]. `handler` is called on each, with the index of its
    /// loop from 0, and makes what serves that loop's connections.
    ///
    /// ```no_run
    /// # use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Data = ();
    /// #     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
    /// #         peer.send(message);
    /// #     }
    /// # }
    /// let mut config = Config::new(OriginPolicy::Any);
    /// config.threads = std::thread::available_parallelism()?.get();
    /// Server::bind("127.0.0.1:9001", config)?.run_with(|_| Echo)
    /// # as std::io::Result<()>;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), of any of the loops, and those of starting a
    /// thread. All loops are stopped then.
    ///
    /// # Panics
    ///
    /// If a handler does, once all loops have stopped, with
    /// [`OnPanic::Propagate`](crate::OnPanic::Propagate); and if `handler` does.
    pub fn run_with(self, handler: impl Fn(usize) -> H + Sync) -> io::Result<()>
    where
        L: Send,
        L::Transport: Send,
    {
        let Self {
            polls,
            remote,
            config,
        } = self;
        let serve = |index: usize, poll| {
            let stop = StopAll(&remote);
            let (remote, config) = (remote.clone(), config.clone());
            let runner = Runner::new(poll, remote, index as u16, config, handler(index));
            let served = runner.and_then(Runner::run);
            drop(stop);
            served
        };
        let serve = &serve;
        thread::scope(|scope| {
            let mut polls = polls.into_iter().enumerate();
            let first = polls.next();
            let others: Vec<_> = polls
                .map(|(index, poll)| {
                    let run = move || serve(index, poll);
                    let thread = thread::Builder::new().name(format!("ws-mio {index}"));
                    let thread = thread.spawn_scoped(scope, run);
                    thread.inspect_err(|_| drop(StopAll(&remote)))
                })
                .collect();
            let served = first.map_or(Ok(()), |(index, poll)| serve(index, poll));
            others.into_iter().fold(served, |served, other| {
                let other = other.and_then(|thread| {
                    let joined = thread.join();
                    joined.unwrap_or_else(|payload| panic::resume_unwind(payload))
                });
                served.and(other)
            })
        })
    }
}

impl<H: Handler, L: Listener> fmt::Debug for Server<H, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("loops", &self.polls.len())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Stops all loops once one has ended, in whatever way.
struct StopAll<'a, H: Handler, T>(&'a Remote<H, T>);

impl<H: Handler, T> Drop for StopAll<'_, H, T> {
    fn drop(&mut self) {
        // Loops that have ended do not mind, and one that cannot be woken
        // cannot be told.
        let _ = self.0.end();
    }
}

/// Listens to the first address that can be bound to.
fn listen_first(address: impl ToSocketAddrs, config: &Config) -> io::Result<Vec<TcpListener>> {
    config.check()?;
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to");
    for address in address.to_socket_addrs()? {
        match listen(address, config) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes a listener, or one for each loop if the system is to share the
/// connections out.
fn listen(address: SocketAddr, config: &Config) -> io::Result<Vec<TcpListener>> {
    let is_shared = SHARES && config.threads > 1 && config.accepting == Accepting::ReusePort;
    let mut listeners = vec![listen_once(address, is_shared)?];
    // The system may have chosen the port.
    let address = listeners[0].local_addr()?;
    while is_shared && listeners.len() < config.threads {
        listeners.push(listen_once(address, true)?);
    }
    Ok(listeners)
}

fn listen_once(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for old connections to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    socket.set_reuse_port(is_shared)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = is_shared;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}
