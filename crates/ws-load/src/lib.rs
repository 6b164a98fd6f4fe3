//! A load generator for WebSocket servers.
//!
//! [`run`] opens connections as a [`Plan`] says, sends messages, and measures how long the server
//! takes. In an open loop ([`Pace::Rate`]) messages are due at fixed times, whatever the server
//! does, and a latency counts from when its message was *due*: a server that stalls is charged for
//! every message that should have been sent meanwhile. One thread does all of it. Frames are built
//! beforehand, and answers are counted by their headers alone, so that the generator is cheaper
//! than any server.
//!
//! A [`Report`] tells how much of its own thread the generator used, how late it was, and whether
//! it was itself the [`Limit`].
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ws_load::{Masks, Messages, Pace, Plan, Target};
//!
//! let target = Target::websocket("127.0.0.1:9001".parse()?, "ws://127.0.0.1:9001/")?;
//! let mut plan = Plan::new(target, Messages::of_size(125, Masks::Random));
//! plan.connections = 1000;
//! plan.pace = Pace::Rate { per_second: 50_000.0, ramp: Duration::from_secs(2) };
//! let report = ws_load::run(&plan, &mut |_| {})?;
//! println!("{report}");
//! assert!(report.limit().is_none(), "the generator was too slow");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The n-th message that a connection receives is taken for the answer to the n-th that it sent, as
//! from an echo. With [`Plan::broadcast`] one connection sends, and every connection is to receive
//! each message.
//!
//! `wsdo bench` is this crate on the command line.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod arrivals;
mod broadcast;
mod connection;
mod deflate;
mod error;
mod fleet;
mod flow;
mod frames;
mod histogram;
mod json;
mod limits;
mod measured;
mod messages;
mod opening;
mod placed;
mod plan;
mod process;
mod replies;
mod report;
mod run;
mod schedule;
mod sources;
mod steady;
mod stream;
mod svg;
mod table;
mod target;
mod threshold;
mod visits;

pub use connection::{Connection, Received};
pub use deflate::{Compressor, inflate};
pub use error::{LoadError, OpenError};
pub use fleet::{Fleet, PATIENCE};
pub use frames::{
    COMPRESSED, Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, UnknownMasks,
    append_frame,
};
pub use histogram::Histogram;
pub use limits::raise_descriptor_limit;
pub use measured::{GeneratorUse, Interval, Measured, ServerUse, Window};
pub use messages::{Messages, MessagesError};
pub use placed::Placed;
pub use plan::{BroadcastPlan, Pace, Plan, Slow, VisitPlan};
pub use process::{Usage, peak_resident_bytes, resident_bytes};
pub use replies::{Piece, Replies, UnexpectedFrame};
pub use report::{Failures, Handshakes, Limit, Reach, Report, Visited};
pub use run::run;
pub use sources::{BadSource, Sources};
pub use steady::Steady;
pub use target::{Target, TargetError};
pub use threshold::{BadThreshold, Threshold};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
