//! One stream of a connection.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use h2::{Reason, RecvStream, SendStream};

/// One stream of an HTTP/2 connection, as the transport of a WebSocket.
///
/// Reading gives the payload of its DATA frames, and 0 bytes at END_STREAM. It acknowledges
/// what it gives, so that the peer may send as much again. Writing makes DATA frames,
/// as far as the peer's window and [`Config::send_buffer`](crate::Config::send_buffer) have room,
/// and waits otherwise. What is written leaves as the connection is polled: flushing waits for
/// nothing. Closing sends END_STREAM behind it.
///
/// # Errors
///
/// A stream that the peer resets, and a connection that is lost, are
/// [`ErrorKind::ConnectionReset`] with the [`h2::Error`] inside, or the error of the
/// transport. Writing after closing is [`ErrorKind::BrokenPipe`].
///
/// # Cancel safety
///
/// A read that is dropped loses nothing, and a write has taken nothing.
#[derive(Debug)]
pub struct Stream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What has come and was not read.
    input: Bytes,
    is_closed: bool,
}

impl Stream {
    pub(crate) const fn new(send: SendStream<Bytes>, recv: RecvStream) -> Self {
        Self {
            send,
            recv,
            input: Bytes::new(),
            is_closed: false,
        }
    }

    /// Returns the number of the stream in its connection.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.send.stream_id().as_u32()
    }

    /// Returns how many bytes have come and were not read, of those that were taken
    /// from the connection.
    #[cfg(feature = "mio")]
    pub(crate) const fn held(&self) -> usize {
        self.input.len()
    }

    /// Waits until some of `len` bytes can be written, and returns how many.
    fn poll_room(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        self.send.reserve_capacity(len);
        loop {
            // `poll_capacity` tells of what is added, and not of what is there.
            match self.send.capacity() {
                0 => match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
                    None => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
                },
                room => return Poll::Ready(Ok(room.min(len))),
            }
        }
    }

    fn send(&mut self, bytes: Bytes) -> Poll<io::Result<usize>> {
        let len = bytes.len();
        match self.send.send_data(bytes, false) {
            Ok(()) => Poll::Ready(Ok(len)),
            Err(error) => Poll::Ready(Err(to_io(error))),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // How many DATA frames of no length there may be, h2 says.
        while this.input.is_empty() {
            //= RFC8441-5-9
            match ready!(this.recv.poll_data(cx)) {
                Some(Ok(bytes)) => this.input = bytes,
                Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        let len = this.input.len().min(buffer.len());
        this.input.copy_to_slice(&mut buffer[..len]);
        // A stream that is over has no window to give back.
        let _ = this.recv.flow_control().release_capacity(len);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(this.poll_room(cx, bytes.len()))?;
        this.send(Bytes::copy_from_slice(&bytes[..room]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len = slices.iter().map(|slice| slice.len()).sum();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(this.poll_room(cx, len))?;
        let mut joined = BytesMut::with_capacity(room);
        for slice in slices {
            let len = slice.len().min(room - joined.len());
            joined.extend_from_slice(&slice[..len]);
        }
        this.send(joined.freeze())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_closed {
            return Poll::Ready(Ok(()));
        }
        this.is_closed = true;
        //= RFC8441-5-9
        Poll::Ready(this.send.send_data(Bytes::new(), true).map_err(to_io))
    }
}

/// Makes the error of a read or a write.
fn to_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| ErrorKind::Other.into());
    }
    let kind = match error.reason() {
        // The peer has all that it wanted.
        Some(Reason::NO_ERROR) if error.is_reset() => ErrorKind::BrokenPipe,
        _ => ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, error)
}
