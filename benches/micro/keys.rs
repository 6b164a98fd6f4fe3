//! Masking keys a second: every frame of a client takes one.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ws_proto::{ClientMasking, MaskingPolicy};

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("masking keys");
    group.throughput(Throughput::Elements(1));
    let mut fresh = ClientMasking::new();
    group.bench_function("fresh", |b| b.iter(|| black_box(&mut fresh).next_key()));
    let mut zero = ClientMasking::with_set_mask_to_zero(true);
    group.bench_function("zero", |b| b.iter(|| black_box(&mut zero).next_key()));
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
