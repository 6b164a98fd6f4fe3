//! WebSocket clients and servers over any [`futures_io`] stream, for smol and
//! every other executor. It has no runtime and no background tasks, and tokio
//! is never in its tree.
//!
//! # A client and a server
//!
//! ```
//! use smol::net::TcpListener;
//! use ws_smol::{CloseCode, Error, Message};
//!
//! # fn main() -> Result<(), Error> {
//! smol::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("ws://{}/", listener.local_addr()?);
//!
//!     let server = smol::spawn(async move {
//!         let (stream, _) = listener.accept().await?;
//!         let mut websocket = ws_smol::accept(stream).await?;
//!         while let Some(message) = websocket.receive().await? {
//!             websocket.send(&message).await?;
//!         }
//!         Ok::<(), Error>(())
//!     });
//!
//!     let mut websocket = ws_smol::connect(&url).await?;
//!     websocket.send("Hello").await?;
//!     assert_eq!(websocket.receive().await?, Some(Message::from("Hello")));
//!     websocket.close(CloseCode::NORMAL, "done").await?;
//!     server.await
//! })
//! # }
//! ```
//!
//! [`WebSocket`] says what goes on by itself and what a dropped future leaves
//! behind; [`Acceptor`] and [`Connector`] decide more than the functions do;
//! [`Config`] holds the limits, all of which are finite.
//!
//! # Receiving and sending
//!
//! Four ways to receive: [`receive`](WebSocket::receive) gives a message of
//! one's own, [`receive_ref`](WebSocket::receive_ref) lends it where it lies,
//! [`receive_chunk`](WebSocket::receive_chunk) lends a large one piece by
//! piece, and [`receive_with`](WebSocket::receive_with) hands all that are
//! there to a handler, whose replies leave in one write. Three verbs to send: [`queue`](WebSocket::queue),
//! [`flush`](WebSocket::flush), and [`send`](WebSocket::send), which is both.
//! [`Stream`](futures_core::Stream) and [`Sink`](futures_sink::Sink) are
//! there too, and [`split`](WebSocket::split) makes halves for two tasks.
//!
//! # Memory
//!
//! A connection that waits owns no buffer: reading goes into a buffer of the
//! thread's, which a connection keeps only while there is something in it that
//! the application has not received.
//!
//! # Servers of one thread
//!
//! With the feature `net` there are TCP sockets for connections that stay on
//! one thread, in `ws_smol::net`. There and with `receive_with`, a message that
//! is answered costs a read and a write, and its share of a wait.
//!
//! # Other executors and transports
//!
//! Everything is generic over the stream. A `tokio::net::TcpStream` works
//! through the `compat` layer of `tokio-util`, with
//! [`Acceptor::accept`] and [`Connector::handshake`]. Timers are those of
//! `async-io`, which run on a thread of their own where smol does not.
//!
//! # TLS and compression
//!
//! There is neither yet: a `wss://` URL is
//! [`Error::TlsUnavailable`], and offers of permessage-deflate are declined. A
//! TLS stream of one's own is a stream like any other.

mod accept;
mod backlog;
mod close_status;
mod config;
mod connect;
mod engine;
mod error;
mod handshaking;
mod input;
mod message;
#[cfg(feature = "net")]
pub mod net;
mod outgoing;
mod peer;
mod replies;
mod signals;
mod split;
mod timer;
mod websocket;

pub use accept::{Acceptor, Decision, accept};
pub use close_status::CloseStatus;
pub use config::Config;
pub use connect::{Connector, client_on, connect};
pub use error::{Error, Timeout};
pub use message::Message;
pub use peer::Peer;
pub use replies::Replies;
pub use split::{ReadHalf, ReuniteError, WriteHalf};
pub use websocket::WebSocket;

pub use ws_handshake::{
    ClientRequest, HandshakeError, HeadLimits, Headers, HttpResponse, OriginPolicy, Request,
    Response, Uri,
};
pub use ws_proto::{
    Chunk, ClientMasking, CloseCode, ControlledNetwork, FrameCounts, KeepaliveConfig, Limits,
    Masking, Message as MessageRef, MessageKind, Prepared, ProtocolError, SendError, ServerMasking,
};
