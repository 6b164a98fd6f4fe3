//! The opening handshake of the WebSocket Protocol (RFC 6455 section 4) over HTTP/1.1, HTTP/2 and
//! HTTP/3, for servers and clients, without sockets: bytes or lists of fields in, the same out.
//!
//! It does not open connections, does not wait, and knows nothing of frames: what follows the
//! handshake is left exactly where it is, for a frame layer such as `ws-proto` to read. It is
//! `no_std` and needs `alloc`.
//!
//! # A server
//!
//! ```
//! use ws_handshake::{HandshakeError, HeadReader, OriginPolicy, Response, ServerConfig};
//!
//! /// Answers one read; `true` once the connection is open. The rest of the input is the first frames.
//! fn on_read(
//!     config: &ServerConfig,
//!     reader: &mut HeadReader,
//!     input: &[u8],
//!     out: &mut Vec<u8>,
//! ) -> Result<Option<usize>, HandshakeError> {
//!     let Some(head) = reader.receive(input)? else { return Ok(None) };
//!     let request = head.request()?;
//!     if !request.is_upgrade() {
//!         Response::new(200).body("This is a WebSocket server.").write_to(out); // then close
//!     } else if request.path() != "/chat" {
//!         Response::new(404).write_to(out); // then close
//!     } else {
//!         config.negotiate(&request)?.write_to(out);
//!         return Ok(Some(head.consumed()));
//!     }
//!     Ok(None)
//! }
//!
//! // Pages of other sites must not speak for our users: see `OriginPolicy`.
//! let config = ServerConfig::new(OriginPolicy::list(["https://example.com"])?).subprotocols(["chat"]);
//! let mut reader = config.head_reader();
//! let mut out = Vec::new();
//!
//! let input = b"GET /chat HTTP/1.1\r\n\
//!     Host: example.com\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\n\
//!     Origin: https://example.com\r\n\
//!     Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";
//! match on_read(&config, &mut reader, input, &mut out) {
//!     Ok(Some(consumed)) => assert_eq!(consumed, input.len()),
//!     Ok(None) => unreachable!("the request is complete"),
//!     Err(error) => error.rejection().write_to(&mut out), // then close
//! }
//! assert_eq!(
//!     out,
//!     b"HTTP/1.1 101 Switching Protocols\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
//!     Sec-WebSocket-Protocol: chat\r\n\r\n"
//! );
//! # Ok::<(), ws_handshake::OriginError>(())
//! ```
//!
//! # A client
//!
//! ```
//! use ws_handshake::{ClientProgress, ClientRequest, Nonce, Uri};
//!
//! let uri = Uri::parse("ws://example.com/chat")?;
//! // With the `std` feature: `start_random()`. A fixed nonce is for examples.
//! let nonce = Nonce::from_bytes(*b"the sample nonce");
//! let mut handshake = ClientRequest::new(uri).subprotocol("chat")?.start(nonce);
//! assert!(handshake.request_bytes().starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n")); // send them
//!
//! let input = b"HTTP/1.1 101 Switching Protocols\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
//!     Sec-WebSocket-Protocol: chat\r\n\r\n\
//!     \x81\x05Hello";
//! match handshake.receive(input)? {
//!     ClientProgress::Incomplete => unreachable!("the reply is complete"), // else read more
//!     ClientProgress::Agreed { agreed, consumed } => {
//!         assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
//!         assert_eq!(&input[consumed..], b"\x81\x05Hello"); // to the frame layer
//!     }
//!     ClientProgress::Refused { response, .. } => unreachable!("status {}", response.status),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # HTTP/2 and HTTP/3
//!
//! There a WebSocket is opened in a stream, by an extended CONNECT (RFC 8441, RFC 9220). An HTTP
//! library parses the lists of fields and writes them; what they say is read and made here:
//! [`Request::from_fields`] leads to the same [`ServerConfig::negotiate`],
//! [`Acceptance::to_fields`] and [`Response::to_fields`] are the answers, and
//! [`ClientRequest::extended_connect`] is the client's side. What differs from HTTP/1.1: there is
//! no key and no proof of it, no `Upgrade` and no `Connection`, 200 accepts, a `:protocol` other
//! than `websocket` is answered with 501, and what makes a message malformed
//! ([`HandshakeError::is_malformed`]) resets the stream.
//!
//! # What is bounded
//!
//! A head has at most [`HeadLimits::max_head`] bytes and [`HeadLimits::max_headers`] field lines,
//! the body of a refusal that a client keeps at most [`ClientRequest::max_body`] bytes; all are
//! finite by default. Every byte is looked at a fixed number of times, in whatever pieces it comes.
//! Time is the caller's: give a handshake a deadline.
//!
//! # Features
//!
//! - `std` (default): [`Nonce`]s from the operating system.
//! - `http`: conversions to and from the types of the `http` crate.
//! - `proxy`: what is said to a proxy before the handshake: the module `proxy`.

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[macro_use]
mod fault;

mod server;
mod server_handshake;

mod origin;

mod client;

mod redirect;
mod rejection;

mod uri;
mod version;

mod request;
mod request_fields;

mod target;

mod credentials;

mod response;

mod head;

mod headers;

mod key;

mod extensions;

mod deflate;

mod body;

mod page;

mod date;

mod error;

mod extended;

mod fields;

#[cfg(feature = "http")]
mod http;

#[cfg(feature = "proxy")]
pub mod proxy;

pub use client::{
    Agreed, ClientHandshake, ClientProgress, ClientRequest, ClientRequestError, HttpResponse,
};
pub use credentials::BasicCredentials;
pub use deflate::{DeflateAnswer, DeflateOffer, DeflateParams, DeflatePolicy, agree, answer};
pub use error::{HandshakeError, Offered};
pub use extended::{ConnectProgress, ExtendedConnect};
pub use extensions::{Extension, Extensions, Param, ParamValue};
pub use head::{Head, HeadLimits, HeadReader};
pub use headers::{HeaderError, Headers};
pub use key::{NoEntropy, Nonce, accept_key};
pub use origin::{OriginError, OriginList, OriginPolicy};
pub use redirect::RedirectError;
pub use request::Request;
pub use response::Response;
pub use server::{Acceptance, ServerConfig, SubprotocolError};
pub use server_handshake::{ServerHandshake, ServerProgress};
pub use uri::{Uri, UriError};
pub use version::Version;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
