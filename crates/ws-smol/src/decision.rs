//! What a server does with one request.

use std::sync::Arc;

use ws_handshake::{Acceptance, Response};
use ws_proto::{ConfigError, KeepaliveConfig, Limits};

use crate::{Config, Error};

/// What a server does with one request. See
/// [`Acceptor::accept_with`](crate::Acceptor::accept_with).
#[derive(Clone, Debug)]
pub struct Decision(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Accept(Accept),
    Respond(Response),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Accept {
    subprotocol: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) unmasked: Option<bool>,
    config: Option<Arc<Config>>,
    limits: Option<Limits>,
    keepalive: Option<KeepaliveConfig>,
    without_deflate: bool,
}

impl Decision {
    /// Accepts the request if it is a correct opening handshake.
    #[must_use]
    pub fn accept() -> Self {
        Self(Kind::Accept(Accept::default()))
    }

    /// Answers with a response instead: there is no WebSocket.
    #[must_use]
    pub const fn respond(response: Response) -> Self {
        Self(Kind::Respond(response))
    }

    /// Agrees on a subprotocol, whatever [`Acceptor::subprotocols`](crate::Acceptor::subprotocols)
    /// says.
    #[must_use]
    pub fn subprotocol(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.map(|accept| accept.subprotocol = Some(name))
    }

    /// Adds a header to the response that accepts.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        let field = (name.into(), value.into());
        self.map(|accept| accept.headers.push(field))
    }

    /// Sets limits and times of this connection, instead of
    /// [`Acceptor::config`](crate::Acceptor::config). One `Arc` may serve many connections.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ws_smol::{Config, Decision, Request, Response};
    ///
    /// async fn decide(request: &Request<'_>, uploads: &Arc<Config>) -> Decision {
    ///     match request.path() {
    ///         "/chat" => Decision::accept(),
    ///         "/upload" => Decision::accept().config(Arc::clone(uploads)),
    ///         _ => Decision::respond(Response::new(404)),
    ///     }
    /// }
    /// # let _ = decide;
    /// ```
    #[must_use]
    pub fn config(self, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        self.map(|accept| accept.config = Some(config))
    }

    /// Sets how much the client of this connection may send in a frame and in
    /// a message, instead of [`Acceptor::limits`](crate::Acceptor::limits).
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.map(|accept| accept.limits = Some(limits))
    }

    /// Sets when the client of this connection is asked whether it is there,
    /// instead of [`Acceptor::keepalive`](crate::Acceptor::keepalive).
    #[must_use]
    pub fn keepalive(self, keepalive: KeepaliveConfig) -> Self {
        self.map(|accept| accept.keepalive = Some(keepalive))
    }

    /// Declines compression for this connection, whatever
    /// [`Acceptor::deflate`](crate::Acceptor::deflate) says.
    #[must_use]
    pub fn without_deflate(self) -> Self {
        self.map(|accept| accept.without_deflate = true)
    }

    /// Decides on the flag `accept-unmasked-frame` of [MS-WSPE] for this
    /// connection.
    ///
    /// Among the clients that
    /// [`Acceptor::accept_unmasked_frame`](crate::Acceptor::accept_unmasked_frame)
    /// names; for any other it stays off.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn accept_unmasked_frame(self, flag: bool) -> Self {
        self.map(|accept| accept.unmasked = Some(flag))
    }

    /// Changes what is accepted; a response stays what it is.
    fn map(mut self, change: impl FnOnce(&mut Accept)) -> Self {
        if let Kind::Accept(accept) = &mut self.0 {
            change(accept);
        }
        self
    }
}

impl Accept {
    /// Returns the configuration of the connection.
    pub(crate) fn configure(&self, acceptor: &Arc<Config>) -> Result<Arc<Config>, ConfigError> {
        let mut config = Arc::clone(self.config.as_ref().unwrap_or(acceptor));
        if let Some(limits) = self.limits {
            Arc::make_mut(&mut config).limits = limits;
        }
        if let Some(keepalive) = self.keepalive {
            Arc::make_mut(&mut config).keepalive = keepalive;
        }
        config.check()?;
        Ok(config)
    }

    pub(crate) fn apply<'r>(
        &self,
        mut acceptance: Acceptance<'r>,
    ) -> Result<Acceptance<'r>, Error> {
        if let Some(name) = &self.subprotocol {
            acceptance = acceptance.subprotocol(name)?;
        }
        if self.without_deflate {
            acceptance = acceptance.without_deflate();
        }
        for (name, value) in &self.headers {
            acceptance = acceptance.header(name, value)?;
        }
        Ok(acceptance)
    }
}
