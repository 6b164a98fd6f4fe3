//! What is said to a proxy before the handshake, without sockets: bytes in, bytes out.
//!
//! - A client behind a proxy opens a [`Tunnel`] to its server, by HTTP CONNECT or SOCKS5, and then
//!   goes on as if it were connected to the server itself.
//! - A server behind a proxy that speaks the PROXY protocol reads a [`ProxyHeader`], which tells
//!   where the client is.
//!
//! ```
//! use ws_handshake::proxy::{Proxy, Tunnel, TunnelProgress};
//!
//! let proxy: Proxy = "http://alice:secret@proxy.example:3128".parse()?;
//! let mut tunnel = Tunnel::new(&proxy, "example.com", 443)?;
//! // Connect to `proxy.host_for_connect()` and `proxy.port()`, then send, read, and send again.
//! assert!(tunnel.to_send().starts_with(b"CONNECT example.com:443 HTTP/1.1\r\n"));
//! tunnel.sent(tunnel.to_send().len());
//!
//! let input = b"HTTP/1.1 200 Connection established\r\n\r\nmore";
//! match tunnel.receive(input)? {
//!     TunnelProgress::Incomplete => unreachable!("the reply is complete"), // else send what is to be sent, and read
//!     TunnelProgress::Open { consumed } => assert_eq!(&input[consumed..], b"more"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connect;
mod env;
mod header;
mod outcome;
mod socks;
mod trusted;
mod tunnel;
mod url;

pub use header::{ProxyHeader, ProxyHeaderError, UnixPath};
pub use outcome::{SocksReply, TunnelError, TunnelProgress};
pub use trusted::TrustedProxies;
pub use tunnel::Tunnel;
pub use url::{Proxy, ProxyScheme, ProxyUrlError};
