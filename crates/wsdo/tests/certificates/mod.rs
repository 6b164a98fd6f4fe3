//! Certificates of an authority of the test's own.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::common::{Folder, Server};

/// An authority, a server and a client, in files.
pub(crate) struct Certificates {
    folder: Folder,
    authority: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        folder.write("ca.pem", authority.pem());
        let made = Self {
            folder,
            authority: Issuer::new(params, key),
        };
        made.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        made.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
        made
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        self.folder.write(&format!("{name}.pem"), certificate.pem());
        self.folder
            .write(&format!("{name}-key.pem"), key.serialize_pem());
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.folder.write(name, text);
    }

    /// Starts an echo, and returns the URL by which its certificate knows it.
    pub(crate) fn serve(&self, more: &[&str]) -> (Server, String) {
        let (cert, key) = (self.path("localhost.pem"), self.path("localhost-key.pem"));
        let options = [&["--wire", "--tls-cert", &cert, "--tls-key", &key], more].concat();
        let server = Server::start(&options, &[]);
        assert!(
            server.address.starts_with("wss://127.0.0.1:"),
            "{}",
            server.address
        );
        let url = format!("wss://localhost:{}/", server.port());
        (server, url)
    }
}
