//! Validation of text, by what it is made of and by size.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws_proto::Utf8Stream;

const SIZES: [usize; 5] = [16, 125, 1 << 10, 16 << 10, 256 << 10];
const TEXTS: [(&str, &str); 3] = [
    ("ascii", "the quick brown fox jumps over the lazy dog; "),
    ("mixed", "price: 12 €, naïve café, ok; "),
    ("cjk", "千里之行，始於足下。"),
];

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("utf8");
    for (name, text) in TEXTS {
        for size in SIZES {
            let bytes = text_of(text, size);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    let mut stream = Utf8Stream::new();
                    let (text, _) = stream.push(black_box(&bytes)).expect("valid text");
                    black_box(text.len());
                    stream.finish()
                });
            });
        }
    }
    group.finish();
}

/// Cut where reads would cut it, also inside characters.
fn pieces(c: &mut Criterion) {
    let mut group = c.benchmark_group("utf8 in pieces of 1,461 bytes");
    for (name, text) in TEXTS {
        let bytes = text_of(text, 256 << 10);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut stream = Utf8Stream::new();
                for mut piece in black_box(&bytes).chunks(1461) {
                    while !piece.is_empty() {
                        let (_, len) = stream.push(piece).expect("valid text");
                        piece = &piece[len..];
                    }
                }
                stream.finish()
            });
        });
    }
    group.finish();
}

/// `text` again and again, at most `size` bytes of it, and no half of a character.
fn text_of(text: &str, size: usize) -> Vec<u8> {
    let mut text = text.repeat(size / text.len() + 1);
    while text.len() > size {
        text.pop();
    }
    text.into_bytes()
}

criterion_group!(benches, whole, pieces);
criterion_main!(benches);
