//! Masking by size, and by where in a cache line the payload starts.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws_proto::{MaskKey, xor};

const KEY: MaskKey = MaskKey::new([0x37, 0xfa, 0x21, 0x3d]);

fn by_size(c: &mut Criterion) {
    let mut group = c.benchmark_group("xor");
    let mut data = vec![7; 1 << 20];
    for size in [
        4,
        16,
        125,
        1 << 10,
        4 << 10,
        16 << 10,
        64 << 10,
        256 << 10,
        1 << 20,
    ] {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("random", size), |b| {
            b.iter(|| xor(black_box(&mut data[..size]), black_box(KEY)));
        });
    }
    let zero = MaskKey::new([0; 4]);
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function(BenchmarkId::new("zero", 1 << 20), |b| {
        b.iter(|| xor(black_box(&mut data), black_box(zero)));
    });
    group.finish();
}

fn by_alignment(c: &mut Criterion) {
    let mut group = c.benchmark_group("xor of 16 KiB, by address");
    const SIZE: usize = 16 << 10;
    let mut data = vec![7; SIZE + 128];
    let aligned = data.as_ptr().addr().wrapping_neg() % 64;
    group.throughput(Throughput::Bytes(SIZE as u64));
    for offset in [0, 1, 4, 8, 14, 16, 32, 63] {
        let start = aligned + offset;
        group.bench_function(BenchmarkId::from_parameter(offset), |b| {
            b.iter(|| xor(black_box(&mut data[start..start + SIZE]), black_box(KEY)));
        });
    }
    group.finish();
}

criterion_group!(benches, by_size, by_alignment);
criterion_main!(benches);
