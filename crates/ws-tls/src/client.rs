//! The client's configuration.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    ALPN, TlsConfigError,
    files::{Identity, add_roots, is_p521, provider, rejected},
    pin::{PinVerifier, Pins},
};

/// What a client needs for TLS: whom it trusts, and who it is. Cheap to clone: clones share one
/// configuration, and the sessions that can be resumed.
///
/// ```no_run
/// use ws_tls::ClientTls;
///
/// let read = std::fs::read;
/// // Servers on the internet …
/// let tls = ClientTls::platform_roots()?;
/// // … or those of the company, with a certificate of our own (mutual TLS).
/// let tls = ClientTls::builder()
///     .ca(&read("ca.pem")?)
///     .identity(&read("client.pem")?, &read("client-key.pem")?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts whom the operating system trusts.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::NoPlatformRoots`] if it names nobody.
    pub fn platform_roots() -> Result<Self, TlsConfigError> {
        Self::builder().platform_roots().build()
    }

    /// Trusts the certificates of authorities that are given as PEM or DER, and nobody else.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] if there is no certificate.
    pub fn with_ca(file: &[u8]) -> Result<Self, TlsConfigError> {
        Self::builder().ca(file).build()
    }

    /// Starts a configuration that says more: both kinds of roots, servers that are pinned, a
    /// certificate of its own, another provider.
    pub fn builder<'a>() -> ClientTlsBuilder<'a> {
        ClientTlsBuilder::default()
    }

    /// Takes a configuration as it is, with its protocols (ALPN) and its resumption.
    #[must_use]
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    /// Makes a configuration that offers other protocols by ALPN than `http/1.1`, the one liked
    /// best first: `h2` and `http/1.1` for both versions of HTTP. It is the same otherwise.
    #[must_use]
    pub fn protocols(&self, names: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// Makes a [`ClientTls`].
#[derive(Clone, Default)]
#[must_use]
pub struct ClientTlsBuilder<'a> {
    platform_roots: bool,
    ca: Vec<&'a [u8]>,
    pinned: Vec<&'a [u8]>,
    pinned_keys: Vec<[u8; 32]>,
    identity: Option<Identity<'a>>,
    provider: Option<Arc<CryptoProvider>>,
    accept_any: bool,
}

impl<'a> ClientTlsBuilder<'a> {
    /// Trusts whom the operating system trusts.
    pub fn platform_roots(mut self) -> Self {
        self.platform_roots = true;
        self
    }

    /// Trusts the certificates of authorities that are given as PEM or DER; may be said several
    /// times.
    pub fn ca(mut self, file: &'a [u8]) -> Self {
        self.ca.push(file);
        self
    }

    /// Trusts the server that shows exactly this certificate, given as PEM or DER: for devices
    /// whose certificate nobody has signed but themselves. May be said several times; of PEM
    /// each certificate counts.
    ///
    /// That the server has the certificate's key is checked in each handshake. The name, the time
    /// of validity, the issuer, the purpose and revocation are not: the pin stands for all of
    /// them. Servers that are not pinned are judged by the roots, and refused if there are
    /// none. [`TlsError::CaAsEndEntity`](crate::TlsError::CaAsEndEntity) and
    /// [`UnknownIssuer`](crate::TlsError::UnknownIssuer) are what a device without a pin comes to.
    ///
    /// ```no_run
    /// use ws_tls::ClientTls;
    ///
    /// // What `openssl s_client -connect device:443 </dev/null | openssl x509` printed, on a network that is trusted.
    /// let device = std::fs::read("device.pem")?;
    /// let tls = ClientTls::builder().pin_certificate(&device).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pin_certificate(mut self, file: &'a [u8]) -> Self {
        self.pinned.push(file);
        self
    }

    /// Trusts a server that has this key, whatever else its certificate says, by the SHA-256 of its
    /// public key: see [`key_sha256`](crate::key_sha256). It outlives a renewal of the
    /// certificate. What is checked, and what is not, is as
    /// with [`pin_certificate`](Self::pin_certificate).
    pub fn pin_key(mut self, sha256: [u8; 32]) -> Self {
        self.pinned_keys.push(sha256);
        self
    }

    /// The client's own certificate chain and private key, both as PEM or DER, for servers that ask
    /// for them.
    pub fn identity(mut self, cert: &'a [u8], key: &'a [u8]) -> Self {
        let identity = Identity { chain: cert, key };
        self.identity = Some(identity);
        self
    }

    /// Takes its cryptography from another provider than ring.
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Believes every server to be who it says it is, and so anybody in between as well. For tests.
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`]: nobody is trusted, or what was given is not what it should be.
    pub fn build(self) -> Result<ClientTls, TlsConfigError> {
        let identity = self.identity.map(Identity::parse).transpose()?;
        let mut roots = RootCertStore::empty();
        if self.platform_roots {
            add_platform_roots(&mut roots)?;
        }
        for file in self.ca {
            add_roots(&mut roots, file)?;
        }
        let mut pins = Pins::default();
        for file in self.pinned {
            pins.add_certificate(file)?;
        }
        for key in self.pinned_keys {
            pins.add_key(key);
        }
        if roots.is_empty() && pins.is_empty() && !self.accept_any {
            return Err(TlsConfigError::NoRoots);
        }
        let provider = provider(self.provider);
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Rejected)?;
        let builder = if self.accept_any || fault!("certificate-unchecked") {
            let verifier = Arc::new(AcceptAny(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else if !pins.is_empty() {
            let verifier = Arc::new(PinVerifier {
                pins,
                others: verifier_of(roots, &provider)?,
                provider,
            });
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(roots)
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let is_p521 = is_p521(&key);
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| rejected(error, is_p521))?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(ClientTls(Arc::new(config)))
    }
}

impl fmt::Debug for ClientTlsBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTlsBuilder")
            .field("platform_roots", &self.platform_roots)
            .field("ca", &self.ca.len())
            .field("pins", &(self.pinned.len() + self.pinned_keys.len()))
            .field("identity", &self.identity.is_some())
            .field("accept_any", &self.accept_any)
            .finish_non_exhaustive()
    }
}

/// Makes what judges servers by roots; `None` if there are none.
fn verifier_of(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ServerCertVerifier>>, TlsConfigError> {
    if roots.is_empty() {
        return Ok(None);
    }
    let builder = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    match builder.build() {
        Ok(verifier) => Ok(Some(verifier)),
        Err(error) => Err(TlsConfigError::Rejected(rustls::Error::General(
            error.to_string(),
        ))),
    }
}

/// A certificate of the store that cannot be read is passed over: stores have such, and no server
/// depends on it.
fn add_platform_roots(roots: &mut RootCertStore) -> Result<(), TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let cause = found.errors.first().map(ToString::to_string);
        return Err(TlsConfigError::NoPlatformRoots {
            cause: cause.unwrap_or_else(|| "there are none".to_owned()),
        });
    }
    Ok(())
}

/// Verifies that the server has the key of its certificate, whatever that is.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
