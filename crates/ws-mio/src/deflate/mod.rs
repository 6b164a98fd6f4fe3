//! permessage-deflate (RFC 7692): what was agreed with a peer, and what a loop
//! lends to those that agreed.
//!
//! Without the feature the types are there, but no value of [`Terms`] is, and
//! so nothing is held or asked anywhere.

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod codecs;
#[cfg(feature = "deflate")]
mod deflating;
#[cfg(feature = "deflate")]
mod inflating;
#[cfg(feature = "deflate")]
mod terms;
#[cfg(feature = "deflate")]
mod wire;

#[cfg(not(feature = "deflate"))]
pub(crate) use absent::{Codecs, Deflating, Inflating, Rest, Terms, Wire};
#[cfg(feature = "deflate")]
pub(crate) use codecs::Codecs;
#[cfg(feature = "deflate")]
pub(crate) use deflating::Deflating;
#[cfg(feature = "deflate")]
pub(crate) use inflating::{Inflating, Rest};
#[cfg(feature = "deflate")]
pub(crate) use terms::Terms;
#[cfg(feature = "deflate")]
pub(crate) use wire::Wire;
