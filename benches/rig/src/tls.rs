//! TLS, as a run has it: the same version, cipher and provider for every server, and nothing else
//! tuned.

use std::{error::Error, path::PathBuf, sync::Arc};

use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

use crate::Arguments;

/// Takes the arguments `--tls-cert FILE` and `--tls-key FILE` of a server; `None` without them.
///
/// # Errors
///
/// One without the other, and files that are not what they should be.
pub fn server_tls(arguments: &mut Arguments) -> Result<Option<Arc<ServerConfig>>, Box<dyn Error>> {
    let certificate: Option<PathBuf> = arguments.value("--tls-cert")?;
    let key: Option<PathBuf> = arguments.value("--tls-key")?;
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err("--tls-cert goes with --tls-key".into()),
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(Some(Arc::new(config)))
}

/// Takes the argument `--tls FILE` of a client, which names whom to trust; `None` without it.
///
/// # Errors
///
/// A file that is not what it should be.
pub fn client_tls(arguments: &mut Arguments) -> Result<Option<Arc<ClientConfig>>, Box<dyn Error>> {
    let Some(authority) = arguments.value::<PathBuf>("--tls")? else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each of many connections is as the first one.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Some(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}
