//! What carries the bytes of a connection, and where connections come from.

mod listeners;
pub mod memory;
mod no_listener;
#[cfg(feature = "proxy")]
mod proxy;
mod ready;
#[cfg(feature = "tls")]
mod tls;
mod under_tls;

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
    task::Waker,
};

use mio::{
    event::Source,
    net::{TcpListener, TcpStream},
};
use ws_proto::PeerAddr;
#[cfg(feature = "tls")]
use ws_tls::{ClientTls, TlsConnection, rustls::pki_types::ServerName};

#[cfg(feature = "proxy")]
pub use self::proxy::{Proxied, ProxyProtocol, Tunneled};
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsListener};
pub use self::{
    listeners::{Either, EitherListener, Listeners},
    no_listener::NoListener,
    ready::Ready,
    under_tls::UnderTls,
};

/// How much a transport reads from below it without a byte for the connection,
/// before it returns [`Interrupted`](io::ErrorKind::Interrupted); and what that
/// counts.
pub(crate) const INTERRUPTED: usize = 64 * 1024;

/// A non-blocking byte stream: what an event loop needs of a transport.
///
/// TCP and Unix-domain streams are transports, and so is
/// [`memory::Duplex`]; anything else that carries bytes
/// can be one. All methods return at once, with
/// [`io::ErrorKind::WouldBlock`] where nothing can be done yet.
///
/// Readiness is edge-triggered: after a `WouldBlock` the loop waits to be told
/// of a change, and takes being told without cause for no harm. It believes no
/// count that is longer than what it asked for.
///
/// One that wraps another hands on what it does not change. This one counts
/// what it reads:
///
/// ```
/// use std::io;
///
/// use mio::event::Source;
/// use ws_mio::{PeerAddr, Transport};
///
/// struct Counted<T> {
///     inner: T,
///     read: u64,
/// }
///
/// impl<T: Transport> Transport for Counted<T> {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let len = self.inner.read(buffer)?;
///         self.read += len as u64;
///         Ok(len)
///     }
///
///     fn write(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
///         self.inner.write(slices)
///     }
///
///     fn shutdown(&mut self) -> io::Result<()> {
///         self.inner.shutdown()
///     }
///
///     fn peer_addr(&self) -> PeerAddr {
///         self.inner.peer_addr()
///     }
///
///     fn source(&mut self) -> Option<&mut dyn Source> {
///         self.inner.source()
///     }
///
///     fn short_is_all(&self) -> bool {
///         self.inner.short_is_all()
///     }
/// }
/// ```
pub trait Transport {
    /// Reads into `buffer` and returns how many bytes came; 0 is the end of
    /// the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; [`io::ErrorKind::Interrupted`] if there
    /// may be more but nothing for now, as a layer returns that has read 64 KiB
    /// from below it without a byte for the connection: that counts as much in
    /// the connection's [share](crate::EventLoop#the-share-of-a-connection) of the
    /// turn. Any other error ends the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes the slices one after the other, and returns how many bytes were
    /// taken.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be taken; any other error ends the
    /// connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes the last bytes of the stream, as [`write`](Self::write): what
    /// follows at once is a [`shutdown`](Self::shutdown), the drop, or the rest
    /// of them. So a transport may hold them back, to leave with the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn write_last(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(slices)
    }

    /// Ends the stream in the direction of the peer; reading goes on.
    ///
    /// # Errors
    ///
    /// Those of the system, which do not matter to a connection that is over.
    fn shutdown(&mut self) -> io::Result<()>;

    /// Returns where the peer is. The flags of [MS-WSPE] depend on it, and are
    /// decided when the connection opens: see
    /// [`ControlledNetwork`](ws_proto::ControlledNetwork).
    ///
    /// [`PeerAddr::Local`] is for transports that never leave the machine.
    /// Whatever is not certain is [`PeerAddr::Unknown`]: a peer that is gone, a
    /// transport that is not connected yet, the far end of a tunnel.
    fn peer_addr(&self) -> PeerAddr;

    /// Returns what a [`mio::Poll`] watches; `None` if there is nothing for it
    /// to watch, and readiness is told by other means: see
    /// [`waker`](Self::waker) and [`EventLoop::wake`](crate::EventLoop::wake).
    fn source(&mut self) -> Option<&mut dyn Source>;

    /// Returns the place for what wakes the connection, of a transport that has no
    /// [source](Self::source): a stream within a stream. The loop puts a waker there
    /// when it takes the connection, and the transport, or what is below it, wakes
    /// it from any thread when there is something to read, or room to write, after a
    /// `WouldBlock`. It starts with [`Waker::noop`].
    ///
    /// `None`, the default, for transports that a poll watches, and for those whose
    /// owner calls [`EventLoop::wake`](crate::EventLoop::wake). A
    /// [`Socket`](crate::Socket) puts nothing there.
    fn waker(&mut self) -> Option<&mut Waker> {
        None
    }

    /// Tells whether the last read or write, if it moved less than it could, has
    /// met the end of what there is, so that a change is told without a
    /// `WouldBlock` before; it saves a call for most messages. Sockets do so on
    /// epoll and kqueue. A layer between the connection and its socket does not
    /// as a rule, unless it looks into it each time.
    #[inline]
    fn short_is_all(&self) -> bool {
        false
    }

    /// Writes what the transport itself holds back, as a layer of encryption
    /// does, and tells whether nothing is left. It is called when something was
    /// written, and whenever there is room again.
    ///
    /// # Errors
    ///
    /// Any ends the connection; a lack of room is `Ok(false)`.
    #[inline]
    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Returns how many bytes the transport itself holds for the peer, in either
    /// direction: what is not whole yet, not read yet or not written yet. They
    /// count towards [`Config::max_memory`](crate::Config::max_memory).
    #[inline]
    fn held(&self) -> usize {
        0
    }

    /// Returns how many bytes of memory the transport takes beside what it
    /// [holds](Self::held), such as the state of a TLS connection; an estimate
    /// that stays the same from when the transport is handed to a loop until it
    /// is dropped. It counts towards
    /// [`Config::max_memory`](crate::Config::max_memory).
    #[inline]
    fn footprint(&self) -> usize {
        0
    }

    /// Tells whether the bytes are encrypted and the peer, or its network, is
    /// known for certain; see
    /// [`ControlledNetwork::require_tls`](ws_proto::ControlledNetwork::require_tls).
    /// Without it a client asks for no `wss` URI. [`UnderTls`]
    /// says it of any transport.
    fn is_tls(&self) -> bool {
        false
    }

    /// Lends what is known of the TLS connection; `None` if it is not TLS, or of
    /// another kind than [`Tls`].
    #[cfg(feature = "tls")]
    #[inline]
    fn tls(&self) -> Option<&TlsConnection> {
        None
    }

    /// Tells whether the transport is in a handshake of its own, each step of
    /// which may take long, as those of TLS do. A loop makes no more such steps
    /// in a turn than
    /// [`Config::tls_handshakes_per_turn`](crate::Config::tls_handshakes_per_turn).
    #[inline]
    fn is_handshaking(&self) -> bool {
        false
    }

    /// Starts to connect to an address, for
    /// [`Commands::connect`](crate::Commands::connect) and the like.
    ///
    /// # Errors
    ///
    /// Those of the system; [`io::ErrorKind::Unsupported`] if such transports
    /// are made by other means.
    fn connect(address: SocketAddr) -> io::Result<Self>
    where
        Self: Sized,
    {
        let _ = address;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Has a transport that is being connected to a proxy go on to a server
    /// from there, before it [begins](Self::begin), for
    /// [`Connect::proxy`](crate::Connect::proxy).
    ///
    /// # Errors
    ///
    /// A [`TunnelError`](crate::TunnelError) if the proxy cannot be asked for
    /// that server; [`io::ErrorKind::Unsupported`] if such transports know of
    /// no proxies: see [`Tunneled`].
    #[cfg(feature = "proxy")]
    fn tunnel(&mut self, proxy: &crate::Proxy, host: &str, port: u16) -> io::Result<()> {
        let _ = (proxy, host, port);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Adds TLS to a transport that is being connected, for
    /// [`Connect::tls`](crate::Connect::tls).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if it speaks none: see
    /// [`Tls`].
    #[cfg(feature = "tls")]
    fn secure(self, tls: &ClientTls, server: ServerName<'static>) -> io::Result<Self>
    where
        Self: Sized,
    {
        let _ = (tls, server);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Tells whether a transport that was being connected is now, and gets it
    /// ready to carry small messages at once. It is asked before the first byte
    /// of a client, until it is.
    ///
    /// # Errors
    ///
    /// Why the transport could not be connected. With
    /// [`io::ErrorKind::Interrupted`] it goes on in the next turn.
    fn begin(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Where a [`Server`](crate::Server)'s connections come from.
pub trait Listener: Source {
    /// What carries the bytes of its connections.
    type Transport: Transport;

    /// Accepts a connection, and tells the peer's address as
    /// [`Transport::peer_addr`] does; here it costs nothing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none for now. After any other the loop tries
    /// again, a little later.
    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)>;

    /// Gets ready, before it is waited for.
    ///
    /// # Errors
    ///
    /// Those of the system; the server is not made then.
    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sockets, which differ in their address alone.
macro_rules! socket {
    ($stream:ty) => {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Read::read(self, buffer)
        }

        fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            match slices {
                [slice] => Write::write(self, slice),
                _ => self.write_vectored(slices),
            }
        }

        fn shutdown(&mut self) -> io::Result<()> {
            <$stream>::shutdown(self, Shutdown::Write)
        }

        fn source(&mut self) -> Option<&mut dyn Source> {
            Some(self)
        }

        #[inline]
        fn short_is_all(&self) -> bool {
            SHORT_IS_ALL
        }
    };
}

/// Says that more is to follow: a segment is not sent before it is full, or the
/// stream ends.
#[cfg(target_os = "linux")]
const MSG_MORE: i32 = 0x8000;

impl Transport for TcpStream {
    socket!(TcpStream);

    /// A Close and the end of the stream in one segment are one thing less for
    /// both ends to receive.
    #[cfg(target_os = "linux")]
    fn write_last(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = socket2::SockRef::from(&*self);
        socket.send_vectored_with_flags(slices, MSG_MORE)
    }

    fn peer_addr(&self) -> PeerAddr {
        Self::peer_addr(self).map_or(PeerAddr::Unknown, PeerAddr::Socket)
    }

    fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect(address)
    }

    fn begin(&mut self) -> io::Result<bool> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match Self::peer_addr(self) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        // A small frame is not to wait for the acknowledgement of the last.
        let _ = self.set_nodelay(true);
        Ok(true)
    }
}

impl Listener for TcpListener {
    type Transport = TcpStream;

    fn accept(&mut self) -> io::Result<(TcpStream, PeerAddr)> {
        Self::accept(self).map(|(stream, peer)| (stream, peer.into()))
    }

    fn prepare(&mut self) -> io::Result<()> {
        // A small frame is not to wait for the acknowledgement of the last:
        // inherited by the connections that are accepted.
        socket2::SockRef::from(&*self).set_tcp_nodelay(true)
    }
}

#[cfg(unix)]
mod unix {
    use mio::net::{UnixListener, UnixStream};

    use super::{
        IoSlice, Listener, PeerAddr, Read, SHORT_IS_ALL, Shutdown, Source, Transport, Write, io,
    };

    impl Transport for UnixStream {
        socket!(UnixStream);

        fn peer_addr(&self) -> PeerAddr {
            PeerAddr::Local
        }

        fn begin(&mut self) -> io::Result<bool> {
            self.take_error()?.map_or(Ok(true), Err)
        }
    }

    impl Listener for UnixListener {
        type Transport = UnixStream;

        fn accept(&mut self) -> io::Result<(UnixStream, PeerAddr)> {
            Self::accept(self).map(|(stream, _)| (stream, PeerAddr::Local))
        }
    }
}

/// What a transport over another, its `inner`, does not change.
macro_rules! handed_on {
    () => {
        #[inline]
        fn write(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            self.inner.write(slices)
        }

        fn write_last(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            self.inner.write_last(slices)
        }

        fn shutdown(&mut self) -> std::io::Result<()> {
            self.inner.shutdown()
        }

        fn source(&mut self) -> Option<&mut dyn mio::event::Source> {
            self.inner.source()
        }

        fn waker(&mut self) -> Option<&mut std::task::Waker> {
            self.inner.waker()
        }

        #[inline]
        fn flush(&mut self) -> std::io::Result<bool> {
            self.inner.flush()
        }

        #[inline]
        fn held(&self) -> usize {
            self.inner.held()
        }

        fn footprint(&self) -> usize {
            self.inner.footprint()
        }

        fn is_handshaking(&self) -> bool {
            self.inner.is_handshaking()
        }

        #[cfg(feature = "tls")]
        fn tls(&self) -> Option<&ws_tls::TlsConnection> {
            self.inner.tls()
        }
    };
}

/// What is watched of a listener over another.
macro_rules! source_below {
    ($listener:ident) => {
        fn register(
            &mut self,
            registry: &mio::Registry,
            token: mio::Token,
            interests: mio::Interest,
        ) -> std::io::Result<()> {
            self.$listener.register(registry, token, interests)
        }

        fn reregister(
            &mut self,
            registry: &mio::Registry,
            token: mio::Token,
            interests: mio::Interest,
        ) -> std::io::Result<()> {
            self.$listener.reregister(registry, token, interests)
        }

        fn deregister(&mut self, registry: &mio::Registry) -> std::io::Result<()> {
            self.$listener.deregister(registry)
        }
    };
}

pub(crate) use handed_on;
pub(crate) use source_below;

const SHORT_IS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));
