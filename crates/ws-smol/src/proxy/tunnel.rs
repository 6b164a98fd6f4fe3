//! A client's way through a proxy.

use std::env;

use futures_io::{AsyncRead, AsyncWrite};
use ws_handshake::{
    Uri,
    proxy::{Proxy, ProxyUrlError, Tunnel, TunnelError, TunnelProgress},
};

use crate::{
    Error,
    handshaking::{Turn, read_at_most, write_all},
};

/// Opens a way through a proxy, on a stream that is connected to it. From then
/// on the stream is one to the server, of whose bytes none was read.
///
/// [`Connector::proxy`](crate::Connector::proxy) does it over TCP; this is for
/// streams of another kind, before
/// [`Connector::handshake`](crate::Connector::handshake). Time is the caller's
/// to bound.
///
/// # Errors
///
/// [`Error::Proxy`] if the proxy does not open the way; [`Error::Io`] if the
/// stream failed.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn tunnel<S>(mut stream: S, proxy: &Proxy, host: &str, port: u16) -> Result<S, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut tunnel = Tunnel::new(proxy, host, port)?;
    let mut turn = Turn::new();
    loop {
        let len = tunnel.to_send().len();
        write_all(&mut stream, tunnel.to_send()).await?;
        tunnel.sent(len);
        let progress = read_at_most(tunnel.room(), &mut stream, &mut turn, |input| {
            match input.is_empty() {
                true => Err(tunnel.eof()),
                false => tunnel.receive(input),
            }
        })
        .await
        // What refuses and then resets has refused.
        .map_err(|error| match tunnel.eof() {
            TunnelError::Lost => Error::from(error),
            refused => refused.into(),
        })?;
        if progress? != TunnelProgress::Incomplete {
            return Ok(stream);
        }
    }
}

/// How servers are reached.
#[derive(Clone, Debug, Default)]
pub(crate) enum Route {
    /// Directly.
    #[default]
    Direct,
    /// Through this proxy.
    Through(Box<Proxy>),
    /// As the environment says.
    Environment,
}

impl Route {
    /// Returns the proxy on the way to a server, if there is one.
    pub(crate) fn proxy(&self, uri: &Uri) -> Result<Option<Proxy>, ProxyUrlError> {
        match self {
            Self::Direct => Ok(None),
            Self::Through(proxy) => Ok(Some((**proxy).clone())),
            Self::Environment => Proxy::from_env(uri, |name| env::var(name).ok()),
        }
    }
}
