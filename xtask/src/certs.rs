//! `cargo xtask certs`: certificates for use on this machine.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use lexopt::{Arg, Parser, ValueExt};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use ring::digest;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask certs [--out DIR] [--host NAME]... [--bad]

Makes a certificate authority that nobody should trust for long, and certificates by it for a server
and a client on this machine. All are good for 30 days, and its key is kept nowhere.

  --out DIR     where to                                 [certs in the target folder]
  --host NAME   a name or address that the server has beside localhost, 127.0.0.1 and ::1
  --bad         servers' certificates that no client should take, too

ca.pem is what to trust; server.pem and server-key.pem are the server's, client.pem and
client-key.pem the client's. With --bad there are pairs of the same form named expired, not-yet-valid,
wrong-host, self-signed and unknown-ca.

  echo --tls-cert server.pem --tls-key server-key.pem
  client --ca ca.pem wss://localhost:9001/
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut dir = tool::target_dir().join("certs");
    let (mut hosts, mut bad) = (Vec::new(), false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("out") => dir = PathBuf::from(arguments.value()?),
            Arg::Long("host") => hosts.push(arguments.value()?.string()?),
            Arg::Long("bad") => bad = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let certificates = Certificates::make(&dir, &hosts)?;
    if bad {
        certificates.make_bad()?;
    }
    println!("wrote {}", tool::relative(&dir));
    Ok(Outcome::Passed)
}

/// A folder of certificates, all by one authority.
#[derive(Debug)]
pub(crate) struct Certificates {
    dir: PathBuf,
    authority: Authority,
    /// The digest of the server's key, as Chromium takes it.
    pub(crate) server_key_digest: String,
}

/// The servers' certificates that no client should take.
pub(crate) const BAD: [&str; 5] = [
    "expired",
    "not-yet-valid",
    "wrong-host",
    "self-signed",
    "unknown-ca",
];

impl Certificates {
    /// Makes the good ones; the server is this machine, and has the other names too.
    pub(crate) fn make(dir: &Path, hosts: &[String]) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        let authority = Authority::new("Throw-away CA")?;
        fs::write(dir.join("ca.pem"), authority.pem())?;

        let mut names = LOCAL.map(str::to_owned).to_vec();
        names.extend_from_slice(hosts);
        let server = Leaf::server(names)?;
        authority.sign(&server)?.write(dir, "server")?;
        authority
            .sign(&Leaf::client("client")?)?
            .write(dir, "client")?;

        let key = server.key.subject_public_key_info();
        let server_key_digest = STANDARD.encode(digest::digest(&digest::SHA256, &key));
        Ok(Self {
            dir: dir.to_path_buf(),
            authority,
            server_key_digest,
        })
    }

    /// Makes those of [`BAD`].
    pub(crate) fn make_bad(&self) -> Result<(), Failure> {
        let local = || Leaf::server(LOCAL.map(str::to_owned).to_vec());
        for name in BAD {
            let (mut leaf, now) = (local()?, SystemTime::now());
            let signed = match name {
                "expired" => {
                    valid(&mut leaf.params, now - 30 * DAY, now - DAY);
                    self.authority.sign(&leaf)?
                }
                "not-yet-valid" => {
                    valid(&mut leaf.params, now + DAY, now + 30 * DAY);
                    self.authority.sign(&leaf)?
                }
                "wrong-host" => {
                    let elsewhere = vec!["elsewhere.example".to_owned()];
                    self.authority.sign(&Leaf::server(elsewhere)?)?
                }
                "self-signed" => leaf.self_signed()?,
                _ => Authority::new("Another CA")?.sign(&leaf)?,
            };
            signed.write(&self.dir, name)?;
        }
        Ok(())
    }

    /// The certificate authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The certificate and the key of that name.
    pub(crate) fn pair(&self, name: &str) -> [PathBuf; 2] {
        [certificate_of(name), key_of(name)].map(|file| self.dir.join(file))
    }
}

#[derive(Debug)]
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Result<Self, Failure> {
        let mut params = params(name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, leaf: &Leaf) -> Result<Signed, Failure> {
        Ok(Signed {
            certificate: leaf.params.signed_by(&leaf.key, &self.0)?.pem(),
            key: leaf.key.serialize_pem(),
        })
    }
}

/// What is to be certified.
#[derive(Debug)]
struct Leaf {
    params: CertificateParams,
    key: KeyPair,
}

impl Leaf {
    fn server(names: Vec<String>) -> Result<Self, Failure> {
        let name = names[0].clone();
        Self::new(&name, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(name: &str) -> Result<Self, Failure> {
        let names = vec![name.to_owned()];
        Self::new(name, names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn new(
        name: &str,
        names: Vec<String>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Self, Failure> {
        let mut params = params(name, names)?;
        // Strict verifiers want to be told whose key signed it.
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        Ok(Self { params, key })
    }

    fn self_signed(&self) -> Result<Signed, Failure> {
        Ok(Signed {
            certificate: self.params.self_signed(&self.key)?.pem(),
            key: self.key.serialize_pem(),
        })
    }
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    // Clocks differ.
    valid(&mut params, now - DAY, now + 30 * DAY);
    Ok(params)
}

/// A certificate and its key, as they are written.
#[derive(Debug)]
struct Signed {
    certificate: String,
    key: String,
}

impl Signed {
    fn write(&self, dir: &Path, name: &str) -> Result<(), Failure> {
        fs::write(dir.join(certificate_of(name)), &self.certificate)?;
        let path = dir.join(key_of(name));
        // Who may read it is decided when it is made.
        let _ = fs::remove_file(&path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(self.key.as_bytes())?;
        Ok(())
    }
}

fn certificate_of(name: &str) -> String {
    format!("{name}.pem")
}

fn key_of(name: &str) -> String {
    format!("{name}-key.pem")
}

fn valid(params: &mut CertificateParams, from: SystemTime, to: SystemTime) {
    let date = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        date_time_ymd(1970, 1, 1) + since.unwrap_or_default()
    };
    params.not_before = date(from);
    params.not_after = date(to);
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Self {
        Self::new(format!("certificates: {error}"))
    }
}

const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn every_file_is_there_and_keys_are_private() {
        let dir = std::env::temp_dir().join(format!("certs-{}", std::process::id()));
        let certificates = Certificates::make(&dir, &["here.example".to_owned()]).unwrap();
        certificates.make_bad().unwrap();
        // Again, over what is there.
        certificates.make_bad().unwrap();
        assert_eq!(certificates.server_key_digest.len(), 44);
        assert!(certificates.ca().is_file());
        for name in ["server", "client"].iter().chain(&BAD) {
            let [certificate, key] = certificates.pair(name);
            let text = fs::read_to_string(certificate).unwrap();
            assert!(text.starts_with("-----BEGIN CERTIFICATE-----"), "{name}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = fs::metadata(&key).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name}");
            }
            let text = fs::read_to_string(key).unwrap();
            assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"), "{name}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn only_good_certificates_are_good() {
        if Command::new("openssl").arg("version").output().is_err() {
            return;
        }
        let dir = std::env::temp_dir().join(format!("certs-good-{}", std::process::id()));
        let certificates = Certificates::make(&dir, &[]).unwrap();
        certificates.make_bad().unwrap();
        let is_good = |name: &str, host: &str| {
            let [certificate, _] = certificates.pair(name);
            let mut openssl = Command::new("openssl");
            openssl
                .args(["verify", "-x509_strict", "-purpose", "sslserver"])
                .args(["-verify_hostname", host, "-CAfile"]);
            let output = openssl.arg(certificates.ca()).arg(certificate).output();
            output.unwrap().status.success()
        };
        assert!(is_good("server", "localhost"));
        assert!(!is_good("server", "elsewhere.example"));
        for name in BAD {
            assert!(!is_good(name, "localhost"), "{name}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
