//! `wss://`, with certificates on one side and on both.

mod certificates;
mod common;

use certificates::Certificates;
use common::connect;
#[test]
fn frames_are_seen_below_tls_on_both_sides() {
    let certificates = Certificates::new();
    let (server, url) = certificates.serve(&["--accept-unmasked-frame"]);
    let ca = certificates.path("ca.pem");
    let ran = connect(
        &[
            "--ca",
            &ca,
            "--wire",
            "--set-mask-to-zero",
            "-x",
            "hi",
            "-n",
            "1",
        ],
        &url,
        b"",
    );
    ran.wrote(0, b"hi\n");
    let sent = r#"> FIN RSV 0   text         MASK 00 00 00 00 len 2  "hi""#;
    assert!(ran.errors.contains(sent), "{ran:?}");
    assert!(server.told().contains(&sent.replace('>', "<")));
}

#[test]
fn server_that_is_not_trusted_has_its_own_code() {
    let certificates = Certificates::new();
    let (_server, url) = certificates.serve(&[]);
    let other = Certificates::new();
    let once = ["-x", "hi", "-n", "1"];
    let ca = other.path("ca.pem");
    let ran = connect(&[&["--ca", &ca], &once[..]].concat(), &url, b"");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    connect(&[&["--insecure"], &once[..]].concat(), &url, b"").wrote(0, b"hi\n");
    let (wrong, short) = ("00".repeat(32), "00".repeat(31));
    assert_eq!(connect(&["--pin", &wrong], &url, b"").code, Some(4));
    assert_eq!(connect(&["--pin", &short], &url, b"").code, Some(2));
}

#[test]
fn client_shows_its_certificate() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem");
    let (_server, url) = certificates.serve(&["--client-ca", &ca]);
    let trusting = ["--ca", &ca, "-x", "hi", "-n", "1"];
    assert_eq!(connect(&trusting, &url, b"").code, Some(4));
    let (cert, key) = (
        certificates.path("client.pem"),
        certificates.path("client-key.pem"),
    );
    let known = [&trusting[..], &["--cert", &cert, "--key", &key]].concat();
    connect(&known, &url, b"").wrote(0, b"hi\n");
    assert_eq!(connect(&["--cert", &cert], &url, b"").code, Some(2));
}
