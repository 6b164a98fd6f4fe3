//! Messages arrive as they were sent, whatever the transport does.

use std::{future::poll_fn, pin::Pin};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use smol::future::zip;
use ws_smol::{
    ClientMasking, CloseCode, Error, Limits, Message, MessageKind, Prepared, ServerMasking,
    WebSocket,
};

use crate::support::{
    Chaotic, Random, client, config, expect, expect_end, masked, pipe, put, run, server,
};

fn samples() -> Vec<Message> {
    let mut samples: Vec<Message> = [0, 1, 125, 126, 1000, 65_535, 65_536, 300_000]
        .into_iter()
        .map(|len| Message::Binary((0..len).map(|i| (i % 251) as u8).collect()))
        .collect();
    samples.extend([
        Message::from(""),
        Message::from("Hello, 世界 🌍"),
        Message::Text("𝄞é".repeat(700)),
    ]);
    samples
}

#[test]
fn messages_survive_every_way_to_read_and_write() {
    for (seed, max_len) in [(1, 1), (2, 2), (3, 7), (4, 1000), (5, 100_000)] {
        let (near, far) = pipe(5000);
        let mut near = client(Chaotic::new(near, seed, max_len), &config());
        let mut far = server(Chaotic::new(far, seed + 100, max_len), &config());
        let samples: Vec<Message> = samples()
            .into_iter()
            .filter(|message| max_len > 10 || message.len() < 5000)
            .collect();
        let echo = async {
            let mut turn = 0;
            while let Some(message) = far.receive().await.unwrap() {
                turn += 1;
                if turn % 3 == 0 {
                    far.ping(b"in between").await.unwrap();
                }
                far.send(&message).await.unwrap();
            }
        };
        let ask = async {
            for sample in &samples {
                near.send(sample).await.unwrap();
                assert_eq!(near.receive().await.unwrap().as_ref(), Some(sample));
            }
            for sample in &samples {
                near.send(sample).await.unwrap();
                assert_eq!(near.receive_ref().await.unwrap(), Some(sample.as_ref()));
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(near.receive().await.unwrap(), None);
        };
        run(zip(echo, ask));
    }
}

#[test]
fn fragments_are_joined_and_can_be_taken_one_by_one() {
    run(async {
        let (near, far) = pipe(1 << 20);
        let mut near = client(near, &config());
        let mut far = server(far, &config());
        for _ in 0..2 {
            near.send_fragment("one, ", false).await.unwrap();
            near.ping(b"between").await.unwrap();
            near.send_fragment("two, ", false).await.unwrap();
            near.send_fragment("three", true).await.unwrap();
        }
        let joined = Message::from("one, two, three");
        assert_eq!(far.receive().await.unwrap(), Some(joined));

        let chunk = far.receive_chunk().await.unwrap().unwrap();
        assert_eq!(chunk.data.as_bytes(), b"one, ");
        assert!(chunk.first && !chunk.last);
        let rest = Message::from("two, three");
        assert_eq!(far.receive().await.unwrap(), Some(rest));
    });
}

#[test]
fn large_message_is_streamed_without_being_held() {
    //= RFC6455-2.1-1
    const PIECE: usize = 100_000;
    const PIECES: usize = 400;
    let (near, far) = pipe(1 << 16);
    let mut config = config();
    config.limits = Limits::UNLIMITED;
    let mut near = client(near, &config);
    let mut far = server(far, &config);
    let sending = async {
        let piece: Vec<u8> = (0..PIECE).map(|i| (i % 253) as u8).collect();
        for i in 0..PIECES {
            near.send_fragment(&piece[..], i + 1 == PIECES)
                .await
                .unwrap();
            assert_eq!(near.pending_bytes(), 0);
        }
    };
    let receiving = async {
        let mut received = 0;
        loop {
            let chunk = far.receive_chunk().await.unwrap().unwrap();
            assert_eq!(chunk.first, received == 0);
            assert_eq!(chunk.data.kind(), MessageKind::Binary);
            assert!(chunk.data.len() <= 1 << 16);
            for byte in chunk.data.as_bytes() {
                assert_eq!(*byte, (received % PIECE % 253) as u8);
                received += 1;
            }
            if chunk.last {
                break;
            }
        }
        assert_eq!(received, PIECE * PIECES);
    };
    run(zip(sending, receiving));
}

#[test]
fn many_messages_of_one_read_come_one_by_one() {
    run(async {
        let (mut near, far) = pipe(1 << 20);
        let mut far = server(far, &config());
        let mut wire = Vec::new();
        for i in 0..1000u32 {
            wire.extend(masked(0x82, &i.to_be_bytes()));
        }
        put(&mut near, &wire).await;
        for i in 0..1000u32 {
            let message = if i % 2 == 0 {
                far.receive().await.unwrap().unwrap().into_bytes()
            } else {
                far.receive_ref()
                    .await
                    .unwrap()
                    .unwrap()
                    .as_bytes()
                    .to_vec()
            };
            assert_eq!(message, i.to_be_bytes());
        }
    });
}

#[test]
fn queued_messages_leave_together_when_something_waits() {
    //= RFC6455-2.1-1
    run(async {
        let (mut near, far) = pipe(1 << 20);
        let mut far = server(far, &config());
        far.queue("a").unwrap();
        far.queue(&b"b"[..]).unwrap();
        far.queue_prepared(&Prepared::new("c".into())).unwrap();
        assert_eq!(far.pending_bytes(), 9);
        assert_eq!(near.take_available(), b"");
        // Who receives next writes first.
        assert!(crate::support::once(far.receive()).await.is_none());
        assert_eq!(far.pending_bytes(), 0);
        expect(&mut near, b"\x81\x01a\x82\x01b\x81\x01c").await;
        far.queue("d").unwrap();
        far.flush().await.unwrap();
        expect(&mut near, b"\x81\x01d").await;
    });
}

#[test]
fn limit_of_the_outbox_is_named_and_changes_nothing() {
    run(async {
        let (_near, far) = pipe(16);
        let mut config = config();
        config.max_backpressure = 100;
        let mut far = server(far, &config);
        far.queue(&[0; 90][..]).unwrap();
        let Err(Error::OutboxFull(full)) = far.queue(&[0; 9][..]) else {
            panic!("it was queued");
        };
        assert_eq!((full.pending, full.len, full.limit), (92, 11, 100));
        assert_eq!(far.pending_bytes(), 92);
        far.queue(&[0; 6][..]).unwrap();
        // A larger one can be sent when nothing else waits, but not queued.
        let (mut near, far) = pipe(1 << 20);
        let mut far = server(far, &config);
        assert!(matches!(
            far.queue(&[0; 200][..]),
            Err(Error::OutboxFull(_))
        ));
        far.send(&[7; 200][..]).await.unwrap();
        let mut frame = vec![0x82, 126, 0, 200];
        frame.extend([7; 200]);
        expect(&mut near, &frame).await;
    });
}

#[test]
fn zero_key_is_on_the_wire_and_the_payload_as_it_is() {
    //= MSWS-2.1-1, MSWS-3.1.4-3
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let masking = ClientMasking::with_set_mask_to_zero(true);
        let mut near = WebSocket::after_handshake(near, masking, Vec::new(), &config()).unwrap();
        near.send("Hello").await.unwrap();
        expect(&mut far, b"\x81\x85\0\0\0\0Hello").await;
        let large = vec![b'x'; 20_000];
        near.send(&large[..]).await.unwrap();
        expect(&mut far, b"\x82\xfe\x4e\x20\0\0\0\0").await;
        expect(&mut far, &large).await;
    });
}

#[test]
fn unmasked_frame_is_refused_or_taken_as_the_flag_says() {
    //= MSWS-2.1-1, MSWS-3.2.5-2, MSWS-3.2.5-3
    run(async {
        for flag in [false, true] {
            let (mut near, far) = pipe(1 << 20);
            let masking = ServerMasking::with_accept_unmasked_frame(flag);
            let mut far = WebSocket::after_handshake(far, masking, Vec::new(), &config()).unwrap();
            put(&mut near, &masked(0x81, b"masked")).await;
            put(&mut near, b"\x81\x05Hello").await;
            let masked = Message::from("masked");
            assert_eq!(far.receive().await.unwrap(), Some(masked));
            if flag {
                let unmasked = Message::from("Hello");
                assert_eq!(far.receive().await.unwrap(), Some(unmasked));
                assert_eq!(far.take_frame_counts().unmasked, 1);
                continue;
            }
            let (outcome, ()) = zip(far.receive(), async {
                expect(&mut near, b"\x88\x10\x03\xeaunmasked_frame").await;
                expect_end(&mut near).await;
                drop(near);
            })
            .await;
            assert!(matches!(outcome, Err(Error::Protocol(_))));
        }
    });
}

#[test]
fn stream_and_sink_carry_the_same_messages() {
    let (near, far) = pipe(100);
    let mut near = client(near, &config());
    let mut far = server(far, &config());
    let sending = async {
        for sample in samples() {
            poll_fn(|cx| Pin::new(&mut near).poll_ready(cx))
                .await
                .unwrap();
            Pin::new(&mut near).start_send(sample).unwrap();
        }
        poll_fn(|cx| Pin::new(&mut near).poll_close(cx))
            .await
            .unwrap();
    };
    let receiving = async {
        for sample in samples() {
            let message = poll_fn(|cx| Pin::new(&mut far).poll_next(cx)).await;
            assert_eq!(message.unwrap().unwrap(), sample);
        }
        let end = poll_fn(|cx| Pin::new(&mut far).poll_next(cx)).await;
        assert!(end.is_none());
        assert_eq!(far.close_status().unwrap().code, 1000);
    };
    run(zip(sending, receiving));
}

#[test]
fn leftover_of_the_handshake_is_the_first_input() {
    run(async {
        let (mut near, far) = pipe(100);
        let mut leftover = masked(0x81, b"early");
        let split = leftover.split_off(3);
        let mut far =
            WebSocket::after_handshake(far, ServerMasking::new(), leftover, &config()).unwrap();
        put(&mut near, &split).await;
        let early = Message::from("early");
        assert_eq!(far.receive().await.unwrap(), Some(early));
    });
}

#[test]
fn random_sequences_of_pieces_arrive_in_order() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let (near, far) = pipe(1 + random.below(3000));
        let max_len = 1 + random.below(300);
        let mut near = client(Chaotic::new(near, seed, max_len), &config());
        let mut far = server(Chaotic::new(far, seed + 50, max_len), &config());
        let texts: Vec<String> = (0..20)
            .map(|_| "añ€🌍".chars().cycle().take(random.below(400)).collect())
            .collect();
        let sending = async {
            for text in &texts {
                match text.char_indices().nth(100) {
                    Some((middle, _)) => {
                        near.send_fragment(&text[..middle], false).await.unwrap();
                        near.send_fragment(&text[middle..], true).await.unwrap();
                    }
                    None => near.send(&text[..]).await.unwrap(),
                }
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            for text in &texts {
                let mut received = String::new();
                loop {
                    let chunk = far.receive_chunk().await.unwrap().unwrap();
                    received += std::str::from_utf8(chunk.data.as_bytes()).unwrap();
                    if chunk.last {
                        break;
                    }
                }
                assert_eq!(received, *text);
            }
            assert_eq!(far.receive().await.unwrap(), None);
        };
        run(zip(sending, receiving));
    }
}
