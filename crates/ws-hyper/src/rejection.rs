//! Requests that are not let in.

use std::fmt;

use ws_handshake::HandshakeError;

/// A request that becomes no WebSocket, and what to answer.
#[derive(Debug)]
pub struct Rejection(Box<Inner>);

#[derive(Debug)]
struct Inner {
    response: http::Response<Vec<u8>>,
    cause: Cause,
}

/// Why a request becomes no WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The acceptor or the decision does not let it in.
    #[error(transparent)]
    Refused(#[from] ws_smol::Error),
    /// There is no upgrade of hyper's in the request's extensions: it was taken out before, or
    /// the request did not come from hyper.
    #[error("the request cannot be upgraded: it has no hyper::upgrade::OnUpgrade")]
    NotUpgradable,
}

impl Rejection {
    pub(crate) fn refused(rejection: ws_smol::Rejection) -> Self {
        Self::new(rejection.response.to_http(), rejection.error.into())
    }

    /// A request that HTTP does not allow. Over HTTP/2 it is answered too, as hyper does not
    /// let us reset the stream.
    pub(crate) fn malformed(error: HandshakeError, version: http::Version) -> Self {
        let mut response = error.rejection().to_http();
        if version >= http::Version::HTTP_2 {
            response.headers_mut().remove(http::header::CONNECTION);
        }
        Self::new(response, Cause::Refused(error.into()))
    }

    pub(crate) fn not_upgradable() -> Self {
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(response, Cause::NotUpgradable)
    }

    fn new(response: http::Response<Vec<u8>>, cause: Cause) -> Self {
        Self(Box::new(Inner { response, cause }))
    }

    /// Why it is one.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        self.0.response.status()
    }

    /// The answer to send.
    #[must_use]
    pub fn into_http(self) -> http::Response<Vec<u8>> {
        self.0.response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.cause.fmt(f)
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.source()
    }
}
