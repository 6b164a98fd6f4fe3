//! Messages that come in many reads, by every way in which they are gathered.

use std::{io::Write, thread};

use crate::common::{Echo, Running, config, expect, masked, pattern, unmasked};

/// What a client sends, and what an echoing server sends back.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let (mut wire, mut echoes) = (Vec::new(), Vec::new());
    for len in [3, 9_000, 70_000, 300_000, 1_500_000, 20_000, 1_048_576] {
        let payload = pattern(len);
        wire.extend(masked(0x82, &payload));
        echoes.extend(unmasked(0x82, &payload));
        // The same in three fragments, with a Ping between the second and the
        // last.
        let (a, b) = (len / 3, len / 2);
        wire.extend(masked(0x02, &payload[..a]));
        wire.extend(masked(0x00, &payload[a..b]));
        wire.extend(masked(0x89, b"there?"));
        wire.extend(masked(0x80, &payload[b..]));
        echoes.extend(unmasked(0x8a, b"there?"));
        echoes.extend(unmasked(0x82, &payload));
    }
    (wire, echoes)
}

/// Several clients at once, each with writes of another size.
fn talk(read_buffer: usize, gather_buffers: usize) {
    let mut config = config();
    config.read_buffer = read_buffer;
    config.gather_buffers = gather_buffers;
    let server = Running::start(Echo, config);
    let (wire, echoes) = conversation();
    thread::scope(|scope| {
        for size in [usize::MAX, 100_000, 8_192, 5_000] {
            let (wire, echoes) = (&wire, &echoes);
            let mut stream = server.connect();
            let mut writer = stream.try_clone().unwrap();
            scope.spawn(move || {
                for piece in wire.chunks(size) {
                    writer.write_all(piece).unwrap();
                }
            });
            scope.spawn(move || expect(&mut stream, echoes));
        }
    });
}

#[test]
fn in_the_buffer_that_they_were_read_into() {
    talk(512 * 1024, 64 * 1024 * 1024);
}

#[test]
fn in_buffers_that_grow_with_them() {
    talk(16 * 1024, 64 * 1024 * 1024);
}

#[test]
fn in_memory_of_their_own_when_there_are_no_buffers_left() {
    talk(16 * 1024, 100_000);
    talk(64 * 1024, 0);
}
