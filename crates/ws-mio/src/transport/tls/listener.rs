//! Connections that speak TLS come.

use std::io;

use mio::{event::Source, net::TcpListener};
use ws_tls::ServerTls;

use crate::{Listener, PeerAddr, Tls, transport::source_below};

/// Any [`Listener`], whose connections speak TLS.
///
/// ```no_run
/// # #[cfg(unix)] {
/// use mio::net::UnixListener;
/// use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server, ServerTls, TlsListener};
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
/// let listener = TlsListener::new(UnixListener::bind("/run/echo.socket")?, &tls);
/// Server::with_listener(listener, Config::new(OriginPolicy::Any))?.run(Echo)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TlsListener<L = TcpListener> {
    below: L,
    tls: ServerTls,
}

impl<L: Listener> TlsListener<L> {
    /// Adds TLS to the connections of a listener.
    #[must_use]
    pub fn new(below: L, tls: &ServerTls) -> Self {
        let tls = tls.clone();
        Self { below, tls }
    }

    /// Lends the listener below.
    #[must_use]
    pub const fn listener(&self) -> &L {
        &self.below
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Transport = Tls<L::Transport>;

    fn accept(&mut self) -> io::Result<(Self::Transport, PeerAddr)> {
        let (transport, peer) = self.below.accept()?;
        Ok((Tls::server(transport, &self.tls)?, peer))
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.below.prepare()
    }
}

impl<L: Listener> Source for TlsListener<L> {
    source_below!(below);
}
