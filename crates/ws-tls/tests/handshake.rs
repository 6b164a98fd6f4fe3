//! Both sides shake hands in memory, or do not, and say why.

#![allow(missing_docs, reason = "tests")]

use std::{io, sync::Arc, time::Duration};

use ws_testkit::certificates::{Ca, Identity, self_signed};
use ws_tls::{
    ClientTls, ServerTls, TlsConfigError, TlsError,
    rustls::{
        self, CertificateError, ClientConfig, ClientConnection, Connection, HandshakeKind,
        ServerConfig, ServerConnection,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
        time_provider::TimeProvider,
        version::{TLS12, TLS13},
    },
    server_name,
};

const HOST: &str = "intranet.example";

fn server_of(identity: &Identity) -> ServerTls {
    ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap()
}

fn client_of(ca: &Ca) -> ClientTls {
    ClientTls::with_ca(ca.pem().as_bytes()).unwrap()
}

/// Moves bytes both ways until neither has more; the first error of each side.
fn shake_hands(client: &mut Connection, server: &mut Connection) -> [Result<(), TlsError>; 2] {
    let mut results = [Ok(()), Ok(())];
    for _ in 0..10 {
        carry(client, server, &mut results[1]);
        carry(server, client, &mut results[0]);
    }
    results
}

fn carry(from: &mut Connection, to: &mut Connection, result: &mut Result<(), TlsError>) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() && result.is_ok() {
        to.read_tls(&mut bytes).unwrap();
        *result = to.process_new_packets().map(drop).map_err(TlsError::from);
    }
}

fn connections(client: &ClientTls, server: &ServerTls, host: &str) -> [Connection; 2] {
    let name = server_name(host).unwrap();
    let client = ClientConnection::new(client.config().clone(), name).unwrap();
    let server = ServerConnection::new(server.config().clone()).unwrap();
    [client.into(), server.into()]
}

fn results(client: &ClientTls, server: &ServerTls, host: &str) -> [Result<(), TlsError>; 2] {
    let [mut client, mut server] = connections(client, server, host);
    shake_hands(&mut client, &mut server)
}

#[test]
fn both_sides_agree_on_http_1_1() {
    let ca = Ca::new("ours");
    let [mut client, mut server] = connections(&client_of(&ca), &server_of(&ca.issue(HOST)), HOST);
    assert_eq!(shake_hands(&mut client, &mut server), [Ok(()), Ok(())]);
    for side in [client, server] {
        assert!(!side.is_handshaking());
        assert_eq!(side.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn address_is_a_host() {
    for (host, in_certificate) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let ca = Ca::new("ours");
        let server = server_of(&ca.issue(in_certificate));
        assert_eq!(results(&client_of(&ca), &server, host), [Ok(()), Ok(())]);
    }
}

#[test]
fn second_connection_resumes_the_session() {
    let ca = Ca::new("ours");
    let (client, server) = (client_of(&ca), server_of(&ca.issue(HOST)));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let [mut client, mut server] = connections(&client, &server, HOST);
        assert_eq!(shake_hands(&mut client, &mut server), [Ok(()), Ok(())]);
        assert_eq!(client.handshake_kind(), Some(kind));
    }
}

#[test]
fn client_names_what_is_wrong_with_a_certificate() {
    let ca = Ca::new("ours");
    for (identity, is_cause) in ca.wrong_for(HOST) {
        let [client, server] = results(&client_of(&ca), &server_of(&identity), HOST);
        let error = client.unwrap_err();
        assert!(is_cause(&error), "{error:?}");
        assert!(matches!(server, Err(TlsError::Alert { .. })), "{server:?}");
    }
}

#[test]
fn mutual_tls_needs_a_certificate_of_the_client() {
    let ca = Ca::new("ours");
    let (identity, clients) = (ca.issue(HOST), ca.issue("client.example"));
    let pem = ca.pem();
    let server = ServerTls::builder()
        .identity(identity.cert.as_bytes(), identity.key.as_bytes())
        .client_ca(pem.as_bytes())
        .build()
        .unwrap();
    let client = ClientTls::builder()
        .ca(pem.as_bytes())
        .identity(clients.cert.as_bytes(), clients.key.as_bytes())
        .build()
        .unwrap();
    assert_eq!(results(&client, &server, HOST), [Ok(()), Ok(())]);

    let [client, server] = results(&client_of(&ca), &server, HOST);
    assert!(
        matches!(server, Err(TlsError::NoClientCertificate(_))),
        "{server:?}"
    );
    assert!(
        matches!(client, Err(TlsError::NoClientCertificate(_))),
        "{client:?}"
    );
}

/// The same time for every handshake.
#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

#[test]
fn certificate_of_a_client_is_judged_again_in_every_connection() {
    let ca = Ca::new("ours");
    let identity = ca.issue(HOST);
    let clients = ca.issue_between("client.example", 2000, 2001);
    let pem = ca.pem();
    let server = ServerTls::builder()
        .identity(identity.cert.as_bytes(), identity.key.as_bytes())
        .client_ca(pem.as_bytes())
        .build()
        .unwrap();
    let server_at = |time| {
        let mut config = ServerConfig::clone(server.config());
        config.time_provider = Arc::new(At(time));
        ServerTls::from_rustls(config.into())
    };
    for version in [&TLS12, &TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(clients.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(clients.key.as_bytes()).unwrap(),
            );
        let client = ClientTls::from_rustls(config.unwrap().into());
        // In the middle of the year 2000, twice.
        for _ in 0..2 {
            let [mut client, mut server] = connections(&client, &server_at(962_000_000), HOST);
            assert_eq!(shake_hands(&mut client, &mut server), [Ok(()), Ok(())]);
            assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        }
        // And in 2002.
        let [_, server] = results(&client, &server_at(1_025_000_000), HOST);
        assert!(matches!(server, Err(TlsError::Expired(_))), "{server:?}");
    }
}

#[test]
fn any_certificate_is_accepted_where_it_is_said_so() {
    let client = ClientTls::builder()
        .dangerous_accept_any_certificate()
        .build()
        .unwrap();
    let server = server_of(&self_signed("other.example"));
    assert_eq!(results(&client, &server, HOST), [Ok(()), Ok(())]);
}

#[test]
fn who_accepts_any_certificate_still_asks_for_its_key_in_tls_1_2() {
    let client = ClientTls::builder()
        .dangerous_accept_any_certificate()
        .build()
        .unwrap();
    let Identity { cert, key } = self_signed("other.example");
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    let server = ServerTls::from_rustls(config.unwrap().into());
    assert_eq!(results(&client, &server, HOST), [Ok(()), Ok(())]);
}

#[test]
fn provider_of_the_application_is_used_and_sessions_are_resumed_all_the_same() {
    let ca = Ca::new("ours");
    let Identity { cert, key } = ca.issue(HOST);
    let mut provider = ring::default_provider();
    provider.cipher_suites.truncate(1);
    let provider = Arc::new(provider);
    let server = ServerTls::builder()
        .identity(cert.as_bytes(), key.as_bytes())
        .provider(provider.clone())
        .build()
        .unwrap();
    let client = ClientTls::builder()
        .ca(ca.pem().as_bytes())
        .provider(provider.clone())
        .build()
        .unwrap();
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let [mut client, mut server] = connections(&client, &server, HOST);
        assert_eq!(shake_hands(&mut client, &mut server), [Ok(()), Ok(())]);
        assert_eq!(client.handshake_kind(), Some(kind));
        for side in [client, server] {
            let suite = side.negotiated_cipher_suite();
            assert_eq!(suite, provider.cipher_suites.first().copied());
        }
    }
}

#[test]
fn cause_comes_out_of_an_error_of_a_stream() {
    let errors = [
        (CertificateError::Revoked, "revoked"),
        (CertificateError::BadEncoding, "bad encoding"),
    ];
    for (certificate, name) in errors {
        let cause = rustls::Error::InvalidCertificate(certificate);
        let error = TlsError::from(cause.clone());
        match name {
            "revoked" => assert!(matches!(error, TlsError::Revoked(_)), "{error:?}"),
            _ => assert!(matches!(error, TlsError::BadCertificate(_)), "{error:?}"),
        }
        // As itself, and as rustls' own streams return it.
        let ours = io::Error::from(error.clone());
        assert_eq!(ours.kind(), io::ErrorKind::InvalidData);
        assert_eq!(TlsError::of(&ours), Some(&error));
        assert_eq!(TlsError::take(ours).unwrap(), error);
        assert_eq!(TlsError::take(io::Error::other(cause)).unwrap(), error);
    }
    let other = io::Error::from(io::ErrorKind::TimedOut);
    assert_eq!(TlsError::of(&other), None);
    let other = TlsError::take(other).unwrap_err();
    assert_eq!(other.kind(), io::ErrorKind::TimedOut);
    let ended = io::Error::from(TlsError::EndedInHandshake);
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn plaintext_is_no_tls() {
    let ca = Ca::new("ours");
    let [mut client, mut server] = connections(&client_of(&ca), &server_of(&ca.issue(HOST)), HOST);
    for (side, plain) in [
        (&mut server, "GET / HTTP/1.1\r\n\r\n"),
        (&mut client, "HTTP/1.1 400 Bad Request\r\n\r\n"),
    ] {
        side.read_tls(&mut plain.as_bytes()).unwrap();
        let error = TlsError::from(side.process_new_packets().unwrap_err());
        assert!(matches!(error, TlsError::NotTls(_)), "{error:?}");
    }
}

#[test]
fn configurations_say_what_they_lack() {
    let ca = Ca::new("ours");
    let Identity { cert, key } = ca.issue(HOST);
    let other = ca.issue(HOST);
    let (cert, key) = (cert.as_bytes(), key.as_bytes());
    let server = |cert, key| ServerTls::from_pem(cert, key).unwrap_err();
    assert!(matches!(server(b"", key), TlsConfigError::NoCertificate));
    assert!(matches!(server(cert, b""), TlsConfigError::NoKey));
    assert!(matches!(
        server(key, key),
        TlsConfigError::NotACertificate { .. }
    ));
    assert!(matches!(server(cert, cert), TlsConfigError::NotAKey { .. }));
    assert!(matches!(
        server(cert, other.key.as_bytes()),
        TlsConfigError::Rejected(_)
    ));
    let nothing = ServerTls::builder().build().unwrap_err();
    assert!(matches!(nothing, TlsConfigError::NoIdentity));
    let empty = ServerTls::builder()
        .identity(cert, key)
        .client_ca(b"")
        .build();
    assert!(matches!(empty, Err(TlsConfigError::NoCertificate)));
    assert!(matches!(
        ClientTls::builder().build(),
        Err(TlsConfigError::NoRoots)
    ));
    assert!(matches!(
        ClientTls::with_ca(b"none"),
        Err(TlsConfigError::NoCertificate)
    ));
}

#[test]
fn debug_output_holds_no_key() {
    let Identity { cert, key } = self_signed(HOST);
    let builder = ServerTls::builder().identity(cert.as_bytes(), key.as_bytes());
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert_eq!(
        shown,
        "ServerTlsBuilder { identity: true, client_ca: false, .. } ServerTls { .. }"
    );
    let builder = ClientTls::builder()
        .ca(cert.as_bytes())
        .identity(cert.as_bytes(), key.as_bytes());
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert_eq!(
        shown,
        "ClientTlsBuilder { platform_roots: false, ca: 1, pins: 0, identity: true, accept_any: false, .. } \
         ClientTls { .. }"
    );
}
