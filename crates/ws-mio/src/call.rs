//! A client's opening handshake, in a loop of ours or of somebody else.

use std::io::{self, IoSlice};

use ws_handshake::{
    Agreed, ClientHandshake, ClientProgress, ClientRequest, HandshakeError, HttpResponse, NoEntropy,
};
#[cfg(feature = "tls")]
use ws_tls::TlsError;

#[cfg(feature = "proxy")]
use crate::TunnelError;
use crate::{
    ConfigError, Transport,
    event_loop::Route,
    share::{HANDSHAKE_SHARE, Share},
};

/// Connects, sends the request and reads the answer, as far as the transport
/// lets it.
#[derive(Debug)]
pub(crate) struct Call {
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

/// How a [`Call`] goes.
#[derive(Debug)]
pub(crate) enum Answer {
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

/// Why a connection never came to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The transport failed.
    #[error("the transport failed during the opening handshake: {0}")]
    Io(#[source] io::Error),
    /// There is no way through the proxy.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(TunnelError),
    /// The server could not be trusted, or does not speak TLS.
    #[cfg(feature = "tls")]
    #[error("no TLS connection: {0}")]
    Tls(#[source] TlsError),
    /// The URI is `wss`, and the transport is not TLS: nothing was sent. See
    /// `Connect::tls` and `Tls` of the feature `tls`, and
    /// [`UnderTls`](crate::UnderTls) for what is encrypted already.
    #[error(
        "a wss URI on a transport without TLS: Connect::tls or Tls make it, and UnderTls says \
         that it is there"
    )]
    NoTls,
    /// The addresses of the server could not be found.
    #[error("the server's name could not be looked up: {0}")]
    Lookup(#[source] io::Error),
    /// The other side broke the rules of the opening handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The request asks for what this build does not have: an
    /// [offer](ClientRequest::offer) of permessage-deflate needs the feature
    /// `deflate`. Nothing was sent.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no random bytes for the handshake; nothing was sent.
    #[error(transparent)]
    NoEntropy(NoEntropy),
    /// The server answered otherwise: a redirect, a refusal, a page.
    #[error("the server refused: {0}")]
    Refused(Box<HttpResponse>),
    /// We refused the client's request, and answered with this status.
    #[error("the request was answered with status {0}")]
    Answered(u16),
    /// It took longer than `handshake_timeout`.
    #[error("no opening handshake within handshake_timeout")]
    Timeout,
    /// The loop has `max_connections` already, or holds close to `max_memory`.
    #[error("the loop has max_connections already, or holds close to max_memory")]
    Full,
    /// The loop stops.
    #[error("the loop stops")]
    Stopped,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "proxy")]
        if let Some(error) = error
            .get_ref()
            .and_then(|error| error.downcast_ref::<TunnelError>())
        {
            return Self::Proxy(error.clone());
        }
        #[cfg(feature = "tls")]
        let error = match TlsError::take(error) {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

impl Call {
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
    ) -> Result<Answer, OpenError> {
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
                    return Ok(Answer::Again);
                }
                begun => begun?,
            };
        }
        if !self.is_connected {
            return Ok(Answer::Waiting);
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
                    io::ErrorKind::WouldBlock => return Ok(Answer::Waiting),
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
                    return Ok(Answer::Agreed {
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
        Ok(Answer::Again)
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
