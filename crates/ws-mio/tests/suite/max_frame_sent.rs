//! Messages that are longer than the longest frame that may be sent.

use ws_mio::{Handler, Message, MessageKind, Peer, Prepared, ws_proto::Header};

use crate::{
    common,
    common::{
        bench::{Bench, quiet, take},
        masked,
    },
};

/// The frames on a wire: the first byte and the payload of each, none longer
/// than `max_len` with its head.
fn frames(mut wire: &[u8], max_len: usize) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, head)) = Header::decode(wire).unwrap() {
        let len = head + header.payload_len() as usize;
        assert!(len <= max_len, "a frame of {len} bytes");
        frames.push((wire[0], wire[head..len].to_vec()));
        wire = &wire[len..];
    }
    assert!(wire.is_empty(), "half a head");
    frames
}

/// The messages that frames make, each with the first byte of its first frame.
fn messages(frames: Vec<(u8, Vec<u8>)>) -> Vec<(u8, Vec<u8>)> {
    let (mut messages, mut is_open) = (Vec::<(u8, Vec<u8>)>::new(), false);
    for (first, payload) in frames {
        assert_eq!(first & 0xf == 0, is_open, "a message inside another");
        match messages.last_mut() {
            Some((_, joined)) if is_open => joined.extend(payload),
            _ => messages.push((first & 0xf, payload)),
        }
        is_open = first & 0x80 == 0;
    }
    assert!(!is_open);
    messages
}

/// Sends what it gets, in every way that there is.
struct EveryWay;

impl Handler for EveryWay {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        peer.subscribe("news");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let prepared = Prepared::new(message);
        // The first could go back as it lies.
        peer.send(message);
        peer.send(message);
        peer.send_keyed(7, message);
        peer.send_prepared(&prepared);
        peer.send_in_place(MessageKind::Binary, &mut message.as_bytes().to_vec());
        peer.send_fragment(message, false);
        peer.ping(b"between");
        peer.send_fragment(message, false);
        peer.send_fragment(message, true);
        peer.publish_to_all("news", &prepared);
    }
}

#[test]
fn no_frame_is_longer_than_max_frame_sent_whichever_way_a_message_is_sent() {
    //= RFC6455-6.1-3, RFC6455-5.4-9
    for (max_len, len) in [(131, 1000), (4096, 5000), (32 * 1024, 200_000)] {
        let mut config = quiet();
        config.max_frame_sent = max_len;
        let mut bench = Bench::new(EveryWay, config);
        let (mut client, key) = bench.connect(4 << 20);
        let (mut other, _) = bench.connect(4 << 20);
        let text = "é🌍 ".repeat(len / 7);
        bench.send(&mut client, key, &masked(0x81, text.as_bytes()));
        let (pings, data): (Vec<_>, Vec<_>) = frames(&take(&mut client), max_len)
            .into_iter()
            .partition(|(first, _)| *first == 0x89);
        assert_eq!(pings, [(0x89, b"between".to_vec())]);
        let (once, thrice) = (text.as_bytes().to_vec(), text.repeat(3).into_bytes());
        let expected = [
            (1, once.clone()),
            (1, once.clone()),
            (1, once.clone()),
            (1, once.clone()),
            (2, once.clone()),
            (1, thrice),
            (1, once.clone()),
        ];
        assert!(messages(data) == expected);
        let published = messages(frames(&take(&mut other), max_len));
        assert!(published == [(1, once)]);
    }
}

#[test]
fn message_that_fits_in_a_frame_goes_out_in_one() {
    let mut config = quiet();
    config.max_frame_sent = 4096;
    let mut bench = Bench::new(common::Echo, config);
    let (mut client, key) = bench.connect(1 << 20);
    for (len, expected) in [(10, 1), (4092, 1), (4093, 2)] {
        bench.send(&mut client, key, &masked(0x82, &vec![7; len]));
        assert_eq!(frames(&take(&mut client), 4096).len(), expected);
    }
}
