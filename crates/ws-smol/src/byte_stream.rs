//! A WebSocket as a stream of bytes.

use std::{
    fmt,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{CloseCode, Message as MessageRef};

use crate::{
    AsOutbound as _, WebSocket,
    engine::{Engine, Want},
    outgoing::Outgoing,
    signals::Side,
};

/// A WebSocket whose binary messages are one stream of bytes each way, for
/// protocols such as MQTT and SSH, and for tunnels:
/// [`WebSocket::into_stream`] makes it.
///
/// ```
/// use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
/// # use ws_smol::{Error, WebSocket};
///
/// # async fn example(websocket: WebSocket<smol::net::TcpStream>) -> std::io::Result<()> {
/// let mut stream = websocket.into_stream();
/// stream.write_all(b"CONNECT").await?;
/// stream.flush().await?;
/// let mut answer = [0; 4];
/// stream.read_exact(&mut answer).await?;
/// stream.close().await
/// # }
/// ```
///
/// # What is sent and received
///
/// Each write is a binary message of at most 64 KiB. Where messages begin and
/// end means nothing to who reads, and so for what is written: peers may cut
/// as they like, and an empty message is nothing. A write tries to send at once;
/// [`flush`](AsyncWrite::poll_flush) waits until all is sent.
///
/// A text message has no place here. It is answered with a Close of 1003, and
/// reading fails with [`ErrorKind::InvalidData`] from then on.
///
/// # End of file
///
/// [`close`](AsyncWrite::poll_close) sends a Close and waits for that of the
/// peer. A WebSocket does not end one direction alone: nothing can be written
/// after it, and the peer stops too. What it sent before it knew is kept to be
/// read, up to [`Config::max_read_ahead`](crate::Config::max_read_ahead); who
/// wants all of it reads to the end first, or meanwhile.
///
/// Once the peer has closed as it should (code 1000, 1001 or none), reading
/// gives 0 bytes, the end of file, and writing fails with
/// [`ErrorKind::BrokenPipe`]. An end without a Close is
/// [`ErrorKind::UnexpectedEof`], so that nobody takes a stream that was cut off
/// for a whole one. Other errors are those of [`WebSocket::receive`] as
/// [`io::Error`] has them; the [`Error`](crate::Error) is inside.
///
/// # Flow control
///
/// Nothing is read from the transport but what is asked for, besides what
/// writing reads to find Pings and the peer's Close, up to `max_read_ahead`.
/// So a peer that sends more than is read waits, as its transport is full. A write
/// waits while [`Config::max_backpressure`](crate::Config::max_backpressure) bytes wait for
/// the transport. A piece of a message that did not fit into the reader's buffer
/// is kept: at most what one read from the transport gave, or what was read
/// ahead.
///
/// As with a [`WebSocket`], nothing goes on while no operation runs.
///
/// # Cancel safety
///
/// All state is in here. A future that reads may be dropped at any time, and
/// nothing is lost; one that writes has taken either nothing or the number of
/// bytes that it returned. Halves for two tasks are those that `split` of
/// `futures` or `smol` makes.
pub struct ByteStream<S> {
    websocket: WebSocket<S>,
    /// What was received and did not fit into the reader's buffer.
    rest: Vec<u8>,
    /// How much of it was read.
    taken: usize,
    /// Why reading is over, if that is no end of file.
    failed: Option<ErrorKind>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Makes a stream of bytes of it, over binary messages. See [`ByteStream`].
    #[must_use]
    pub const fn into_stream(self) -> ByteStream<S> {
        ByteStream {
            websocket: self,
            rest: Vec::new(),
            taken: 0,
            failed: None,
        }
    }
}

impl<S> ByteStream<S> {
    /// Lends the WebSocket, to ask it for what was agreed on and how it ended.
    #[must_use]
    pub const fn websocket(&self) -> &WebSocket<S> {
        &self.websocket
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream<S> {
    /// Takes what is left of the piece that was received last; 0 if nothing is.
    fn take_rest(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.rest[self.taken..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        if self.taken == self.rest.len() {
            self.rest = Vec::new();
            self.taken = 0;
        }
        len
    }

    /// Closes because of a text message, as far as that goes without a wait.
    fn refuse_text(&mut self, cx: &Context<'_>) {
        // A connection that is closing already says all that there is to say.
        let _ = self.websocket.queue_close(CloseCode::UNSUPPORTED_DATA, "");
        let engine = self.websocket.engine();
        let _ = engine.poll(cx, Side::Read, Engine::poll_flush);
    }

    fn fail(&mut self, error: io::Error) -> Poll<io::Result<usize>> {
        self.failed = Some(error.kind());
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buffer.is_empty() || !this.rest.is_empty() {
            return Poll::Ready(Ok(this.take_rest(buffer)));
        }
        if let Some(kind) = this.failed {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            let engine = this.websocket.engine();
            engine.lent = None;
            let receiving = engine.poll(cx, Side::Read, |engine| engine.poll_receive(Want::Chunk));
            let data = match ready!(receiving) {
                Ok(Some(found)) => engine.lend(found).data,
                Ok(None) => return Poll::Ready(Ok(0)),
                Err(error) => return this.fail(error.into()),
            };
            match data {
                MessageRef::Binary([]) => {}
                MessageRef::Binary(bytes) => {
                    let len = bytes.len().min(buffer.len());
                    buffer[..len].copy_from_slice(&bytes[..len]);
                    this.rest.extend_from_slice(&bytes[len..]);
                    return Poll::Ready(Ok(len));
                }
                MessageRef::Text(_) => {
                    this.refuse_text(cx);
                    return this.fail(io::Error::new(ErrorKind::InvalidData, TEXT));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let engine = self.get_mut().websocket.engine();
        let bytes = &bytes[..bytes.len().min(MAX_MESSAGE)];
        ready!(engine.poll(cx, Side::Write, Engine::poll_ready))?;
        if !bytes.is_empty() {
            engine.queue_unbounded(&Outgoing::Message(bytes.as_outbound()))?;
            // What does not leave now leaves later, and so does an error.
            let _ = engine.poll(cx, Side::Write, Engine::poll_flush);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let engine = self.get_mut().websocket.engine();
        Poll::Ready(Ok(ready!(engine.poll(
            cx,
            Side::Write,
            Engine::poll_flush
        ))?))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let engine = self.get_mut().websocket.engine();
        Poll::Ready(Ok(ready!(engine.poll(
            cx,
            Side::Write,
            Engine::poll_close
        ))?))
    }
}

impl<S> fmt::Debug for ByteStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("websocket", &self.websocket)
            .field("rest", &(self.rest.len() - self.taken))
            .finish_non_exhaustive()
    }
}

const TEXT: &str = "a text message came where there is a stream of bytes";

/// How many bytes of a write go into a message: enough that its header costs
/// nothing, and less than any peer refuses.
const MAX_MESSAGE: usize = 64 * 1024;
