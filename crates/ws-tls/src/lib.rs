//! TLS for WebSocket endpoints, without sockets: configurations of [rustls] made of PEM or DER,
//! errors by cause, and a [`TlsConnection`] over
//! any byte stream.
//!
//! It opens no connection and knows nothing of WebSocket; it is the one crate here that knows the
//! version of rustls, and re-exports it for those who configure more than it does.
//!
//! ```no_run
//! use ws_tls::{ClientTls, ServerTls, server_name};
//!
//! let server = ServerTls::from_pem(&std::fs::read("server.pem")?, &std::fs::read("server-key.pem")?)?;
//! let client = ClientTls::with_ca(&std::fs::read("ca.pem")?)?;
//! let name = server_name("intranet.example")?;
//! # let _ = (server, client, name);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Both sides offer the protocol `http/1.1` (ALPN), which is the one that WebSocket begins with, or
//! [others](ServerTls::protocols), and resume sessions. The
//! provider of cryptography is ring, unless the application brings another.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod fault;

mod buffers;
mod client;
mod connection;
mod error;
mod files;
mod name;
mod pin;
mod plaintext;
mod records;
mod server;
mod session;
mod work;

pub use client::{ClientTls, ClientTlsBuilder};
pub use connection::{RawStream, TlsConnection};
pub use error::{TlsConfigError, TlsError};
pub use files::FileKind;
pub use name::server_name;
pub use pin::key_sha256;
pub use rustls;
pub use server::{ServerTls, ServerTlsBuilder};

/// The protocol that a WebSocket connection begins with (RFC 7301 section 6).
const ALPN: &[u8] = b"http/1.1";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
