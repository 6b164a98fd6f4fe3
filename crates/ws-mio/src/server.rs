//! A server: a listener and the loop that serves it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use mio::{Interest, Poll, Token, Waker, net::TcpListener};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Config, Handler, Remote, event_loop::EventLoop};

/// A WebSocket server on one thread.
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
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    remote: Remote,
    config: Config,
}

pub(crate) const LISTENER: Token = Token(usize::MAX);
pub(crate) const WAKER: Token = Token(usize::MAX - 1);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

impl Server {
    /// Binds to an address. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Those of the system, for the last of the addresses if there are
    /// several.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to");
        for address in address.to_socket_addrs()? {
            match listen(address) {
                Ok(listener) => return Self::with_listener(listener, config),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Serves a listener that was bound by other means.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn with_listener(listener: std::net::TcpListener, config: Config) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Inherited by the connections that are accepted.
        socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let remote = Remote::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            listener,
            remote,
            config,
        })
    }

    /// Returns the address that the server is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns what reaches the server from other threads.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Serves until [`Remote::stop`].
    ///
    /// # Errors
    ///
    /// Those of polling. What goes wrong with a connection ends that alone,
    /// and is told to [`Handler::on_close`].
    pub fn run<H: Handler>(self, handler: H) -> io::Result<()> {
        EventLoop::new(self.poll, self.listener, self.remote, self.config, handler).run()
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for old connections to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
