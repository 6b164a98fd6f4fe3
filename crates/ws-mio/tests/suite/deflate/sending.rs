//! Compressed messages to peers: published, prepared, dropped, refused.

use ws_mio::{
    Backpressure, DeflatePolicy, Message, Prepared, Refused, SlowConsumer, ws_proto::Header,
};

use super::{Bench, Client, PLAIN_OFFER, Side, prose, serving};

/// Bytes that do not compress.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..len).map(step).collect()
}

#[test]
fn only_what_is_asked_for_goes_out_plain() {
    let side = Side::<false>::new(|peer, _, message| {
        let Some(message) = message else { return };
        peer.uncompressed().send(message);
        assert!(peer.uncompressed().deflate().is_some());
        peer.send(message);
        // A message goes one way.
        peer.send_fragment("a", false);
        let mut plain = peer.uncompressed();
        assert!(matches!(
            plain.send_fragment("b", true),
            Backpressure::Refused(Refused::Send(_))
        ));
        peer.send_fragment("b", true);
        let mut plain = peer.uncompressed();
        plain.send_fragment("c", false);
        plain.send_fragment("d", true);
        plain.send_prepared(&Prepared::new(message));
        peer.ping(&[7; 125]);
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let text = prose(1, 5000);
    bench.tell(&text);
    let text = text.into_bytes();
    let expected = [
        text.clone(),
        text.clone(),
        b"ab".to_vec(),
        b"cd".to_vec(),
        text,
    ];
    assert_eq!(bench.client.messages, expected);
    assert_eq!(bench.client.compressed, 2);
    assert!(bench.client.bytes > 10_000);
}

#[test]
fn published_message_reaches_everyone_in_the_form_agreed_on() {
    let side = Side::<false>::new(|peer, what, message| {
        if what == "open" {
            peer.subscribe("news");
        }
        if let Some(message) = message {
            let prepared = Prepared::new(message);
            peer.publish("news", &prepared);
            peer.send_prepared(&prepared);
            peer.send(message);
            peer.broadcast(&Prepared::new(Message::Text("short")));
            // To its neighbour alone, and with its window.
            peer.send(message);
        }
    });
    let offers = [
        PLAIN_OFFER,
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        "x-other",
    ];
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let mut others: Vec<Client> = offers
        .iter()
        .map(|offer| Client::open(&mut bench.inner, offer, 1 << 20))
        .collect();
    let mut expected = Vec::new();
    for number in 0..3 {
        let text = prose(number, 2000);
        bench.tell(&text);
        let remote = bench.inner.remote();
        remote
            .publish("news", &Prepared::new(Message::Text(&text)))
            .unwrap();
        bench.run();
        expected.extend([
            text.clone().into_bytes(),
            b"short".to_vec(),
            text.into_bytes(),
        ]);
        for other in &mut others {
            while other.read() > 0 {}
            assert!(other.messages == expected);
        }
    }
    assert_eq!(bench.client.messages.len(), 3 * 5);
    let plain = others.pop().unwrap();
    assert_eq!(plain.compressed, 0);
    // The forms of one size of window are the same for everyone.
    assert_eq!(others[0].bytes, others[2].bytes);
    assert_eq!(others[1].bytes, others[3].bytes);
    for other in others {
        assert_eq!(other.compressed, 6);
        assert!(other.bytes * 5 < plain.bytes);
    }
}

#[test]
fn what_a_slow_peer_misses_breaks_no_window() {
    let policies = [
        SlowConsumer::DropNewest,
        SlowConsumer::DropOldest,
        SlowConsumer::Conflate,
    ];
    for policy in policies {
        for no_takeover in [false, true] {
            let deflate = DeflatePolicy::new().server_no_context_takeover(no_takeover);
            let mut config = serving(deflate);
            config.slow_consumer = policy;
            config.max_backpressure = 1000;
            let mut bench =
                Bench::narrow(Side::<false>::new(|_, _, _| {}), config, PLAIN_OFFER, 500);
            let mut number = 0;
            let (mut refused, mut sent) = (0, Vec::new());
            for round in 0..8 {
                // More than there is room for: noise, with something to refer
                // to between.
                let peers: Vec<_> = bench.inner.lend().peers().collect();
                for _ in 0..10 * (round % 2) + 5 {
                    number += 1;
                    let mut text = prose(number, 600);
                    text.extend(
                        noise(number as u32, 400)
                            .iter()
                            .map(|byte| char::from(byte >> 1)),
                    );
                    let _ = bench.inner.lend().with_peer(peers[0], |_, peer| {
                        let result = match number % 3 {
                            0 => peer.send_keyed(number as u64 % 4, &text),
                            1 => peer.send_prepared(&Prepared::new(Message::Text(&text))),
                            _ => peer.send(&text),
                        };
                        match result {
                            Backpressure::Refused(_) => refused += 1,
                            _ => sent.push(text.clone().into_bytes()),
                        }
                    });
                }
                bench.run();
            }
            let dropped = bench.inner.remote().metrics().dropped as usize;
            let messages = &bench.client.messages;
            assert_eq!(messages.len(), sent.len() - dropped);
            assert!(messages.iter().all(|message| sent.contains(message)));
            match policy {
                SlowConsumer::DropNewest => assert!(
                    refused > 0 && *messages == sent,
                    "{refused} of {number}, {} and {}",
                    messages.len(),
                    sent.len()
                ),
                _ => assert!(dropped > 0 && refused == 0, "{dropped} {refused}"),
            }
            assert!(messages.len() > 20);
        }
    }
}

#[test]
fn fragment_that_is_refused_can_be_sent_again() {
    let text = prose(1, 20_000);
    let noise = noise(1, 20_000);
    let (mut config, whole) = (serving(DeflatePolicy::new()), noise.clone());
    config.max_backpressure = 5000;
    let mut at = 0;
    let side = Side::<false>::new(move |peer, what, _| {
        while what != "close" && at < noise.len() {
            let end = at + 1000;
            match peer.send_fragment(&noise[at..end], end == noise.len()) {
                Backpressure::Refused(Refused::Full(_)) => return,
                Backpressure::Refused(refused) => panic!("{refused}"),
                _ => at = end,
            }
        }
        if what == "drain" {
            peer.send(&text);
        }
    });
    let mut bench = Bench::narrow(side, config, PLAIN_OFFER, 1000);
    bench.run();
    assert!(bench.client.messages[0] == whole);
    assert!(bench.client.messages[1] == prose(1, 20_000).as_bytes());
}

#[test]
fn compressed_message_is_split_into_frames_of_which_the_first_alone_has_rsv1() {
    //= RFC7692-6.1-3, RFC6455-6.1-3
    const MAX: usize = 500;
    let side = Side::<false>::new(|peer, what, message| {
        if what == "open" {
            peer.subscribe("news");
        }
        if let Some(message) = message {
            let prepared = Prepared::new(message);
            peer.send(message);
            peer.send_prepared(&prepared);
            peer.send_fragment(message, false);
            peer.send_fragment(message, true);
            peer.publish_to_all("news", &prepared);
            peer.uncompressed().send(message);
        }
    });
    let mut config = serving(DeflatePolicy::new());
    config.max_frame_sent = MAX;
    let mut bench = Bench::new(side, config, PLAIN_OFFER);
    // Half of it compresses.
    let message = noise(1, 5_000).repeat(2);
    bench.tell(&message[..]);
    let (once, twice) = (message.clone(), message.repeat(2));
    // What is published leaves after what is sent.
    let expected = [once.clone(), once.clone(), twice, once.clone(), once];
    assert!(bench.client.messages == expected);
    let (mut wire, mut begun, mut whole) = (&bench.client.wire[..], Vec::new(), 0);
    while let Some((header, head)) = Header::decode(wire).unwrap() {
        let len = head + header.payload_len() as usize;
        assert!(len <= MAX);
        if wire[0] & 0xf != 0 {
            begun.push(wire[0]);
        }
        whole += usize::from(header.fin());
        wire = &wire[len..];
    }
    assert_eq!(begun, [0x42, 0x42, 0x42, 0x02, 0x42]);
    assert_eq!((whole, bench.client.compressed), (5, 4));
    let metrics = bench.inner.remote().metrics();
    let plain = 10_000 + 20 * 4 + 2;
    let compressed = metrics.compressed_bytes_sent as usize;
    assert_eq!(compressed, bench.client.bytes - plain);
}

#[test]
fn compressor_of_an_unfinished_message_counts_as_held() {
    let side = Side::<false>::new(|peer, _, message| {
        if let Some(message) = message {
            peer.send_fragment(message, message == Message::Text("the end"));
        }
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let held = |bench: &Bench<_>| bench.inner.remote().metrics().held_bytes;
    assert_eq!(held(&bench), 0);
    bench.tell(&prose(1, 5000));
    assert!(
        (300_000..500_000).contains(&held(&bench)),
        "{}",
        held(&bench)
    );
    bench.tell("the end");
    assert_eq!(held(&bench), 0);
}
