//! A TLS stream over a stream.

use std::{
    cell::Cell,
    io::{self, ErrorKind},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::handshaking::Turn;
use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use ws_tls::{Plaintext, Records, Session, TlsError, rustls::CommonState};

/// What a TLS connection owns. While it is idle, nothing is on the heap beside
/// it but what rustls keeps.
#[derive(Debug)]
pub(crate) struct TlsStream<S> {
    inner: S,
    session: Session,
    /// Payload that was decrypted and did not fit into what was read into.
    plain: Plaintext,
    /// Ciphertext that the stream has not taken yet.
    held: Vec<u8>,
    /// How much of it was written.
    held_written: usize,
    /// `close_notify` was queued, or never will be.
    is_closing: bool,
}

impl<S> TlsStream<S> {
    pub(super) const fn new(inner: S, session: Session) -> Self {
        Self {
            inner,
            session,
            plain: Plaintext::new(),
            held: Vec::new(),
            held_written: 0,
            is_closing: false,
        }
    }

    pub(crate) const fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(crate) fn state(&self) -> &CommonState {
        self.session.state()
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Goes on with the TLS handshake until it is over, and what it has to say
    /// is written.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_buffers(|buffers| {
            // Without an input: the client has the first word.
            if self.session.is_handshaking() && self.session.kept() == 0 {
                let said = self.session.receive(&mut [], |_| {}, &mut buffers.out);
                self.hold(&mut buffers.out);
                said.map_err(io::Error::from)?;
            }
            let mut turn = Turn::new();
            loop {
                let written = self.poll_written(cx)?;
                if !self.session.is_handshaking() {
                    return written.map(Ok);
                }
                ready!(turn.poll_goes_on(cx));
                let mut plain = mem::take(&mut self.plain);
                let fetched = self.poll_fetch(cx, buffers, READ_MIN, |payload| {
                    plain.give(payload, &mut []);
                });
                self.plain = plain;
                turn.note(ready!(fetched)?);
            }
        })
    }

    /// Reads once, hands the payload out, and answers what TLS itself is to
    /// answer. `room` is how much payload is wanted. Returns how many bytes of
    /// ciphertext were read.
    fn poll_fetch(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut Buffers,
        room: usize,
        payload: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let kept = self.session.kept();
        if kept > KEPT_MAX {
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        }
        let end = kept + room.clamp(READ_MIN, READ_MAX);
        if buffers.input.len() < end {
            buffers.input.resize(end, 0);
        }
        let space = &mut buffers.input[kept..end];
        let len = loop {
            match ready!(Pin::new(&mut self.inner).poll_read(cx, space)) {
                Ok(0) => {
                    let error = match self.session.is_handshaking() {
                        true => TlsError::EndedInHandshake,
                        false => TlsError::Truncated,
                    };
                    return Poll::Ready(Err(error.into()));
                }
                Ok(len) => break len.min(space.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        };
        let input = &mut buffers.input[..kept + len];
        let received = self.session.receive(input, payload, &mut buffers.out);
        self.hold(&mut buffers.out);
        // Whether an alert leaves is no matter: its reason is told here.
        let written = match self.held.is_empty() {
            true => Poll::Ready(Ok(())),
            false => self.poll_written(cx),
        };
        received.map_err(io::Error::from)?;
        match written {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The rest leaves with what is written next.
            _ => Poll::Ready(Ok(len)),
        }
    }

    /// Encrypts slices, up to a flight of them; returns how much was taken.
    fn encrypt(&mut self, slices: &[IoSlice<'_>], buffers: &mut Buffers) -> io::Result<usize> {
        let Buffers { out, join, .. } = buffers;
        join.clear();
        let mut taken = 0;
        for slice in slices {
            let slice = &slice[..slice.len().min(FLIGHT - taken - join.len())];
            // What is short shares a record, and what is long is not copied.
            if join.len() + slice.len() <= RECORD && slice.len() <= JOIN_MAX {
                join.extend_from_slice(slice);
                continue;
            }
            for piece in [&join[..], slice] {
                if !piece.is_empty() && self.session.send(piece, out)? {
                    taken += piece.len();
                }
            }
            join.clear();
        }
        if !join.is_empty() && self.session.send(join, out)? {
            taken += join.len();
        }
        Ok(taken)
    }

    /// Puts records behind what waits to be written.
    fn hold(&mut self, out: &mut Records) {
        self.held.extend_from_slice(out.as_slice());
        out.clear();
    }

    /// Writes what waits.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held_written < self.held.len() {
            let rest = &self.held[self.held_written..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(len) => self.held_written += len.min(rest.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        (self.held, self.held_written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Writes what waits, and has it sent.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        loop {
            match ready!(Pin::new(&mut self.inner).poll_flush(cx)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                flushed => return Poll::Ready(flushed),
            }
        }
    }

    /// Writes records at once as far as they are taken, and keeps the rest.
    fn write_out(&mut self, cx: &mut Context<'_>, out: &mut Records) -> io::Result<()> {
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            match Pin::new(&mut self.inner).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(len)) => rest = &rest[len.min(rest.len())..],
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.held.extend_from_slice(rest);
        out.clear();
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.plain.is_empty() || buffer.is_empty() {
            return Poll::Ready(Ok(this.plain.take(buffer)));
        }
        if let Some(error) = this.session.failure() {
            return Poll::Ready(Err(error.clone().into()));
        }
        with_buffers(|buffers| {
            let mut turn = Turn::new();
            loop {
                // Records without payload: others have their turn.
                ready!(turn.poll_goes_on(cx));
                if this.session.is_ended() {
                    return Poll::Ready(Ok(0));
                }
                let mut len = 0;
                let mut plain = mem::take(&mut this.plain);
                let fetched = this.poll_fetch(cx, buffers, buffer.len(), |payload| {
                    len += plain.give(payload, &mut buffer[len..]);
                });
                this.plain = plain;
                match fetched {
                    // What came before an error is handed out first.
                    _ if len > 0 => return Poll::Ready(Ok(len)),
                    Poll::Ready(Ok(read)) => turn.note(read),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
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
        if this.is_closing {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        // Nothing more is taken before what was is gone.
        ready!(this.poll_held(cx))?;
        with_buffers(|buffers| {
            let taken = this.encrypt(slices, buffers)?;
            this.write_out(cx, &mut buffers.out)?;
            match taken {
                0 if slices.iter().any(|slice| !slice.is_empty()) => {
                    Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
                }
                taken => Poll::Ready(Ok(taken)),
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_written(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !mem::replace(&mut this.is_closing, true) {
            with_buffers(|buffers| {
                // After a failure its alert was the last word.
                let _ = this.session.close(&mut buffers.out);
                this.hold(&mut buffers.out);
            });
        }
        ready!(this.poll_written(cx))?;
        Pin::new(&mut this.inner).poll_close(cx)
    }
}

/// What one TLS connection at a time works with; the thread's.
#[derive(Default)]
struct Buffers {
    /// Ciphertext that has come, decrypted where it lies.
    input: Vec<u8>,
    /// Ciphertext that is to go.
    out: Records,
    /// Payload that shares a record.
    join: Vec<u8>,
}

/// Lends the thread's buffers.
fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    thread_local! {
        static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
    }
    // Whoever is called from within, as a waker may be, gets others.
    let mut buffers = BUFFERS.take().unwrap_or_default();
    buffers.out.clear();
    let done = work(&mut buffers);
    BUFFERS.set(Some(buffers));
    done
}

/// How much payload is encrypted before it is written.
const FLIGHT: usize = 64 * 1024;
/// A slice up to this length shares its record with what follows.
const JOIN_MAX: usize = 4 * 1024;
/// How much payload a record holds.
const RECORD: usize = 16 * 1024;
/// What is read at least and at most, so that what the reader has no room for
/// stays short.
const READ_MIN: usize = RECORD + 512;
const READ_MAX: usize = FLIGHT + 2 * 1024;
/// More than the longest message of a handshake.
const KEPT_MAX: usize = 128 * 1024;
