//! TCP for servers whose connections stay on one thread, at the cost of the
//! system calls alone.
//!
//! Any stream will do for this crate; those of `async-io` can be used from
//! every thread, and pay for that with interest that is registered anew for
//! every read. Here a socket is registered once, edge-triggered, in a reactor
//! of the thread, and asks the system for nothing that it was not told is
//! there: a message that comes and is answered costs one wait, one read and
//! one write.
//!
//! [`block_on`] runs the reactor, and on it whatever executor one likes that
//! keeps its tasks on the thread. A server for many cores runs one on each
//! thread, each with a listener of its own (`SO_REUSEPORT`).
//!
//! ```
//! use ws_smol::{Acceptor, OriginPolicy, net};
//!
//! # fn main() -> std::io::Result<()> {
//! let acceptor = &Acceptor::new(OriginPolicy::SameHost);
//! let executor = smol::LocalExecutor::new();
//! net::block_on(executor.run(async {
//!     let listener = net::TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
//! #   return Ok(());
//!     loop {
//!         let (stream, peer) = listener.accept().await?;
//!         executor
//!             .spawn(async move {
//!                 let mut websocket = acceptor.accept(stream, peer).await?;
//!                 while websocket
//!                     .receive_with(|message, replies| replies.queue(message))
//!                     .await?
//!                 {}
//!                 Ok::<(), ws_smol::Error>(())
//!             })
//!             .detach();
//!     }
//! }))?
//! # }
//! ```
//!
//! The deadlines of connections that are opened here are kept by this reactor
//! as well, with the time at which it woke last. What belongs to other reactors
//! (timers of one's own, files, pipes) goes on working: it wakes the thread.

mod reactor;
mod tcp;
mod time;

#[cfg(feature = "tls")]
pub(crate) use time::LongWork;
pub(crate) use time::{TimerHere, now_here};

pub use reactor::block_on;
pub use tcp::{TcpListener, TcpStream};
