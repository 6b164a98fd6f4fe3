//! Streams for loops of `ws-mio`.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_io::{AsyncRead, AsyncWrite};
use mio::event::Source;
use ws_mio::{Handover, Transport};
use ws_smol::{Acceptor, ClientRequest, Connector, Decision, PeerAddr};

use crate::{Client, Error, Incoming, Stream};

/// A [`Stream`] as a transport of `ws-mio`: no poll watches it, and the connection that
/// it is in wakes its loop, from whichever thread polls that.
///
/// Bytes move while the [`Server`](crate::Server) or the client's
/// [`Connection`](crate::Connection) is polled, by a task of its own.
#[derive(Debug)]
pub struct StreamTransport {
    stream: Stream,
    peer: PeerAddr,
    is_tls: bool,
    waker: Waker,
}

impl StreamTransport {
    /// Makes a transport of a stream whose connection is one with `peer`.
    #[must_use]
    pub fn new(stream: Stream, peer: impl Into<PeerAddr>) -> Self {
        Self {
            stream,
            peer: peer.into(),
            is_tls: false,
            waker: Waker::noop().clone(),
        }
    }

    /// Says that the connection is encrypted, for flags of [MS-WSPE] that demand TLS.
    #[must_use]
    pub const fn under_tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Lends the stream.
    #[must_use]
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Polls the stream, for whom the loop is woken.
    fn poll<R>(
        &mut self,
        poll: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        let cx = &mut Context::from_waker(&self.waker);
        match poll(Pin::new(&mut self.stream), cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Transport for StreamTransport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.poll(|stream, cx| stream.poll_read(cx, buffer))
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.poll(|stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.poll(|stream, cx| stream.poll_close(cx))
    }

    fn peer_addr(&self) -> PeerAddr {
        self.peer
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn waker(&mut self) -> Option<&mut Waker> {
        Some(&mut self.waker)
    }

    fn held(&self) -> usize {
        self.stream.held()
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl Incoming {
    /// Accepts the WebSocket that is asked for, as [`decide`](Self::decide), for a loop of `ws-mio`
    /// to [adopt](ws_mio::Remote::adopt). `data` is the application's: it has seen the request
    /// by [`handshake`](Self::handshake).
    ///
    /// What was agreed on goes along: compression, and the flag of [MS-WSPE] among the peers that
    /// the loop's [`Config`](ws_mio::Config) names, too. Its limits and times are the
    /// WebSocket's. Where the connection is encrypted, say so to the transport:
    /// `handover.map_transport(StreamTransport::under_tls)`.
    ///
    /// ```
    /// use ws_h2::{Error, Incoming, StreamTransport};
    /// use ws_mio::{Handler, Remote};
    /// use ws_smol::{Acceptor, Decision, PeerAddr};
    ///
    /// /// Gives a request to the loop that has the fewest WebSockets.
    /// fn adopt<H>(
    ///     incoming: Incoming,
    ///     acceptor: &Acceptor,
    ///     peer: PeerAddr,
    ///     loops: &Remote<H, StreamTransport>,
    /// ) -> Result<(), Error>
    /// where
    ///     H: Handler<Data = String> + 'static,
    /// {
    ///     let path = incoming.handshake()?.path().to_owned();
    ///     let handover = incoming.hand_over(acceptor, peer, Decision::accept(), path)?;
    ///     // One that cannot be woken now does it later.
    ///     let _ = loops.adopt(handover, |adopted| {
    ///         if let Err(refused) = adopted {
    ///             refused.turn_away();
    ///         }
    ///     });
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn hand_over<D>(
        self,
        acceptor: &Acceptor,
        peer: impl Into<PeerAddr>,
        decision: Decision,
        data: D,
    ) -> Result<Handover<StreamTransport, D>, Error> {
        let peer = peer.into();
        let (stream, opening) = self.open(acceptor, peer, decision)?;
        Ok(Handover::server(StreamTransport::new(stream, peer), data)
            .deflate(opening.deflate())
            .accept_unmasked_frame(opening.accept_unmasked_frame()))
    }
}

impl Client {
    /// Opens a WebSocket as [`connect`](Self::connect), for a loop of `ws-mio` to
    /// [adopt](ws_mio::Remote::adopt), with `data` of the application's.
    ///
    /// The loop's [`Config`](ws_mio::Config) is the WebSocket's, and decides the flag of
    /// [MS-WSPE]; of `connector` only
    /// [`Connector::under_tls`] matters, which a `wss://` URL needs.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn hand_over<D>(
        &self,
        connector: &Connector,
        peer: impl Into<PeerAddr>,
        request: ClientRequest,
        data: D,
    ) -> Result<Handover<StreamTransport, D>, Error> {
        let (stream, agreed) = self.open(connector, request).await?;
        let transport = StreamTransport::new(stream, peer);
        Ok(Handover::client(transport, agreed, data))
    }
}
