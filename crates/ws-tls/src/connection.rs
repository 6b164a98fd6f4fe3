//! One TLS connection, over a byte stream that it is lent.

use std::{
    fmt,
    io::{self, IoSlice},
};

use rustls::{CommonState, pki_types::ServerName};
use tracing::debug;

use crate::{
    ClientTls, ServerTls, TlsError,
    buffers::{Buffers, with_buffers},
    plaintext::Plaintext,
    records::Records,
    session::{RECORD, Session},
    work::{Work, too_much},
};

/// The non-blocking byte stream below TLS.
///
/// Every method returns at once, with [`WouldBlock`](io::ErrorKind::WouldBlock) where nothing can
/// be done yet.
pub trait RawStream {
    /// Reads ciphertext into `buffer`, and returns how many bytes came; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there. After `Interrupted` it is called again at once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes ciphertext, and returns how many bytes were taken.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be taken. After `Interrupted` it is called again at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes the last bytes, as [`write`](Self::write); [`close`](Self::close) follows at once, so
    /// that they may leave with the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    /// Sends what the stream itself holds back.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if something is still held back.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the stream in the direction of the peer.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if that takes longer: it is called again then.
    fn close(&mut self) -> io::Result<()>;

    /// Tells whether a read that did not fill its buffer has taken all that there was.
    fn short_is_all(&self) -> bool {
        false
    }
}

/// One TLS connection of a client or a server, without a socket: payload on the one side, a
/// [`RawStream`] on the other.
///
/// It makes the handshake, encrypts and decrypts, holds back what the stream does not take, and
/// ends its direction with `close_notify`. It never waits. Each method is lent the stream, and
/// returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the stream must become ready first.
///
/// An idle connection has no buffer: the connections of a thread share theirs.
///
/// # Errors of the connection
///
/// A failure of TLS is an [`io::Error`] that holds a [`TlsError`]; the peer is sent the alert. To
/// HTTP on a port for TLS a server answers with status 400, as the client cannot read an alert.
///
/// The end of the stream ends the payload, with `close_notify` or without: many peers send none. A
/// protocol that ends with a message of its own, as WebSocket does with a Close, needs none.
///
/// # Limits
///
/// A method returns [`Interrupted`](io::ErrorKind::Interrupted) after 64 KiB of ciphertext of which
/// no payload came, so that the caller can do other things before it goes on. A record counts at
/// least 1 KiB, and so does a read. After 512 KiB in a row without payload the connection fails.
///
/// ```
/// use std::{collections::VecDeque, io};
///
/// use ws_tls::{ClientTls, RawStream, ServerTls, TlsConnection, server_name};
///
/// /// What was sent in each direction and not read yet.
/// #[derive(Default)]
/// struct Wire(VecDeque<u8>, VecDeque<u8>);
///
/// impl RawStream for Wire {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         match io::Read::read(&mut self.0, buffer)? {
///             0 => Err(io::ErrorKind::WouldBlock.into()),
///             len => Ok(len),
///         }
///     }
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         io::Write::write(&mut self.1, bytes)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
///     fn close(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// # fn run(server: &ServerTls, client: &ClientTls) -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = TlsConnection::client(client, server_name("intranet.example")?)?;
/// let mut server = TlsConnection::server(server)?;
/// let mut wire = Wire::default();
/// while client.is_handshaking() || server.is_handshaking() {
///     for side in [&mut client, &mut server] {
///         match side.handshake(&mut wire) {
///             Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
///             _ => std::mem::swap(&mut wire.0, &mut wire.1),
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct TlsConnection {
    session: Session,
    /// Payload that was decrypted and did not fit into the reader's buffer.
    plain: Plaintext,
    /// Ciphertext that the stream did not take.
    held: Vec<u8>,
    /// How much of it was written since.
    held_written: usize,
    work: Work,
    /// The last read has taken all that there was.
    is_drained: bool,
    /// The client's first message was made.
    is_begun: bool,
    end: End,
}

/// How far the end of our direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// `close_notify` is made; the end of the stream follows what is held.
    Due,
    Done,
}

/// What a read from the stream has brought.
enum Came {
    /// So many bytes of payload for the reader; `is_all` if there is nothing more.
    Payload {
        len: usize,
        is_all: bool,
    },
    End,
}

/// How much payload is encrypted before it is written.
const FLIGHT: usize = 64 * 1024;
/// A slice up to this length shares its record with what follows.
const JOIN_MAX: usize = 4 * 1024;
/// How much is read at least and at most, so that what the reader has no room for stays short.
const READ_MIN: usize = RECORD + 512;
const READ_MAX: usize = FLIGHT + 2 * 1024;
/// More than the longest message of a handshake.
const KEPT_MAX: usize = 128 * 1024;

/// The answer to HTTP on a port for TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 23\r\n\r\nThis port speaks TLS.\r\n";

impl TlsConnection {
    /// Starts the client's side, with the server that is asked for and verified: see
    /// [`server_name`](crate::server_name).
    ///
    /// # Errors
    ///
    /// [`TlsError::Other`] if rustls refuses the configuration.
    pub fn client(tls: &ClientTls, server: ServerName<'static>) -> Result<Self, TlsError> {
        Ok(Self::new(Session::client(tls, server)?))
    }

    /// Starts the server's side.
    ///
    /// # Errors
    ///
    /// [`TlsError::Other`] if rustls refuses the configuration.
    pub fn server(tls: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::new(Session::server(tls)?))
    }

    fn new(session: Session) -> Self {
        Self {
            session,
            plain: Plaintext::new(),
            held: Vec::new(),
            held_written: 0,
            work: Work::default(),
            is_drained: false,
            is_begun: false,
            end: End::NotYet,
        }
    }

    /// Tells whether it is the client's side.
    #[must_use]
    pub const fn is_client(&self) -> bool {
        self.session.is_client()
    }

    /// Tells whether the TLS handshake is not over yet, or has failed.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Tells whether a client's [`handshake`](Self::handshake) was begun.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.is_begun
    }

    /// Returns what TLS has agreed on: version, cipher, protocol (ALPN), the peer's certificates.
    #[must_use]
    pub fn state(&self) -> &CommonState {
        self.session.state()
    }

    /// How many bytes of memory a connection takes as long as it lives, by an estimate: itself, and
    /// the keys and tables of rustls. During the handshake it is up to twice as much.
    pub const FOOTPRINT: usize = 4 * 1024;

    /// Returns how many bytes of memory the connection holds for the peer, beside its
    /// [`FOOTPRINT`](Self::FOOTPRINT): a record or message that is not whole, payload
    /// that was not read, ciphertext that was not written.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.session.kept() + self.plain.held() + self.held.capacity()
    }

    /// Tells whether the last [`read`](Self::read) has taken all that there was, as
    /// [`RawStream::short_is_all`] says.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Goes on with the handshake until it is over and all of it is written. A server may as well
    /// [`read`](Self::read) from the start.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream must become ready first; `Interrupted` if others should have
    /// their turn. Any other ends the connection; [`close`](Self::close) has the alert sent.
    pub fn handshake<S: RawStream + ?Sized>(&mut self, below: &mut S) -> io::Result<()> {
        with_buffers(|buffers| {
            if self.is_client() && !std::mem::replace(&mut self.is_begun, true) {
                let begun = self.session.receive(&mut [], |_| {}, &mut buffers.out);
                begun.map_err(io::Error::from)?;
                self.write_out(below, &mut buffers.out)?;
            }
            loop {
                self.session.check()?;
                let flushed = self.flush(below);
                if !self.is_handshaking() || !is_blocked(&flushed) {
                    flushed?;
                }
                if !self.is_handshaking() {
                    return Ok(());
                }
                self.work.pause()?;
                if let Came::End = self.fetch(below, buffers, &mut [])? {
                    return Err(TlsError::EndedInHandshake.into());
                }
            }
        })
    }

    // --- reading ---

    /// Reads payload into `buffer`, and returns how many bytes came; 0 is the end of the peer's
    /// direction.
    ///
    /// Once a handshake has failed and our direction was [closed](Self::close), it returns zeros
    /// for what the peer still sends, so that the alert is not lost by a reset.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; `Interrupted` if others should have their turn. Any other
    /// ends the connection; payload that came before is returned first.
    pub fn read<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.is_drained = false;
        if !self.plain.is_empty() || buffer.is_empty() {
            return Ok(self.plain.take(buffer));
        }
        if self.end != End::NotYet && self.is_handshaking() {
            let len = again(|| below.read(buffer))?.min(buffer.len());
            buffer[..len].fill(0);
            return Ok(len);
        }
        self.session.check()?;
        with_buffers(|buffers| {
            loop {
                self.work.pause()?;
                match self.fetch(below, buffers, buffer)? {
                    Came::Payload { len: 0, .. } => {}
                    Came::Payload { len, is_all } => {
                        self.is_drained =
                            is_all && self.plain.is_empty() && !self.session.is_ended();
                        return Ok(len);
                    }
                    Came::End => return Ok(0),
                }
            }
        })
    }

    /// Reads from the stream once, puts the payload into `into` and what does not fit behind it,
    /// and answers what TLS itself is to answer.
    fn fetch<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        buffers: &mut Buffers,
        into: &mut [u8],
    ) -> io::Result<Came> {
        let Buffers { input, out, .. } = buffers;
        if self.session.is_ended() {
            return Ok(Came::End);
        }
        let kept = self.session.kept();
        if kept > KEPT_MAX {
            return Err(too_much());
        }
        let end = kept + into.len().clamp(READ_MIN, READ_MAX);
        if input.len() < end {
            input.resize(end, 0);
        }
        let space = &mut input[kept..end];
        let read = again(|| below.read(space));
        if is_blocked(&read) {
            self.work.rest();
        }
        let read = match read?.min(space.len()) {
            0 if self.is_handshaking() => return Err(TlsError::EndedInHandshake.into()),
            0 => {
                debug!("the stream ended without close_notify");
                return Ok(Came::End);
            }
            read => read,
        };
        let is_all = read < space.len() && below.short_is_all();
        let cost = self.work.cost(&space[..read]);
        let (mut len, plain) = (0, &mut self.plain);
        let payload = |payload: &[u8]| len += plain.give(payload, &mut into[len..]);
        let received = self
            .session
            .receive(&mut input[..kept + read], payload, out);
        if matches!(received, Err(TlsError::NotTls(_))) && self.is_http(input[0]) {
            out.replace(PLAIN_HTTP);
        }
        let written = self.write_out(below, out);
        if len == 0 {
            // If the alert cannot be sent, its reason is still the more important.
            received?;
            written?;
        }
        self.work.note(cost, len + self.plain.len())?;
        if is_all {
            self.work.rest();
        }
        Ok(Came::Payload { len, is_all })
    }

    /// Tells whether a client's first byte is that of an HTTP method.
    fn is_http(&self, first: u8) -> bool {
        !self.is_client() && self.state().protocol_version().is_none() && first.is_ascii_uppercase()
    }

    // --- writing ---

    /// Encrypts the slices, writes them, and returns how many bytes of them were taken. What the
    /// stream does not take of that is held, until a later call or [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be taken: something is held already, or the handshake is not
    /// over. `BrokenPipe` after [`close`](Self::close). Any other ends the connection.
    pub fn write<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.write_slices(below, slices, false)
    }

    /// Writes the last payload, as [`write`](Self::write). If the stream takes it all,
    /// `close_notify` leaves with it, and for a server the end of the stream. The next call
    /// must be [`close`](Self::close), or this one with the rest.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_last<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.write_slices(below, slices, true)
    }

    fn write_slices<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        slices: &[IoSlice<'_>],
        is_last: bool,
    ) -> io::Result<usize> {
        if self.end != End::NotYet {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.write_held(below)?;
        with_buffers(|buffers| {
            let taken = self.encrypt(below, slices, buffers)?;
            let all = slices.iter().map(|slice| slice.len()).sum();
            if taken == 0 && all > 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let out = &mut buffers.out;
            if is_last && taken == all && self.held.is_empty() {
                self.session.close(out)?;
                // A client waits for the server to end the stream.
                match self.is_client() {
                    true => self.write_out(below, out)?,
                    false => self.write_out_by(out, |bytes| below.write_last(bytes))?,
                }
            } else {
                self.write_out(below, out)?;
            }
            Ok(taken)
        })
    }

    /// Encrypts slices, and writes all but the last flight until the stream is full. Returns how
    /// much payload was taken.
    fn encrypt<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        slices: &[IoSlice<'_>],
        buffers: &mut Buffers,
    ) -> io::Result<usize> {
        let Buffers { out, join, .. } = buffers;
        let mut taken = 0;
        for slice in slices {
            // A single slice is not copied.
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
                if out.len() >= FLIGHT {
                    self.write_out(below, out)?;
                }
                if !self.held.is_empty() || !self.session.send(piece, out)? {
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

    /// Writes what is held, has the stream send it, and ends our direction behind it if that is
    /// due.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if something is still held. Any other ends the connection.
    pub fn flush<S: RawStream + ?Sized>(&mut self, below: &mut S) -> io::Result<()> {
        self.write_held(below)?;
        again(|| below.flush())?;
        if self.end == End::Due {
            let closed = again(|| below.close());
            if !is_blocked(&closed) {
                self.end = End::Done;
            }
            closed?;
        }
        Ok(())
    }

    /// Ends our direction: `close_notify`, and behind it the end of the stream. Reading goes on.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it takes longer: [`flush`](Self::flush) goes on. Any other ends the
    /// connection.
    pub fn close<S: RawStream + ?Sized>(&mut self, below: &mut S) -> io::Result<()> {
        if self.end == End::NotYet {
            self.end = End::Due;
            if !self.is_handshaking() {
                with_buffers(|buffers| {
                    // After a failure, its alert was the last record.
                    let _ = self.session.close(&mut buffers.out);
                    self.write_out(below, &mut buffers.out)
                })?;
            }
        }
        self.flush(below)
    }

    #[inline]
    fn write_held<S: RawStream + ?Sized>(&mut self, below: &mut S) -> io::Result<()> {
        match self.held.is_empty() {
            true => Ok(()),
            false => self.write_all_held(below),
        }
    }

    fn write_all_held<S: RawStream + ?Sized>(&mut self, below: &mut S) -> io::Result<()> {
        while self.held_written < self.held.len() {
            let rest = &self.held[self.held_written..];
            self.held_written += write_once(rest, |bytes| below.write(bytes))?;
        }
        (self.held, self.held_written) = (Vec::new(), 0);
        Ok(())
    }

    /// Writes records behind those that are held, and holds what the stream does not take.
    fn write_out<S: RawStream + ?Sized>(
        &mut self,
        below: &mut S,
        out: &mut Records,
    ) -> io::Result<()> {
        self.write_out_by(out, |bytes| below.write(bytes))
    }

    fn write_out_by(
        &mut self,
        out: &mut Records,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut rest = out.as_slice();
        while self.held.is_empty() && !rest.is_empty() {
            let written = write_once(rest, &mut write);
            if is_blocked(&written) {
                break;
            }
            rest = &rest[written?..];
        }
        if !fault!("records-lost") {
            self.held.extend_from_slice(rest);
        }
        out.clear();
        Ok(())
    }
}

impl fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnection")
            .field("session", &self.session)
            .field("held", &self.held())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Writes once, at least a byte.
fn write_once(
    bytes: &[u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    match again(|| write(bytes))? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        len => Ok(len.min(bytes.len())),
    }
}

/// Does something once more as long as it is interrupted.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn is_blocked<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_owns_little_beside_its_session() {
        let ours = size_of::<TlsConnection>() - size_of::<Session>();
        assert!(ours <= 144, "{ours}");
    }
}
