//! The opening handshake, from the bytes of a head to those of the reply.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ws_handshake::{
    ClientProgress, ClientRequest, Nonce, OriginPolicy, ServerConfig, Uri, accept_key,
};

const SHORT: &str = "GET / HTTP/1.1\r\nHost: localhost:9001\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const BROWSER: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
    AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: id=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";

fn server(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake of a server");
    let config = ServerConfig::new(OriginPolicy::Any).subprotocols(["chat"]);
    for (name, request) in [("short", SHORT), ("browser", BROWSER)] {
        let mut reply = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                reply.clear();
                let mut reader = config.head_reader();
                let head = reader.receive(black_box(request.as_bytes()));
                let head = head.expect("a legal head").expect("a whole head");
                let request = head.request().expect("a legal request");
                let acceptance = config.negotiate(&request).expect("a handshake");
                acceptance.write_to(&mut reply);
                black_box(&mut reply);
            });
        });
    }
    group.finish();
}

fn client(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake of a client");
    let uri = Uri::parse("ws://localhost:9001/").expect("a URI");
    let key = Nonce::from_key(b"dGhlIHNhbXBsZSBub25jZQ==")
        .expect("a nonce")
        .key();
    let mut reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: "
        .to_vec();
    reply.extend(accept_key(&key));
    reply.extend(b"\r\n\r\n");
    group.bench_function("request", |b| {
        b.iter(|| {
            let nonce = Nonce::random().unwrap();
            ClientRequest::new(black_box(uri.clone())).start(nonce)
        });
    });
    group.bench_function("request and reply", |b| {
        b.iter(|| {
            let nonce = Nonce::from_key(&key).expect("a nonce");
            let mut handshake = ClientRequest::new(black_box(uri.clone())).start(nonce);
            match handshake.receive(black_box(&reply)) {
                Ok(ClientProgress::Agreed { consumed, .. }) => consumed,
                other => panic!("{other:?}"),
            }
        });
    });
    group.finish();
}

criterion_group!(benches, server, client);
criterion_main!(benches);
