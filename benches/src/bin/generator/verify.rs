//! Checks what the server sends back, bit by bit.

use std::{
    error::Error,
    io::{self, ErrorKind, Read, Write},
};

use bench_rig::{
    COMPRESSED, DEFLATE_MIN_LEN, Deflate, Masks, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING,
    OPCODE_TEXT, append_frame, upgrade_with,
};
use flate2::Decompress;
use ws_load::{Compressor, inflate};

use crate::{Options, stream::Blocking};

const OPCODE_PONG: u8 = 10;

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut checked = 0;
    for number in 0..options.connections {
        checked += check(options, number)
            .map_err(|error| format!("connection {number}, after {checked} messages: {error}"))?;
    }
    println!(r#"{{"mode":"verify","messages":{checked}}}"#);
    Ok(())
}

fn check(options: &Options, number: usize) -> Result<u64, Box<dyn Error>> {
    let mut stream = Blocking::open(options, number)?;
    let rest = upgrade_with(&mut stream, options.port, options.deflate)?;
    let mut peer = Peer {
        stream,
        unread: rest,
        masks: options.masks,
        codec: options.deflate.map(Codec::new),
        frames: 0,
    };
    let mut checked = 0;
    for len in [
        0,
        1,
        2,
        3,
        4,
        7,
        125,
        126,
        127,
        4096,
        65_535,
        65_536,
        70_000,
        options.size,
    ] {
        let binary: Vec<u8> = (0..len).map(|at| (at * 31 + number) as u8).collect();
        peer.send_message(OPCODE_BINARY, &binary)?;
        peer.expect(OPCODE_BINARY, &binary)?;
        let text: String = "żółw, 龜, 🐢, tortoise; "
            .chars()
            .cycle()
            .take(len)
            .collect();
        peer.send_message(OPCODE_TEXT, text.as_bytes())?;
        peer.expect(OPCODE_TEXT, text.as_bytes())?;
        checked += 2;
    }
    // In fragments, cut inside a character, with a Ping between them.
    let text = "żółw".repeat(300);
    let (opcode, payload) = peer.pack(OPCODE_TEXT, text.as_bytes());
    let (first, second) = payload.split_at(payload.len() / 3 + 1);
    peer.send(false, opcode, first)?;
    peer.send(true, OPCODE_PING, b"still there?")?;
    peer.send(false, 0, b"")?;
    peer.send(true, 0, second)?;
    peer.expect(OPCODE_PONG, b"still there?")?;
    peer.expect(OPCODE_TEXT, text.as_bytes())?;
    // All at once, and all in the first write.
    let mut burst = Vec::new();
    for at in 0..100u8 {
        let (opcode, payload) = peer.pack(OPCODE_BINARY, &[at; 50]);
        append_frame(&mut burst, true, opcode, options.masks, at.into(), &payload);
    }
    peer.stream.write_all(&burst)?;
    for at in 0..100 {
        peer.expect(OPCODE_BINARY, &[at; 50])?;
    }
    // One byte a write.
    let mut slow = Vec::new();
    let (opcode, payload) = peer.pack(OPCODE_TEXT, b"slowly");
    append_frame(&mut slow, true, opcode, options.masks, 3, &payload);
    for byte in slow {
        peer.stream.write_all(&[byte])?;
    }
    peer.expect(OPCODE_TEXT, b"slowly")?;
    peer.send(true, OPCODE_CLOSE, &1000u16.to_be_bytes())?;
    let (opcode, payload) = peer.message()?;
    if opcode != OPCODE_CLOSE || !(payload.is_empty() || payload.starts_with(&[0x03, 0xe8])) {
        return Err(format!("Close 1000 was answered with {opcode} {payload:?}").into());
    }
    match peer.stream.read(&mut [0]) {
        Ok(0) => {}
        // Not every server says farewell in TLS too.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Ok(_) => return Err("something came after the Close".into()),
        Err(error) => return Err(error.into()),
    }
    Ok(checked + 102)
}

/// Both windows of a connection.
struct Codec {
    compressor: Compressor,
    decompress: Decompress,
    takes_over: bool,
}

impl Codec {
    fn new(deflate: Deflate) -> Self {
        Self {
            compressor: Compressor::new(deflate.level, 15, deflate.takes_over),
            decompress: Decompress::new(false),
            takes_over: deflate.takes_over,
        }
    }

    fn inflate(&mut self, payload: &[u8]) -> io::Result<Vec<u8>> {
        if !self.takes_over {
            self.decompress.reset(false);
        }
        inflate(&mut self.decompress, payload)
    }
}

struct Peer {
    stream: Blocking,
    unread: Vec<u8>,
    masks: Masks,
    /// What compresses here and inflates there, if that is agreed.
    codec: Option<Codec>,
    frames: u32,
}

impl Peer {
    fn send_message(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let (opcode, payload) = self.pack(opcode, payload);
        self.send(true, opcode, &payload)
    }

    /// Compresses a message, if that is agreed: its opcode, with RSV1 then, and its payload.
    fn pack(&mut self, opcode: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        match &mut self.codec {
            Some(codec) => (opcode | COMPRESSED, codec.compressor.compress(payload)),
            None => (opcode, payload.to_vec()),
        }
    }

    fn send(&mut self, fin: bool, opcode: u8, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut frame = Vec::new();
        self.frames += 1;
        append_frame(&mut frame, fin, opcode, self.masks, self.frames, payload);
        Ok(self.stream.write_all(&frame)?)
    }

    fn expect(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let (got_opcode, got) = self.message()?;
        let (got_opcode, got) = match &mut self.codec {
            Some(codec) if got_opcode & COMPRESSED != 0 => {
                (got_opcode ^ COMPRESSED, codec.inflate(&got)?)
            }
            // All that is sent here would be shorter.
            Some(_) if opcode < OPCODE_CLOSE && payload.len() >= 2 * DEFLATE_MIN_LEN => {
                return Err(format!("{} bytes came back plain", payload.len()).into());
            }
            _ => (got_opcode, got),
        };
        if got_opcode == opcode && got == payload {
            return Ok(());
        }
        let at = got.iter().zip(payload).take_while(|(a, b)| a == b).count();
        Err(format!(
            "wanted opcode {opcode} with {} bytes, got {got_opcode} with {}; the first {at} are right",
            payload.len(),
            got.len(),
        )
        .into())
    }

    /// Reads a message, whole; its opcode is with RSV1, if that is set.
    fn message(&mut self) -> Result<(u8, Vec<u8>), Box<dyn Error>> {
        let mut message = (0, Vec::new());
        loop {
            let head = self.take(2)?;
            let (first, second) = (head[0], head[1]);
            let rsv = match (&self.codec, first & 0xf) {
                (Some(_), OPCODE_TEXT | OPCODE_BINARY) => first & 0x70 & !COMPRESSED,
                _ => first & 0x70,
            };
            if rsv != 0 || second & 0x80 != 0 {
                return Err(format!("a frame begins with {first:02x} {second:02x}").into());
            }
            let len = match second {
                126 => u64::from(u16::from_be_bytes(
                    self.take(2)?.try_into().unwrap_or_default(),
                )),
                127 => u64::from_be_bytes(self.take(8)?.try_into().unwrap_or_default()),
                len => len.into(),
            };
            let payload = self.take(usize::try_from(len)?)?;
            if first & 0xf >= OPCODE_CLOSE {
                return Ok((first & 0xf, payload));
            }
            if first & 0xf != 0 {
                message.0 = first & (0xf | COMPRESSED);
            }
            message.1.extend(payload);
            if first & 0x80 != 0 {
                return Ok(message);
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut buffer = vec![0; 64 * 1024];
        while self.unread.len() < len {
            let got = self.stream.read(&mut buffer)?;
            if got == 0 {
                return Err("the server closed the connection".into());
            }
            self.unread.extend_from_slice(&buffer[..got]);
        }
        let rest = self.unread.split_off(len);
        Ok(std::mem::replace(&mut self.unread, rest))
    }
}
