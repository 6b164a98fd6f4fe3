//! TLS over any transport.

mod listener;
mod transport;

pub use listener::TlsListener;
pub use transport::Tls;
