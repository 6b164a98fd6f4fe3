//! WebSocket servers on [mio]: a loop a thread, very many connections a loop;
//! and a [`Socket`] for a loop of one's own. It knows readiness, buffers and
//! time; frames and messages are `ws-proto`, the opening handshake is
//! `ws-handshake`.
//!
//! # A server
//!
//! ```no_run
//! use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Data = ();
//!
//!     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
//!         peer.send(message);
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! Server::bind("127.0.0.1:9001", Config::new(OriginPolicy::Any))?.run(Echo)
//! # }
//! ```
//!
//! # Beyond one connection
//!
//! - [`Peer::subscribe`], [`Peer::publish`] and [`Commands::broadcast`] send one message to many,
//!   encoded once.
//! - [`Remote`] reaches the loops from any thread: it sends, publishes, closes, stops, and runs
//!   closures with a [`Loop`].
//! - [`Peer::set_timer`] asks for a call of [`Handler::on_timer`], and [`Commands::set_loop_timer`]
//!   for one of [`Handler::on_loop_timer`].
//! - [`Commands::connect`] and [`Loop::connect`] make connections to servers, in the same loop: for
//!   proxies and feeds. [`Commands::connect_by_name`] looks the server's name up, off the loop.
//! - [`Remote::adopt`], [`Loop::adopt`], [`EventLoop::adopt`] and [`Socket::adopt`] take over
//!   connections whose opening handshakes were made elsewhere: by an HTTP server, or over HTTP/2.
//!   See [`Handover`].
//! - [`Config::threads`] and [`Server::run_with`] serve on several threads.
//! - [`Remote::metrics`] counts what they do.
//!
//! # The order of publications
//!
//! All publications of a server, by peers, loops and [`Remote`]s on whatever
//! thread, to whatever topics, have one order. A publication has its place when
//! the call returns: if one call returns before another begins, it comes first.
//!
//! - Every subscriber of a topic gets the publications to it in this order, on all loops. One that
//!   reads too slowly may miss some ([`Config::slow_consumer`]); those that it gets are in order.
//! - [`Peer::subscribe`] and [`Peer::unsubscribe`] have a place in the same order. A peer gets
//!   exactly what has a place between them.
//! - What is asked of a loop otherwise ([`Commands::with_peer`], [`Remote::send`], [`Remote::run`]
//!   and the like) is done after the publications that were made before, and before those that are
//!   made later.
//! - What a handler sends to its own peer leaves in the order of the calls, and before all
//!   publications that this turn has not delivered yet: also before its own of the same call. To
//!   send a message behind one's own publication, ask for it: `peer.with_peer(id, …)`, with its own
//!   [`Peer::id`].
//!
//! Two loops or more share a lock for it, once a publication, and not once a
//! delivery. A loop that is alone needs none.
//!
//! **To join with the history** of a topic, keep the history behind a lock of
//! one's own. Who publishes adds to the history and publishes under the lock.
//! Who joins subscribes and copies the history under the lock, and sends the
//! copy. The new subscriber then gets every message once, and in order:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use ws_mio::{Handler, Message, Peer, Prepared};
//!
//! struct Room {
//!     /// Shared by the handlers of all loops.
//!     history: Arc<Mutex<Vec<Prepared>>>,
//! }
//!
//! impl Handler for Room {
//!     type Data = ();
//!
//!     fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
//!         let history = {
//!             let history = self.history.lock().unwrap();
//!             peer.subscribe("room");
//!             // Its messages are not copied.
//!             history.clone()
//!         };
//!         for message in &history {
//!             peer.send_prepared(message);
//!         }
//!     }
//!
//!     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
//!         let message = Prepared::new(message);
//!         let mut history = self.history.lock().unwrap();
//!         peer.publish_to_all("room", &message);
//!         history.push(message);
//!     }
//! }
//! ```
//!
//! # Under it
//!
//! A [`Server`] takes connections from a [`Listener`], of TCP by default; any
//! [`Transport`] will do, and those in [`memory`] need no system. [`EventLoop`]
//! is the loop without what waits, for a loop of one's own and for simulations.
//!
//! # What it costs
//!
//! The loop owns one read buffer and one buffer for what is about to be
//! written. A connection owns its slot, and nothing else while it is idle: no
//! buffers, no parser state. Readiness is edge-triggered; a message costs one
//! read and one write, and all that a turn sends to a peer leaves in one write.
//!
//! # What is bounded
//!
//! A peer that reads slowly is read from slowly: while more answers wait for it
//! than [`Config::high_water`], nothing more is read, so that what one peer
//! makes the server hold is a read buffer, a message that comes in pieces, the
//! high water and one answer more. What is sent unasked is refused above
//! [`Config::max_backpressure`], or by another policy that is chosen in
//! [`Config::slow_consumer`]; see [`Backpressure`]. Every wait has a limit:
//! see [`Config`].
//!
//! # Compression
//!
//! With the feature `deflate`, permessage-deflate (RFC 7692) is spoken with
//! those that agree on it: clients of a server whose
//! [`ServerConfig::deflate`](ServerConfig::deflate) has a policy, and servers
//! that take an [offer](ClientRequest::offer) of ours. Nobody else notices.
//! Without the feature a policy and an offer are refused with a
//! [`ConfigError`], and a server declines every offer of its clients.
//! [`Peer::deflate`] tells what was agreed on, and a handler may decline for a
//! connection in [`Handler::on_request`].
//!
//! Compressors, decoders and their buffers belong to the loop. A connection
//! owns four bytes of its slot, and between messages what its peer may still
//! refer to: what it sent, up to 32 KiB, or nothing without context takeover.
//! What is published is compressed once in a loop, for each size of window
//! among the subscribers. What inflates is bounded by `limits.max_message` as
//! it comes out, and a peer gets no more than its share of a turn.
//!
//! When not to compress:
//!
//! - **Secrets** beside what others wrote, in one message or one window: the length of what is sent
//!   tells what they share (CRIME, BREACH; RFC 7692 section 8). [`Peer::uncompressed`] sends a
//!   message plain.
//! - **Short messages**: below `DeflateConfig::min_len` they are sent plain.
//! - **What is compressed already**: images, video, archives.
//! - **Where CPU is short**: it costs tens of times what sending does.
//!
//! # TLS
//!
//! With the feature `tls`, `Tls` speaks it over any transport: a server is bound
//! with `Server::bind_tls`, and `Connect::tls` asks for it. A `wss` URI is never
//! asked for in plaintext. Within a company's network, TLS and both flags of
//! [MS-WSPE] together are what is recommended: intermediaries are kept out, so
//! masking has nothing left to do.
//!
//! # What is told
//!
//! With a `tracing` subscriber every connection has a span `websocket` with the
//! peer's address, in which the handler's calls happen too.
//!
//! # Features
//!
//! - `deflate` brings permessage-deflate, with flate2 and zlib-rs.
//! - `tls` brings `Tls` over any transport, with rustls.
//! - `proxy` brings `ProxyProtocol`, for servers behind proxies that speak the PROXY protocol, and
//!   `Tunneled`, for clients behind HTTP CONNECT and SOCKS5 proxies.
//!
//! All are off by default.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod fault;

mod commands;
mod config;
mod connection;
mod event_loop;
mod handler;
mod handles;
mod metrics;
mod opening;
mod server;
mod slots;
mod socket;
mod transport;

pub use commands::Commands;
pub use config::{Accepting, ClientConfig, Config, Drain, OnPanic, Profile, SlowConsumer};
pub use connection::{Backpressure, Refused};
pub use event_loop::EventLoop;
pub use handler::{Accept, Cause, Closed, Decider, Decision, Handler, Incoming, Later};
pub use handles::{Connect, Loop, NoPeer, Peer, PeerHandle, PeerId, Remote};
pub use metrics::Metrics;
pub use mio;
pub use opening::{AdoptError, Handover, NotAdopted, OpenError};
pub use server::Server;
pub use socket::{Socket, SocketState};
pub use transport::{
    Either, EitherListener, Listener, Listeners, NoListener, Ready, Transport, UnderTls, memory,
};
#[cfg(feature = "proxy")]
pub use transport::{Proxied, ProxyProtocol, Tunneled};
#[cfg(feature = "tls")]
pub use transport::{Tls, TlsListener};
#[cfg(feature = "proxy")]
pub use ws_handshake::proxy::{Proxy, TrustedProxies, TunnelError};
pub use ws_handshake::{
    self, Agreed, ClientRequest, DeflateOffer, DeflateParams, DeflatePolicy, OriginError,
    OriginPolicy, Request, Response, ServerConfig, Uri,
};
#[cfg(feature = "deflate")]
pub use ws_proto::Budget;
pub use ws_proto::{
    self, AsMessage, Chunk, CloseCode, ConfigError, ControlledNetwork, DeflateConfig,
    InflateConfig, KeepaliveConfig, Limits, Message, MessageKind, PeerAddr, Prepared, TimeLimits,
    Timeout,
};
#[cfg(feature = "tls")]
pub use ws_tls::{self, ClientTls, ServerTls, TlsConfigError, TlsConnection, TlsError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
