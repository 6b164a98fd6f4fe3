//! A client's opening handshake, in a loop of ours or of somebody else.

use std::io::{self, IoSlice};

use ws_handshake::{Agreed, ClientHandshake, ClientProgress, ClientRequest, NoEntropy};
use ws_proto::ConfigError;

use super::{OpenError, route::Route};
use crate::{
    Transport,
    connection::share::{HANDSHAKE_SHARE, Share},
};

/// Connects, sends the request and reads the answer, as far as the transport
/// lets it.
#[derive(Debug)]
pub(crate) struct ClientOpening {
    /// `None` if the system gave no nonce.
    handshake: Option<ClientHandshake>,
    /// The URI is `wss`.
    is_secure: bool,
    offers_deflate: bool,
    /// The application's choice for this connection, if it made one.
    pub(crate) set_mask_to_zero: Option<bool>,
    pub(crate) is_connected: bool,
    /// Where else it may go, until it is connected.
    pub(crate) route: Option<Box<Route>>,
    /// How much of the request was sent.
    sent: usize,
    /// Why the rest of it cannot be sent.
    cut_off: Option<io::Error>,
}

/// How a [`ClientOpening`] goes.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It waits for the transport.
    Waiting,
    /// It had its share, and goes on without waiting.
    Again,
    /// The connection is open. What was read last is `read` bytes, of which
    /// the answer took `consumed`.
    Agreed {
        agreed: Agreed,
        read: usize,
        consumed: usize,
    },
}

impl ClientOpening {
    pub(crate) fn new(request: ClientRequest, set_mask_to_zero: Option<bool>) -> Self {
        Self {
            is_secure: request.uri().is_secure(),
            set_mask_to_zero,
            offers_deflate: request.has_offers(),
            handshake: request.start_random().ok(),
            is_connected: false,
            route: None,
            sent: 0,
            cut_off: None,
        }
    }

    /// Goes on, with a buffer for what comes.
    pub(crate) fn go_on(
        &mut self,
        transport: &mut dyn Transport,
        buffer: &mut [u8],
    ) -> Result<Progress, OpenError> {
        if self.is_secure && !transport.is_tls() {
            return Err(OpenError::NoTls);
        }
        ConfigError::check_deflate("request.offers", self.offers_deflate)?;
        let Some(handshake) = &mut self.handshake else {
            return Err(OpenError::NoEntropy(NoEntropy));
        };
        if !self.is_connected {
            self.is_connected = match transport.begin() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return Ok(Progress::Again);
                }
                begun => begun?,
            };
        }
        if !self.is_connected {
            return Ok(Progress::Waiting);
        }
        if self.cut_off.is_none() {
            match send(handshake.request_bytes(), &mut self.sent, transport) {
                // Who does not want to hear all of it may have said why.
                Err(error) if is_cut_off(&error) => self.cut_off = Some(error),
                sent => sent?,
            }
        }
        let mut share = Share::new(HANDSHAKE_SHARE);
        while !share.is_spent() {
            let buffer = share.window(buffer);
            let read = match transport.read(buffer) {
                Ok(0) => {
                    return Err(match (handshake.eof(), self.cut_off.take()) {
                        (Ok(response), _) => OpenError::Refused(Box::new(response)),
                        (Err(_), Some(error)) => error.into(),
                        (Err(error), None) => error.into(),
                    });
                }
                Ok(read) => read.min(buffer.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Progress::Waiting),
                    io::ErrorKind::Interrupted => {
                        share.spend_interrupted();
                        continue;
                    }
                    // What refuses and then resets has refused.
                    _ => match handshake.eof() {
                        Ok(response) => return Err(OpenError::Refused(Box::new(response))),
                        Err(_) => return Err(self.cut_off.take().unwrap_or(error).into()),
                    },
                },
            };
            share.spend(read);
            match handshake.receive(&buffer[..read])? {
                ClientProgress::Incomplete => {}
                ClientProgress::Agreed { agreed, consumed } => {
                    if let Some(error) = self.cut_off.take() {
                        return Err(error.into());
                    }
                    return Ok(Progress::Agreed {
                        agreed,
                        read,
                        consumed,
                    });
                }
                ClientProgress::Refused { response, .. } => {
                    return Err(OpenError::Refused(Box::new(response)));
                }
            }
        }
        Ok(Progress::Again)
    }
}

/// Whether the other side takes no more; what it said before may still come.
fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

/// Sends the rest of the request, as much as the transport takes.
fn send(request: &[u8], sent: &mut usize, transport: &mut dyn Transport) -> io::Result<()> {
    while *sent < request.len() {
        match transport.write(&[IoSlice::new(&request[*sent..])]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => *sent = request.len().min(sent.saturating_add(len)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    transport.flush().map(drop)
}
