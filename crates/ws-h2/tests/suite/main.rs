//! The crate as a user sees it, over connections in memory.

#[cfg(feature = "mio")]
mod adopting;
#[cfg(feature = "tls")]
mod alpn;
mod ending;
mod flow;
mod hostile;
mod opening;
mod raw;
mod support;
