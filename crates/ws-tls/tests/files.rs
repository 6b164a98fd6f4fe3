//! Certificates and keys in the forms that files have, and servers that are
//! known by their key.

#![allow(missing_docs, reason = "tests")]

use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use ws_testkit::{
    certificates::{Ca, Identity, self_signed},
    tls::{HOST, Side},
};
use ws_tls::{
    ClientTls, FileKind, ServerTls, TlsConfigError, TlsError, key_sha256,
    rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

fn der_of(identity: &Identity) -> (Vec<u8>, Vec<u8>) {
    let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    (cert.to_vec(), key.secret_der().to_vec())
}

/// Makes the handshake; returns why the client refuses it, if it does.
fn shake_hands(client: &ClientTls, server: &ServerTls) -> Result<(), TlsError> {
    let (mut client, mut server) = (Side::begun(client), Side::server(server));
    for _ in 0..5 {
        let refused = server.receive(&client.sent());
        client.receive(&server.sent())?;
        refused?;
    }
    assert!(!client.tls.is_handshaking() && !server.tls.is_handshaking());
    Ok(())
}

fn server_of(identity: &Identity) -> ServerTls {
    ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap()
}

/// A certificate of an authority that a device made for itself.
fn device() -> Identity {
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Identity {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Runs `openssl` with what is on its input; its output.
fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

#[test]
fn der_is_read_as_pem_is() {
    let ca = Ca::new("ours");
    let identity = ca.issue(HOST);
    let (cert, key) = der_of(&identity);
    let root = CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap();
    let client = ClientTls::with_ca(&root).unwrap();
    let server = ServerTls::from_pem(&cert, &key).unwrap();
    assert_eq!(shake_hands(&client, &server), Ok(()));
    // The other forms of keys, too, and both together in one file.
    let sec1 = openssl(&["ec", "-outform", "der"], &identity.key);
    ServerTls::from_pem(&cert, &sec1).unwrap();
    let both = [identity.key.as_str(), &identity.cert].concat();
    ServerTls::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
}

#[test]
fn what_is_no_certificate_and_no_key_is_named() {
    let identity = Ca::new("ours").issue(HOST);
    let (cert, key) = der_of(&identity);
    let both = [identity.key.as_str(), &identity.cert].concat();
    let p12 = openssl(&["pkcs12", "-export", "-passout", "pass:secret"], &both);
    let p7b = openssl(&["crl2pkcs7", "-nocrl", "-certfile", "/dev/stdin"], &both);
    let p7b_der = openssl(
        &[
            "crl2pkcs7",
            "-nocrl",
            "-outform",
            "der",
            "-certfile",
            "/dev/stdin",
        ],
        &both,
    );
    let csr = openssl(
        &["req", "-new", "-key", "/dev/stdin", "-subj", "/CN=a"],
        &identity.key,
    );
    let csr_der = openssl(
        &[
            "req",
            "-new",
            "-outform",
            "der",
            "-key",
            "/dev/stdin",
            "-subj",
            // In a certificate, a time begins so.
            "/CN=a\u{17}\r",
        ],
        &identity.key,
    );
    let public = openssl(&["pkey", "-pubout"], &identity.key);
    let public_der = openssl(&["pkey", "-pubout", "-outform", "der"], &identity.key);
    for (file, kind) in [
        (&p12, FileKind::Pkcs12),
        (&p7b, FileKind::Pkcs7),
        (&p7b_der, FileKind::Pkcs7),
        (&csr, FileKind::CertificateRequest),
        (&csr_der, FileKind::CertificateRequest),
        (&public, FileKind::PublicKey),
        (&public_der, FileKind::PublicKey),
    ] {
        let error = ServerTls::from_pem(file, identity.key.as_bytes()).unwrap_err();
        assert!(
            matches!(error, TlsConfigError::NotACertificate { found } if found == kind),
            "{kind:?}: {error}"
        );
        let error = ServerTls::from_pem(identity.cert.as_bytes(), file).unwrap_err();
        assert!(
            matches!(error, TlsConfigError::NotAKey { found } if found == kind),
            "{kind:?}: {error}"
        );
    }
    // One for the other.
    let error = ServerTls::from_pem(&key, &key).unwrap_err();
    assert!(
        matches!(
            error,
            TlsConfigError::NotACertificate {
                found: FileKind::PrivateKey
            }
        ),
        "{error}"
    );
    let error = ServerTls::from_pem(&cert, &cert).unwrap_err();
    assert!(
        matches!(
            error,
            TlsConfigError::NotAKey {
                found: FileKind::Certificate
            }
        ),
        "{error}"
    );
    let error = ServerTls::from_pem(b"nothing", b"nothing").unwrap_err();
    assert!(matches!(error, TlsConfigError::NoCertificate), "{error}");
}

#[test]
fn key_that_is_encrypted_is_named_with_what_decrypts_it() {
    let identity = Ca::new("ours").issue(HOST);
    let encrypt = |arguments: &[&str]| {
        let common = ["pkcs8", "-topk8", "-passout", "pass:secret"];
        openssl(&[&common, arguments].concat(), &identity.key)
    };
    let old = openssl(&["ec", "-aes128", "-passout", "pass:secret"], &identity.key);
    for file in [
        encrypt(&[]),
        encrypt(&["-outform", "der"]),
        encrypt(&["-outform", "der", "-v1", "PBE-SHA1-3DES"]),
        old,
    ] {
        let error = ServerTls::from_pem(identity.cert.as_bytes(), &file).unwrap_err();
        assert!(matches!(error, TlsConfigError::EncryptedKey), "{error}");
        assert!(error.to_string().contains("openssl pkey"));
    }
}

#[test]
fn key_on_p521_is_named() {
    let key = openssl(
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
        ],
        "",
    );
    let key = String::from_utf8(key).unwrap();
    let cert = openssl(
        &[
            "req",
            "-x509",
            "-key",
            "/dev/stdin",
            "-subj",
            "/CN=a",
            "-days",
            "9",
        ],
        &key,
    );
    let error = ServerTls::from_pem(&cert, key.as_bytes()).unwrap_err();
    assert!(matches!(error, TlsConfigError::P521Key(_)), "{error}");
    let error = ClientTls::builder()
        .ca(&cert)
        .identity(&cert, key.as_bytes())
        .build()
        .unwrap_err();
    assert!(matches!(error, TlsConfigError::P521Key(_)), "{error}");
}

#[test]
fn ca_certificate_as_the_servers_own_is_named_and_can_be_pinned() {
    let device = device();
    let server = server_of(&device);
    let cert = device.cert.as_bytes();
    let trusting = ClientTls::with_ca(cert).unwrap();
    let error = shake_hands(&trusting, &server).unwrap_err();
    assert!(matches!(error, TlsError::CaAsEndEntity(_)), "{error:?}");
    assert!(error.to_string().contains("pin_certificate"));

    let (der, _) = der_of(&device);
    for file in [cert, &der] {
        let pinning = ClientTls::builder().pin_certificate(file).build().unwrap();
        assert_eq!(shake_hands(&pinning, &server), Ok(()));
    }
    let key = key_sha256(cert).unwrap();
    let pinning = ClientTls::builder().pin_key(key).build().unwrap();
    assert_eq!(shake_hands(&pinning, &server), Ok(()));
}

#[test]
fn pin_stands_for_name_and_time_and_for_nothing_else() {
    let ca = Ca::new("ours");
    for identity in [
        self_signed("another.example"),
        ca.issue_between(HOST, 2000, 2001),
    ] {
        let pinning = ClientTls::builder()
            .pin_certificate(identity.cert.as_bytes())
            .build()
            .unwrap();
        assert_eq!(shake_hands(&pinning, &server_of(&identity)), Ok(()));
        // Another server, who has the certificate and not its key.
        let thief = ca.issue(HOST);
        let error = shake_hands(&pinning, &server_of(&thief)).unwrap_err();
        let TlsError::NotPinned(_) = error else {
            panic!("{error:?}");
        };
        // It says what it is, to compare it.
        let shown = key_sha256(thief.cert.as_bytes()).unwrap();
        let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(error.to_string().contains(&hex), "{error}");
    }
}

#[test]
fn servers_without_a_pin_are_judged_by_the_roots() {
    let (ca, device) = (Ca::new("ours"), device());
    let pem = ca.pem();
    let client = ClientTls::builder()
        .ca(pem.as_bytes())
        .pin_certificate(device.cert.as_bytes())
        .build()
        .unwrap();
    assert_eq!(shake_hands(&client, &server_of(&device)), Ok(()));
    assert_eq!(shake_hands(&client, &server_of(&ca.issue(HOST))), Ok(()));
    for (identity, is_cause) in ca.wrong_for(HOST) {
        let error = shake_hands(&client, &server_of(&identity)).unwrap_err();
        assert!(is_cause(&error), "{error:?}");
    }
}

#[test]
fn sha256_of_a_key_is_that_of_openssl() {
    let identity = self_signed(HOST);
    let public = openssl(&["pkey", "-pubout", "-outform", "der"], &identity.key);
    let folder = std::env::temp_dir().join(format!("ws-tls-{}", std::process::id()));
    std::fs::write(&folder, public).unwrap();
    let path = folder.to_str().unwrap();
    let digest = openssl(&["dgst", "-sha256", "-binary", path], "");
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(key_sha256(identity.cert.as_bytes()).unwrap()[..], digest);
}

#[test]
fn error_tells_its_cause_in_its_text() {
    let ca = Ca::new("ours");
    for (identity, _) in ca.wrong_for(HOST) {
        let client = ClientTls::with_ca(ca.pem().as_bytes()).unwrap();
        let error = shake_hands(&client, &server_of(&identity)).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        let text = error.to_string();
        assert!(
            text.contains(&source) || matches!(error, TlsError::UnknownIssuer(_)),
            "{text}: {source}"
        );
    }
}
