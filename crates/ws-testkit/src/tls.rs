//! TLS in memory: configurations, and a side whose every byte is seen.

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    mem,
    sync::Arc,
};

use ws_tls::{
    ClientTls, RawStream, ServerTls, TlsConnection, TlsError,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        version::{TLS12, TLS13},
    },
    server_name,
};

use crate::certificates::{Ca, Identity};

/// The host that the configurations of [`speaking`] are for.
pub const HOST: &str = "intranet.example";

/// Both versions of TLS.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// What a client may send first to a port for TLS before it ends its direction, and how the answer
/// begins.
pub const FIRST_BYTES: [(&[u8], &[u8]); 6] = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_400),
    (b"OPTIONS * HTTP/1.0\r\n\r\n", HTTP_400),
    (&[0; 100], ALERT),
    (&[0xff; 100], ALERT),
    (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", ALERT),
    (b"\x16\x03\x01\x00\x04\x01", b""),
];
const HTTP_400: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n";
const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02";

/// Makes a client that trusts this authority.
pub fn client_of(ca: &Ca) -> ClientTls {
    ClientTls::with_ca(ca.pem().as_bytes()).unwrap()
}

/// Makes a server that shows this certificate.
pub fn server_of(identity: &Identity) -> ServerTls {
    ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap()
}

/// Makes configurations that trust each other, for one version of TLS.
pub fn speaking(version: &'static SupportedProtocolVersion) -> (ClientTls, ServerTls) {
    let ca = Ca::new("ours");
    let server = server_of(&ca.issue(HOST));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(server.config().cert_resolver.clone());
    (client_of(&ca), ServerTls::from_rustls(config.into()))
}

/// One side of TLS: bytes go in and come out by hand.
#[derive(Debug)]
pub struct Side {
    /// The connection itself.
    pub tls: TlsConnection,
    /// What is below it.
    pub wire: Wire,
    /// The payload that has come.
    pub plain: Vec<u8>,
    /// How often others should have had their turn.
    pub interrupted: usize,
}

/// The stream below a [`Side`].
#[derive(Debug, Default)]
pub struct Wire {
    /// What is to be read.
    pub input: io::Cursor<Vec<u8>>,
    /// The end of the stream is behind that.
    pub is_ended: bool,
    /// What was written.
    pub output: Vec<u8>,
    /// How many bytes may still be written.
    pub room: Option<usize>,
    /// Our direction was ended.
    pub is_closed: bool,
}

impl Side {
    /// Starts a client of [`HOST`].
    pub fn client(tls: &ClientTls) -> Self {
        Self::new(TlsConnection::client(tls, server_name(HOST).unwrap()).unwrap())
    }

    /// Starts a server.
    pub fn server(tls: &ServerTls) -> Self {
        Self::new(TlsConnection::server(tls).unwrap())
    }

    fn new(tls: TlsConnection) -> Self {
        Self {
            tls,
            wire: Wire::default(),
            plain: Vec::new(),
            interrupted: 0,
        }
    }

    /// Starts a client and makes its first flight.
    pub fn begun(tls: &ClientTls) -> Self {
        let mut side = Self::client(tls);
        side.receive(&[]).unwrap();
        side
    }

    /// Takes bytes of the other side, and puts the payload behind `plain`. `true` at the end of the
    /// other direction.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, TlsError> {
        self.wire.give(bytes);
        let mut buffer = [0; 20_000];
        loop {
            let read = match self.tls.is_client() && self.tls.is_handshaking() {
                true => self.tls.handshake(&mut self.wire).map(|()| None),
                false => self.tls.read(&mut self.wire, &mut buffer).map(Some),
            };
            match read {
                Ok(None) => {}
                Ok(Some(0)) => return Ok(true),
                Ok(Some(len)) => self.plain.extend_from_slice(&buffer[..len]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::Interrupted => self.interrupted += 1,
                    _ => return Err(TlsError::take(error).unwrap()),
                },
            }
        }
    }

    /// Sends payload, all of it.
    pub fn send(&mut self, payload: &[u8]) {
        let slices = [IoSlice::new(payload)];
        assert_eq!(
            self.tls.write(&mut self.wire, &slices).unwrap(),
            payload.len()
        );
    }

    /// Ends our direction.
    pub fn close(&mut self) {
        self.tls.close(&mut self.wire).unwrap();
    }

    /// Returns what was sent since the last call.
    pub fn sent(&mut self) -> Vec<u8> {
        mem::take(&mut self.wire.output)
    }
}

impl Wire {
    /// Puts bytes behind what is to be read.
    pub fn give(&mut self, bytes: &[u8]) {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).unwrap();
        rest.extend_from_slice(bytes);
        self.input = io::Cursor::new(rest);
    }
}

impl RawStream for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 if !self.is_ended => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.is_closed, "it was ended");
        let len = self.room.unwrap_or(usize::MAX).min(bytes.len());
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(room) = &mut self.room {
            *room -= len;
        }
        self.output.write(&bytes[..len])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.is_closed = true;
        Ok(())
    }
}

/// Makes the handshake of a client and a server, so many bytes at a time.
pub fn shake_hands(client: &mut Side, server: &mut Side, piece: usize) {
    client.receive(&[]).unwrap();
    loop {
        let (up, down) = (client.sent(), server.sent());
        if up.is_empty() && down.is_empty() {
            break;
        }
        for piece in up.chunks(piece) {
            server.receive(piece).unwrap();
        }
        for piece in down.chunks(piece) {
            client.receive(piece).unwrap();
        }
    }
    assert!(!client.tls.is_handshaking() && !server.tls.is_handshaking());
}

/// Returns the types and lengths of records, as their headers tell them.
pub fn records(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        records.push((*kind, len));
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty(), "the last record is not whole");
    records
}
