//! permessage-deflate: the payload transformation (RFC 7692 section 7.2).
//!
//! What a connection keeps is small: a [`DeflateCodec`], which is an `Inflater`
//! for what it receives and a `Deflater` for what it sends. The memory that the
//! work takes is lent by the loop, from an [`InflatePool`] and a
//! [`DeflatePool`].

mod budget;
mod codec;
mod deflater;
mod history;
mod inflater;
mod kept;
mod open;
mod pool;
mod prepared;
mod window;

pub use budget::Budget;
pub use codec::DeflateCodec;
pub use deflater::Deflater;
pub use inflater::{InflateConfig, InflatePool, Inflater};
pub use pool::{DeflateConfig, DeflatePool};
pub(crate) use prepared::DeflatedFrame;
pub use window::DeflateWindow;
