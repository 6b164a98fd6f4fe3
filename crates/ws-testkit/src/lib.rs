//! What the tests of several crates need: how a server behaves over time, certificates, TLS in
//! memory, a process without descriptors, and what cargo builds with a crate. It is not published.

pub mod behaviour;
pub mod certificates;
#[cfg(unix)]
pub mod descriptors;
pub mod tls;
pub mod tree;
