//! rustls, by its unbuffered API: no other file of this crate calls it.
//!
//! Its buffered API keeps 4 KiB of input for each idle connection. rustls takes the unbuffered one
//! out after 0.23, for one with buffers of the caller's; then this file alone changes.

use std::{fmt, mem};

use rustls::{
    CommonState, Error as Rustls,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic},
};

use crate::{ClientTls, ServerTls, TlsError, records::Records};

/// How much payload a record holds (RFC 8446 section 5.1).
pub(crate) const RECORD: usize = 16 * 1024;

/// One connection's TLS: bytes of the stream in, payload and bytes of the stream out.
///
/// It owns no buffer between calls but for the start of a record whose rest has not come yet. Both
/// directions work in buffers of the caller's, of which one is enough for all connections.
pub(crate) struct Session {
    side: Side,
    /// The start of what could not be used yet.
    kept: Vec<u8>,
    /// The peer has said that nothing more follows.
    is_ended: bool,
    failed: Option<Box<TlsError>>,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What is done when it is our turn to write.
enum Write<'a> {
    /// Nothing but what TLS itself has to say.
    Nothing,
    Payload(&'a [u8]),
    CloseNotify,
}

/// How a step went.
enum Step {
    Again,
    /// Nothing is left to do without more input.
    Done,
    /// Nothing is left to do, and nothing could be written.
    NotYet,
}

impl Session {
    /// Starts the client's side, with the server that is asked for and verified: see
    /// [`server_name`](crate::server_name).
    ///
    /// # Errors
    ///
    /// What rustls has against the configuration.
    pub(crate) fn client(tls: &ClientTls, server: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(tls.config().clone(), server)?;
        Ok(Self::new(Side::Client(connection)))
    }

    /// Starts the server's side.
    ///
    /// # Errors
    ///
    /// What rustls has against the configuration.
    pub(crate) fn server(tls: &ServerTls) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(tls.config().clone())?;
        Ok(Self::new(Side::Server(connection)))
    }

    const fn new(side: Side) -> Self {
        Self {
            side,
            kept: Vec::new(),
            is_ended: false,
            failed: None,
        }
    }

    /// Tells whether it is the client's side.
    pub(crate) const fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Tells whether the TLS handshake is not over yet, or has failed.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Lends what rustls knows of the connection: version, cipher, protocol (ALPN), the peer's
    /// certificates.
    pub(crate) fn state(&self) -> &CommonState {
        match &self.side {
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    /// Returns how many bytes of the stream are kept as their record is not whole.
    pub(crate) const fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Takes bytes of the stream, hands the payload out record by record, and adds to `out` what is
    /// to be sent for it. Without an input it adds what is to be sent first, if anything.
    ///
    /// `buffer` starts with room for the bytes that were [kept](Self::kept), and what has come lies
    /// behind that. It is decrypted where it lies; afterwards nothing in it is needed.
    ///
    /// # Errors
    ///
    /// Why the connection is over. What is in `out` then tells the peer.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than what was kept.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        mut payload: impl FnMut(&[u8]),
        out: &mut Records,
    ) -> Result<(), TlsError> {
        buffer[..self.kept.len()].copy_from_slice(&self.kept);
        self.kept = Vec::new();
        self.check()?;
        let mut used = 0;
        let stepped = loop {
            let (len, stepped) = self.step(&mut buffer[used..], &Write::Nothing, &mut payload, out);
            used += len;
            match stepped {
                Ok(Step::Again) => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match &stepped {
            Ok(()) if self.is_ended => {}
            Ok(()) => self.kept = buffer[used..].into(),
            Err(error) => {
                self.failed = Some(Box::new(error.clone()));
                self.tell(out);
            }
        }
        stepped
    }

    /// Encrypts payload, and adds it to `out`. `false` if the handshake must go on before.
    ///
    /// # Errors
    ///
    /// Why nothing more can be sent.
    pub(crate) fn send(&mut self, payload: &[u8], out: &mut Records) -> Result<bool, TlsError> {
        self.write(&Write::Payload(payload), out)
    }

    /// Says that nothing more follows (`close_notify`); once.
    ///
    /// # Errors
    ///
    /// Why nothing more can be sent.
    pub(crate) fn close(&mut self, out: &mut Records) -> Result<(), TlsError> {
        if fault!("close-notify-missing") {
            return Ok(());
        }
        self.write(&Write::CloseNotify, out).map(drop)
    }

    /// Tells whether the peer has said that nothing more follows.
    pub(crate) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// # Errors
    ///
    /// Why the connection is over, once it failed.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        match &self.failed {
            Some(error) => Err(TlsError::clone(error)),
            None => Ok(()),
        }
    }

    fn write(&mut self, what: &Write<'_>, out: &mut Records) -> Result<bool, TlsError> {
        self.check()?;
        // There is no whole record in it, and so no payload.
        let mut kept = mem::take(&mut self.kept);
        let mut used = 0;
        let stepped = loop {
            let (len, stepped) = self.step(&mut kept[used..], what, &mut |_| {}, out);
            used += len;
            match stepped {
                Ok(Step::Again) => {}
                stepped => break stepped,
            }
        };
        kept.drain(..used);
        self.kept = kept;
        stepped.map(|step| matches!(step, Step::Done))
    }

    /// Adds the alert that tells the peer why it is over, and what was queued before.
    fn tell(&mut self, out: &mut Records) {
        // Input is not looked at as long as there is something to write.
        while self.state().wants_write() {
            let _ = self.step(&mut [], &Write::Nothing, &mut |_| {}, out);
        }
    }

    /// Does one thing, and tells how much input was used up.
    fn step(
        &mut self,
        input: &mut [u8],
        what: &Write<'_>,
        payload: &mut dyn FnMut(&[u8]),
        out: &mut Records,
    ) -> (usize, Result<Step, TlsError>) {
        let is_ended = &mut self.is_ended;
        match &mut self.side {
            Side::Client(connection) => {
                let status = connection.process_tls_records(input);
                handle(status, is_ended, what, payload, out)
            }
            Side::Server(connection) => {
                let status = connection.process_tls_records(input);
                handle(status, is_ended, what, payload, out)
            }
        }
    }
}

fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    is_ended: &mut bool,
    what: &Write<'_>,
    payload: &mut dyn FnMut(&[u8]),
    out: &mut Records,
) -> (usize, Result<Step, TlsError>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Ok(record)) => {
                    discard += record.discard;
                    payload(record.payload);
                }
                Some(Err(error)) => break Err(error),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => loop {
            match data.encode(out.room(0)) {
                Ok(len) => {
                    out.fill(len);
                    break Ok(Step::Again);
                }
                Err(EncodeError::InsufficientSize(error)) => {
                    out.room(error.required_size);
                }
                Err(EncodeError::AlreadyEncoded) => break Ok(Step::Again),
            }
        },
        // It is in `out`, which the caller sends.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::WriteTraffic(traffic)) => write(traffic, what, out),
        Ok(ConnectionState::PeerClosed) => {
            *is_ended = true;
            Ok(Step::Again)
        }
        Ok(ConnectionState::Closed | ConnectionState::BlockedHandshake) => Ok(Step::NotYet),
        // What may have been sent before (RFC 8446 section 8) is not for us.
        Ok(_) => Err(Rustls::General("early data is not supported".to_owned())),
        Err(error) => Err(error),
    };
    (discard, step.map_err(TlsError::from))
}

fn write<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    what: &Write<'_>,
    out: &mut Records,
) -> Result<Step, Rustls> {
    let mut room = match what {
        Write::Nothing => return Ok(Step::Done),
        Write::Payload(payload) => payload.len() + (payload.len() / RECORD + 1) * OVERHEAD,
        Write::CloseNotify => OVERHEAD,
    };
    loop {
        let room_for_it = out.room(room);
        let written = match what {
            Write::Payload(payload) => traffic.encrypt(payload, room_for_it),
            _ => traffic.queue_close_notify(room_for_it),
        };
        match written {
            Ok(len) => {
                out.fill(len);
                return Ok(Step::Done);
            }
            Err(EncryptError::InsufficientSize(error)) => room = error.required_size,
            Err(EncryptError::EncryptExhausted) => return Err(Rustls::EncryptError),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_client", &self.is_client())
            .field("is_handshaking", &self.is_handshaking())
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// What a record adds to its payload, at most: header, explicit nonce, type and tag.
const OVERHEAD: usize = 5 + 8 + 1 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_owns_little_beside_what_rustls_does() {
        let ours = size_of::<Session>() - size_of::<UnbufferedServerConnection>();
        assert!(ours <= 48, "{ours}");
    }
}
