//! Messages in, bytes out.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws_proto::{ClientMasking, MaskingPolicy, Message, Prepared, Sender, ServerMasking};

const SIZES: [usize; 5] = [16, 125, 1 << 10, 16 << 10, 1 << 20];

fn append(c: &mut Criterion) {
    append_with(c, "client", ClientMasking::new());
    append_with(
        c,
        "client, zero key",
        ClientMasking::with_set_mask_to_zero(true),
    );
    append_with(c, "server", ServerMasking::new());
}

fn append_with<P: MaskingPolicy>(c: &mut Criterion, name: &str, masking: P) {
    let mut group = c.benchmark_group("append_to");
    let mut sender = Sender::new(masking);
    let mut out = Vec::new();
    for size in SIZES {
        let payload = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new(name, size), |b| {
            b.iter(|| {
                out.clear();
                let message = Message::Binary(black_box(&payload));
                let frame = sender.message(message).expect("an open connection");
                frame.append_to(&mut out, 0);
                black_box(&mut out);
            });
        });
    }
    group.finish();
}

fn as_slices(c: &mut Criterion) {
    let payload = vec![7; 1 << 20];
    let mut group = c.benchmark_group("as_slices");
    let mut server = Sender::new(ServerMasking::new());
    group.bench_function("server", |b| {
        b.iter(|| {
            let frame = server.message(Message::Binary(black_box(&payload)));
            black_box(frame.expect("an open connection").as_slices());
        });
    });
    let mut client = Sender::new(ClientMasking::with_set_mask_to_zero(true));
    group.bench_function("client, zero key", |b| {
        b.iter(|| {
            let frame = client.message(Message::Binary(black_box(&payload)));
            black_box(frame.expect("an open connection").as_slices());
        });
    });
    let prepared = Prepared::new(Message::Binary(&payload));
    group.bench_function("server, prepared", |b| {
        b.iter(|| {
            let frame = server.prepared(black_box(&prepared));
            black_box(frame.expect("an open connection").as_slices());
        });
    });
    group.finish();
}

criterion_group!(benches, append, as_slices);
criterion_main!(benches);
