//! A stream that shows what passes through it: the heads of the opening
//! handshake, and each frame.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    frame::{Frame, FrameReader},
    runtime::io::{AsyncRead, AsyncWrite},
};

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Sent,
    Received,
}

/// Whoever is shown what passes.
pub(crate) trait Observer {
    /// The head of a request or a response, with the empty line at its end.
    fn head(&mut self, way: Way, head: &[u8]);
    fn frame(&mut self, way: Way, frame: &Frame);
}

/// A stream, and who watches it. For one thread.
pub(crate) struct Tap<S, O> {
    stream: S,
    observer: Rc<RefCell<O>>,
    sent: Passage,
    received: Passage,
}

impl<S, O> Tap<S, O> {
    /// Watches a stream before its opening handshake.
    pub(crate) fn new(stream: S, observer: Rc<RefCell<O>>) -> Self {
        Self {
            stream,
            observer,
            sent: Passage::default(),
            received: Passage::default(),
        }
    }
}

/// How far the bytes of one direction are understood.
#[derive(Debug)]
enum Passage {
    Head(Vec<u8>),
    Frames(FrameReader),
    /// What follows is no WebSocket.
    Other,
}

impl Default for Passage {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Passage {
    fn pass(&mut self, way: Way, mut bytes: &[u8], observer: &mut impl Observer) {
        while !bytes.is_empty() {
            match self {
                Self::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(end) = end_of_head(head) else {
                        if head.len() > MAX_HEAD {
                            *self = Self::Other;
                        }
                        return;
                    };
                    head.truncate(end);
                    bytes = &bytes[end - before..];
                    observer.head(way, head);
                    *self = after_head(head);
                }
                Self::Frames(reader) => {
                    reader.read(bytes, |frame| observer.frame(way, frame));
                    return;
                }
                Self::Other => return,
            }
        }
    }
}

/// What comes behind a head: frames behind a request and a 101, another head
/// behind an interim reply, and a page behind the rest.
fn after_head(head: &[u8]) -> Passage {
    match head.strip_prefix(b"HTTP/1.1 ") {
        None | Some([b'1', b'0', b'1', ..]) => Passage::Frames(FrameReader::default()),
        Some([b'1', ..]) => Passage::default(),
        Some(_) => Passage::Other,
    }
}

fn end_of_head(head: &[u8]) -> Option<usize> {
    let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    Some(end + 4)
}

/// No head is longer that either side takes.
const MAX_HEAD: usize = 128 * 1024;

impl<S: AsyncRead + Unpin, O: Observer> AsyncRead for Tap<S, O> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let n = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let mut observer = this.observer.borrow_mut();
        this.received
            .pass(Way::Received, &buffer[..n], &mut *observer);
        Poll::Ready(Ok(n))
    }
}

impl<S: AsyncWrite + Unpin, O: Observer> AsyncWrite for Tap<S, O> {
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
        let this = self.get_mut();
        let n = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        let mut observer = this.observer.borrow_mut();
        let mut left = n;
        for slice in slices {
            let taken = left.min(slice.len());
            this.sent.pass(Way::Sent, &slice[..taken], &mut *observer);
            left -= taken;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Observer for Notes {
        fn head(&mut self, way: Way, head: &[u8]) {
            self.0.push(format!(
                "{way:?} {}",
                String::from_utf8_lossy(head).lines().next().unwrap()
            ));
        }

        fn frame(&mut self, way: Way, frame: &Frame) {
            self.0
                .push(format!("{way:?} {:x} {}", frame.opcode(), frame.len));
        }
    }

    fn notes(way: Way, wire: &[u8], piece: usize) -> Vec<String> {
        let (mut passage, mut notes) = (Passage::default(), Notes::default());
        for bytes in wire.chunks(piece) {
            passage.pass(way, bytes, &mut notes);
        }
        notes.0
    }

    #[test]
    fn heads_and_frames_are_told_apart_in_any_pieces() {
        let wire =
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 x\r\nA: b\r\n\r\n\x81\x01a\x89\x00";
        for piece in 1..wire.len() {
            assert_eq!(
                notes(Way::Received, wire, piece),
                [
                    "Received HTTP/1.1 103 Early Hints",
                    "Received HTTP/1.1 101 x",
                    "Received 1 1",
                    "Received 9 0"
                ]
            );
        }
    }

    #[test]
    fn page_of_a_refusal_is_not_taken_for_frames() {
        let wire = b"HTTP/1.1 404 x\r\n\r\n\x81\x01a";
        assert_eq!(notes(Way::Received, wire, 7), ["Received HTTP/1.1 404 x"]);
    }
}
