//! Certificates, made anew for each test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use ws_tls::TlsError;

/// Tells one error from the others.
pub type IsCause = fn(&TlsError) -> bool;

/// An authority that issues certificates.
#[derive(Debug)]
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl Ca {
    /// Makes an authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a host, or an address.
    pub fn issue(&self, host: &str) -> Identity {
        self.issue_between(host, 2000, 4000)
    }

    /// Issues a certificate that is valid from the one year to the other.
    pub fn issue_between(&self, host: &str, from: i32, until: i32) -> Identity {
        let mut params = params(host);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Identity {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Issues certificates that a client of `host` who trusts this authority
    /// refuses, each with why.
    pub fn wrong_for(&self, host: &str) -> [(Identity, IsCause); 5] {
        [
            (self.issue_between(host, 2000, 2001), |error| {
                matches!(error, TlsError::Expired(_))
            }),
            (self.issue_between(host, 3000, 3001), |error| {
                matches!(error, TlsError::NotYetValid(_))
            }),
            (self.issue("other.example"), |error| {
                matches!(error, TlsError::WrongHost(_))
            }),
            (self_signed(host), |error| {
                matches!(error, TlsError::UnknownIssuer(_))
            }),
            (Self::new("theirs").issue(host), |error| {
                matches!(error, TlsError::UnknownIssuer(_))
            }),
        ]
    }
}

/// Makes a certificate that stands for itself.
pub fn self_signed(host: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity {
        cert: params(host).self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn params(host: &str) -> CertificateParams {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}
