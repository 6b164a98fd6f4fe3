//! Messages that are longer than the longest frame that may be sent.

use std::pin::Pin;

use futures_sink::Sink as _;
use ws_proto::Header;
use ws_smol::{Config, Error, Message, MessageRef, Prepared, Replies, WebSocket};

use crate::support::{Chaotic, Pipe, client, config, masked, pipe, put, run, server};

fn limited(max_frame_sent: usize) -> Config {
    let mut config = config();
    config.max_frame_sent = max_frame_sent;
    config
}

/// The data that is on a wire, without masks: the first byte and the payload of
/// each message, of frames that are no longer than `max_len` with their heads.
/// How many frames there were, too.
fn messages(mut wire: &[u8], max_len: usize) -> (Vec<(u8, Vec<u8>)>, usize) {
    let (mut messages, mut count) = (Vec::<(u8, Vec<u8>)>::new(), 0);
    let mut is_open = false;
    while let Some((header, head)) = Header::decode(wire).unwrap() {
        let len = head + header.payload_len() as usize;
        assert!(len <= max_len, "a frame of {len} bytes");
        let mut payload = wire[head..len].to_vec();
        if let Some(key) = header.mask() {
            ws_proto::xor(&mut payload, key);
        }
        let first = wire[0];
        wire = &wire[len..];
        count += 1;
        if first & 0x8 != 0 {
            continue;
        }
        assert_eq!(first & 0xf == 0, is_open, "a message inside another");
        assert!(!is_open || first & 0x40 == 0, "RSV1 on a later fragment");
        match messages.last_mut() {
            Some((_, joined)) if is_open => joined.extend(payload),
            _ => messages.push((first & 0x4f, payload)),
        }
        is_open = first & 0x80 == 0;
    }
    assert!(wire.is_empty() && !is_open);
    (messages, count)
}

/// Sends a text in every way that there is, three times as fragments.
async fn send_every_way(websocket: &mut WebSocket<Pipe>, text: &str) {
    let prepared = Prepared::new(MessageRef::Text(text));
    websocket.send(text).await.unwrap();
    websocket.send_prepared(&prepared).await.unwrap();
    websocket.send_fragment(text, false).await.unwrap();
    websocket.ping(b"between").await.unwrap();
    websocket.send_fragment(text, false).await.unwrap();
    websocket.send_fragment(text, true).await.unwrap();
    websocket.queue(text).unwrap();
    websocket.queue_prepared(&prepared).unwrap();
    let mut sink = Pin::new(&mut *websocket);
    sink.as_mut().start_send(Message::from(text)).unwrap();
    websocket.flush().await.unwrap();
}

/// The lengths of the messages that [`send_every_way`] sends, in texts.
const TEXTS: [usize; 6] = [1, 1, 3, 1, 1, 1];

#[test]
fn no_frame_is_longer_than_max_frame_sent_whichever_way_a_message_is_sent() {
    //= RFC6455-6.1-3, RFC6455-5.4-9, RFC6455-5.3-2
    for (max_len, len) in [(131, 1000), (4096, 5000), (32 * 1024, 100_000)] {
        let text = "é🌍 ".repeat(len / 7);
        let config = limited(max_len);
        for role in [client::<Pipe>, server::<Pipe>] {
            let (near, far) = pipe(4 << 20);
            let mut near = role(near, &config);
            run(send_every_way(&mut near, &text));
            let (got, _) = messages(&far.take_available(), max_len);
            let expected = TEXTS.map(|times| (1, text.repeat(times).into_bytes()));
            assert!(got == expected);
        }
    }
}

#[test]
fn replies_are_split_also_those_that_could_go_back_as_they_lie() {
    run(async {
        for len in [1000_usize, 4092, 4093, 10_000] {
            let (mut near, far) = pipe(4 << 20);
            let mut far = server(far, &limited(4096));
            let payload: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
            put(&mut near, &masked(0x82, &payload)).await;
            let mut count = 0;
            let handler = |message: MessageRef<'_>, replies: &mut Replies<'_>| {
                count += 1;
                replies.queue(message)?;
                replies.queue_prepared(&Prepared::new(message))
            };
            assert!(far.receive_with(handler).await.unwrap());
            far.flush().await.unwrap();
            let wire = near.take_available();
            let (got, frames) = messages(&wire, 4096);
            assert!(got == [(2, payload.clone()), (2, payload)]);
            assert_eq!((count, frames), (1, 2 * len.div_ceil(4092)));
        }
    });
}

#[test]
fn reply_that_is_longer_than_the_outbox_is_split() {
    run(async {
        let (mut near, far) = pipe(4 << 20);
        let mut config = limited(4096);
        config.max_backpressure = 16 * 1024;
        let mut far = server(far, &config);
        let payload: Vec<u8> = (0..60_000).map(|i| (i % 253) as u8).collect();
        put(&mut near, &masked(0x82, &payload)).await;
        let mut count = 0;
        while count == 0 {
            let echo = |message: MessageRef<'_>, replies: &mut Replies<'_>| {
                count += 1;
                replies.queue(message)
            };
            let served: Result<bool, Error> = far.receive_with(echo).await;
            assert!(served.unwrap());
        }
        far.flush().await.unwrap();
        let (got, frames) = messages(&near.take_available(), 4096);
        assert!(got == [(2, payload)]);
        assert_eq!(frames, 60_000_usize.div_ceil(4092));
    });
}

#[test]
fn peers_join_what_is_split_whatever_the_transport_takes() {
    for (seed, max_len) in [(1, 1), (2, 7), (3, 1000), (4, 100_000)] {
        let config = limited(131);
        let (near, far) = pipe(5000);
        let mut near = client(Chaotic::new(near, seed, max_len), &config);
        let mut far = server(Chaotic::new(far, seed + 100, max_len), &config);
        let sample = Message::from("𝄞é ".repeat(700));
        let asking = async {
            for _ in 0..3 {
                near.send(&sample).await.unwrap();
                assert_eq!(near.receive().await.unwrap().as_ref(), Some(&sample));
            }
        };
        let echo = |message: MessageRef<'_>, replies: &mut Replies<'_>| replies.queue(message);
        let serving = async {
            loop {
                let served: Result<bool, Error> = far.receive_with(echo).await;
                served.unwrap();
            }
        };
        run(smol::future::or(asking, serving));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_message_is_split_and_its_first_fragment_alone_has_rsv1() {
    //= RFC7692-6.1-3, RFC6455-6.1-3
    const MAX: usize = 200;
    let mut random = crate::support::Random::new(1);
    // Half of it compresses.
    let text: String = (0..2000)
        .map(|_| char::from(b'a' + random.below(16) as u8))
        .collect();
    for role in [client::<Pipe>, server::<Pipe>] {
        let (near, far) = pipe(4 << 20);
        let params = ws_smol::DeflateParams::default();
        let mut near = role(near, &limited(MAX)).with_deflate(params);
        run(send_every_way(&mut near, &text));
        let wire = far.take_available();
        let (got, frames) = messages(&wire, MAX);
        assert!(got.iter().all(|(first, _)| *first == 0x41));
        assert!(got.len() == TEXTS.len() && frames > 5 * TEXTS.len());
    }
    // The other end inflates them.
    let (near, far) = pipe(4 << 20);
    let params = ws_smol::DeflateParams::default();
    let mut near = client(near, &limited(MAX)).with_deflate(params);
    let mut far = server(far, &config()).with_deflate(params);
    let receiving = async {
        for times in TEXTS {
            let message = far.receive().await.unwrap().unwrap();
            assert!(message.as_text() == Some(&text.repeat(times)));
        }
    };
    run(smol::future::zip(
        send_every_way(&mut near, &text),
        receiving,
    ));
}
