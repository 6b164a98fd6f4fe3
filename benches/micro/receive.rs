//! Bytes in, messages out: what a server does with a read.
//!
//! Unmasking changes the input where it lies, so masked input is other bytes in every pass; how
//! long it takes does not depend on them.

use std::hint::black_box;

use bench_rig::{Masks, OPCODE_BINARY, OPCODE_TEXT, append_frame};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws_proto::{Connection, Event, Limits, ServerMasking};

const MASKS: [(&str, Masks); 3] = [
    ("random", Masks::Random),
    ("zero", Masks::Zero),
    ("unmasked", Masks::None),
];

fn one(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive");
    for (name, masks) in MASKS {
        for size in [16, 125, 1 << 10, 16 << 10, 256 << 10] {
            group.throughput(Throughput::Bytes(size as u64));
            let mut input = frames(OPCODE_BINARY, masks, size, 1);
            group.bench_function(BenchmarkId::new(name, size), |b| {
                let mut connection = connection();
                b.iter(|| assert_eq!(receive(&mut connection, black_box(&mut input)), 1));
            });
        }
    }
    group.finish();
}

fn pipelined(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive 16 at once");
    for (name, masks) in MASKS {
        for size in [16, 1 << 10] {
            group.throughput(Throughput::Elements(16));
            let mut input = frames(OPCODE_BINARY, masks, size, 16);
            group.bench_function(BenchmarkId::new(name, size), |b| {
                let mut connection = connection();
                b.iter(|| assert_eq!(receive(&mut connection, black_box(&mut input)), 16));
            });
        }
    }
    group.finish();
}

fn text(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive text");
    for size in [16, 125, 1 << 10, 16 << 10] {
        group.throughput(Throughput::Bytes(size as u64));
        // Unmasked, for it to stay text.
        let mut input = frames(OPCODE_TEXT, Masks::None, size, 1);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            let mut connection = connection();
            b.iter(|| assert_eq!(receive(&mut connection, black_box(&mut input)), 1));
        });
    }
    group.finish();
}

/// A message that comes in reads of 64 KiB and so has to be put together.
fn assembled(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive in reads of 64 KiB");
    for (name, masks) in MASKS {
        let size = 1 << 20;
        group.throughput(Throughput::Bytes(size as u64));
        let mut input = frames(OPCODE_BINARY, masks, size, 1);
        group.bench_function(BenchmarkId::new(name, size), |b| {
            let mut connection = connection();
            b.iter(|| {
                let messages: usize = black_box(&mut input)
                    .chunks_mut(64 << 10)
                    .map(|read| receive(&mut connection, read))
                    .sum();
                assert_eq!(messages, 1);
            });
        });
    }
    group.finish();
}

fn receive(connection: &mut Connection<ServerMasking>, mut input: &mut [u8]) -> usize {
    let (rx, assembler, _) = connection.parts();
    let mut messages = 0;
    while let Some(event) = rx.receive(&mut input).expect("legal frames") {
        if let Event::Data(chunk) = event
            && let Some(message) = assembler.push(chunk)
        {
            black_box(message);
            messages += 1;
        }
    }
    messages
}

fn connection() -> Connection<ServerMasking> {
    let masking = ServerMasking::with_accept_unmasked_frame(true);
    Connection::new(masking, Limits::default())
}

fn frames(opcode: u8, masks: Masks, size: usize, count: u32) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in 0..count {
        append_frame(&mut frames, true, opcode, masks, number, &vec![b'x'; size]);
    }
    frames
}

criterion_group!(benches, one, pipelined, text, assembled);
criterion_main!(benches);
