//! Sockets and tasks for servers whose connections stay on one thread, at the cost
//! of the system calls alone.
//!
//! Any stream will do for this crate; those of `async-io` can be used from
//! every thread, and pay for that with interest that is registered anew for
//! every read. Here a socket is registered once, edge-triggered, in a reactor
//! of the thread, and asks the system for nothing that it was not told is
//! there: a message that comes and is answered costs one wait, one read and
//! one write.
//!
//! [`block_on`] runs the reactor, and [`spawn`] starts a task on it. A server for
//! many cores runs one on each thread, each with a clone of the listener:
//!
//! ```
//! use std::{io, net, thread};
//!
//! use ws_smol::{Acceptor, Error, OriginPolicy, net::{TcpListener, TcpStream, block_on, spawn}};
//!
//! fn main() -> io::Result<()> {
//!     let listener = net::TcpListener::bind("127.0.0.1:0")?;
//! #   return Ok(());
//!     let acceptor = &Acceptor::new(OriginPolicy::SameHost);
//!     thread::scope(|scope| {
//!         for _ in 0..2 {
//!             scope.spawn(|| block_on(serve(listener.try_clone()?, acceptor))?);
//!         }
//!     });
//!     Ok(())
//! }
//!
//! async fn serve(listener: net::TcpListener, acceptor: &Acceptor) -> io::Result<()> {
//!     let listener = TcpListener::from_std(listener)?;
//!     loop {
//!         let (stream, peer) = listener.accept().await?;
//!         spawn(echo(acceptor.clone(), stream, peer));
//!     }
//! }
//!
//! async fn echo(acceptor: Acceptor, stream: TcpStream, peer: net::SocketAddr) -> Result<(), Error> {
//!     let mut websocket = acceptor.accept(stream, peer).await?;
//!     while websocket.receive_with(|message, replies| replies.queue(message)).await? {}
//!     Ok(())
//! }
//! ```
//!
//! Unix-domain sockets are there too, as `UnixListener` and `UnixStream`. Any other
//! executor that keeps its tasks on the thread may run within `block_on` as well.
//!
//! The deadlines of connections that are opened here are kept by this reactor
//! as well, with the time at which it woke last. What belongs to other reactors
//! (timers of one's own, files, pipes) goes on working: it wakes the thread.

mod listener;
mod reactor;
mod socket;
mod stream;
mod tasks;
mod time;

pub use listener::TcpListener;
#[cfg(unix)]
pub use listener::UnixListener;
pub use reactor::block_on;
pub use stream::TcpStream;
#[cfg(unix)]
pub use stream::UnixStream;
pub use tasks::spawn;
#[cfg(feature = "tls")]
pub(crate) use time::LongWork;
pub(crate) use time::{TimerHere, now_here};
