//! The hot paths of the adapters, each a given number of times: for `cargo xtask callgrind` to
//! count instructions. Those of the crates below are in `hot-paths`, apart, as code that both
//! programs use is inlined where one alone uses it.

use std::{error::Error, hint::black_box, io::IoSlice, process::ExitCode, time::Duration};

use bench_rig::{Masks, OPCODE_BINARY, append_frame, finish};
use smol::{
    block_on,
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_handshake::OriginPolicy;
use ws_mio::{EventLoop, Handler, Peer, Transport as _};
use ws_proto::Message;
use ws_smol::Acceptor;

/// A name, and what is done once under it.
type Path = (&'static str, fn() -> Box<dyn FnMut()>);

const PATHS: &[Path] = &[
    ("mio-125", || in_a_loop(125, 1)),
    ("mio-125-x16", || in_a_loop(125, 16)),
    ("mio-8K", || in_a_loop(8 << 10, 1)),
    ("mio-256K", || in_a_loop(256 << 10, 1)),
    ("smol-with-125", || with_handler(125, 1)),
    ("smol-with-125-x16", || with_handler(125, 16)),
    ("smol-with-8K", || with_handler(8 << 10, 1)),
    ("smol-receive-125", || receive_and_send(125)),
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

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// So many messages of a size, as a client sends them.
fn messages(size: usize, number: usize) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..number {
        let payload = vec![b'x'; size];
        append_frame(&mut input, true, OPCODE_BINARY, Masks::Random, 1, &payload);
    }
    input
}

/// Has a loop of `ws-mio` echo messages that come at once, over a transport in
/// memory.
fn in_a_loop(size: usize, number: usize) -> Box<dyn FnMut()> {
    let input = messages(size, number);
    let mut echo = EventLoop::new(ws_mio::Config::new(OriginPolicy::Any), Echo, || Ok(()))
        .expect("the defaults are right");
    let (mut client, server) = ws_mio::memory::pair(64 << 10);
    let key = echo.admit(server).expect("there is room");
    let mut buffer = vec![0; 64 << 10];
    let mut turns = move |bytes: &[u8], replies: usize| {
        let (mut sent, mut came) = (0, 0);
        while sent < bytes.len() || came < replies {
            if sent < bytes.len() {
                let rest = [IoSlice::new(&bytes[sent..])];
                sent += client.write(&rest).unwrap_or_default();
            }
            echo.start_turn(Duration::from_millis(1));
            let ready = echo.transport(key).expect("it is open").take_ready();
            echo.wake(key, ready);
            echo.finish_turn();
            while let Ok(read @ 1..) = client.read(&mut buffer) {
                came += read;
            }
        }
    };
    turns(&bench_rig::upgrade_request(9001), 100);
    Box::new(move || turns(black_box(&input), size * number))
}

/// A connection of `ws-smol` in memory, and its client's end.
fn accepted() -> (ws_smol::Duplex, ws_smol::WebSocket<ws_smol::Duplex>) {
    let (mut client, server) = ws_smol::duplex(64 << 10);
    let acceptor = Acceptor::new(OriginPolicy::Any);
    let accepting = acceptor.accept(server, ws_smol::PeerAddr::Local);
    let asking = async {
        client.write_all(&bench_rig::upgrade_request(9001)).await?;
        client.read(&mut [0; 1024]).await
    };
    let (server, asked) = block_on(zip(accepting, asking));
    asked.expect("the pipe is open");
    (client, server.expect("the request is right"))
}

/// Has `receive_with` of `ws-smol` echo messages that come at once.
fn with_handler(size: usize, number: usize) -> Box<dyn FnMut()> {
    let input = messages(size, number);
    let (mut client, mut server) = accepted();
    let mut buffer = vec![0; 64 << 10];
    Box::new(move || {
        block_on(async {
            client.write_all(black_box(&input)).await.expect("room");
            let goes_on = server.receive_with(|message, replies| replies.queue(message));
            assert!(goes_on.await.expect("the messages are right"));
            let came = client.read(&mut buffer).await.expect("an echo");
            assert!(came >= size * number, "no echo");
        });
    })
}

/// Receives a message of `ws-smol` as one of its own, and sends it back.
fn receive_and_send(size: usize) -> Box<dyn FnMut()> {
    let input = messages(size, 1);
    let (mut client, mut server) = accepted();
    let mut buffer = vec![0; 64 << 10];
    Box::new(move || {
        block_on(async {
            client.write_all(black_box(&input)).await.expect("room");
            let message = server.receive().await.expect("the message is right");
            let message = message.expect("it is open");
            server.send(message).await.expect("it is open");
            let came = client.read(&mut buffer).await.expect("an echo");
            assert!(came >= size, "no echo");
        });
    })
}
