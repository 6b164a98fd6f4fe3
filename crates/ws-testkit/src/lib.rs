//! What the tests of several crates need: certificates, TLS in memory, and a process without descriptors. It is not
//! published.

pub mod certificates;
#[cfg(unix)]
pub mod descriptors;
pub mod tls;
