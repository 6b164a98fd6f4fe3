//! The client's side: the request that is sent, and what may answer it.

mod handshake;
mod reply;
mod request;
mod response;
mod terms;

pub use handshake::{ClientHandshake, ClientProgress};
pub(crate) use reply::Interim;
#[cfg(feature = "proxy")]
pub(crate) use reply::Reply;
pub(crate) use request::Listed;
pub use request::{ClientRequest, ClientRequestError};
pub use response::HttpResponse;
pub use terms::Agreed;
pub(crate) use terms::Terms;

/// The first byte of a record that refuses what is not TLS (RFC 8446 section 5.1); no reply of HTTP
/// begins with it.
pub(crate) const TLS_ALERT: u8 = 21;
