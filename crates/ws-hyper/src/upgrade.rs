//! From a request to a WebSocket.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::upgrade::OnUpgrade;
#[cfg(feature = "mio")]
use hyper::upgrade::Upgraded;
use ws_handshake::{HandshakeError, Request};
use ws_smol::{Acceptor, Decision, Error, Opening, PeerAddr, WebSocket};
use ws_tokio::Tokio;

use crate::{Rejection, Stream};

/// The address of a request's peer, in the request's extensions: as the connection tells it, and
/// never as a header does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub PeerAddr);

impl<P: Into<PeerAddr>> From<P> for Peer {
    fn from(peer: P) -> Self {
        Self(peer.into())
    }
}

/// Judges a request for a WebSocket: gives the reply that accepts it, and the WebSocket, which is
/// open once hyper has sent that reply.
///
/// A 101 over HTTP/1.1, a 200 over HTTP/2. Nothing is spawned: the [`Upgrade`] is
/// a future, to be awaited in a task of its own, as hyper sends the reply only after this returns.
/// What to know of the peer is told in [the crate's documentation](crate#who-the-peer-is).
///
/// # Errors
///
/// [`Rejection`]: the request is no opening handshake, or the acceptor does not let it in. It has the answer to send.
pub fn upgrade<B>(
    request: &mut http::Request<B>,
    acceptor: &Acceptor,
) -> Result<(http::Response<()>, Upgrade), Rejection> {
    upgrade_with(request, acceptor, Decision::accept())
}

/// As [`upgrade`], for a request of which more was decided: a subprotocol, headers, limits, or what
/// to answer instead.
///
/// # Errors
///
/// As [`upgrade`], and where the decision cannot be kept.
pub fn upgrade_with<B>(
    request: &mut http::Request<B>,
    acceptor: &Acceptor,
    decision: Decision,
) -> Result<(http::Response<()>, Upgrade), Rejection> {
    let judged = judge(request, acceptor, decision)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    finish(judged, upgrade)
}

/// Judges a request, and leaves it as it is.
pub(crate) fn judge<B>(
    request: &http::Request<B>,
    acceptor: &Acceptor,
    decision: Decision,
) -> Result<(http::Response<()>, Opening), Rejection> {
    let peer = peer(request.extensions());
    let version = request.version();
    let request = read(request).map_err(|error| Rejection::malformed(error, version))?;
    match acceptor.judge(&request, peer, decision) {
        Ok((acceptance, opening)) => Ok((acceptance.to_http(), opening)),
        Err(rejection) => Err(Rejection::refused(*rejection)),
    }
}

pub(crate) fn finish(
    (reply, opening): (http::Response<()>, Opening),
    upgrade: Option<OnUpgrade>,
) -> Result<(http::Response<()>, Upgrade), Rejection> {
    match upgrade {
        Some(upgrade) => {
            let opening = Some(opening);
            Ok((reply, Upgrade { upgrade, opening }))
        }
        None => Err(Rejection::not_upgradable()),
    }
}

/// Reads a request as an opening handshake.
pub(crate) fn read<B>(request: &http::Request<B>) -> Result<Request<'_>, HandshakeError> {
    #[cfg(feature = "http2")]
    if let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>() {
        return Request::from_http_connect(request, protocol.as_str());
    }
    Request::from_http(request)
}

pub(crate) fn peer(extensions: &http::Extensions) -> PeerAddr {
    if let Some(Peer(peer)) = extensions.get() {
        return *peer;
    }
    connect_info(extensions).map_or(PeerAddr::Unknown, PeerAddr::from)
}

#[cfg(feature = "axum")]
fn connect_info(extensions: &http::Extensions) -> Option<SocketAddr> {
    use axum::extract::ConnectInfo;
    extensions
        .get()
        .map(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address)
}

#[cfg(not(feature = "axum"))]
const fn connect_info(_: &http::Extensions) -> Option<SocketAddr> {
    None
}

/// A WebSocket that is open once hyper has sent the reply.
///
/// # Errors
///
/// [`Error::Io`] if hyper does not hand the connection over: it is gone, or is served without
/// `with_upgrades`.
///
/// # Cancel safety
///
/// Dropping it drops the connection, or resets the stream.
///
/// # Panics
///
/// It panics outside a runtime of tokio whose time driver is enabled, as the WebSocket has tokio's
/// timers.
#[must_use = "there is no WebSocket unless this is awaited"]
pub struct Upgrade {
    upgrade: OnUpgrade,
    /// Taken once the connection is there.
    opening: Option<Opening>,
}

impl Upgrade {
    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opening.as_ref()?.subprotocol()
    }

    /// Waits for hyper's connection, and leaves what to make of it to the caller.
    #[cfg(feature = "mio")]
    pub(crate) async fn into_upgraded(self) -> Result<(Opening, Upgraded), Error> {
        let upgraded = self.upgrade.await.map_err(lost)?;
        // It was polled after it was ready.
        let opening = self.opening.ok_or(Error::Closed)?;
        Ok((opening, upgraded))
    }
}

/// Says that hyper does not hand the connection over.
fn lost(error: hyper::Error) -> Error {
    Error::Io(io::Error::other(error))
}

impl Future for Upgrade {
    type Output = Result<WebSocket<Stream>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.upgrade).poll(cx));
        let upgraded = upgraded.map_err(lost)?;
        Poll::Ready(match self.opening.take() {
            Some(opening) => {
                let websocket = opening.open(Stream::new(upgraded), Vec::new());
                Ok(websocket.with_timer(Tokio))
            }
            // It was polled after it was ready.
            None => Err(Error::Closed),
        })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("opening", &self.opening)
            .finish_non_exhaustive()
    }
}
