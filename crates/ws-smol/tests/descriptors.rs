//! A server that runs out of file descriptors, in a process of its own.
#![cfg(unix)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, Sender},
    thread,
};

use smol::{LocalExecutor, net::TcpListener};
use ws_smol::{Acceptor, Gate, OriginPolicy};
use ws_testkit::descriptors::{warnings, without_descriptors};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn server_out_of_descriptors_serves_on_and_accepts_again() {
    let warned = warnings();
    let (started, listening) = mpsc::channel();
    thread::spawn(move || serve(&started));
    let address = listening.recv().unwrap();
    let mut open = TcpStream::connect(address).unwrap();
    upgrade(&mut open);
    let mut stream = without_descriptors(address, &warned, || {
        open.write_all(b"\x81\x86\0\0\0\0still?").unwrap();
        expect(&mut open, b"\x81\x06still?");
    });
    upgrade(&mut stream);
}

/// Echoes for ever.
fn serve(started: &Sender<SocketAddr>) {
    let acceptor = Acceptor::new(OriginPolicy::SameHost);
    let gate = Gate::new(10, 10);
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        started.send(listener.local_addr().unwrap()).unwrap();
        while let Some((stream, peer)) = gate.accept(|| listener.accept()).await {
            let (pass, acceptor) = (gate.admit(peer).unwrap(), &acceptor);
            let echo = async move {
                let mut websocket = acceptor.accept(stream, peer).await.unwrap();
                while let Ok(true) = websocket
                    .receive_with(|message, replies| replies.queue(message))
                    .await
                {}
                drop(pass);
            };
            executor.spawn(echo).detach();
        }
    }));
}

fn upgrade(stream: &mut TcpStream) {
    stream.write_all(REQUEST).unwrap();
    expect(stream, b"HTTP/1.1 101 Switching Protocols\r\n");
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        rest.extend(byte);
    }
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
}
