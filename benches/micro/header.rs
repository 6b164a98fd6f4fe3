//! Headers alone, of every length there is.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ws_proto::{Header, MAX_HEADER_LEN, MaskKey, OpCode};

const LENGTHS: [u64; 3] = [125, 16 << 10, 1 << 20];

fn header(len: u64, mask: Option<MaskKey>) -> Header {
    Header::new(true, OpCode::Binary, mask, len).expect("a legal header")
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("header decode");
    for (name, mask) in [
        ("masked", Some(MaskKey::new([1, 2, 3, 4]))),
        ("unmasked", None),
    ] {
        for len in LENGTHS {
            let mut bytes = [0; MAX_HEADER_LEN];
            let head_len = header(len, mask).encode(&mut bytes);
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| Header::decode(black_box(&bytes[..head_len])));
            });
        }
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("header encode");
    for (name, mask) in [
        ("masked", Some(MaskKey::new([1, 2, 3, 4]))),
        ("unmasked", None),
    ] {
        for len in LENGTHS {
            let header = header(len, mask);
            let mut bytes = [0; MAX_HEADER_LEN];
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| black_box(&header).encode(black_box(&mut bytes)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
