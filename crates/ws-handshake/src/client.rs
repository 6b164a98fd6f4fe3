//! The client's side: the request that is sent, and what may answer it.

mod handshake;
mod reply;
mod request;
mod response;

pub use handshake::{Agreed, ClientHandshake, ClientProgress};
#[cfg(feature = "proxy")]
pub(crate) use reply::{Interim, Reply};
pub use request::{ClientRequest, ClientRequestError};
pub use response::HttpResponse;

/// The first byte of a record that refuses what is not TLS (RFC 8446 section 5.1); no reply of HTTP begins with it.
pub(crate) const TLS_ALERT: u8 = 21;
