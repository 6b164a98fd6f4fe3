//! WebSockets in [`hyper`] and axum, over HTTP/1.1 and HTTP/2.
//!
//! The HTTP server is yours. [`upgrade`] judges a request by an
//! [`Acceptor`] of `ws-smol` and gives the reply to send, with a future of the
//! [`WebSocket`]: with compression, subprotocols, limits, keepalive, an origin policy that has
//! to be named, and both flags of [MS-WSPE].
//!
//! ```no_run
//! use std::{convert::Infallible, net::SocketAddr};
//!
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use hyper_util::rt::TokioIo;
//! use ws_hyper::Peer;
//! use ws_smol::{Acceptor, OriginPolicy};
//!
//! async fn answer(
//!     mut request: Request<Incoming>,
//!     peer: SocketAddr,
//!     acceptor: &Acceptor,
//! ) -> Result<Response<Full<Bytes>>, Infallible> {
//!     if request.uri().path() != "/chat" {
//!         return Ok(Response::new("This is a WebSocket server.".into()));
//!     }
//!     // The connection tells who the peer is, and never a header.
//!     request.extensions_mut().insert(Peer::from(peer));
//!     Ok(match ws_hyper::upgrade(&mut request, acceptor) {
//!         Ok((reply, upgrade)) => {
//!             tokio::spawn(async move {
//!                 let mut websocket = upgrade.await?;
//!                 while let Some(message) = websocket.receive().await? {
//!                     websocket.send(&message).await?;
//!                 }
//!                 Ok::<(), ws_smol::Error>(())
//!             });
//!             reply.map(|()| Full::default())
//!         }
//!         Err(rejection) => rejection.into_http().map(Full::from),
//!     })
//! }
//!
//! # async fn serve(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let acceptor = Acceptor::new(OriginPolicy::SameHost);
//! let (stream, peer) = listener.accept().await?;
//! hyper::server::conn::http1::Builder::new()
//!     .serve_connection(TokioIo::new(stream), service_fn(|request| answer(request, peer, &acceptor)))
//!     .with_upgrades()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # HTTP/1.1 and HTTP/2
//!
//! The same call serves both. Over HTTP/1.1 the connection is to be served
//! `with_upgrades`. Over HTTP/2 (feature `http2`) a WebSocket is a stream of the connection (RFC
//! 8441): have hyper announce it, by `enable_connect_protocol` of its builder, and route `CONNECT`
//! to it as well as `GET`. hyper sends what is written to such a stream through a channel and a
//! task of its own; `ws-h2`, without hyper, does not.
//!
//! # Who the peer is
//!
//! A flag of [MS-WSPE] may be for some addresses alone
//! ([`ControlledNetwork`](ws_smol::ControlledNetwork)). The address is taken from the request's
//! extensions: a [`Peer`], or axum's `ConnectInfo<SocketAddr>`. Without either it is
//! [`PeerAddr::Unknown`], which no list of networks has in it. Whether there is TLS, the acceptor
//! says: [`Acceptor::under_tls`](ws_smol::Acceptor::under_tls).
//!
//! # Graceful shutdown
//!
//! A WebSocket has left its HTTP connection, so that hyper and axum do not wait for it. A
//! [`Gate`](ws_smol::Gate) does: [`Acceptor::gate`](ws_smol::Acceptor::gate) answers new requests
//! with 503 once it is drained, [`Pass::drained`](ws_smol::Pass::drained) tells each WebSocket to
//! close, and [`Gate::gone`](ws_smol::Gate::gone) waits for the last. See the extractor's
//! documentation, with the feature `axum`.
//!
//! # What is bounded
//!
//! The WebSocket has the limits and times of its [`Config`](ws_smol::Config). How large the head of
//! a request may be, and how long it may take, is for the HTTP server to say. Deadlines and
//! keepalive are kept by the timers of tokio, whatever
//! [`Acceptor::timer`](ws_smol::Acceptor::timer) says; no thread is started. Give a
//! [`Gate`](ws_smol::Gate) the same: `Gate::timer(Tokio)`.
//!
//! # Features
//!
//! - `axum`: an extractor, `WebSocketUpgrade`.
//! - `http2`: WebSockets over HTTP/2.
//! - `deflate`: permessage-deflate.
//! - `mio`: `Upgrade::hand_over` takes a plain socket out of hyper, for a loop of `ws-mio`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "mio")]
mod hand_over;
mod rejection;
mod stream;
mod upgrade;

#[cfg(feature = "axum")]
pub use extract::WebSocketUpgrade;
#[cfg(feature = "mio")]
pub use hand_over::{HandOverError, PlainSocket};
pub use rejection::{Cause, Rejection};
pub use stream::Stream;
pub use upgrade::{Peer, Upgrade, upgrade, upgrade_with};
#[doc(no_inline)]
pub use ws_smol::{Acceptor, Decision, PeerAddr, WebSocket};
#[doc(no_inline)]
pub use ws_tokio::Tokio;

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
