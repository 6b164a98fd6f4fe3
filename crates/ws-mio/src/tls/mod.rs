//! TLS over any transport.

mod buffers;
mod listener;
mod stream;
mod transport;

pub use listener::TlsListener;
pub use transport::Tls;
