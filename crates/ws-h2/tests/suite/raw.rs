//! HTTP/2 as bytes, for peers who do not keep its rules.

use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ws_h2::{Config, Server};
use ws_smol::{Duplex, duplex};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A request, each field a literal that is not indexed (RFC 7541 section 6.2.2).
pub(crate) fn headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend([0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

pub(crate) const CONNECT: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
];

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = match self.kind {
            GOAWAY => 4,
            _ => 0,
        };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) async fn read_frame(stream: &mut Duplex) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, rest @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(rest),
        payload,
    })
}

/// Reads up to a frame of that kind; all that come before.
pub(crate) async fn read_until(stream: &mut Duplex, kind: u8) -> Frame {
    loop {
        let frame = read_frame(stream).await.expect("one comes");
        if frame.kind == kind {
            return frame;
        }
    }
}

/// A client that is told byte by byte what to do, and its server.
pub(crate) async fn client(config: &Config) -> (Duplex, Server<Duplex>) {
    let (mut near, far) = duplex(1 << 20);
    near.write_all(PREFACE).await.unwrap();
    near.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let server = Server::handshake(far, config).await.unwrap();
    (near, server)
}
