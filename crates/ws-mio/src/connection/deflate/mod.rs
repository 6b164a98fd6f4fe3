//! permessage-deflate (RFC 7692): what a loop lends to connections that agreed
//! on it.
//!
//! Without the feature there is no [`DeflateCodec`](ws_proto::DeflateCodec),
//! and so nothing is lent.

mod codecs;
mod deflating;

pub(crate) use codecs::{Codecs, Inflating};
pub(crate) use deflating::{Deflating, Wire};
