//! A server: listeners, and the loops that serve them.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    panic, thread,
};

use mio::{Interest, Poll, Token, Waker, net::TcpListener};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Accepting, Config, Handler, Remote, event_loop::EventLoop};

/// A WebSocket server, on one thread or on several.
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
pub struct Server<H: Handler> {
    loops: Vec<(Poll, Option<TcpListener>)>,
    remote: Remote<H>,
    config: Config,
}

pub(crate) const LISTENER: Token = Token(usize::MAX);
pub(crate) const WAKER: Token = Token(usize::MAX - 1);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Whether the system shares connections out among listeners of one address.
const SHARES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd"
));

impl<H: Handler> Server<H> {
    /// Binds to an address. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Those of the system, for the last of the addresses if there are
    /// several.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to");
        for address in address.to_socket_addrs()? {
            match listen(address, &config) {
                Ok(listeners) => return Self::new(listeners, config),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Serves a listener that was bound by other means. If there are several
    /// loops, the first deals its connections out.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn with_listener(listener: std::net::TcpListener, config: Config) -> io::Result<Self> {
        Self::new(vec![listener], config)
    }

    fn new(listeners: Vec<std::net::TcpListener>, mut config: Config) -> io::Result<Self> {
        let count = loops(&config);
        if listeners.len() < count {
            config.accepting = Accepting::Deal;
        }
        let mut listeners = listeners.into_iter();
        let mut loops = Vec::new();
        let mut wakers = Vec::new();
        for _ in 0..count {
            let poll = Poll::new()?;
            wakers.push(Waker::new(poll.registry(), WAKER)?);
            let listener = listeners.next().map(|listener| register(listener, &poll));
            loops.push((poll, listener.transpose()?));
        }
        Ok(Self {
            loops,
            remote: Remote::new(wakers),
            config,
        })
    }

    /// Returns the address that the server is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.loops[0].1 {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Returns what reaches the server from other threads.
    #[must_use]
    pub fn remote(&self) -> Remote<H> {
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
        if self.loops.len() > 1 {
            let message = "several threads need a handler each: use run_with";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (poll, listener) = self.loops.remove(0);
        EventLoop::new(poll, listener, self.remote, 0, self.config, handler).run()
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
    /// If a handler does, once all loops have stopped.
    pub fn run_with(self, handler: impl Fn(usize) -> H + Sync) -> io::Result<()> {
        let Self {
            loops,
            remote,
            config,
        } = self;
        let serve = |index: usize, poll, listener| {
            let stop = StopAll(&remote);
            let (remote, config) = (remote.clone(), config.clone());
            let served =
                EventLoop::new(poll, listener, remote, index as u16, config, handler(index)).run();
            drop(stop);
            served
        };
        let serve = &serve;
        thread::scope(|scope| {
            let mut loops = loops.into_iter().enumerate();
            let first = loops.next();
            let others: Vec<_> = loops
                .map(|(index, (poll, listener))| {
                    let run = move || serve(index, poll, listener);
                    let thread = thread::Builder::new().name(format!("ws-mio {index}"));
                    let thread = thread.spawn_scoped(scope, run);
                    thread.inspect_err(|_| drop(StopAll(&remote)))
                })
                .collect();
            let served = first.map_or(Ok(()), |(index, (poll, listener))| {
                serve(index, poll, listener)
            });
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

impl<H: Handler> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("loops", &self.loops)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Stops all loops once one has ended, in whatever way.
struct StopAll<'a, H: Handler>(&'a Remote<H>);

impl<H: Handler> Drop for StopAll<'_, H> {
    fn drop(&mut self) {
        // Loops that have ended do not mind, and one that cannot be woken
        // cannot be told.
        let _ = self.0.stop();
    }
}

fn loops(config: &Config) -> usize {
    config.threads.clamp(1, usize::from(u16::MAX))
}

/// Makes a listener, or one for each loop if the system is to share the
/// connections out.
fn listen(address: SocketAddr, config: &Config) -> io::Result<Vec<std::net::TcpListener>> {
    let is_shared = SHARES && loops(config) > 1 && config.accepting == Accepting::ReusePort;
    let mut listeners = vec![listen_once(address, is_shared)?];
    // The system may have chosen the port.
    let address = listeners[0].local_addr()?;
    while is_shared && listeners.len() < loops(config) {
        listeners.push(listen_once(address, true)?);
    }
    Ok(listeners)
}

fn listen_once(address: SocketAddr, is_shared: bool) -> io::Result<std::net::TcpListener> {
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
    Ok(socket.into())
}

fn register(listener: std::net::TcpListener, poll: &Poll) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    // Inherited by the connections that are accepted.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let mut listener = TcpListener::from_std(listener);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    Ok(listener)
}
