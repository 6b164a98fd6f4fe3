//! Servers behind TLS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use ws_backplane::{Connect, Engine};
use ws_tls::ClientTls;

use crate::{
    Failure,
    observer::{Pair, SHORT, limits, node},
};

/// A certificate of `localhost` and its key, in files.
pub(crate) struct Certificates {
    folder: PathBuf,
    pem: String,
}

impl Certificates {
    pub(crate) fn write(folder: &Path) -> Result<Self, Failure> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()])?;
        let certificates = Self {
            folder: folder.to_owned(),
            pem: cert.pem(),
        };
        let [certificate, key] = certificates.files();
        fs::write(certificate, &certificates.pem)?;
        fs::write(key, signing_key.serialize_pem())?;
        Ok(certificates)
    }

    /// The certificate and the key.
    pub(crate) fn files(&self) -> [String; 2] {
        ["certificate.pem", "key.pem"].map(|name| self.folder.join(name).display().to_string())
    }
}

/// A node that trusts the certificate publishes and subscribes; one that
/// trusts another does not get in.
pub(crate) fn play<E, C>(
    certificates: &Certificates,
    engine: impl Fn() -> E,
    connect: impl Fn(ClientTls) -> C,
) -> Result<String, Failure>
where
    E: Engine + Send + 'static,
    C: Connect + Clone + Send + 'static,
    C::Stream: Send,
{
    let other = generate_simple_self_signed(["localhost".into()])?;
    let stranger = ClientTls::with_ca(other.cert.pem().as_bytes())?;
    let (_stranger, seen) = node(engine(), connect(stranger), limits());
    let trusting = ClientTls::with_ca(certificates.pem.as_bytes())?;
    let mut pair = Pair::new(engine, connect(trusting))?;
    pair.publish_for(SHORT);
    pair.settle()?;
    if seen.lock().ups > 0 {
        return Err("a certificate is taken that nobody trusts".into());
    }
    let text = pair.check()?.complete()?;
    Ok(format!("{text}; another certificate is refused"))
}
