//! One TLS connection, over the transport that it is lent.

use std::io::{self, IoSlice};

use tracing::debug;
use ws_tls::{Plaintext, Records, Session, TlsError, rustls};

use super::buffers::{Buffers, with_buffers};
use crate::{Transport, share::INTERRUPTED};

/// What a TLS connection owns beside its transport. While it is idle, nothing
/// is on the heap but what rustls keeps.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) session: Session,
    /// Payload that was decrypted and did not fit into what was read into.
    plain: Plaintext,
    /// Ciphertext that the transport did not take.
    held: Vec<u8>,
    /// How much of it was written since.
    held_written: usize,
    /// The transport below is connected.
    is_connected: bool,
    /// The last read has taken all that there was.
    is_drained: bool,
    /// Something has come.
    is_begun: bool,
    /// How many bytes have come in a row without any payload.
    fruitless: usize,
    /// How many bytes more have come than payload was handed out, since that was
    /// last told.
    owed: usize,
    end: End,
}

/// How far the end of our direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// It follows what is held.
    Due,
    /// It was told, or never will be.
    Told,
}

/// How much payload is encrypted before it is written.
const FLIGHT: usize = 64 * 1024;
/// A slice up to this length shares its record with what follows; it is not
/// worth one of its own.
const JOIN_MAX: usize = 4 * 1024;
/// How much payload a record holds.
const RECORD: usize = 16 * 1024;
/// What is read at least and at most, so that what the reader has no room for
/// stays short.
const READ_MIN: usize = RECORD + 512;
const READ_MAX: usize = FLIGHT + 2 * 1024;
/// How much may come in a row without any payload.
const FRUITLESS: usize = 512 * 1024;

/// What browsers and health checks get that speak HTTP to a port for TLS, as
/// they cannot read an alert.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 23\r\n\r\nThis port speaks TLS.\r\n";

/// What a read from below has brought.
enum Came {
    /// Something; `is_all` if there is nothing more.
    Some {
        len: usize,
        is_all: bool,
    },
    End,
}

impl Stream {
    pub(super) const fn new(session: Session) -> Self {
        Self {
            session,
            plain: Plaintext::new(),
            held: Vec::new(),
            held_written: 0,
            is_connected: false,
            is_drained: false,
            is_begun: false,
            fruitless: 0,
            owed: 0,
            end: End::NotYet,
        }
    }

    /// Tells whether the last read has taken all that there was: see
    /// [`Transport::short_is_all`].
    pub(super) const fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Returns how many bytes are held for the peer.
    pub(super) const fn held(&self) -> usize {
        self.session.kept() + self.plain.held() + self.held.capacity()
    }

    // --- reading ---

    pub(super) fn read(
        &mut self,
        below: &mut dyn Transport,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.is_drained = false;
        if self.owed >= INTERRUPTED {
            self.owed = 0;
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !self.plain.is_empty() {
            return Ok(self.plain.take(buffer));
        }
        with_buffers(|buffers| {
            if self.session.is_handshaking() && self.end != End::NotYet {
                return discard(below, buffers, buffer);
            }
            if let Some(error) = self.session.failure() {
                return Err(error.clone().into());
            }
            loop {
                let mut len = 0;
                let mut plain = std::mem::take(&mut self.plain);
                let came = self.fetch(below, buffers, buffer.len(), |payload| {
                    len += plain.give(payload, &mut buffer[len..]);
                });
                self.plain = plain;
                if let Ok(Came::Some { len: came, .. }) = came {
                    self.owe(came, len)?;
                }
                let is_ended = self.session.is_ended();
                match came {
                    // What came before it is handed out first.
                    Err(_) if len > 0 => return Ok(len),
                    Err(error) => return Err(error),
                    Ok(Came::Some { is_all, .. }) if len > 0 => {
                        self.is_drained = is_all && !is_ended && self.plain.is_empty();
                        return Ok(len);
                    }
                    Ok(Came::Some { .. }) if !is_ended => {
                        if self.owed >= INTERRUPTED {
                            self.owed = 0;
                            return Err(io::ErrorKind::Interrupted.into());
                        }
                    }
                    Ok(_) => return Ok(0),
                }
            }
        })
    }

    /// Counts what came from below and the payload that was handed out of it.
    fn owe(&mut self, came: usize, payload: usize) -> io::Result<()> {
        self.owed += came.saturating_sub(payload);
        self.fruitless = match payload {
            0 => self.fruitless + came,
            _ => 0,
        };
        match self.fruitless < FRUITLESS {
            true => Ok(()),
            false => Err(too_much()),
        }
    }

    /// Reads from below once, hands the payload out, and answers what TLS
    /// itself is to answer. `room` is how much payload is wanted.
    fn fetch(
        &mut self,
        below: &mut dyn Transport,
        buffers: &mut Buffers,
        room: usize,
        payload: impl FnMut(&[u8]),
    ) -> io::Result<Came> {
        if self.session.is_ended() {
            return Ok(Came::End);
        }
        let kept = self.session.kept();
        let end = kept + room.clamp(READ_MIN, READ_MAX);
        let Some(space) = buffers.input.get_mut(kept..end) else {
            return Err(too_much());
        };
        let len = match read(below, space)? {
            0 if self.session.is_handshaking() => return Err(TlsError::EndedInHandshake.into()),
            0 => {
                debug!("the stream ended without close_notify");
                return Ok(Came::End);
            }
            len => len,
        };
        let is_all = len < space.len() && below.short_is_all();
        let first = (!std::mem::replace(&mut self.is_begun, true)).then(|| space[0]);
        let input = &mut buffers.input[..kept + len];
        buffers.out.clear();
        let received = self.session.receive(input, payload, &mut buffers.out);
        match received {
            Err(TlsError::NotTls(_)) if first.is_some_and(|first| first.is_ascii_uppercase()) => {
                let _ = below.write(&[IoSlice::new(PLAIN_HTTP)]);
            }
            // If the alert cannot be sent, the error is the more important.
            Err(_) => drop(self.write_out(below, &mut buffers.out)),
            Ok(()) => drop(self.write_out(below, &mut buffers.out)?),
        }
        received?;
        Ok(Came::Some { len, is_all })
    }

    // --- writing ---

    pub(super) fn write(
        &mut self,
        below: &mut dyn Transport,
        slices: &[IoSlice<'_>],
        is_last: bool,
    ) -> io::Result<usize> {
        if !self.flush_held(below)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        with_buffers(|buffers| {
            buffers.out.clear();
            buffers.join.clear();
            let taken = self.encrypt(below, slices, buffers)?;
            if taken == 0 {
                // The handshake must go on first.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let is_all = taken == slices.iter().map(|slice| slice.len()).sum::<usize>();
            if is_last && is_all && self.held.is_empty() {
                self.session.close(&mut buffers.out)?;
                // The end of the stream follows at once, but for a client, who
                // waits for that of the server.
                let is_client = self.session.is_client();
                self.write_out_with(&mut buffers.out, |bytes| match is_client {
                    true => below.write(&[IoSlice::new(bytes)]),
                    false => below.write_last(&[IoSlice::new(bytes)]),
                })?;
            } else {
                self.write_out(below, &mut buffers.out)?;
            }
            Ok(taken)
        })
    }

    /// Encrypts slices, and writes them flight by flight until the transport
    /// is full; the last one is left to be written. Returns how much payload
    /// was taken.
    fn encrypt(
        &mut self,
        below: &mut dyn Transport,
        slices: &[IoSlice<'_>],
        buffers: &mut Buffers,
    ) -> io::Result<usize> {
        let Buffers { out, join, .. } = buffers;
        let mut taken = 0;
        for slice in slices {
            let is_short = slice.len() <= JOIN_MAX && slices.len() > 1;
            if is_short && join.len() + slice.len() <= RECORD {
                join.extend_from_slice(slice);
                continue;
            }
            if !join.is_empty() {
                if !self.session.send(join, out)? {
                    return Ok(taken);
                }
                taken += join.len();
                join.clear();
            }
            for piece in slice.chunks(FLIGHT) {
                if out.len() >= FLIGHT && !self.write_out(below, out)? {
                    return Ok(taken);
                }
                if !self.session.send(piece, out)? {
                    return Ok(taken);
                }
                taken += piece.len();
            }
        }
        if !join.is_empty() && self.session.send(join, out)? {
            taken += join.len();
        }
        Ok(taken)
    }

    /// Writes what the transport did not take before, and ends our direction
    /// behind it if that is due.
    pub(super) fn flush(&mut self, below: &mut dyn Transport) -> io::Result<bool> {
        if !self.flush_held(below)? {
            return Ok(false);
        }
        if self.end == End::Due {
            self.end = End::Told;
            below.shutdown()?;
        }
        below.flush()
    }

    /// Says that nothing more follows, first in TLS, and then below it.
    pub(super) fn shutdown(&mut self, below: &mut dyn Transport) -> io::Result<()> {
        if self.end != End::NotYet {
            return Ok(());
        }
        self.end = End::Due;
        if !self.session.is_handshaking() {
            with_buffers(|buffers| {
                buffers.out.clear();
                // After a failure its alert was the last word.
                match self.session.close(&mut buffers.out) {
                    Ok(()) => self.write_out(below, &mut buffers.out).map(drop),
                    Err(_) => Ok(()),
                }
            })?;
        }
        self.flush(below).map(drop)
    }

    /// Tells whether nothing is held back.
    fn flush_held(&mut self, below: &mut dyn Transport) -> io::Result<bool> {
        while self.held_written < self.held.len() {
            match write(below, &self.held[self.held_written..])? {
                0 => return Ok(false),
                len => self.held_written += len,
            }
        }
        (self.held, self.held_written) = (Vec::new(), 0);
        Ok(true)
    }

    /// Writes records, behind those that wait; tells whether none has to.
    fn write_out(&mut self, below: &mut dyn Transport, out: &mut Records) -> io::Result<bool> {
        self.write_out_with(out, |bytes| below.write(&[IoSlice::new(bytes)]))
    }

    fn write_out_with(
        &mut self,
        out: &mut Records,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let mut rest = out.as_slice();
        while self.held.is_empty() && !rest.is_empty() {
            match write_once(rest.len(), || write(rest))? {
                0 => break,
                len => rest = &rest[len..],
            }
        }
        self.held.extend_from_slice(rest);
        out.clear();
        Ok(self.held.is_empty())
    }

    // --- the client's handshake ---

    /// Connects, and goes on with the handshake until it is over.
    pub(super) fn begin(&mut self, below: &mut dyn Transport) -> io::Result<bool> {
        if !self.is_connected {
            if !below.begin()? {
                return Ok(false);
            }
            self.is_connected = true;
            with_buffers(|buffers| {
                buffers.out.clear();
                let said = self.session.receive(&mut [], |_| {}, &mut buffers.out);
                said.map_err(io::Error::from)?;
                self.write_out(below, &mut buffers.out)
            })?;
        }
        self.flush_held(below)?;
        while self.session.is_handshaking() {
            if self.owed >= INTERRUPTED {
                self.owed = 0;
                return Err(io::ErrorKind::Interrupted.into());
            }
            let mut plain = std::mem::take(&mut self.plain);
            let came = with_buffers(|buffers| {
                self.fetch(below, buffers, READ_MAX, |payload| {
                    plain.give(payload, &mut []);
                })
            });
            self.plain = plain;
            match came {
                Ok(Came::Some { len, .. }) => self.owe(len, 0)?,
                Ok(Came::End) => return Err(TlsError::EndedInHandshake.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Reads what comes after a handshake that has failed, so that the alert is
/// not lost with the connection.
fn discard(
    below: &mut dyn Transport,
    buffers: &mut Buffers,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let len = read(below, &mut buffers.input)?.min(buffer.len());
    buffer[..len].fill(0);
    Ok(len)
}

fn read(below: &mut dyn Transport, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match below.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No count is believed that is longer than what was asked for.
            read => return read.map(|len| len.min(buffer.len())),
        }
    }
}

fn write(below: &mut dyn Transport, bytes: &[u8]) -> io::Result<usize> {
    write_once(bytes.len(), || below.write(&[IoSlice::new(bytes)]))
}

/// Writes once; 0 if nothing is taken for now.
fn write_once(len: usize, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        return match write() {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => Ok(written.min(len)),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => Ok(0),
                _ => Err(error),
            },
        };
    }
}

/// The peer sends more than TLS needs, and no payload.
#[cold]
fn too_much() -> io::Error {
    let error = rustls::Error::General("too much that is no payload".to_owned());
    TlsError::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_owns_little_beside_what_rustls_does() {
        let ours = size_of::<Stream>() - size_of::<rustls::server::UnbufferedServerConnection>();
        assert!(ours <= 192, "{ours}");
    }
}
