//! A connection without a network.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read as _},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};

/// Makes both ends of a connection within the process, for tests and for those
/// who embed both sides.
///
/// Up to `capacity` bytes, at least one, wait in either direction; who would
/// write more waits. The ends may be on different threads. An end that is
/// dropped has ended: the other reads what is left, and cannot write any more.
///
/// ```
/// use smol::future::zip;
/// use ws_smol::{Acceptor, ClientRequest, Connector, Message, OriginPolicy, PeerAddr, Uri, duplex};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # smol::block_on(async {
/// let (near, far) = duplex(16 * 1024);
/// let (connector, acceptor) = (Connector::new(), Acceptor::new(OriginPolicy::SameHost));
/// let request = ClientRequest::new(Uri::parse("ws://localhost/")?);
/// let (client, server) = zip(
///     connector.handshake(near, PeerAddr::Local, request),
///     acceptor.accept(far, PeerAddr::Local),
/// )
/// .await;
/// let (mut client, mut server) = (client?, server?);
/// client.send("Hello").await?;
/// assert_eq!(server.receive().await?, Some(Message::from("Hello")));
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub fn duplex(capacity: usize) -> (Duplex, Duplex) {
    let capacity = capacity.max(1);
    let (there, back) = (Channel::with(capacity), Channel::with(capacity));
    let near = Duplex {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    let far = Duplex {
        incoming: there,
        outgoing: back,
    };
    (near, far)
}

/// One end of a connection within the process. See [`duplex`].
#[derive(Debug)]
pub struct Duplex {
    incoming: Arc<Channel>,
    outgoing: Arc<Channel>,
}

/// One direction.
#[derive(Debug)]
struct Channel(Mutex<State>);

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more is written.
    is_closed: bool,
    /// Nobody reads any more.
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Channel {
    fn with(capacity: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            bytes: VecDeque::new(),
            capacity,
            is_closed: false,
            is_abandoned: false,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes a task that waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, Option<Waker>)) -> T {
        let (outcome, task) = change(&mut self.lock());
        if let Some(task) = task {
            task.wake();
        }
        outcome
    }

    fn close(&self) {
        self.change(|state| {
            state.is_closed = true;
            ((), state.reader.take())
        });
    }

    fn abandon(&self) {
        self.change(|state| {
            state.is_abandoned = true;
            state.bytes = VecDeque::new();
            ((), state.writer.take())
        });
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // It is dropped once nothing is locked: that may drop a task, and its
        // end of the connection.
        let mut replaced = None;
        self.incoming.change(|state| {
            if state.bytes.is_empty() && !state.is_closed && !buffer.is_empty() {
                replaced = state.reader.replace(cx.waker().clone());
                return (Poll::Pending, None);
            }
            let read = state.bytes.read(buffer);
            (Poll::Ready(read), state.writer.take())
        })
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut replaced = None;
        self.outgoing.change(|state| {
            if state.is_closed || state.is_abandoned {
                return (Poll::Ready(Err(ErrorKind::BrokenPipe.into())), None);
            }
            let len = state.append(slices);
            if len == 0 && slices.iter().any(|slice| !slice.is_empty()) {
                replaced = state.writer.replace(cx.waker().clone());
                return (Poll::Pending, None);
            }
            (Poll::Ready(Ok(len)), state.reader.take())
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}

impl State {
    /// Takes as much as there is room for.
    fn append(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let mut taken = 0;
        for slice in slices {
            let room = self.capacity - self.bytes.len();
            let len = slice.len().min(room);
            self.bytes.extend(&slice[..len]);
            taken += len;
        }
        taken
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        self.outgoing.close();
        self.incoming.abandon();
    }
}

#[cfg(test)]
mod tests {
    use smol::{
        future::{poll_once, zip},
        io::{AsyncReadExt as _, AsyncWriteExt as _},
    };

    use super::*;

    #[test]
    fn bytes_come_in_order_through_any_capacity() {
        let sent: Vec<u8> = (0..10_000).map(|i| (i % 251) as u8).collect();
        for capacity in [0, 1, 7, 4096, 1 << 20] {
            let (mut near, mut far) = duplex(capacity);
            let write = async {
                near.write_all(&sent).await.unwrap();
                near.close().await.unwrap();
                assert!(near.write(b"x").await.is_err());
            };
            let mut read = Vec::new();
            let (_, outcome) = smol::block_on(zip(write, far.read_to_end(&mut read)));
            outcome.unwrap();
            assert!(read == sent);
        }
    }

    #[test]
    fn writer_waits_at_the_capacity() {
        smol::block_on(async {
            let (mut near, mut far) = duplex(3);
            let slices = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
            assert_eq!(near.write_vectored(&slices).await.unwrap(), 3);
            assert!(poll_once(near.write(b"d")).await.is_none());
            let mut buffer = [0; 10];
            assert_eq!(far.read(&mut buffer).await.unwrap(), 3);
            assert_eq!(near.write(b"d").await.unwrap(), 1);
        });
    }

    #[test]
    fn dropped_end_has_ended_and_wakes_the_other() {
        smol::block_on(async {
            let (mut near, mut far) = duplex(3);
            near.write_all(b"abc").await.unwrap();
            drop(near);
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"abc");
            assert_eq!(
                far.write(b"d").await.unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );

            let (mut near, far) = duplex(1);
            let write = async {
                assert!(near.write_all(b"abc").await.is_err());
            };
            zip(write, async { drop(far) }).await;
        });
    }
}
