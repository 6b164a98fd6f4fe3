//! Connections to servers, from a loop.

use ws_handshake::ClientRequest;
#[cfg(feature = "tls")]
use ws_tls::ClientTls;

/// A connection to a server, to be made by a loop: what it asks for, and what
/// is kept for it.
///
/// The loop's [`Config`](crate::Config) says what the server may send and how
/// long it may take, as for every peer. Once it is open,
/// [`Handler::on_connected`](crate::Handler::on_connected) is called, and
/// [`Handler::on_connect_failed`](crate::Handler::on_connect_failed) if it
/// never is.
///
/// ```
/// use ws_mio::{ClientRequest, Connect, Uri};
///
/// let request = ClientRequest::new(Uri::parse("ws://backend.example/feed")?);
/// let connect: Connect<u32> = Connect::new(request, 7).set_mask_to_zero(true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connect<D> {
    pub(crate) request: ClientRequest,
    pub(crate) data: D,
    pub(crate) set_mask_to_zero: Option<bool>,
    #[cfg(feature = "proxy")]
    pub(crate) proxy: Option<crate::Proxy>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
}

impl<D> Connect<D> {
    /// Asks a server, and keeps `data` for the connection.
    #[must_use]
    pub const fn new(request: ClientRequest, data: D) -> Self {
        Self {
            request,
            data,
            set_mask_to_zero: None,
            #[cfg(feature = "proxy")]
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Speaks TLS with the server, whose certificate is to be for the host of
    /// the URI. The loop's transports are to be [`Tls`](crate::Tls) over
    /// something that connects; a transport that is given to
    /// [`Loop::connect_over`](crate::Loop::connect_over) is TLS already, or is
    /// not.
    ///
    /// ```no_run
    /// use ws_mio::{ClientRequest, ClientTls, Connect, Uri};
    ///
    /// let tls = ClientTls::platform_roots()?;
    /// let request = ClientRequest::new(Uri::parse("wss://backend.example/feed")?);
    /// let connect: Connect<()> = Connect::new(request, ()).tls(&tls);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Chooses the flag `set-mask-to-zero` of [MS-WSPE] for this connection,
    /// among the servers that
    /// [`Config::set_mask_to_zero`](crate::Config::set_mask_to_zero) names; for
    /// any other it stays off.
    #[must_use]
    pub const fn set_mask_to_zero(mut self, flag: bool) -> Self {
        self.set_mask_to_zero = Some(flag);
        self
    }

    /// The host and port to connect to: those of the URI, or of the proxy.
    pub(crate) fn destination(&self) -> (&str, u16) {
        #[cfg(feature = "proxy")]
        if let Some(proxy) = &self.proxy {
            return (proxy.host_for_connect(), proxy.port());
        }
        let uri = self.request.uri();
        (uri.host_for_connect(), uri.port())
    }

    /// Copies all but what is kept for the connection.
    pub(crate) fn without_data(&self) -> Connect<()> {
        Connect {
            request: self.request.clone(),
            data: (),
            set_mask_to_zero: self.set_mask_to_zero,
            #[cfg(feature = "proxy")]
            proxy: self.proxy.clone(),
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }

    /// Goes through a proxy: the address to connect to is then that of the
    /// proxy. It takes a loop of [`Tunneled`](crate::Tunneled) transports, or
    /// of a layer over them.
    ///
    /// [`Proxy::from_env`](crate::Proxy::from_env) asks the environment, which
    /// nothing does by itself.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: crate::Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }
}
