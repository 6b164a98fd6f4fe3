//! The server's configuration.

use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring::Ticketer},
    server::{
        NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
};

use crate::{
    ALPN, TlsConfigError,
    files::{Identity, add_roots, is_p521, provider, rejected},
};

/// What a server needs for TLS. Cheap to clone: clones share one configuration.
///
/// ```no_run
/// use ws_tls::ServerTls;
///
/// let read = std::fs::read;
/// // Everybody may connect …
/// let tls = ServerTls::from_pem(&read("server.pem")?, &read("server-key.pem")?)?;
/// // … or only who has a certificate of ours (mutual TLS).
/// let tls = ServerTls::builder()
///     .identity(&read("server.pem")?, &read("server-key.pem")?)
///     .client_ca(&read("ca.pem")?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Makes the configuration of a certificate chain, its own certificate first, and of its
    /// private key, both as PEM or DER.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] if there is no certificate, no key, or they do not belong together.
    pub fn from_pem(cert_chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        Self::builder().identity(cert_chain, key).build()
    }

    /// Starts a configuration that says more than [`from_pem`](Self::from_pem) does: certificates
    /// of clients, another provider.
    pub fn builder<'a>() -> ServerTlsBuilder<'a> {
        ServerTlsBuilder::default()
    }

    /// Takes a configuration as it is, with its protocols (ALPN) and its resumption.
    #[must_use]
    pub fn from_rustls(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }

    /// Makes a configuration that offers other protocols by ALPN than `http/1.1`, the one liked
    /// best first: `h2` and `http/1.1` for both versions of HTTP. It is the same otherwise.
    #[must_use]
    pub fn protocols(&self, names: &[&[u8]]) -> Self {
        let mut config = ServerConfig::clone(&self.0);
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.0
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Makes a [`ServerTls`].
#[derive(Clone, Default)]
#[must_use]
pub struct ServerTlsBuilder<'a> {
    identity: Option<Identity<'a>>,
    client_ca: Option<&'a [u8]>,
    provider: Option<Arc<CryptoProvider>>,
}

impl<'a> ServerTlsBuilder<'a> {
    /// The certificate chain, its own certificate first, and its private key, both as PEM or DER. A
    /// server needs them.
    pub fn identity(mut self, cert_chain: &'a [u8], key: &'a [u8]) -> Self {
        let identity = Identity {
            chain: cert_chain,
            key,
        };
        self.identity = Some(identity);
        self
    }

    /// Refuses clients without a certificate that these roots stand for, as PEM or DER: mutual TLS.
    ///
    /// Sessions are not resumed then: each connection shows its certificate and has its time
    /// judged, so that a certificate which has expired lets nobody in. It costs a signature on
    /// each side for each connection.
    pub fn client_ca(mut self, file: &'a [u8]) -> Self {
        self.client_ca = Some(file);
        self
    }

    /// Takes its cryptography from another provider than ring. Sessions are then resumed from a
    /// cache instead of tickets.
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`]: there is no identity, or what was given is not what it should be.
    pub fn build(self) -> Result<ServerTls, TlsConfigError> {
        let (chain, key) = self.identity.ok_or(TlsConfigError::NoIdentity)?.parse()?;
        let (is_ring, is_p521) = (self.provider.is_none(), is_p521(&key));
        let asks_clients = self.client_ca.is_some();
        let provider = provider(self.provider);
        let verifier: Arc<dyn ClientCertVerifier> = match self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, file)?;
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
                builder.build().map_err(TlsConfigError::ClientCa)?
            }
        };
        let builder = ServerConfig::builder_with_provider(provider);
        let mut config = builder
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_client_cert_verifier(verifier)
                    .with_single_cert(chain, key)
            })
            .map_err(|error| rejected(error, is_p521))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        if asks_clients {
            // In a session that is resumed nobody looks at the certificate.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else if is_ring {
            // What is resumed is kept by the clients, so their number does not matter.
            config.ticketer = Ticketer::new().map_err(TlsConfigError::Rejected)?;
        }
        Ok(ServerTls(Arc::new(config)))
    }
}

impl fmt::Debug for ServerTlsBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsBuilder")
            .field("identity", &self.identity.is_some())
            .field("client_ca", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}
