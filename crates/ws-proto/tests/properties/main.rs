//! Properties that hold for any input, tried with generated ones.
//!
//! The modules are shared with the fuzz targets, which try them with inputs
//! that no generator thinks of.

#![cfg(feature = "std")]
#![allow(
    unreachable_pub,
    reason = "the modules are also part of a library, for the fuzz targets"
)]

#[cfg(feature = "deflate")]
mod deflate;
mod header;
mod mask;
mod model;
mod receive;
mod roundtrip;
mod text;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use ws_proto::{Inbound, Limits};

/// Runs `property` with as many seeded generators; with few under Miri, which
/// takes a thousand times as long.
fn for_seeds(count: u64, property: impl Fn(&mut StdRng)) {
    let count = if cfg!(miri) {
        count.div_ceil(500)
    } else {
        count
    };
    for seed in 0..count {
        property(&mut StdRng::seed_from_u64(seed));
    }
}

/// Frames, most of them legal in their order, and now and then a byte that is
/// not what it was.
fn wire(rng: &mut StdRng) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut open = false;
    let masked = rng.random_range(0..=2); // never, always, sometimes
    for _ in 0..rng.random_range(1..12) {
        let control = rng.random_ratio(1, 4);
        let fin = control || rng.random_ratio(1, 2);
        let opcode = match (control, open) {
            (true, _) if rng.random_ratio(1, 8) => 0x8,
            (true, _) => rng.random_range(0x9..=0xa),
            (false, true) => 0x0,
            (false, false) => rng.random_range(0x1..=0x2),
        };
        if !control {
            open = !fin;
        }
        let payload = payload(rng, control);
        let payload = match opcode {
            0x8 if payload.len() < 2 => Vec::new(),
            0x8 => [&1000u16.to_be_bytes(), &payload[2..]].concat(),
            _ => payload,
        };
        let key = match masked {
            0 => None,
            1 => Some(rng.random()),
            _ => rng.random_ratio(1, 2).then(|| rng.random()),
        };
        wire.extend(frame(fin, opcode, key, &payload));
    }
    for _ in 0..rng.random_range(0..3) {
        if rng.random_ratio(1, 3) {
            let at = rng.random_range(0..wire.len());
            wire[at] = rng.random();
        }
    }
    wire.truncate(rng.random_range(wire.len() / 2..=wire.len()));
    wire
}

fn payload(rng: &mut StdRng, control: bool) -> Vec<u8> {
    let len = match rng.random_range(0..10) {
        _ if control => rng.random_range(0..=125),
        0 => rng.random_range(120..140),
        1 if !cfg!(miri) => rng.random_range(65_530..65_545),
        _ => rng.random_range(0..20),
    };
    let mut text = String::new();
    while text.len() < len {
        text.push(match rng.random_range(0..8) {
            0 => 'é',
            1 => '€',
            2 => '𝄞',
            _ => rng.random_range('a'..='z'),
        });
    }
    // Cut where it may be inside a character.
    let mut bytes = text.into_bytes();
    bytes.truncate(len);
    bytes
}

fn frame(fin: bool, opcode: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(fin) << 7 | opcode];
    let mask = u8::from(key.is_some()) << 7;
    match payload.len() {
        len @ 0..=125 => frame.push(mask | len as u8),
        len @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let key = key.map_or([0; 4], |key| {
        frame.extend(key);
        key
    });
    frame.extend(payload.iter().zip(0..).map(|(byte, i)| byte ^ key[i % 4]));
    frame
}

fn limits(rng: &mut StdRng) -> Limits {
    let mut limits = Limits::UNLIMITED;
    if rng.random_ratio(1, 3) {
        limits.max_frame = rng.random_range(0..200);
    }
    if rng.random_ratio(1, 3) {
        limits.max_message = rng.random_range(0..200);
    }
    if rng.random_ratio(1, 3) {
        limits.max_fragments = rng.random_range(0..4);
    }
    limits
}

#[test]
fn any_chunking_gives_the_events_of_the_model() {
    //= RFC6455-5.4-1, RFC6455-6.2-1, RFC6455-10.7-1
    for_seeds(1500, |rng| {
        let wire = wire(rng);
        let limits = limits(rng);
        for inbound in [
            Inbound::RequireMasked,
            Inbound::AcceptUnmasked,
            Inbound::RequireUnmasked,
        ] {
            receive::any_chunking_gives_the_events_of_the_model(
                inbound,
                limits,
                &wire,
                rng.random(),
            );
        }
    });
}

#[test]
fn strict_and_accepting_servers_differ_only_by_unmasked_frames() {
    //= MSWS-3.2.5-2, MSWS-3.2.5-3, MSWS-3.2.5-5
    for_seeds(1500, |rng| {
        let wire = wire(rng);
        receive::strict_and_accepting_servers_differ_only_by_unmasked_frames(limits(rng), &wire);
    });
}

#[test]
fn what_is_sent_is_what_is_received() {
    //= RFC6455-6.1-2, RFC6455-5.3-5, MSWS-3.1.4-1
    for_seeds(2000, |rng| {
        let actions: Vec<_> = (0..rng.random_range(0..12))
            .map(|_| {
                let control = rng.random_ratio(1, 2);
                let payload = payload(rng, control);
                let text = || String::from_utf8_lossy(&payload).into_owned();
                match rng.random_range(0..17) {
                    0..=2 => roundtrip::Action::Text(text()),
                    3..=4 => roundtrip::Action::Binary(payload),
                    5..=7 => roundtrip::Action::TextFragment(text(), rng.random()),
                    14..=16 => roundtrip::Action::TextBytes(payload, rng.random()),
                    8..=9 => roundtrip::Action::BinaryFragment(payload, rng.random()),
                    10 => roundtrip::Action::PreparedText(text()),
                    11 => roundtrip::Action::Ping(payload),
                    12 => roundtrip::Action::Pong(payload),
                    _ if rng.random_ratio(1, 2) => roundtrip::Action::Close(None),
                    _ => roundtrip::Action::Close(Some((rng.random_range(990..1020), text()))),
                }
            })
            .collect();
        roundtrip::what_is_sent_is_what_is_received(&actions, rng.random());
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_wire_inflates_alike_in_any_chunking() {
    //= RFC7692-6.2-1, RFC7692-6.1-6, RFC6455-10.7-1
    for_seeds(200, |rng| {
        let wire = deflated_wire(rng);
        let mut limits = limits(rng);
        limits.max_fragments = u32::MAX;
        deflate::any_chunking_inflates_alike(limits, &wire, rng.random());
    });
}

#[cfg(feature = "deflate")]
#[test]
fn payload_inflates_as_others_inflate_it() {
    //= RFC7692-7.2.2-1
    for_seeds(800, |rng| {
        let message = payload(rng, false);
        let mut payload = deflate::deflated(&message, rng.random_range(0..=9));
        for _ in 0..rng.random_range(0..3) {
            let at = rng.random_range(0..payload.len());
            payload[at] = rng.random();
        }
        if rng.random_ratio(1, 4) {
            payload.truncate(rng.random_range(0..payload.len()));
        }
        deflate::inflates_as_others_do(&payload);
    });
}

#[cfg(feature = "deflate")]
#[test]
fn what_is_deflated_is_what_is_inflated() {
    //= RFC7692-7.2.1-1, RFC7692-7.2.1-5, RFC7692-7.2.2-1, RFC7692-6.1-2
    for_seeds(200, |rng| {
        let actions: Vec<_> = (0..rng.random_range(1..10))
            .map(|_| deflate::Action {
                data: payload(rng, false),
                connection: rng.random_range(0..3),
                way: rng.random_range(0..6),
                cut: rng.random(),
            })
            .collect();
        deflate::what_is_deflated_is_what_is_inflated(&actions, rng.random());
    });
}

/// Messages of which some are compressed, and now and then a byte that is not
/// what it was.
#[cfg(feature = "deflate")]
fn deflated_wire(rng: &mut StdRng) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        let message = payload(rng, false);
        let opcode = rng.random_range(1..=2);
        let mut payload = deflate::deflated(&message, rng.random_range(0..=9));
        if rng.random_ratio(1, 6) {
            let at = rng.random_range(0..payload.len());
            payload[at] = rng.random();
        }
        let at = rng.random_range(0..=payload.len());
        wire.extend(match rng.random_range(0..3) {
            0 => frame(true, opcode, None, &message),
            1 => frame(true, 0x40 | opcode, None, &payload),
            _ => [
                frame(false, 0x40 | opcode, Some(rng.random()), &payload[..at]),
                frame(true, 0x9, None, b"ping"),
                frame(true, 0x0, None, &payload[at..]),
            ]
            .concat(),
        });
    }
    wire
}

#[test]
fn header_is_what_its_bytes_say() {
    //= RFC6455-5.2-6, RFC6455-5.2-8, MSWS-2.2-1
    for_seeds(20_000, |rng| {
        let mut bytes: [u8; 16] = rng.random();
        if rng.random_ratio(1, 2) {
            // The borders of the length forms are rare by chance.
            bytes[2..8].fill(0);
        }
        if rng.random_ratio(1, 2) {
            bytes[1] |= 0x7e;
        }
        header::decoding_is_the_inverse_of_encoding(&bytes);
    });
}

#[test]
fn text_in_pieces_is_judged_as_std_judges_it_whole() {
    //= RFC3629-3-1, RFC6455-8.1-1
    for_seeds(5000, |rng| {
        let mut bytes = payload(rng, true);
        if !bytes.is_empty() && rng.random_ratio(2, 3) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        text::pieces_are_judged_as_std_judges_the_whole(&bytes, rng.random());
    });
}

#[test]
fn masking_equals_its_naive_twin() {
    //= RFC6455-5.3-5
    for_seeds(1000, |rng| {
        let data = payload(rng, false);
        mask::masking_equals_its_naive_twin(rng.random(), rng.random(), &data);
    });
}
