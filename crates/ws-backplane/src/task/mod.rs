//! A node as a future, and the handle by which other threads reach it.

mod calls;
mod driver;
#[cfg(all(feature = "nats", feature = "tls"))]
mod nats_tls;
#[cfg(feature = "tls")]
mod tls;

use std::io;

pub use calls::Node;
pub use driver::{Connect, run};
#[cfg(all(feature = "nats", feature = "tls"))]
pub use nats_tls::{NatsTlsStream, connect_nats_tls};
#[cfg(feature = "tls")]
pub use tls::connect_tls;

/// Connects to a server over TCP, without delay of small writes: what
/// [`run`] wants for an engine without TLS.
///
/// # Errors
///
/// Those of looking up the name, and of connecting.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind.
pub async fn connect_tcp(host: &str, port: u16) -> io::Result<async_net::TcpStream> {
    let stream = async_net::TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
