//! permessage-deflate: a message inflated and compressed again, as an echo does, beside a plain use
//! of flate2 that keeps both states of every connection.

use std::hint::black_box;

use bench_rig::json;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use ws_proto::{
    CompressedChunk, DeflateConfig, DeflatePool, DeflateWindow, Deflater, InflatePool, Inflater,
    MessageKind,
};

const LEVELS: [u32; 2] = [1, 6];
const SIZES: [usize; 2] = [1 << 10, 64 << 10];
const MESSAGES: usize = 64;

fn echo(c: &mut Criterion) {
    for takes_over in [false, true] {
        let name = if takes_over {
            "takeover"
        } else {
            "no takeover"
        };
        let mut group = c.benchmark_group(format!("deflate echo, {name}"));
        for level in LEVELS {
            for size in SIZES {
                let [first, payloads] = payloads(level, size, takes_over);
                let compressed: usize = payloads.iter().map(Vec::len).sum();
                let ratio = (MESSAGES * size) as f64 / compressed as f64;
                let label = |who| {
                    BenchmarkId::new(who, format!("level {level}, {size} B, ratio {ratio:.2}"))
                };
                group.throughput(Throughput::Bytes(size as u64));
                let mut naive = Naive::new(level, takes_over);
                first.iter().for_each(|payload| naive.echo(payload));
                let mut messages = payloads.iter().cycle();
                group.bench_function(label("flate2"), |b| {
                    b.iter(|| naive.echo(messages.next().expect("endless")));
                });
                let mut loop_ = Loop::new(level);
                let mut connection = Connection::new(takes_over);
                first
                    .iter()
                    .for_each(|payload| loop_.echo(&mut connection, payload));
                let mut messages = payloads.iter().cycle();
                group.bench_function(label("ws-proto"), |b| {
                    b.iter(|| loop_.echo(&mut connection, messages.next().expect("endless")));
                });
            }
        }
        group.finish();
    }
}

/// More connections than the pool remembers: each finds its history loaded anew, and its compressor
/// gone.
fn cold(c: &mut Criterion) {
    let mut group = c.benchmark_group("deflate echo, takeover, cold");
    for level in LEVELS {
        let [first, payloads] = payloads(level, SIZES[0], true);
        let mut loop_ = Loop::new(level);
        let mut connections: Vec<_> = (0..100).map(|_| Connection::new(true)).collect();
        // Each has a whole window of history.
        for connection in &mut connections {
            first
                .iter()
                .for_each(|payload| loop_.echo(connection, payload));
        }
        let mut next = 0;
        group.bench_function(
            BenchmarkId::new("ws-proto", format!("level {level}, 1 KiB")),
            |b| {
                b.iter(|| {
                    next = (next + 1) % connections.len();
                    loop_.echo(&mut connections[next], &payloads[0]);
                });
            },
        );
    }
    group.finish();
}

struct Loop {
    inflate: InflatePool,
    deflate: DeflatePool,
}

struct Connection {
    inflater: Inflater,
    deflater: Deflater,
}

impl Connection {
    fn new(takes_over: bool) -> Self {
        let window = DeflateWindow::new(!takes_over, 15);
        Self {
            inflater: Inflater::new(window),
            deflater: Deflater::new(window),
        }
    }
}

impl Loop {
    fn new(level: u32) -> Self {
        let mut config = DeflateConfig::default();
        config.level = level;
        Self {
            inflate: InflatePool::default(),
            deflate: DeflatePool::new(config),
        }
    }

    fn echo(&mut self, connection: &mut Connection, payload: &[u8]) {
        let mut piece = CompressedChunk {
            kind: MessageKind::Binary,
            data: payload,
            first: true,
            last: true,
        };
        let chunk = connection
            .inflater
            .inflate(&mut piece, u64::MAX, &mut self.inflate)
            .expect("a sound message")
            .expect("a chunk");
        assert!(chunk.last);
        let sent = connection
            .deflater
            .deflate(chunk.data.as_bytes(), true, &mut self.deflate);
        black_box(sent.expect("compressed").len());
    }
}

struct Naive {
    takes_over: bool,
    inflate: Decompress,
    deflate: Compress,
    plain: Vec<u8>,
    out: Vec<u8>,
}

impl Naive {
    fn new(level: u32, takes_over: bool) -> Self {
        Self {
            takes_over,
            inflate: Decompress::new(false),
            deflate: Compress::new(Compression::new(level), false),
            plain: Vec::with_capacity(66 << 10),
            out: Vec::with_capacity(66 << 10),
        }
    }

    fn echo(&mut self, payload: &[u8]) {
        if !self.takes_over {
            self.inflate.reset(false);
        }
        self.plain.clear();
        for part in [payload, &[0x00, 0x00, 0xff, 0xff]] {
            self.inflate
                .decompress_vec(part, &mut self.plain, FlushDecompress::None)
                .expect("a sound message");
        }
        let plain = std::mem::take(&mut self.plain);
        black_box(self.compress(&plain).len());
        self.plain = plain;
    }

    fn compress(&mut self, plain: &[u8]) -> &[u8] {
        if !self.takes_over {
            self.deflate.reset();
        }
        self.out.clear();
        self.deflate
            .compress_vec(plain, &mut self.out, FlushCompress::Sync)
            .expect("room for all of it");
        &self.out[..self.out.len() - 4]
    }
}

/// What a client sends, twice the same messages: the second time each is as it is whenever they are
/// repeated.
fn payloads(level: u32, size: usize, takes_over: bool) -> [Vec<Vec<u8>>; 2] {
    let mut client = Naive::new(level, takes_over);
    let messages: Vec<_> = (0..MESSAGES as u64).map(|seed| json(size, seed)).collect();
    [(); 2].map(|()| {
        messages
            .iter()
            .map(|message| client.compress(message).to_vec())
            .collect()
    })
}

criterion_group!(benches, echo, cold);
criterion_main!(benches);
