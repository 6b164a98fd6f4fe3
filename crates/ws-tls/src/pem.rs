//! Certificates and keys, as files have them.

use std::sync::Arc;

use rustls::{
    RootCertStore,
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
        let chain = certificates(self.chain)?;
        let key = PrivateKeyDer::from_pem_slice(self.key).map_err(|_| TlsConfigError::NoKey)?;
        Ok((chain, key))
    }
}

pub(crate) fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsConfigError> {
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(TlsConfigError::Rejected)?;
    }
    Ok(())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsConfigError::NoCertificate),
    }
}

/// The application's provider, or ring.
pub(crate) fn provider(chosen: Option<Arc<CryptoProvider>>) -> Arc<CryptoProvider> {
    chosen.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}
