//! Several listeners for one server.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    task::Waker,
};

use mio::{Interest, Registry, Token, event::Source};

use crate::{Listener, PeerAddr, Transport};

/// Listeners of one kind as one: a server on two ports, say. They take turns.
///
/// ```
/// use mio::net::TcpListener;
/// use ws_mio::{Config, Handler, Listeners, OriginPolicy, Server};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Data = ();
/// # }
///
/// let listen = |address: &str| TcpListener::bind(address.parse().unwrap());
/// let ports = Listeners::new([listen("127.0.0.1:0")?, listen("127.0.0.1:0")?]);
/// let server = Server::with_listener(ports, Config::new(OriginPolicy::Any))?;
/// # server.remote().stop()?;
/// server.run(Echo)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// For those of different kinds there is [`EitherListener`].
#[derive(Debug)]
pub struct Listeners<L> {
    listeners: Vec<L>,
    /// The one that is asked first.
    next: usize,
}

impl<L: Listener> Listeners<L> {
    /// Takes connections from all of these.
    #[must_use]
    pub fn new(listeners: impl IntoIterator<Item = L>) -> Self {
        Self {
            listeners: listeners.into_iter().collect(),
            next: 0,
        }
    }

    /// Lends the listeners.
    #[must_use]
    pub fn listeners(&self) -> &[L] {
        &self.listeners
    }
}

impl<L: Listener> Listener for Listeners<L> {
    type Transport = L::Transport;

    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)> {
        let count = self.listeners.len();
        for _ in 0..count {
            let index = self.next;
            self.next = (index + 1) % count;
            match self.listeners[index].accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.listeners.iter_mut().try_for_each(L::prepare)
    }
}

impl<L: Source> Source for Listeners<L> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let mut listeners = self.listeners.iter_mut();
        listeners.try_for_each(|listener| listener.register(registry, token, interests))
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let mut listeners = self.listeners.iter_mut();
        listeners.try_for_each(|listener| listener.reregister(registry, token, interests))
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        let mut listeners = self.listeners.iter_mut();
        listeners.try_for_each(|listener| listener.deregister(registry))
    }
}

/// Two listeners of different kinds as one, which take turns: for `ws://` and
/// `wss://`, or for TCP and a Unix-domain socket, with one server and one
/// handler. Three are two of which one is two.
///
/// ```no_run
/// # #[cfg(unix)] {
/// use mio::net::{TcpListener, UnixListener};
/// use ws_mio::{Config, EitherListener, Handler, OriginPolicy, Server};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Data = ();
/// # }
///
/// let tcp = TcpListener::bind("127.0.0.1:9001".parse().unwrap())?;
/// let unix = UnixListener::bind("/run/echo.socket")?;
/// let both = EitherListener::new(tcp, unix);
/// Server::with_listener(both, Config::new(OriginPolicy::Any))?.run(Echo)?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EitherListener<A, B> {
    first: A,
    second: B,
    second_is_next: bool,
}

impl<A: Listener, B: Listener> EitherListener<A, B> {
    /// Takes connections from both.
    #[must_use]
    pub const fn new(first: A, second: B) -> Self {
        Self {
            first,
            second,
            second_is_next: false,
        }
    }

    /// Lends the first listener.
    #[must_use]
    pub const fn first(&self) -> &A {
        &self.first
    }

    /// Lends the second listener.
    #[must_use]
    pub const fn second(&self) -> &B {
        &self.second
    }

    fn accept_one(&mut self) -> io::Result<(<Self as Listener>::Transport, PeerAddr)> {
        self.second_is_next = !self.second_is_next;
        match self.second_is_next {
            true => {
                let (transport, peer) = self.first.accept()?;
                Ok((Either::First(transport), peer))
            }
            false => {
                let (transport, peer) = self.second.accept()?;
                Ok((Either::Second(transport), peer))
            }
        }
    }
}

impl<A: Listener, B: Listener> Listener for EitherListener<A, B> {
    type Transport = Either<A::Transport, B::Transport>;

    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)> {
        match self.accept_one() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.accept_one(),
            accepted => accepted,
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.first.prepare()?;
        self.second.prepare()
    }
}

impl<A: Source, B: Source> Source for EitherListener<A, B> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.first.register(registry, token, interests)?;
        self.second.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.first.reregister(registry, token, interests)?;
        self.second.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.first.deregister(registry)?;
        self.second.deregister(registry)
    }
}

/// A connection of an [`EitherListener`]. One that is made to a server is of
/// the first kind.
#[derive(Debug)]
pub enum Either<A, B> {
    /// One of the first listener.
    First(A),
    /// One of the second listener.
    Second(B),
}

/// Asks whichever it is.
macro_rules! either {
    ($self:expr, $transport:ident => $do:expr) => {
        match $self {
            Either::First($transport) => $do,
            Either::Second($transport) => $do,
        }
    };
}

impl<A: Transport, B: Transport> Transport for Either<A, B> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, transport => transport.read(buffer))
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, transport => transport.write(slices))
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, transport => transport.write_last(slices))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        either!(self, transport => transport.shutdown())
    }

    fn peer_addr(&self) -> PeerAddr {
        either!(self, transport => transport.peer_addr())
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        either!(self, transport => transport.source())
    }

    fn waker(&mut self) -> Option<&mut Waker> {
        either!(self, transport => transport.waker())
    }

    #[inline]
    fn short_is_all(&self) -> bool {
        either!(self, transport => transport.short_is_all())
    }

    #[inline]
    fn flush(&mut self) -> io::Result<bool> {
        either!(self, transport => transport.flush())
    }

    #[inline]
    fn held(&self) -> usize {
        either!(self, transport => transport.held())
    }

    fn footprint(&self) -> usize {
        either!(self, transport => transport.footprint())
    }

    fn is_tls(&self) -> bool {
        either!(self, transport => transport.is_tls())
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&ws_tls::TlsConnection> {
        either!(self, transport => transport.tls())
    }

    #[inline]
    fn is_handshaking(&self) -> bool {
        either!(self, transport => transport.is_handshaking())
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        A::connect(address).map(Self::First)
    }

    #[cfg(feature = "proxy")]
    fn tunnel(&mut self, proxy: &crate::Proxy, host: &str, port: u16) -> io::Result<()> {
        either!(self, transport => transport.tunnel(proxy, host, port))
    }

    #[cfg(feature = "tls")]
    fn secure(
        self,
        tls: &ws_tls::ClientTls,
        server: ws_tls::rustls::pki_types::ServerName<'static>,
    ) -> io::Result<Self> {
        match self {
            Self::First(transport) => transport.secure(tls, server).map(Self::First),
            Self::Second(transport) => transport.secure(tls, server).map(Self::Second),
        }
    }

    fn begin(&mut self) -> io::Result<bool> {
        either!(self, transport => transport.begin())
    }
}
