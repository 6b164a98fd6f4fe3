//! WebSocket clients and servers over any [`futures_io`] stream, for smol and
//! every other executor. It has no runtime and no background tasks, and tokio
//! is never in its tree.
//!
//! # A client and a server
//!
//! ```
//! use ws_smol::{CloseCode, Error, Message};
//! # #[cfg(feature = "net")]
//! use ws_smol::net::{TcpListener, block_on, spawn};
//!
//! # #[cfg(feature = "net")]
//! # fn main() -> Result<(), Error> {
//! block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let url = format!("ws://{}/", listener.local_addr()?);
//!
//!     spawn(async move {
//!         let (stream, _) = listener.accept().await?;
//!         let mut websocket = ws_smol::accept(stream).await?;
//!         while websocket.receive_with(|message, replies| replies.queue(message)).await? {}
//!         Ok::<(), Error>(())
//!     });
//!
//!     let mut websocket = ws_smol::connect(&url).await?;
//!     websocket.send("Hello").await?;
//!     assert_eq!(websocket.receive().await?, Some(Message::from("Hello")));
//!     websocket.close(CloseCode::NORMAL, "done").await
//! })?
//! # }
//! # #[cfg(not(feature = "net"))]
//! # fn main() {}
//! ```
//!
//! The server is on the reactor of its thread, [`net`](crate#servers-of-one-thread), a feature.
//! Every other executor and its streams will do as well.
//!
//! [`WebSocket`] says what goes on by itself and what a dropped future leaves
//! behind; [`Acceptor`] and [`Connector`] decide more than the functions do;
//! [`Config`] holds the limits, all of which are finite.
//!
//! # Panics
//!
//! Tasks are the application's. A panic in one, also in the handler of
//! [`receive_with`](WebSocket::receive_with), drops its connection without a Close;
//! the peer sees the stream end. Whether others go on is up to the executor: that of
//! smol has the panic go on to whoever waits for the task, and to the thread that runs
//! it if nobody does. To end such a connection with 1011, catch the panic with
//! [`std::panic::catch_unwind`] where a message is handled, and close.
//!
//! # Receiving and sending
//!
//! Four ways to receive: [`receive`](WebSocket::receive) gives a message of
//! one's own, [`receive_ref`](WebSocket::receive_ref) lends it where it lies,
//! [`receive_chunk`](WebSocket::receive_chunk) lends a large one piece by
//! piece, and [`receive_with`](WebSocket::receive_with) hands all that are
//! there to a handler, whose replies leave in one write. Three verbs to send:
//! [`queue`](WebSocket::queue), [`flush`](WebSocket::flush), and [`send`](WebSocket::send), which
//! is both. [`Stream`](futures_core::Stream) and [`Sink`](futures_sink::Sink) are
//! there too, and [`split`](WebSocket::split) makes halves for two tasks.
//! [`into_stream`](WebSocket::into_stream) makes a stream of bytes of it, over
//! binary messages.
//!
//! # Memory
//!
//! A connection that waits owns no buffer: reading goes into a buffer of the
//! thread's, which a connection keeps only while there is something in it that
//! the application has not received.
//!
//! What all connections hold together has a limit, a [`MemoryBudget`]; those that
//! hold most are dropped above it.
//!
//! # Servers of one thread
//!
//! With the feature `net` there are TCP and Unix-domain sockets for connections that
//! stay on one thread, and its tasks, in `ws_smol::net`. There and with `receive_with`,
//! a message that is answered costs a read and a write, and its share of a wait. Several
//! threads may serve one listener.
//!
//! # Other executors and transports
//!
//! Everything is generic over the stream, and asks a [`Timer`] for the time. Without
//! a choice that is [`AsyncIo`], whose reactor runs on a thread of its own where smol
//! does not. The crate `ws-tokio` has streams and timers of tokio, and starts no
//! thread; `ws-hyper` has those of hyper and axum. A test may have a clock that it
//! moves itself. For both sides in one process there is [`duplex`].
//!
//! A Unix-domain socket is a stream that never leaves the machine, which is
//! [`PeerAddr::Local`]:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use smol::net::unix::{UnixListener, UnixStream};
//! use ws_smol::{Acceptor, ClientRequest, Connector, ControlledNetwork, OriginPolicy, PeerAddr, Uri};
//!
//! # smol::block_on(async {
//! # let folder = std::env::temp_dir().join(format!("ws-smol-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("echo.sock");
//! let listener = UnixListener::bind(&path)?;
//! let server = smol::spawn(async move {
//!     let (stream, _) = listener.accept().await?;
//!     let acceptor = Acceptor::new(OriginPolicy::SameHost)
//!         .accept_unmasked_frame(ControlledNetwork::new().loopback());
//!     let mut websocket = acceptor.accept(stream, PeerAddr::Local).await?;
//!     while let Some(message) = websocket.receive().await? {
//!         websocket.send(&message).await?;
//!     }
//!     Ok::<(), ws_smol::Error>(())
//! });
//!
//! let connector = Connector::new().set_mask_to_zero(ControlledNetwork::new().loopback());
//! // The URL says what is asked for; the path, where.
//! let request = ClientRequest::new(Uri::parse("ws://localhost/")?);
//! let stream = UnixStream::connect(&path).await?;
//! let mut websocket = connector.handshake(stream, PeerAddr::Local, request).await?;
//! websocket.send("Hello").await?;
//! assert!(websocket.receive().await?.is_some());
//! websocket.close(ws_smol::CloseCode::NORMAL, "").await?;
//! server.await?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! # Compression
//!
//! With the feature `deflate`, messages of connections that negotiate
//! permessage-deflate (RFC 7692) are compressed: a server agrees by
//! `Acceptor::deflate`, a client offers by `ClientRequest::offer`, several
//! times for several wishes. `WebSocket::deflate` tells what was agreed on.
//! Nothing else changes: all ways to send and to receive are the same, and
//! limits count what was inflated. Without the feature a policy and an offer are
//! refused with a [`ConfigError`], and a server declines every offer of its
//! clients.
//!
//! Do not compress
//!
//! - **secrets** in a message, or on a connection with context takeover, to which others can add
//!   text of their choice: who sees the length of what is sent can guess them byte by byte (CRIME,
//!   BREACH; RFC 7692 section 8). Send secrets as [`Uncompressed`], and do not compress where that
//!   is not enough;
//! - **small messages**: below `DeflateConfig::min_len`, 128 bytes, they go out plain anyway;
//! - **what is compressed already**: images, video, archives. Send it as [`Uncompressed`];
//! - where the **CPU** is dearer than the network: compressing costs tens of times what sending
//!   does.
//!
//! An idle connection holds what the protocol owes its peer: without context
//! takeover next to nothing, with it the last 32 KiB that the peer sent, or
//! less by `client_max_window_bits`. All else is the thread's, for all
//! connections with the same `Config::deflate` and `Config::inflate`: a decoder
//! of 48 KiB, and up to `DeflateConfig::max_live` compressors of 370 KiB, each
//! with the window of one that sent last. A task that moves to another thread
//! begins with an empty window there, which costs a little of what is saved.
//! Memory that a thread has not used goes back as the keepalive of its
//! compressed connections goes off.
//!
//! # TLS
//!
//! With the feature `tls`, [`connect`] takes `wss://` URLs and trusts whom the
//! platform trusts; `Connector::tls` says otherwise. `Acceptor::tls` makes a
//! `TlsAcceptor` of an [`Acceptor`]. Both are of rustls, with ring. Without the
//! feature a `wss://` URL is [`Error::TlsUnavailable`].
//!
//! TLS goes over any stream: [`Connector::connect_over`] makes it on a stream of
//! one's own, and so does a `TlsAcceptor`. A stream that is encrypted already is
//! a stream like any other, and `under_tls` of [`Connector`] and [`Acceptor`]
//! says what it is: without that a `wss://` URL is [`Error::NoTls`] there.
//!
//! A connection ends with the Close, then `close_notify`, then the transport.
//! A peer's end is the same without `close_notify`: before its Close, the
//! connection is [lost](Error::ConnectionLost).
//!
//! # Clients that find their way
//!
//! [`Connector`] races the addresses of a host and follows redirects if it is
//! told to; [`Reconnect`] comes back after a while, by a [`Backoff`]. With the
//! feature `proxy` it goes through a proxy (`Connector::proxy`), and a server
//! behind one learns who its clients are (`ProxyProtocol`).

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod fault;

mod accept;
mod backlog;
mod backoff;
mod byte_stream;
mod close_status;
mod compression;
mod config;
mod connect;
mod decision;
mod duplex;
mod engine;
mod error;
mod eyeballs;
mod gate;
mod handshaking;
mod input;
mod maybe_tls;
mod memory;
mod message;
#[cfg(feature = "net")]
pub mod net;
mod opening;
mod outbound;
mod outgoing;
mod peer;
mod pings;
#[cfg(feature = "proxy")]
mod proxy;
mod reconnect;
mod replies;
mod runtime;
mod signals;
mod split;
mod timer;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

pub use accept::{Acceptor, accept};
pub use backoff::Backoff;
pub use byte_stream::ByteStream;
pub use close_status::CloseStatus;
pub use config::Config;
pub use connect::{Connector, client_on, connect};
pub use decision::Decision;
pub use duplex::{Duplex, duplex};
pub use error::Error;
pub use gate::{Gate, NotAdmitted, Pass};
pub use maybe_tls::MaybeTls;
pub use memory::MemoryBudget;
pub use message::Message;
pub use opening::{Opening, Rejection};
pub use outbound::{AsOutbound, Outbound, Uncompressed};
pub use pings::Pong;
#[cfg(feature = "proxy")]
pub use proxy::{Proxied, ProxyProtocol, tunnel};
pub use reconnect::{Connect, Reconnect};
pub use replies::Replies;
pub use runtime::Runtime;
pub use split::{ReadHalf, ReuniteError, WriteHalf};
pub use timer::{AsyncIo, Sleep, Timer};
#[cfg(feature = "tls")]
pub use tls::TlsAcceptor;
pub use websocket::WebSocket;
#[cfg(feature = "proxy")]
pub use ws_handshake::proxy::{
    Proxy, ProxyHeaderError, ProxyUrlError, SocksReply, TrustedProxies, TunnelError,
};
pub use ws_handshake::{
    Acceptance, Agreed, ClientRequest, DeflateOffer, DeflateParams, DeflatePolicy, HandshakeError,
    HeadLimits, Headers, HttpResponse, OriginError, OriginPolicy, RedirectError, Request, Response,
    Uri, UriError, Version,
};
#[cfg(feature = "deflate")]
pub use ws_proto::Budget;
pub use ws_proto::{
    AsMessage, Chunk, ClientMasking, CloseCode, ConfigError, ControlledNetwork, DeflateConfig,
    FrameCounts, InflateConfig, KeepaliveConfig, Limits, Masking, Message as MessageRef,
    MessageKind, PeerAddr, Prepared, ProtocolError, SendError, ServerMasking, TimeLimits, Timeout,
};
#[cfg(feature = "tls")]
pub use ws_tls::{
    self, ClientTls, ServerTls, TlsConfigError, TlsConnection, TlsError, rustls, server_name,
};

#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;
