//! WebSocket clients and servers on [`tokio`].
//!
//! The WebSocket is that of [`ws_smol`], which is generic over its stream and its timers. This
//! crate has both for tokio: [`Stream`] makes a futures-io stream of any of tokio's, and [`Tokio`]
//! is its timers, name look-ups and TCP. Everything of `ws-smol` is re-exported. No thread is
//! started and no task is spawned, but where a name is looked up: tokio does that on its threads
//! for blocking work.
//!
//! ```
//! use tokio::net::TcpListener;
//! use ws_tokio::{CloseCode, Error, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//!
//! let server = tokio::spawn(async move {
//!     let (stream, _) = listener.accept().await?;
//!     let mut websocket = ws_tokio::accept(stream).await?;
//!     while websocket.receive_with(|message, replies| replies.queue(message)).await? {}
//!     Ok::<(), Error>(())
//! });
//!
//! let mut websocket = ws_tokio::connect(&url).await?;
//! websocket.send("Hello").await?;
//! assert_eq!(websocket.receive().await?, Some(Message::from("Hello")));
//! websocket.close(CloseCode::NORMAL, "done").await?;
//! server.await.expect("the task does not panic")
//! # }
//! ```
//!
//! # More than the defaults
//!
//! ```
//! use std::time::Duration;
//!
//! use tokio::net::TcpStream;
//! use ws_tokio::{Acceptor, Connector, Error, Gate, OriginPolicy, Stream, Tokio};
//!
//! # fn main() -> Result<(), ws_tokio::OriginError> {
//! let gate = Gate::new(10_000, 100).timer(Tokio);
//! let acceptor = Acceptor::new(OriginPolicy::list(["https://example.com"])?)
//!     .timer(Tokio)
//!     .gate(&gate);
//! let serve = async |stream: TcpStream| {
//!     let peer = stream.peer_addr()?;
//!     let mut websocket = acceptor.accept(Stream::new(stream), peer).await?;
//!     websocket.send("Hello").await
//! };
//! # let _ = serve;
//!
//! let connector = Connector::on(Tokio).connect_timeout(Duration::from_secs(3));
//! # let _ = connector;
//! # Ok(())
//! # }
//! ```
//!
//! What is made without `timer(Tokio)` or `on(Tokio)` works under tokio as well, with the timers of
//! `async-io`, which have a thread of their own.
//!
//! # Panics
//!
//! What waits panics outside a runtime of tokio whose time driver is enabled, as all of tokio does.
//!
//! # Time in tests
//!
//! `tokio::time::pause` stops the time of connections too: deadlines and keepalive then pass at
//! once.
//!
//! # Features
//!
//! - `deflate`: permessage-deflate (RFC 7692).
//! - `net` (on by default): `connect`, `client_on` and clients on [`Tokio`]'s TCP.
//! - `proxy`: clients through proxies, and servers behind them.
//! - `tls`: `wss://` URLs, and servers with TLS, by rustls.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod runtime;
mod stream;

pub use runtime::Tokio;
pub use stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "net")]
use tokio::net::TcpStream;
#[doc(no_inline)]
pub use ws_smol::*;

/// Connects to a `ws://` URL over TCP, or with the feature `tls` to a `wss://` URL over TLS, with
/// the defaults.
///
/// For headers, subprotocols, limits and times there is [`Connector`], by
/// [`Connector::on`]`(Tokio)`.
///
/// # Errors
///
/// As [`Connector::connect`], and [`Error::Uri`] if that is no WebSocket URL.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt.
#[cfg(feature = "net")]
pub async fn connect(url: &str) -> Result<WebSocket<MaybeTls<Stream<TcpStream>>>, Error> {
    let request = ClientRequest::new(Uri::parse(url)?);
    Connector::on(Tokio).connect(request).await
}

/// Makes the client's opening handshakes on a stream that is connected already: for a `wss://` URL
/// that of TLS first.
///
/// # Errors
///
/// As [`Connector::connect_over`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
#[cfg(feature = "net")]
pub async fn client_on<S>(
    stream: S,
    request: ClientRequest,
) -> Result<WebSocket<MaybeTls<Stream<S>>>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Connector::on(Tokio)
        .connect_over(Stream::new(stream), PeerAddr::Unknown, request)
        .await
}

/// Accepts a WebSocket on a stream, with the defaults: every path, no subprotocol, and of browsers
/// only pages of the same host ([`OriginPolicy::SameHost`]).
///
/// For anything else there is [`Acceptor`], with [`Acceptor::timer`]`(Tokio)`.
///
/// # Errors
///
/// As [`Acceptor::accept`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept<S>(stream: S) -> Result<WebSocket<Stream<S>>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Acceptor::new(OriginPolicy::SameHost)
        .timer(Tokio)
        .accept(Stream::new(stream), PeerAddr::Unknown)
        .await
}

#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;
