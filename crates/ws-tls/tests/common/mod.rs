//! Certificates, made anew for each test.

#![allow(dead_code, reason = "each test file uses a part of it")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use ws_tls::TlsError;

/// Tells one error from the others.
pub(crate) type IsCause = fn(&TlsError) -> bool;

/// Who stands for certificates.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, host: &str) -> Identity {
        self.issue_between(host, 2000, 4000)
    }

    /// Issues a certificate that is valid from the one year to the other.
    pub(crate) fn issue_between(&self, host: &str, from: i32, until: i32) -> Identity {
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
    pub(crate) fn wrong_for(&self, host: &str) -> [(Identity, IsCause); 5] {
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

pub(crate) fn self_signed(host: &str) -> Identity {
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
