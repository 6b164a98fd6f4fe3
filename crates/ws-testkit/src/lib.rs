//! What the tests of several crates need: how a server behaves over time, certificates, TLS in memory, and a process
//! without descriptors. It is not published.

pub mod behaviour;
pub mod certificates;
#[cfg(unix)]
pub mod descriptors;
pub mod tls;
