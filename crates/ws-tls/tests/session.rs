//! Sessions carry payload, however the bytes between them are cut.

#![allow(missing_docs, reason = "tests")]

mod common;

use common::Ca;
use ws_tls::{
    ClientTls, Plaintext, Records, ServerTls, Session, TlsError,
    rustls::{
        self, AlertDescription, ClientConfig, ProtocolVersion, RootCertStore,
        SupportedProtocolVersion,
        pki_types::{CertificateDer, pem::PemObject},
        version,
    },
    server_name,
};

const HOST: &str = "intranet.example";

/// Both sides, what is on its way, and what came out.
struct Pair {
    sides: [Session; 2],
    wire: [Records; 2],
    plain: [Vec<u8>; 2],
}

impl Pair {
    fn new(client: &ClientTls, server: &ServerTls) -> Self {
        let client = Session::client(client, server_name(HOST).unwrap()).unwrap();
        let mut pair = Self {
            sides: [client, Session::server(server).unwrap()],
            wire: Default::default(),
            plain: Default::default(),
        };
        let [client, _] = &mut pair.sides;
        client.receive(&mut [], |_| {}, &mut pair.wire[0]).unwrap();
        pair
    }

    /// Carries what one side has sent to the other, so many bytes at a time.
    fn carry(&mut self, from: usize, piece: usize) -> Result<(), TlsError> {
        let bytes = self.wire[from].as_slice().to_vec();
        self.wire[from].clear();
        let (to, plain) = (&mut self.sides[1 - from], &mut self.plain[1 - from]);
        for piece in bytes.chunks(piece) {
            let mut buffer = vec![0; to.kept()];
            buffer.extend_from_slice(piece);
            to.receive(
                &mut buffer,
                |payload| plain.extend_from_slice(payload),
                &mut self.wire[1 - from],
            )?;
        }
        Ok(())
    }

    fn shake_hands(&mut self, piece: usize) {
        while self.wire.iter().any(|wire| !wire.is_empty()) {
            self.carry(0, piece).unwrap();
            self.carry(1, piece).unwrap();
        }
        assert!(self.sides.iter().all(|side| !side.is_handshaking()));
    }
}

/// Configurations that speak one version.
fn speaking(version: &'static SupportedProtocolVersion) -> (ClientTls, ServerTls) {
    let ca = Ca::new("ours");
    let identity = ca.issue(HOST);
    let (client, server) = (
        ClientTls::with_ca(ca.pem().as_bytes()).unwrap(),
        ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap(),
    );
    // A client that speaks one version is enough.
    let config = ClientConfig::builder_with_provider(client.config().crypto_provider().clone())
        .with_protocol_versions(&[version])
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap())
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    (ClientTls::from_rustls(config.into()), server)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

#[test]
fn payload_comes_out_however_the_bytes_are_cut() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        for piece in [1, 2, 5, 100, 16_000, usize::MAX] {
            let mut pair = Pair::new(&client, &server);
            pair.shake_hands(piece);
            for side in &pair.sides {
                let spoken: Option<ProtocolVersion> = side.state().protocol_version();
                assert_eq!(spoken, Some(version.version));
            }
            let payload: Vec<u8> = (0..100_000_u32).map(|i| (i >> 3) as u8).collect();
            for from in [0, 1] {
                assert!(pair.sides[from].send(b"Hi", &mut pair.wire[from]).unwrap());
                assert!(
                    pair.sides[from]
                        .send(&payload, &mut pair.wire[from])
                        .unwrap()
                );
                pair.carry(from, piece).unwrap();
                let plain = std::mem::take(&mut pair.plain[1 - from]);
                assert!(plain == [b"Hi", &payload[..]].concat(), "{piece}");
                assert_eq!(pair.sides[1 - from].kept(), 0);
            }
        }
    }
}

#[test]
fn payload_that_a_reader_has_no_room_for_waits_in_order() {
    let mut plaintext = Plaintext::new();
    let mut buffer = [0; 4];
    assert_eq!(plaintext.take(&mut buffer), 0);
    // What fits is not kept.
    assert_eq!(plaintext.give(b"one", &mut buffer), 3);
    assert!(plaintext.is_empty());
    let fitted = plaintext.give(b"payload", &mut buffer);
    assert_eq!(&buffer[..fitted], b"payl");
    assert_eq!(plaintext.give(b" and more", &mut []), 0);
    let mut taken = Vec::new();
    while !plaintext.is_empty() {
        let len = plaintext.take(&mut buffer);
        taken.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(taken, b"oad and more");
    assert_eq!(plaintext.take(&mut buffer), 0);
}

#[test]
fn nothing_is_sent_before_the_handshake_is_over() {
    let (client, server) = speaking(&version::TLS13);
    let mut pair = Pair::new(&client, &server);
    for side in &mut pair.sides {
        assert_eq!(side.send(b"secret", &mut Records::new()), Ok(false));
    }
    let shown = pair.sides.each_ref().map(|side| format!("{side:?}"));
    assert_eq!(
        shown,
        [
            "Session { is_client: true, is_handshaking: true, kept: 0, .. }",
            "Session { is_client: false, is_handshaking: true, kept: 0, .. }",
        ]
    );
    pair.shake_hands(usize::MAX);
}

#[test]
fn payload_can_be_sent_while_a_record_is_half_received() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        let mut pair = Pair::new(&client, &server);
        pair.shake_hands(usize::MAX);
        let mut late = Records::new();
        pair.sides[0].send(b"from the client", &mut late).unwrap();
        let (start, rest) = late.as_slice().split_at(7);
        let [_, server] = &mut pair.sides;
        server
            .receive(&mut start.to_vec(), |_| {}, &mut pair.wire[1])
            .unwrap();
        assert_eq!(server.kept(), 7);
        assert!(server.send(b"from the server", &mut pair.wire[1]).unwrap());
        let mut buffer = [&[0; 7], rest].concat();
        let mut plain = Vec::new();
        let out = &mut pair.wire[1];
        server
            .receive(&mut buffer, |payload| plain.extend_from_slice(payload), out)
            .unwrap();
        assert_eq!(plain, b"from the client");
        pair.carry(1, usize::MAX).unwrap();
        assert_eq!(pair.plain[0], b"from the server");
    }
}

#[test]
fn close_notify_is_said_once_and_ends_one_direction() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        let mut pair = Pair::new(&client, &server);
        pair.shake_hands(usize::MAX);
        pair.sides[0].close(&mut pair.wire[0]).unwrap();
        let len = pair.wire[0].len();
        pair.sides[0].close(&mut pair.wire[0]).unwrap();
        assert_eq!(pair.wire[0].len(), len);
        pair.carry(0, 1).unwrap();
        assert!(pair.sides[1].is_ended() && !pair.sides[0].is_ended());
        assert!(
            pair.sides[1]
                .send(b"still here", &mut pair.wire[1])
                .unwrap()
        );
        pair.sides[1].close(&mut pair.wire[1]).unwrap();
        pair.carry(1, usize::MAX).unwrap();
        assert_eq!(pair.plain[0], b"still here");
        assert!(pair.sides[0].is_ended());
    }
}

#[test]
fn failure_tells_the_peer_and_stays() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        let mut pair = Pair::new(&client, &server);
        pair.shake_hands(usize::MAX);
        let mut broken = Records::new();
        pair.sides[0].send(b"Hi", &mut broken).unwrap();
        let mut broken = broken.as_slice().to_vec();
        *broken.last_mut().unwrap() ^= 1;
        let [_, server] = &mut pair.sides;
        assert_eq!(server.failure(), None);
        let error = server
            .receive(&mut broken, |_| {}, &mut pair.wire[1])
            .unwrap_err();
        assert_eq!(error, TlsError::Other(rustls::Error::DecryptError));
        assert_eq!(server.failure(), Some(&error));
        assert_eq!(
            server.receive(&mut [], |_| {}, &mut Records::new()),
            Err(error.clone())
        );
        assert_eq!(server.send(b"Hi", &mut Records::new()), Err(error));
        let told = pair.carry(1, usize::MAX).unwrap_err();
        let alert = AlertDescription::BadRecordMac;
        assert_eq!(told, TlsError::Alert { alert });
    }
}

#[test]
fn first_flight_is_refused_wherever_a_byte_of_its_header_is_wrong() {
    let (client, server) = speaking(&version::TLS13);
    let flight = Pair::new(&client, &server).wire[0].as_slice().to_vec();
    for at in [0, 1, 5] {
        let mut server = Session::server(&server).unwrap();
        let mut broken = flight.clone();
        broken[at] ^= 0x40;
        let mut out = Records::new();
        server.receive(&mut broken, |_| {}, &mut out).unwrap_err();
        assert_eq!(out.as_slice().first(), Some(&21), "an alert, for byte {at}");
    }
}
