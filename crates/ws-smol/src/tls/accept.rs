//! The server's TLS handshake.

use std::{future::poll_fn, num::NonZero, thread::available_parallelism};

use futures_io::{AsyncRead, AsyncWrite};
use tracing::debug;
use ws_handshake::Request;
use ws_tls::{ServerTls, TlsConnection};

use super::{TlsStream, turns::Turns};
use crate::{
    Acceptor, Decision, Error, MaybeTls, PeerAddr, Timeout, WebSocket,
    handshaking::{Deadline, close, within},
};

/// Accepts WebSockets over TLS: an [`Acceptor`] that makes the TLS handshake
/// first. It is made by [`Acceptor::tls`].
///
/// ```no_run
/// use smol::net::TcpListener;
/// use ws_smol::{Acceptor, ControlledNetwork, OriginPolicy, ServerTls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let read = std::fs::read;
/// let tls = ServerTls::from_pem(&read("server.pem")?, &read("server-key.pem")?)?;
/// let acceptor = Acceptor::new(OriginPolicy::SameHost)
///     // Frames that are not masked: in the intranet, and under TLS alone.
///     .accept_unmasked_frame(ControlledNetwork::new().network("10.0.0.0/8".parse()?).require_tls())
///     .tls(tls);
/// let listener = TcpListener::bind("0.0.0.0:443").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let acceptor = acceptor.clone();
///     smol::spawn(async move {
///         let mut websocket = acceptor.accept(stream, peer).await?;
///         while let Some(message) = websocket.receive().await? {
///             websocket.send(&message).await?;
///         }
///         Ok::<(), ws_smol::Error>(())
///     })
///     .detach();
/// }
/// # }
/// ```
///
/// # Storms
///
/// After a network failure thousands of clients come back at once, and a TLS
/// handshake takes a thousand times as long as a message does. So handshakes
/// take turns: between two turns of everybody else there are at most
/// [`Config::tls_handshakes_per_turn`](crate::Config::tls_handshakes_per_turn).
/// Clones share them.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    acceptor: Acceptor,
    tls: ServerTls,
    turns: Turns,
}

impl TlsAcceptor {
    pub(crate) fn new(acceptor: Acceptor, tls: ServerTls, handshakes_per_turn: usize) -> Self {
        let cpus = available_parallelism().map_or(1, NonZero::get);
        let turns = Turns::new(handshakes_per_turn.saturating_mul(cpus));
        Self {
            acceptor,
            tls,
            turns,
        }
    }

    /// Accepts a WebSocket over TLS, as [`Acceptor::accept`] does without.
    ///
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout) is the
    /// time for both handshakes together.
    ///
    /// # Errors
    ///
    /// As [`Acceptor::accept`]; [`Error::Tls`] if there is no TLS connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept<S>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
    ) -> Result<WebSocket<MaybeTls<S>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_with(stream, peer, async |_, _| Decision::accept())
            .await
    }

    /// Accepts a WebSocket over TLS if `decide` says so, as
    /// [`Acceptor::accept_with`] does without.
    ///
    /// # Errors
    ///
    /// As [`Acceptor::accept_with`]; [`Error::Tls`] if there is no TLS
    /// connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept_with<S, F>(
        &self,
        stream: S,
        peer: impl Into<PeerAddr>,
        decide: F,
    ) -> Result<WebSocket<MaybeTls<S>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: AsyncFnOnce(&Request<'_>, &PeerAddr) -> Decision,
    {
        let peer = peer.into();
        let deadline = self.acceptor.begin()?;
        let stream = Box::pin(self.encrypt_until(deadline, stream)).await;
        let stream = stream.inspect_err(|error| debug!(%peer, %error, "no TLS"))?;
        self.acceptor
            .accept_until(deadline, stream, peer, true, decide)
            .await
    }

    /// Makes the TLS handshake alone, for a program that puts a stream of its own
    /// between TLS and the WebSocket: that goes to an [`Acceptor`] which is
    /// [under TLS](Acceptor::under_tls).
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] if there is no TLS connection, [`Error::Timeout`] if it took
    /// longer than [`Config::handshake_timeout`](crate::Config::handshake_timeout),
    /// and those of [`Acceptor::accept`] that come before a request is read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn encrypt<S>(&self, stream: S) -> Result<MaybeTls<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = self.acceptor.begin()?;
        Box::pin(self.encrypt_until(deadline, stream)).await
    }

    async fn encrypt_until<S>(
        &self,
        deadline: Deadline<'_>,
        stream: S,
    ) -> Result<MaybeTls<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = TlsConnection::server(&self.tls).map_err(Error::Tls)?;
        let memory = self.acceptor.memory();
        let mut stream = Box::new(TlsStream::new(stream, connection, memory));
        let handshake = self.turns.run(poll_fn(|cx| stream.poll_handshake(cx)));
        let handshake = async { Ok(handshake.await) };
        let handshake = self.acceptor.unless_draining(handshake);
        let Err(error) = within(deadline, Timeout::Handshake, handshake).await? else {
            return Ok(stream.into());
        };
        // The alert must not be torn away by a reset.
        self.acceptor.part(close(&mut stream)).await;
        Err(error.into())
    }
}
