//! The hot paths, each a given number of times: for `cargo xtask callgrind` to count instructions.

use std::{error::Error, hint::black_box, process::ExitCode};

use bench_rig::{Masks, OPCODE_BINARY, OPCODE_TEXT, append_frame, finish};
use ws_handshake::{OriginPolicy, ServerConfig};
use ws_proto::{Connection, Event, Header, Limits, MaskKey, Message, Sender, ServerMasking, xor};

/// A name, and what is done once under it.
type Path = (&'static str, fn() -> Box<dyn FnMut()>);

const PATHS: &[Path] = &[
    ("echo-125", || echo(OPCODE_BINARY, Masks::Random, 125)),
    ("echo-125-text", || echo(OPCODE_TEXT, Masks::Zero, 125)),
    ("echo-16K", || echo(OPCODE_BINARY, Masks::Random, 16 << 10)),
    ("echo-16K-zero", || {
        echo(OPCODE_BINARY, Masks::Zero, 16 << 10)
    }),
    ("echo-16K-text", || echo(OPCODE_TEXT, Masks::Zero, 16 << 10)),
    ("send-125", || send(125)),
    ("header-decode", header_decode),
    ("xor-125", || xor_of(125)),
    ("xor-16K", || xor_of(16 << 10)),
    ("handshake", handshake),
];

fn main() -> ExitCode {
    finish(run())
}

/// Without arguments it lists the paths; else they are a path and how often to go it.
fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &arguments[..] else {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return Ok(());
    };
    let (_, path) = PATHS
        .iter()
        .find(|(known, _)| known == name)
        .ok_or("no such path")?;
    let mut step = path();
    for _ in 0..times.parse::<u32>()? {
        step();
    }
    Ok(())
}

/// Receives a message and appends its echo.
fn echo(opcode: u8, masks: Masks, size: usize) -> Box<dyn FnMut()> {
    let mut input = Vec::new();
    append_frame(&mut input, true, opcode, masks, 1, &vec![b'x'; size]);
    let mut connection = Connection::new(ServerMasking::new(), Limits::default());
    let mut output = Vec::new();
    Box::new(move || {
        output.clear();
        let (rx, assembler, tx) = connection.parts();
        let mut bytes = black_box(&mut input[..]);
        while let Ok(Some(event)) = rx.receive(&mut bytes) {
            if let Event::Data(chunk) = event
                && let Some(message) = assembler.push(chunk)
                && let Ok(frame) = tx.message(message)
            {
                frame.append_to(&mut output, 0);
            }
        }
        assert!(output.len() > size, "no echo");
    })
}

fn send(size: usize) -> Box<dyn FnMut()> {
    let payload = vec![7; size];
    let mut sender = Sender::new(ServerMasking::new());
    let mut output = Vec::new();
    Box::new(move || {
        output.clear();
        if let Ok(frame) = sender.message(Message::Binary(black_box(&payload))) {
            frame.append_to(&mut output, 0);
        }
        black_box(&mut output);
    })
}

fn header_decode() -> Box<dyn FnMut()> {
    let bytes = [0x82, 0xfe, 0x04, 0x00, 1, 2, 3, 4];
    Box::new(move || {
        let header = Header::decode(black_box(&bytes));
        assert!(black_box(header).is_ok());
    })
}

fn xor_of(size: usize) -> Box<dyn FnMut()> {
    let mut data = vec![7; size];
    Box::new(move || xor(black_box(&mut data), MaskKey::new([1, 2, 3, 4])))
}

fn handshake() -> Box<dyn FnMut()> {
    let request = bench_rig::upgrade_request(9001);
    let config = ServerConfig::new(OriginPolicy::Any);
    let mut output = Vec::new();
    Box::new(move || {
        output.clear();
        let mut reader = config.head_reader();
        if let Ok(Some(head)) = reader.receive(black_box(&request))
            && let Ok(request) = head.request()
            && let Ok(acceptance) = config.negotiate(&request)
        {
            acceptance.write_to(&mut output);
        }
        assert!(!output.is_empty(), "no reply");
    })
}
