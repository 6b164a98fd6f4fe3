//! What goes wrong, by cause.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as Rustls, InvalidMessage, OtherError};

use crate::{FileKind, pin::NotPinned};

/// Why a TLS connection could not be made, or broke off.
///
/// One variant a cause; [`source`](std::error::Error::source) is the error of rustls, where there
/// is one. It travels in an [`io::Error`], and [`of`](Self::of) finds it there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's certificate has expired.
    #[error("the peer's certificate has expired ({0})")]
    Expired(#[source] Rustls),
    /// The peer's certificate is not valid yet; it may also be that our clock is slow.
    #[error("the peer's certificate is not valid yet ({0})")]
    NotYetValid(#[source] Rustls),
    /// The server's certificate is for other hosts than the one that was asked for.
    #[error("the server's certificate is for another host ({0})")]
    WrongHost(#[source] Rustls),
    /// Nobody whom we trust stands for the peer's certificate; it may also have been signed by
    /// itself.
    #[error("the peer's certificate is from an unknown issuer, or signed by itself")]
    UnknownIssuer(#[source] Rustls),
    /// The server shows a certificate of an authority (CA) as its own, as devices do that signed it
    /// themselves: as such it is refused, whoever trusts it.
    /// [`pin_certificate`](crate::ClientTlsBuilder::pin_certificate) or
    /// [`pin_key`](crate::ClientTlsBuilder::pin_key) trusts that device, or it gets a certificate
    /// that is no authority's.
    #[error(
        "the server shows a CA certificate as its own: pin it (ClientTlsBuilder::pin_certificate or \
         pin_key), or give the server a certificate without CA:TRUE"
    )]
    CaAsEndEntity(#[source] Rustls),
    /// The server is none of those that are [pinned](crate::ClientTlsBuilder::pin_certificate), and
    /// there are no roots that could stand for it.
    #[error("the server is none of those that are pinned ({0})")]
    NotPinned(#[source] Rustls),
    /// The peer's certificate, or one above it, has a key or a signature that the provider of
    /// cryptography cannot verify: ring knows RSA, ECDSA on P-256 and P-384, and Ed25519, but
    /// not P-521. Another [provider](crate::ClientTlsBuilder::provider) may.
    #[error(
        "the peer's certificate has a key or signature that the provider does not know, such as \
         P-521 with ring ({0})"
    )]
    UnknownAlgorithm(#[source] Rustls),
    /// The peer's certificate has been revoked.
    #[error("the peer's certificate has been revoked")]
    Revoked(#[source] Rustls),
    /// The peer's certificate is wrong in another way.
    #[error("the peer's certificate is not acceptable ({0})")]
    BadCertificate(#[source] Rustls),
    /// The server asks for a certificate of the client, and the client shows none.
    #[error("the client shows no certificate, which the server requires")]
    NoClientCertificate(#[source] Rustls),
    /// The first bytes are no TLS: plain HTTP on a port for TLS, or TLS with a server of plain
    /// HTTP.
    #[error("what the peer sends is not TLS")]
    NotTls(#[source] Rustls),
    /// There is no version, cipher or protocol (ALPN) that both sides can do.
    #[error("the peer has no TLS version, cipher or protocol in common with us ({0})")]
    Incompatible(#[source] Rustls),
    /// The peer gave up, and says why.
    #[error("the peer refused with the TLS alert {alert:?}")]
    Alert {
        /// What it says.
        alert: AlertDescription,
    },
    /// The stream ended in the middle of the TLS handshake.
    #[error("the stream ended in the TLS handshake")]
    EndedInHandshake,
    /// The host is neither a DNS name nor an IP address, so that no certificate can be for it.
    #[error("neither a DNS name nor an IP address: \"{offered}\"")]
    BadName {
        /// The start of it.
        offered: String,
    },
    /// Anything else, as rustls tells it.
    #[error("{0}")]
    Other(#[source] Rustls),
}

impl TlsError {
    /// Finds the cause in an error of a stream, if TLS is the cause.
    ///
    /// ```
    /// use std::io;
    ///
    /// use ws_tls::TlsError;
    ///
    /// let error = io::Error::from(TlsError::EndedInHandshake);
    /// assert_eq!(TlsError::of(&error), Some(&TlsError::EndedInHandshake));
    /// assert_eq!(TlsError::of(&io::ErrorKind::TimedOut.into()), None);
    /// ```
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Takes the cause out of an error of a stream, whether it lies there as itself or as the error
    /// of rustls that its own streams return.
    ///
    /// # Errors
    ///
    /// The error as it was, if TLS is not the cause.
    pub fn take(error: io::Error) -> Result<Self, io::Error> {
        let error = error.downcast::<Self>();
        error.or_else(|error| error.downcast::<Rustls>().map(Self::from))
    }
}

impl From<Rustls> for TlsError {
    fn from(error: Rustls) -> Self {
        match &error {
            Rustls::InvalidCertificate(certificate) => match certificate {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired(error)
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid(error)
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::WrongHost(error),
                CertificateError::UnknownIssuer => Self::UnknownIssuer(error),
                CertificateError::Revoked => Self::Revoked(error),
                CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                    Self::UnknownAlgorithm(error)
                }
                CertificateError::Other(OtherError(cause)) if cause.is::<NotPinned>() => {
                    Self::NotPinned(error)
                }
                // webpki, whose error it is, is not at hand.
                CertificateError::Other(cause) if cause.to_string() == "CaUsedAsEndEntity" => {
                    Self::CaAsEndEntity(error)
                }
                _ => Self::BadCertificate(error),
            },
            Rustls::NoCertificatesPresented
            | Rustls::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::NoClientCertificate(error)
            }
            Rustls::AlertReceived(alert) => Self::Alert { alert: *alert },
            Rustls::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls(error),
            Rustls::PeerIncompatible(_) | Rustls::NoApplicationProtocol => {
                Self::Incompatible(error)
            }
            _ => Self::Other(error),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match error {
            TlsError::EndedInHandshake => io::ErrorKind::UnexpectedEof,
            TlsError::BadName { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// There is no certificate in what should be one as DER, or one or several as PEM.
    #[error("no certificate was found: PEM with BEGIN CERTIFICATE, or DER, is needed")]
    NoCertificate,
    /// What should be a certificate is something else.
    #[error("a certificate is needed, as PEM or DER, and the file is {found}")]
    NotACertificate {
        /// What it is.
        found: FileKind,
    },
    /// There is no private key in what should be one as PEM or DER.
    #[error("no private key was found: PEM with BEGIN PRIVATE KEY, or DER, is needed")]
    NoKey,
    /// What should be a private key is something else.
    #[error("a private key is needed, as PEM or DER, and the file is {found}")]
    NotAKey {
        /// What it is.
        found: FileKind,
    },
    /// The private key is encrypted with a password, which nobody here asks for.
    #[error("the private key is encrypted: `openssl pkey -in FILE -out key.pem` decrypts it")]
    EncryptedKey,
    /// The private key is one of ECDSA on the curve P-521, and the provider does not sign with it:
    /// ring does not.
    #[error(
        "the provider does not sign with keys on P-521 ({0}): use P-256 or P-384, or another \
         provider"
    )]
    P521Key(#[source] Rustls),
    /// A server was given no certificate.
    #[error("a server needs an identity: a certificate chain and its key")]
    NoIdentity,
    /// A client would trust nobody.
    #[error(
        "a client needs somebody to trust: platform_roots(), ca(), pin_certificate() or pin_key()"
    )]
    NoRoots,
    /// The operating system names nobody to trust.
    #[error("the platform's root certificates could not be read: {cause}")]
    NoPlatformRoots {
        /// What it says.
        cause: String,
    },
    /// The certificates that are to stand for clients cannot be used for it.
    #[error("the certificates for clients cannot be used ({0})")]
    ClientCa(#[source] rustls::server::VerifierBuilderError),
    /// rustls does not take the certificate, the key, or the provider.
    #[error("rustls refuses the configuration ({0})")]
    Rejected(#[source] Rustls),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_taken_out_of_an_error_of_a_stream() {
        let ours = io::Error::from(TlsError::EndedInHandshake);
        assert_eq!(ours.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(TlsError::take(ours).unwrap(), TlsError::EndedInHandshake);

        let expired = Rustls::InvalidCertificate(CertificateError::Expired);
        let theirs = io::Error::new(io::ErrorKind::InvalidData, expired.clone());
        assert_eq!(TlsError::take(theirs).unwrap(), TlsError::Expired(expired));

        let other = TlsError::take(io::ErrorKind::TimedOut.into()).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::TimedOut);
    }
}
