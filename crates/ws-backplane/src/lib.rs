//! Publish and subscribe past one machine, for WebSocket servers: a core without
//! I/O, and engines that turn what it asks for into bytes.
//!
//! A topic has a [`Position`], of an epoch and an offset. A node publishes,
//! subscribes and recovers; it is told messages in the order of the engine,
//! with nothing in between, or of the [`Discontinuity`]. Nothing is lost in
//! silence:
//!
//! - What is to be subscribed to is a state. The engine is brought into it, and is so anew after
//!   each connection.
//! - After an outage every topic goes on at the last position that was told.
//! - A gap is found by the next message, or by a check of the topic's end every few seconds. The
//!   history closes it; what it cannot close is told by [`Handler::on_discontinuity`].
//! - An engine that lost data is in a new epoch. Positions of the old one are lost, and told to be.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use ws_backplane::{
//!     Backplane, Discontinuity, Handler, Limits, Memory, Position, Publish,
//! };
//!
//! struct Print;
//!
//! impl Handler for Print {
//!     fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
//!         println!("{topic} {position}: {payload:?}");
//!     }
//!
//!     fn on_discontinuity(&mut self, topic: &Arc<str>, discontinuity: &Discontinuity) {
//!         println!("{topic}: {}", discontinuity.why);
//!     }
//! }
//!
//! let memory = Memory::new();
//! let mut node = Backplane::new(memory.engine(), Limits::default());
//! let (now, topic) = (Instant::now(), Arc::from("news"));
//! node.handle_connected(now);
//! node.handle_bytes(now, &[], &mut Print)?;
//! node.subscribe(now, &topic)?;
//! while node.engine().has_answers() {
//!     node.handle_bytes(now, &[], &mut Print)?;
//! }
//! node.publish(now, &topic, "hello", Publish::default(), &mut Print)?;
//! node.handle_bytes(now, &[], &mut Print)?;
//! assert_eq!(node.metrics().delivered, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Clients that come back
//!
//! No client protocol is imposed. An application sends each message with its
//! position, and a client that connects again brings the last one. The server
//! subscribes, asks [`Backplane::recover`], and in [`Handler::on_recovery`]
//! sends what was missed and makes the connection a subscriber. As the recovery
//! reaches exactly up to the last message that was told, nothing is missed or
//! doubled. A server whose connections are on other threads has to keep what is
//! told between the recovery and the subscription of the connection:
//! `mio::Hub::join` does that for `ws-mio`. However many clients ask at once,
//! they are one read of a topic's history.
//!
//! # Engines
//!
//! - [`Memory`]: this process alone, for one node and for tests.
//!
//! - `Redis`, with the feature `redis`: Redis from 6.2 and what is compatible with it, such as
//!   Valkey. One server; no Cluster, no Sentinel.
//!
//! - `Nats`, with the feature `nats`: NATS from 2.9 with JetStream. One server; no cluster.
//!
//! [`Engine`] is the interface to others.
//!
//! # Drivers
//!
//! With the feature `task`, `run` makes a future of a node, to be spawned on any
//! executor; `Node` is its handle for other threads. With `mio`, `mio::spawn`
//! runs it on a thread of its own and publishes what comes to the connections
//! of a server of `ws-mio`, encoded once for all; `mio::Hub` joins them to
//! topics. With `tls`, `connect_tls`
//! connects to an engine over TLS. There is no tokio in the tree.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod fault;

mod backplane;
mod core;
mod engine;
mod handler;
mod limits;
mod memory;
mod metrics;
#[cfg(feature = "mio")]
pub mod mio;
#[cfg(feature = "nats")]
mod nats;
mod position;
mod presence;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "task")]
mod task;
mod topic;

pub use backplane::{Backplane, Publish};
pub use engine::{
    Answer, Ask, Engine, EngineError, History, Incoming, Kept, Opened, Page, Request, Token,
};
pub use handler::{
    Discontinuity, Handler, Message, NameError, PresenceId, PublishError, RecoverId, Recovery,
    SubscribeError, Ticket, Why,
};
pub use limits::Limits;
#[cfg(feature = "task")]
pub use memory::MemoryStream;
pub use memory::{Memory, MemoryEngine};
pub use metrics::Metrics;
#[cfg(feature = "nats")]
pub use nats::{Nats, client_protocol};
pub use position::{Epoch, ParsePositionError, Position};
#[cfg(feature = "redis")]
pub use redis::{Redis, resp};
#[cfg(feature = "tls")]
pub use task::connect_tls;
#[cfg(feature = "task")]
pub use task::{Connect, Node, connect_tcp, run};
#[cfg(all(feature = "nats", feature = "tls"))]
pub use task::{NatsTlsStream, connect_nats_tls};
