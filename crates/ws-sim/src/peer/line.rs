//! What a peer's bytes go through on their way to its stream.

use std::io::{self, IoSlice};

use ws_tls::{RawStream, TlsConnection, server_name};

use crate::{
    front::{HOST, Identity},
    wire::Stream,
};

/// A peer's TLS, if it has it.
#[derive(Debug, Default)]
pub(super) struct Line {
    tls: Option<Box<TlsConnection>>,
    /// Bytes that were encrypted find no room.
    is_blocked: bool,
}

impl Line {
    pub(super) fn client(identity: &Identity) -> Self {
        let name = server_name(HOST).expect("a name");
        let tls = TlsConnection::client(&identity.client, name);
        Self::secure(tls.expect("a configuration for clients"))
    }

    pub(super) fn server(identity: &Identity) -> Self {
        let tls = TlsConnection::server(&identity.server);
        Self::secure(tls.expect("a configuration for servers"))
    }

    fn secure(tls: TlsConnection) -> Self {
        Self {
            tls: Some(Box::new(tls)),
            is_blocked: false,
        }
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Passes bytes on, as many as there is room for.
    pub(super) fn push(&mut self, stream: &mut Stream, bytes: &[u8]) -> usize {
        let Some(tls) = &mut self.tls else {
            return stream.push(bytes);
        };
        let mut near = Near(stream);
        if tls.is_handshaking() && settle(|| tls.handshake(&mut near)) != Done::Yes {
            return 0;
        }
        self.is_blocked = settle(|| tls.flush(&mut near)) == Done::NotYet;
        if bytes.is_empty() {
            return 0;
        }
        let mut taken = 0;
        let written = settle(|| {
            taken = tls.write(&mut near, &[IoSlice::new(bytes)])?;
            Ok(())
        });
        match written {
            // Whoever does not read them has gone.
            Done::Never => bytes.len(),
            Done::Yes | Done::NotYet => taken,
        }
    }

    /// Ends the peer's direction; tells whether that has left.
    pub(super) fn end(&mut self, stream: &mut Stream) -> bool {
        let Some(tls) = &mut self.tls else {
            stream.end();
            return true;
        };
        let mut near = Near(stream);
        if tls.is_handshaking() {
            // There is nothing to end in TLS.
            near.0.end();
            return true;
        }
        settle(|| tls.close(&mut near)) != Done::NotYet
    }

    /// Takes up to `most` bytes; `None` is the end.
    pub(super) fn pull(
        &mut self,
        stream: &mut Stream,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let Some(tls) = &mut self.tls else {
            return stream.pull(most, out);
        };
        let mut near = Near(stream);
        if tls.is_handshaking() {
            match settle(|| tls.handshake(&mut near)) {
                Done::Yes => {}
                Done::NotYet => return Some(0),
                Done::Never => return None,
            }
        }
        let mut buffer = [0; 4096];
        let mut taken = 0;
        while taken < most {
            let end = buffer.len().min(most - taken);
            match tls.read(&mut near, &mut buffer[..end]) {
                Ok(0) if taken == 0 => return None,
                Ok(0) => break,
                Ok(len) => {
                    near.0.note(len);
                    out.extend_from_slice(&buffer[..len]);
                    taken += len;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ if near.0.is_torn || near.0.is_reset() => return None,
                    _ => panic!("peer {} gets TLS that is wrong: {error}", near.0.number),
                },
            }
        }
        Some(taken)
    }
}

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Yes,
    NotYet,
    Never,
}

fn settle(mut act: impl FnMut() -> io::Result<()>) -> Done {
    loop {
        return match act() {
            Ok(()) => Done::Yes,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => Done::NotYet,
                _ => Done::Never,
            },
        };
    }
}

/// The peer's end of a stream.
struct Near<'s>(&'s mut Stream);

impl RawStream for Near<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = Vec::new();
        match self.0.pull(buffer.len(), &mut bytes) {
            None => Ok(0),
            Some(0) => Err(io::ErrorKind::WouldBlock.into()),
            Some(len) => {
                buffer[..len].copy_from_slice(&bytes);
                Ok(len)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.push(bytes) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.end();
        Ok(())
    }
}
