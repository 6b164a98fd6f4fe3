//! Servers that are known by their key.

use std::{fmt::Write as _, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error as Rustls, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, ring::cipher_suite::TLS13_AES_128_GCM_SHA256, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use crate::{TlsConfigError, files::certificates};

/// Returns what [`ClientTlsBuilder::pin_key`](crate::ClientTlsBuilder::pin_key) takes: the SHA-256
/// of a certificate's public key (its SubjectPublicKeyInfo as DER), which stays when the
/// certificate is renewed with the same key.
///
/// The certificate is PEM or DER; of several, the first counts. `openssl` prints the same:
///
/// ```sh
/// openssl x509 -in device.pem -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256
/// ```
///
/// # Errors
///
/// [`TlsConfigError`] if that is no certificate.
pub fn key_sha256(certificate: &[u8]) -> Result<[u8; 32], TlsConfigError> {
    let certificates = certificates(certificate)?;
    let first = certificates.first().ok_or(TlsConfigError::NoCertificate)?;
    sha256_of_key(first).map_err(TlsConfigError::Rejected)
}

fn sha256_of_key(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Rustls> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    sha256(&parsed.subject_public_key_info())
}

fn sha256(bytes: &[u8]) -> Result<[u8; 32], Rustls> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    let hash = suite.map(|suite| suite.common.hash_provider.hash(bytes));
    hash.and_then(|hash| hash.as_ref().try_into().ok())
        .ok_or_else(|| Rustls::General("there is no SHA-256".to_owned()))
}

/// Whom a client trusts without an authority that stands for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins {
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<[u8; 32]>,
}

impl Pins {
    pub(crate) const fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.keys.is_empty()
    }

    pub(crate) fn add_certificate(&mut self, file: &[u8]) -> Result<(), TlsConfigError> {
        self.certificates.extend(certificates(file)?);
        Ok(())
    }

    pub(crate) fn add_key(&mut self, sha256: [u8; 32]) {
        self.keys.push(sha256);
    }

    fn have(&self, shown: &CertificateDer<'_>) -> bool {
        let has_key = || sha256_of_key(shown).is_ok_and(|key| self.keys.contains(&key));
        self.certificates.iter().any(|pin| pin == shown) || (!self.keys.is_empty() && has_key())
    }
}

/// Trusts servers that are pinned, and of others those that `others` does.
/// Either has to have the key of its certificate.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    pub(crate) pins: Pins,
    pub(crate) others: Option<Arc<dyn ServerCertVerifier>>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Rustls> {
        if self.pins.have(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.others {
            Some(others) => others.verify_server_cert(shown, intermediates, name, ocsp, now),
            None => Err(not_pinned(shown)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The server is none of those that were pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SHA-256 of the key that it shows is {shown}")]
pub(crate) struct NotPinned {
    shown: String,
}

fn not_pinned(shown: &CertificateDer<'_>) -> Rustls {
    let mut hex = String::new();
    for byte in sha256_of_key(shown).unwrap_or_default() {
        let _ = write!(hex, "{byte:02x}");
    }
    let error = NotPinned { shown: hex };
    CertificateError::Other(OtherError(Arc::new(error))).into()
}
