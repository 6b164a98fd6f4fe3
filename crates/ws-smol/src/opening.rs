//! Opening handshakes that an HTTP library reads and answers, and what becomes of
//! them.

use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use thiserror::Error;
use tracing::{Span, debug};
use ws_handshake::{DeflateParams, Response};
use ws_proto::{Masking, ServerMasking};

use crate::{
    Config, Error, WebSocket,
    engine::{Agreed, Engine},
    timer::Timers,
};

/// A WebSocket that was accepted, and whose stream is still with the HTTP library:
/// [`Acceptor::judge`](crate::Acceptor::judge) makes it.
#[derive(Debug)]
#[must_use = "there is no WebSocket before its stream is given"]
pub struct Opening {
    pub(crate) masking: ServerMasking,
    pub(crate) subprotocol: Option<String>,
    pub(crate) deflate: Option<DeflateParams>,
    pub(crate) config: Arc<Config>,
    pub(crate) timers: Timers,
    pub(crate) span: Span,
}

impl Opening {
    /// Makes the WebSocket, once the reply that accepts it was sent. `leftover` are
    /// the bytes that were read behind the head of its request.
    pub fn open<S>(self, stream: S, leftover: Vec<u8>) -> WebSocket<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        debug!(parent: &self.span, "open");
        WebSocket::from_engine(self.into_engine(stream, leftover))
    }

    /// Returns the subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns what was agreed on about permessage-deflate (RFC 7692); `None` if
    /// nothing is compressed.
    #[must_use]
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// Returns the flag `accept-unmasked-frame` of [MS-WSPE] as it was decided for
    /// the peer.
    #[must_use]
    pub const fn accept_unmasked_frame(&self) -> bool {
        self.masking.accept_unmasked_frame()
    }

    pub(crate) fn into_engine<S>(self, stream: S, leftover: Vec<u8>) -> Engine<S> {
        let masking = Masking::Server(self.masking);
        let mut engine = Engine::new(
            stream,
            masking,
            leftover,
            self.config,
            self.timers,
            self.span,
        );
        engine.agreed = self.subprotocol.map(|name| {
            Box::new(Agreed {
                subprotocol: Some(name),
                headers: None,
            })
        });
        engine.compress(self.deflate);
        engine
    }
}

/// A request that is not let in: what to answer, and why. There is no WebSocket.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct Rejection {
    /// The answer, for that request.
    pub response: Response,
    /// Why it is that.
    #[source]
    pub error: Error,
}

impl Rejection {
    pub(crate) fn new(response: Response, error: Error) -> Box<Self> {
        Box::new(Self { response, error })
    }

    pub(crate) fn with_status(status: u16, error: impl Into<Error>) -> Box<Self> {
        Self::new(Response::new(status), error.into())
    }
}
