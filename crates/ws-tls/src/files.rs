//! Certificates and keys, as files have them: PEM or DER.

use std::{fmt, sync::Arc};

use rustls::{
    Error as Rustls, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::TlsConfigError;

/// A certificate chain and its key, which are not parsed yet.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) chain: &'a [u8],
    pub(crate) key: &'a [u8],
}

type ParsedIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Identity<'_> {
    pub(crate) fn parse(self) -> Result<ParsedIdentity, TlsConfigError> {
        Ok((certificates(self.chain)?, key(self.key)?))
    }
}

pub(crate) fn add_roots(roots: &mut RootCertStore, file: &[u8]) -> Result<(), TlsConfigError> {
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(TlsConfigError::Rejected)?;
    }
    Ok(())
}

/// Reads the certificates of a file, all that PEM has, or the one that DER is.
pub(crate) fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let is_pem = contains(file, PEM);
    let found = match is_pem {
        true => CertificateDer::pem_slice_iter(file)
            .collect::<Result<Vec<_>, _>>()
            .unwrap_or_default(),
        false if FileKind::of(file) == Some(FileKind::Certificate) => vec![file.to_vec().into()],
        false => Vec::new(),
    };
    match FileKind::of(file) {
        _ if !found.is_empty() => Ok(found),
        // It says that it is one, and is not.
        None | Some(FileKind::Certificate) => Err(TlsConfigError::NoCertificate),
        Some(found) => Err(TlsConfigError::NotACertificate { found }),
    }
}

fn key(file: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    let kind = FileKind::of(file);
    if kind == Some(FileKind::EncryptedKey) {
        return Err(TlsConfigError::EncryptedKey);
    }
    let key = match contains(file, PEM) {
        true => PrivateKeyDer::from_pem_slice(file).ok(),
        false if kind == Some(FileKind::PrivateKey) => PrivateKeyDer::try_from(file.to_vec()).ok(),
        false => None,
    };
    key.ok_or(match kind {
        None | Some(FileKind::PrivateKey) => TlsConfigError::NoKey,
        Some(found) => TlsConfigError::NotAKey { found },
    })
}

/// Names what a provider has against a configuration: a key on a curve that it
/// does not know is the common cause.
pub(crate) fn rejected(error: Rustls, is_p521: bool) -> TlsConfigError {
    match is_p521 {
        true => TlsConfigError::P521Key(error),
        false => TlsConfigError::Rejected(error),
    }
}

/// Tells whether a key is one of ECDSA with the curve P-521.
pub(crate) fn is_p521(key: &PrivateKeyDer<'_>) -> bool {
    contains(key.secret_der(), P521)
}

/// What a file is that was given for a certificate or for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A certificate, or several as PEM.
    Certificate,
    /// A private key that is not encrypted.
    PrivateKey,
    /// A private key that is encrypted with a password.
    EncryptedKey,
    /// A PKCS#12 archive of certificates and keys, often `.p12` or `.pfx`.
    Pkcs12,
    /// A PKCS#7 bundle of certificates, often `.p7b`.
    Pkcs7,
    /// A request for a certificate, often `.csr`.
    CertificateRequest,
    /// A public key without a certificate.
    PublicKey,
}

impl FileKind {
    /// Tells what a file is by how it starts; `None` if it is none of them.
    fn of(file: &[u8]) -> Option<Self> {
        if contains(file, PEM) {
            return Self::of_pem(file);
        }
        let body = inside(file, SEQUENCE)?;
        match body.first()? {
            // A version, and what follows it.
            2 => match (body.get(1..3)?, body.get(3)?) {
                ([1, 3], _) => Some(Self::Pkcs12),
                ([1, 0 | 1], 0x30 | 2 | 4) => Some(Self::PrivateKey),
                _ => None,
            },
            6 => Some(Self::Pkcs7),
            &SEQUENCE => match inside(body, SEQUENCE)? {
                // Version and serial number, or the latter alone with the algorithm of the
                // signature behind it. A request has a version, and a name.
                [0xa0, ..] => Some(Self::Certificate),
                [2, length @ 0..0x80, rest @ ..] => {
                    let next = rest.get(usize::from(*length)..)?;
                    match inside(next, SEQUENCE)?.first() {
                        Some(6) => Some(Self::Certificate),
                        _ => Some(Self::CertificateRequest),
                    }
                }
                [6, ..] if contains(body, PKCS5) || contains(body, PKCS12_PBE) => {
                    Some(Self::EncryptedKey)
                }
                [6, ..] => Some(Self::PublicKey),
                _ => None,
            },
            _ => None,
        }
    }

    /// A certificate counts before a key, and a key before what is beside it.
    fn of_pem(file: &[u8]) -> Option<Self> {
        let has = |label: &[u8]| contains(file, label);
        if has(b"BEGIN CERTIFICATE-----") || has(b"BEGIN X509 CERTIFICATE-----") {
            Some(Self::Certificate)
        } else if has(b"BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
            Some(Self::EncryptedKey)
        } else if has(b"PRIVATE KEY-----") {
            Some(Self::PrivateKey)
        } else if has(b"BEGIN PKCS7-----") {
            Some(Self::Pkcs7)
        } else if has(b"CERTIFICATE REQUEST-----") {
            Some(Self::CertificateRequest)
        } else if has(b"PUBLIC KEY-----") {
            Some(Self::PublicKey)
        } else {
            None
        }
    }
}

/// What it is, and what to do with it.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "a certificate",
            Self::PrivateKey => "a private key",
            Self::EncryptedKey => {
                "a private key that is encrypted; \
                 `openssl pkey -in FILE -out key.pem` asks for its password"
            }
            Self::Pkcs12 => {
                "a PKCS#12 archive; `openssl pkcs12 -in FILE -nodes -out both.pem` makes PEM of it"
            }
            Self::Pkcs7 => {
                "a PKCS#7 bundle; `openssl pkcs7 -in FILE -print_certs -out certs.pem` makes PEM \
                 of it (with `-inform der` if it is binary)"
            }
            Self::CertificateRequest => "a request for a certificate, which nobody has signed yet",
            Self::PublicKey => "a public key without a certificate",
        })
    }
}

/// Returns what an element of DER contains, as far as it is there.
fn inside(der: &[u8], tag: u8) -> Option<&[u8]> {
    let [first, length, rest @ ..] = der else {
        return None;
    };
    let skip = match length {
        0..0x80 => 0,
        length => usize::from(length & 0x7f),
    };
    rest.get(skip..).filter(|_| *first == tag && skip <= 4)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The application's provider, or ring.
pub(crate) fn provider(chosen: Option<Arc<CryptoProvider>>) -> Arc<CryptoProvider> {
    chosen.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

const PEM: &[u8] = b"-----BEGIN ";
const SEQUENCE: u8 = 0x30;
/// The curve secp521r1, 1.3.132.0.35.
const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
/// The algorithms of PKCS#5 that encrypt with a password, 1.2.840.113549.1.5.
const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
/// Those of PKCS#12, 1.2.840.113549.1.12.1.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_file_of_any_kind() {
        for file in [
            &b""[..],
            b"0",
            b"0\x82",
            b"not a file",
            &[0x30; 20],
            b"-----BEGIN ",
        ] {
            assert_eq!(FileKind::of(file), None, "{}", file.escape_ascii());
            assert!(certificates(file).is_err());
            assert!(key(file).is_err());
        }
    }

    #[test]
    fn first_certificates_and_requests_differ_in_what_follows_the_number() {
        // A serial number and an algorithm; a version and a name.
        let certificate = b"0\x0b0\x09\x02\x02\x01\x050\x03\x06\x01\x2a";
        assert_eq!(FileKind::of(certificate), Some(FileKind::Certificate));
        for name in [&b"0\x04\x31\x02\x17\x0d"[..], b"0\x00"] {
            let request = [b"0\x090\x07\x02\x01\x00", name].concat();
            assert_eq!(FileKind::of(&request), Some(FileKind::CertificateRequest));
        }
    }
}
