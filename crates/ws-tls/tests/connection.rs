//! The rules of TLS connections, for both adapters: payload in any pieces, ends, failures and
//! limits.

#![allow(missing_docs, reason = "tests")]

use std::io::{self, ErrorKind, IoSlice, Write as _};

use allocation_counter::measure;
use ws_testkit::{
    certificates::Ca,
    tls::{HOST, Side, VERSIONS, client_of, records, server_of, shake_hands, speaking},
};
use ws_tls::{
    ServerTls, TlsConnection, TlsError,
    rustls::{
        self, AlertDescription, ClientConnection, ServerConfig, SupportedProtocolVersion, version,
    },
    server_name,
};

/// A client and a server whose handshake is over.
fn connected(version: &'static SupportedProtocolVersion) -> [Side; 2] {
    let (client, server) = speaking(version);
    let mut sides = [Side::client(&client), Side::server(&server)];
    let [client, server] = &mut sides;
    shake_hands(client, server, usize::MAX);
    sides
}

/// Returns the kind of an error, whatever came instead.
fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn pattern(len: u32) -> Vec<u8> {
    (0..len).map(|i| (i >> 3) as u8).collect()
}

// --- payload ---

#[test]
fn payload_comes_out_however_the_bytes_are_cut() {
    for version in VERSIONS {
        let (client, server) = speaking(version);
        for piece in [1, 2, 5, 100, 16_000, usize::MAX] {
            let mut sides = [Side::client(&client), Side::server(&server)];
            let [client, server] = &mut sides;
            shake_hands(client, server, piece);
            for side in &sides {
                let spoken = side.tls.state().protocol_version();
                assert_eq!(spoken, Some(version.version));
            }
            let payload = pattern(100_000);
            for _ in 0..2 {
                let [from, to] = &mut sides;
                from.send(b"Hi");
                from.send(&payload);
                for piece in from.sent().chunks(piece) {
                    assert!(!to.receive(piece).unwrap());
                }
                assert!(to.plain == [b"Hi", &payload[..]].concat(), "{piece}");
                assert_eq!(to.tls.held(), 0);
                sides.reverse();
            }
        }
    }
}

#[test]
fn payload_is_read_in_any_pieces() {
    let [mut client, mut server] = connected(&version::TLS13);
    let payload = pattern(40_000);
    client.send(&payload);
    server.wire.give(&client.sent());
    let mut plain = Vec::new();
    for len in [0, 1, 7, 100, 5000].into_iter().cycle() {
        let mut buffer = vec![0; len];
        match server.tls.read(&mut server.wire, &mut buffer) {
            Ok(read) => plain.extend_from_slice(&buffer[..read]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(plain == payload);
}

#[test]
fn short_slices_share_a_record() {
    let [mut client, _] = connected(&version::TLS13);
    let slices = [&b"one"[..], b"", b"two"].map(IoSlice::new);
    assert_eq!(client.tls.write(&mut client.wire, &slices).unwrap(), 6);
    let long = pattern(5000);
    let slices = [IoSlice::new(b"head"), IoSlice::new(&long)];
    assert_eq!(client.tls.write(&mut client.wire, &slices).unwrap(), 5004);
    let overhead = 17;
    let lens = [6, 4, 5000].map(|len| (23, len + overhead));
    assert_eq!(records(&client.sent()), lens);
}

#[test]
fn nothing_is_sent_before_the_handshake_is_over() {
    let (client, server) = speaking(&version::TLS13);
    for mut side in [Side::client(&client), Side::server(&server)] {
        let secret = [IoSlice::new(b"secret")];
        let refused = side.tls.write(&mut side.wire, &secret);
        assert_eq!(kind(refused), ErrorKind::WouldBlock);
        assert!(side.sent().is_empty());
    }
}

#[test]
fn payload_can_be_sent_while_a_record_is_half_received() {
    for version in VERSIONS {
        let [mut client, mut server] = connected(version);
        client.send(b"from the client");
        let sent = client.sent();
        let (start, rest) = sent.split_at(7);
        server.receive(start).unwrap();
        assert_eq!(server.tls.held(), 7);
        server.send(b"from the server");
        server.receive(rest).unwrap();
        assert_eq!(server.plain, b"from the client");
        client.receive(&server.sent()).unwrap();
        assert_eq!(client.plain, b"from the server");
    }
}

#[test]
fn stream_that_takes_nothing_has_one_flight_held() {
    let [mut client, mut server] = connected(&version::TLS13);
    client.wire.room = Some(10_000);
    let payload = pattern(1_000_000);
    let mut taken = 0;
    let write = |client: &mut Side, from| {
        let slices = [IoSlice::new(&payload[from..])];
        client.tls.write(&mut client.wire, &slices)
    };
    taken += write(&mut client, taken).unwrap();
    assert!((1..=64 * 1024).contains(&taken), "{taken}");
    assert!(client.tls.held() > 0);
    assert_eq!(kind(write(&mut client, taken)), ErrorKind::WouldBlock);
    let flushed = client.tls.flush(&mut client.wire);
    assert_eq!(kind(flushed), ErrorKind::WouldBlock);
    client.wire.room = None;
    client.tls.flush(&mut client.wire).unwrap();
    assert_eq!(client.tls.held(), 0);
    assert_eq!(write(&mut client, taken).unwrap(), payload.len() - taken);
    server.receive(&client.sent()).unwrap();
    assert!(server.plain == payload);
}

// --- ends ---

#[test]
fn close_notify_is_said_once_and_ends_one_direction() {
    for version in VERSIONS {
        let [mut client, mut server] = connected(version);
        client.close();
        assert!(client.wire.is_closed);
        let sent = client.sent();
        assert_eq!(records(&sent).len(), 1);
        client.close();
        assert!(client.sent().is_empty());
        let refused = client.tls.write(&mut client.wire, &[IoSlice::new(b"late")]);
        assert_eq!(kind(refused), ErrorKind::BrokenPipe);
        assert!(server.receive(&sent).unwrap());
        server.send(b"still here");
        server.close();
        assert!(client.receive(&server.sent()).unwrap());
        assert_eq!(client.plain, b"still here");
    }
}

#[test]
fn close_waits_for_what_is_held() {
    let [mut client, mut server] = connected(&version::TLS13);
    client.wire.room = Some(0);
    client.send(b"the last");
    let closed = client.tls.close(&mut client.wire);
    assert_eq!(kind(closed), ErrorKind::WouldBlock);
    assert!(!client.wire.is_closed);
    client.wire.room = None;
    client.tls.flush(&mut client.wire).unwrap();
    assert!(client.wire.is_closed);
    assert!(server.receive(&client.sent()).unwrap());
    assert_eq!(server.plain, b"the last");
}

#[test]
fn last_payload_leaves_with_close_notify() {
    for mut side in connected(&version::TLS13) {
        let last = [IoSlice::new(b"the last")];
        side.tls.write_last(&mut side.wire, &last).unwrap();
        assert_eq!(records(&side.sent()).len(), 2);
        side.close();
        assert!(side.sent().is_empty() && side.wire.is_closed);
    }
}

#[test]
fn end_without_close_notify_is_an_end() {
    for version in VERSIONS {
        let [mut client, mut server] = connected(version);
        client.send(b"Hi");
        server.wire.is_ended = true;
        assert!(server.receive(&client.sent()).unwrap());
        assert_eq!(server.plain, b"Hi");
    }
}

#[test]
fn end_in_the_handshake_is_an_error_wherever_it_is() {
    let (client, server) = speaking(&version::TLS13);
    let flight = Side::begun(&client).sent();
    for len in 0..=flight.len() {
        let mut server = Side::server(&server);
        server.wire.is_ended = true;
        let error = server.receive(&flight[..len]).unwrap_err();
        assert_eq!(error, TlsError::EndedInHandshake, "{len}");
    }
    let mut server = Side::server(&server);
    server.receive(&flight).unwrap();
    let answer = server.sent();
    for len in (0..answer.len()).step_by(37) {
        let mut client = Side::begun(&client);
        client.wire.is_ended = true;
        // The answer is to another flight, and its start is right.
        client.receive(&answer[..len]).unwrap_err();
    }
}

// --- failures ---

#[test]
fn failure_tells_the_peer_and_stays() {
    for version in VERSIONS {
        let [mut client, mut server] = connected(version);
        client.send(b"Hi");
        let mut broken = client.sent();
        *broken.last_mut().unwrap() ^= 1;
        let error = server.receive(&broken).unwrap_err();
        assert_eq!(error, TlsError::Other(rustls::Error::DecryptError));
        assert_eq!(server.receive(&[]).unwrap_err(), error);
        let refused = server.tls.write(&mut server.wire, &[IoSlice::new(b"Hi")]);
        assert_eq!(TlsError::take(refused.unwrap_err()).unwrap(), error);
        let told = client.receive(&server.sent()).unwrap_err();
        let alert = AlertDescription::BadRecordMac;
        assert_eq!(told, TlsError::Alert { alert });
    }
}

#[test]
fn payload_before_a_failure_is_read_first() {
    let [mut client, mut server] = connected(&version::TLS13);
    client.send(b"before");
    client.send(b"behind");
    let mut broken = client.sent();
    *broken.last_mut().unwrap() ^= 1;
    server.receive(&broken).unwrap_err();
    assert_eq!(server.plain, b"before");
}

#[test]
fn first_flight_is_answered_with_an_alert_wherever_a_byte_of_its_header_is_wrong() {
    let (client, server) = speaking(&version::TLS13);
    let flight = Side::begun(&client).sent();
    for at in [0, 1, 5] {
        let mut server = Side::server(&server);
        let mut broken = flight.clone();
        broken[at] ^= 0x80;
        server.receive(&broken).unwrap_err();
        assert_eq!(records(&server.sent()), [(21, 2)], "for byte {at}");
    }
    for garbage in [
        &[0; 100][..],
        &[0xff; 100],
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    ] {
        let mut server = Side::server(&server);
        server.receive(garbage).unwrap_err();
        assert_eq!(records(&server.sent()), [(21, 2)], "{garbage:?}");
    }
}

#[test]
fn http_on_a_port_for_tls_is_answered_with_400() {
    let (client, server) = speaking(&version::TLS13);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for piece in [1, 3, usize::MAX] {
        let mut server = Side::server(&server);
        let errors = request
            .chunks(piece)
            .filter_map(|piece| server.receive(piece).err());
        let error = errors.take(1).next().unwrap();
        assert!(matches!(error, TlsError::NotTls(_)), "{error:?}");
        let answer = String::from_utf8(server.sent()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(answer.ends_with("\r\n\r\nThis port speaks TLS.\r\n"));
    }
    // Only a server answers, and only to a first message.
    let mut client = Side::begun(&client);
    client.sent();
    let error = client
        .receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .unwrap_err();
    assert!(matches!(error, TlsError::NotTls(_)), "{error:?}");
    assert_eq!(records(&client.sent()), [(21, 2)]);
    let [_, mut server] = connected(&version::TLS13);
    server.receive(request).unwrap_err();
    assert!(!server.sent().starts_with(b"HTTP"));
}

#[test]
fn what_follows_a_failed_handshake_is_read_as_zeros() {
    let (_, server) = speaking(&version::TLS13);
    let mut server = Side::server(&server);
    server.receive(b"GET / HTTP/1.1\r\n").unwrap_err();
    server.close();
    assert!(server.wire.is_closed);
    server.wire.is_ended = true;
    assert!(server.receive(b"Host: a\r\n\r\n").unwrap());
    assert_eq!(server.plain, [0; 11]);
}

// --- limits ---

/// A client of rustls' own, which can do what ours never does, and our server.
fn with_rustls() -> (ClientConnection, Side) {
    let (client, server) = speaking(&version::TLS13);
    let name = server_name(HOST).unwrap();
    let mut client = ClientConnection::new(client.config().clone(), name).unwrap();
    let mut server = Side::server(&server);
    while client.is_handshaking() || client.wants_write() {
        server.receive(&written(&mut client)).unwrap();
        client.read_tls(&mut &server.sent()[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    (client, server)
}

fn written(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn others_have_their_turn_between_records_without_payload() {
    let (mut client, mut server) = with_rustls();
    let mut bytes = Vec::new();
    let rounds = 100;
    for _ in 0..rounds {
        // rustls itself bounds how many there are in a row.
        for _ in 0..30 {
            client.refresh_traffic_keys().unwrap();
        }
        client.writer().write_all(b"!").unwrap();
        bytes.extend_from_slice(&written(&mut client));
    }
    // They fit into a few reads.
    assert!(bytes.len() < 200_000);
    server.receive(&bytes).unwrap();
    assert_eq!(server.plain.len(), rounds);
    let work = 1024 * 31 * rounds;
    // A read is not divided.
    let turns = bytes.len() / (66 * 1024)..=work / (64 * 1024);
    assert!(
        turns.contains(&server.interrupted),
        "{}",
        server.interrupted
    );
    assert!(server.interrupted > 0);
}

#[test]
fn payload_and_pauses_of_the_peer_begin_a_turn_anew() {
    let [mut client, mut server] = connected(&version::TLS13);
    client.send(&pattern(4_000_000));
    server.receive(&client.sent()).unwrap();
    assert_eq!(server.plain.len(), 4_000_000);
    for _ in 0..1000 {
        client.send(b"Hi");
        server.receive(&client.sent()).unwrap();
    }
    assert_eq!(server.interrupted, 0);
}

#[test]
fn more_than_half_a_mebibyte_without_payload_fails() {
    let ca = Ca::new("ours");
    let server = server_of(&ca.issue(HOST));
    for (tickets, is_ok) in [(400, true), (6000, false)] {
        let mut config = ServerConfig::clone(server.config());
        config.send_tls13_tickets = tickets;
        let mut server = Side::server(&ServerTls::from_rustls(config.into()));
        let mut client = Side::begun(&client_of(&ca));
        server.receive(&client.sent()).unwrap();
        client.receive(&server.sent()).unwrap();
        server.receive(&client.sent()).unwrap();
        let received = client.receive(&server.sent());
        assert_eq!(received.is_ok(), is_ok, "{received:?}");
    }
}

#[test]
fn footprint_is_about_what_a_connection_takes() {
    for version in VERSIONS {
        // They have the configurations too.
        let (client, server) = speaking(version);
        let mut sides = [Side::client(&client), Side::server(&server)];
        let [client_side, server_side] = &mut sides;
        shake_hands(client_side, server_side, usize::MAX);
        for side in sides {
            let is_client = side.tls.is_client();
            let freed = measure(|| drop(side.tls));
            let takes = size_of::<TlsConnection>() + freed.bytes_current.unsigned_abs() as usize;
            let footprint = TlsConnection::FOOTPRINT;
            assert!(
                (footprint / 2..=footprint * 5 / 4).contains(&takes),
                "{version:?}: {takes} bytes, of a client: {is_client}"
            );
        }
    }
}
