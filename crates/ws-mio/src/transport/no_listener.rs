//! A listener for loops that accept nothing.

use std::{fmt, io, marker::PhantomData};

use mio::{Interest, Registry, Token, event::Source};

use crate::{Listener, PeerAddr, Transport};

/// A listener to which nobody connects, for loops of clients over transports
/// other than TCP. Over TCP there is
/// [`Server::without_listener`](crate::Server::without_listener).
///
/// ```
/// use mio::net::TcpStream;
/// # use ws_mio::Transport;
/// use ws_mio::{Config, Handler, Message, NoListener, OriginPolicy, Peer, Server};
/// # /// One that wraps another.
/// # struct Layer<T>(T);
/// # impl<T: Transport> Transport for Layer<T> {
/// #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> { self.0.read(buffer) }
/// #     fn write(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> { self.0.write(slices) }
/// #     fn shutdown(&mut self) -> std::io::Result<()> { self.0.shutdown() }
/// #     fn peer_addr(&self) -> ws_mio::PeerAddr { self.0.peer_addr() }
/// #     fn source(&mut self) -> Option<&mut dyn mio::event::Source> { self.0.source() }
/// # }
/// # struct Print;
/// # impl Handler for Print {
/// #     type Data = ();
/// #     fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
/// #         println!("{message:?}");
/// #     }
/// # }
///
/// let listener: NoListener<Layer<TcpStream>> = NoListener::new();
/// let client = Server::with_listener(listener, Config::new(OriginPolicy::Any))?;
/// # client.remote().stop()?;
/// client.run(Print)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct NoListener<T>(PhantomData<fn() -> T>);

impl<T> NoListener<T> {
    /// Makes a listener.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for NoListener<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for NoListener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoListener")
    }
}

impl<T: Transport> Listener for NoListener<T> {
    type Transport = T;

    fn accept(&mut self) -> io::Result<(T, PeerAddr)> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl<T> Source for NoListener<T> {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}
