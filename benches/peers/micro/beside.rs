//! Parts of `ws-proto` and `ws-handshake` beside those of other libraries that are public.

use std::hint::black_box;
use std::io::Cursor;

use bench_rig::{Masks, OPCODE_BINARY, append_frame, upgrade_request};
use bytes::BytesMut;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use tokio_tungstenite::tungstenite::{
    handshake::derive_accept_key, protocol::frame::FrameHeader as TungsteniteHeader,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const SIZES: [usize; 9] = [
    4,
    16,
    125,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
];

fn xor(c: &mut Criterion) {
    let mut group = c.benchmark_group("xor");
    let mut data = vec![7; 1 << 20];
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut add = |name: &str, mask: fn(&mut [u8], [u8; 4])| {
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| mask(black_box(&mut data[..size]), black_box(KEY)));
            });
        };
        add("ws-proto", |data, key| {
            ws_proto::xor(data, ws_proto::MaskKey::new(key));
        });
        add("fastwebsockets", fastwebsockets::unmask);
        add("sockudo-ws", sockudo_ws::simd::apply_mask);
        add("yawc", yawc::mask::apply_mask);
    }
    group.finish();
}

fn utf8(c: &mut Criterion) {
    for (name, text) in [("ascii", "lazy dog; "), ("mixed", "naïve café, 12 €; ")] {
        let mut group = c.benchmark_group(format!("utf8, {name}"));
        for size in [16, 125, 1 << 10, 16 << 10] {
            let mut text = text.repeat(size / text.len() + 1);
            while text.len() > size {
                text.pop();
            }
            let bytes = text.as_bytes();
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            let mut add = |name: &str, is_valid: fn(&[u8]) -> bool| {
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter(|| assert!(is_valid(black_box(bytes))));
                });
            };
            add("ws-proto", |bytes| {
                let mut stream = ws_proto::Utf8Stream::new();
                stream.push(bytes).is_ok() && stream.finish().is_ok()
            });
            add("std", |bytes| std::str::from_utf8(bytes).is_ok());
            add("simdutf8", |bytes| {
                simdutf8::basic::from_utf8(bytes).is_ok()
            });
            add("sockudo-ws", sockudo_ws::utf8::validate_utf8);
        }
        group.finish();
    }
}

fn header(c: &mut Criterion) {
    let mut bytes = Vec::new();
    append_frame(
        &mut bytes,
        true,
        OPCODE_BINARY,
        Masks::Random,
        1,
        &[7; 1024],
    );
    let bytes = &bytes[..8];
    let mut group = c.benchmark_group("header decode");
    group.bench_function("ws-proto", |b| {
        b.iter(|| ws_proto::Header::decode(black_box(bytes)).is_ok());
    });
    group.bench_function("tungstenite", |b| {
        b.iter(|| TungsteniteHeader::parse(&mut Cursor::new(black_box(bytes))).is_ok());
    });
    group.finish();
}

/// A read with 16 frames in it; the copy of the input that parsing destroys is not measured.
fn receive(c: &mut Criterion) {
    for size in [16, 1 << 10, 16 << 10] {
        let mut input = Vec::new();
        for number in 0..16 {
            append_frame(
                &mut input,
                true,
                OPCODE_BINARY,
                Masks::Random,
                number,
                &vec![7; size],
            );
        }
        let mut group = c.benchmark_group(format!("receive 16 of {size} B"));
        group.throughput(Throughput::Elements(16));
        receive_with_ours(&mut group, &input);
        receive_with_sockudo(&mut group, &input);
        group.finish();
    }
}

fn receive_with_ours(group: &mut BenchmarkGroup<'_, WallTime>, input: &[u8]) {
    use ws_proto::{Connection, Event, Limits, ServerMasking};
    let mut connection = Connection::new(ServerMasking::new(), Limits::default());
    group.bench_function("ws-proto", |b| {
        b.iter_batched_ref(
            || input.to_vec(),
            |input| {
                let (rx, assembler, _) = connection.parts();
                let mut bytes = &mut input[..];
                let mut messages = 0;
                while let Ok(Some(event)) = rx.receive(&mut bytes) {
                    if let Event::Data(chunk) = event
                        && assembler.push(chunk).is_some()
                    {
                        messages += 1;
                    }
                }
                assert_eq!(messages, 16);
            },
            BatchSize::SmallInput,
        );
    });
}

fn receive_with_sockudo(group: &mut BenchmarkGroup<'_, WallTime>, input: &[u8]) {
    use sockudo_ws::protocol::{Protocol, Role};
    let mut protocol = Protocol::new(Role::Server, 1 << 24, 1 << 24);
    let mut messages = Vec::new();
    group.bench_function("sockudo-ws", |b| {
        b.iter_batched_ref(
            || BytesMut::from(input),
            |input| {
                let result = protocol.process_into(input, &mut messages);
                assert!(result.is_ok() && messages.len() == 16);
            },
            BatchSize::SmallInput,
        );
    });
}

fn handshake(c: &mut Criterion) {
    use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
    use ws_handshake::{OriginPolicy, ServerConfig, accept_key};
    let request = upgrade_request(9001);
    let mut group = c.benchmark_group("handshake of a server");
    let config = ServerConfig::new(OriginPolicy::Any);
    let mut reply = Vec::new();
    group.bench_function("ws-handshake", |b| {
        b.iter(|| {
            reply.clear();
            let mut reader = config.head_reader();
            let head = reader.receive(black_box(&request));
            let head = head.expect("a legal head").expect("a whole head");
            let request = head.request().expect("a legal request");
            let acceptance = config.negotiate(&request).expect("a handshake");
            acceptance.write_to(&mut reply);
        });
    });
    group.bench_function("sockudo-ws", |b| {
        b.iter(|| {
            let parsed = parse_request(black_box(&request)).expect("a legal request");
            let (request, _) = parsed.expect("a whole request");
            build_response(&generate_accept_key(request.key), None, None)
        });
    });
    group.finish();
    let mut group = c.benchmark_group("accept key");
    let key = b"dGhlIHNhbXBsZSBub25jZQ==";
    group.bench_function("ws-handshake", |b| b.iter(|| accept_key(black_box(key))));
    group.bench_function("tungstenite", |b| {
        b.iter(|| derive_accept_key(black_box(key)))
    });
    group.finish();
}

/// Keys, by whatever of a library makes one and little else.
fn keys(c: &mut Criterion) {
    use ws_proto::{ClientMasking, MaskingPolicy};
    let mut group = c.benchmark_group("masking keys");
    group.throughput(Throughput::Elements(1));
    let mut masking = ClientMasking::new();
    group.bench_function("ws-proto", |b| {
        b.iter(|| black_box(&mut masking).next_key())
    });
    // The generator of the crate `rand`, with a frame without payload around it.
    group.bench_function("fastwebsockets", |b| {
        use fastwebsockets::{Frame, Payload};
        let mut nothing = [];
        b.iter(|| {
            let mut frame = Frame::binary(Payload::BorrowedMut(&mut nothing));
            frame.mask();
            black_box(&frame);
        });
    });
    group.bench_function("yawc", |b| {
        let mut frame = yawc::Frame::binary(bytes::Bytes::new());
        b.iter(|| black_box(&mut frame).set_random_mask());
    });
    // Not from a cryptographically secure generator, as it is built by default.
    group.bench_function("sockudo-ws", |b| b.iter(sockudo_ws::mask::generate_mask));
    group.finish();
}

criterion_group!(benches, xor, utf8, header, receive, handshake, keys);
criterion_main!(benches);
