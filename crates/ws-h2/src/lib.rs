//! Many WebSockets in one HTTP/2 connection (RFC 8441), for clients and servers, on
//! the [`h2`] crate.
//!
//! A [`Stream`] is one stream of the connection as [`futures_io`] has streams, so a
//! [`WebSocket`] of `ws-smol` goes over it as over any other. The
//! connection itself goes over any [`futures_io`] stream, on any executor.
//!
//! ```
//! use smol::future::zip;
//! use ws_h2::{Client, Config, Error, Server};
//! use ws_smol::{Acceptor, ClientRequest, CloseCode, Connector, OriginPolicy, PeerAddr, Uri, duplex};
//!
//! # fn main() -> Result<(), Error> {
//! # smol::block_on(async {
//! // The stream of a TLS connection whose ALPN has chosen `h2`, for instance.
//! let (near, far) = duplex(64 * 1024);
//!
//! let server = smol::spawn(async move {
//!     let acceptor = Acceptor::new(OriginPolicy::SameHost);
//!     let mut server = Server::handshake(far, &Config::default()).await?;
//!     while let Some(incoming) = server.accept().await? {
//!         let mut websocket = match incoming.accept(&acceptor, PeerAddr::Unknown) {
//!             Ok(websocket) => websocket,
//!             Err(_) => continue, // it was answered
//!         };
//!         smol::spawn(async move {
//!             while let Some(message) = websocket.receive().await? {
//!                 websocket.send(&message).await?;
//!             }
//!             Ok::<(), ws_smol::Error>(())
//!         })
//!         .detach();
//!     }
//!     Ok::<(), Error>(())
//! });
//!
//! let (client, connection) = Client::handshake(near, &Config::default()).await?;
//! let driver = smol::spawn(connection);
//! let request = ClientRequest::new(Uri::parse("ws://localhost/chat").unwrap());
//! let mut websocket = client.connect(&Connector::new(), PeerAddr::Unknown, request).await?;
//! websocket.send("Hello").await?;
//! assert!(websocket.receive().await?.is_some());
//! websocket.close(CloseCode::NORMAL, "").await?;
//! drop((client, websocket));
//! let (driver, server) = zip(driver, server).await;
//! driver.and(server)
//! # })
//! # }
//! ```
//!
//! # Who does the work
//!
//! All streams of a connection live from it: nothing is read and nothing is
//! written but while [`Server::accept`] or the client's [`Connection`] is polled.
//! So keep doing that, in a task of its own.
//!
//! # Flow control
//!
//! What a stream has received is acknowledged as it is read, and not before. So a
//! peer may have [`Config::stream_window`] bytes on their way to a stream that is not
//! read, and then stops; the connection's window is as large as those of all
//! streams together, so the others go on. A write waits while the peer's window, or
//! [`Config::send_buffer`], is full.
//!
//! # How a stream ends
//!
//! Closing a stream is END_STREAM, which is what the end of a TCP connection is to
//! a WebSocket over HTTP/1.1 (RFC 8441 section 5). A peer that resets the stream, or a connection
//! that is lost, is an error of both reading and writing. A stream that is dropped before both
//! directions have ended is reset with CANCEL, or with NO_ERROR if a server has ended its own.
//!
//! # What is bounded
//!
//! See [`Config`] for the limits and their defaults. What floods a connection (resets, SETTINGS,
//! PINGs, DATA of no length) ends it with `ENHANCE_YOUR_CALM`. How long a connection may
//! take to say anything is the caller's, who polls it; a WebSocket that is open has the
//! times of `ws-smol`.
//!
//! # TLS
//!
//! `h2` over TLS is chosen by ALPN (RFC 9113 section 3.3): offer `h2`, or `h2` and
//! `http/1.1`, in the TLS configuration, and look at what was chosen. Say
//! [`Acceptor::under_tls`](ws_smol::Acceptor::under_tls) and
//! [`Connector::under_tls`](ws_smol::Connector::under_tls) then, so that the flags of
//! [MS-WSPE] know of it.
//!
//! # Features
//!
//! - `deflate`: permessage-deflate, for those WebSockets that negotiate it.
//! - `mio`: streams as transports of `ws-mio`: `Incoming::hand_over` and `Client::hand_over` give
//!   WebSockets to its loops.
//! - `tls`: HTTP/2 and HTTP/1.1 on one TLS port, chosen by ALPN: `accept_tls` and `connect_tls`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tls")]
mod alpn;
mod client;
mod config;
mod error;
#[cfg(feature = "mio")]
mod hand_over;
mod io;
mod meter;
mod server;
mod stream;

#[cfg(feature = "tls")]
pub use alpn::{Accepted, Connected, PROTOCOLS, accept_tls, connect_tls};
pub use client::{Client, Connection};
pub use config::Config;
pub use error::Error;
pub use h2;
#[cfg(feature = "mio")]
pub use hand_over::StreamTransport;
pub use server::{Incoming, Server};
pub use stream::Stream;
#[doc(no_inline)]
pub use ws_smol::WebSocket;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
