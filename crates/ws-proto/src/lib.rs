//! WebSocket frames, messages and masking policy without I/O: bytes in,
//! events out; messages in, frames out. No sockets, no clock, no HTTP.
//!
//! It implements RFC 6455 from section 5 on, for clients and servers, and the
//! two flags of Microsoft's WebSocket Protocol Extensions, [MS-WSPE]:
//! [`set_mask_to_zero`](ClientMasking::with_set_mask_to_zero) and
//! [`accept_unmasked_frame`](ServerMasking::with_accept_unmasked_frame). The
//! opening handshake is the crate `ws-handshake`; event loops are `ws-mio` and
//! `ws-smol`.
//!
//! # The run loop
//!
//! The caller lends the buffer it read into. Payloads are unmasked where they
//! lie, events and messages borrow them, and replies are made while they do:
//!
//! ```
//! use ws_proto::{Connection, Event, Limits, ProtocolError, ServerMasking};
//!
//! /// Echoes every message in `input`, which a transport has read.
//! fn echo(
//!     connection: &mut Connection<ServerMasking>,
//!     mut input: &mut [u8],
//!     output: &mut Vec<u8>,
//! ) -> Result<(), ProtocolError> {
//!     let (rx, messages, tx) = connection.parts();
//!     while let Some(event) = rx.receive(&mut input)? {
//!         if let Some(reply) = tx.respond(&event) {
//!             reply.append_to(output, 0); // a Pong, or the Close
//!         }
//!         if let Event::Data(chunk) = event
//!             && let Some(message) = messages.push(chunk)
//!             && let Ok(frame) = tx.message(message)
//!         {
//!             frame.append_to(output, 0);
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let mut connection = Connection::new(ServerMasking::new(), Limits::default());
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut output = Vec::new();
//! echo(&mut connection, &mut input, &mut output)?;
//! assert_eq!(output, b"\x81\x05Hello");
//! # Ok::<(), ProtocolError>(())
//! ```
//!
//! On an error, [`Sender::fail`] makes the Close frame that tells the peer;
//! then the transport is closed.
//!
//! # What costs what
//!
//! Every copy has a name: [`Assembler`] when a message comes in pieces,
//! [`OutFrame::append_to`] when a key must be applied, [`Outbox`] when the
//! transport is full. A server's frames, and a client's with a zero key, can
//! be written from where the payload lies ([`OutFrame::as_slices`]). Nothing
//! allocates for a message that comes whole; nothing is reserved from a
//! declared length; and a [`Receiver`] that [is idle](Receiver::is_idle) may be
//! dropped and made anew.
//!
//! # Compression
//!
//! With the feature `deflate`, an `Inflater` makes chunks of the compressed
//! pieces that a [`Receiver`] hands out once it was told of the negotiation
//! ([`Receiver::accept_compressed`]), and a `Deflater` stands where the
//! [`Sender`] does for plain messages; [`DeflateCodec`] is both, for one
//! connection. They are small, and borrow what the work takes from an
//! [`InflatePool`] and a [`DeflatePool`] of the loop. Without the feature
//! [`DeflateCodec`] has no values, and the same places are open to a codec of
//! one's own.
//!
//! # Features
//!
//! `deflate` brings permessage-deflate (RFC 7692), with flate2 and zlib-rs. It
//! works without `std`, on targets that have a standard library.
//!
//! `std` (default) brings masking keys from the thread's generator. Without it
//! the crate is `no_std` and needs `alloc`, and a client brings a seed.
//!
//! `simd` (default) masks and validates text with the widest registers that the
//! machine has.

//= MSWS-2.1-1
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std", feature = "deflate"))]
extern crate std;

#[macro_use]
mod fault;

mod cause;
mod clock;
mod close;
mod config_error;
mod connection;
mod controlled_network;
#[cfg_attr(not(feature = "deflate"), path = "deflate/absent.rs")]
mod deflate;
#[cfg(feature = "std")]
mod echo;
mod endpoint;
mod error;
mod header;
mod keepalive;
mod keys;
mod limits;
mod masking;
mod message;
mod opcode;
mod outbox;
mod page;
mod peer_addr;
mod prepared;
mod receive;
mod send;
mod stage;
mod time_limits;
mod utf8;
mod xor;

pub use cause::{Cause, Timeout};
pub use clock::{BusyTimers, Clock, Due, Flow, Times};
pub use close::{CloseCode, CloseFrame};
pub use config_error::ConfigError;
pub use connection::{Connection, ConnectionState};
pub use controlled_network::ControlledNetwork;
#[cfg(feature = "deflate")]
pub use deflate::{Budget, DeflateWindow, Deflater, Inflater};
pub use deflate::{DeflateCodec, DeflateConfig, DeflatePool, InflateConfig, InflatePool};
#[cfg(feature = "std")]
pub use echo::Echoes;
pub use endpoint::{Action, Endpoint, EndpointConfig, QueueError, Replies};
pub use error::{ProtocolError, SendError};
pub use header::{Header, MAX_CONTROL_FRAME, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN};
pub use keepalive::KeepaliveConfig;
pub use keys::{KeySource, MaskKey, NoEntropy, SeededKeys, ThreadEntropy};
pub use limits::{DISCARD_MAX, Limits};
pub use masking::{ClientMasking, Inbound, Masking, MaskingPolicy, ServerMasking};
pub use message::{AsMessage, Assembler, Chunk, CompressedChunk, Message, MessageKind};
pub use opcode::OpCode;
pub use outbox::{Outbox, OutboxFull};
pub use page::{PAGE, place_in_page};
pub use peer_addr::PeerAddr;
pub use prepared::Prepared;
pub use receive::{Event, FrameCounts, Receiver};
pub use send::{OutFrame, OutFrames, Sender};
pub use stage::{EndOrder, Ending, Stage};
pub use time_limits::{END_WAIT, TimeLimits};
pub use utf8::{InvalidUtf8, Utf8Stream};
pub use xor::xor;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
