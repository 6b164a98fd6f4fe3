//! The crate as a user sees it: servers on threads, loops in virtual time over in-memory
//! transports, and sockets. A test with a program of its own changes what belongs to the whole
//! process.

mod adopting;
mod backpressure;
mod behaviour;
mod closing;
mod common;
mod config;
mod decisions;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_memory;
mod end_of_transport;
mod hostile;
mod large_messages;
mod limits;
#[cfg(unix)]
mod listeners;
mod masking;
mod max_frame_sent;
mod memory;
mod metrics;
#[cfg(not(feature = "deflate"))]
mod no_deflate;
mod outgoing;
mod own_loop;
mod panics;
mod peer_addr;
mod profiles;
#[cfg(feature = "proxy")]
mod proxied;
mod publication_order;
mod remote;
mod server;
mod share;
mod slow_consumer;
mod socket;
mod threads;
mod timeouts;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(all(feature = "proxy", feature = "tls"))]
mod tls_and_proxies;
#[cfg(feature = "tls")]
mod tls_sockets;
mod topics;
mod transports;
#[cfg(feature = "proxy")]
mod tunneled;
mod under_tls;
